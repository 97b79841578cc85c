"""What the fit remembers of each person: the last body, its speed, and where that would lead by now."""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.skeleton.kinematics import SKELETON
from xnect.stages.fit_tree import turned
from xnect.structures import F64, I64, Bool

#: Time between frames where there is no earlier one [s].
FIRST_STEP_S = 1 / 30
#: Frames are taken to be no closer and no further apart than this [s].
SHORTEST_STEP_S, LONGEST_STEP_S = 1e-3, 1.0
#: The speed of someone who is not seen falls by the factor e in this time [s].
SPEED_DECAY_S = 0.12
#: Share of the speed with which people are expected to go on.
MOMENTUM = 0.7
#: Nobody turns a joint, turns round or walks faster than this [rad/s], [rad/s], [m/s].
FASTEST_ANGLE, FASTEST_TURN, FASTEST_ROOT = 15.0, 10.0, 8.0
#: Where somebody stands of whom nothing was ever seen [m]; upright and facing the camera.
UNSEEN_ROOT_M = (0.0, 0.0, 3.0)
FACING_CAMERA: F64 = np.diag([1.0, -1.0, -1.0])


class PersonStates:
    """One row a person; rows are handed out by id and used again.

    Attributes:
        root_m: (N, 3), rotation: (N, 3, 3), angles_rad: (N, D): the last body.
        known: bool (N,), whether there is a last body.
        time_s: When that body was, (N,).
        seen_s: When the person was last seen, (N,).
        inferred: bool (N, 21), of the last frame in which the person was seen.
    """

    def __init__(self) -> None:
        angles = len(SKELETON.angle_names)
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []
        self.root_m = np.zeros((0, 3))
        self.rotation = np.zeros((0, 3, 3))
        self.angles_rad = np.zeros((0, angles))
        self._root_speed = np.zeros((0, 3))
        self._turn_speed = np.zeros((0, 3))
        self._angle_speed = np.zeros((0, angles))
        self.known = np.zeros(0, np.bool_)
        self.time_s = np.zeros(0)
        self.seen_s = np.zeros(0)
        self.inferred = np.zeros((0, 21), np.bool_)

    def rows(self, ids: I64) -> tuple[I64, I64]:
        """Rows of these people, (T,), and which of the rows are new; everyone else is forgotten."""
        wanted = ids.tolist()
        if len(wanted) != len(self._row_of) or any(i not in self._row_of for i in wanted):
            keep = set(wanted)
            for gone in [i for i in self._row_of if i not in keep]:
                self._free.append(self._row_of.pop(gone))
        fresh = [i for i in wanted if i not in self._row_of]
        if len(fresh) > len(self._free):
            self._grow(len(fresh) - len(self._free))
        for i in fresh:
            self._row_of[i] = self._free.pop()
        new = np.array([self._row_of[i] for i in fresh], np.int64)
        self._clear(new)
        return np.array([self._row_of[i] for i in wanted], np.int64), new

    def _grow(self, count: int) -> None:
        have = len(self.known)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, np.concatenate([value, np.zeros((count, *value.shape[1:]), value.dtype)]))
        self._free.extend(range(have + count - 1, have - 1, -1))

    def _clear(self, rows: I64) -> None:
        self.root_m[rows] = UNSEEN_ROOT_M
        self.rotation[rows] = FACING_CAMERA
        self.angles_rad[rows] = SKELETON.rest_rad
        self.known[rows] = False
        self.inferred[rows] = True
        self.stop(rows)

    def stop(self, rows: I64) -> None:
        """Set the speeds to zero."""
        self._root_speed[rows] = 0.0
        self._turn_speed[rows] = 0.0
        self._angle_speed[rows] = 0.0

    def step_s(self, rows: I64, now_s: float) -> F64:
        """Time since the last body of each person, (R,) [s]."""
        step = np.where(self.known[rows], now_s - self.time_s[rows], FIRST_STEP_S)
        return np.minimum(np.maximum(step, SHORTEST_STEP_S), LONGEST_STEP_S)

    def predicted(self, rows: I64, step_s: F64) -> tuple[F64, F64, F64]:
        """Root (R, 3), rotation (R, 3, 3) and angles (R, D) after a step with most of the present speed."""
        return self._moved(rows, MOMENTUM * step_s)

    def _moved(self, rows: I64, ahead: F64) -> tuple[F64, F64, F64]:
        return _ahead(
            rows, ahead, self.root_m, self.rotation, self.angles_rad,
            self._root_speed, self._turn_speed, self._angle_speed, SKELETON.limits_rad,
        )  # fmt: skip

    def take(self, rows: I64, body: tuple[F64, F64, F64], step_s: F64, restarted: Bool, now_s: float) -> None:
        """Remember fitted bodies; ``restarted`` ones have no speed."""
        _take(
            rows, *body, step_s, restarted, self.root_m, self.rotation, self.angles_rad,
            self._root_speed, self._turn_speed, self._angle_speed,
        )  # fmt: skip
        self.known[rows] = True
        self.time_s[rows] = now_s
        self.seen_s[rows] = now_s

    def coast(self, rows: I64, step_s: F64, now_s: float) -> None:
        """Let people who are not seen run on and come to rest."""
        left = np.exp(-step_s / SPEED_DECAY_S)[:, None]
        ahead = SPEED_DECAY_S * (1 - left[:, 0])
        root, rotation, angles = self._moved(rows, ahead)
        root[:, 2] = np.maximum(root[:, 2], 0.5 * self.root_m[rows, 2])  # nobody runs through the camera
        self.root_m[rows] = root
        self.rotation[rows] = rotation
        self.angles_rad[rows] = angles
        for speed in (self._root_speed, self._turn_speed, self._angle_speed):
            speed[rows] *= left
        self.time_s[rows] = now_s


