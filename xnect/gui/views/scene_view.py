"""The 3D view: everyone in camera space, orbit by mouse; OpenGL where there is one, painted otherwise."""

from __future__ import annotations

import numpy as np
from PyQt5.QtCore import QPoint, QPointF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QMouseEvent, QOffscreenSurface, QOpenGLContext, QWheelEvent
from PyQt5.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QStackedLayout, QToolButton, QVBoxLayout, QWidget

from xnect.gui import scene_model
from xnect.gui.orbit import Orbit, scene_from_camera
from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.views.scene_painted import PaintedScene
from xnect.skeleton.joints import PELVIS

#: Renderers that compute OpenGL on the processor: there our own drawing is several times cheaper.
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader", "basic render")


def opengl_works() -> bool:
    """Whether there is an OpenGL worth using: a context can be made, and a graphics card is behind it."""
    surface = QOffscreenSurface()
    surface.create()
    context = QOpenGLContext()
    if not context.create() or not surface.isValid() or not context.makeCurrent(surface):
        return False
    try:
        from OpenGL import GL

        renderer = (GL.glGetString(GL.GL_RENDERER) or b"").decode(errors="replace").lower()
    except (ImportError, OSError, AttributeError):
        return False
    finally:
        context.doneCurrent()
    return not any(name in renderer for name in SOFTWARE)


#: Who is farther than this from the others is left out of the first view [m].
ALONE_M = 4.0
#: Whoever is followed is seen from no farther away [m].
FOLLOW_M = 5.0


class SceneView(QWidget):
    """Buttons over a canvas; the canvas is an OpenGL widget or a painted one with the same face."""

    follow_changed = pyqtSignal(object)

    def __init__(self, state: WindowState, opengl: bool | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.orbit = Orbit()
        self._press: QPoint | None = None
        self._button = Qt.NoButton
        self._framed = False
        self._followed: int | None = None
        use_gl = opengl_works() if opengl is None else opengl
        self.canvas = self._canvas(use_gl)
        self.painted = isinstance(self.canvas, PaintedScene)
        self.canvas.installEventFilter(self)
        self.note = QLabel(tr("no OpenGL"), self)
        self.note.setToolTip(
            tr("There is no graphics card with OpenGL here, so the 3D view is painted by the processor.")
        )
        self.note.setObjectName("dim")
        self.note.setVisible(self.painted)
        self.setMinimumSize(240, 160)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._buttons())
        holder = QStackedLayout()
        holder.addWidget(self.canvas)
        layout.addLayout(holder, 1)

    def sizeHint(self) -> QSize:
        """As wide as the picture beside it."""
        return QSize(560, 430)

    def _canvas(self, use_gl: bool) -> QWidget:
        if use_gl:
            try:
                from xnect.gui.views.scene_gl import GlScene

                return GlScene(self._state, self.orbit, self)
            except ImportError:  # PyOpenGL or libGL is missing
                pass
        return PaintedScene(self._state, self.orbit, self)

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(4, 3, 4, 3)
        row.setSpacing(4)
        tips = {
            "perspective": (tr("Reset"), tr("Back to the first view (0)")),
            "front": (tr("Front"), tr("As the camera sees it (5)")),
            "side": (tr("Side"), tr("From the right-hand side (6)")),
            "top": (tr("Top"), tr("From above (7)")),
        }
        for name, (text, tip) in tips.items():
            button = QToolButton()
            button.setText(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _checked=False, n=name: self.preset(n))
            button.setObjectName(f"preset_{name}")
            row.addWidget(button)
        self.follow_button = QToolButton()
        self.follow_button.setText(tr("Follow"))
        self.follow_button.setCheckable(True)
        self.follow_button.setToolTip(tr("Keep the selected person in the middle (Shift+F)"))
        self.follow_button.clicked.connect(self._follow_clicked)
        row.addWidget(self.follow_button)
        row.addStretch(1)
        row.addWidget(self.note)
        return row

    # ---- what can be asked of it

    def refresh(self) -> None:
        """The state has changed."""
        if not self.isVisible():
            return
        if not self._framed and self._state.visible_people():
            self._frame_people()
        target = scene_model.follow_point(self._state)
        if self._state.follow != self._followed:
            self._followed = self._state.follow
            if self._followed is not None:
                self.orbit.distance = min(self.orbit.distance, FOLLOW_M)
        if target is not None:
            self.orbit.center = self.orbit.center + 0.25 * (target - self.orbit.center)
        self.canvas.draw(scene_model.build(self._state))
        self.follow_button.setChecked(self._state.follow is not None)

    def preset(self, name: str) -> None:
        """Look from a side: perspective, front, side or top."""
        self.orbit.preset(name)
        self._frame_people()
        self.canvas.draw(scene_model.build(self._state))

    def new_source(self) -> None:
        """Frame the people again when some appear."""
        self._framed = False

    def _frame_people(self) -> None:
        """Put everyone into view."""
        people = self._state.visible_people()
        if not people:
            return
        points = scene_from_camera(np.stack([p.joints_3d[PELVIS] for p in people]) @ self._state.level.T)
        away = np.linalg.norm(points - np.median(points, axis=0), axis=1)
        points = points[away <= max(ALONE_M, 3 * float(np.median(away)))]  # a ghost far away must not shrink everyone
        if self._state.options.mirror:
            points[:, 0] *= -1
        self.orbit.center = points.mean(0)
        spread = float(np.linalg.norm(points - points.mean(0), axis=1).max())
        self.orbit.distance = max(3.6, 2.6 * (spread + 1.2))
        self._framed = True

    def _follow_clicked(self, checked: bool) -> None:
        state = self._state
        wanted = state.selected if state.selected is not None else state.people.next_present(None)
        self.follow_changed.emit(wanted if checked else None)

    # ---- mouse, for both canvases

    def eventFilter(self, watched: object, event: object) -> bool:
        """Left drag turns, right or middle drag moves, the wheel zooms, double click frames everyone."""
        if isinstance(event, QWheelEvent):
            self.orbit.zoom(0.999 ** event.angleDelta().y())
        elif isinstance(event, QMouseEvent):
            if event.type() == QMouseEvent.MouseButtonPress:
                self._press, self._button = event.pos(), event.button()
            elif event.type() == QMouseEvent.MouseButtonDblClick:
                self._frame_people()
            elif event.type() == QMouseEvent.MouseMove and self._press is not None:
                self._drag(QPointF(event.pos() - self._press), event.modifiers())
                self._press = event.pos()
            elif event.type() == QMouseEvent.MouseButtonRelease:
                self._press = None
                return True
            else:
                return False
        else:
            return False
        self.canvas.draw(scene_model.build(self._state))
        return True

    def _drag(self, by: QPointF, modifiers: Qt.KeyboardModifiers) -> None:
        if self._button == Qt.LeftButton and not modifiers & Qt.ShiftModifier:
            self.orbit.turn(-0.4 * by.x(), 0.4 * by.y())
        else:
            per_px = 2 * self.orbit.distance * np.tan(np.radians(self.orbit.fov_deg) / 2) / max(1, self.canvas.width())
            self.orbit.pan(-by.x() * per_px, by.y() * per_px)
