"""Ctrl-C and SIGTERM end a training after the step in hand, so that its checkpoint can be written."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Stop:
    """Whether a training is to end early.

    Attributes:
        code: Exit code of the signal that came, 0 while none did.
    """

    def __init__(self) -> None:
        self.code = 0
        self._before: dict[int, Any] = {}

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal; the next one has its usual effect."""
        self.code = CODES[signal.Signals(number)]
        self.forget()

    def listen(self) -> None:
        """Take the signals; only the main thread can."""
        self._before = {number: signal.signal(number, self) for number in CODES}

    def forget(self) -> None:
        """Give the signals back to those who had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


@contextlib.contextmanager
def heard() -> Iterator[Stop]:
    """Take Ctrl-C and SIGTERM inside. Where one came, the end of the block ends the program with its exit code.

    Raises:
        SystemExit: 130 after Ctrl-C, 143 after SIGTERM.
    """
    stop = Stop()
    if threading.current_thread() is threading.main_thread():
        stop.listen()
    try:
        yield stop
    finally:
        stop.forget()
    if stop.code:
        raise SystemExit(stop.code)
