"""Augmentation on the training device: random views of pictures, pasted over one another, and photometric noise.

Every tensor stays on the device of the store; the only random numbers are torch's, so that a seeded run repeats.
Coordinates are in pixels of the crop with pixel centres at integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from xnect.skeleton.joints import FLIP_2D, FLIP_3D, LIMBS
from xnect.training.datasets.store import Store

#: Where a limb's affinity field lands when the picture is mirrored.
FLIP_LIMBS = [LIMBS.index((int(FLIP_2D[a]), int(FLIP_2D[b]))) for a, b in LIMBS]


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """How far views stray.

    Attributes:
        size: Side of the square crops [px], a multiple of 16.
        person_low_px, person_high_px: Size of the focal person in a crop [px] (log-uniform).
        scale_low, scale_high: Limits of the picture's magnification.
        rotation_deg: Largest rotation, applied to ``rotated`` of the views.
        rotated: Share of the views that are rotated.
        drift: How far the focal person may lie off the centre, in half sides of the crop.
        layers: Most pictures pasted over one another in one crop.
    """

    size: int = 256
    person_low_px: float = 46.0
    person_high_px: float = 320.0
    scale_low: float = 0.25
    scale_high: float = 2.6
    rotation_deg: float = 35.0
    rotated: float = 0.6
    drift: float = 0.55
    layers: int = 3

    @classmethod
    def of_size(cls, size: int) -> ViewConfig:
        """Views of a size: the largest people are a quarter larger than the crop, or they would never be seen whole."""
        return cls(size=size, person_high_px=1.25 * size)


@dataclass(slots=True)
class Crops:
    """A batch of training crops with what is known about them.

    Attributes:
        images: float32 (B, 3, S, S), RGB, 0 to 1.
        joints: float32 (B, P, 14, 3): x, y [px], known.
        boxes: float32 (B, P, 4): x0, y0, x1, y1 [px]; empty where there is no person.
        ignore: bool (B, P).
        known: float32 (B, 1, S/8, S/8): 1 where the absence of people is certain.
        soft: float32 (B, 40, S/8, S/8) or None: a teacher's maps in the crop.
        encoding: float32 (B, P, 14, 63) or None: the 3D encoding at each joint, in the frame of its ray in the camera
            of which the crop is a picture.
        evidence: float32 (B, P, 14) or None: how much that counts; 0 where the joint is not in the crop.
    """

    images: torch.Tensor
    joints: torch.Tensor
    boxes: torch.Tensor
    ignore: torch.Tensor
    known: torch.Tensor
    soft: torch.Tensor | None
    encoding: torch.Tensor | None = None
    evidence: torch.Tensor | None = None


def _uniform(low: float, high: float, *shape: int, device: torch.device) -> torch.Tensor:
    return low + (high - low) * torch.rand(*shape, device=device)


def random_affine(
    store: Store, rows: torch.Tensor, focal: torch.Tensor, config: ViewConfig, drift: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Affine maps (B, 2, 3) picture -> crop that bring one person to a random size and place, turned and mirrored.

    Also returns which views are mirrored, bool (B,).
    """
    device, count = store.device, len(rows)
    pick = (focal.float() * torch.rand(count, focal.shape[1], device=device)).argmax(1)
    box = store.boxes[rows, pick]
    none = box[:, 2] <= 0  # a picture without people: the picture itself is the subject
    whole = torch.cat([torch.zeros_like(store.size[rows]), store.size[rows]], 1)
    box = torch.where(none[:, None], whole, box)
    extent = box[:, 2:].amax(1).clamp(min=16)
    ratio = config.person_high_px / config.person_low_px
    target = config.person_low_px * ratio ** torch.rand(count, device=device)
    scale = (target / extent).clamp(config.scale_low, config.scale_high)
    angle = _uniform(-1, 1, count, device=device) * math.radians(config.rotation_deg)
    angle = angle * (torch.rand(count, device=device) < config.rotated)
    centre = box[:, :2] + box[:, 2:] / 2
    centre = centre + _uniform(-1, 1, count, 2, device=device) * (drift * config.size / 2 / scale)[:, None]
    mirrored = torch.rand(count, device=device) < 0.5
    sign = torch.where(mirrored, -1.0, 1.0)
    c, s = torch.cos(angle) * scale, torch.sin(angle) * scale
    linear = torch.stack([torch.stack([c * sign, -s * sign], 1), torch.stack([s, c], 1)], 1)
    shift = (config.size - 1) / 2 - torch.einsum("bij,bj->bi", linear, centre)
    return torch.cat([linear, shift[:, :, None]], 2), mirrored


