"""The transport bar of files: play, step, seek, speed, loop; for live sources just freeze."""

from __future__ import annotations

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QMouseEvent
from PyQt5.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QToolButton,
    QWidget,
)

from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.theme import icon

_TICKS = 10_000


def clock(seconds: float) -> str:
    """Time as m:ss.d."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def fix_width(label: QLabel, text: str) -> None:
    """Give a label room for a text and a fixed size: else Qt lays the whole window out anew with every new text."""
    wide = label.fontMetrics().horizontalAdvance(text) + 8
    if label.width() < wide or label.minimumWidth() != label.maximumWidth():
        label.setFixedSize(max(wide, label.width()), label.fontMetrics().height() + 4)


class SeekSlider(QSlider):
    """A slider that jumps to where it is clicked."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Jump, then drag from there."""
        if event.button() == Qt.LeftButton and self.isEnabled():
            option = QStyleOptionSlider()
            self.initStyleOption(option)
            handle = self.style().subControlRect(QStyle.CC_Slider, option, QStyle.SC_SliderHandle, self)
            if not handle.contains(event.pos()):
                span = max(1, self.width() - handle.width())
                value = round((event.pos().x() - handle.width() / 2) / span * self.maximum())
                self.setSliderPosition(max(0, min(self.maximum(), value)))
        super().mousePressEvent(event)


class TransportBar(QWidget):
    """Emits what the user wants; shows what the state says."""

    play_toggled = pyqtSignal()
    stepped = pyqtSignal(int)
    sought = pyqtSignal(float)
    speed_changed = pyqtSignal(float)
    loop_changed = pyqtSignal(bool)

    def __init__(self, state: WindowState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.back = self._button(tr("One frame back (←)"))
        self.play = self._button(tr("Play or pause (Space)"))
        self.forward = self._button(tr("One frame forward (→)"))
        self._drawn: tuple[bool, str] | None = None
        self.slider = SeekSlider(Qt.Horizontal)
        self.slider.setRange(0, _TICKS)
        self.slider.setFocusPolicy(Qt.TabFocus)  # after a click the arrows still mean frames
        self.slider.setPageStep(_TICKS // 20)
        self.slider.setAccessibleName(tr("Position"))
        self.time = QLabel("0:00.0")
        self.time.setObjectName("clock")
        self.speed = QComboBox()
        for value, name in (
            (0.25, "¼ ×"),
            (0.5, "½ ×"),
            (1.0, "1 ×"),
            (2.0, "2 ×"),
            (4.0, "4 ×"),
            (0.0, tr("fastest")),
        ):
            self.speed.addItem(name, value)
        self.speed.setCurrentIndex(2)
        self.speed.setToolTip(tr("Playing speed; every frame is computed, so it may be slower than asked for"))
        self.loop = QCheckBox(tr("Loop"))
        self.loop.setToolTip(tr("Start again at the end"))
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 3, 6, 3)
        row.setSpacing(5)
        for widget in (self.back, self.play, self.forward):
            row.addWidget(widget)
        row.addWidget(self.slider, 1)
        for widget in (self.time, self.speed, self.loop):
            row.addWidget(widget)
        self.back.clicked.connect(lambda: self.stepped.emit(-1))
        self.forward.clicked.connect(lambda: self.stepped.emit(1))
        self.play.clicked.connect(self.play_toggled)
        self.slider.sliderPressed.connect(self._seek)
        self.slider.valueChanged.connect(self._moved)
        self.speed.currentIndexChanged.connect(lambda _i: self.speed_changed.emit(float(self.speed.currentData())))
        self.loop.toggled.connect(self.loop_changed)

    @staticmethod
    def _button(tip: str) -> QToolButton:
        button = QToolButton()
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setFocusPolicy(Qt.TabFocus)
        return button

    def refresh(self) -> None:
        """The state has changed."""
        playback, source = self._state.playback, self._state.source
        length = source.duration_s
        file = not source.live and bool(source.title)
        for widget in (self.slider, self.back, self.forward, self.speed, self.loop):
            widget.setVisible(not source.live)
            widget.setEnabled(file)
        self.slider.setEnabled(file and bool(length))
        look = (playback.playing, self._state.options.theme)
        if look != self._drawn:
            self._drawn = look
            self.play.setIcon(icon("pause" if playback.playing else "play", look[1]))
            self.back.setIcon(icon("back", look[1]))
            self.forward.setIcon(icon("forward", look[1]))
        if length and not self.slider.isSliderDown():
            self.slider.blockSignals(True)
            self.slider.setValue(round(playback.position_s / length * _TICKS))
            self.slider.blockSignals(False)
        text = clock(playback.position_s)
        if length:
            text += f" / {clock(length)}"
        elif source.live and not playback.playing:
            text += "  " + tr("frozen")
        if self._state.shown is not None:
            text += f"   #{self._state.shown.result.index}"
        if text != self.time.text():
            fix_width(self.time, text)
            self.time.setText(text)

    def _moved(self, value: int) -> None:
        self._seek(value)

    def _seek(self, value: int | None = None) -> None:
        length = self._state.source.duration_s
        if length:
            position = self.slider.sliderPosition() if value is None else value
            self.sought.emit(position / _TICKS * length)
