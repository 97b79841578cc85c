"""Stage I's targets drawn on the training device: heatmaps, affinity fields and the weight of every cell."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xnect.skeleton.joints import LIMBS
from xnect.training.views import Crops, boxes_mask

#: A joint's Gaussian is this share of the person's size wide, within these limits [px of the crop].
SIGMA_SHARE, SIGMA_MIN_PX, SIGMA_MAX_PX = 0.028, 4.5, 9.0
#: Weight of a teacher's maps where no label says anything.
SOFT_WEIGHT = 0.5
#: Extra weight of cells on joints and on limbs, which are few beside the empty ones.
JOINT_WEIGHT, LIMB_WEIGHT = 8.0, 2.0


@dataclass(slots=True)
class Targets:
    """What the maps of a batch should be.

    Attributes:
        maps: float32 (B, 14 + 26, h, w), heatmaps then affinity fields (x, y of limb 0, x, y of limb 1, ...).
        weight: float32 of the same shape; 0 = nothing is known here.
    """

    maps: torch.Tensor
    weight: torch.Tensor


def joint_sigma(boxes: torch.Tensor) -> torch.Tensor:
    """Width of each person's Gaussians [px], from boxes (..., 4) x0, y0, x1, y1."""
    person = (boxes[..., 2:] - boxes[..., :2]).amax(-1)
    return (person * SIGMA_SHARE).clamp(SIGMA_MIN_PX, SIGMA_MAX_PX)


def draw_targets(crops: Crops, stride: int = 8) -> Targets:
    """Targets and weights for a batch of crops.

    Heatmaps: the highest of the people's unit Gaussians. Fields: the mean unit vector of the limbs that cross a cell
    (Cao et al. 2017). Unlabelled joints of a labelled person, ignore boxes and pictures not completely labelled have
    weight 0, or follow the teacher's maps where there are any.
    """
    size, count = crops.images.shape[-1], len(crops.images)
    cells = size // stride
    present = torch.nonzero((crops.joints[..., 2] > 0).any(-1) & ~crops.ignore)
    picture, row = present[:, 0], present[:, 1]
    joints, sigma = crops.joints[picture, row], joint_sigma(crops.boxes[picture, row])
    line = torch.arange(cells, device=joints.device) * stride + (stride - 1) / 2
    vectors, on_limb = _limbs(joints, sigma, line)
    crossing = vectors.new_zeros(count, len(LIMBS), cells, cells).index_add_(0, picture, on_limb)
    pafs = vectors.new_zeros(count, len(LIMBS), 2, cells, cells).index_add_(0, picture, vectors)
    heatmaps = _gaussians(crops.joints * ~crops.ignore[..., None, None], joint_sigma(crops.boxes), line).amax(1)
    pafs = pafs / crossing.clamp(min=1)[:, :, None]
    weight = _weights(crops, heatmaps, crossing, cells)
    maps = torch.cat([heatmaps, pafs.flatten(1, 2)], 1)
    emphasis = torch.cat([heatmaps * JOINT_WEIGHT, (crossing > 0).float().repeat_interleave(2, 1) * LIMB_WEIGHT], 1)
    if crops.soft is not None:
        unknown = weight == 0
        maps = torch.where(unknown, crops.soft, maps)
        soft_emphasis = torch.cat(
            [crops.soft[:, :14].clamp(0, 1) * JOINT_WEIGHT, crops.soft[:, 14:].abs() * LIMB_WEIGHT], 1
        )
        emphasis = torch.where(unknown, soft_emphasis, emphasis)
        weight = torch.where(unknown, SOFT_WEIGHT, weight)
    return Targets(maps, weight * (1 + emphasis))


def _gaussians(joints: torch.Tensor, sigma: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
    """Unit Gaussians of people's labelled joints (..., 14, h, w); separable, so drawn as an outer product."""
    scale = -0.5 / sigma[..., None, None] ** 2
    x = torch.exp((line - joints[..., 0, None]) ** 2 * scale)
    y = torch.exp((line - joints[..., 1, None]) ** 2 * scale) * (joints[..., 2:] > 0)
    return y[..., :, None] * x[..., None, :]


def _limbs(joints: torch.Tensor, sigma: torch.Tensor, line: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors along N people's limbs (N, L, 2, h, w), and which cells they cross, float (N, L, h, w)."""
    start, end = (joints[:, [limb[k] for limb in LIMBS]] for k in (0, 1))
    known = (start[..., 2] > 0) & (end[..., 2] > 0)
    along = end[..., :2] - start[..., :2]
    length = along.norm(dim=-1).clamp(min=1e-3)
    unit = (along / length[..., None])[..., None, None]
    dx = (line - start[..., 0, None])[..., None, :]
    dy = (line - start[..., 1, None])[..., :, None]
    position = dx * unit[..., 0, :, :] + dy * unit[..., 1, :, :]
    distance = (dx * unit[..., 1, :, :] - dy * unit[..., 0, :, :]).abs()
    half = sigma.clamp(min=5.0)[:, None, None, None]
    on = (position > -half) & (position < length[..., None, None] + half) & (distance < half) & known[..., None, None]
    on = on.to(joints.dtype)
    return on[:, :, None] * unit, on


def _weights(crops: Crops, heatmaps: torch.Tensor, crossing: torch.Tensor, cells: int) -> torch.Tensor:
    """1 where a label speaks, 0 where none does, (B, 40, h, w)."""
    inside = boxes_mask(crops.boxes, cells)
    labelled = crops.joints[..., 2] > 0
    mute = crops.ignore | ~labelled.any(-1)
    nobody_knows = (inside & mute[..., None, None]).any(1)[:, None]
    missing = ~labelled & ~mute[..., None]
    unknown = torch.einsum("bphw,bpj->bjhw", inside.to(heatmaps.dtype), missing.to(heatmaps.dtype)) > 0
    joint_known = ~(unknown | nobody_knows) | (heatmaps > 0.05)
    limb_unknown = unknown[:, [a for a, _ in LIMBS]] | unknown[:, [b for _, b in LIMBS]]
    limb_known = ~(limb_unknown | nobody_knows) | (crossing > 0)
    weight = torch.cat([joint_known, limb_known.repeat_interleave(2, 1)], 1).to(heatmaps.dtype)
    return weight * crops.known
