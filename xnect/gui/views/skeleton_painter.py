"""Draws one person's skeleton, box and label with a QPainter; shared by the camera picture and its copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PyQt5.QtCore import QLineF, QPointF, QRectF, Qt
from PyQt5.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from xnect.geometry import project
from xnect.gui.palette import SIDE_2D, joint_rgb, limb_side, person_rgb
from xnect.gui.state import WindowState
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D, LIMBS
from xnect.structures import Camera, Person

_LIMBS = np.array(LIMBS)
_LIMB_SIDES = np.array([limb_side(a, b) for a, b in LIMBS])
#: Below this confidence a seen joint is drawn dashed.
UNSURE = 0.3

#: People lower than this on the screen have no room for numbers [px].
SMALLEST_WITH_TEXT = 150

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
        if state.options.angle_text and size * 80 >= SMALLEST_WITH_TEXT:
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
        """Lines of one look are drawn by one call: a call costs more than a line."""
        there = drawn[_LIMBS].all(1)
        solid = sure[_LIMBS].all(1) & there
        known = seen[_LIMBS].all(1)

        def lines(which: np.ndarray) -> list[QLineF]:
            return [QLineF(*ends) for ends in points[_LIMBS[which]].reshape(-1, 4).tolist()]

        if solid.any():
            painter.setPen(QPen(QColor(0, 0, 0, 110), size + 2.2, Qt.SolidLine, Qt.RoundCap))
            painter.drawLines(lines(solid))
        for side, rgb in enumerate(joint_rgb(palette, np.arange(3)).tolist()):
            for look, which in (("solid", solid), ("dashed", there & ~solid & known), ("inferred", there & ~known)):
                chosen = which & (side == _LIMB_SIDES)
                if not chosen.any():
                    continue
                pen = QPen(QColor(*rgb, 150 if look == "inferred" else 255), size, Qt.SolidLine, Qt.RoundCap)
                if look != "solid":
                    pen.setWidthF(size * 0.7)
                    pen.setStyle(Qt.CustomDashLine)
                    pen.setDashPattern([2.0, 2.4])
                painter.setPen(pen)
                painter.drawLines(lines(chosen))

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
        """Dots, larger where the network is surer; rings where a joint is inferred."""
        confidence = person.confidence_2d if state.options.confidence else np.ones(len(seen))
        grade = np.digitize(confidence, (0.3, 0.6))

        def dots(which: np.ndarray, width: float, shade: QColor) -> None:
            painter.setPen(QPen(shade, width, Qt.SolidLine, Qt.RoundCap))
            painter.drawPoints(QPolygonF([QPointF(x, y) for x, y in points[which].tolist()]))

        colours = joint_rgb(state.options.palette, np.arange(3)).tolist()
        for level in range(3):
            width = size * (1.5, 1.9, 2.3)[level]
            here = seen & (grade == level)
            if here.any():
                dots(here, width + 1.6, QColor(0, 0, 0, 150))
            for side, rgb in enumerate(colours):
                if (here & (side == SIDE_2D)).any():
                    dots(here & (side == SIDE_2D), width, QColor(*rgb))
        inferred = drawn & ~seen
        for side, rgb in enumerate(colours):
            ring = inferred & (side == SIDE_2D)
            if ring.any():
                dots(ring, size * 2.0, QColor(*rgb))
                dots(ring, size * 1.1, QColor(0, 0, 0))

    @staticmethod
    def _box(painter: QPainter, person: Person, to_widget: Callable[[np.ndarray], np.ndarray], selected: bool) -> None:
        corners = to_widget(person.box.reshape(2, 2).astype(np.float64))
        rect = QRectF(QPointF(*corners.min(0)), QPointF(*corners.max(0)))
        shade = QColor(*person_rgb(person.id))
        shade.setAlpha(255 if selected else 130)
        pen = QPen(shade, 3 if selected else 1)
        if person.state == "lost":
            pen.setStyle(Qt.DashLine)
        painter.setPen(pen)
        painter.setBrush(Qt.NoBrush)
        painter.setRenderHint(QPainter.Antialiasing, False)  # upright lines are sharp, and ten times quicker
        painter.drawRect(rect.toRect())
        painter.setRenderHint(QPainter.Antialiasing)

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
        painter.fillRect(box.toRect(), QColor(r, g, b))
        painter.setPen(QColor(0, 0, 0) if 0.3 * r + 0.59 * g + 0.11 * b > 120 else QColor(255, 255, 255))
        painter.drawText(box, Qt.AlignCenter, title)

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
