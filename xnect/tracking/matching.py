"""How unlike a known person and a detection are, and which pairs belong together.

Three cues, each a cost from 0 (alike) to 1: joints in the picture against their prediction, in body heights; pose and
depth in 3D; colours of the clothes. All tolerances grow with the time since the person was last seen, so that frame
rates from a few to many per second, and people who come back, are judged alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

from xnect.skeleton.joints import FLIP_2D
from xnect.structures import F32, F64, I64, Bool
from xnect.tracking.cues import Cues, centres

#: Spread of each 2D joint about its prediction [body heights]: noise and what a limb moves within a frame or two.
_SPREAD = np.array([0.06, 0.05, 0.05, 0.08, 0.12, 0.05, 0.08, 0.12, 0.05, 0.08, 0.12, 0.05, 0.08, 0.12], np.float32)
#: A joint's place in its own list: nothing exchanged.
_SAME = np.arange(len(_SPREAD))
#: Networks take right for left now and then: such a pair costs this much more.
_MIRROR_COST = 0.05
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


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Everyone known against everyone found.

    Attributes:
        cost: float64 (N, M), 0 (alike) to 1, infinite where the pair is impossible.
        agree: float64 (N, M), how far the 2D joints agree with the spread of a single frame, 0 to 1.
        mirrored: bool (N, M), True where the 2D joints fit better with right and left exchanged.
    """

    cost: F64
    agree: F64
    mirrored: Bool


def compare(known: Cues, unseen_s: F32, found: Cues) -> Comparison:
    """Compare everyone known (predicted to now) with everyone found.

    Args:
        known: N people, their joints moved to where they are expected now.
        unseen_s: (N,), time since each was last seen, this frame's step included [s].
        found: M people of this frame.
    """
    result = _compare_2d(known, unseen_s, found)
    if result.cost.size:
        _add_cues(known, unseen_s, found, result.cost)
    return result


def agreement(people: Cues) -> F64:
    """How far the 2D joints of each pair of people of one frame agree, float64 (M, M), 0 to 1; 0 on the diagonal."""
    agree = _compare_2d(people, np.zeros(len(people.seen), np.float32), people).agree
    np.fill_diagonal(agree, 0)
    return agree


def _compare_2d(known: Cues, unseen_s: F32, found: Cues) -> Comparison:
    shape = len(known.seen), len(found.seen)
    result = Comparison(np.full(shape, np.inf), np.zeros(shape), np.zeros(shape, np.bool_))
    if result.cost.size:
        _costs_2d(known, unseen_s, found, result.cost, result.agree, result.mirrored)
    return result


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
def _likeness(
    joints: F32, seen: F32, new_joints: F32, new_seen: F32, partner: I64, size: float, drift: float
) -> tuple[float, float, float, float, int]:
    """One person against one detection whose joint j is ``partner[j]`` of the person.

    Returns:
        Likeness 0 to 1 with a long tail, agreement 0 to 1, distance [body heights], share of the person's joints that
        the detection has, and number of joints compared.
    """
    expected, covered, total, like, tight, dx, dy, common = 1e-9, 0.0, 1e-9, 0.0, 0.0, 0.0, 0.0, 0
    for j in range(len(new_joints)):
        k = partner[j]
        expected += seen[k]
        weight = seen[k] * new_seen[j]
        if weight <= 0:
            continue
        x, y = (new_joints[j, 0] - joints[k, 0]) / size, (new_joints[j, 1] - joints[k, 1]) / size
        square, spread = x * x + y * y, _SPREAD[j] + drift
        total += weight
        covered += seen[k]
        like += weight / (1 + square / (spread * spread))
        tightness = square / (_SPREAD[j] * _SPREAD[j])
        if tightness < 20:  # beyond, the exponential is 0 to four digits
            tight += weight * math.exp(-0.5 * tightness)
        dx += weight * x
        dy += weight * y
        common += 1
    return like / total, tight / total, math.hypot(dx, dy) / total, covered / expected, common


