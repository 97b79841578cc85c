"""From maps to people in 2D: peaks, greedy grouping along the affinity fields, read-out of the 3D encoding."""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.codec.heatmaps import find_peaks
from xnect.codec.pafs import line_evidence
from xnect.config import DetectionConfig
from xnect.geometry import apply_affine
from xnect.skeleton.joints import LIMBS
from xnect.structures import F32, Detections, PoseMaps

_LIMBS = np.array(LIMBS, np.int64)
#: A limb counts where the field speaks for it at so many of the points between its ends.
_GOOD_SHARE = 0.7
#: Weight of the two joints' own heights beside the field in a limb's score.
_PEAK_WEIGHT = 0.1
#: Limbs longer than this share of the map's height lose score (Cao et al. 2017).
_LONG_LIMB = 0.5


def associate(maps: PoseMaps, config: DetectionConfig) -> Detections:
    """People of one frame.

    Limbs are taken in the order of their score, each joining two joints that no limb of its kind has claimed; groups
    that come to share a limb merge unless both have the same joint (Cao et al. 2017). All loops are compiled, so the
    cost hardly grows with the number of people.

    Args:
        maps: Stage I's output.
        config: Thresholds.

    Returns:
        At most ``config.max_people``, best first, in frame pixels.
    """
    heatmaps, pafs = np.ascontiguousarray(maps.heatmaps), np.ascontiguousarray(maps.pafs)
    peaks, counts = find_peaks(heatmaps, config.peak_threshold, config.max_peaks)
    members = group(peaks, counts, pafs, _LIMBS, config.limb_threshold)
    joints = np.zeros((len(members), peaks.shape[0], 3), np.float32)
    seen = members >= 0
    person, joint = np.nonzero(seen)
    joints[person, joint] = peaks[joint, members[person, joint]]
    confidence = np.clip(joints[..., 2], 0, 1)
    score = confidence.sum(1) / peaks.shape[0]
    keep = (seen.sum(1) >= config.min_joints) & (score >= config.min_score)
    order = np.argsort(-score[keep], kind="stable")[: config.max_people]
    cells, confidence, seen = joints[keep][order, :, :2], confidence[keep][order], seen[keep][order]
    encoding = None if maps.encoding is None else read_encoding(maps.encoding, cells, seen)
    pixels = apply_affine(cells, maps.frame_from_map) * seen[..., None]
    return Detections(pixels.astype(np.float32), confidence, score[keep][order].astype(np.float32), encoding)


def read_encoding(encoding: F32, cells: np.ndarray, seen: np.ndarray) -> F32:
    """The 3D encoding at the joints of each person, bilinear.

    Args:
        encoding: float32 (C, h, w).
        cells: (P, J, 2), map cells.
        seen: bool (P, J).

    Returns:
        float32 (P, J, C), 0 where the joint was not seen.
    """
    height, width = encoding.shape[1:]
    x = np.clip(cells[..., 0], 0, width - 1.001)
    y = np.clip(cells[..., 1], 0, height - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    fx, fy = x - x0, y - y0
    top = encoding[:, y0, x0] * (1 - fx) + encoding[:, y0, x0 + 1] * fx
    bottom = encoding[:, y0 + 1, x0] * (1 - fx) + encoding[:, y0 + 1, x0 + 1] * fx
    values = (top * (1 - fy) + bottom * fy) * seen
    return np.ascontiguousarray(np.moveaxis(values, 0, -1), np.float32)


@njit(cache=True)
def _limb_candidates(
    peaks: np.ndarray, counts: np.ndarray, pafs: np.ndarray, limbs: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of peaks that the fields speak for: score (M,) and limb, peak at its start, peak at its end (M, 3)."""
    height = pafs.shape[2]
    room = 0
    for k in range(len(limbs)):
        room += counts[limbs[k, 0]] * counts[limbs[k, 1]]
    scores = np.zeros(room, np.float64)
    pairs = np.zeros((room, 3), np.int64)
    found = 0
    for k in range(len(limbs)):
        a, b = limbs[k]
        for i in range(counts[a]):
            for j in range(counts[b]):
                p, q = peaks[a, i], peaks[b, j]
                mean, good = line_evidence(pafs[k], p[0], p[1], q[0], q[1], least, _GOOD_SHARE)
                length = np.sqrt((q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2)
                mean += min(_LONG_LIMB * height / max(length, 1e-6) - 1, 0.0)
                if good > _GOOD_SHARE and mean > 0:
                    scores[found] = mean + _PEAK_WEIGHT * (p[2] + q[2])
                    pairs[found, 0], pairs[found, 1], pairs[found, 2] = k, i, j
                    found += 1
    return scores[:found], pairs[:found]


@njit(cache=True)
def _merge(members: np.ndarray, owner: np.ndarray, into: int, other: int) -> bool:
    """Give one group's joints to another, unless both have the same joint."""
    for m in range(members.shape[1]):
        if members[into, m] >= 0 and members[other, m] >= 0:
            return False
    for m in range(members.shape[1]):
        if members[other, m] >= 0:
            members[into, m] = members[other, m]
            owner[m, members[other, m]] = into
            members[other, m] = -1
    return True


@njit(cache=True)
def _claim(members: np.ndarray, owner: np.ndarray, person: int, joint: int, peak: int) -> bool:
    """Give a free peak to a group, unless it has such a joint already."""
    if members[person, joint] >= 0:
        return False
    members[person, joint] = peak
    owner[joint, peak] = person
    return True


@njit(cache=True)
def group(peaks: np.ndarray, counts: np.ndarray, pafs: np.ndarray, limbs: np.ndarray, least: float) -> np.ndarray:
    """Peaks grouped into people.

    Args:
        peaks: float32 (J, K, 3): x, y [cells], height.
        counts: int64 (J,), how many peaks each joint has.
        pafs: float32 (L, 2, h, w).
        limbs: int64 (L, 2), pairs of joints.
        least: Least affinity at a point of a limb.

    Returns:
        int64 (P, J), number of the peak of each joint, -1 = none.
    """
    joints, most = peaks.shape[:2]
    scores, pairs = _limb_candidates(peaks, counts, pafs, limbs, least)
    order = np.argsort(-scores, kind="mergesort")
    owner = np.full((joints, most), -1, np.int64)
    used = np.zeros((len(limbs), 2, most), np.bool_)
    members = np.full((len(order), joints), -1, np.int64)
    people = 0
    for n in order:
        k, i, j = pairs[n]
        a, b = limbs[k]
        if used[k, 0, i] or used[k, 1, j]:
            continue
        pa, pb = owner[a, i], owner[b, j]
        if pa < 0 and pb < 0:
            joined = _claim(members, owner, people, a, i) and _claim(members, owner, people, b, j)
            people += 1
        elif pb < 0:
            joined = _claim(members, owner, pa, b, j)
        elif pa < 0:
            joined = _claim(members, owner, pb, a, i)
        else:
            joined = pa == pb or _merge(members, owner, pa, pb)
        if joined:
            used[k, 0, i] = used[k, 1, j] = True
    filled = np.zeros(people, np.bool_)
    for p in range(people):
        filled[p] = members[p].max() >= 0
    return members[:people][filled]
