"""Peaks grouped into people along the affinity fields, in compiled loops.

The limbs are a tree over the joints, so limbs of different kinds never contradict each other: each kind is a matching
of its own, and the best one is that of the largest sum of scores (Kuhn and Munkres), not that of the largest score
first. Where people cross, the first grouping shows how large each of them is, and limbs too long for both people at
their ends lose score in a second one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from xnect.codec.pafs import line_evidence
from xnect.skeleton.joints import LIMB_SHARE, LIMBS
from xnect.structures import F32, F64, I64, Bool

_LIMBS: I64 = np.array(LIMBS, np.int64)
#: A limb counts where the field speaks for it at so many of the points between its ends.
_GOOD_SHARE = 0.7
#: Weight of the two joints' own heights beside the field in a limb's score.
_PEAK_WEIGHT = 0.1
#: Limbs longer than this share of the map's height lose score (Cao et al. 2017).
_LONG_LIMB = 0.5
#: A missing joint may be a weak peak: the field has to speak for it at so many points, and less loudly.
_WEAK_SHARE, _WEAK_LEAST = 0.5, 0.6
#: ... and its limb may be longer than the person's largest lets expect by this factor.
_WEAK_REACH = 1.5
#: Limbs longer than this factor of what the person's other limbs let expect lose score with the logarithm of the excess.
_SLACK, _EXCESS_WEIGHT = 1.25, 0.5


@njit(cache=True)
def _candidates(peaks: F32, counts: I64, pafs: F32, least: float) -> tuple[F64, F64]:  # pragma: no cover - compiled
    """Score and length [cells] of each limb between each two peaks, float64 (L, K, K) for at most K peaks; 0 = no limb."""
    height, most = pafs.shape[2], counts.max()
    scores, lengths = np.zeros((len(_LIMBS), most, most)), np.zeros((len(_LIMBS), most, most))
    for k in range(len(_LIMBS)):
        a, b = _LIMBS[k]
        for i in range(counts[a]):
            for j in range(counts[b]):
                p, q = peaks[a, i], peaks[b, j]
                mean, good = line_evidence(pafs[k], p[0], p[1], q[0], q[1], least, _GOOD_SHARE)
                if not good > _GOOD_SHARE:
                    continue
                length = math.sqrt((q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2)
                mean += min(_LONG_LIMB * height / max(length, 1e-6) - 1, 0.0)
                if mean > 0:
                    scores[k, i, j] = mean + _PEAK_WEIGHT * (p[2] + q[2])
                    lengths[k, i, j] = length
    return scores, lengths


@njit(cache=True)
def _nearest(
    gain: F64, row: int, here: int, of_row: F64, of_column: F64, slack: F64, before: I64, used: Bool
) -> tuple[int, float]:  # pragma: no cover - compiled
    """The free column that is cheapest to reach from a row or those before it, and its price (columns beyond: gain 0)."""
    nearest, least = 0, np.inf
    for c in range(1, len(slack)):
        if used[c]:
            continue
        price = -of_row[row] - of_column[c] - (gain[row - 1, c - 1] if c <= gain.shape[1] else 0.0)
        if price < slack[c]:
            slack[c], before[c] = price, here
        if slack[c] < least:
            least, nearest = slack[c], c
    return nearest, least


@njit(cache=True)
def best_pairs(gain: F64) -> I64:  # pragma: no cover - compiled
    """The matching of rows and columns with the largest sum of gains (Kuhn and Munkres, by shortest augmenting paths).

    Args:
        gain: (N, M), at least 0; 0 = no pair.

    Returns:
        Column of each row, int64 (N,), -1 = none.
    """
    rows, real = gain.shape
    columns = max(rows, real)
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)  # what each has to pay; places from 1, 0 is the start
    row_at, before = np.zeros(columns + 1, np.int64), np.zeros(columns + 1, np.int64)
    slack, used = np.empty(columns + 1), np.empty(columns + 1, np.bool_)
    for row in range(1, rows + 1):
        row_at[0], here = row, 0
        slack[:], used[:] = np.inf, False
        while row_at[here] != 0:
            used[here] = True
            nearest, least = _nearest(gain, row_at[here], here, of_row, of_column, slack, before, used)
            for c in range(columns + 1):
                if used[c]:
                    of_row[row_at[c]] += least
                    of_column[c] -= least
                else:
                    slack[c] -= least
            here = nearest
        while here != 0:
            row_at[here] = row_at[before[here]]
            here = before[here]
    out = np.full(rows, -1, np.int64)
    for c in range(1, real + 1):
        if row_at[c] > 0 and gain[row_at[c] - 1, c - 1] > 0:
            out[row_at[c] - 1] = c - 1
    return out


@njit(cache=True)
def _joined(scores: F64, counts: I64) -> tuple[I64, I64]:  # pragma: no cover - compiled
    """People from the best matching of every kind of limb: their peaks (P, J), -1 = none, and each peak's owner (J, K)."""
    joints, most = len(counts), scores.shape[1]
    owner = np.full((joints, most), -1, np.int64)
    members = np.full((joints * most, joints), -1, np.int64)
    people = 0
    for k in range(len(_LIMBS)):
        a, b = _LIMBS[k]
        partner = best_pairs(scores[k, : counts[a], : counts[b]])
        for i in range(len(partner)):
            j = partner[i]
            if j < 0:
                continue
            if owner[a, i] < 0:
                owner[a, i] = people
                members[people, a] = i
                people += 1
            into, other = owner[a, i], owner[b, j]
            if other < 0:
                owner[b, j] = into
                members[into, b] = j
                continue
            for m in range(joints):  # a tree: no joint is in both
                if members[other, m] >= 0:
                    members[into, m], owner[m, members[other, m]] = members[other, m], into
                    members[other, m] = -1
    return members[:people], owner


