"""Joint positions as heatmaps: the ideal map of given people, and peaks with sub-pixel positions read back from maps."""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.structures import F32


def draw_heatmaps(joints: np.ndarray, seen: np.ndarray, sigma: np.ndarray, shape: tuple[int, int]) -> F32:
    """The heatmaps Stage I should give for known people.

    Args:
        joints: (P, J, 2), map cells (centres at integers).
        seen: bool (P, J).
        sigma: (P,), width of each person's Gaussians [cells].
        shape: Height and width of the maps.

    Returns:
        float32 (J, h, w), 0 to 1: the highest of all people's unit Gaussians.
    """
    if not len(joints):
        return np.zeros((joints.shape[1], *shape), np.float32)
    scale = -0.5 / np.asarray(sigma)[:, None, None] ** 2
    x = np.exp((np.arange(shape[1]) - joints[..., 0, None]) ** 2 * scale)
    y = np.exp((np.arange(shape[0]) - joints[..., 1, None]) ** 2 * scale) * seen[..., None]
    return (y[..., :, None] * x[..., None, :]).max(0).astype(np.float32)


@njit(cache=True)
def _gaussian_top(low: float, mid: float, high: float) -> tuple[float, float]:
    """Top of the Gaussian through three neighbouring values: -0.5 to 0.5 cells from the middle one, and gain in height."""
    a, b, c = np.log(max(low, 1e-3)), np.log(max(mid, 1e-3)), np.log(max(high, 1e-3))
    curvature = a - 2 * b + c
    if curvature > -1e-6:
        return 0.0, 1.0
    offset = min(0.5, max(-0.5, 0.5 * (a - c) / curvature))
    return offset, np.exp(-0.25 * (a - c) * offset)


@njit(cache=True)
def _at(m: np.ndarray, y: int, x: int) -> float:
    """A map's value, 0 beyond its border."""
    return m[y, x] if 0 <= y < m.shape[0] and 0 <= x < m.shape[1] else 0.0


@njit(cache=True)
def _is_peak(m: np.ndarray, y: int, x: int) -> bool:
    """Whether no neighbour is higher; of equal neighbours the last one counts, so that a plateau is one peak."""
    v = m[y, x]
    if 0 < y < m.shape[0] - 1 and 0 < x < m.shape[1] - 1:  # the same without asking for borders
        before = m[y, x - 1] > v or m[y - 1, x - 1] > v or m[y - 1, x] > v or m[y - 1, x + 1] > v
        return not (before or m[y, x + 1] >= v or m[y + 1, x - 1] >= v or m[y + 1, x] >= v or m[y + 1, x + 1] >= v)
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            later = dy > 0 or (dy == 0 and dx > 0)
            n = _at(m, y + dy, x + dx)
            if n > v or (later and n == v):
                return False
    return True


def find_peaks(heatmaps: np.ndarray, threshold: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of each map, refined as Gaussians.

    Args:
        heatmaps: float32 (J, h, w).
        threshold: Least height.
        most: Highest so many are kept per joint.

    Returns:
        Peaks float32 (J, most, 3): x, y [cells] and height, highest first; and how many there are, int64 (J,).
    """
    return _peaks_among(np.flatnonzero(heatmaps > threshold), heatmaps, most)


@njit(cache=True)
def _peaks_among(cells: np.ndarray, heatmaps: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """``find_peaks`` among the cells above the threshold, numbered through all maps (few: numpy finds them faster)."""
    joints, height, width = heatmaps.shape
    peaks = np.zeros((joints, most, 3), np.float32)
    counts = np.zeros(joints, np.int64)
    gains = np.ones((joints, most), np.float32)
    for cell in cells:
        j, y, x = cell // (height * width), cell // width % height, cell % width
        m = heatmaps[j]
        v = m[y, x]
        if not _is_peak(m, y, x) or (counts[j] == most and v <= peaks[j, most - 1, 2]):
            continue
        place = min(counts[j], most - 1)
        while place > 0 and peaks[j, place - 1, 2] < v:
            for k in range(3):
                peaks[j, place, k] = peaks[j, place - 1, k]
            gains[j, place] = gains[j, place - 1]
            place -= 1
        dx, gain_x, dy, gain_y = 0.0, 1.0, 0.0, 1.0
        if 0 < x < width - 1:
            dx, gain_x = _gaussian_top(m[y, x - 1], v, m[y, x + 1])
        if 0 < y < height - 1:
            dy, gain_y = _gaussian_top(m[y - 1, x], v, m[y + 1, x])
        peaks[j, place, 0], peaks[j, place, 1] = x + dx, y + dy
        peaks[j, place, 2] = v
        gains[j, place] = gain_x * gain_y
        counts[j] = min(counts[j] + 1, most)
    peaks[..., 2] *= gains  # the order is that of the cells: a cell's own value is what stands above its neighbours
    return peaks, counts
