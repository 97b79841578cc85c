"""1-euro filters (Casiez, Roussel and Vogel, CHI 2012) for many people at once, with the true time between frames.

A low-pass filter whose cut-off rises with speed: little jitter when still, little lag when fast. State is kept in
arrays with one row a person; rows are handed out by the caller.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from xnect.structures import F64, I64, Bool

#: A value that was missing for longer starts afresh [s].
RESTART_S = 0.5


@njit(cache=True)
def _blend(cutoff: float, dt: float) -> float:
    """Weight of the new value in a low-pass filter of first order."""
    step = 2.0 * math.pi * cutoff * dt
    return step / (step + 1.0)


@njit(cache=True)
def filter_rows(
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
                    for c in range(channels):
                        values[r, k, c] = state[row, k, c]
                continue
            age[row, k] = 0.0
            if not gap < RESTART_S:
                for c in range(channels):
                    state[row, k, c] = values[r, k, c]
                    speed[row, k, c] = 0.0
                continue
            smooth, squares = _blend(derivative_cutoff, gap), 0.0
            for c in range(channels):
                raw = (values[r, k, c] - state[row, k, c]) / gap
                speed[row, k, c] += smooth * (raw - speed[row, k, c])
                squares += speed[row, k, c] ** 2
            weight = _blend(min_cutoff + beta * scale[r] * math.sqrt(squares), gap)
            for c in range(channels):
                state[row, k, c] += weight * (values[r, k, c] - state[row, k, c])
                values[r, k, c] = state[row, k, c]


@njit(cache=True)
def filter_rotations(rows: I64, values: F64, dt: F64, state: F64, speed: F64, age: F64, settings: F64) -> None:
    """One frame of unit quaternions (R, 4), filtered in place; speed is the rotation vector a second."""
    min_cutoff, beta, derivative_cutoff = settings[0], settings[1], settings[2]
    turn = np.empty(3)
    for r in range(len(rows)):
        row = rows[r]
        gap = age[row] + dt[r]
        age[row] = 0.0
        if not gap < RESTART_S:
            for k in range(4):
                state[row, k] = values[r, k]
            for k in range(3):
                speed[row, k] = 0.0
            continue
        w, x, y, z = values[r, 0], values[r, 1], values[r, 2], values[r, 3]
        a, b, c, d = state[row, 0], state[row, 1], state[row, 2], state[row, 3]
        # the turn from the state to the value, value * conjugate(state), the shorter way round
        real = w * a + x * b + y * c + z * d
        sign = -1.0 if real < 0 else 1.0
        turn[0] = sign * (x * a - w * b + z * c - y * d)
        turn[1] = sign * (y * a - w * c + x * d - z * b)
        turn[2] = sign * (z * a - w * d + y * b - x * c)
        sine = math.sqrt(turn[0] ** 2 + turn[1] ** 2 + turn[2] ** 2)
        length = 2.0 * math.atan2(sine, sign * real) / sine if sine > 1e-9 else 2.0
        smooth, squares = _blend(derivative_cutoff, gap), 0.0
        for k in range(3):
            turn[k] *= length
            speed[row, k] += smooth * (turn[k] / gap - speed[row, k])
            squares += speed[row, k] ** 2
        part = _blend(min_cutoff + beta * math.sqrt(squares), gap)
        half = 0.5 * part * length * sine
        p = math.cos(half)
        factor = part * (0.5 * math.sin(half) / half if half > 1e-9 else 0.5)
        q, u, v = factor * turn[0], factor * turn[1], factor * turn[2]
        state[row, 0] = p * a - q * b - u * c - v * d
        state[row, 1] = p * b + q * a + u * d - v * c
        state[row, 2] = p * c - q * d + u * a + v * b
        state[row, 3] = p * d + q * c - u * b + v * a
        squares = 0.0
        for k in range(4):
            squares += state[row, k] ** 2
        for k in range(4):
            state[row, k] /= math.sqrt(squares)
            values[r, k] = state[row, k]


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

    @property
    def state(self) -> tuple[F64, F64, F64, F64]:
        """Values, speeds, ages and settings, for compiled callers of ``filter_rows``."""
        return self._state, self._speed, self._age, self._settings

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
        filter_rows(rows, out, dt_s, everything, factor, self._state, self._speed, self._age, self._settings)
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
        self._settings = np.array([min_cutoff, beta, derivative_cutoff], np.float64)
        self._state = np.zeros((0, 4))
        self._speed = np.zeros((0, 3))
        self._age = np.zeros(0)

    @property
    def state(self) -> tuple[F64, F64, F64, F64]:
        """Values, speeds, ages and settings, for compiled callers of ``filter_rotations``."""
        return self._state, self._speed, self._age, self._settings

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
        out = np.array(quaternions, np.float64, order="C")
        dt_s = np.maximum(np.asarray(dt_s, np.float64), 1e-6)
        filter_rotations(rows, out, dt_s, self._state, self._speed, self._age, self._settings)
        return out
