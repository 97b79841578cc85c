"""Video files by PyAV: every frame in order with its true time, damaged ones skipped and counted."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from xnect.capture.calibration import camera_for
from xnect.capture.source import AS_IT_IS, ReadOptions, SourceBase, SourceInfo
from xnect.errors import SourceError
from xnect.structures import U8, Frame

if TYPE_CHECKING:
    import av

_log = logging.getLogger(__name__)


def upright(frame: av.VideoFrame) -> U8:
    """A decoded frame as BGR uint8 (H, W, 3), turned as the file's rotation mark says."""
    image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def reason(error: Exception) -> str:
    """The readable part of an error of PyAV."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[0].lower() + text[1:]


def open_container(path: str, **options: Any) -> av.container.InputContainer:
    """An opened file with at least one video stream; raises SourceError with one clear line."""
    import av
    import av.error

    try:
        container = av.open(path, **options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"cannot read {path} as video: {reason(error)}") from error
    if not container.streams.video or container.format.name == "tty":
        container.close()
        raise SourceError(f"{path} has no video in it")
    return container


def check_file(path: Path) -> None:
    """Raise SourceError unless ``path`` is a readable file with something in it."""
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not a video; for a folder of pictures use --image-dir")
    if not path.exists():
        raise SourceError(f"no such file: {path}")
    if not os.access(path, os.R_OK):
        raise SourceError(f"no permission to read {path}")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes)")


class VideoSource(SourceBase):
    """A video file.

    Times are the file's own presentation times, counted from the start of its video stream, so that files of variable
    rate keep their pace. Each iteration reads the file from its beginning.
    """

    def __init__(self, path: str | Path, options: ReadOptions = AS_IT_IS) -> None:
        """Open and read as far as the first frame.

        Raises:
            SourceError: The file is missing, not a video, or has not one readable frame.
        """
        self._path = Path(path)
        self._options = options
        self._closed = False
        check_file(self._path)
        with open_container(str(self._path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate or stream.base_rate
            self._fps = float(rate) if rate else 0.0
            self._origin_s = (
                float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
            )
            ratio = stream.sample_aspect_ratio
            first = next((f for f, _ in self._decode(container, stream) if f is not None), None)
            if first is None:
                raise SourceError(f"{self._path} has no readable frame")
            height, width = upright(first).shape[:2]
            duration = self._duration(container, stream)
        if ratio and ratio != 1:
            _log.warning("%s: pixels are not square (%s); 3D will be stretched", self._path.name, ratio)
        frames = stream.frames or (round(duration * self._fps) if duration and self._fps else None)
        part_s, part = options.expected(duration, frames)
        self._native_px = (width, height)
        size = options.turned(self._native_px)
        info = SourceInfo(self._path.stem, str(self._path), size, self._fps, part, part_s)
        super().__init__(info, camera_for(options, self._native_px, self._path.name))

    @staticmethod
    def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return container.duration / 1e6 if container.duration else None

    def close(self) -> None:
        """End a running iteration at its next frame."""
        self._closed = True

    def __iter__(self) -> Iterator[Frame]:
        return self.frames(self._options.start_s)

    def frames(self, start_s: float = 0.0) -> Iterator[Frame]:
        """The frames from a time on; numbers and times stay those of the whole file."""
        self._closed = False
        self.skipped = 0
        with open_container(str(self._path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            first = self._seek(container, stream, start_s) if start_s > 0 else 0
            index, last_s = first - 1, -np.inf
            for decoded, lost in self._decode(container, stream):
                time_s = self._time(decoded, stream, last_s)
                if decoded is not None and time_s < start_s - 1e-6:
                    continue
                index += 1
                if self._closed or (self._options.end_s is not None and time_s >= self._options.end_s):
                    return
                if decoded is None or lost:
                    self._skip(index)
                    continue
                last_s = time_s
                yield Frame(index, time_s, self._options.apply(self._fitted(upright(decoded))))

    def _time(self, frame: av.VideoFrame | None, stream: av.VideoStream, last_s: float) -> float:
        """Presentation time from the start of the stream, always after the frame before [s]."""
        step = 1 / self._fps if self._fps else 1 / 30
        after = max(last_s + step / 4, 0.0)
        if frame is None:
            return after
        if frame.pts is None or frame.time_base is None:
            return last_s + step if np.isfinite(last_s) else 0.0
        return max(float(frame.pts * frame.time_base) - self._origin_s, after)

    def _seek(self, container: av.container.InputContainer, stream: av.VideoStream, start_s: float) -> int:
        """Go to the key frame before ``start_s``; returns the number of the first frame at or after it.

        The number is found by counting packets without decoding them: right for variable rates as well.
        """
        if stream.time_base is None:
            return 0
        target = round((start_s - 1e-6 + self._origin_s) / stream.time_base)
        count = 0
        for packet in container.demux(stream):
            if packet.pts is not None and packet.pts < target:
                count += 1
            if packet.dts is not None and packet.dts > target:
                break
        container.seek(target, stream=stream, backward=True)
        return count

    def _fitted(self, image: U8) -> U8:
        """Frames that change size on the way are brought back to the first one's."""
        if (image.shape[1], image.shape[0]) == self._native_px:
            return image
        return np.asarray(cv2.resize(image, self._native_px, interpolation=cv2.INTER_AREA), np.uint8)

    def _skip(self, index: int) -> None:
        self.skipped += 1
        if self.skipped == 1:
            _log.warning("%s: frame %d is damaged and left out (more are counted silently)", self._path.name, index)

    def _decode(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[tuple[av.VideoFrame | None, bool]]:
        """Decoded frames and whether each is damaged; (None, True) for a packet that cannot be decoded at all."""
        import av.error

        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                _log.warning("%s ends early: %s", self._path.name, reason(error))
                packet = None
            try:
                frames = packet.decode() if packet is not None else stream.codec_context.decode(None)
            except (av.error.FFmpegError, EOFError) as error:
                if isinstance(error, EOFError):
                    return
                frames = []
                yield None, True
            yield from ((frame, bool(frame.is_corrupt)) for frame in frames)
            if packet is None:
                return
