"""What people did in the last seconds: ring buffers behind the plots and trails (no Qt)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xnect.skeleton.joints import JOINTS_3D, PELVIS
from xnect.structures import FrameResult, Person

Array: TypeAlias = NDArray[np.float64]


class Ring:
    """Rows of numbers with times; the oldest are overwritten."""

    def __init__(self, width: int, capacity: int) -> None:
        self._rows = np.zeros((2 * capacity, width), np.float32)
        self._times = np.zeros(2 * capacity)
        self._capacity = capacity
        self._start = self._end = 0

    def append(self, time_s: float, row: np.ndarray) -> None:
        """Add one row; a time not after the last one (seek, loop) forgets all before."""
        if self._end > self._start and time_s <= self._times[self._end - 1]:
            self._start = self._end = 0
        if self._end == 2 * self._capacity:  # move the young half to the front, so that views stay contiguous
            keep = self._capacity - 1
            self._rows[:keep] = self._rows[self._end - keep : self._end]
            self._times[:keep] = self._times[self._end - keep : self._end]
            self._start, self._end = 0, keep
        self._rows[self._end] = row
        self._times[self._end] = time_s
        self._end += 1
        self._start = max(self._start, self._end - self._capacity)

    @property
    def times_s(self) -> Array:
        """Times (N,), ascending; a view [s]."""
        return self._times[self._start : self._end]

    @property
    def rows(self) -> np.ndarray:
        """Rows float32 (N, width); a view."""
        return self._rows[self._start : self._end]


@dataclass(frozen=True)
class Quantity:
    """Something that can be plotted over time.

    Attributes:
        key: Name for menus and files, such as ``height:left_wrist`` or ``angle:left_elbow``.
        unit: Unit of the numbers as they are plotted.
        label: What a user reads.
    """

    key: str
    unit: str
    label: str


def _words(name: str) -> str:
    return name.replace("_", " ")


def quantities(angle_names: tuple[str, ...]) -> list[Quantity]:
    """Everything that can be plotted: joint angles, then heights, speeds and distances of the joints."""
    out = [Quantity(f"angle:{n}", "deg", f"Angle: {_words(n)}") for n in angle_names]
    out += [Quantity(f"height:{n}", "m", f"Height: {_words(n)}") for n in JOINTS_3D]
    out += [Quantity(f"speed:{n}", "m/s", f"Speed: {_words(n)}") for n in JOINTS_3D]
    out += [Quantity(f"distance:{n}", "m", f"Distance from camera: {_words(n)}") for n in JOINTS_3D]
    return out


class History:
    """Joints and angles of everyone for the last ``capacity`` frames."""

    def __init__(self, capacity: int = 1800, forget_s: float = 60.0) -> None:
        self._capacity = capacity
        self._forget_s = forget_s
        self._rings: dict[int, Ring] = {}
        self._angles = 0

    def clear(self) -> None:
        """Forget everyone."""
        self._rings.clear()

    def append(self, result: FrameResult) -> None:
        """Take in one frame's people; those gone for long are dropped."""
        for person in result.people:
            row = np.concatenate([person.joints_3d.reshape(-1), person.angles])
            ring = self._rings.get(person.id)
            if ring is None or len(person.angles) != self._angles:
                self._angles = len(person.angles)
                ring = self._rings[person.id] = Ring(len(row), self._capacity)
            ring.append(result.timestamp_s, row)
        for pid, ring in list(self._rings.items()):
            if not -1e-9 <= result.timestamp_s - ring.times_s[-1] <= self._forget_s:
                del self._rings[pid]

    @property
    def ids(self) -> list[int]:
        """Everyone remembered, ascending."""
        return sorted(self._rings)

    def trail(self, person_id: int, seconds: float, joint: int = PELVIS) -> np.ndarray:
        """Positions (N, 3) of a joint over the last seconds, camera space [m]."""
        ring = self._rings.get(person_id)
        if ring is None:
            return np.zeros((0, 3), np.float32)
        first = np.searchsorted(ring.times_s, ring.times_s[-1] - seconds)
        return ring.rows[first:, 3 * joint : 3 * joint + 3]

    def series(
        self,
        person_id: int,
        key: str,
        angle_names: tuple[str, ...],
        floor_y_m: float,
        level: np.ndarray | None = None,
    ) -> tuple[Array, Array]:
        """Times and values of a quantity of one person; both empty where it is not known.

        Args:
            person_id: Whose.
            key: ``Quantity.key``.
            angle_names: Names of the angle columns.
            floor_y_m: Height 0, as y after levelling [m].
            level: Rotation (3, 3) that makes a tilted camera's y axis point straight down; None = it does.
        """
        ring = self._rings.get(person_id)
        kind, _, name = key.partition(":")
        if ring is None:
            return np.zeros(0), np.zeros(0)
        t, rows = ring.times_s, ring.rows
        if kind == "angle":
            column = angle_names.index(name) if name in angle_names else self._angles
            if column >= self._angles:
                return np.zeros(0), np.zeros(0)
            return t, np.degrees(np.unwrap(rows[:, 3 * len(JOINTS_3D) + column].astype(np.float64)))
        joint = JOINTS_3D.index(name)
        xyz = rows[:, 3 * joint : 3 * joint + 3].astype(np.float64)
        if kind == "height":
            return t, floor_y_m - (xyz[:, 1] if level is None else xyz @ level[1])
        if kind == "distance":
            return t, np.linalg.norm(xyz, axis=1)
        if len(t) < 2:
            return np.zeros(0), np.zeros(0)
        return t[1:], np.linalg.norm(np.diff(xyz, axis=0), axis=1) / np.diff(t)


def _chain(*names: str) -> list[tuple[int, int]]:
    joints = [JOINTS_3D.index(n) for n in names]
    return list(pairwise(joints))


_TRUNK = _chain("head_top", "head", "neck", "spine", "pelvis")
_LEGS = [bone for s in ("right", "left") for bone in _chain(f"{s}_hip", f"{s}_knee", f"{s}_ankle")]
_FROM, _TO = np.array(_TRUNK + _LEGS).T


def person_height_m(person: Person) -> float:
    """Body height told by the bones: head to neck to pelvis to the longer leg [m]."""
    bones = person.joints_3d[_FROM] - person.joints_3d[_TO]
    lengths = np.sqrt(np.einsum("ij,ij->i", bones, bones)).tolist()
    legs = lengths[len(_TRUNK) :]
    return float(sum(lengths[: len(_TRUNK)]) + max(sum(legs[:2]), sum(legs[2:])) + 0.07)  # the ankle lies 7 cm high
