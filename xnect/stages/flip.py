"""The flip test: the network looks at the picture and at its mirror image, and the mean of both maps counts.

What a network gets wrong by chance, left for right above all, it seldom gets wrong in both. It costs the network's time
again, and less where threads would be idle otherwise (docs/speed.md; gain: docs/training.md).
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

from xnect.skeleton.joints import FLIP_2D, FLIP_3D, LIMBS
from xnect.structures import F32, I64, U8


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
