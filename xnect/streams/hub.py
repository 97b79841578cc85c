"""The one thread that hands finished frames to all outlets, so that the pipeline never waits for any of them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from xnect.formats.header import RecordingHeader, header_to_json
from xnect.formats.jsonl import FrameEncoder
from xnect.formats.people import People, empty_people, people_of
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import Camera, Frame, FrameResult

_log = logging.getLogger(__name__)

QUEUE = 4  # frames that may wait for the outlets: some, to even out hiccups; then the oldest is dropped
TICK_S = 0.05  # outlets that have something to do without frames are called so often
KEY_S = 1.0  # bone lengths and camera are told again so often, for those who come late
CLOSE_S = 0.9  # closing takes no longer than this


class Packet:
    """One frame as the outlets get it.

    Attributes:
        index: Number of the frame in its source.
        time_s: Capture time on the source's clock [s].
        people: Everyone in sight, sound numbers only.
        header: The first line of a recording of this source (JSON, no line end).
    """

    def __init__(self, result: FrameResult, people: People, header: bytes, encoder: FrameEncoder) -> None:
        self.index, self.time_s, self.people, self.header = result.index, result.timestamp_s, people, header
        self._camera: Camera = result.camera
        self._encoder = encoder
        self._line: bytes | None = None

    @property
    def line(self) -> bytes:
        """The frame as one line of ``poses.jsonl`` (no line end); made when first asked for."""
        if self._line is None:
            self._line = self._encoded(self.people)
        return self._line

    def lines(self, most_bytes: int) -> list[bytes]:
        """The frame as one line, or as several with some of the people each where it is longer than this."""
        if len(self.line) <= most_bytes or len(self.people) < 2:
            return [self.line]
        self._encoder.forget()
        half = len(self.people) // 2
        return [part for rows in (slice(0, half), slice(half, None)) for part in self._split(rows, most_bytes)]

    def _split(self, rows: slice, most_bytes: int) -> list[bytes]:
        people = self.people.take(rows)
        line = self._encoded(people)
        if len(line) <= most_bytes or len(people) < 2:
            return [line]
        start, count = rows.start, len(people)
        halves = (slice(start, start + count // 2), slice(start + count // 2, start + count))
        self._encoder.forget()
        return [part for half in halves for part in self._split(half, most_bytes)]

    def _encoded(self, people: People) -> bytes:
        return self._encoder.line(self.index, self.time_s, people, self._camera).encode()


class Outlet(Protocol):
    """One kind of stream; all calls come from one thread."""

    @property
    def description(self) -> str:
        """Where it goes, in words."""
        ...

    def send(self, packet: Packet, now_s: float) -> None:
        """Send one frame without waiting for anybody; ``now_s`` is a monotonic clock."""
        ...

    def tick(self, now_s: float) -> None:
        """Called about every ``TICK_S`` while no frames come."""
        ...

    def close(self) -> None:
        """End within ``CLOSE_S``."""
        ...


class Streams:
    """All outlets behind one bounded queue; also a sink of a ``Session`` and a context manager.

    Attributes:
        dropped: Frames that the outlets were too slow for.
        outlets: Those that still work.
    """

    def __init__(self, outlets: Sequence[Outlet]) -> None:
        """Start the thread; there is none without outlets."""
        self.outlets = list(outlets)
        self.dropped = 0
        self._waiting: deque[FrameResult] = deque()
        self._changed = threading.Condition()
        self._stop = False
        self._described: RecordingHeader | None = None
        self._header: RecordingHeader | None = None
        self._header_line = b""
        self._encoder: FrameEncoder | None = None
        self._told_s = 0.0
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="xnect-streams", daemon=True)
        if self.outlets:
            self._thread.start()

    def __bool__(self) -> bool:
        """Whether anything is streamed."""
        return bool(self.outlets)

    def describe(self, header: RecordingHeader) -> None:
        """Say what the next frames come from; receivers of JSON get this as a header before them."""
        self._described = header

    def send(self, result: FrameResult) -> None:
        """Hand over one frame; returns at once, and drops the oldest frame where too many wait."""
        if not self.outlets:
            return
        with self._changed:
            if len(self._waiting) >= QUEUE:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(result)
            self._changed.notify()

    def write(self, frame: Frame, result: FrameResult) -> None:
        """The same, as a sink."""
        self.send(result)

    def close(self) -> None:
        """Send what waits, then end all outlets, within a second."""
        with self._changed:
            self._stop = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        if self.dropped or self._left_out:
            _log.debug("streams: %d frames dropped, %d people with impossible numbers", self.dropped, self._left_out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- in the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting and not self._stop:
                    self._changed.wait(TICK_S)
                result = self._waiting.popleft() if self._waiting else None
                if result is None and self._stop:
                    break
            now = time.monotonic()
            packet = None if result is None else self._packet(result, now)
            for outlet in list(self.outlets):
                self._guarded(outlet, packet, now)
        for outlet in self.outlets:
            self._closed(outlet)

    def _guarded(self, outlet: Outlet, packet: Packet | None, now: float) -> None:
        try:
            if packet is None:
                outlet.tick(now)
            else:
                outlet.send(packet, now)
        except Exception:  # noqa: BLE001 - a worker's outermost loop: the other streams go on
            _log.exception("%s broke; the rest goes on", outlet.description)
            self.outlets.remove(outlet)
            self._closed(outlet)

    def _closed(self, outlet: Outlet) -> None:
        try:
            outlet.close()
        except Exception:  # noqa: BLE001 - as above
            _log.exception("%s could not be closed", outlet.description)

    def _packet(self, result: FrameResult, now: float) -> Packet:
        angles, bones = len(SKELETON.angle_names), len(SKELETON.joint_names)
        try:
            people = people_of(result, angles, bones)
        except ValueError:  # made with another skeleton
            self._left_out += len(result.people)
            people = empty_people(angles, bones)
        good = people.sound()
        if not good.all():
            self._left_out += int((~good).sum())
            people = people.take(good)
        encoder = self._encoder_for(result)
        if now - self._told_s >= KEY_S:
            self._told_s = now
            encoder.forget()
        return Packet(result, people, self._header_line, encoder)

    def _encoder_for(self, result: FrameResult) -> FrameEncoder:
        described = self._described
        if self._encoder is None or (described is not None and described is not self._header):
            header = self._header = described or RecordingHeader(result.camera, program={"name": "xnect"})
            line = json.dumps(header_to_json(header), separators=(",", ":"), allow_nan=False, default=str)
            self._header_line = line.encode()
            self._encoder = FrameEncoder(header)
        return self._encoder
