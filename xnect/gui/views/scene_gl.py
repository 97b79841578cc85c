"""The 3D view's canvas with OpenGL (pyqtgraph); items are made once and given new data."""

from __future__ import annotations

import numpy as np
import pyqtgraph.opengl as gl
from PyQt5.QtCore import QRectF, Qt
from PyQt5.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QVector3D
from PyQt5.QtWidgets import QWidget

from xnect.gui.orbit import Orbit
from xnect.gui.scene_model import Scene, bone_mesh
from xnect.gui.state import WindowState
from xnect.gui.theme import colour

_NOTHING = np.zeros((2, 3), np.float32)


class GlScene(gl.GLViewWidget):
    """Draws a ``Scene``; the point of view is the shared orbit's, not pyqtgraph's own."""

    def __init__(self, state: WindowState, orbit: Orbit, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._orbit = orbit
        self._scene: Scene | None = None
        self._theme = ""
        self._grid = self._line(1.0)
        self._frustum = self._line(1.5)
        self._trails = self._line(3.0)
        # pyqtgraph mixes up colours of faces that share no vertices, colours of vertices it takes as they are
        self._bones = gl.GLMeshItem(
            vertexes=np.zeros((3, 3), np.float32),
            faces=np.array([[0, 1, 2]]),
            smooth=True,
            shader=None,
            glOptions="opaque",
            computeNormals=False,
        )
        self._joints = gl.GLScatterPlotItem(pos=_NOTHING, pxMode=False, glOptions="translucent")
        for item in (self._grid, self._frustum, self._trails, self._bones, self._joints):
            self.addItem(item)

    @staticmethod
    def _line(width: float) -> gl.GLLinePlotItem:
        return gl.GLLinePlotItem(
            pos=_NOTHING, color=(0, 0, 0, 0), width=width, mode="lines", antialias=True, glOptions="translucent"
        )

    def draw(self, scene: Scene) -> None:
        """Show a scene."""
        self._scene = scene
        theme = self._state.options.theme
        if theme != self._theme:
            self._theme = theme
            self.setBackgroundColor(colour(theme, "canvas"))
        self._set_lines(self._grid, scene.grid, self._rgba("line"), self._state.options.grid)
        self._set_lines(self._frustum, scene.frustum, self._rgba("accent"), True)
        self._set_lines(self._trails, scene.trails, scene.trail_rgba.reshape(-1, 4), True)
        self._bones.setVisible(bool(len(scene.bones)))
        self._joints.setVisible(bool(len(scene.joints)))
        if len(scene.bones):
            faces, colours = bone_mesh(scene.bones, scene.bone_rgba)
            corners = np.arange(3 * len(faces)).reshape(-1, 3)
            shades = np.repeat(colours, 3, axis=0).astype(np.float32)
            self._bones.setMeshData(
                vertexes=faces.reshape(-1, 3).astype(np.float32), faces=corners, vertexColors=shades
            )
            self._joints.setData(
                pos=scene.joints.astype(np.float32), color=scene.joint_rgba.astype(np.float32), size=0.05
            )
        self._look()
        self.update()

    def _look(self) -> None:
        o = self._orbit
        self.opts["center"] = QVector3D(*(float(c) for c in o.center))
        self.opts["distance"] = float(o.distance)
        self.opts["azimuth"], self.opts["elevation"], self.opts["fov"] = o.azimuth, o.elevation, o.fov_deg

    def _rgba(self, role: str) -> tuple[float, float, float, float]:
        shade: QColor = colour(self._state.options.theme, role)
        return shade.redF(), shade.greenF(), shade.blueF(), 1.0

    @staticmethod
    def _set_lines(item: gl.GLLinePlotItem, lines: np.ndarray, rgba: object, visible: bool) -> None:
        item.setVisible(visible and bool(len(lines)))
        if visible and len(lines):
            item.setData(pos=lines.reshape(-1, 3).astype(np.float32), color=rgba)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The scene, then the names over it."""
        super().paintEvent(event)
        scene = self._scene
        if scene is None or not scene.labels:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.TextAntialiasing)
        font = QFont(painter.font())
        font.setBold(True)
        painter.setFont(font)
        places, depth = self._orbit.project(np.array([p for p, _, _ in scene.labels]), (self.width(), self.height()))
        for (x, y), z, (_, text, rgb) in zip(places, depth, scene.labels, strict=True):
            if z > 0.1:
                painter.setPen(QColor(*rgb))
                painter.drawText(QRectF(x - 100, y - 18, 200, 20), Qt.AlignHCenter | Qt.AlignBottom, text)
        painter.end()

    # the mouse is the parent's (an event filter there); pyqtgraph's own handlers must not turn the view as well

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Left to the parent."""

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Left to the parent."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Left to the parent."""
