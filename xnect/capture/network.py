"""Network cameras and other addresses (RTSP, MJPEG, HTTP, ...) by PyAV, as live sources."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from fractions import Fraction

from xnect.capture.live import RETRY_S, LiveSource
from xnect.capture.source import AS_IT_IS, ReadOptions
from xnect.capture.video import Upright, open_container, reason
from xnect.errors import SourceError
from xnect.structures import U8

_log = logging.getLogger(__name__)

ANSWER_LIMIT_S = 8.0
_ADDRESS = re.compile(r"^(https?|rtsps?|rtmps?|rtp|udp|tcp|srt|mms|mmsh|ftp)://", re.IGNORECASE)
_SECRET = re.compile(r"://[^/@\s]*@")


def is_address(spec: str) -> bool:
    """Whether it is an address and not a path."""
    return _ADDRESS.match(spec) is not None


def without_secret(address: str) -> str:
    """The address as it may be shown and logged: without user name and password."""
    return _SECRET.sub("://", address)


class NetworkDevice:
    """An opened address. What has an end (a file on a server) is given at its own pace, as a camera would."""

    def __init__(self, address: str) -> None:
        self.name = re.sub(r"\W+", "_", _ADDRESS.sub("", without_secret(address))).strip("_")[:80]
        options = {"fflags": "nobuffer"}
        if address.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # UDP loses packets and is blocked by most routers
        try:
            self._container = open_container(address, options=options, timeout=(ANSWER_LIMIT_S, ANSWER_LIMIT_S))
        except SourceError as error:
            why = str(error).replace(address, without_secret(address))
            raise SourceError(why) from None  # the cause would show the password
        stream = self._container.streams.video[0]
        stream.thread_type = "SLICE"  # frame threads would hold pictures back
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else 0.0
        self._paced = self._container.duration is not None and self._container.duration > 0
        self._start_s = time.perf_counter()
        self._origin: float | None = None
        self._pictures = self._decode()

    def _decode(self) -> Iterator[tuple[U8, Fraction | float | None]]:
        import av.error

        stream, upright = self._container.streams.video[0], Upright()
        for packet in self._container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError as error:
                _log.debug("damaged packet: %s", reason(error))
                continue
            for frame in frames:
                if not frame.is_corrupt:
                    yield upright(frame), frame.time

    def read(self) -> tuple[U8, float | None] | None:
        """The next picture; None at the end of a file; raises SourceError when a stream breaks off."""
        import av.error

        try:
            picture = next(self._pictures, None)
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(reason(error)) from None
        if picture is None:
            if self._paced:
                return None
            raise SourceError("the stream ended")
        image, media_s = picture
        if not self._paced or media_s is None:
            return image, None
        if self._origin is None:
            self._origin = float(media_s)
            self._start_s = time.perf_counter()
        time_s = float(media_s) - self._origin
        time.sleep(max(self._start_s + time_s - time.perf_counter(), 0.0))
        return image, time_s

    def close(self) -> None:
        """Hang up."""
        self._pictures.close()  # type: ignore[attr-defined]
        self._container.close()


def open_address(address: str, options: ReadOptions = AS_IT_IS, retry_s: float | None = RETRY_S) -> LiveSource:
    """A network camera or other address as a live source.

    Raises:
        SourceError: It does not answer, or has no video.
    """
    return LiveSource(lambda: NetworkDevice(address), without_secret(address), options, retry_s)
