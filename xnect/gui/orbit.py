"""The viewer's own camera of the 3D view: orbit, pan, zoom, presets, projection (no Qt).

Scene axes: X right, Y away from the capturing camera, Z up; ``scene_from_camera`` turns camera space (x right,
y down, z forward) into them. Both are right-handed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

_LIMIT = 89.9


def scene_from_camera(points_m: np.ndarray) -> np.ndarray:
    """Camera-space points (..., 3) -> scene points (..., 3) [m]."""
    return np.stack([points_m[..., 0], points_m[..., 2], -points_m[..., 1]], -1)


#: Name -> (azimuth, elevation) of the viewer [degrees]; azimuth -90 stands behind the capturing camera.
PRESETS: dict[str, tuple[float, float]] = {
    "perspective": (-60.0, 18.0),
    "front": (-90.0, 0.0),
    "side": (0.0, 0.0),
    "top": (-90.0, 89.9),
}


@dataclass
class Orbit:
    """A viewer who looks at ``center`` from ``distance``.

    Attributes:
        center: Point looked at, scene axes [m].
        distance: How far away [m].
        azimuth: Angle in the ground plane, counter-clockwise from X [degrees].
        elevation: Angle above the ground [degrees].
        fov_deg: Field of view across the view's width [degrees].
    """

    center: np.ndarray = field(default_factory=lambda: np.array([0.0, 3.0, 0.0]))
    distance: float = 7.0
    azimuth: float = PRESETS["perspective"][0]
    elevation: float = PRESETS["perspective"][1]
    fov_deg: float = 50.0

    def preset(self, name: str) -> None:
        """Look from a named side."""
        self.azimuth, self.elevation = PRESETS[name]

    def turn(self, d_azimuth: float, d_elevation: float) -> None:
        """Orbit [degrees]."""
        self.azimuth = (self.azimuth + d_azimuth + 180) % 360 - 180
        self.elevation = max(-_LIMIT, min(_LIMIT, self.elevation + d_elevation))

    def zoom(self, factor: float) -> None:
        """Come nearer (factor below 1) or go away."""
        self.distance = max(0.2, min(200.0, self.distance * factor))

    def axes(self) -> np.ndarray:
        """Rows right, up, forward of the viewer, (3, 3), scene axes."""
        a, e = math.radians(self.azimuth), math.radians(self.elevation)
        sin_a, cos_a, sin_e, cos_e = math.sin(a), math.cos(a), math.sin(e), math.cos(e)
        return np.array(
            [[-sin_a, cos_a, 0.0], [-sin_e * cos_a, -sin_e * sin_a, cos_e], [-cos_e * cos_a, -cos_e * sin_a, -sin_e]]
        )

    def pan(self, right_m: float, up_m: float) -> None:
        """Move the point looked at, along the viewer's own axes [m]."""
        axes = self.axes()
        self.center = self.center + right_m * axes[0] + up_m * axes[1]

    def project_scale(self, width_px: float) -> float:
        """Pixels per metre at a depth of one metre, for a view of that width."""
        return width_px / 2 / math.tan(math.radians(self.fov_deg) / 2)

    def project(self, points_m: np.ndarray, size_px: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Scene points (N, 3) -> pixels (N, 2) of a view and depth (N,) [m]; depth <= 0.05 m lies behind the viewer."""
        axes = self.axes()
        eye = self.center - self.distance * axes[2]
        local = (np.asarray(points_m, np.float64) - eye) @ axes.T
        focal = self.project_scale(size_px[0])
        depth = local[:, 2]
        safe = np.maximum(depth, 0.05)
        x = size_px[0] / 2 + focal * local[:, 0] / safe
        y = size_px[1] / 2 - focal * local[:, 1] / safe
        return np.stack([x, y], 1), depth


def ground_grid(center_xy: tuple[float, float], floor_z: float, half_m: int = 5, step_m: float = 1.0) -> np.ndarray:
    """Line segments (N, 2, 3) of a ground grid on whole metres around a point, scene axes."""
    cx, cy = (round(c / step_m) * step_m for c in center_xy)
    ticks = np.arange(-half_m, half_m + 1e-9, step_m)
    ends = np.array([ticks[0], ticks[-1]])
    along_y = np.stack([np.repeat(ticks[:, None], 2, 1) + cx, np.tile(ends, (len(ticks), 1)) + cy], -1)
    along_x = np.stack([np.tile(ends, (len(ticks), 1)) + cx, np.repeat(ticks[:, None], 2, 1) + cy], -1)
    flat = np.concatenate([along_y, along_x])
    return np.concatenate([flat, np.full((*flat.shape[:2], 1), floor_z)], -1)


def frustum(matrix_px: np.ndarray, size_px: tuple[int, int], depth_m: float = 0.8) -> np.ndarray:
    """Line segments (9, 2, 3) of the capturing camera's frustum with a mark on its upper side, scene axes."""
    w, h = size_px
    corners = np.array([[-0.5, -0.5], [w - 0.5, -0.5], [w - 0.5, h - 0.5], [-0.5, h - 0.5]])
    focal = np.array([matrix_px[0, 0], matrix_px[1, 1]])
    rays = np.concatenate([(corners - matrix_px[:2, 2]) / focal, np.ones((4, 1))], 1) * depth_m
    top = (rays[0] + rays[1]) / 2
    tip = top + (rays[0] - rays[3]) * 0.12
    side = (rays[1] - rays[0]) * 0.08
    lines = [(np.zeros(3), r) for r in rays] + [(rays[i], rays[(i + 1) % 4]) for i in range(4)]
    lines += [(top - side, tip), (tip, top + side)]
    return scene_from_camera(np.array(lines))
