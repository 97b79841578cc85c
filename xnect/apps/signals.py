"""Ctrl-C and SIGTERM end a run in order: what was computed is written, files are closed, the exit code tells."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143


class Stop:
    """Whether and why a run is to end.

    Attributes:
        event: Set when it is to end.
        code: Exit code of the signal, 0 while none came.
        recording: Whether files are open. While none is, a signal ends the run at once (by KeyboardInterrupt).
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self.recording = False

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal; a second Ctrl-C does not wait any longer."""
        if self.event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.code = TERMINATED if number == signal.SIGTERM else INTERRUPTED
        self.event.set()
        if not self.recording:
            raise KeyboardInterrupt


@contextlib.contextmanager
def caught() -> Iterator[Stop]:
    """Take Ctrl-C and SIGTERM while inside; only the main thread can."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
