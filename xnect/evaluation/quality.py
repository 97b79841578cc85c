"""How good a recording looks without any truth: restlessness, rigid bones, skating feet, ids, gaps, guessed joints."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from xnect.errors import FormatError
from xnect.evaluation import metrics
from xnect.formats.recording import Recording
from xnect.skeleton.joints import JOINTS_3D, PARENTS_3D, PELVIS
from xnect.structures import F64, I64

#: Somebody who vanishes and somebody new so near in time and place are taken for one person who changed ids.
SAME_PERSON_S, SAME_PERSON_M = 1.0, 0.5
#: Nobody is faster: a quicker step of the pelvis is a jump of the estimate [m/s].
FASTEST_M_S = 12.0
_FEET = [JOINTS_3D.index(n) for n in ("right_ankle", "left_ankle", "right_toe", "left_toe")]
_BONES = np.array([(k, p) for k, p in enumerate(PARENTS_3D) if k != p])


@dataclass(frozen=True, slots=True)
class Quality:
    """Label-free figures of a recording; None where there is too little to tell.

    Attributes:
        frames: Frames recorded.
        length_s: From the first frame to the last [s].
        rate_hz: Frames a second, by the median step.
        dropped: Frames of the source that are missing in between.
        longest_gap_s: Longest time between two frames [s].
        people: People a frame, mean.
        ids: How many ids were given.
        fragments: How often an id came back after frames without it.
        id_changes: How often an id ended and a new one began within a second and half a metre: likely one person.
        jumps: Steps of a pelvis that nobody could walk (faster than 12 m/s).
        jitter_m_s2: Mean acceleration of the joints relative to the pelvis [m/s^2].
        root_jitter_m_s2: Mean acceleration of the pelvis [m/s^2].
        bone_drift: Standard deviation of bone lengths over time, relative to their mean.
        skating_m_s: Mean speed of feet that stand [m/s].
        inferred: Share of joints without evidence in the picture.
    """

    frames: int
    length_s: float
    rate_hz: float | None
    dropped: int
    longest_gap_s: float
    people: float
    ids: int
    fragments: int
    id_changes: int
    jumps: int
    jitter_m_s2: float | None
    root_jitter_m_s2: float | None
    bone_drift: float | None
    skating_m_s: float | None
    inferred: float | None

    def as_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)


def runs(recording: Recording) -> list[I64]:
    """Rows of each stretch in which one id is there frame after frame, by id and time; int64 arrays of rows."""
    people = recording.people
    order = np.lexsort((recording.row_frame, people.ids))
    if not len(order):
        return []
    ids, place = people.ids[order], recording.row_frame[order]
    step = np.diff(recording.times_s[place])
    cut = (np.diff(ids) != 0) | (np.diff(place) != 1) | (step <= 0)
    return np.split(order, np.flatnonzero(cut) + 1)


def up_vector(tilt_deg: float = 0.0) -> F64:
    """Upwards in camera space for a camera that looks down by so many degrees, unit float64 (3,)."""
    tilt = math.radians(tilt_deg)
    return np.array([0.0, -math.cos(tilt), -math.sin(tilt)])


def _weighted(pairs: list[tuple[float, float]]) -> float | None:
    """Mean of (value, weight) pairs, None where nothing weighs."""
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def _motion(recording: Recording, pieces: list[I64], up: F64) -> tuple[float | None, float | None, float | None]:
    """Jitter of the joints, of the pelvis, and skating of the feet."""
    joints = recording.people.joints_3d.astype(np.float64)
    limbs, roots, feet = [], [], []
    for rows in pieces:
        if len(rows) < 3:
            continue
        time_s, points = recording.times_s[recording.row_frame[rows]], joints[rows]
        pelvis = points[:, [PELVIS]]
        moving = np.delete(points - pelvis, PELVIS, axis=1)
        limbs.append((metrics.jitter(moving, time_s), len(rows) - 2.0))
        roots.append((metrics.jitter(pelvis, time_s), len(rows) - 2.0))
        standing = metrics.contacts(points[:, _FEET], time_s, up)
        steps = float((standing[1:] & standing[:-1]).sum())
        feet.append((metrics.foot_skating(points[:, _FEET], standing, time_s, up), steps))
    return _weighted(limbs), _weighted(roots), _weighted(feet)


def _drift(recording: Recording) -> float | None:
    people = recording.people
    pairs = []
    for one in recording.ids:
        joints = people.joints_3d[people.ids == one]
        if len(joints) > 1:
            pairs.append((metrics.bone_drift(joints, _BONES), float(len(joints))))
    return _weighted(pairs)


def _id_changes(recording: Recording) -> int:
    """How many ids take up where another one ended."""
    people, times_s = recording.people, recording.times_s[recording.row_frame]
    order = np.lexsort((recording.row_frame, people.ids))
    ids, first = np.unique(people.ids[order], return_index=True)
    if len(ids) < 2:
        return 0
    last = np.append(first[1:], len(order)) - 1
    begin, end = order[first], order[last]
    wait = times_s[begin][None] - times_s[end][:, None]
    away = np.linalg.norm(people.root_position[end][:, None] - people.root_position[begin][None], axis=-1)
    near = (wait > 0) & (wait <= SAME_PERSON_S) & (away <= SAME_PERSON_M)
    rows, columns = linear_sum_assignment(near, maximize=True)
    return int(near[rows, columns].sum())


def _jumps(recording: Recording, pieces: list[I64]) -> int:
    count = 0
    for rows in pieces:
        step_s = np.diff(recording.times_s[recording.row_frame[rows]])
        root = recording.people.joints_3d[rows, PELVIS].astype(np.float64)
        count += int((np.linalg.norm(np.diff(root, axis=0), axis=-1) > FASTEST_M_S * step_s).sum())
    return count


def quality(recording: Recording, up: F64 | None = None) -> Quality:
    """Figures of a recording made by a camera that stood still.

    Args:
        recording: As ``load`` gives it.
        up: Unit vector upwards in the recording's axes, float64 (3,); None = the picture's.

    Raises:
        FormatError: The recording has no frames.
    """
    if not len(recording):
        raise FormatError("the recording has no frames")
    pieces = runs(recording)
    limbs, root, feet = _motion(recording, pieces, up_vector() if up is None else up)
    steps = np.diff(recording.times_s)
    rising = steps[steps > 0]
    frames = len(recording)
    return Quality(
        frames=frames,
        length_s=float(recording.times_s[-1] - recording.times_s[0]),
        rate_hz=float(1 / np.median(rising)) if len(rising) else None,
        dropped=int(recording.frames[-1] - recording.frames[0]) + 1 - frames,
        longest_gap_s=float(steps.max()) if len(steps) else 0.0,
        people=len(recording.people) / frames,
        ids=len(recording.ids),
        fragments=len(pieces) - len(recording.ids),
        id_changes=_id_changes(recording),
        jumps=_jumps(recording, pieces),
        jitter_m_s2=limbs,
        root_jitter_m_s2=root,
        bone_drift=_drift(recording),
        skating_m_s=feet,
        inferred=float(recording.people.inferred.mean()) if len(recording.people) else None,
    )
