"""Plays files at their own pace, so that an avatar moves as the person did."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from xnect.structures import Frame, FrameResult

#: A longer wait is a jump of the file's clock; it is not waited for [s].
LONGEST_S = 5.0


class Paced:
    """A pipeline whose results come no earlier than the file's clock says; a late one does not hurry the next."""

    def __init__(self, pipeline: Callable[[Frame], FrameResult], stop: threading.Event) -> None:
        """Pace a pipeline.

        Args:
            pipeline: Finds the people.
            stop: Set from outside to end all waiting.
        """
        self._pipeline, self._stop = pipeline, stop
        self._offset_s: float | None = None

    def __call__(self, frame: Frame) -> FrameResult:
        """The people of one frame, when its time has come."""
        result = self._pipeline(frame)
        now = time.monotonic()
        if self._offset_s is None:
            self._offset_s = now - frame.timestamp_s
        wait_s = frame.timestamp_s + self._offset_s - now
        if 0 < wait_s <= LONGEST_S:
            self._stop.wait(wait_s)
        else:
            self._offset_s = now - frame.timestamp_s  # late, or the clock jumped: go on from here
        return result
