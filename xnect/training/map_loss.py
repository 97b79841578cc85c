"""What Stage I is trained on in one step: crops of photos and of synthetic pictures, and the loss of the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xnect.codec.encoding import TRUSTED_CHANNELS
from xnect.stages.executors.base import MEAN, STD
from xnect.training.datasets.store import Store
from xnect.training.targets import Targets, draw_targets
from xnect.training.views import Crops, ViewConfig, draw_crops

#: Pictures in which everyone or several people are labelled are drawn so many times as often as others.
RICH_SHARE = 4
#: Scale of the loss, so that it is of order one.
LOSS_SCALE = 40.0
#: Scale of the encoding's loss, which is a length [1/m].
ENCODING_SCALE = 4.0
#: Below this error the encoding's loss is square, above it straight [m].
ENCODING_KNEE_M = 0.05
#: Peaks are found a little off a joint: the encoding is supervised so far around it [cells].
JITTER_CELLS = 0.6


class _Source:
    """Crops drawn from one store."""

    def __init__(self, store: Store) -> None:
        self._store, self._focal = store, store.focal_people()
        useful = torch.nonzero(self._focal.any(1)).flatten()
        rich = useful[store.complete[useful] | (self._focal[useful].sum(1) > 1)]
        empty = torch.nonzero(~self._focal.any(1) & store.complete).flatten()
        self.pool = torch.cat([useful, *[rich] * (RICH_SHARE - 1), empty])

    def crops(self, count: int, views: ViewConfig) -> Crops:
        rows = self.pool[torch.randint(len(self.pool), (count,), device=self._store.device)]
        return draw_crops(self._store, rows, self.pool, self._focal, views)


@dataclass(frozen=True, slots=True)
class Reads:
    """Places of a batch where the encoding is supervised.

    Attributes:
        picture: int64 (K,), which crop.
        joint: int64 (K,), which of the 14 joints.
        cell: float32 (K, 2), x, y [map cells].
        value: float32 (K, 63), what should stand there.
        weight: float32 (K,).
    """

    picture: Tensor
    joint: Tensor
    cell: Tensor
    value: Tensor
    weight: Tensor


def encoding_reads(crops: Crops, first: int = 0, stride: int = 8) -> Reads | None:
    """The joints of a batch that have a 3D truth; ``first`` is the number of the batch's first crop in a larger one."""
    if crops.encoding is None or crops.evidence is None:
        return None
    picture, person, joint = torch.nonzero(crops.evidence > 0, as_tuple=True)
    cell = (crops.joints[picture, person, joint, :2] - (stride - 1) / 2) / stride
    return Reads(
        picture + first, joint, cell, crops.encoding[picture, person, joint], crops.evidence[picture, person, joint]
    )


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


def encoding_loss(encoding: Tensor, reads: Reads, jitter: float = JITTER_CELLS) -> Tensor:
    """Mean error of the trusted channels where a joint with a known pose is; a network is free everywhere else [m]."""
    trusted = torch.from_numpy(TRUSTED_CHANNELS.copy()).to(encoding.device)[reads.joint]
    shift = (torch.rand_like(reads.cell) * 2 - 1) * jitter
    found = read_at(encoding, reads.picture, reads.cell + shift)
    error = F.huber_loss(found, reads.value, reduction="none", delta=ENCODING_KNEE_M) / ENCODING_KNEE_M
    weight = trusted * reads.weight[:, None]
    return (error * weight).sum() / weight.sum().clamp(min=1.0)


class MapLoss:
    """The loss of one training step: draws crops and targets on the stores' device and compares the maps.

    Weighted mean squared error over heatmaps and affinity fields (Cao et al. 2017; weights in ``targets``); for a
    network with a 3D head also the error of the encoding at the joints of crops whose 3D truth is known. Each step
    draws the size of its crops from ``views``; batches of larger crops are smaller, so that every step has about as
    many pixels as ``batch`` crops of the first size.

    Args:
        store: Photos, or None.
        views: How far crops stray, one entry a size.
        batch: Crops a step, of the first size.
        bf16: Mixed precision.
        synthetic: Synthetic pictures, or None.
        share: Share of synthetic crops in every batch where both are given.
    """

    def __init__(
        self, store: Store | None, views: Sequence[ViewConfig], batch: int, bf16: bool, synthetic: Store | None = None,
        share: float = 0.3,
    ) -> None:  # fmt: skip
        self._views, self._bf16 = views, bf16
        self._batches = [max(2, round(batch * (views[0].size / view.size) ** 2)) for view in views]
        if store is None or synthetic is None:
            share = 0.0 if synthetic is None else 1.0
        parts = [(store, 1 - share), (synthetic, share)]
        self._sources = [(_Source(s), part) for s, part in parts if s is not None and part > 0]
        self._device = next(s.device for s, _ in parts if s is not None)
        self._mean = torch.tensor(MEAN, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=self._device).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return sum(len(source.pool) for source, _ in self._sources)

    def __call__(self, net: nn.Module, step: int) -> Tensor:
        """Loss of one batch; random numbers come from torch's own generators."""
        with torch.no_grad():
            images, targets, reads = self._draw()
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16):
            maps, encoding = net(images)
        loss = ((maps.float() - targets.maps) ** 2 * targets.weight).mean() * LOSS_SCALE
        if encoding is None:
            return loss
        for part in reads:
            loss = loss + ENCODING_SCALE * encoding_loss(encoding.float(), part)
        return loss

    def _draw(self) -> tuple[Tensor, Targets, list[Reads]]:
        images: list[Tensor] = []
        targets: list[Targets] = []
        reads: list[Reads] = []
        choice = int(torch.randint(len(self._views), (), device="cpu"))
        batch = self._batches[choice]
        counts = [round(batch * part) for _, part in self._sources[1:]]
        for (source, _), count in zip(self._sources, [batch - sum(counts), *counts], strict=True):
            if not count:
                continue
            crops = source.crops(count, self._views[choice])
            read = encoding_reads(crops, sum(len(i) for i in images))
            if read is not None:
                reads.append(read)
            targets.append(draw_targets(crops))
            images.append((crops.images - self._mean) / self._std)
        whole = Targets(torch.cat([t.maps for t in targets]), torch.cat([t.weight for t in targets]))
        return torch.cat(images).contiguous(memory_format=torch.channels_last), whole, reads
