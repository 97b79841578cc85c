"""What is compared of people, as arrays with a leading person axis: joints, size, 3D pose, place and colours."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from xnect.skeleton.joints import LIMB_SHARE, LIMBS
from xnect.structures import F32, F64, U8, Detections, Poses
from xnect.tracking import appearance

_LIMB_FROM = np.array([a for a, _ in LIMBS])
_LIMB_TO = np.array([b for _, b in LIMBS])
#: Nobody is smaller than this [px]: a floor for divisions.
_MIN_STATURE_PX = 8.0


class Cues(NamedTuple):
    """What is known of N people; a named tuple, so that compiled loops take it whole.

    Attributes:
        joints_px: (N, 14, 2) [px].
        seen: (N, 14), 0 to 1, how far each 2D joint may be trusted.
        stature_px: (N,), height of the upright body at the person's distance [px].
        joints_m: (N, 21, 3), relative to the pelvis [m].
        trust: (N, 21), 0 to 1, how far each 3D joint may be trusted.
        root_m: (N, 3), pelvis in camera space; depth 0 = unknown [m].
        colours: (N, 6, 24), see ``appearance``.
        colour_weight: (N, 6), 0 to 1.
    """

    joints_px: F32
    seen: F32
    stature_px: F32
    joints_m: F32
    trust: F32
    root_m: F32
    colours: F32
    colour_weight: F32


def stature_px(joints_px: F32, seen: F32) -> F32:
    """Body height in pixels from the limbs that are seen, float32 (P,).

    Each limb, divided by its usual share of body height, gives a guess that foreshortening can only make too small; the
    second largest is taken, since one limb may be false. Without limbs the extent of the joints stands in.
    """
    out = np.empty(len(joints_px), np.float32)
    _statures(joints_px, seen, out)
    return out


@njit(cache=True)
def _statures(joints_px: F32, seen: F32, out: F32) -> None:
    for p in range(len(joints_px)):
        first, second = 0.0, 0.0
        for limb in range(len(LIMB_SHARE)):
            a, b = _LIMB_FROM[limb], _LIMB_TO[limb]
            if seen[p, a] <= 0 or seen[p, b] <= 0:
                continue
            dx, dy = joints_px[p, a, 0] - joints_px[p, b, 0], joints_px[p, a, 1] - joints_px[p, b, 1]
            guess = math.hypot(dx, dy) / LIMB_SHARE[limb]
            if guess > first:
                first, second = guess, first
            elif guess > second:
                second = guess
        stature = second if second > 0 else first
        if stature <= 0:
            for axis in range(2):
                low, high = np.inf, -np.inf
                for j in range(joints_px.shape[1]):
                    if seen[p, j] > 0:
                        low, high = min(low, joints_px[p, j, axis]), max(high, joints_px[p, j, axis])
                stature = max(stature, high - low)
        out[p] = max(stature, _MIN_STATURE_PX)


def centres_px(joints_px: F32, seen: F32) -> F64:
    """Mean of the joints that are seen, float64 (P, 2) [px]."""
    out = np.zeros((len(joints_px), 2))
    centres(joints_px, seen, out)
    return out


@njit(cache=True)
def centres(joints_px: F32, seen: F32, out: F64) -> None:
    """``centres_px`` for compiled callers: added to ``out``, zeros (P, 2)."""
    for p in range(len(joints_px)):
        total = 1e-9
        for j in range(joints_px.shape[1]):
            total += seen[p, j]
            out[p, 0] += seen[p, j] * joints_px[p, j, 0]
            out[p, 1] += seen[p, j] * joints_px[p, j, 1]
        out[p] /= total


def observe(detections: Detections, poses: Poses, image_bgr: U8 | None) -> Cues:
    """The cues of one frame's people, row for row; without a picture nobody has colours."""
    # copies: what is sealed would be another type to the compiled loops, which would be compiled twice
    joints, seen, joints_m, root = map(
        np.array, (detections.joints_px, detections.confidence, poses.joints_m, poses.root_m)
    )
    people = len(joints)
    if image_bgr is None:
        colours = np.zeros((people, len(appearance.PARTS), appearance.CHANNELS * appearance.BINS), np.float32)
        weight = np.zeros((people, len(appearance.PARTS)), np.float32)
    else:
        colours, weight = appearance.describe(image_bgr, joints, seen)
    trust = np.where(poses.inferred, np.float32(0), poses.confidence)
    return Cues(joints, seen, stature_px(joints, seen), joints_m, trust, root, colours, weight)
