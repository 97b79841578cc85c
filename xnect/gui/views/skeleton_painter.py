"""Draws one person's skeleton, box and label with a QPainter; shared by the camera picture and its copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PyQt5.QtCore import QLineF, QPointF, QRectF, Qt
from PyQt5.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from xnect.geometry import project
from xnect.gui.palette import PALETTES, SIDE_2D, Rgb, limb_side, person_rgb
from xnect.gui.state import WindowState
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D, LIMBS
from xnect.structures import Camera, Person

_LIMBS = np.array(LIMBS)
_LIMB_SIDES = [limb_side(a, b) for a, b in LIMBS]
_ABSENT, _SOLID, _DASHED, _INFERRED = range(-1, 3)
#: Below this confidence a seen joint is drawn dashed.
UNSURE = 0.3

#: Measured names that are remembered at most.
MOST_NAMES = 200
#: People lower than this on the screen have no room for numbers [px].
SMALLEST_WITH_TEXT = 150

_TEXT_JOINTS = {
    name: JOINTS_3D.index(name)
    for name in ("right_elbow", "left_elbow", "right_knee", "left_knee", "right_shoulder", "left_shoulder")
}


def _limb_looks(drawn: np.ndarray, seen: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """How each limb is drawn: sure ends solid, unsure ones dashed, ends nobody saw inferred; int (13,)."""
    sure = (seen & (confidence >= UNSURE))[_LIMBS].all(1)
    there, known = drawn[_LIMBS].all(1), seen[_LIMBS].all(1)
    return np.where(~there, _ABSENT, np.where(sure, _SOLID, np.where(known, _DASHED, _INFERRED)))


class SkeletonPainter:
    """Knows how a person looks; holds no person, only how wide names are."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], tuple[QFont, float, float]] = {}

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
        points = np.concatenate([person.joints_2d, person.box.reshape(2, 2)]).astype(np.float64)
        drawn = seen.copy()
        behind = person.joints_3d[JOINT_3D_OF_2D]
        fill = ~seen & (behind[:, 2] > 0.05)
        fill[0] = False  # the nose has no joint of its own in 3D
        if fill.any():
            points[:-2][fill] = project(behind[fill].astype(np.float64), camera)
            drawn |= fill
        points[:-2][~drawn] = 0
        on_widget = to_widget(points)
        corners, joints = on_widget[-2:], on_widget[:-2]
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        box = QRectF(left, top, right - left, bottom - top)
        size = min(max((bottom - top) / 80, 1.6), 5.0)  # line width that fits the person's size on the screen
        if state.options.boxes:
            self._box(painter, person, box, person.id == state.selected)
        colours = PALETTES.get(state.options.palette, PALETTES["XNect"])
        self._limbs(painter, joints, _limb_looks(drawn, seen, person.confidence_2d), size, colours)
        self._joints(painter, joints, person, drawn, size, state.options.confidence, colours)
        if state.options.ids:
            self._label(painter, person, box, title)
        if state.options.angle_text and size * 80 >= SMALLEST_WITH_TEXT:
            self._angles(painter, person, to_widget, camera)

    @staticmethod
    def _limbs(
        painter: QPainter, points: np.ndarray, looks: np.ndarray, size: float, colours: tuple[Rgb, Rgb, Rgb]
    ) -> None:
        """Lines of one look are drawn by one call: a call costs more than a line."""
        groups: dict[tuple[int, int], list[QLineF]] = {}
        for ends, look, side in zip(points[_LIMBS].reshape(-1, 4).tolist(), looks.tolist(), _LIMB_SIDES, strict=True):
            if look != _ABSENT:
                groups.setdefault((side, look), []).append(QLineF(*ends))
        solid = [line for (_, look), lines in groups.items() if look == _SOLID for line in lines]
        if solid:
            painter.setPen(QPen(QColor(0, 0, 0, 110), size + 2.2, Qt.SolidLine, Qt.RoundCap))
            painter.drawLines(solid)
        for (side, look), lines in sorted(groups.items(), key=lambda item: item[0]):
            shade = QColor(*colours[side], 150 if look == _INFERRED else 255)
            pen = QPen(shade, size, Qt.SolidLine, Qt.RoundCap)
            if look != _SOLID:
                pen.setWidthF(size * 0.7)
                pen.setStyle(Qt.CustomDashLine)
                pen.setDashPattern([2.0, 2.4])
            painter.setPen(pen)
            painter.drawLines(lines)

    @staticmethod
    def _joints(
        painter: QPainter,
        points: np.ndarray,
        person: Person,
        drawn: np.ndarray,
        size: float,
        graded: bool,
        colours: tuple[Rgb, Rgb, Rgb],
    ) -> None:
        """Dots, larger where the network is surer; rings where a joint is inferred."""
        groups: dict[tuple[int, int], list[QPointF]] = {}
        known = zip(points.tolist(), person.confidence_2d.tolist(), drawn.tolist(), SIDE_2D.tolist(), strict=True)
        for (x, y), confidence, there, side in known:
            if there:
                grade = -1 if confidence <= 0 else 2 if not graded else (confidence >= 0.3) + (confidence >= 0.6)
                groups.setdefault((grade, side), []).append(QPointF(x, y))

        def dots(dotted: list[QPointF], width: float, shade: QColor) -> None:
            painter.setPen(QPen(shade, width, Qt.SolidLine, Qt.RoundCap))
            painter.drawPoints(QPolygonF(dotted))

        for level in range(3):
            width = size * (1.5, 1.9, 2.3)[level]
            here = [groups.get((level, side), []) for side in range(3)]
            if any(here):
                dots([dot for side in here for dot in side], width + 1.6, QColor(0, 0, 0, 150))
            for side in range(3):
                if here[side]:
                    dots(here[side], width, QColor(*colours[side]))
        for side in range(3):
            if ring := groups.get((-1, side)):
                dots(ring, size * 2.0, QColor(*colours[side]))
                dots(ring, size * 1.1, QColor(0, 0, 0))

    @staticmethod
    def _box(painter: QPainter, person: Person, box: QRectF, selected: bool) -> None:
        shade = QColor(*person_rgb(person.id))
        shade.setAlpha(255 if selected else 130)
        pen = QPen(shade, 3 if selected else 1)
        if person.state == "lost":
            pen.setStyle(Qt.DashLine)
        painter.setPen(pen)
        painter.setBrush(Qt.NoBrush)
        painter.setRenderHint(QPainter.Antialiasing, False)  # upright lines are sharp, and ten times quicker
        painter.drawRect(box.toRect())
        painter.setRenderHint(QPainter.Antialiasing)

    def _label(self, painter: QPainter, person: Person, person_box: QRectF, title: str) -> None:
        font, width, height = self._name(painter.font(), title)
        painter.setFont(font)
        clip = painter.clipBoundingRect()
        left = min(max(person_box.left(), clip.left()), max(clip.left(), clip.right() - width))
        box = QRectF(left, max(clip.top(), person_box.top() - height), width, height)
        r, g, b = person_rgb(person.id)
        painter.fillRect(box.toRect(), QColor(r, g, b))
        painter.setPen(QColor(0, 0, 0) if 0.3 * r + 0.59 * g + 0.11 * b > 120 else QColor(255, 255, 255))
        painter.drawText(box, Qt.AlignCenter, title)

    def _name(self, plain: QFont, title: str) -> tuple[QFont, float, float]:
        """Bold font, width and height of a label; measuring costs more than drawing."""
        key = (plain.key(), title)
        if key not in self._names:
            if len(self._names) > MOST_NAMES:
                self._names.clear()
            font = QFont(plain)
            font.setBold(True)
            metrics = QFontMetricsF(font)
            self._names[key] = font, metrics.horizontalAdvance(title) + 10, metrics.height() + 2
        return self._names[key]

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
