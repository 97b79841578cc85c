"""Video files by PyAV: every frame in order with its true time, damaged ones skipped and counted."""

from __future__ import annotations

import heapq
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from xnect.capture.calibration import camera_for
from xnect.capture.source import AS_IT_IS, ReadOptions, SourceBase, SourceInfo
from xnect.errors import SourceError
from xnect.structures import U8, Frame

if TYPE_CHECKING:
    import av

_log = logging.getLogger(__name__)

LEAST_STEP_S = 1e-4  # between frames of files whose times stand still or run back


class Upright:
    """Decoded frames -> BGR uint8 (H, W, 3), turned as the file's rotation mark says.

    It keeps the converter between frames: ``VideoFrame.to_ndarray`` makes one, with threads, for each frame, which
    costs 20 ms a frame on a busy machine.
    """

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._converter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> U8:
        """One frame."""
        image = np.asarray(self._converter.reformat(frame, format="bgr24").to_ndarray(), np.uint8)
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
    # PyAV has no decoder then, and its stubs do not know it.
    if cast("av.VideoCodecContext | None", container.streams.video[0].codec_context) is None:
        container.close()
        raise SourceError(f"{path}: its video is in a form that cannot be decoded")
    return container


def check_file(path: Path) -> None:
    """Raise SourceError unless ``path`` is a readable file with something in it."""
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not a video; for a folder of pictures use --image-dir")
    if not path.exists():
        raise SourceError(f"no such file: {path}")
    if path.is_fifo() or path.is_socket():  # opening a pipe waits for a writer, and it can be read once only
        raise SourceError(f"{path} is a pipe, not a file; a file or an address (http, rtsp, ...) is expected")
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
            self._step_s = 1 / self._fps if self._fps else 1 / 30
            first = next(self._decode(container, stream, _Numbers(self._step_s)), None)
            if first is None:
                raise SourceError(f"{self._path} has no readable frame")
            height, width = Upright()(first).shape[:2]
            duration = self._duration(container, stream)
            frames = stream.frames or (round(duration * self._fps) if duration and self._fps else None)
        if duration is not None and 0 < duration <= options.start_s:
            raise SourceError(f"{self._path} ends at {duration:.2f} s, before the start at {options.start_s:g} s")
        if ratio and ratio != 1:
            _log.warning("%s: pixels are not square (%s); 3D will be stretched", self._path.name, ratio)
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
            numbers = _Numbers(self._step_s)
            if start_s > 0:
                self._seek(container, stream, start_s, numbers)
            last_s, upright = -np.inf, Upright()
            for decoded in self._decode(container, stream, numbers):
                time_s = self._time(decoded, last_s)
                if time_s < start_s - 1e-6:
                    continue
                if self._closed or (self._options.end_s is not None and time_s >= self._options.end_s):
                    return
                index, lost = numbers.of(decoded)
                self._count(lost + decoded.is_corrupt, index)
                if decoded.is_corrupt:
                    continue
                last_s = time_s
                yield Frame(index, time_s, self._options.apply(self._fitted(upright(decoded))))
            self._count(numbers.left(), numbers.last + 1)

    def _time(self, frame: av.VideoFrame, last_s: float) -> float:
        """Presentation time from the start of the stream, always after the frame before [s]."""
        if frame.pts is None or frame.time_base is None:
            return last_s + self._step_s if np.isfinite(last_s) else 0.0
        return max(float(frame.pts * frame.time_base) - self._origin_s, last_s + LEAST_STEP_S, 0.0)

    def _seek(
        self, container: av.container.InputContainer, stream: av.VideoStream, start_s: float, numbers: _Numbers
    ) -> None:
        """Go to the key frame before ``start_s``, and learn the number of the first frame at or after it.

        The number is found by counting packets without decoding them: right for variable rates as well.
        """
        if stream.time_base is None:
            return
        target = round((start_s - 1e-6 + self._origin_s) / stream.time_base)
        for packet in container.demux(stream):
            if packet.pts is not None and packet.pts < target:
                numbers.last += 1
            if packet.dts is not None and packet.dts > target:
                break
        numbers.first_pts = target
        container.seek(target, stream=stream, backward=True)

    def _fitted(self, image: U8) -> U8:
        """Frames that change size on the way are brought back to the first one's."""
        if (image.shape[1], image.shape[0]) == self._native_px:
            return image
        return np.asarray(cv2.resize(image, self._native_px, interpolation=cv2.INTER_AREA), np.uint8)

    def _count(self, lost: int, index: int) -> None:
        if lost and not self.skipped:
            _log.warning("%s: a frame near %d is damaged and left out (more are counted)", self._path.name, index)
        self.skipped += lost

    def _decode(
        self, container: av.container.InputContainer, stream: av.VideoStream, numbers: _Numbers
    ) -> Iterator[av.VideoFrame]:
        """Decoded frames, damaged ones marked as such or missing; ends where nothing more can be read."""
        import av.error

        packets = container.demux(stream)
        packet: av.Packet | None
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                _log.warning("%s ends early: %s", self._path.name, reason(error))
                packet = None
            try:
                if packet is None:
                    yield from stream.codec_context.decode(None)
                    return
                numbers.expect(packet)
                yield from packet.decode()
            except EOFError:
                return
            except av.error.FFmpegError as error:
                _log.debug("%s: %s", self._path.name, reason(error))
                if packet is None:
                    return


class _Numbers:
    """Gives frames their number in the file by the times of the packets, so that frames that do not come leave a gap.

    Attributes:
        last: Number given last.
        first_pts: Packets before this time do not count.
    """

    def __init__(self, step_s: float) -> None:
        self.last = -1
        self.first_pts: int | None = None
        self._step_s = step_s
        self._expected: list[int] = []
        self._last_pts: int | None = None

    def expect(self, packet: av.Packet) -> None:
        """A packet is on its way through the decoder."""
        pts = packet.dts if packet.pts is None else packet.pts
        if pts is not None and packet.size and (self.first_pts is None or pts >= self.first_pts):
            heapq.heappush(self._expected, pts)

    def of(self, frame: av.VideoFrame) -> tuple[int, int]:
        """The number of a frame, and how many before it did not come."""
        lost = 0
        if frame.pts is not None and frame.time_base is not None:
            # Interlaced video may bring a frame in two packets; the second half is no frame of its own.
            half = 0.6 * self._step_s / float(frame.time_base)
            while self._expected and self._expected[0] <= frame.pts:
                pts = heapq.heappop(self._expected)
                lost += pts < frame.pts and (self._last_pts is None or pts - self._last_pts > half)
            self._last_pts = frame.pts
        self.last += lost + 1
        return self.last, lost

    def left(self) -> int:
        """How many frames did not come at the end."""
        return len(self._expected)
