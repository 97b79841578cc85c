"""Curves over time: joint angles, heights, speeds; one colour a person."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor
from PyQt5.QtWidgets import QComboBox, QCompleter, QFileDialog, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from xnect.errors import OutputError
from xnect.gui.history import Quantity, quantities
from xnect.gui.palette import person_rgb
from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.theme import colour

#: Points drawn at most per curve; more than the pixels of a plot only cost time.
MOST_POINTS = 300
#: Longer than this without a sight is a gap in the curve [s].
GAP_S = 0.4

#: Who was seen for less than this is no curve of the plot [s].
LASTING_S = 0.5


class PlotView(QWidget):
    """One quantity of everyone over the last seconds."""

    failed = pyqtSignal(str)

    def __init__(self, state: WindowState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._curves: dict[int, pg.PlotDataItem] = {}
        self._pens: dict[int, float] = {}
        self._theme = self._unit = ""
        self._quantities: list[Quantity] = []
        self.choice = QComboBox()
        self.choice.setEditable(True)
        self.choice.setInsertPolicy(QComboBox.NoInsert)
        self.choice.setToolTip(tr("What to plot; type to search"))
        self.choice.setMinimumContentsLength(18)
        self.choice.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self.choice.currentIndexChanged.connect(lambda _i: self.refresh(True))
        self.window = QComboBox()
        for seconds in (5, 10, 20, 60):
            self.window.addItem(f"{seconds} s", float(seconds))
        self.window.setCurrentIndex(1)
        self.window.setToolTip(tr("How far back the plot goes"))
        self.window.currentIndexChanged.connect(self._window_changed)
        self.reading = QLabel("")
        self.reading.setObjectName("dim")
        save = QToolButton()
        save.setText(tr("Save…"))
        save.setToolTip(tr("Save the curves as a table (CSV) or a picture (PNG)"))
        save.clicked.connect(self._save_dialog)
        row = QHBoxLayout()
        row.setContentsMargins(4, 3, 4, 3)
        row.setSpacing(6)
        self.reading.setFixedSize(
            self.fontMetrics().horizontalAdvance("-888.8 deg") + 8, self.fontMetrics().height() + 4
        )
        self.reading.setAlignment(Qt.AlignCenter)
        row.addWidget(self.choice, 1)
        row.addWidget(self.window)
        row.addWidget(self.reading)
        row.addWidget(save)
        self.plot = pg.PlotWidget()
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.getPlotItem().getAxis("left").enableAutoSIPrefix(False)  # metres stay metres
        self.plot.setMouseEnabled(x=False, y=True)
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self.plot.addItem(self._cursor, ignoreBounds=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        self.set_angle_names(state.angle_names)

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(480, 180)

    def set_angle_names(self, names: tuple[str, ...]) -> None:
        """The skeleton is known: offer its angles."""
        key = self.quantity.key if self._quantities else "height:right_wrist"
        self._quantities = quantities(names)
        self.choice.blockSignals(True)
        self.choice.clear()
        for q in self._quantities:
            self.choice.addItem(tr(q.label), q.key)
        completer = QCompleter([tr(q.label) for q in self._quantities], self.choice)
        completer.setFilterMode(Qt.MatchContains)
        completer.setCaseSensitivity(Qt.CaseInsensitive)
        self.choice.setCompleter(completer)
        self.choose(key)
        self.choice.blockSignals(False)

    def choose(self, key: str) -> None:
        """Plot a quantity by its key."""
        index = self.choice.findData(key)
        if index >= 0:
            self.choice.setCurrentIndex(index)

    @property
    def quantity(self) -> Quantity:
        """What is plotted."""
        return self._quantities[max(0, self.choice.currentIndex())]

    def refresh(self, force: bool = False) -> None:
        """The state has changed."""
        if not (self.isVisible() or force):
            return
        self._dress()
        state = self._state
        quantity = self.quantity
        now = state.shown.result.timestamp_s if state.shown else 0.0
        shown = self._drawn_people()
        for gone in [i for i in self._curves if i not in shown]:
            self.plot.removeItem(self._curves.pop(gone))
            self._pens.pop(gone, None)
        reading = ""
        for person in shown:
            times, values = self._series(person, quantity.key)
            first, last = (int(i) for i in np.searchsorted(times, self._span(now)))
            times, values = times[first : last + 1], values[first : last + 1]
            stride = max(1, len(times) // MOST_POINTS)
            curve = self._curves.get(person)
            if curve is None:
                curve = self._curves[person] = self.plot.plot(connect="finite")
            wide = 2.0 if person == state.selected else 1.0
            if self._pens.get(person) != wide:
                self._pens[person] = wide
                curve.setPen(pg.mkPen(QColor(*person_rgb(person)), width=wide))
            curve.setData(*self._with_gaps(times[::stride], values[::stride]))
            if len(values) and (person == state.selected or reading == ""):
                value = values[min(len(values) - 1, int(np.searchsorted(times, now - 1e-6)))]
                reading = f"{value:.1f} {quantity.unit}" if quantity.unit == "deg" else f"{value:.2f} {quantity.unit}"
        self.reading.setText(reading)
        if quantity.unit != self._unit:  # a label is laid out anew each time it is set
            self._unit = quantity.unit
            self.plot.getPlotItem().setLabel("left", quantity.unit)
            self.plot.getPlotItem().getAxis("left").setWidth(48)
        self._cursor.setVisible(state.review is not None)
        if state.review is not None:
            self._cursor.setValue(now)
        self.plot.setXRange(*self._span(now), padding=0.01)

    def _drawn_people(self) -> list[int]:
        """Whose curves are drawn: everyone shown, but nobody of a blink (unless there is nobody else), as a mistake's
        curve would stretch the scale.
        """
        entries = self._state.people.entries
        shown = [i for i in self._state.history.ids if self._state.people.shown(i)]
        lasting = [
            i for i in shown if i == self._state.selected or (i in entries and entries[i].visible_s >= LASTING_S)
        ]
        return lasting or shown

    def _series(self, person: int, key: str) -> tuple[np.ndarray, np.ndarray]:
        state = self._state
        return state.history.series(person, key, state.angle_names, state.floor_y_m, state.level)

    @staticmethod
    def _with_gaps(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with a break wherever the person was away: a line across would claim what nobody saw."""
        holes = np.flatnonzero(np.diff(times) > GAP_S) + 1
        return np.insert(times, holes, times[holes]), np.insert(values, holes, np.nan)

    def _span(self, now: float) -> tuple[float, float]:
        """Times to show [s]: the last seconds, or both sides of the cursor in a recording."""
        seconds = self._state.options.plot_s
        review = self._state.review
        if review is None:
            first = now - seconds if self._state.source.live else max(0.0, now - seconds)
            return first, first + seconds
        length = float(review.times_s[-1]) if len(review.times_s) else seconds
        first = max(0.0, min(now - seconds / 2, length - seconds))
        return first, first + seconds

    def _dress(self) -> None:
        theme = self._state.options.theme
        if theme == self._theme:
            return
        self._theme = theme
        self.plot.setBackground(colour(theme, "canvas"))
        for side in ("left", "bottom"):
            axis = self.plot.getPlotItem().getAxis(side)
            axis.setPen(pg.mkPen(colour(theme, "line")))
            axis.setTextPen(pg.mkPen(colour(theme, "dim")))
        self._cursor.setPen(pg.mkPen(colour(theme, "accent")))
        self.plot.showGrid(x=True, y=True, alpha=0.15)

    def _window_changed(self) -> None:
        self._state.options.plot_s = float(self.window.currentData())
        self.refresh()

    # ---- saving

    def _save_dialog(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, tr("Save the curves"), "", tr("Table (*.csv);;Picture (*.png)"))
        if path:
            try:
                self.save(Path(path))
            except OutputError as error:
                self.failed.emit(str(error))

    def save(self, path: Path) -> None:
        """Write everything remembered of the chosen quantity as CSV, or the plot as PNG.

        Raises:
            OutputError: The file cannot be written.
        """
        if path.suffix.lower() == ".png":
            if not self.plot.grab().save(str(path), "PNG"):
                raise OutputError(f"cannot write {path}")
            return
        state, q = self._state, self.quantity
        try:
            with path.open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(["time_s", "person", q.key, "unit"])
                for person in state.history.ids:
                    if state.people.shown(person):
                        times, values = self._series(person, q.key)
                        table.writerows(
                            [f"{t:.6f}", person, f"{v:.6f}", q.unit] for t, v in zip(times, values, strict=True)
                        )
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
