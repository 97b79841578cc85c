"""Limbs as part affinity fields (Cao et al. 2017): the ideal fields of given people, and the evidence along a line."""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.structures import F32

#: Points at which the field is read between two joints, and their order: the middle tells false limbs soonest.
SAMPLES = 10
_ORDER = np.array([4, 5, 3, 6, 2, 7, 1, 8, 0, 9])


def draw_pafs(
    joints: np.ndarray,
    seen: np.ndarray,
    half_width: np.ndarray,
    limbs: tuple[tuple[int, int], ...],
    shape: tuple[int, int],
) -> F32:
    """The affinity fields Stage I should give for known people.

    Args:
        joints: (P, J, 2), map cells.
        seen: bool (P, J).
        half_width: (P,), half the width of each person's limbs [cells].
        limbs: Pairs of joints.
        shape: Height and width of the maps.

    Returns:
        float32 (L, 2, h, w), mean unit vector of the limbs over each cell.
    """
    total = np.zeros((len(limbs), 2, *shape))
    crossing = np.zeros((len(limbs), *shape))
    y, x = np.mgrid[: shape[0], : shape[1]]
    for person in range(len(joints)):
        half = half_width[person]
        for k, (a, b) in enumerate(limbs):
            if not (seen[person, a] and seen[person, b]):
                continue
            along = joints[person, b] - joints[person, a]
            length = max(float(np.linalg.norm(along)), 1e-6)
            unit = along / length
            dx, dy = x - joints[person, a, 0], y - joints[person, a, 1]
            position = dx * unit[0] + dy * unit[1]
            on = (position > -half) & (position < length + half) & (np.abs(dx * unit[1] - dy * unit[0]) < half)
            total[k] += on * unit[:, None, None]
            crossing[k] += on
    return (total / np.maximum(crossing, 1)[:, None]).astype(np.float32)


@njit(cache=True)
def line_evidence(
    field: np.ndarray, ax: float, ay: float, bx: float, by: float, least: float, share: float
) -> tuple[float, float]:
    """Mean of the field along the line from a to b, and the share of points where it exceeds ``least``.

    Args:
        field: float32 (2, h, w).
        ax: Start, x [cells].
        ay: Start, y [cells].
        bx: End, x [cells].
        by: End, y [cells].
        least: Threshold for a single point.
        share: Where no more than this share of the points can exceed it any longer, 0 and 0 are returned at once.
    """
    height, width = field.shape[1:]
    dx, dy = bx - ax, by - ay
    length = max(np.sqrt(dx * dx + dy * dy), 1e-6)
    ux, uy = dx / length, dy / length
    total, good, bad = 0.0, 0, 0
    for k in _ORDER:
        t = k / (SAMPLES - 1)
        x = min(max(ax + t * dx, 0.0), width - 1.0)
        y = min(max(ay + t * dy, 0.0), height - 1.0)
        x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
        fx, fy = x - x0, y - y0
        w00, w01, w10, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
        px = (
            w00 * field[0, y0, x0]
            + w01 * field[0, y0, x0 + 1]
            + w10 * field[0, y0 + 1, x0]
            + w11 * field[0, y0 + 1, x0 + 1]
        )
        py = (
            w00 * field[1, y0, x0]
            + w01 * field[1, y0, x0 + 1]
            + w10 * field[1, y0 + 1, x0]
            + w11 * field[1, y0 + 1, x0 + 1]
        )
        v = px * ux + py * uy
        total += v
        if v > least:
            good += 1
        else:
            bad += 1
            if (SAMPLES - bad) / SAMPLES <= share:
                return 0.0, 0.0
    return total / SAMPLES, good / SAMPLES
