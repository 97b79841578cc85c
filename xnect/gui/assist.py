"""Arithmetic of the camera and scale assistant: field of view from a person, floor from feet (no Qt).

The lens from a printed board is worked out in ``xnect.capture.calibrating``, for the command line as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xnect.errors import CalibrationError
from xnect.skeleton.joints import JOINTS_2D
from xnect.structures import F64, FrameResult, Person

#: Share of the body height between the nose and the ankles of somebody who stands upright (ANSUR II: 0.93 - 0.04).
NOSE_TO_ANKLE = 0.885
_NOSE = JOINTS_2D.index("nose")
_ANKLES = [JOINTS_2D.index(n) for n in ("right_ankle", "left_ankle")]


def standing_px(person: Person, least: float = 0.2) -> float | None:
    """Pixels from the nose to the middle of the ankles; None where they are not all seen."""
    if (person.confidence_2d[[_NOSE, *_ANKLES]] < least).any():
        return None
    feet = person.joints_2d[_ANKLES].mean(0)
    return float(np.linalg.norm(feet - person.joints_2d[_NOSE]))


def fov_from_person(heights_px: Sequence[float], size_px: tuple[int, int], height_m: float, distance_m: float) -> float:
    """Field of view along the longer side [degrees] from somebody of known height at a known distance.

    Args:
        heights_px: ``standing_px`` of several frames.
        size_px: Width and height of the pictures [px].
        height_m: Body height [m].
        distance_m: From the camera to the person [m].

    Raises:
        CalibrationError: Nothing was measured, or the result is impossible.
    """
    if len(heights_px) < 5:
        raise CalibrationError("the person must be seen from head to feet; step back or turn the camera")
    focal = float(np.median(heights_px)) * distance_m / (NOSE_TO_ANKLE * height_m)
    fov = math.degrees(2 * math.atan(max(size_px) / 2 / focal))
    if not 15 <= fov <= 150:
        raise CalibrationError(
            f"that gives a field of view of {fov:.0f} degrees, which no camera has; check the numbers"
        )
    return fov


@dataclass(frozen=True)
class Floor:
    """The floor plane in camera space.

    Attributes:
        normal: Unit vector upwards, camera axes.
        height_m: How high the camera is above it [m].
        pitch_deg: How far the camera looks down [degrees].
        roll_deg: How far it is turned about its axis, clockwise [degrees].
        spread_m: Median distance of the feet from the plane [m].
    """

    normal: F64
    height_m: float
    pitch_deg: float
    roll_deg: float
    spread_m: float


def foot_points(results: Sequence[FrameResult], joints: Sequence[int]) -> F64:
    """The lower foot of everyone in each frame, camera space (N, 3) [m]."""
    points = []
    for result in results:
        for person in result.people:
            feet = person.joints_3d[list(joints)]
            if not person.inferred[list(joints)].any():
                points.append(feet[int(np.argmax(feet[:, 1]))])
    return np.array(points, np.float64).reshape(-1, 3)


def fit_floor(points_m: np.ndarray, rounds: int = 200, tolerance_m: float = 0.06) -> Floor:
    """The plane that most feet stand on.

    Raises:
        CalibrationError: Too few feet, or all in one line: people must walk about.
    """
    if len(points_m) < 20:
        raise CalibrationError("too few feet were seen; let somebody walk about in view, from head to feet")
    random = np.random.default_rng(0)
    best: np.ndarray | None = None
    for _ in range(rounds):
        a, b, c = points_m[random.choice(len(points_m), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        size = np.linalg.norm(normal)
        if size < 1e-3 or abs(normal[1]) / size < math.cos(math.radians(50)):
            continue
        near = np.abs((points_m - a) @ (normal / size)) < tolerance_m
        if best is None or near.sum() > best.sum():
            best = near
    if best is None or best.sum() < 10:
        raise CalibrationError("the feet tell no floor; let somebody walk towards the camera and from side to side")
    chosen = points_m[best]
    centre = chosen.mean(0)
    _, spread, axes = np.linalg.svd(chosen - centre, full_matrices=False)
    if spread[1] / math.sqrt(len(chosen)) < 0.08:
        raise CalibrationError("all feet stood in one line; let somebody walk towards the camera and from side to side")
    up = axes[2] if axes[2][1] < 0 else -axes[2]
    height = float(-centre @ up)
    pitch = math.degrees(math.asin(float(np.clip(-up[2], -1, 1))))
    roll = math.degrees(math.atan2(-up[0], -up[1]))
    off = float(np.median(np.abs((chosen - centre) @ up)))
    return Floor(up, height, pitch, roll, off)
