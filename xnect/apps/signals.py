"""Ctrl-C and SIGTERM end a run in order: what was computed is written, files are closed, the exit code tells."""

from __future__ import annotations

import _thread
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143

INSIST_S = 0.25  # a stop that was lost (an exception raised in a destructor is dropped) is raised again so often
PATIENCE = 3  # and so many times, before a process of our own that has nothing open is ended on the spot
SAME_S = 0.3  # two Ctrl-C nearer than this are one: some starters hand on what the terminal sends to all anyway

NOTHING = "stopped before the first frame; nothing was written"
WHOLE = "stopped; what was recorded is whole"

_log = logging.getLogger(__name__)
_OVER = b"\0"  # no signal has this number


class Process:
    """The process we run in.

    Attributes:
        ours: Whether nothing else runs in it: it may then be ended on the spot.
    """

    ours = False


class Stop:
    """Whether and why a run is to end.

    Attributes:
        event: Set when it is to end.
        code: Exit code of the signal, 0 while none came.
        recording: Whether files are open. While none is, a signal ends the run at once (by KeyboardInterrupt).
        outcome: What is told of a run that was stopped.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self.recording = False
        self.outcome = NOTHING
        self._left = threading.Event()
        self._first_s = 0.0

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal; a second Ctrl-C ends the process on the spot."""
        if not self.code:  # before the event: a signal may come while it is being set, and its lock is not re-entrant
            self._first_s = time.monotonic()
            self.code = TERMINATED if number == signal.SIGTERM else INTERRUPTED
            self.event.set()
        elif number == signal.SIGINT and time.monotonic() - self._first_s > SAME_S:
            os._exit(INTERRUPTED)
        if not self.recording and not self._left.is_set():
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def while_recording(self, outcome: str = WHOLE) -> Iterator[None]:
        """Files are open inside: a signal sets the event and nothing else.

        Args:
            outcome: What is told of a run that is stopped from here on.

        Raises:
            KeyboardInterrupt: A signal came before; nothing is to be touched any more.
        """
        self.recording = True
        try:
            if self.event.is_set():
                raise KeyboardInterrupt
            self.outcome = outcome
            yield
        finally:
            self.recording = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """What a stop breaks off inside is no error."""
        try:
            yield
        except KeyboardInterrupt:
            if not self.code:
                raise
        except TimeoutError as error:
            if not self.code:
                raise
            self.outcome = f"{error}; if the recording is torn, xnect repair mends it"
        except Exception:  # whatever a library makes of it: "interrupted system call", "returned NULL"
            if not self.code or self.outcome != NOTHING:
                raise

    def tell(self) -> int:
        """Say that the run was stopped and what there is of it; returns the exit code."""
        self._left.set()
        _log.warning("%s", self.outcome)
        return self.code

    def leave(self) -> None:
        """The run is over: nobody is to be interrupted any more."""
        self._left.set()
        self.event.set()

    def insist(self, heard: socket.socket) -> None:
        """Raise a stop again until the run ends; runs in a thread of its own.

        It hears of signals by itself: the main thread may be deep in a library (compiling, loading) and will not take
        any for seconds.

        Args:
            heard: Gives the numbers of the signals that come, and ``_OVER`` at the end of the run.
        """
        number = heard.recv(1)
        while number not in (b"", _OVER, bytes([signal.SIGINT]), bytes([signal.SIGTERM])):
            number = heard.recv(1)
        tries = 0
        while number not in (b"", _OVER) and not self._left.wait(INSIST_S):
            tries = 0 if self.recording else tries + 1
            if Process.ours and tries > PATIENCE - 1:
                self._end(TERMINATED if number[0] == signal.SIGTERM else INTERRUPTED)
            if tries:
                _thread.interrupt_main(signal.SIGTERM)

    def _end(self, code: int) -> None:
        """End the process; nothing is open that could be torn."""
        teller = threading.Thread(target=self.tell, daemon=True)  # whoever reads our messages may be stuck as well
        teller.start()
        teller.join(INSIST_S)
        os._exit(self.code or code)


@contextlib.contextmanager
def caught() -> Iterator[Stop]:
    """Take Ctrl-C and SIGTERM while inside; only the main thread can."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    here, there = socket.socketpair()
    there.setblocking(False)
    ears_before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    insisting = threading.Thread(target=stop.insist, args=(here,), name="xnect-insist", daemon=True)
    insisting.start()
    try:
        yield stop
    finally:
        stop.leave()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(ears_before)
        with contextlib.suppress(OSError):
            there.send(_OVER)
        insisting.join(1.0)
        here.close()
        there.close()


def quiet() -> None:
    """From here on Ctrl-C just ends the process, without a word: there is nothing to be told, or nobody to tell it."""
    with contextlib.suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def loud() -> None:
    """Ctrl-C raises KeyboardInterrupt again, which is told in one line; nothing where somebody else set a handler."""
    with contextlib.suppress(ValueError):
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
