"""The signals between the engine's threads and the window: newest frame wins, nothing else is lost."""

from __future__ import annotations

import threading

from PyQt5.QtCore import QObject, pyqtSignal

from xnect.gui.engine import EngineEvents
from xnect.gui.parts import CameraChoice
from xnect.gui.state import Shown


class Bridge(QObject):
    """Receives the engine's events in its threads and emits Qt signals that arrive in the window's thread.

    Only one ``frame_ready`` is under way at a time: while the window draws, newer frames replace the waiting one, so
    that a slow screen never builds up a queue and never slows the network down.
    """

    frame_ready = pyqtSignal()
    opened = pyqtSignal(object, int)
    lost = pyqtSignal(str)
    ended = pyqtSignal()
    failed = pyqtSignal(str, str, str)
    progress = pyqtSignal(str)
    recording = pyqtSignal(object)
    cameras = pyqtSignal(object)
    note = pyqtSignal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._newest: Shown | None = None
        self._closed = False

    def events(self) -> EngineEvents:
        """Callbacks for the engine."""
        return EngineEvents(
            shown=self._post,
            opened=lambda info, number: self._send(self.opened, info, number),
            lost=lambda why: self._send(self.lost, why),
            ended=lambda: self._send(self.ended),
            failed=lambda title, text, details: self._send(self.failed, title, text, details),
            progress=lambda text: self._send(self.progress, text),
            recording=lambda status: self._send(self.recording, status),
        )

    def tell_cameras(self, cameras: list[CameraChoice]) -> None:
        """The list of cameras is ready (from any thread)."""
        self._send(self.cameras, cameras)

    def tell(self, text: str) -> None:
        """A line for the user (from any thread)."""
        self._send(self.note, text)

    def tell_progress(self, text: str) -> None:
        """What is being waited for (from any thread); empty = nothing."""
        self._send(self.progress, text)

    def close(self) -> None:
        """Nothing is emitted any more; the window is about to go."""
        self._closed = True

    def take(self) -> Shown | None:
        """The newest frame since the last call."""
        with self._lock:
            newest, self._newest = self._newest, None
            return newest

    def _post(self, shown: Shown) -> None:
        with self._lock:
            waiting = self._newest is not None
            self._newest = shown
        if not waiting:
            self._send(self.frame_ready)

    def _send(self, signal: pyqtSignal, *values: object) -> None:
        if not self._closed:
            signal.emit(*values)
