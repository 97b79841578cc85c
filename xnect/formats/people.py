"""People of one frame or of a whole recording as arrays with a leading row axis, and what all formats derive from them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D
from xnect.structures import F32, I64, STATE_NAMES, Bool, Frame, FrameResult, Person

#: The 2D joints whose confidence each 3D joint rests on (the least of them counts).
_EVIDENCE = {
    "head_top": ("nose",), "head": ("nose",), "pelvis": ("right_hip", "left_hip"),
    "spine": ("neck", "right_hip", "left_hip"), "right_hand": ("right_wrist",), "left_hand": ("left_wrist",),
    "right_toe": ("right_ankle",), "left_toe": ("left_ankle",),
}  # fmt: skip
_EVIDENCE_INDEX = np.array([([JOINTS_2D.index(n) for n in _EVIDENCE.get(name, (name,))] * 6)[:6] for name in JOINTS_3D])


#: Largest values that can be meant: pixels, metres, radians.
LIMIT_PX, LIMIT_M, LIMIT_RAD = 1e6, 1e5, 1e4
LIMITS = {
    "box": LIMIT_PX, "joints_2d": LIMIT_PX, "joints_3d": LIMIT_M, "root_position": LIMIT_M, "angles": LIMIT_RAD,
    "offsets": LIMIT_M,
}  # fmt: skip
#: How far a rotation's quaternion may be from length 1.
UNIT_TOLERANCE = 0.009


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Rows of people; N is the number of rows, D that of angles, B that of bones.

    Attributes:
        ids: int64 (N,).
        state: int64 (N,), index into ``STATE_NAMES``.
        score: float32 (N,), 0 to 1.
        box: float32 (N, 4), x0, y0, x1, y1 [px].
        joints_2d: float32 (N, 14, 2) [px]; 0 where not seen.
        confidence_2d: float32 (N, 14), 0 = not seen.
        joints_3d: float32 (N, 21, 3), camera space [m].
        inferred: bool (N, 21), True where no image evidence backs the joint.
        root_position: float32 (N, 3), camera space [m].
        root_rotation: float32 (N, 4), unit quaternion w, x, y, z.
        angles: float32 (N, D) [rad].
        offsets: float32 (N, B, 3), bone offsets in the rest pose [m].
    """

    ids: I64
    state: I64
    score: F32
    box: F32
    joints_2d: F32
    confidence_2d: F32
    joints_3d: F32
    inferred: Bool
    root_position: F32
    root_rotation: F32
    angles: F32
    offsets: F32

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Any) -> People:
        """The given rows (a mask, indices or a slice)."""
        return People(*(getattr(self, f.name)[rows] for f in fields(self)))

    def finite(self) -> Bool:
        """Which rows hold finite numbers only, bool (N,)."""
        good = np.ones(len(self), bool)
        for f in fields(self):
            values = np.isfinite(getattr(self, f.name))
            good &= values.all(tuple(range(1, values.ndim)))
        return good

    def sound(self) -> Bool:
        """Which rows a recording may hold (what the loader accepts), bool (N,): finite, in range, each id once."""
        good = self.finite()
        for name, limit in LIMITS.items():
            values = np.abs(getattr(self, name)) <= limit
            good &= values.all(tuple(range(1, values.ndim)))
        good &= np.abs(np.linalg.norm(self.root_rotation, axis=1) - 1) < UNIT_TOLERANCE
        first = np.zeros(len(self), bool)
        first[np.unique(self.ids, return_index=True)[1]] = True
        return good & first & (self.ids >= 0)

    def person(self, row: int) -> Person:
        """One row as users see it."""
        return Person(
            id=int(self.ids[row]),
            joints_2d=self.joints_2d[row],
            confidence_2d=self.confidence_2d[row],
            joints_3d=self.joints_3d[row],
            inferred=self.inferred[row],
            angles=self.angles[row],
            root=(self.root_position[row], self.root_rotation[row]),
            box=self.box[row],
            score=float(self.score[row]),
            state=STATE_NAMES[self.state[row]],
            offsets=self.offsets[row],
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameRecord:
    """One frame as the writers get it.

    Attributes:
        frame: The picture with its number and time; None where a recording is converted.
        result: Who was found.
        people: The same as arrays, finite numbers only.
    """

    frame: Frame | None
    result: FrameResult
    people: People


class Writer(Protocol):
    """One format that is written while the frames come."""

    def write(self, record: FrameRecord) -> None:
        """Write one frame."""

    def close(self) -> None:
        """Finish; called once, also after a fault."""


def empty_people(angles: int, bones: int) -> People:
    """No rows, with the right widths."""
    z = np.zeros
    f = np.float32
    return People(
        z(0, np.int64), z(0, np.int64), z(0, f), z((0, 4), f), z((0, 14, 2), f), z((0, 14), f), z((0, 21, 3), f),
        z((0, 21), bool), z((0, 3), f), z((0, 4), f), z((0, angles), f), z((0, bones, 3), f),
    )  # fmt: skip


def people_of(result: FrameResult, angles: int, bones: int) -> People:
    """A frame's ``Person`` objects as arrays; raises ValueError where a person's arrays have another width."""
    persons = result.people
    if not persons:
        return empty_people(angles, bones)

    def stack(name: str, *shape: int) -> Any:
        return np.stack([np.asarray(getattr(p, name), np.float32).reshape(shape) for p in persons])

    return People(
        ids=np.array([p.id for p in persons], np.int64),
        state=np.array([STATE_NAMES.index(p.state) for p in persons], np.int64),
        score=np.array([p.score for p in persons], np.float32),
        box=stack("box", 4),
        joints_2d=stack("joints_2d", 14, 2),
        confidence_2d=stack("confidence_2d", 14),
        joints_3d=stack("joints_3d", 21, 3),
        inferred=np.stack([np.asarray(p.inferred, bool).reshape(21) for p in persons]),
        root_position=np.stack([np.asarray(p.root[0], np.float32).reshape(3) for p in persons]),
        root_rotation=np.stack([np.asarray(p.root[1], np.float32).reshape(4) for p in persons]),
        angles=stack("angles", angles),
        offsets=stack("offsets", bones, 3),
    )


def confidence_3d(people: People) -> F32:
    """Confidence of each 3D joint, float32 (N, 21): that of the 2D joints it rests on, 0 where it is inferred."""
    least = people.confidence_2d[:, _EVIDENCE_INDEX].min(-1)
    return np.where(people.inferred, np.float32(0), least).astype(np.float32)
