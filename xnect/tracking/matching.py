"""How unlike a known person and a detection are, and which pairs belong together.

Three cues, each a cost from 0 (alike) to 1: joints in the picture against their prediction, in body heights; pose and
depth in 3D; colours of the clothes. All tolerances grow with the time since the person was last seen, so that frame
rates from a few to many per second, and people who come back, are judged alike.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

from xnect.structures import F32, F64, I64
from xnect.tracking.cues import Cues

#: Spread of each 2D joint about its prediction [body heights]: noise and what a limb moves within a frame or two.
_SPREAD = np.array([0.06, 0.05, 0.05, 0.08, 0.12, 0.05, 0.08, 0.12, 0.05, 0.08, 0.12, 0.05, 0.08, 0.12], np.float32)
#: How fast the prediction of a place goes wrong [body heights per s].
_DRIFT = 0.5
#: How far from the prediction a person may turn up: at once [body heights], per second [body heights per s], at most.
_REACH, _REACH_SPEED, _REACH_MAX = 0.35, 1.8, 1.5
#: Apparent sizes that differ by more than this factor are two people.
_SIZE_FACTOR = 2.2
#: Spread of a 3D joint [m] and of the logarithm of the depth, and their growth per second.
_POSE_SPREAD, _POSE_DRIFT = 0.12, 1.0
_DEPTH_SPREAD, _DEPTH_DRIFT = 0.15, 0.4
#: Colour distance at which two people surely differ, and the one above which nobody is taken for a person lost long.
_COLOUR_FAR, _COLOUR_GATE = 0.5, 0.55
#: After this time out of sight the colours count in full [s].
_COLOUR_TIME = 0.4
_WEIGHT_2D, _WEIGHT_3D, _WEIGHT_COLOUR = 1.0, 0.35, 0.35
#: Added where none of the joints that the person is known to have are found, in proportion: a fragment is the worse match.
_FRAGMENT_COST = 0.15


def pair_costs(known: Cues, unseen_s: F32, found: Cues) -> tuple[F64, F64]:
    """Compare everyone known (predicted to now) with everyone found.

    Args:
        known: N people, their joints moved to where they are expected now.
        unseen_s: (N,), time since each was last seen, this frame's step included [s].
        found: M people of this frame.

    Returns:
        Cost float64 (N, M), 0 (alike) to 1, infinite where the pair is impossible; and how far the 2D joints agree,
        float64 (N, M), 0 to 1, with the spread of a single frame.
    """
    cost = np.full((len(known), len(found)), np.inf)
    agree = np.zeros((len(known), len(found)))
    if cost.size:
        spread = _SPREAD[None] + _DRIFT * unseen_s[:, None]
        _costs_2d(
            known.joints_px,
            known.seen,
            known.stature_px,
            spread,
            unseen_s,
            found.joints_px,
            found.seen,
            found.stature_px,
            cost,
            agree,
        )
        _add_cues(
            known.joints_m, known.trust, known.root_m, known.colours, known.colour_weight, unseen_s,
            found.joints_m, found.trust, found.root_m, found.colours, found.colour_weight, cost,
        )  # fmt: skip
    return cost, agree


def agreement(people: Cues) -> F64:
    """How far the 2D joints of each pair of people of one frame agree, float64 (M, M), 0 to 1; 0 on the diagonal."""
    cost = np.full((len(people), len(people)), np.inf)
    agree = np.zeros((len(people), len(people)))
    if len(people) > 1:
        spread = np.repeat(_SPREAD[None], len(people), axis=0)
        still = np.zeros(len(people), np.float32)
        _costs_2d(
            people.joints_px,
            people.seen,
            people.stature_px,
            spread,
            still,
            people.joints_px,
            people.seen,
            people.stature_px,
            cost,
            agree,
        )
        np.fill_diagonal(agree, 0)
    return agree


def assign(cost: F64, max_cost: float) -> tuple[I64, I64]:
    """Join known people and detections at the least total cost; a pair dearer than ``max_cost`` stays apart.

    Leaving a pair apart costs ``max_cost``, so that one bad pair is never bought with another.

    Returns:
        Rows and columns of the joined pairs, int64 (K,) each.
    """
    if not cost.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = linear_sum_assignment(np.minimum(cost, max_cost))
    good = cost[rows, columns] < max_cost
    return rows[good].astype(np.int64), columns[good].astype(np.int64)


@njit(cache=True)
def _centre(joints: F32, seen: F32) -> tuple[float, float]:
    total, x, y = 1e-9, 0.0, 0.0
    for j in range(len(joints)):
        total += seen[j]
        x += seen[j] * joints[j, 0]
        y += seen[j] * joints[j, 1]
    return x / total, y / total


@njit(cache=True)
def _costs_2d(
    joints: F32, seen: F32, stature: F32, spread: F32, unseen_s: F32,
    new_joints: F32, new_seen: F32, new_stature: F32, cost: F64, agree: F64,
) -> None:  # fmt: skip
    """Fill in the 2D cost of the pairs that are near and of like size, and the agreement of all."""
    for n in range(len(joints)):
        reach = min(_REACH + _REACH_SPEED * unseen_s[n], _REACH_MAX)
        for m in range(len(new_joints)):
            size = max(stature[n], 1e-3)
            total, like, tight, dx, dy, common = 1e-9, 0.0, 0.0, 0.0, 0.0, 0
            expected, covered = 1e-9, 0.0
            for j in range(len(spread[n])):
                weight = seen[n, j] * new_seen[m, j]
                expected += seen[n, j]
                if weight <= 0:
                    continue
                x = (new_joints[m, j, 0] - joints[n, j, 0]) / size
                y = (new_joints[m, j, 1] - joints[n, j, 1]) / size
                square = x * x + y * y
                total += weight
                covered += seen[n, j]
                # a long tail: far pairs still differ in cost
                like += weight / (1 + square / (spread[n, j] * spread[n, j]))
                tightness = square / (_SPREAD[j] * _SPREAD[j])
                if tightness < 20:  # beyond, the exponential is 0 to four digits
                    tight += weight * np.exp(-0.5 * tightness)
                dx += weight * x
                dy += weight * y
                common += 1
            if common >= 3:
                agree[n, m] = tight / total
            distance = np.hypot(dx, dy) / total
            base = 1 - like / total
            if common < 2:
                ax, ay = _centre(joints[n], seen[n])
                bx, by = _centre(new_joints[m], new_seen[m])
                distance = np.hypot(ax - bx, ay - by) / size
                base = 1 - 0.7 / (1 + distance * distance / (0.2 + _DRIFT * unseen_s[n]) ** 2)
            ratio = new_stature[m] / size
            if distance <= reach and 1 / _SIZE_FACTOR <= ratio <= _SIZE_FACTOR:
                cost[n, m] = base + _FRAGMENT_COST * (1 - covered / expected)


@njit(cache=True)
def _pose_cost(pose: F32, trust: F32, new_pose: F32, new_trust: F32, spread: float) -> float:
    """Unlikeness of two root-relative poses after the best common scale, -1 where nothing can be compared."""
    total, ab, bb = 0.0, 0.0, 0.0
    for j in range(len(pose)):
        weight = trust[j] * new_trust[j]
        total += weight
        for k in range(3):
            ab += weight * pose[j, k] * new_pose[j, k]
            bb += weight * new_pose[j, k] * new_pose[j, k]
    if total < 1e-3 or bb < 1e-9:
        return -1.0
    scale = min(max(ab / bb, 0.7), 1.4)
    distance = 0.0
    for j in range(len(pose)):
        square = 0.0
        for k in range(3):
            square += (pose[j, k] - scale * new_pose[j, k]) ** 2
        distance += trust[j] * new_trust[j] * np.sqrt(square)
    relative = distance / total / spread
    return float(1 - 1 / (1 + relative * relative))


@njit(cache=True)
def _colour_distance(colours: F32, weight: F32, new_colours: F32, new_weight: F32) -> tuple[float, float]:
    """Hellinger distance of the parts that both show, 0 to 1, and the weight of that evidence."""
    total, distance = 0.0, 0.0
    for part in range(len(weight)):
        share = min(weight[part], new_weight[part])
        if part == 0:
            share *= 3  # the torso is the largest and surest
        if share > 0:
            product = 0.0
            for k in range(colours.shape[1]):
                product += colours[part, k] * new_colours[part, k]
            distance += share * np.sqrt(max(1 - product / 3, 0.0))
            total += share
    return (distance / total, total) if total > 0 else (0.0, 0.0)


@njit(cache=True)
def _add_cues(
    pose: F32, trust: F32, root: F32, colours: F32, colour_weight: F32, unseen_s: F32,
    new_pose: F32, new_trust: F32, new_root: F32, new_colours: F32, new_colour_weight: F32, cost: F64,
) -> None:  # fmt: skip
    """Join the 3D and colour costs to the 2D cost of all possible pairs."""
    for n in range(cost.shape[0]):
        away = unseen_s[n]
        for m in range(cost.shape[1]):
            if not np.isfinite(cost[n, m]):
                continue
            total, weights = _WEIGHT_2D * cost[n, m], _WEIGHT_2D
            unlike = _pose_cost(pose[n], trust[n], new_pose[m], new_trust[m], _POSE_SPREAD + _POSE_DRIFT * away)
            if unlike >= 0:
                total += 0.5 * _WEIGHT_3D * unlike
                weights += 0.5 * _WEIGHT_3D
            if root[n, 2] > 0 and new_root[m, 2] > 0:
                relative = np.log(root[n, 2] / new_root[m, 2]) / (_DEPTH_SPREAD + _DEPTH_DRIFT * away)
                total += 0.5 * _WEIGHT_3D * (1 - 1 / (1 + relative * relative))
                weights += 0.5 * _WEIGHT_3D
            distance, evidence = _colour_distance(colours[n], colour_weight[n], new_colours[m], new_colour_weight[m])
            if evidence > 0:
                lost = min(away / _COLOUR_TIME, 1.0)
                if lost >= 1 and distance > _COLOUR_GATE:
                    cost[n, m] = np.inf
                    continue
                weight = min(evidence, 1.0) * (_WEIGHT_COLOUR + (1 - _WEIGHT_COLOUR) * lost)
                total += weight * min(distance / _COLOUR_FAR, 1.0)
                weights += weight
            cost[n, m] = total / weights
