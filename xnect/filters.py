"""1-euro filters (Casiez, Roussel and Vogel, CHI 2012) for many people at once, with the true time between frames.

A low-pass filter whose cut-off rises with speed: little jitter when still, little lag when fast. State is kept in
arrays with one row a person; rows are handed out by the caller.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.structures import F64, I64, Bool

#: A value that was missing for longer starts afresh [s].
RESTART_S = 0.5


@njit(cache=True)
def _blend(cutoff: float, dt: float) -> float:
    """Weight of the new value in a low-pass filter of first order."""
    step = 2.0 * np.pi * cutoff * dt
    return step / (step + 1.0)


@njit(cache=True)
def _filter_rows(
    rows: I64, values: F64, dt: F64, valid: Bool, scale: F64, state: F64, speed: F64, age: F64, settings: F64
) -> None:
    """One frame, ``values`` (R, K, C) filtered in place; state and speed are (rows, K, C), age (rows, K)."""
    min_cutoff, beta, derivative_cutoff = settings[0], settings[1], settings[2]
    items, channels = values.shape[1], values.shape[2]
    for r in range(len(rows)):
        row = rows[r]
        for k in range(items):
            gap = age[row, k] + dt[r]
            age[row, k] = gap
            if not valid[r, k]:
                if gap < RESTART_S:
                    values[r, k] = state[row, k]
                continue
            age[row, k] = 0.0
            if not gap < RESTART_S:
                state[row, k] = values[r, k]
                speed[row, k] = 0.0
                continue
            smooth, squares = _blend(derivative_cutoff, gap), 0.0
            for c in range(channels):
                raw = (values[r, k, c] - state[row, k, c]) / gap
                speed[row, k, c] += smooth * (raw - speed[row, k, c])
                squares += speed[row, k, c] ** 2
            weight = _blend(min_cutoff + beta * scale[r] * np.sqrt(squares), gap)
            for c in range(channels):
                state[row, k, c] += weight * (values[r, k, c] - state[row, k, c])
                values[r, k, c] = state[row, k, c]


class OneEuroFilter:
    """Filters vectors of several items a person, for example 14 joints of 2 coordinates each.

    The coordinates of an item share one cut-off, from the length of its velocity, so the result does not depend on
    the axes.
    """

    def __init__(self, items: int, channels: int, min_cutoff: float, beta: float, derivative_cutoff: float) -> None:
        """Makes a filter without people.

        Args:
            items: Items a person (K).
            channels: Coordinates an item (C).
            min_cutoff: Cut-off of a still item [Hz].
            beta: Rise of the cut-off with speed [Hz per unit a second].
            derivative_cutoff: Cut-off of the speed's own filter [Hz].
        """
        self._settings = np.array([min_cutoff, beta, derivative_cutoff], np.float64)
        self._state = np.zeros((0, items, channels))
        self._speed = np.zeros((0, items, channels))
        self._age = np.zeros((0, items))

    def reset(self, rows: I64) -> None:
        """Forget what is known of these rows; makes room for them where needed."""
        if len(rows) == 0:
            return
        short = int(rows.max()) + 1 - len(self._age)
        if short > 0:
            self._state = np.concatenate([self._state, np.zeros((short, *self._state.shape[1:]))])
            self._speed = np.concatenate([self._speed, np.zeros((short, *self._speed.shape[1:]))])
            self._age = np.concatenate([self._age, np.full((short, self._age.shape[1]), np.inf)])
        self._age[rows] = np.inf
        self._speed[rows] = 0.0

    def __call__(
        self,
        rows: I64,
        values: np.ndarray,
        dt_s: F64,
        valid: Bool | None = None,
        scale: F64 | None = None,
    ) -> F64:
        """Filter one frame of some people.

        Args:
            rows: Row of each person, int64 (R,), each reset once before its first use.
            values: (R, K, C).
            dt_s: Time since each person's last call, (R,) [s].
            valid: Items that were measured, bool (R, K), None = all. The others keep their last value for a short
                time and pass through after that.
            scale: Factor on the speed of each person, (R,), None = 1.

        Returns:
            Filtered values, float64 (R, K, C).
        """
        out = np.array(values, np.float64, order="C")
        everything = np.ones(out.shape[:2], np.bool_) if valid is None else np.ascontiguousarray(valid)
        factor = np.ones(len(out)) if scale is None else np.asarray(scale, np.float64)
        dt_s = np.maximum(np.asarray(dt_s, np.float64), 1e-6)
        _filter_rows(rows, out, dt_s, everything, factor, self._state, self._speed, self._age, self._settings)
        return out


class RotationFilter:
    """A 1-euro filter on unit quaternions: the angular speed sets how far to go along the arc to the new value."""

    def __init__(self, min_cutoff: float, beta: float, derivative_cutoff: float) -> None:
        """Makes a filter without people.

        Args:
            min_cutoff: Cut-off at rest [Hz].
            beta: Rise of the cut-off with angular speed [Hz per rad/s].
            derivative_cutoff: Cut-off of the speed's own filter [Hz].
        """
        self._settings = (min_cutoff, beta, derivative_cutoff)
        self._state = np.zeros((0, 4))
        self._speed = np.zeros((0, 3))
        self._age = np.zeros(0)

    def reset(self, rows: I64) -> None:
        """Forget what is known of these rows; makes room for them where needed."""
        if len(rows) == 0:
            return
        short = int(rows.max()) + 1 - len(self._age)
        if short > 0:
            self._state = np.concatenate([self._state, np.tile([1.0, 0.0, 0.0, 0.0], (short, 1))])
            self._speed = np.concatenate([self._speed, np.zeros((short, 3))])
            self._age = np.concatenate([self._age, np.full(short, np.inf)])
        self._age[rows] = np.inf
        self._speed[rows] = 0.0

    def __call__(self, rows: I64, quaternions: np.ndarray, dt_s: F64) -> F64:
        """Filter one frame of some people.

        Args:
            rows: Row of each person, int64 (R,), each reset once before its first use.
            quaternions: Unit quaternions w, x, y, z, (R, 4).
            dt_s: Time since each person's last call, (R,) [s].

        Returns:
            Unit quaternions, float64 (R, 4).
        """
        min_cutoff, beta, derivative_cutoff = self._settings
        new = np.asarray(quaternions, np.float64)
        old = self._state[rows]
        gap = self._age[rows] + np.maximum(np.asarray(dt_s, np.float64), 1e-6)
        fresh = ~(gap < RESTART_S)
        gap = np.where(fresh, 1.0, gap)
        turn = rotation_vector(multiplied(new, conjugated(old)))
        smooth = (2 * np.pi * derivative_cutoff * gap)[:, None]
        smooth = smooth / (smooth + 1)
        speed = self._speed[rows] + smooth * (turn / gap[:, None] - self._speed[rows])
        step = 2 * np.pi * (min_cutoff + beta * np.linalg.norm(speed, axis=1)) * gap
        weight = (step / (step + 1))[:, None]
        out = multiplied(quaternion_from_vector(weight * turn), old)
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        self._state[rows] = np.where(fresh[:, None], new, out)
        self._speed[rows] = np.where(fresh[:, None], 0.0, speed)
        self._age[rows] = 0.0
        return self._state[rows]


def conjugated(q: np.ndarray) -> np.ndarray:
    """The inverse of unit quaternions (..., 4)."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def multiplied(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products of quaternions (..., 4) w, x, y, z: first ``b``, then ``a``."""
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def rotation_vector(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) -> rotation vectors (..., 3) [rad], the shorter way round."""
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)


def quaternion_from_vector(v: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) [rad] -> unit quaternions (..., 4)."""
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), v * (0.5 * np.sinc(angle / (2 * np.pi)))], -1)
