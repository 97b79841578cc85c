"""Recording as the user sees it: countdown, start, stop by key or timer, snapshot, what goes where."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PyQt5.QtCore import QObject, QTimer, pyqtSignal
from PyQt5.QtGui import QPixmap

from xnect.errors import OutputError
from xnect.gui.engine import Engine
from xnect.gui.parts import RecordingPlan
from xnect.gui.state import RecordingStatus, WindowState


class Takes(QObject):
    """Counts down, starts and stops the engine's recorder, keeps ``state.recording`` true."""

    changed = pyqtSignal()
    failed = pyqtSignal(str)
    beep = pyqtSignal()

    def __init__(self, state: WindowState, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._state, self._engine, self._clock = state, engine, clock
        self._plan: RecordingPlan | None = None
        self._starts_s = 0.0
        self.last_folder: Path | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(100)
        self._timer.timeout.connect(self._tick)

    @property
    def busy(self) -> bool:
        """Whether something is counted down or recorded."""
        return self._state.recording.phase in ("countdown", "recording")

    def toggle(self, plan: RecordingPlan, countdown_s: float) -> None:
        """Start (after the countdown), or stop, or cancel the countdown."""
        if self.busy:
            self.stop()
        elif self._state.recording.phase == "idle":
            self.start(plan, countdown_s)

    def start(self, plan: RecordingPlan, countdown_s: float = 0.0) -> None:
        """Begin a take."""
        self._plan = plan
        self._starts_s = self._clock() + countdown_s
        self._state.recording = RecordingStatus("countdown", countdown_s, folder=str(plan.folder))
        self._timer.start()
        self._tick()

    def expect(self, plan: RecordingPlan) -> None:
        """A take begins with the source that is being opened."""
        self._plan = plan
        self._state.recording = RecordingStatus("recording", folder=str(plan.folder))
        self._timer.start()
        self.changed.emit()

    def stop(self) -> None:
        """End the take, or cancel the countdown."""
        self._timer.stop()
        if self._state.recording.phase == "countdown":
            self._state.recording = RecordingStatus()
        elif self._state.recording.phase == "recording":
            self._state.recording = dataclasses.replace(self._state.recording, phase="finishing")
            self._engine.stop_recording()
        self.changed.emit()

    def take_status(self, status: RecordingStatus) -> None:
        """News of the recorder."""
        self._state.recording = status
        if status.phase == "idle":
            self._timer.stop()
            if status.frames:
                self.last_folder = Path(status.folder)
            if status.error:
                self.failed.emit(status.error)
        self.changed.emit()

    def _tick(self) -> None:
        recording = self._state.recording
        if recording.phase == "countdown" and self._plan is not None:
            left = self._starts_s - self._clock()
            if left > 0:
                if int(left) != int(recording.countdown_s):
                    self.beep.emit()
                self._state.recording = dataclasses.replace(recording, countdown_s=left)
            else:
                self._state.recording = RecordingStatus("recording", folder=str(self._plan.folder))
                self._engine.start_recording(self._plan)
            self.changed.emit()


def save_snapshot(picture: QPixmap, folder: Path) -> Path:
    """Write a PNG with the time in its name; raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from error
    path = folder / f"snapshot_{datetime.now():%Y%m%d_%H%M%S_%f}.png"
    if not picture.save(str(path), "PNG"):
        raise OutputError(f"cannot write {path}")
    return path