def _grid(affine: torch.Tensor, cells: int, stride: int, side: int) -> torch.Tensor:
    """Where each cell centre of the crop lies in the picture, (B, cells, cells, 2), -1 to 1 over the side as torch has it.

    Sums of two rows of numbers instead of a matrix product a pixel: these grids were a fifth of the drawing time.
    """
    inverse = torch.linalg.inv(affine[:, :, :2]) * (2 / side)
    shift = (1 / side - 1) - torch.einsum("bij,bj->bi", inverse, affine[:, :, 2])
    line = torch.arange(cells, device=affine.device) * stride + (stride - 1) / 2
    along_x = inverse[:, None, :, 0] * line[:, None] + shift[:, None]
    along_y = inverse[:, None, :, 1] * line[:, None]
    return along_x[:, None] + along_y[:, :, None]


def _warp(pictures: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Bilinear look-up of (B, C, s, s) at a grid (B, h, w, 2)."""
    return F.grid_sample(pictures, grid, mode="bilinear", align_corners=False)


@dataclass(slots=True)
class _View:
    pixels: torch.Tensor
    inside: torch.Tensor
    joints: torch.Tensor
    boxes: torch.Tensor
    ignore: torch.Tensor
    complete: torch.Tensor
    soft: torch.Tensor | None
    encoding: torch.Tensor | None
    evidence: torch.Tensor | None


def _view(store: Store, rows: torch.Tensor, focal: torch.Tensor, config: ViewConfig, drift: float) -> _View:
    affine, mirrored = random_affine(store, rows, focal, config, drift)
    grid = _grid(affine, config.size, 1, store.side)
    half = store.size[rows] / store.side  # of the picture's part of the square, which begins at -1
    near = (grid - (half - 1)[:, None, None]).abs_() < half[:, None, None]
    inside = (near[..., 0] & near[..., 1])[:, None]
    pixels = _warp(store.pictures.index_select(0, rows).float(), grid)
    # people come first: no picture of these has more
    most = max(1, int((store.boxes[rows, :, 2] > 0).sum(1).max())) if len(rows) else 1
    joints = store.joints[rows, :most]
    xy = torch.einsum("bij,bpkj->bpki", affine[:, :, :2], joints[..., :2]) + affine[:, None, None, :, 2]
    joints = torch.cat([xy, joints[..., 2:]], -1)
    joints = torch.where(mirrored[:, None, None, None], joints[:, :, FLIP_2D.tolist()], joints)
    box = store.boxes[rows, :most]
    corners = box[..., None, :2] + box[..., None, 2:] * box.new_tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
    corners = torch.einsum("bij,bpkj->bpki", affine[:, :, :2], corners) + affine[:, None, None, :, 2]
    boxes = torch.cat([corners.amin(2), corners.amax(2)], -1) * (box[..., 2:3] > 0)
    soft = None
    if store.soft_maps is not None:
        maps = (
            _warp(store.soft_maps.index_select(0, rows).float(), _grid(affine, config.size // 8, 8, store.side)) / 255
        )
        soft = _turned_soft(maps, affine, mirrored)
    encoding = evidence = None
    if store.bones is not None and store.rays is not None:
        rays = store.rays[rows, :most]
        encoding = turned_encoding(encode(store.bones[rows, :most], rays[..., :2]), affine, mirrored)
        evidence = torch.where(mirrored[:, None, None], rays[:, :, FLIP_2D.tolist(), 2], rays[..., 2])
    return _View(
        pixels, inside, joints, boxes, store.ignore[rows, :most], store.complete[rows], soft, encoding, evidence
    )


def _turned_soft(maps: torch.Tensor, affine: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """A teacher's maps after the view's rotation and mirroring: vectors turn, left and right change places."""
    heat, paf = maps[:, : len(FLIP_2D)], maps[:, len(FLIP_2D) :] * 2 - 1
    paf = paf.unflatten(1, (len(LIMBS), 2))
    unit = affine[:, :, :2] / affine[:, :, :2].norm(dim=1, keepdim=True)
    paf = torch.einsum("bij,bljhw->blihw", unit, paf)
    m = mirrored[:, None, None, None]
    heat = torch.where(m, heat[:, FLIP_2D.tolist()], heat)
    paf = torch.where(m[..., None], paf[:, FLIP_LIMBS], paf)
    return torch.cat([heat, paf.flatten(1, 2)], 1)


def encode(bones: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
    """``codec.encoding.encode`` on the device: bones (..., 21, 3), picture-plane places (..., 14, 2) -> (..., 14, 63)."""
    ray = F.normalize(torch.cat([xy, torch.ones_like(xy[..., :1])], -1), dim=-1)
    x, y, z = ray.unbind(-1)
    k = 1 / (1 + z)
    rows = [(1 - k * x * x, -k * x * y, x), (-k * x * y, 1 - k * y * y, y), (-x, -y, z)]
    rotation = torch.stack([torch.stack(row, -1) for row in rows], -2)
    return torch.einsum("...kc,...jcd->...jkd", bones, rotation).flatten(-2)


def turned_encoding(encoding: torch.Tensor, affine: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Encodings (B, P, 14, 63) after a view's map (B, 2, 3), as the crop's own camera has them.

    A crop is the picture of a camera with the source's centre, turned about the optical axis and perhaps looking into
    a mirror, its focal length scaled and its principal point moved: pixel and ray keep their match under scaling and
    shifting, so only turn and mirror act. The shortest rotation onto a ray turns along with the camera, therefore the
    vectors turn about z by the same angle; in the mirror left and right change places.
    """
    unit = affine[:, :, :2] / affine[:, :, :2].norm(dim=1, keepdim=True)
    vectors = encoding.unflatten(-1, (-1, 3))
    flat = torch.einsum("bij,bpnkj->bpnki", unit, vectors[..., :2])
    vectors = torch.cat([flat, vectors[..., 2:]], -1)
    other = vectors[:, :, FLIP_2D.tolist()][:, :, :, FLIP_3D.tolist()]
    return torch.where(mirrored[:, None, None, None, None], other, vectors).flatten(-2)


def _hide_covered(view: _View, covered: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints outside the crop or under another picture become unknown; people wholly under one vanish."""
    cell = view.joints[..., :2].round().long().clamp(0, size - 1)
    batch = torch.arange(len(covered), device=covered.device)[:, None, None]
    under = covered[batch, 0, cell[..., 1], cell[..., 0]]
    xy = view.joints[..., :2]
    seen = (xy > -0.5).all(-1) & (xy < size - 0.5).all(-1) & ~under
    middle = ((view.boxes[..., :2] + view.boxes[..., 2:]) / 2).long().clamp(0, size - 1)
    gone = covered[batch[:, :, 0], 0, middle[..., 1], middle[..., 0]] & ~(seen & (view.joints[..., 2] > 0)).any(-1)
    joints = torch.cat([xy, view.joints[..., 2:] * seen[..., None]], -1)
    return joints, view.boxes * ~gone[..., None]


def draw_crops(store: Store, rows: torch.Tensor, pool: torch.Tensor, focal: torch.Tensor, config: ViewConfig) -> Crops:
    """Crops of the pictures ``rows``, what they leave free filled with pictures drawn from ``pool``.

    Labelled photos with several people are scarce: a crop that shows two or three pictures has several people, cut and
    covered as in a crowd.

    Args:
        store: The pictures.
        rows: The top picture of each crop, int64 (B,).
        pool: Rows to draw the pictures underneath from, int64.
        focal: ``store.focal_people()``.
        config: How far views stray.
    """
    device, count, size = store.device, len(rows), config.size
    cells = size // 8
    images = 255 * torch.rand(count, 3, 1, 1, device=device).expand(count, 3, size, size)
    covered = torch.zeros(count, 1, size, size, dtype=torch.bool, device=device)
    known = torch.ones(count, 1, cells, cells, device=device)
    soft = (
        None if store.soft_maps is None else torch.zeros(count, store.soft_maps.shape[1], cells, cells, device=device)
    )
    people: list[tuple[torch.Tensor, ...]] = []
    open_ = torch.arange(count, device=device)
    for layer in range(1 + int(torch.randint(config.layers, (), device="cpu"))):
        if layer:
            open_ = torch.nonzero(~covered.flatten(1).all(1)).flatten()  # the others would show nothing of it
            rows = pool[torch.randint(len(pool), (len(open_),), device=device)]
        view = _view(store, rows, focal[rows], config, config.drift if layer == 0 else 1.0)
        under = covered[open_]
        fresh = view.inside & ~under
        images[open_] = torch.where(fresh, view.pixels, images[open_])
        joints, boxes = _hide_covered(view, under, size)
        told = boxes_mask(boxes, cells, 12.0).any(1, keepdim=True)
        fresh_cells = fresh[..., 4::8, 4::8]
        known[open_] = torch.where(fresh_cells, (view.complete[:, None, None, None] | told).float(), known[open_])
        if soft is not None and view.soft is not None:
            soft[open_] = torch.where(fresh_cells, view.soft, soft[open_])
        covered[open_] = under | view.inside
        labels: tuple[torch.Tensor, ...] = (joints, boxes, view.ignore)
        if view.encoding is not None and view.evidence is not None:
            labels = (*labels, view.encoding, view.evidence * joints[..., 2])
        people.append(tuple(_spread(part, open_, count) for part in labels))
    joints, boxes, ignore, *truth = _packed(*(torch.cat(parts, 1) for parts in zip(*people, strict=True)))
    return Crops(photometric(images / 255), joints, boxes, ignore, known, soft, *truth)


def _spread(part: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    """Values of some crops as rows of all crops, zero elsewhere."""
    return part if len(part) == count else part.new_zeros(count, *part.shape[1:]).index_copy_(0, rows, part)


def _packed(joints: torch.Tensor, boxes: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Only as many people rows as the fullest crop needs, people first."""
    there = (joints[..., 2] > 0).any(-1) | (boxes[..., 2] > boxes[..., 0])
    order = there.float().argsort(dim=1, descending=True, stable=True)[:, : max(1, int(there.sum(1).max()))]
    batch = torch.arange(len(joints), device=joints.device)[:, None]
    return tuple(part[batch, order] for part in (joints, boxes, *others))


def boxes_mask(boxes: torch.Tensor, cells: int, margin: float = 0.0, stride: int = 8) -> torch.Tensor:
    """Which cell centres lie in which box, bool (B, P, cells, cells); empty boxes hold none."""
    line = torch.arange(cells, device=boxes.device) * stride + (stride - 1) / 2
    there = boxes[..., 2] > boxes[..., 0]
    x = (line > boxes[..., 0, None] - margin) & (line < boxes[..., 2, None] + margin) & there[..., None]
    y = (line > boxes[..., 1, None] - margin) & (line < boxes[..., 3, None] + margin)
    return x[..., None, :] & y[..., :, None]


def photometric(images: torch.Tensor) -> torch.Tensor:
    """Exposure, colour cast, saturation, darkness, blur, coarse JPEG blocks and noise; 0 to 1 in and out."""
    device, count = images.device, len(images)
    dark = torch.rand(count, 1, 1, device=device) < 0.06
    gain = _uniform(0.55, 1.4, count, 1, 1, device=device) * torch.where(dark, 0.35, 1.0)
    saturation = _uniform(0.2, 1.4, count, 1, 1, device=device)
    mix = gain * (saturation * torch.eye(3, device=device) + (1 - saturation) / 3)
    cast = _uniform(-0.1, 0.1, count, 3, 1, device=device)
    images = torch.baddbmm(cast, mix, images.flatten(2)).view_as(images)
    for share, effect in ((0.2, _blurred), (0.25, jpeg_like)):
        chosen = torch.nonzero(torch.rand(count, device=device) < share).flatten()
        if len(chosen):
            images[chosen] = effect(images[chosen])
    # uniform noise costs half of what Gaussian noise costs and looks alike at these strengths
    strength = _uniform(0, 0.07, count, 1, 1, device=device) + 0.05 * dark
    noise = torch.rand(count, *images.shape[2:], device=device).sub_(0.5).mul_(strength)
    return images.add_(noise[:, None]).clamp_(0, 1)


def _blurred(images: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(images, 3, 1, 1)


_DCT = torch.stack(
    [torch.cos((2 * torch.arange(8) + 1) * k * math.pi / 16) * math.sqrt((1 if k == 0 else 2) / 8) for k in range(8)]
)


def jpeg_like(images: torch.Tensor) -> torch.Tensor:
    """Block artefacts as of a strongly compressed JPEG: 8 x 8 DCT coefficients rounded to random steps."""
    count, device = len(images), images.device
    dct = _DCT.to(device)
    blocks = images.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)
    frequency = torch.arange(8, device=device)
    step = _uniform(0.01, 0.06, count, 1, 1, 1, 1, 1, device=device) * (1 + frequency[:, None] + frequency)
    coefficients = (dct @ blocks @ dct.T / step).round() * step
    return (dct.T @ coefficients @ dct).transpose(3, 4).flatten(4, 5).flatten(2, 3)
