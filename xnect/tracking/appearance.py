"""Small colour descriptions of people's clothes: to know somebody again who was out of sight.

Six parts of the body (torso, upper arms, forearms, thighs, shins, head), each a histogram of three colour channels:
brightness and two opponent colours divided by brightness, which change little with the light. Histograms are kept as
square roots, so that the scalar product of two is their Bhattacharyya coefficient.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from xnect.structures import F32, U8

PARTS = ("torso", "upper_arms", "forearms", "thighs", "shins", "head")
BINS = 8
CHANNELS = 3

#: Patches along limbs: from joint, to joint, part. The torso is a patch of its own.
_LIMB_PATCHES = np.array(
    [[2, 3, 1], [5, 6, 1], [3, 4, 2], [6, 7, 2], [8, 9, 3], [11, 12, 3], [9, 10, 4], [12, 13, 4], [1, 0, 5]]
)
_ALONG, _ACROSS = 8, 2
_TORSO_SIDE = 6
#: Half width of a limb's patch in limb lengths: inside the sleeve of a slim arm.
_LIMB_HALF_WIDTH = 0.07


def describe(image_bgr: U8, joints_px: F32, confidence: F32) -> tuple[F32, F32]:
    """Colour description of each person.

    Args:
        image_bgr: The frame, uint8 (H, W, 3).
        joints_px: (P, 14, 2) [px].
        confidence: (P, 14), 0 = not seen.

    Returns:
        Square-root histograms float32 (P, 6, 24), and how far each part could be seen, float32 (P, 6), 0 to 1.
    """
    people = len(joints_px)
    colours = np.zeros((people, len(PARTS), CHANNELS * BINS), np.float32)
    weight = np.zeros((people, len(PARTS)), np.float32)
    if people:
        image = np.ascontiguousarray(image_bgr).view()
        image.flags.writeable = (
            False  # one kind of array whatever a decoder gives: each kind is compiled for half a minute
        )
        _describe(image, joints_px, confidence, colours, weight)
    return colours, weight


@njit(cache=True)
def _add_pixel(image: U8, x: float, y: float, histogram: F32) -> float:
    """Add one pixel to a histogram, shared between the two nearest bins; 0 where it lies outside, else 1."""
    column, row = math.floor(x + 0.5), math.floor(y + 0.5)
    if column < 0 or row < 0 or column >= image.shape[1] or row >= image.shape[0]:
        return 0.0
    blue, green, red = float(image[row, column, 0]), float(image[row, column, 1]), float(image[row, column, 2])
    total = blue + green + red
    # 60 damps the chroma of dark pixels, which is mostly noise
    values = (
        total / 765.0,
        (red - green) / (total + 60.0) / 0.7 + 0.5,
        (blue - (red + green) / 2) / (total + 60.0) + 0.5,
    )
    for channel in range(CHANNELS):
        place = min(max(values[channel], 0.0), 1.0) * (BINS - 1)
        low = min(int(place), BINS - 2)
        share = place - low
        histogram[channel * BINS + low] += 1 - share
        histogram[channel * BINS + low + 1] += share
    return 1.0


@njit(cache=True)
def _add_quad(image: U8, quad: np.ndarray, rows: int, columns: int, histogram: F32) -> float:
    """Sample a quadrilateral (top left, top right, bottom left, bottom right) on a grid; returns the share inside."""
    inside = 0.0
    for i in range(rows):
        v = (i + 0.5) / rows
        for k in range(columns):
            u = (k + 0.5) / columns
            x = (1 - v) * ((1 - u) * quad[0, 0] + u * quad[1, 0]) + v * ((1 - u) * quad[2, 0] + u * quad[3, 0])
            y = (1 - v) * ((1 - u) * quad[0, 1] + u * quad[1, 1]) + v * ((1 - u) * quad[2, 1] + u * quad[3, 1])
            inside += _add_pixel(image, x, y, histogram)
    return inside / (rows * columns)


@njit(cache=True)
def _torso(joints: F32, confidence: F32, quad: np.ndarray) -> float:
    """Fill in the torso's corners; returns the confidence, 0 where the shoulders are not seen."""
    shoulders = min(confidence[2], confidence[5])
    if shoulders <= 0:
        return 0.0
    quad[0], quad[1] = joints[2], joints[5]
    hips = min(confidence[8], confidence[11])
    if hips > 0:
        quad[2], quad[3] = joints[8], joints[11]
        return float(min(shoulders, hips))
    # no hips: the upper half of an upright chest, one shoulder width deep
    depth = np.hypot(joints[2, 0] - joints[5, 0], joints[2, 1] - joints[5, 1])
    quad[2, 0], quad[2, 1] = joints[2, 0], joints[2, 1] + depth
    quad[3, 0], quad[3, 1] = joints[5, 0], joints[5, 1] + depth
    return float(0.5 * shoulders)


@njit(cache=True)
def _describe(image: U8, joints: F32, confidence: F32, colours: F32, weight: F32) -> None:
    quad = np.zeros((4, 2))
    for p in range(len(joints)):
        seen = _torso(joints[p], confidence[p], quad)
        if seen > 0:
            weight[p, 0] += seen * _add_quad(image, quad, _TORSO_SIDE, _TORSO_SIDE, colours[p, 0])
        for limb in range(len(_LIMB_PATCHES)):
            a, b, part = _LIMB_PATCHES[limb]
            seen = min(confidence[p, a], confidence[p, b])
            if seen <= 0:
                continue
            ax, ay = joints[p, a, 0], joints[p, a, 1]
            dx, dy = joints[p, b, 0] - ax, joints[p, b, 1] - ay
            sx, sy = -dy * _LIMB_HALF_WIDTH, dx * _LIMB_HALF_WIDTH
            # the head reaches past the nose, the other limbs keep clear of the joints at their ends
            start, end = (0.6, 1.5) if part == 5 else (0.15, 0.85)
            quad[0, 0], quad[0, 1] = ax + start * dx - sx, ay + start * dy - sy
            quad[1, 0], quad[1, 1] = ax + start * dx + sx, ay + start * dy + sy
            quad[2, 0], quad[2, 1] = ax + end * dx - sx, ay + end * dy - sy
            quad[3, 0], quad[3, 1] = ax + end * dx + sx, ay + end * dy + sy
            share = 1.0 if part == 5 else 0.5
            weight[p, part] += share * seen * _add_quad(image, quad, _ALONG, _ACROSS, colours[p, part])
        for part in range(colours.shape[1]):
            total = 0.0
            for k in range(BINS):
                total += colours[p, part, k]
            for k in range(colours.shape[2]):
                colours[p, part, k] = np.sqrt(colours[p, part, k] / total) if total > 0 else 0.0


@njit(cache=True)
def blend(old: F32, old_weight: F32, new: F32, new_weight: F32, rate: float) -> None:
    """Bring one person's description (6, 24) up to date in place: ``rate`` of what is seen now.

    Parts that were unknown are learnt at once; parts that are hidden now are not forgotten.
    """
    for part in range(len(old_weight)):
        if new_weight[part] <= 0:
            continue
        unknown = old_weight[part] <= 0
        mass = rate * new_weight[part]
        share = 1.0 if unknown else mass / max(mass + (1 - rate) * old_weight[part], 1e-9)
        for k in range(old.shape[1]):
            old[part, k] = math.sqrt((1 - share) * old[part, k] ** 2 + share * new[part, k] ** 2)
        if unknown:
            old_weight[part] = new_weight[part]
        else:
            old_weight[part] += rate * (new_weight[part] - old_weight[part])