@njit(cache=True)
def _sizes(members: I64, lengths: F64) -> F64:  # pragma: no cover - compiled
    """Height of each person by their limbs [cells]: the second largest guess, since one limb may be false; 0 = unknown."""
    out = np.zeros(len(members))
    for n in range(len(members)):
        first = second = 0.0
        for k in range(len(_LIMBS)):
            i, j = members[n, _LIMBS[k, 0]], members[n, _LIMBS[k, 1]]
            guess = lengths[k, i, j] / LIMB_SHARE[k] if i >= 0 and j >= 0 else 0.0
            first, second = max(first, guess), max(second, min(first, guess))
        out[n] = second if second > 0 else first
    return out


@njit(cache=True)
def _punish_long(scores: F64, lengths: F64, sizes: F64, owner: I64) -> bool:  # pragma: no cover - compiled
    """Take score from limbs too long for the people at both ends, in place; whether there were any."""
    any_long = False
    for k in range(len(_LIMBS)):
        a, b = _LIMBS[k]
        for i in range(scores.shape[1]):
            for j in range(scores.shape[2]):
                if scores[k, i, j] <= 0:
                    continue
                size = 0.0
                for person in (owner[a, i], owner[b, j]):
                    size = max(size, sizes[person] if person >= 0 else 0.0)
                limit = _SLACK * LIMB_SHARE[k] * size
                if 0 < limit < lengths[k, i, j]:
                    scores[k, i, j] = max(scores[k, i, j] - _EXCESS_WEIGHT * math.log(lengths[k, i, j] / limit), 0.0)
                    any_long = True
    return any_long


@njit(cache=True)
def group(peaks: F32, counts: I64, pafs: F32, least: float) -> I64:  # pragma: no cover - compiled
    """Peaks grouped into people.

    Args:
        peaks: float32 (J, K, 3): x, y [cells], height.
        counts: int64 (J,), how many peaks each joint has.
        pafs: float32 (L, 2, h, w), one field for each of ``LIMBS``.
        least: Least affinity at a point of a limb.

    Returns:
        int64 (P, J), number of the peak of each joint, -1 = none.
    """
    scores, lengths = _candidates(peaks, counts, pafs, least)
    members, owner = _joined(scores, counts)
    if _punish_long(scores, lengths, _sizes(members, lengths), owner):
        members, owner = _joined(scores, counts)
    filled: Bool = np.zeros(len(members), np.bool_)
    for n in range(len(members)):
        filled[n] = members[n].max() >= 0
    return members[filled]


@njit(cache=True)
def complete(members: I64, peaks: F32, counts: I64, pafs: F32, least: float) -> None:  # pragma: no cover - compiled
    """Give people the weak peaks that continue them, in place: what is too faint to begin a person may well be a wrist.

    People come in turn, each takes the best free peak along a limb from a joint that it has, as long as it finds any.

    Args:
        members: int64 (P, J) as ``group`` gives it, the best people first.
        peaks: float32 (J, K, 3), the strong peaks first.
        counts: int64 (J,), how many peaks there are, weak ones included.
        pafs: float32 (L, 2, h, w).
        least: As for ``group``.
    """
    taken = np.zeros(peaks.shape[:2], np.bool_)
    for n in range(len(members)):
        for m in range(members.shape[1]):
            if members[n, m] >= 0:
                taken[m, members[n, m]] = True
    for n in range(len(members)):
        size = _size_of(members[n], peaks)
        grown = True
        while grown:
            grown = False
            for m in range(members.shape[1]):
                found = _continuation(members[n], m, peaks, counts, taken, pafs, least, size)
                if found >= 0:
                    members[n, m], taken[m, found], grown = found, True, True


@njit(cache=True)
def _continuation(
    person: I64, missing: int, peaks: F32, counts: I64, taken: Bool, pafs: F32, least: float, size: float
) -> int:  # pragma: no cover - compiled
    """The free peak of a missing joint that a limb from one of the person's joints speaks for most, -1 = none."""
    found, best = -1, 0.0
    for k in range(len(_LIMBS)):
        a, b = _LIMBS[k]
        if person[missing] >= 0 or (a != missing and b != missing) or person[a + b - missing] < 0:
            continue
        p = peaks[a + b - missing, person[a + b - missing]]
        for i in range(counts[missing]):
            q = peaks[missing, i]
            length = math.sqrt((q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2)
            if taken[missing, i] or length > _WEAK_REACH * LIMB_SHARE[k] * size:
                continue
            s, e = (p, q) if b == missing else (q, p)
            mean, good = line_evidence(pafs[k], s[0], s[1], e[0], e[1], _WEAK_LEAST * least, _WEAK_SHARE)
            mean += min(_LONG_LIMB * pafs.shape[2] / max(length, 1e-6) - 1, 0.0)
            if good > _WEAK_SHARE and mean > 0 and mean + _PEAK_WEIGHT * q[2] > best:
                found, best = i, mean + _PEAK_WEIGHT * q[2]
    return found


@njit(cache=True)
def _size_of(person: I64, peaks: F32) -> float:  # pragma: no cover - compiled
    """Height of a person by the largest guess of the limbs [cells]."""
    out = 0.0
    for k in range(len(_LIMBS)):
        a, b = _LIMBS[k]
        if person[a] >= 0 and person[b] >= 0:
            p, q = peaks[a, person[a]], peaks[b, person[b]]
            out = max(out, math.sqrt((q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2) / LIMB_SHARE[k])
    return out
