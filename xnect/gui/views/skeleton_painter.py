"""Draws one person's skeleton, box and label with a QPainter; shared by the camera picture and its copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PyQt5.QtCore import QLineF, QPointF, QRectF, Qt
from PyQt5.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from xnect.geometry import project
from xnect.gui.palette import SIDE_2D, joint_rgb, limb_side, person_rgb
from xnect.gui.state import WindowState
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D, LIMBS
from xnect.structures import Camera, Person

_LIMB_SIDES = np.array([limb_side(a, b) for a, b in LIMBS])
#: Below this confidence a seen joint is drawn dashed.
UNSURE = 0.3

_TEXT_JOINTS = {
    name: JOINTS_3D.index(name)
    for name in ("right_elbow", "left_elbow", "right_knee", "left_knee", "right_shoulder", "left_shoulder")
}


class SkeletonPainter:
    """Knows how a person looks; holds no person."""

    def draw(
        self,
        painter: QPainter,
        person: Person,
        to_widget: Callable[[np.ndarray], np.ndarray],
        camera: Camera,
        state: WindowState,
        title: str,
    ) -> None:
        """Draw a person.

        Args:
            painter: Where to draw.
            person: Whom.
            to_widget: Frame pixels (..., 2) -> painter coordinates.
            camera: For joints that are inferred and have no place in the picture of their own.
            state: View options and selection.
            title: Name on the label.
        """
        seen = person.confidence_2d > 0
        points = np.where(seen[:, None], person.joints_2d, 0).astype(np.float64)
        drawn = seen.copy()
        behind = person.joints_3d[JOINT_3D_OF_2D]
        fill = ~seen & (behind[:, 2] > 0.05)
        fill[0] = False  # the nose has no joint of its own in 3D
        if fill.any():
            points[fill] = project(behind[fill].astype(np.float64), camera)
            drawn |= fill
        on_widget = to_widget(points)
        sure = seen & (person.confidence_2d >= UNSURE)
        size = self._size(to_widget, person)
        if state.options.boxes:
            self._box(painter, person, to_widget, person.id == state.selected)
        self._limbs(painter, on_widget, drawn, sure, seen, size, state.options.palette)
        self._joints(painter, on_widget, person, drawn, seen, size, state)
        if state.options.ids:
            self._label(painter, person, to_widget, title)
        if state.options.angle_text:
            self._angles(painter, person, to_widget, camera)

    @staticmethod
    def _size(to_widget: Callable[[np.ndarray], np.ndarray], person: Person) -> float:
        """Line width that fits the person's size on the screen [px]."""
        corners = to_widget(person.box.reshape(2, 2).astype(np.float64))
        height = abs(corners[1, 1] - corners[0, 1])
        return float(np.clip(height / 80, 1.6, 5.0))

    @staticmethod
    def _limbs(
        painter: QPainter,
        points: np.ndarray,
        drawn: np.ndarray,
        sure: np.ndarray,
        seen: np.ndarray,
        size: float,
        palette: str,
    ) -> None:
        colours = joint_rgb(palette, _LIMB_SIDES)
        dark = QPen(QColor(0, 0, 0, 110), size + 2.2, Qt.SolidLine, Qt.RoundCap)
        for under in (True, False):
            for (a, b), rgb in zip(LIMBS, colours, strict=True):
                if not (drawn[a] and drawn[b]):
                    continue
                solid = sure[a] and sure[b]
                if under:
                    if not solid:
                        continue
                    painter.setPen(dark)
                else:
                    shade = QColor(*(int(c) for c in rgb))
                    if not (seen[a] and seen[b]):
                        shade.setAlpha(150)
                    pen = QPen(shade, size if solid else size * 0.7, Qt.SolidLine, Qt.RoundCap)
                    if not solid:
                        pen.setStyle(Qt.CustomDashLine)
                        pen.setDashPattern([2.0, 2.4])
                    painter.setPen(pen)
                painter.drawLine(QLineF(*points[a], *points[b]))

    @staticmethod
    def _joints(
        painter: QPainter,
        points: np.ndarray,
        person: Person,
        drawn: np.ndarray,
        seen: np.ndarray,
        size: float,
        state: WindowState,
    ) -> None:
        colours = joint_rgb(state.options.palette, SIDE_2D)
        for j in np.flatnonzero(drawn):
            at = QPointF(*points[j])
            shade = QColor(*(int(c) for c in colours[j]))
            if seen[j]:
                confidence = float(person.confidence_2d[j]) if state.options.confidence else 1.0
                radius = size * (0.7 + 0.5 * min(1.0, confidence))
                painter.setPen(QPen(QColor(0, 0, 0, 150), 1.0))
                painter.setBrush(shade)
            else:  # inferred: a ring
                radius = size * 0.9
                painter.setPen(QPen(shade, 1.4))
                painter.setBrush(QColor(0, 0, 0, 90))
            painter.drawEllipse(at, radius, radius)
        painter.setBrush(Qt.NoBrush)

    @staticmethod
    def _box(painter: QPainter, person: Person, to_widget: Callable[[np.ndarray], np.ndarray], selected: bool) -> None:
        corners = to_widget(person.box.reshape(2, 2).astype(np.float64))
        rect = QRectF(QPointF(*corners.min(0)), QPointF(*corners.max(0)))
        shade = QColor(*person_rgb(person.id))
        shade.setAlpha(255 if selected else 130)
        pen = QPen(shade, 2.6 if selected else 1.2)
        if person.state == "lost":
            pen.setStyle(Qt.DashLine)
        painter.setPen(pen)
        painter.setBrush(Qt.NoBrush)
        painter.drawRoundedRect(rect, 3, 3)

    @staticmethod
    def _label(painter: QPainter, person: Person, to_widget: Callable[[np.ndarray], np.ndarray], title: str) -> None:
        corners = to_widget(person.box.reshape(2, 2).astype(np.float64))
        left, top = corners.min(0)
        font = QFont(painter.font())
        font.setBold(True)
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        width, height = metrics.horizontalAdvance(title) + 10, metrics.height() + 2
        clip = painter.clipBoundingRect()
        left = min(max(left, clip.left()), max(clip.left(), clip.right() - width))
        box = QRectF(left, max(clip.top(), top - height), width, height)
        r, g, b = person_rgb(person.id)
        painter.setPen(Qt.NoPen)
        painter.setBrush(QColor(r, g, b))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(QColor(0, 0, 0) if 0.3 * r + 0.59 * g + 0.11 * b > 120 else QColor(255, 255, 255))
        painter.drawText(box, Qt.AlignCenter, title)
        painter.setBrush(Qt.NoBrush)

    @staticmethod
    def _angles(
        painter: QPainter, person: Person, to_widget: Callable[[np.ndarray], np.ndarray], camera: Camera
    ) -> None:
        """The inner angle at elbows, knees and shoulders, in degrees."""
        j = person.joints_3d.astype(np.float64)
        for name, middle in _TEXT_JOINTS.items():
            if j[middle, 2] <= 0.05:
                continue
            before, after = _NEIGHBOURS[name]
            u, v = j[before] - j[middle], j[after] - j[middle]
            norm = float(np.linalg.norm(u) * np.linalg.norm(v))
            if norm < 1e-6:
                continue
            degrees = np.degrees(np.arccos(np.clip(u @ v / norm, -1, 1)))
            x, y = to_widget(project(j[middle], camera))
            text = f"{degrees:.0f}°"
            painter.setPen(QColor(0, 0, 0, 200))
            painter.drawText(QPointF(x + 8, y + 5), text)
            painter.setPen(QColor(255, 255, 255))
            painter.drawText(QPointF(x + 7, y + 4), text)


def _neighbours() -> dict[str, tuple[int, int]]:
    chains = {"elbow": ("shoulder", "wrist"), "knee": ("hip", "ankle"), "shoulder": ("hip", "elbow")}
    out = {}
    for name in _TEXT_JOINTS:
        side, joint = name.split("_")
        first, last = chains[joint]
        out[name] = (JOINTS_3D.index(f"{side}_{first}"), JOINTS_3D.index(f"{side}_{last}"))
    return out


_NEIGHBOURS = _neighbours()
