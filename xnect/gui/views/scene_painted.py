"""The 3D view without a graphics card: the same scene projected by our own arithmetic, drawn by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from PyQt5.QtCore import QPointF, Qt
from PyQt5.QtGui import QColor, QImage, QPainter, QPaintEvent
from PyQt5.QtWidgets import QWidget

from xnect.gui.orbit import Orbit
from xnect.gui.scene_model import Scene, bone_mesh
from xnect.gui.state import WindowState
from xnect.gui.theme import colour

_NEAR_M = 0.1
#: Fractional bits of OpenCV's coordinates.
_SHIFT = 4
#: Steps in which trails fade out.
_FADES = 8


def _bgr(rgba: np.ndarray) -> list[list[int]]:
    """Colours RGBA 0 to 1 (N, 4) -> lists of B, G, R 0 to 255."""
    out: list[list[int]] = np.rint(rgba[:, 2::-1] * 255).astype(int).tolist()
    return out


class PaintedScene(QWidget):
    """Draws a ``Scene`` from the orbit's point of view, far things first."""

    def __init__(self, state: WindowState, orbit: Orbit, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._orbit = orbit
        self._scene: Scene | None = None
        self._image = self._ground = np.empty((0, 0, 4), np.uint8)
        self._ground_key: tuple[object, ...] = ()
        self.setAttribute(Qt.WA_OpaquePaintEvent)

    def draw(self, scene: Scene) -> None:
        """Show a scene."""
        self._scene = scene
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ground, frustum, trails, bones, joints; names on top."""
        painter = QPainter(self)
        theme, scene = self._state.options.theme, self._scene
        if scene is None:
            painter.fillRect(self.rect(), colour(theme, "canvas"))
            return
        ratio = self.devicePixelRatioF()
        width, height = max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio))
        if self._image.shape[:2] != (height, width):
            self._image = np.empty((height, width, 4), np.uint8)
        image = self._image
        np.copyto(image, self._empty(scene, width, height, max(1, round(ratio))))
        self._draw(image, scene, max(1, round(ratio)))
        picture = QImage(image.data, width, height, image.strides[0], QImage.Format_RGB32)
        picture.setDevicePixelRatio(ratio)
        painter.drawImage(0, 0, picture)
        if not scene.labels:
            return
        places, depth = self._orbit.project(np.array([p for p, _, _ in scene.labels]), (self.width(), self.height()))
        metrics = painter.fontMetrics()
        for (x, y), z, (_, text, rgb) in zip(places.tolist(), depth, scene.labels, strict=True):
            if z > _NEAR_M:
                painter.setPen(QColor(*rgb))
                painter.drawText(QPointF(x - metrics.horizontalAdvance(text) / 2, y), text)

    def _shade(self, role: str) -> tuple[int, int, int]:
        shade = colour(self._state.options.theme, role)
        return shade.blue(), shade.green(), shade.red()

    def _empty(self, scene: Scene, width: int, height: int, thin: int) -> np.ndarray:
        """Ground and frustum alone, (height, width, 4); kept for as long as nobody turns the view."""
        orbit, options = self._orbit, self._state.options
        view = (orbit.azimuth, orbit.elevation, orbit.distance, orbit.fov_deg, *orbit.center.tolist())
        lines = (options.grid, scene.grid.tobytes(), scene.frustum.tobytes())
        key = (width, height, thin, options.theme, view, lines)
        if key != self._ground_key:
            self._ground_key = key
            self._ground = np.empty((height, width, 4), np.uint8)
            self._ground[:] = (*self._shade("canvas"), 255)
            if options.grid:
                self._lines(self._ground, scene.grid, self._shade("line"), thin)
            self._lines(self._ground, scene.frustum, self._shade("accent"), thin)
        return self._ground

    def _draw(self, image: np.ndarray, scene: Scene, thin: int) -> None:
        if len(scene.trails):
            self._trails(image, scene, 2 * thin)
        if len(scene.bones):
            self._bones(image, scene)
            self._joints(image, scene)

    def _trails(self, image: np.ndarray, scene: Scene, width: int) -> None:
        """Lines that fade out, in so few shades that those of one shade are drawn by one call."""
        places, kept = self._clipped(scene.trails, image)
        background = np.array([*self._shade("canvas")[::-1], 255]) / 255
        rgba = scene.trail_rgba[kept].mean(1)
        alpha = np.ceil(rgba[:, 3:] * _FADES) / _FADES
        bgr = np.rint((rgba * alpha + background * (1 - alpha))[:, 2::-1] * 255).astype(int)
        _, first, which = np.unique(bgr @ [1, 256, 65536], return_index=True, return_inverse=True)
        for number, row in enumerate(first.tolist()):
            lines = list(places[which.reshape(-1) == number])
            cv2.polylines(image, lines, False, bgr[row].tolist(), width, cv2.LINE_AA, _SHIFT)

    def _bones(self, image: np.ndarray, scene: Scene) -> None:
        """Lit octahedra, those facing away left out, far ones first."""
        faces, rgba = bone_mesh(scene.bones, scene.bone_rgba)
        xy, depth = self._orbit.project(faces.reshape(-1, 3), (image.shape[1], image.shape[0]))
        xy, depth = xy.reshape(-1, 3, 2), depth.reshape(-1, 3)
        a, b = xy[:, 1] - xy[:, 0], xy[:, 2] - xy[:, 0]
        towards = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0
        show = np.flatnonzero(towards & (depth.min(1) > _NEAR_M))
        show = show[np.argsort(-depth[show].sum(1))]
        corners = np.rint(xy[show] * (1 << _SHIFT)).astype(np.int32)
        fill = cv2.fillConvexPoly
        for triangle, bgr in zip(corners, _bgr(rgba[show]), strict=True):
            fill(image, triangle, bgr, cv2.LINE_AA, _SHIFT)

    def _joints(self, image: np.ndarray, scene: Scene) -> None:
        xy, depth = self._orbit.project(scene.joints, (image.shape[1], image.shape[0]))
        per_m = self._orbit.project_scale(image.shape[1])
        show = np.flatnonzero(depth > _NEAR_M)
        show = show[np.argsort(-depth[show])]
        places = np.rint(xy[show] * (1 << _SHIFT)).astype(int).tolist()
        radii = np.rint(np.clip(0.022 * per_m / depth[show], 1.5, 60) * (1 << _SHIFT)).astype(int).tolist()
        for place, radius, bgr in zip(places, radii, _bgr(scene.joint_rgba[show]), strict=True):
            cv2.circle(image, place, radius, bgr, -1, cv2.LINE_AA, _SHIFT)

    def _lines(self, image: np.ndarray, lines: np.ndarray, bgr: tuple[int, int, int], width: int) -> None:
        if len(lines):
            cv2.polylines(image, list(self._clipped(lines, image)[0]), False, bgr, width, cv2.LINE_AA, _SHIFT)

    def _clipped(self, lines: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Segments on the image for OpenCV, int32 (N, 2, 2), and which were kept; parts behind the viewer are cut."""
        axes = self._orbit.axes()
        eye = self._orbit.center - self._orbit.distance * axes[2]
        depth = (lines - eye) @ axes[2]
        kept = depth.max(1) > _NEAR_M
        lines, depth = lines[kept].copy(), depth[kept]
        for end in (0, 1):
            behind = depth[:, end] < _NEAR_M
            if behind.any():
                t = ((_NEAR_M - depth[behind, end]) / (depth[behind, 1 - end] - depth[behind, end]))[:, None]
                lines[behind, end] += t * (lines[behind, 1 - end] - lines[behind, end])
        xy, _ = self._orbit.project(lines.reshape(-1, 3), (image.shape[1], image.shape[0]))
        places = np.rint(np.clip(xy, -30_000, 30_000) * (1 << _SHIFT)).astype(np.int32)
        return places.reshape(-1, 2, 2), kept
