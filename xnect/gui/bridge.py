"""The signals between the engine's threads and the window: newest frame wins, nothing else is lost."""

from __future__ import annotations

import logging
import threading

from PyQt5.QtCore import QObject, pyqtSignal

from xnect.gui.engine_events import EngineEvents
from xnect.gui.parts import CameraChoice, Parts
from xnect.gui.state import Shown

_log = logging.getLogger(__name__)

#: Frames that may wait for a slow window; older ones are missing in plots and when stepping back, nowhere else.
KEEP = 32


class Bridge(QObject):
    """Receives the engine's events in its threads and emits Qt signals that arrive in the window's thread.

    Only one ``frame_ready`` is under way at a time: while the window draws, newer frames gather and only the newest is
    drawn, so that a slow screen never slows the network down.
    """

    frame_ready = pyqtSignal()
    opened = pyqtSignal(object, int)
    ended = pyqtSignal()
    failed = pyqtSignal(str, str, str)
    progress = pyqtSignal(str)
    recording = pyqtSignal(object)
    cameras = pyqtSignal(object)
    note = pyqtSignal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._waiting: list[Shown] = []
        self._closed = False

    def events(self) -> EngineEvents:
        """Callbacks for the engine."""
        return EngineEvents(
            shown=self._post,
            opened=lambda info, number: self._send(self.opened, info, number),
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

    def take(self) -> list[Shown]:
        """All frames since the last call (the newest is the one to draw), at most ``KEEP`` of them."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            return waiting

    def _post(self, shown: Shown) -> None:
        with self._lock:
            first = not self._waiting
            self._waiting.append(shown)
            del self._waiting[:-KEEP]
        if first:
            self._send(self.frame_ready)

    def _send(self, signal: pyqtSignal, *values: object) -> None:
        if not self._closed:
            signal.emit(*values)


def look_for_cameras(parts: Parts, bridge: Bridge) -> None:
    """List the cameras in a thread of its own (drivers may take seconds) and tell the bridge."""

    def work() -> None:
        try:
            cameras = parts.list_cameras()
        except Exception as error:  # noqa: BLE001 - drivers throw anything
            _log.warning("cameras cannot be listed: %s", error)
            cameras = []
        bridge.tell_cameras(cameras)

    threading.Thread(target=work, name="xnect-cameras", daemon=True).start()
