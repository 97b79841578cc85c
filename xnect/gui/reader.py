"""The capture thread of the window: opens a source, paces files, seeks, steps, loops (no Qt)."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from xnect.errors import XnectError
from xnect.gui.parts import Source, SourceRequest
from xnect.gui.state import SourceInfo
from xnect.gui.text import tr
from xnect.structures import Frame

_log = logging.getLogger(__name__)

#: Frames of a file that wait for the network: one in work, one ready, so that decoding overlaps computing.
FILE_QUEUE = 2


@dataclass(frozen=True, eq=False)
class Packet:
    """A frame on its way to the network.

    Attributes:
        frame: The picture.
        arrived_s: When it came, ``perf_counter`` [s].
        epoch: Changes where time jumps (seek, loop); people of another epoch are not these.
        dropped: Frames lost so far because they came too fast.
        generation: Number of the opened source.
    """

    frame: Frame
    arrived_s: float
    epoch: int
    dropped: int
    generation: int


@dataclass
class Transport:
    """What the user asks of a file; guarded by the reader's condition."""

    playing: bool = True
    speed: float = 1.0
    loop: bool = False
    steps: int = 0
    seek_s: float | None = None


@dataclass(frozen=True)
class ReaderEvents:
    """Called in the capture thread."""

    opened: Callable[[SourceInfo, Source, int], None]
    ended: Callable[[int], None]
    failed: Callable[[str, int], None]


