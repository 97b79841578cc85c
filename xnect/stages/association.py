"""From maps to people in 2D: peaks, grouping along the affinity fields, read-out of the 3D encoding."""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.codec.heatmaps import find_peaks
from xnect.config import DetectionConfig
from xnect.geometry import apply_affine
from xnect.stages.grouping import complete, group
from xnect.stages.placement import place
from xnect.stages.refinement import Refiner
from xnect.structures import F32, I64, Bool, Detections, PoseMaps

#: Small people are false more often than large ones: a score counts in full from this size on [cells] ...
_SURE_SIZE = 12.0
#: ... and falls with this power of it.
_SIZE_POWER = 0.3


def associate(
    maps: PoseMaps, config: DetectionConfig, refiner: Refiner | None = None, follow: bool = False
) -> Detections:
    """People of one frame.

    Limbs of each kind are matched for the largest sum of their scores along the affinity fields (``grouping``). Then
    each person takes the weaker peaks that continue it, what is not seen is guessed (``placement``), and all of it moves
    to where the rest of the body says it is (``refinement``), which also tells how good it is likely to be. All loops are compiled, so the cost hardly grows with the
    number of people.

    Args:
        maps: Stage I's output.
        config: Thresholds.
        refiner: What is known of the network's mistakes; None = nothing.
        follow: Whether those are wanted, too, who are enough only to go on with somebody followed (``sure`` tells).

    Returns:
        At most ``config.max_people``, the sure ones first, best first, in frame pixels.
    """
    heatmaps, pafs = np.ascontiguousarray(maps.heatmaps), np.ascontiguousarray(maps.pafs)
    weakest = min(config.weak_threshold, config.peak_threshold)
    peaks, counts = find_peaks(heatmaps, weakest, config.max_peaks)
    strong = (peaks[..., 2] > config.peak_threshold).sum(1)
    members = group(peaks, strong, pafs, config.limb_threshold)
    least = min(config.min_score, config.follow_score) if follow else config.min_score
    # whom the refiner is sure of may have half the evidence that others need
    members, evidence = _worth_it(members, peaks, config, least / (1 if refiner is None else 2))
    complete(members, peaks, counts, pafs, config.limb_threshold)
    joints = np.zeros((len(members), peaks.shape[0], 3), np.float32)
    seen = members >= 0
    person, joint = np.nonzero(seen)
    joints[person, joint] = peaks[joint, members[person, joint]]
    confidence = np.clip(joints[..., 2], 0, 1)
    encoding = None if maps.encoding is None else read_encoding(maps.encoding, joints[..., :2], seen)
    sizes = place(joints, heatmaps)
    if refiner is None:
        score = np.minimum(confidence.mean(1) * (sizes / _SURE_SIZE) ** _SIZE_POWER, 1)
    else:
        score = refiner(joints, heatmaps)
        evidence = 2 * score * evidence
    keep, sure = np.flatnonzero(evidence >= least), evidence >= config.min_score
    order = keep[np.lexsort((-score[keep], ~sure[keep]))]
    confidence, encoding = confidence[order], None if encoding is None else encoding[order]
    pixels = apply_affine(joints[order, :, :2], maps.frame_from_map)
    return Detections(
        pixels.astype(np.float32),
        confidence,
        score[order].astype(np.float32),
        encoding,
        sure[order] if follow else None,
    )


def _worth_it(members: I64, peaks: F32, config: DetectionConfig, least: float) -> tuple[I64, F32]:
    """The groups that count as people by their strong joints, best first, and the mean height of their peaks."""
    seen = members >= 0
    heights = np.clip(peaks[np.arange(len(peaks)), members, 2], 0, 1) * seen
    score = heights.sum(1) / len(peaks)
    keep = np.flatnonzero((seen.sum(1) >= config.min_joints) & (score >= least))
    keep = keep[np.argsort(-score[keep], kind="stable")][: config.max_people]
    return np.ascontiguousarray(members[keep]), score[keep]


def read_encoding(encoding: F32, cells: np.ndarray, seen: np.ndarray) -> F32:
    """The 3D encoding at the joints of each person, bilinear.

    Args:
        encoding: float32 (C, h, w).
        cells: (P, J, 2), map cells.
        seen: bool (P, J).

    Returns:
        float32 (P, J, C), 0 where the joint was not seen.
    """
    values = np.zeros((*seen.shape, len(encoding)), np.float32)
    _read(encoding, np.ascontiguousarray(cells, np.float32), seen, values)
    return values


@njit(cache=True)
def _read(encoding: F32, cells: F32, seen: Bool, out: F32) -> None:  # pragma: no cover - compiled
    """``read_encoding`` joint by joint."""
    height, width = encoding.shape[1:]
    for p in range(seen.shape[0]):
        for j in range(seen.shape[1]):
            if not seen[p, j]:
                continue
            x = min(max(cells[p, j, 0], np.float32(0)), np.float32(width - 1.001))
            y = min(max(cells[p, j, 1], np.float32(0)), np.float32(height - 1.001))
            x0, y0 = int(x), int(y)
            fx, fy = x - x0, y - y0
            for c in range(encoding.shape[0]):
                top = encoding[c, y0, x0] * (1 - fx) + encoding[c, y0, x0 + 1] * fx
                bottom = encoding[c, y0 + 1, x0] * (1 - fx) + encoding[c, y0 + 1, x0 + 1] * fx
                out[p, j, c] = top * (1 - fy) + bottom * fy
