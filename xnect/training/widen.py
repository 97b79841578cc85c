"""A trained Stage I network carried into a wider one: training goes on where it stood, with room to learn more."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from backbone.selecsls import SelecSLSBlock
from xnect.errors import WeightsError
from xnect.stages.network import NetworkSpec, Stage1


@torch.no_grad()
def widened(net: Stage1, spec: NetworkSpec) -> Stage1:
    """A network of ``spec`` that gives the same maps as ``net``.

    The old channels keep their weights. New channels read the old ones at random, as in a fresh network, and the old
    ones read the new ones with weight zero: nothing changes at first, and both learn from the first step (Chen et al.,
    Net2Net, ICLR 2016, split channels instead, which then have to grow apart).

    Args:
        net: The trained network.
        spec: At least as wide everywhere; parts that ``net`` lacks start as in a fresh network.

    Raises:
        WeightsError: Another trunk, or narrower anywhere.
    """
    out = Stage1(spec)
    if spec.trunk != net.spec.trunk:
        raise WeightsError(f"weights of {net.spec} cannot start {spec}")
    old, new = (_joined_inputs(n) for n in (net, out))
    state, known = out.state_dict(), net.state_dict()
    turned = {f"{name}.weight" for name, m in out.named_modules() if isinstance(m, nn.ConvTranspose2d)}
    for key, value in known.items():
        if key not in state:
            raise WeightsError(f"weights of {net.spec} cannot start {spec}: {key} has no place in it")
        if value.shape == state[key].shape:
            state[key].copy_(value)
            continue
        if any(a < b for a, b in zip(state[key].shape, value.shape, strict=True)):
            raise WeightsError(f"weights of {net.spec} cannot start {spec}, which is narrower")
        if value.dim() == 1:
            state[key][: len(value)] = value
        elif key in turned:  # a transposed convolution has its inputs first
            _copy(state[key].transpose(0, 1), value.transpose(0, 1), None, None)
        else:
            _copy(state[key], value, old.get(key), new.get(key))
    out.load_state_dict(state)
    return out


def _copy(new: Tensor, old: Tensor, old_parts: Sequence[int] | None, new_parts: Sequence[int] | None) -> None:
    """Write a kernel (out, in, ...) into a wider one whose inputs are joined of so many channels each."""
    rows = len(old)
    new[:rows] = 0
    start_old = start_new = 0
    for width_old, width_new in zip(old_parts or [old.shape[1]], new_parts or [new.shape[1]], strict=True):
        new[:rows, start_new : start_new + width_old] = old[:, start_old : start_old + width_old]
        start_old, start_new = start_old + width_old, start_new + width_new


def _joined_inputs(net: Stage1) -> dict[str, list[int]]:
    """For each convolution that reads several tensors joined: their channels, in order."""
    found: dict[str, list[int]] = {}
    skip = 0
    for i, block in enumerate(net.trunk.features):
        assert isinstance(block, SelecSLSBlock)
        branches = [unit.conv.out_channels for unit in (block.conv1, block.conv3, block.conv5)]
        out = block.conv6.conv
        found[f"trunk.features.{i}.conv6.0.weight"] = branches if block.opens_level else [*branches, skip]
        skip = out.out_channels if block.opens_level else skip
    narrow = net.spec.head // 2
    found["refine.0.weight"] = [narrow] * 2
    if net.spec.encoding:
        found["refine_3d.0.0.weight"] = [narrow] * 3
    return found
