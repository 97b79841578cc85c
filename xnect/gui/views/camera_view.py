"""The camera picture with the skeletons over it, and Stage I's maps for the curious."""

from __future__ import annotations

import cv2
import numpy as np
from PyQt5.QtCore import QPoint, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QContextMenuEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import QMenu, QSizePolicy, QWidget

from xnect.gui.map_overlay import affinity_rgba, heatmap_rgba, map_rect
from xnect.gui.state import WindowState
from xnect.gui.text import person_name, tr
from xnect.gui.theme import colour
from xnect.gui.views.skeleton_painter import SkeletonPainter
from xnect.structures import U8, Person


def resized(image: U8, size: tuple[int, int]) -> U8:
    """The picture at another width and height; OpenCV does it several times faster than Qt's painter.

    Whole-number steps are averaged first (quick, and nothing flickers), the rest is interpolated.
    """
    height, width = image.shape[:2]
    step = min(width // size[0], height // size[1])
    if step >= 2:
        small = (width // step, height // step)
        whole = image[: small[1] * step, : small[0] * step]
        image = np.asarray(cv2.resize(whole, small, interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


class CameraView(QWidget):
    """Draws the newest frame of the window's state; clicking selects a person."""

    person_clicked = pyqtSignal(object)
    merge_wanted = pyqtSignal(int, int)
    swap_wanted = pyqtSignal(int, int)
    follow_wanted = pyqtSignal(int)

    def __init__(self, state: WindowState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._painter = SkeletonPainter()
        self._pixels = np.empty((0, 0, 4), np.uint8)
        self.notice = ""
        self.setMinimumSize(240, 160)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)
        self.setAttribute(Qt.WA_OpaquePaintEvent)
        self.setAccessibleName(tr("Camera picture"))

    def sizeHint(self) -> QSize:
        """A common picture's shape."""
        return QSize(720, 430)

    def refresh(self) -> None:
        """The state has changed."""
        self.update()

    # ---- geometry

    def picture_rect(self) -> QRectF:
        """Where the picture lies in the widget [logical px]; the whole widget where there is none."""
        shown = self._state.shown
        if shown is None:
            return QRectF(self.rect())
        w, h = shown.frame.size_px
        scale = min(self.width() / w, self.height() / h)
        return QRectF((self.width() - w * scale) / 2, (self.height() - h * scale) / 2, w * scale, h * scale)

    def to_widget(self, points_px: np.ndarray) -> np.ndarray:
        """Frame pixels (..., 2) -> widget coordinates; the mirror is in it."""
        rect = self.picture_rect()
        shown = self._state.shown
        width = shown.frame.size_px[0] if shown else 1
        scale = rect.width() / width
        x = (points_px[..., 0] + 0.5) * scale
        if self._state.options.mirror:
            x = rect.width() - x
        return np.stack([x + rect.x(), (points_px[..., 1] + 0.5) * scale + rect.y()], -1)

    def person_at(self, point: QPoint) -> int | None:
        """Who is under a point of the widget; the smallest box wins."""
        hits = []
        for person in self._state.visible_people():
            corners = self.to_widget(person.box.reshape(2, 2))
            (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
            if x0 - 6 <= point.x() <= x1 + 6 and y0 - 6 <= point.y() <= y1 + 6:
                hits.append(((x1 - x0) * (y1 - y0), person.id))
        return min(hits)[1] if hits else None

    # ---- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Picture, maps, skeletons, recording border."""
        state = self._state
        painter = QPainter(self)
        painter.fillRect(self.rect(), colour(state.options.theme, "canvas"))
        if state.shown is None:
            self._hint(painter)
            return
        rect = self.picture_rect()
        self._picture(painter, rect)
        self._maps(painter, rect)
        painter.setClipRect(rect)
        painter.setRenderHint(QPainter.Antialiasing)
        if state.options.skeleton:
            for person in self._in_drawing_order():
                self._person(painter, person)
        painter.setClipping(False)
        if state.recording.phase == "recording":
            self._recording_border(painter, rect)
        elif state.recording.phase == "countdown":
            self._countdown(painter, rect)

    def _in_drawing_order(self) -> list[Person]:
        """Far people first; the selected one last."""
        people = self._state.visible_people()
        return sorted(people, key=lambda p: (p.id == self._state.selected, -float(p.root[0][2])))

    def _person(self, painter: QPainter, person: Person) -> None:
        state = self._state
        shown = state.shown
        assert shown is not None
        entry = state.people.entries.get(person.id)
        title = entry.title if entry is not None else person_name(person.id)
        self._painter.draw(painter, person, self.to_widget, shown.result.camera, state, title)

    def _hint(self, painter: QPainter) -> None:
        painter.setPen(colour(self._state.options.theme, "dim"))
        text = self.notice or tr("Drop a video here, or choose a source above.")
        painter.drawText(self.rect().adjusted(20, 20, -20, -20), Qt.AlignCenter | Qt.TextWordWrap, text)

    def _picture(self, painter: QPainter, rect: QRectF) -> None:
        shown = self._state.shown
        assert shown is not None
        if not self._state.options.picture:
            painter.fillRect(rect, QColor(0, 0, 0))
            return
        ratio = self.devicePixelRatioF()
        size = (max(1, round(rect.width() * ratio)), max(1, round(rect.height() * ratio)))
        image = shown.frame.image_bgr
        image = resized(image, size)
        if self._state.options.mirror:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
        if self._pixels.shape[:2] != image.shape[:2]:
            self._pixels = np.empty((*image.shape[:2], 4), np.uint8)
        pixels = self._pixels
        cv2.cvtColor(image, cv2.COLOR_BGR2BGRA, dst=pixels)  # Qt's own order: drawn by copying
        picture = QImage(pixels.data, pixels.shape[1], pixels.shape[0], pixels.strides[0], QImage.Format_RGB32)
        painter.drawImage(rect, picture)

    def _maps(self, painter: QPainter, rect: QRectF) -> None:
        shown, options = self._state.shown, self._state.options
        if shown is None or shown.maps is None or not (options.heatmaps or options.pafs):
            return
        if options.picture:
            painter.fillRect(rect, QColor(0, 0, 0, 130))
        x0, y0, x1, y1 = map_rect(shown.maps)
        corners = self.to_widget(np.array([[x0 - 0.5, y0 - 0.5], [x1 - 0.5, y1 - 0.5]]))
        target = QRectF(QPointF(*corners.min(0)), QPointF(*corners.max(0)))
        painter.save()
        painter.setClipRect(rect)
        painter.setRenderHint(QPainter.SmoothPixmapTransform)
        layers = [affinity_rgba(shown.maps)] if options.pafs else []
        layers += [heatmap_rgba(shown.maps, options.map_joint)] if options.heatmaps else []
        for rgba in layers:
            if options.mirror:
                rgba = np.ascontiguousarray(rgba[:, ::-1])
            picture = QImage(rgba.data, rgba.shape[1], rgba.shape[0], rgba.strides[0], QImage.Format_RGBA8888)
            painter.drawImage(target, picture)
        painter.restore()

    def _recording_border(self, painter: QPainter, rect: QRectF) -> None:
        red = colour(self._state.options.theme, "record")
        painter.setPen(QPen(red, 4))
        painter.drawRect(rect.adjusted(2, 2, -2, -2))
        minutes, seconds = divmod(self._state.recording.elapsed_s, 60)
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        font.setBold(True)
        painter.setFont(font)
        text = f"● {int(minutes):02d}:{seconds:04.1f}"
        box = painter.boundingRect(QRectF(0, 0, 400, 60), Qt.AlignLeft, text)
        box.moveTopRight(rect.topRight() + QPointF(-18, 14))
        painter.fillRect(box.adjusted(-8, -4, 8, 4), QColor(0, 0, 0, 150))
        painter.drawText(box, Qt.AlignLeft, text)

    def _countdown(self, painter: QPainter, rect: QRectF) -> None:
        font = painter.font()
        font.setPixelSize(max(40, int(rect.height() / 3)))
        font.setBold(True)
        painter.setFont(font)
        number = str(max(1, int(np.ceil(self._state.recording.countdown_s))))
        painter.setPen(QColor(0, 0, 0, 160))
        painter.drawText(rect.translated(4, 4), Qt.AlignCenter, number)
        painter.setPen(QColor(255, 255, 255))
        painter.drawText(rect, Qt.AlignCenter, number)

    # ---- mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select who is clicked; the empty floor selects nobody."""
        if event.button() == Qt.LeftButton:
            self.person_clicked.emit(self.person_at(event.pos()))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Merge, swap or follow the person under the mouse."""
        person = self.person_at(event.pos())
        if person is None:
            return
        menu = self.person_menu(person)
        menu.exec_(event.globalPos())

    def person_menu(self, person: int) -> QMenu:
        """What can be done with a person."""
        state = self._state
        menu = QMenu(self)
        menu.addAction(tr("Follow in the 3D view"), lambda: self.follow_wanted.emit(person))
        others = [p.id for p in state.visible_people() if p.id != person]
        if state.selected is not None and state.selected != person and state.selected not in others:
            others.insert(0, state.selected)
        for other in others:
            name = state.people.entries[other].title if other in state.people.entries else person_name(other)
            menu.addAction(
                tr("This is {name} (join the two)").format(name=name), lambda o=other: self.merge_wanted.emit(person, o)
            )
            menu.addAction(tr("Swap with {name}").format(name=name), lambda o=other: self.swap_wanted.emit(person, o))
        return menu
