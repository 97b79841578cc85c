"""``overlay.mp4``: the pictures with the skeletons drawn in, crash-safe while it is being written.

A killed MP4 writer loses everything, a Matroska file with short clusters half a second. So ``overlay.mkv`` is written
while the run lasts and becomes ``overlay.mp4`` at the close, without encoding again. Matroska counts milliseconds; the
exact times of the frames are given back to the packets on the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from xnect.errors import OutputError
from xnect.formats.files import Syncer, replacing
from xnect.formats.painter import PaintOptions, paint
from xnect.formats.people import FrameRecord
from xnect.structures import U8, Frame, FrameResult

FILE_NAME = "overlay.mp4"
RUNNING_NAME = "overlay.mkv"
#: Found by killing the writer: at most about half a second is lost.
_MKV_OPTIONS = {"flush_packets": "1", "cluster_time_limit": "500"}
#: No B-frames (packets then come in the order of time, which the exact time stamps need) and little look-ahead.
#: "superfast" costs two thirds of "veryfast" for a third more bytes: the network needs the processor.
_X264_OPTIONS = {"preset": "superfast", "crf": "23", "bf": "0", "rc-lookahead": "10"}
_BT709 = 1  # matrix, primaries and curve as players assume them for HD; written into the stream, so that none guesses
_LIMITED_RANGE = 1
_CLOCK = 90_000  # of the MP4: divides the usual rates
_TICK_S = 0.001  # of Matroska


class OverlayWriter:
    """Draws the people into each frame and encodes it; sizes that change are fitted into the first frame's."""

    def __init__(self, directory: Path, fps: float, options: PaintOptions | None = None) -> None:
        self._directory = directory
        self._fps = Fraction(fps).limit_denominator(1001)
        self._options = options or PaintOptions()
        self._container: Any = None
        self._stream: VideoStream | None = None
        self._canvas: U8 = np.zeros((0, 0, 3), np.uint8)
        self._start_s: float | None = None
        self._times: list[float] = []
        self._failed = False
        self._syncer: Syncer | None = None

    def write(self, record: FrameRecord) -> None:
        """Encode one frame at its own time; raises OutputError where that fails."""
        frame = record.frame
        if frame is None:
            raise OutputError("an overlay needs the pictures, and a recording has none: run the video again")
        try:
            if self._stream is None:
                self._open(frame.size_px)
            self._paint(frame, record.result)
            if self._start_s is None:
                self._start_s = frame.timestamp_s
            # A clock that stands still (stills all at 0) must not stop the encoder.
            least = self._times[-1] + _TICK_S if self._times else 0.0
            time_s = max(frame.timestamp_s - self._start_s, least)
            self._times.append(time_s)
            self._encode(time_s)
        except (av.FFmpegError, OSError) as error:
            self._failed = True
            raise OutputError(f"cannot write {RUNNING_NAME}: {error}") from error

    def _open(self, size_px: tuple[int, int]) -> None:
        width, height = (max(16, side + side % 2) for side in size_px)  # H.264 wants even sides
        self._canvas = np.zeros((height, width, 3), np.uint8)
        self._container = av.open(str(self._directory / RUNNING_NAME), "w", format="matroska", options=_MKV_OPTIONS)
        stream = cast(VideoStream, self._container.add_stream("libx264", rate=self._fps, options=_X264_OPTIONS))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        stream.codec_context.gop_size = max(1, round(2 * float(self._fps)))
        codec = stream.codec_context
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        codec.color_range = _LIMITED_RANGE
        self._stream = stream
        self._syncer = Syncer(self._directory / RUNNING_NAME)

    def _paint(self, frame: Frame, result: FrameResult) -> None:
        image = frame.image_bgr
        height, width = image.shape[:2]
        canvas = self._canvas
        room_h, room_w = canvas.shape[:2]
        fits = height in (room_h, room_h - 1) and width in (room_w, room_w - 1)
        if not fits and (height > room_h or width > room_w):
            whole = image.copy()
            paint(whole, result, self._options)
            scale = min(room_w / width, room_h / height)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = cast(U8, cv2.resize(whole, size, interpolation=cv2.INTER_AREA))
            height, width = image.shape[:2]
            canvas[:height, :width] = image
        else:
            canvas[:height, :width] = image
            paint(canvas[:height, :width], result, self._options)
        if fits:  # the odd row or column is repeated: black would show as a line
            canvas[height:, :width] = canvas[height - 1 : height, :width]
            canvas[:, width:] = canvas[:, width - 1 : width]
        else:
            canvas[height:] = 0
            canvas[:, width:] = 0

    def _encode(self, time_s: float) -> None:
        assert self._stream is not None
        picture = av.VideoFrame.from_ndarray(self._canvas, format="bgr24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts = round(time_s * _CLOCK)
        picture.time_base = Fraction(1, _CLOCK)
        for packet in self._stream.encode(picture):
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the Matroska file and make the MP4 of it; raises OutputError where that fails."""
        if self._container is None:
            return
        container, self._container = self._container, None
        if self._syncer is not None:
            with contextlib.suppress(OSError):  # the finished file is put on the disk anyway
                self._syncer.close()
        running = self._directory / RUNNING_NAME
        try:
            if self._stream is not None and not self._failed:
                for packet in self._stream.encode(None):
                    container.mux(packet)
            container.close()
            if not self._failed:
                remux(running, self._directory / FILE_NAME, self._times, float(self._fps))
                running.unlink()
        except (av.FFmpegError, OSError) as error:
            raise OutputError(
                f"cannot finish {FILE_NAME}: {error}; `xnect repair` makes it of {RUNNING_NAME}"
            ) from error


def remux(source: Path, target: Path, times_s: Sequence[float] | None, fps: float) -> int:
    """Copy the readable packets of a video into an MP4 without encoding again; a torn end is left out.

    Args:
        source: The Matroska file, whole or torn.
        target: The MP4 to write; replaced in one step once it is whole.
        times_s: Exact times of the frames from the first one's, ascending [s]; packets take the nearest within a
            millisecond. None = the times as they stand in ``source``.
        fps: Rate of the frames [1/s], for the length of the last one.

    Returns:
        Frames written.

    Raises:
        av.FFmpegError, OSError: The source is no video, or the target cannot be written.
    """
    count = 0
    with (
        replacing(target) as part,
        av.open(str(source)) as reader,
        av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as writer,
    ):
        original = reader.streams.video[0]
        stream = writer.add_stream_from_template(original)
        stream.time_base = Fraction(1, _CLOCK)
        for packet, tick, length in _timed(_packets(reader, original), times_s, fps):
            packet.stream = stream
            packet.time_base = Fraction(1, _CLOCK)
            packet.pts = packet.dts = tick
            packet.duration = length
            writer.mux(packet)
            count += 1
    return count


def _packets(reader: Any, stream: Any) -> Iterator[Any]:
    """The readable packets from the first key frame on; a torn end ends them."""
    packets = reader.demux(stream)
    started = False
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.pts is None or packet.size == 0 or packet.is_corrupt:
            continue
        started = started or packet.is_keyframe
        if started:
            yield packet


def _timed(packets: Iterator[Any], times_s: Sequence[float] | None, fps: float) -> Iterator[tuple[Any, int, int]]:
    """Each packet with its time and its length in ticks of the MP4; a length is known once the next packet is."""
    known = np.asarray(times_s if times_s is not None else (), np.float64)
    held: tuple[Any, int] | None = None
    for packet in packets:
        time_s = float(packet.pts * packet.time_base)
        if len(known):
            nearest = _nearest(known, time_s)
            time_s = nearest if abs(nearest - time_s) <= _TICK_S else time_s
        tick = round(time_s * _CLOCK)
        if held is not None:
            tick = max(tick, held[1] + 1)
            yield held[0], held[1], tick - held[1]
        held = packet, tick
    if held is not None:
        yield held[0], held[1], max(1, round(_CLOCK / fps))


def _nearest(known: np.ndarray, value: float) -> float:
    right = min(int(np.searchsorted(known, value)), len(known) - 1)
    left = max(right - 1, 0)
    return float(known[left] if value - known[left] < known[right] - value else known[right])
