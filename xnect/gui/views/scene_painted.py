"""The 3D view without OpenGL: the same scene projected by our own arithmetic and drawn with lines."""

from __future__ import annotations

import numpy as np
from PyQt5.QtCore import QLineF, QPointF, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import QWidget

from xnect.gui.orbit import Orbit
from xnect.gui.scene_model import Scene
from xnect.gui.state import WindowState
from xnect.gui.theme import colour

_NEAR_M = 0.1


class PaintedScene(QWidget):
    """Draws a ``Scene`` from the orbit's point of view, far things first."""

    def __init__(self, state: WindowState, orbit: Orbit, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._orbit = orbit
        self._scene: Scene | None = None
        self.setAttribute(Qt.WA_OpaquePaintEvent)

    def draw(self, scene: Scene) -> None:
        """Show a scene."""
        self._scene = scene
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ground, frustum, trails, bones, joints, labels."""
        painter = QPainter(self)
        theme = self._state.options.theme
        painter.fillRect(self.rect(), colour(theme, "canvas"))
        scene = self._scene
        if scene is None:
            return
        painter.setRenderHint(QPainter.Antialiasing)
        if self._state.options.grid:
            self._lines(painter, scene.grid, colour(theme, "line"), 1.0)
        self._lines(painter, scene.frustum, colour(theme, "accent"), 1.4)
        self._coloured(painter, scene.trails, scene.trail_rgba.mean(1) if len(scene.trails) else scene.bone_rgba[:0], 2)
        self._coloured(painter, scene.bones, scene.bone_rgba, 0)
        self._joints(painter, scene)
        for position, text, rgb in scene.labels:
            xy, depth = self._project(position[None])
            if depth[0] > _NEAR_M:
                painter.setPen(QColor(*rgb))
                painter.drawText(QPointF(xy[0, 0] - painter.fontMetrics().horizontalAdvance(text) / 2, xy[0, 1]), text)

    def _project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._orbit.project(points, (self.width(), self.height()))

    def _clipped(self, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Segments on the screen (N, 2, 2) and mean depth (N,); parts behind the viewer are cut off."""
        axes = self._orbit.axes()
        eye = self._orbit.center - self._orbit.distance * axes[2]
        depth = (lines - eye) @ axes[2]
        keep = depth.max(1) > _NEAR_M
        lines, depth = lines[keep].copy(), depth[keep]
        for end in (0, 1):
            behind = depth[:, end] < _NEAR_M
            t = ((_NEAR_M - depth[behind, end]) / (depth[behind, 1 - end] - depth[behind, end]))[:, None]
            lines[behind, end] += t * (lines[behind, 1 - end] - lines[behind, end])
        self._kept = keep
        xy, _ = self._project(lines.reshape(-1, 3))
        return xy.reshape(-1, 2, 2), np.maximum(depth, _NEAR_M).mean(1)

    def _lines(self, painter: QPainter, lines: np.ndarray, shade: QColor, width: float) -> None:
        if len(lines):
            xy, _ = self._clipped(lines)
            painter.setPen(QPen(shade, width))
            painter.drawLines([QLineF(*s.reshape(-1)) for s in xy])

    def _coloured(self, painter: QPainter, lines: np.ndarray, rgba: np.ndarray, width: float) -> None:
        """Segments, far first; width 0 = as thick as a bone at its distance."""
        if not len(lines):
            return
        xy, depth = self._clipped(lines)
        shades = rgba[self._kept]
        for i in np.argsort(-depth):
            thick = width or float(np.clip(18 / depth[i], 1.5, 9))
            painter.setPen(QPen(QColor.fromRgbF(*shades[i]), thick, Qt.SolidLine, Qt.RoundCap))
            painter.drawLine(QLineF(*xy[i].reshape(-1)))

    def _joints(self, painter: QPainter, scene: Scene) -> None:
        if not len(scene.joints):
            return
        xy, depth = self._project(scene.joints)
        painter.setPen(Qt.NoPen)
        for i in np.flatnonzero(depth > _NEAR_M):
            painter.setBrush(QColor.fromRgbF(*scene.joint_rgba[i]))
            radius = float(np.clip(14 / depth[i], 1.2, 7))
            painter.drawEllipse(QPointF(*xy[i]), radius, radius)
