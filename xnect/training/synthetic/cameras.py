"""A camera placed in the world: pinhole of ``structures.Camera`` and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.structures import F64, Camera
from xnect.training.synthetic.retarget import turn

#: World (y up, looking along -z) to camera axes (x right, y down, z forward).
_FLIP = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCamera:
    """A camera in the world.

    Attributes:
        camera: Intrinsics; the drawing itself is of a pinhole, a distortion is the business of ``distortion.py``.
        camera_from_world: Rotation float64 (3, 3).
        centre_m: Place float64 (3,), world.
    """

    camera: Camera
    camera_from_world: F64
    centre_m: F64

    def view(self, points_m: np.ndarray) -> F64:
        """World points (..., 3) in camera space."""
        return (np.asarray(points_m, np.float64) - self.centre_m) @ self.camera_from_world.T

    @property
    def rays(self) -> F64:
        """Matrix (3, 3) from pixels (x, y, 1) to directions in the world (depth 1, not unit length)."""
        return self.camera_from_world.T @ np.linalg.inv(self.camera.matrix_px)

    def samples(self, scale: int) -> F64:
        """fx, fy, cx, cy of a grid with ``scale`` samples a pixel and side."""
        m = self.camera.matrix_px
        return np.array(
            [m[0, 0] * scale, m[1, 1] * scale, (m[0, 2] + 0.5) * scale - 0.5, (m[1, 2] + 0.5) * scale - 0.5]
        )


def look(camera: Camera, centre_m: np.ndarray, yaw: float, pitch: float, roll: float = 0.0) -> PlacedCamera:
    """A camera turned by angles in degrees; at 0, 0, 0 it looks along -z; yaw to the left, pitch up, roll clockwise."""
    turned = turn("z", roll) @ turn("x", -pitch) @ turn("y", -yaw)
    return PlacedCamera(camera, _FLIP @ turned, np.asarray(centre_m, np.float64))


def look_at(camera: Camera, centre_m: np.ndarray, target_m: np.ndarray, roll: float = 0.0) -> PlacedCamera:
    """A camera whose axis goes through a point."""
    d = np.asarray(target_m, np.float64) - centre_m
    yaw = np.degrees(np.arctan2(-d[0], -d[2]))
    return look(camera, centre_m, float(yaw), float(np.degrees(np.arctan2(d[1], np.hypot(d[0], d[2])))), roll)
