"""A recording as a source of frames: its video's pictures where that is found, grey ones otherwise (no Qt)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnect.config import PipelineConfig
from xnect.errors import SourceError, XnectError
from xnect.gui.parts import Source, SourceRequest
from xnect.gui.review import Review
from xnect.structures import Camera, Frame, FrameResult, PoseMaps

_VIDEOS = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts", ".gif")


@dataclass(frozen=True)
class _Facts:
    name: str
    size_px: tuple[int, int]
    fps: float
    duration_s: float | None
    live: bool = False


class Replay:
    """Stands where the pipeline stands: looks results up instead of computing them."""

    last_maps: PoseMaps | None = None

    def __init__(self, review: Review) -> None:
        self.review = review
        self._position = {int(n): i for i, n in enumerate(review.recording.frames)}

    def __call__(self, frame: Frame) -> FrameResult:
        """The recorded result of a frame."""
        return self.review.result_at(self._position[frame.index])

    def reset(self) -> None:
        """Nothing to forget."""

    def rescale(self) -> None:
        """Bodies of a recording are measured already."""

    def reconfigure(self, config: PipelineConfig) -> None:
        """Settings do not change a recording."""

    def use_camera(self, camera: Camera) -> None:
        """A recording has its own camera."""


def find_video(path: Path, name: str) -> Path | None:
    """The video of a recording: beside it or one folder up, by its name with or without its ending."""
    folder = path if path.is_dir() else path.parent
    plain = Path(name).name  # a recording never names a place outside its folder
    for place in (folder, folder.parent):
        exact = place / plain
        if plain and exact.is_file() and exact.suffix.lower() in _VIDEOS:
            return exact
        for ending in _VIDEOS:
            if plain and (candidate := place / (plain + ending)).is_file():
                return candidate
    return None


class ReviewSource:
    """Frames of a recording with the recording's numbers and times."""

    def __init__(self, review: Review, video: Path | None, by_order: bool, start_s: float, name: str) -> None:
        self.replay = Replay(review)
        self.dropped = 0
        self.skipped = 0
        self._review, self._video, self._by_order, self._start_s = review, video, by_order, start_s
        self._closed = False
        header = review.recording.header
        times = review.times_s
        fps = header.fps
        length = float(times[-1]) + 1 / fps if len(times) else 0.0
        self.camera: Camera = header.camera
        self.info = _Facts(name, header.camera.size_px, fps, max(0.0, length - start_s))

    def close(self) -> None:
        """End the iteration."""
        self._closed = True

    def __iter__(self) -> Iterator[Frame]:
        recording, times = self._review.recording, self._review.times_s
        first = int(np.searchsorted(times, self._start_s - 0.5 / recording.header.fps))
        pictures = self._pictures(first)
        width, height = self.camera.size_px
        blank = np.full((height, width, 3), 38, np.uint8)
        wanted = {int(n): i for i, n in enumerate(recording.frames)}
        position = first
        for number, image in pictures:
            if self._closed:
                return
            here = number if self._by_order else wanted.get(number, -1)
            if here < position:
                continue
            for missing in range(position, min(here, len(times))):  # frames that the video does not have
                yield Frame(int(recording.frames[missing]), float(times[missing]), blank)
            if here >= len(times):
                return
            yield Frame(int(recording.frames[here]), float(times[here]), image)
            position = here + 1
        for rest in range(position, len(times)):
            if self._closed:
                return
            yield Frame(int(recording.frames[rest]), float(times[rest]), blank)

    def _reading(self) -> dict[str, int | bool]:
        """How the run turned and flipped the video's pictures; the overlay has them so already."""
        how = self._review.recording.header.program.get("read")
        if self._by_order or not isinstance(how, dict) or how.get("rotate", 0) not in (0, 90, 180, 270):
            return {}
        return {"rotate": int(how.get("rotate", 0)), "mirror": how.get("mirror") is True}

    def _pictures(self, first: int) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers and pictures of the video from about a frame on; none where there is no video."""
        if self._video is None or first >= len(self._review.times_s):
            return
        from xnect.capture import open_source

        begin = float(self._review.times_s[first])
        if not self._by_order:
            begin += float(self._review.recording.times_s[0])
        try:
            source: Source = open_source(str(self._video), start_s=max(0.0, begin - 1e-3), **self._reading())
        except XnectError:
            return
        size = self.camera.size_px
        try:
            for frame in source:
                if frame.size_px != size:
                    return
                yield frame.index, frame.image_bgr
        finally:
            source.close()


def open_review(request: SourceRequest) -> ReviewSource:
    """Open a recording; repairs made before stay while the same request is opened again.

    Raises:
        FormatError: It is no recording.
        SourceError: It has no frames.
    """
    path = Path(request.spec)
    review = request.memo.get("review")
    if not isinstance(review, Review):
        from xnect.formats.recording import load

        review = Review(load(path), path)
        if not len(review.times_s):
            raise SourceError(f"{path} has no frames in it")
        request.memo["review"] = review
    name = review.recording.header.source.name
    video = Path(request.beside) if request.beside else find_video(path, name)
    by_order = False
    folder = path if path.is_dir() else path.parent
    if video is None:
        overlay = [p for p in (folder / "overlay.mp4", folder / "overlay.mkv") if p.is_file()]
        if overlay:
            video, by_order = overlay[0], True
    return ReviewSource(review, video, by_order, request.start_s, request.title or name)
