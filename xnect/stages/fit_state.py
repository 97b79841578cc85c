"""What the fit remembers of each person: the last body, its speed, and where that would lead by now."""

from __future__ import annotations

import numpy as np

from xnect.skeleton.kinematics import SKELETON
from xnect.skeleton.limits import clamp
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
        return np.clip(step, SHORTEST_STEP_S, LONGEST_STEP_S)

    def predicted(self, rows: I64, step_s: F64) -> tuple[F64, F64, F64]:
        """Root (R, 3), rotation (R, 3, 3) and angles (R, D) after a step with most of the present speed."""
        ahead = (MOMENTUM * step_s)[:, None]
        return self._moved(rows, ahead)

    def _moved(self, rows: I64, ahead: F64) -> tuple[F64, F64, F64]:
        root = self.root_m[rows] + ahead * self._root_speed[rows]
        rotation = turned(ahead * self._turn_speed[rows], self.rotation[rows])
        angles = clamp(self.angles_rad[rows] + ahead * self._angle_speed[rows], SKELETON.limits_rad)
        return root, rotation, angles

    def take(self, rows: I64, body: tuple[F64, F64, F64], step_s: F64, restarted: Bool, now_s: float) -> None:
        """Remember fitted bodies; ``restarted`` ones have no speed."""
        root, rotation, angles = body
        per_s = (1 / step_s)[:, None]
        turn = rotation @ np.swapaxes(self.rotation[rows], -1, -2)
        sine = 0.5 * np.stack(
            [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], -1
        )  # the rotation vector for the small turns of one frame
        for speed, change, fastest in (
            (self._root_speed, root - self.root_m[rows], FASTEST_ROOT),
            (self._turn_speed, sine, FASTEST_TURN),
            (self._angle_speed, angles - self.angles_rad[rows], FASTEST_ANGLE),
        ):
            speed[rows] = np.where(restarted[:, None], 0.0, np.clip(change * per_s, -fastest, fastest))
        self.root_m[rows] = root
        self.rotation[rows] = rotation
        self.angles_rad[rows] = angles
        self.known[rows] = True
        self.time_s[rows] = now_s
        self.seen_s[rows] = now_s

    def coast(self, rows: I64, step_s: F64, now_s: float) -> None:
        """Let people who are not seen run on and come to rest."""
        left = np.exp(-step_s / SPEED_DECAY_S)[:, None]
        ahead = SPEED_DECAY_S * (1 - left)
        root, rotation, angles = self._moved(rows, ahead)
        root[:, 2] = np.maximum(root[:, 2], 0.5 * self.root_m[rows, 2])  # nobody runs through the camera
        self.root_m[rows] = root
        self.rotation[rows] = rotation
        self.angles_rad[rows] = angles
        for speed in (self._root_speed, self._turn_speed, self._angle_speed):
            speed[rows] *= left
        self.time_s[rows] = now_s
