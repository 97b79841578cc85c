"""How far each joint turns: hard limits, the range seen in motion capture, and the angle at rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

from xnect.structures import F64


class AngleRanges(NamedTuple):
    """Ranges of the angles of a skeleton, one row an angle.

    Attributes:
        limits_rad: Hard limits, low and high, float64 (D, 2), exact in float32 so that a clamped float32 angle
            never lies outside.
        observed_rad: 1st and 99th percentile of motion capture, float64 (D, 2).
        rest_rad: Median of motion capture, float64 (D,): where an angle goes that nothing in the picture tells.
    """

    limits_rad: F64
    observed_rad: F64
    rest_rad: F64


def load_ranges(angle_names: Sequence[str]) -> AngleRanges:
    """Ranges of the named angles from the table that ships; left and right share one entry.

    Args:
        angle_names: For example ("spine_flexion", "right_knee_flexion").

    Raises:
        KeyError: The table has no such angle.
    """
    text = resources.files(__package__).joinpath("limits.json").read_text(encoding="utf-8")
    table = json.loads(text)["angles"]
    rows = [table[name.removeprefix("right_").removeprefix("left_")] for name in angle_names]
    limits = np.radians([row["limit"] for row in rows]).astype(np.float32).astype(np.float64)
    observed = np.radians([row["observed"] for row in rows])
    rest = np.radians([float(row["rest"]) for row in rows])
    for array in (limits, observed, rest):
        array.setflags(write=False)
    return AngleRanges(limits, observed, rest)


def clamp(angles_rad: np.ndarray, limits_rad: F64) -> np.ndarray:
    """Angles (..., D) moved to the nearest value inside the limits (D, 2), in their own dtype."""
    limits = limits_rad.astype(angles_rad.dtype, copy=False)
    inside: np.ndarray = np.minimum(np.maximum(angles_rad, limits[:, 0]), limits[:, 1])  # half the time of np.clip
    return inside


def violation_rad(angles_rad: np.ndarray, limits_rad: F64) -> np.ndarray:
    """How far angles (..., D) lie outside the limits (D, 2) [rad]; 0 inside."""
    return np.maximum(0.0, np.maximum(limits_rad[:, 0] - angles_rad, angles_rad - limits_rad[:, 1]))