@njit(cache=True)
def _ahead(
    rows: I64, ahead: F64, root: F64, rotation: F64, angles: F64, root_speed: F64, turn_speed: F64, angle_speed: F64,
    limits: F64,
) -> tuple[F64, F64, F64]:  # pragma: no cover - compiled  # fmt: skip
    """Bodies of some rows ``ahead`` (R,) seconds on at their speeds, angles inside their limits."""
    count, bends = len(rows), angles.shape[1]
    new_root, vectors, before = np.empty((count, 3)), np.empty((count, 3)), np.empty((count, 3, 3))
    new_angles = np.empty((count, bends))
    for i in range(count):
        n, time = rows[i], ahead[i]
        for a in range(3):
            new_root[i, a] = root[n, a] + time * root_speed[n, a]
            vectors[i, a] = time * turn_speed[n, a]
            for b in range(3):
                before[i, a, b] = rotation[n, a, b]
        for d in range(bends):
            new_angles[i, d] = min(max(angles[n, d] + time * angle_speed[n, d], limits[d, 0]), limits[d, 1])
    return new_root, turned(vectors, before), new_angles


@njit(cache=True)
def _speed(change: float, per_s: float, fastest: float) -> float:
    return min(max(change * per_s, -fastest), fastest)


@njit(cache=True)
def _take(
    rows: I64, new_root: F64, new_rotation: F64, new_angles: F64, step_s: F64, restarted: Bool,
    root: F64, rotation: F64, angles: F64, root_speed: F64, turn_speed: F64, angle_speed: F64,
) -> None:  # pragma: no cover - compiled  # fmt: skip
    """Put new bodies in the place of the old ones, and what they moved a second into the speeds (0 if restarted)."""
    for i in range(len(rows)):
        n, per_s = rows[i], 0.0 if restarted[i] else 1 / step_s[i]
        for k in range(3):
            root_speed[n, k] = _speed(new_root[i, k] - root[n, k], per_s, FASTEST_ROOT)
            root[n, k] = new_root[i, k]
            a, b = (k + 1) % 3, (k + 2) % 3
            twist = 0.0  # of new times old transposed: for the small turns of one frame twice the rotation vector
            for m in range(3):
                twist += new_rotation[i, b, m] * rotation[n, a, m] - new_rotation[i, a, m] * rotation[n, b, m]
            turn_speed[n, k] = _speed(0.5 * twist, per_s, FASTEST_TURN)
        for a in range(3):
            for b in range(3):
                rotation[n, a, b] = new_rotation[i, a, b]
        for d in range(angles.shape[1]):
            angle_speed[n, d] = _speed(new_angles[i, d] - angles[n, d], per_s, FASTEST_ANGLE)
            angles[n, d] = new_angles[i, d]
