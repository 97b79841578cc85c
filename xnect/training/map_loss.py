"""The loss of Stage I's maps on one batch of crops."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xnect.codec.encoding import TRUSTED_CHANNELS
from xnect.training.batches import Batch, Reads, joined

#: Scale of the loss, so that it is of order one.
LOSS_SCALE = 40.0
#: Scale of the encoding's loss, which is a length [1/m].
ENCODING_SCALE = 4.0
#: Below this error the encoding's loss is square, above it straight [m].
ENCODING_KNEE_M = 0.05


class Source(Protocol):
    """Whatever gives the batch of a step."""

    def draw(self, step: int) -> Batch:
        """The batch of a step."""
        ...


def read_at(encoding: Tensor, picture: Tensor, cell: Tensor) -> Tensor:
    """Encoding maps (B, 63, h, w) at cells (K, 2) of pictures (K,): (K, 63), bilinear like ``association.read_encoding``."""
    height, width = encoding.shape[2:]
    x = cell[:, 0].clamp(0, width - 1.001)
    y = cell[:, 1].clamp(0, height - 1.001)
    x0, y0 = x.floor().long(), y.floor().long()
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    corners = encoding.permute(0, 2, 3, 1)
    top = corners[picture, y0, x0] * (1 - fx) + corners[picture, y0, x0 + 1] * fx
    bottom = corners[picture, y0 + 1, x0] * (1 - fx) + corners[picture, y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def encoding_loss(encoding: Tensor, reads: Reads) -> Tensor:
    """Mean error of the trusted channels where a joint with a known pose is; a network is free everywhere else [m]."""
    trusted = torch.from_numpy(TRUSTED_CHANNELS.copy()).to(encoding.device)[reads.joint]
    found = read_at(encoding, reads.picture, reads.cell)
    error = F.huber_loss(found, reads.value, reduction="none", delta=ENCODING_KNEE_M) / ENCODING_KNEE_M
    weight = trusted * reads.weight[:, None]
    return (error * weight).sum() / weight.sum().clamp(min=1.0)


class MapLoss:
    """The loss of one training step.

    Weighted mean squared error over heatmaps and affinity fields (Cao et al. 2017; weights in ``targets``); for a
    network with a 3D head also the error of the encoding at the joints of crops whose 3D truth is known.

    Args:
        batches: Where batches come from.
        bf16: Mixed precision.
        compiled: Run the network through ``torch.compile``: a minute or two of compiling for each size of crops.
    """

    def __init__(self, batches: Source, bf16: bool, compiled: bool = False) -> None:
        self._batches, self._bf16, self._compiled = batches, bf16, compiled
        self._forward: tuple[nn.Module, Any] | None = None

    def __call__(self, net: nn.Module, step: int) -> Tensor:
        """Loss of the batch of a step."""
        batch = self._batches.draw(step)
        with torch.autocast(batch.images.device.type, dtype=torch.bfloat16, enabled=self._bf16):
            maps, encoding = self._of(net)(batch.images)
        loss = ((maps.float() - batch.targets.maps) ** 2 * batch.targets.weight).mean() * LOSS_SCALE
        if encoding is None:
            return loss
        if batch.reads:
            loss = loss + ENCODING_SCALE * encoding_loss(encoding.float(), joined(batch.reads))
        return loss

    def _of(self, net: nn.Module) -> Any:
        if self._forward is None or self._forward[0] is not net:
            self._forward = (net, torch.compile(net, dynamic=False) if self._compiled else net)
        return self._forward[1]
