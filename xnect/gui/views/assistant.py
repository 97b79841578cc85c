"""The camera and scale assistant: three small pages, each measures one thing and puts it into the controls."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PyQt5.QtCore import QTimer, pyqtSignal
from PyQt5.QtGui import QCloseEvent
from PyQt5.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from xnect.capture.board import Board, BoardFinder, print_board
from xnect.capture.calibrating import Views, solve, write_calibration
from xnect.errors import XnectError
from xnect.gui import assist
from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.views.controls import Controls
from xnect.skeleton.joints import JOINTS_3D
from xnect.structures import F32, FrameResult

_FEET = [JOINTS_3D.index(n) for n in ("right_ankle", "left_ankle")]
#: Views of the board that are gathered at least.
VIEWS = 12


class Page(QWidget):
    """A page with an explanation, some fields, one button and a line for the outcome."""

    def __init__(self, text: str, button: str) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        intro = QLabel(text)
        intro.setWordWrap(True)
        column.addWidget(intro)
        self.form = QFormLayout()
        column.addLayout(self.form)
        self.button = QPushButton(button)
        column.addWidget(self.button)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        column.addWidget(self.bar)
        self.outcome = QLabel("")
        self.outcome.setWordWrap(True)
        self.outcome.setMinimumHeight(60)
        column.addWidget(self.outcome)
        column.addStretch(1)

    def number(
        self, label: str, value: float, low: float, high: float, unit: str, step: float = 0.01
    ) -> QDoubleSpinBox:
        """Add a number field."""
        field = QDoubleSpinBox()
        field.setRange(low, high)
        field.setSingleStep(step)
        field.setSuffix(unit)
        field.setValue(value)
        self.form.addRow(label, field)
        return field


class Assistant(QDialog):
    """Watches the running picture; what it finds goes into the controls, where it can be undone."""

    board_seen = pyqtSignal(object)

    def __init__(self, state: WindowState, controls: Controls, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Camera and scale"))
        self.setMinimumWidth(430)
        self._state, self._controls, self._folder = state, controls, folder
        self._results: list[FrameResult] = []
        self._until_s = self._begin_s = 0.0
        self._page: Page | None = None
        self._finish: Callable[[], str] = str
        self._views = Views(Board())
        self._find: BoardFinder | None = None
        self._looking = False
        self._seen_index = -1
        self._person_page()
        self._floor_page()
        self._board_page()
        self.tabs = QTabWidget()
        self.tabs.addTab(self.person, tr("From a person"))
        self.tabs.addTab(self.board, tr("From a board"))
        self.tabs.addTab(self.floor, tr("Floor"))
        close = QDialogButtonBox(QDialogButtonBox.Close)
        close.rejected.connect(self.close)
        column = QVBoxLayout(self)
        column.addWidget(self.tabs)
        column.addWidget(close)
        self.board_seen.connect(self._board_found)
        self._timer = QTimer(self)
        self._timer.setInterval(100)
        self._timer.timeout.connect(self._tick)

    def done(self, result: int) -> None:
        """Closing ends what is being measured."""
        self._timer.stop()
        self._page = None
        for page in (self.person, self.board, self.floor):
            page.button.setEnabled(True)
        super().done(result)

    def closeEvent(self, event: QCloseEvent) -> None:
        """As ``done``."""
        self.done(0)
        event.accept()

    # ---- pages

    def _person_page(self) -> None:
        page = self.person = Page(
            tr(
                "Stand upright at a known distance from the camera, seen from head to feet. After the countdown stand "
                "still for three seconds. This sets the body height, and the field of view from the distance."
            ),
            tr("Measure"),
        )
        self.height_field = page.number(tr("Your height"), 1.75, 0.5, 2.5, " m")
        self.distance_field = page.number(tr("Distance to the camera"), 3.0, 0.5, 20.0, " m", 0.1)
        self.wait_field = QSpinBox()
        self.wait_field.setRange(0, 30)
        self.wait_field.setValue(5)
        self.wait_field.setSuffix(" s")
        page.form.addRow(tr("Countdown"), self.wait_field)
        page.button.clicked.connect(lambda: self._measure(page, self.wait_field.value(), 3.0, self._person_done))

    def _floor_page(self) -> None:
        page = self.floor = Page(
            tr(
                "Let somebody walk about for ten seconds: towards the camera, back, and from side to side, always seen "
                "from head to feet. This tells how high the camera stands and how it is tilted, and puts the floor grid "
                "under the feet."
            ),
            tr("Watch for 10 s"),
        )
        page.button.clicked.connect(lambda: self._measure(page, 0.0, 10.0, self._floor_done))

    def _board_page(self) -> None:
        page = self.board = Page(
            tr(
                "Print a board at 100 %, glue it onto something flat, and show it to the camera from at least {n} different "
                "sides and distances, also near the picture's corners. Each view is taken by itself when the board is held "
                "still."
            ).format(n=VIEWS),
            tr("Start"),
        )
        self.kind = QComboBox()
        self.kind.addItem(tr("with markers (may be partly hidden)"), "charuco")
        self.kind.addItem(tr("plain chessboard"), "chessboard")
        page.form.addRow(tr("Board"), self.kind)
        self.columns, self.rows = QSpinBox(), QSpinBox()
        first = Board()
        for field, label, value in (
            (self.columns, tr("Squares across"), first.squares[0]),
            (self.rows, tr("Squares down"), first.squares[1]),
        ):
            field.setRange(3, 40)
            field.setValue(value)
            page.form.addRow(label, field)
        self.print_button = QPushButton(tr("Save a board to print…"))
        self.print_button.clicked.connect(self._print_dialog)
        page.form.addRow("", self.print_button)
        page.bar.setRange(0, VIEWS)
        page.button.clicked.connect(self._start_boards)

    # ---- person and floor

    def _measure(self, page: Page, wait_s: float, seconds: float, finish: Callable[[], str]) -> None:
        """Count down, gather results, then work them out."""
        self._page, self._finish = page, finish
        self._results.clear()
        self._begin_s = time.monotonic() + wait_s
        self._until_s = self._begin_s + seconds
        page.button.setEnabled(False)
        page.outcome.setText("")
        self._timer.start()

    def _tick(self) -> None:
        page = self._page
        if page is None:
            return
        if page is self.board:
            self._look_for_board()
            return
        now = time.monotonic()
        if now < self._begin_s:
            page.outcome.setText(tr("Starts in {n:.0f} s").format(n=math.ceil(self._begin_s - now)))
            return
        shown = self._state.shown
        if shown is not None and shown.result.index != self._seen_index:
            self._seen_index = shown.result.index
            self._results.append(shown.result)
        total = self._until_s - self._begin_s
        page.bar.setRange(0, 100)
        page.bar.setValue(round(min(1.0, (now - self._begin_s) / total) * 100))
        if now >= self._until_s:
            self._timer.stop()
            self._page = None
            page.button.setEnabled(True)
            try:
                page.outcome.setText(self._finish())
            except XnectError as error:
                self._refused(page, error)

    def _person_done(self) -> str:
        height, distance = self.height_field.value(), self.distance_field.value()
        sizes = []
        for result in self._results:
            measured = [assist.standing_px(p) for p in result.people]
            known = [m for m in measured if m is not None]
            if known:
                sizes.append(max(known))  # the nearest, who stands there to be measured
        shown = self._state.shown
        size_px = shown.frame.size_px if shown is not None else (1, 1)
        fov = assist.fov_from_person(sizes, size_px, height, distance)
        self._controls.set_value("camera.calibration", None)
        self._controls.set_value("camera.fov_deg", round(fov, 1))
        self._controls.set_value("fit.height_m", round(height, 3))
        return tr("Field of view {fov:.1f}°, body height {height:.2f} m: set in the controls.").format(
            fov=fov, height=height
        )

    def _floor_done(self) -> str:
        floor = assist.fit_floor(assist.foot_points(self._results, _FEET))
        self._state.set_floor(floor.normal, floor.height_m)
        return tr(
            "The camera stands {height:.2f} m above the floor, looks {pitch:.1f}° down and leans {roll:.1f}°. The feet lie "
            "within {spread:.0f} mm of it. The 3D view is level now."
        ).format(height=floor.height_m, pitch=floor.pitch_deg, roll=floor.roll_deg, spread=1000 * floor.spread_m)

    # ---- board

    def _chosen_board(self) -> Board:
        return Board(self.kind.currentData(), (self.columns.value(), self.rows.value()))

    def _print_dialog(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, tr("Save a board to print"), "board.pdf", tr("PDF (*.pdf);;PNG (*.png)")
        )
        if path:
            self.save_board(Path(path))

    def save_board(self, path: Path) -> None:
        """Write the chosen board as a page to print, and say so."""
        try:
            print_board(path, self._chosen_board(), overwrite=True)
            self.board.outcome.setText(tr("Saved as {path}. Print it at 100 %.").format(path=path))
        except XnectError as error:
            self._refused(self.board, error)

    @staticmethod
    def _refused(page: Page, why: XnectError) -> None:
        page.outcome.setText(tr("That did not work: {why}.").format(why=why))

    def _start_boards(self) -> None:
        try:
            board = self._chosen_board()
        except XnectError as error:
            self._refused(self.board, error)
            return
        self._views, self._find = Views(board), BoardFinder(board)
        self._looking = False
        self._page = self.board
        self.board.bar.setValue(0)
        self.board.button.setEnabled(False)
        self.board.outcome.setText(tr("Looking for the board…"))
        self._timer.start()

    def _look_for_board(self) -> None:
        shown, find = self._state.shown, self._find
        if self._looking or find is None or shown is None or shown.result.index == self._seen_index:
            return
        self._looking, self._seen_index = True, shown.result.index
        frame = shown.frame

        def work() -> None:
            found = find(frame.image_bgr)
            if self._page is self.board and self._find is find:
                self.board_seen.emit(None if found is None else (*found, frame.size_px))

        threading.Thread(target=work, name="xnect-board", daemon=True).start()

    def _board_found(self, found: tuple[F32, np.ndarray, tuple[int, int]] | None) -> None:
        self._looking = False
        page, views = self.board, self._views
        if found is None or self._page is not page:
            return
        try:
            if views.add(*found):
                page.bar.setValue(min(VIEWS, len(views)))
                advice = views.advice() or tr("show the board from another side")
                page.outcome.setText(tr("{n} views. Next: {advice}.").format(n=len(views), advice=advice))
            if len(views) < VIEWS or views.advice():
                return
            outcome = self._boards_done(views)
        except XnectError as error:
            self._end_boards()
            self._refused(page, error)
            return
        self._end_boards()
        page.outcome.setText(outcome)

    def _end_boards(self) -> None:
        self._timer.stop()
        self._page = None
        self.board.button.setEnabled(True)

    def _boards_done(self, views: Views) -> str:
        lens = solve(views)
        path = self._folder / f"camera_{views.size_px[0]}x{views.size_px[1]}.toml"
        write_calibration(path, lens, overwrite=True)
        self._controls.set_value("camera.calibration", str(path))
        return tr("Field of view {fov:.1f}°, error {error:.2f} px. Saved as {path} and set in the controls.").format(
            fov=lens.fov_deg, error=lens.error_px, path=path
        )