@njit(cache=True)
def _costs_2d(known: Cues, unseen_s: F32, found: Cues, cost: F64, agree: F64, mirrored: Bool) -> None:
    """Fill in the 2D cost of the pairs that are near and of like size, and the agreement of all."""
    joints, seen, new_joints, new_seen = known.joints_px, known.seen, found.joints_px, found.seen
    centre, new_centre = np.zeros((len(joints), 2)), np.zeros((len(new_joints), 2))
    centres(joints, seen, centre)
    centres(new_joints, new_seen, new_centre)
    for n in range(len(joints)):
        reach = min(_REACH + _REACH_SPEED * unseen_s[n], _REACH_MAX)
        size, drift = max(known.stature_px[n], 1e-3), _DRIFT * unseen_s[n]
        for m in range(len(new_joints)):
            apart = math.hypot(centre[n, 0] - new_centre[m, 0], centre[n, 1] - new_centre[m, 1]) / size
            if apart > reach + 1:  # even halves of one body are not so far apart
                continue
            pair = joints[n], seen[n], new_joints[m], new_seen[m]
            like, tight, distance, covered, common = _likeness(*pair, _SAME, size, drift)
            if common >= 3:
                agree[n, m] = tight
            if common >= 2 and distance > reach:
                continue
            other, other_tight, other_distance, other_covered, other_common = _likeness(*pair, FLIP_2D, size, drift)
            if other - _MIRROR_COST > like and other_common >= common:
                like, distance, covered, common = other - _MIRROR_COST, other_distance, other_covered, other_common
                mirrored[n, m] = True
                if common >= 3:
                    agree[n, m] = other_tight
            base = 1 - like
            if common < 2:
                distance = apart
                base = 1 - 0.7 / (1 + apart * apart / (0.2 + drift) ** 2)
            ratio = found.stature_px[m] / size
            if distance <= reach and 1 / _SIZE_FACTOR <= ratio <= _SIZE_FACTOR:
                cost[n, m] = base + _FRAGMENT_COST * (1 - covered)


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
def _add_cues(known: Cues, unseen_s: F32, found: Cues, cost: F64) -> None:
    """Join the 3D and colour costs to the 2D cost of all possible pairs."""
    for n in range(cost.shape[0]):
        away, depth = unseen_s[n], known.root_m[n, 2]
        pose_spread, depth_spread = _POSE_SPREAD + _POSE_DRIFT * away, _DEPTH_SPREAD + _DEPTH_DRIFT * away
        for m in range(cost.shape[1]):
            if not np.isfinite(cost[n, m]):
                continue
            total, weights = _WEIGHT_2D * cost[n, m], _WEIGHT_2D
            unlike = _pose_cost(known.joints_m[n], known.trust[n], found.joints_m[m], found.trust[m], pose_spread)
            if unlike >= 0:
                total += 0.5 * _WEIGHT_3D * unlike
                weights += 0.5 * _WEIGHT_3D
            if depth > 0 and found.root_m[m, 2] > 0:
                relative = math.log(depth / found.root_m[m, 2]) / depth_spread
                total += 0.5 * _WEIGHT_3D * (1 - 1 / (1 + relative * relative))
                weights += 0.5 * _WEIGHT_3D
            distance, evidence = _colour_distance(
                known.colours[n], known.colour_weight[n], found.colours[m], found.colour_weight[m]
            )
            if evidence > 0:
                lost = min(away / _COLOUR_TIME, 1.0)
                if lost >= 1 and distance > _COLOUR_GATE:
                    cost[n, m] = np.inf
                    continue
                weight = min(evidence, 1.0) * (_WEIGHT_COLOUR + (1 - _WEIGHT_COLOUR) * lost)
                total += weight * min(distance / _COLOUR_FAR, 1.0)
                weights += weight
            cost[n, m] = total / weights
