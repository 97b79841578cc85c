"""Several looks at one picture: mirrored, and at other sizes. The mean of all maps counts.

What a network gets wrong by chance, left for right above all, it seldom gets wrong in the mirror, too; small people are
found in a larger picture, those who fill it in a smaller one. Each look costs the network's time again (docs/speed.md;
gain: docs/training.md).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

from xnect.skeleton.joints import FLIP_2D, FLIP_3D, LIMBS
from xnect.structures import F32, F64, I64, U8


class Look(NamedTuple):
    """One look at a picture.

    Attributes:
        scale: Width and height in shares of the network's input size.
        mirrored: Whether left and right are exchanged.
    """

    scale: float
    mirrored: bool


#: What is looked at by how many looks are asked for; the maps have the grid of the first. Which sizes, and which of them
#: in the mirror, was chosen on held-out training pictures.
LOOKS = {
    1: (Look(1.0, False),),
    2: (Look(1.0, False), Look(1.0, True)),
    4: (Look(1.25, True), Look(1.5, False), Look(1.0, False), Look(0.8, True)),
}


def pixels(looks: int) -> float:
    """How many pixels the network sees, in those of one look at the input size."""
    return sum(look.scale**2 for look in LOOKS[looks])


def _partners() -> tuple[I64, F32]:
    """For each channel of heatmaps and fields: the one that it is in a mirror, and whether its sign changes there."""
    limbs = [LIMBS.index((int(FLIP_2D[a]), int(FLIP_2D[b]))) for a, b in LIMBS]
    fields = [len(FLIP_2D) + 2 * limb + axis for limb in limbs for axis in (0, 1)]
    sign = [1.0] * len(FLIP_2D) + [-1.0, 1.0] * len(limbs)
    return np.array([*FLIP_2D, *fields], np.int64), np.array(sign, np.float32)


_MAPS = _partners()
_ENCODING = (
    np.array([3 * joint + axis for joint in FLIP_3D for axis in range(3)], np.int64),
    np.tile(np.array([-1, 1, 1], np.float32), len(FLIP_3D)),
)


def with_mirrored(picture: U8) -> U8:
    """A picture uint8 (H, W, 3) and its mirror image, (2, H, W, 3)."""
    both = np.empty((2, *picture.shape), np.uint8)
    both[0] = picture
    cv2.flip(picture, 1, both[1])
    return both


def mean_maps(values: F32) -> F32:
    """Heatmaps and fields of a picture and of its mirror image, (2, 14 + 26, h, w) -> their mean in the picture."""
    return _mean(values, *_MAPS)


def mean_encoding(values: F32) -> F32:
    """The same for the encoding, (2, 63, h, w) -> (63, h, w)."""
    return _mean(values, *_ENCODING)


@njit(cache=True)
def _mean(values: F32, partner: I64, sign: F32) -> F32:  # pragma: no cover - compiled
    _, channels, height, width = values.shape
    out = np.empty((channels, height, width), np.float32)
    for c in range(channels):
        other, half = partner[c], np.float32(0.5) * sign[c]
        for y in range(height):
            for x in range(width):
                out[c, y, x] = np.float32(0.5) * values[0, c, y, x] + half * values[1, other, y, width - 1 - x]
    return out


class Merged:
    """The mean of the maps of several looks, on the grid of the first.

    Attributes:
        maps: Heatmaps and fields, float32 (14 + 26, h, w); None before the first look.
        encoding: The encoding, float32 (63, h, w), None where the network has none.
    """

    def __init__(self, count: int) -> None:
        self._share = 1 / count
        self._grid: F64 = np.zeros((2, 3))
        self.maps: F32 | None = None
        self.encoding: F32 | None = None

    def add(self, maps: F32, encoding: F32 | None, frame_from_map: F64, mirrored: bool) -> None:
        """Take in one look.

        Args:
            maps: float32 (14 + 26, h, w), as the network gives them: in the mirror, if it looked there.
            encoding: float32 (63, h, w) or None.
            frame_from_map: (2, 3), from cells of the maps (not mirrored) to frame pixels.
            mirrored: Whether the picture was mirrored.
        """
        if self.maps is None:
            self._grid = frame_from_map
            self.maps = np.zeros_like(maps)
            self.encoding = None if encoding is None else np.zeros_like(encoding)
        # both are scaled and shifted along their axes alone
        scale = np.array([self._grid[k, k] / frame_from_map[k, k] for k in (0, 1)])
        shift = np.array([(self._grid[k, 2] - frame_from_map[k, 2]) / frame_from_map[k, k] for k in (0, 1)])
        _add(self.maps, maps, *_MAPS, scale, shift, mirrored, self._share)
        if encoding is not None and self.encoding is not None:
            _add(self.encoding, encoding, *_ENCODING, scale, shift, mirrored, self._share)


@njit(cache=True)
def _add(
    total: F32, values: F32, partner: I64, sign: F32, scale: F64, shift: F64, mirrored: bool, share: float
) -> None:  # pragma: no cover - compiled
    """Add a share of ``values``, bilinear; cell c of ``total`` lies at ``scale`` * c + ``shift`` of their grid."""
    rows, columns = values.shape[1:]
    for c in range(len(total)):
        source = values[partner[c] if mirrored else c]
        weight = np.float32(share) * (sign[c] if mirrored else np.float32(1))
        for y in range(total.shape[1]):
            v = min(max(scale[1] * y + shift[1], 0.0), rows - 1.0)
            top = min(int(v), rows - 2)
            down = np.float32(v - top)
            for x in range(total.shape[2]):
                u = scale[0] * x + shift[0]
                u = min(max(columns - 1 - u if mirrored else u, 0.0), columns - 1.0)
                left = min(int(u), columns - 2)
                over = np.float32(u - left)
                above = source[top, left] * (1 - over) + source[top, left + 1] * over
                below = source[top + 1, left] * (1 - over) + source[top + 1, left + 1] * over
                total[c, y, x] += weight * (above * (1 - down) + below * down)
