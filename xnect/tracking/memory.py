"""What is remembered of people from frame to frame, and how a frame moves and mends it, in compiled loops."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from xnect.skeleton.joints import FLIP_2D
from xnect.structures import F32, I64, Bool
from xnect.tracking.appearance import blend
from xnect.tracking.cues import Cues

#: Response of the speed estimate, and how fast the speed of a person out of sight dies away [s].
_SPEED_TIME, _SPEED_MEMORY = 0.08, 0.4
#: How long a joint that is hidden while its person is seen is still expected where it was [s].
_JOINT_MEMORY = 0.5
#: Response of the running means of size and depth, and of colours [s].
_SIZE_TIME, _COLOUR_TIME = 0.3, 1.0
#: People nearer to each other than this [body heights] hide each other: their colours are not learnt.
_CROWDED = 0.3


class Memory(NamedTuple):
    """How N people have fared.

    Attributes:
        ids: int64 (N,), ascending.
        speed: (N, 2), of the whole body in the picture [px/s].
        unseen_s: (N,), time since last found [s].
        age_s: (N,), time since first found [s].
        hits: int64 (N,), frames in which the person was found.
        missed: int64 (N,), frames since then.
        confirmed: bool (N,), found in enough frames.
        backing: int64 (N,), frames in which the person was surely found, less the others.
    """

    ids: I64
    speed: F32
    unseen_s: F32
    age_s: F32
    hits: I64
    missed: I64
    confirmed: Bool
    backing: I64


def newborn(ids: I64, confirmed: bool) -> Memory:
    """People found for the first time."""
    count = len(ids)
    return Memory(
        ids,
        np.zeros((count, 2), np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
        np.ones(count, np.int64),
        np.zeros(count, np.int64),
        np.full(count, confirmed),
        np.ones(count, np.int64),
    )


@njit(cache=True)
def predict(cues: Cues, memory: Memory, step_s: float) -> None:
    """Move everybody, in place, to where they are expected after ``step_s``."""
    fade = math.exp(-step_s / _SPEED_MEMORY)
    for n in range(len(memory.ids)):
        for axis in range(2):
            move = step_s * memory.speed[n, axis]
            for j in range(cues.joints_px.shape[1]):
                cues.joints_px[n, j, axis] += move
            if memory.missed[n] > 0:
                memory.speed[n, axis] *= fade
        memory.unseen_s[n] += step_s
        memory.age_s[n] += step_s
        memory.missed[n] += 1


@njit(cache=True)
def _adopt_joints(cues: Cues, n: int, found: Cues, m: int, mirrored: bool, fade: float, move: np.ndarray) -> None:
    """Take over the 2D joints that are seen, move the others along; ``move`` becomes the body's shift [px]."""
    count = cues.seen.shape[1]
    old, old_seen = np.empty((count, 2)), np.empty(count)
    total = 1e-6
    move[:] = 0
    for j in range(count):
        k = FLIP_2D[j] if mirrored else j
        old[j], old_seen[j] = cues.joints_px[n, k], cues.seen[n, k]
        weight = old_seen[j] * found.seen[m, j]
        total += weight
        for axis in range(2):
            move[axis] += weight * (found.joints_px[m, j, axis] - old[j, axis])
    move /= total
    for j in range(count):
        if found.seen[m, j] > 0:
            cues.joints_px[n, j], cues.seen[n, j] = found.joints_px[m, j], found.seen[m, j]
        else:
            faded = old_seen[j] * fade
            cues.joints_px[n, j] = old[j] + move
            cues.seen[n, j] = faded if faded > 0.05 else 0.0


@njit(cache=True)
def learn(
    cues: Cues, memory: Memory, known: I64, found: Cues, new: I64, mirrored: Bool, apart: np.ndarray, step_s: float
) -> None:
    """Bring the people ``known`` up to date, in place, from the rows ``new`` of this frame's people.

    Args:
        cues: Of everybody, moved to now.
        memory: Of everybody.
        known: Rows of those who were found.
        found: This frame's people.
        new: Their rows, in the order of ``known``.
        mirrored: Whether right and left are exchanged between the two, in the same order.
        apart: Distance of each of this frame's people to the nearest other [body heights].
        step_s: Time since the last frame [s].
    """
    fade, move = math.exp(-step_s / _JOINT_MEMORY), np.zeros(2)
    for i in range(len(known)):
        n, m = known[i], new[i]
        away = memory.unseen_s[n]
        _adopt_joints(cues, n, found, m, mirrored[i], fade, move)
        response = (1 - math.exp(-away / _SPEED_TIME)) / max(away, 1e-3)
        for axis in range(2):
            memory.speed[n, axis] += response * move[axis]
        share = 1 - math.exp(-away / _SIZE_TIME)
        cues.stature_px[n] += share * (found.stature_px[m] - cues.stature_px[n])
        if found.root_m[m, 2] > 0:
            share = share if cues.root_m[n, 2] > 0 else 1.0
            for axis in range(3):
                cues.root_m[n, axis] += share * (found.root_m[m, axis] - cues.root_m[n, axis])
        cues.joints_m[n], cues.trust[n] = found.joints_m[m], found.trust[m]
        rate = 1 - math.exp(-away / _COLOUR_TIME) if apart[m] >= _CROWDED else 0.0
        blend(cues.colours[n], cues.colour_weight[n], found.colours[m], found.colour_weight[m], rate)
        memory.hits[n] += 1
        memory.unseen_s[n] = 0
        memory.missed[n] = 0