class Reader:
    """One opened source and its thread; thrown away when another source is opened."""

    def __init__(
        self, request: SourceRequest, opener: Callable[[SourceRequest], Source], events: ReaderEvents, generation: int
    ) -> None:
        self.request = request
        self.generation = generation
        self.info = SourceInfo()
        self._open_source = opener
        self._events = events
        self._cond = threading.Condition(threading.RLock())
        self._queue: deque[Packet] = deque()
        self._transport = Transport()
        self._epoch = 0
        self._dropped = 0
        self._stop = False
        self._source: Source | None = None
        self._due_s: float | None = None
        self.wake: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=f"xnect-capture-{generation}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        with self._cond:
            self._stop = True
            self._queue.clear()
            source = self._source
            self._cond.notify_all()
        if source is not None:
            source.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False where it still hangs in a driver."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def control(self, change: Callable[[Transport], None]) -> None:
        """Change the transport under its lock."""
        with self._cond:
            change(self._transport)
            self._due_s = None
            if self._transport.seek_s is not None:
                self._queue.clear()
            self._cond.notify_all()

    def ready_in(self) -> float | None:
        """Seconds until the next frame may be taken; 0 = now, None = nothing to take."""
        with self._cond:
            transport = self._transport
            if not self._queue or transport.seek_s is not None:
                return None
            if self.info.live or transport.steps > 0:
                return 0.0
            if not transport.playing:
                return None
            return max(0.0, self._wait_s(self._queue[0].frame))

    def is_current(self, packet: Packet) -> bool:
        """Whether a frame lies after the last jump in time, and none is asked for."""
        with self._cond:
            return packet.epoch == self._epoch and self._transport.seek_s is None

    def take(self) -> Packet | None:
        """The next frame for the network, None where none may be taken now."""
        with self._cond:
            if self.ready_in() != 0.0:
                return None
            if self._transport.steps > 0 and not self.info.live:
                self._transport.steps -= 1
                self._due_s = None
            packet = self._queue.popleft()
            self._cond.notify_all()
            return packet

    def peek(self) -> Packet | None:
        """The next frame, left where it is."""
        with self._cond:
            return self._queue[0] if self._queue else None

    # ---- in the thread

    def _run(self) -> None:
        try:
            request: SourceRequest | None = self.request
            while request is not None:
                request = self._read(request)
        except XnectError as error:
            if not self._stop:
                self._events.failed(str(error), self.generation)
        except Exception as error:  # noqa: BLE001 - a worker's outermost loop: the window must live on
            _log.exception("the source broke")
            self._events.failed(
                tr("The source broke: {why}").format(why=f"{type(error).__name__}: {error}"), self.generation
            )

    def _read(self, request: SourceRequest) -> SourceRequest | None:
        """Read one opening of the source; returns what to open next, None = stop."""
        source = self._open(request)
        if source is None:
            return None
        try:
            if self.info.live:
                self._live(source)
            else:
                self._file(source)
        finally:
            with self._cond:
                self._source = None
            source.close()
        return self._next()

    def _open(self, request: SourceRequest) -> Source | None:
        """Open; None where the reader was stopped meanwhile."""
        source = self._open_source(request)
        facts, how = source.info, self.request
        length = facts.duration_s
        whole = None if length is None or facts.live else length + request.start_s - how.start_s
        info = SourceInfo(
            how.title or facts.name, facts.live or how.live, facts.size_px, facts.fps, whole, how.rotate, how.mirror
        )
        with self._cond:
            if self._stop:
                source.close()
                return None
            self._source = source
            first = not self.info.title
            if not first:
                info = dataclasses.replace(info, duration_s=self.info.duration_s)
            self.info = info
        if first or info.live:
            self._events.opened(info, source, self.generation)
        return source

    @property
    def lost(self) -> str:
        """Why a live source gives no pictures just now (it looks for its device by itself); empty = they come."""
        source = self._source
        return str(getattr(source, "lost", None) or "") if source is not None else ""

    def _live(self, source: Source) -> None:
        before = self._dropped
        for frame in source:
            with self._cond:
                if self._stop:
                    return
                if self._queue:
                    self._queue.clear()
                    before += 1
                self._dropped = before + source.dropped
                self._queue.append(self._packet(frame))
            self.wake()

    def _file(self, source: Source) -> None:
        with self._cond:
            self._transport.steps = max(1, self._transport.steps)  # the first picture shows even while paused
            self._due_s = None
        for frame in source:
            if not self._put(frame):
                return

    def _next(self) -> SourceRequest | None:
        """No more frames come: say so once the network has taken them all, and wait for a seek or a loop."""
        with self._cond:
            self._cond.wait_for(lambda: self._interrupted() or not self._queue)
            if self._stop:
                return None
            ended = self._transport.seek_s is None and not (self._transport.loop and not self.info.live)
            if ended:
                self._transport.playing = False
                self._transport.steps = 0
        if ended:
            self._events.ended(self.generation)
            with self._cond:
                self._cond.wait_for(lambda: self._interrupted() or self._transport.playing)
                if self._stop:
                    return None
        return self._jump()

    def _jump(self) -> SourceRequest:
        with self._cond:
            target = self._transport.seek_s
            self._transport.seek_s = None
            self._queue.clear()
            self._epoch += 1
            return self.request if target is None else self.request.at(target)

    def _packet(self, frame: Frame) -> Packet:
        return Packet(frame, time.perf_counter(), self._epoch, self._dropped, self.generation)

    def _put(self, frame: Frame) -> bool:
        """Put a file's frame into the queue when there is room; False = stop or seek."""
        with self._cond:
            self._cond.wait_for(lambda: self._interrupted() or len(self._queue) < FILE_QUEUE)
            if self._interrupted():
                return False
            self._queue.append(self._packet(frame))
        self.wake()
        return True

    def _interrupted(self) -> bool:
        return self._stop or self._transport.seek_s is not None

    def _wait_s(self, frame: Frame) -> float:
        """Seconds until a frame is due at the chosen speed (0 or less = now); late frames shift the schedule."""
        if self._transport.speed <= 0:
            return 0.0
        now = time.perf_counter()
        media_s = frame.timestamp_s / self._transport.speed
        if self._due_s is None:
            self._due_s = now - media_s
        wait = self._due_s + media_s - now
        if wait < -0.25:
            self._due_s = now - media_s
        return wait
