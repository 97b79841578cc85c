"""Live sources: a thread grabs all the time, only the newest frame is kept, a lost device is opened again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from xnect.capture.calibration import camera_for
from xnect.capture.source import AS_IT_IS, ReadOptions, SourceBase, SourceInfo
from xnect.errors import SourceError
from xnect.structures import U8, Frame

_log = logging.getLogger(__name__)

RETRY_S = 2.0
OPEN_LIMIT_S = 15.0  # Windows takes up to 12 s for some cameras
JOIN_LIMIT_S = 2.0
FRESH_S = 0.2


class Device(Protocol):
    """An opened camera or stream."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    @property
    def fps(self) -> float:
        """Frames a second that it promises, 0 = unknown."""
        ...

    def read(self) -> tuple[U8, float | None] | None:
        """The next picture and its own time [s] (None = the time of arrival); None at the end of all pictures.

        Raises:
            SourceError: It is lost.
        """
        ...

    def close(self) -> None:
        """Free it."""
        ...


def open_in_time(opener: Callable[[], Device], what: str, limit_s: float = OPEN_LIMIT_S) -> Device:
    """Open in a thread of its own and wait so long at most; drivers may hang for minutes.

    Raises:
        SourceError: It cannot be opened, or not in time. A device that opens too late is closed.
    """
    done: list[Device] = []
    failed: list[BaseException] = []
    late = threading.Event()

    def work() -> None:
        try:
            device = opener()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            failed.append(error)
            return
        done.append(device)
        if late.is_set():
            device.close()

    thread = threading.Thread(target=work, name="xnect-open", daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not done:
        late.set()
        raise SourceError(f"{what} did not answer within {limit_s:g} s; close other programs that use it and try again")
    return done[0]


class LiveSource(SourceBase):
    """A device whose pictures come whether or not somebody takes them."""

    def __init__(
        self, opener: Callable[[], Device], uri: str, options: ReadOptions = AS_IT_IS, retry_s: float | None = RETRY_S
    ) -> None:
        """Open the device and read one picture to know its size.

        Args:
            opener: Opens the device, also again after it was lost.
            uri: What was asked for.
            options: Turn, flip; ``start_s`` and ``end_s`` count from the first picture.
            retry_s: Time between attempts to open a lost device again [s]; None = its loss ends the source with a
                SourceError.

        Raises:
            SourceError: It cannot be opened.
        """
        self._opener = opener
        self._options = options
        self._retry_s = retry_s
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._ended = False
        self._lost: str | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._device: Device | None = open_in_time(opener, uri)
        self._first = self._device.read()
        if self._first is None:
            self._device.close()
            raise SourceError(f"{uri} gives no picture")
        height, width = self._first[0].shape[:2]
        self._start_s = time.perf_counter()
        info = SourceInfo(self._device.name, uri, options.turned((width, height)), self._device.fps, live=True)
        super().__init__(info, camera_for(options, (width, height), self._device.name))

    @property
    def lost(self) -> str | None:
        """Why there are no pictures just now; None while they come."""
        return self._lost

    def close(self) -> None:
        """End the iteration and free the device; from any thread."""
        with self._news:
            self._ended = True
            self._news.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_LIMIT_S)
        if self._thread is None and self._device is not None:
            self._device.close()
            self._device = None

    def __iter__(self) -> Iterator[Frame]:
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._grab, name="xnect-grab", daemon=True)
            self._thread.start()
        while True:
            with self._news:
                self._news.wait_for(lambda: self._newest is not None or self._ended)
                frame, self._newest = self._newest, None
                if frame is None:
                    break
            yield frame
        if self._error is not None:
            raise self._error

    def _grab(self) -> None:
        index = 0
        picture, self._first = self._first, None
        try:
            if picture is not None and picture[1] is None and time.perf_counter() - self._start_s > FRESH_S:
                picture = self._read()  # the one from the opening is old by now
            self._start_s = time.perf_counter()
            while picture is not None and not self._ended:
                if not self._publish(index, *picture):
                    return
                index += 1
                picture = self._read()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the thread that iterates
            self._error = error
        finally:
            if self._device is not None:
                self._device.close()
                self._device = None
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _publish(self, index: int, image: U8, time_s: float | None) -> bool:
        """Make this the newest frame; False when the asked end is reached."""
        arrived_s = time.perf_counter() - self._start_s if time_s is None else time_s
        if arrived_s < self._options.start_s:
            return True
        if self._options.end_s is not None and arrived_s >= self._options.end_s:
            return False
        frame = Frame(index, arrived_s, self._options.apply(image))
        with self._news:
            self.dropped += self._newest is not None
            self._newest = frame
            self._news.notify_all()
        return True

    def _read(self) -> tuple[U8, float | None] | None:
        """The next picture; waits and opens again where the device is lost."""
        while not self._ended:
            try:
                if self._device is None:
                    self._device = self._opener()
                picture = self._device.read()
            except SourceError as error:
                if self._retry_s is None:
                    raise
                self._tell_lost(str(error))
                if self._device is not None:
                    self._device.close()
                    self._device = None
                with self._news:
                    self._news.wait_for(lambda: self._ended, self._retry_s)
                continue
            if self._lost is not None:
                _log.info("%s is back", self.info.name)
                self._lost = None
            return picture
        return None

    def _tell_lost(self, why: str) -> None:
        if self._lost is None:  # one line a loss, not one an attempt
            _log.warning("%s is lost (%s); trying again every %g s", self.info.name, why, self._retry_s)
        self._lost = why
