"""A drawn moving picture as a source: for tests, soak runs and trying things without a camera."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from xnect.capture.calibration import camera_for
from xnect.capture.source import AS_IT_IS, ReadOptions, SourceBase, SourceInfo
from xnect.errors import SourceError
from xnect.structures import U8, Frame

_SPEC = re.compile(r"^synthetic(?::(\d+)x(\d+))?(?:@(\d+(?:\.\d+)?))?(?::(\d+))?$")


def is_synthetic(spec: str) -> bool:
    """Whether the text names a synthetic source."""
    return spec.split(":")[0].split("@")[0] == "synthetic"


class SyntheticSource(SourceBase):
    """A disc that circles over a grey ramp; frame i looks the same in every run."""

    def __init__(
        self,
        size_px: tuple[int, int] = (640, 360),
        fps: float = 30.0,
        frames: int | None = 90,
        options: ReadOptions = AS_IT_IS,
        live: bool = False,
    ) -> None:
        """Set up.

        Args:
            size_px: Width and height before any turn [px].
            fps: Frames a second [Hz].
            frames: How many, None = endless.
            options: Turn, flip, part, optics.
            live: Frames come in real time, and those not taken are dropped.
        """
        self._native_px = size_px
        self._fps = fps
        self._frames = frames
        self._options = options
        self._closed = False
        self._ramp = np.linspace(40, 200, size_px[0], dtype=np.float32).astype(np.uint8)
        duration, count = options.expected(None if frames is None else frames / fps, frames)
        info = SourceInfo("synthetic", "synthetic", options.turned(size_px), fps, count, duration, live)
        super().__init__(info, camera_for(options, size_px, "synthetic"))

    @staticmethod
    def parse(spec: str, options: ReadOptions) -> SyntheticSource:
        """From ``synthetic[:WxH][@FPS][:FRAMES]``; raises SourceError."""
        found = _SPEC.match(spec)
        if found is None:
            raise SourceError(f"{spec!r}: expected synthetic[:WxH][@FPS][:FRAMES]")
        width, height, fps, frames = found.groups()
        kwargs: dict[str, Any] = {"options": options}
        if width:
            kwargs["size_px"] = (int(width), int(height))
        if fps:
            kwargs["fps"] = float(fps)
        if frames:
            kwargs["frames"] = int(frames)
        return SyntheticSource(**kwargs)

    def picture(self, index: int) -> U8:
        """Frame ``index`` before turn and flip."""
        width, height = self._native_px
        image = np.repeat(np.repeat(self._ramp[None, :, None], height, 0), 3, 2)
        angle = 2 * np.pi * index / 60
        centre = (round(width * (0.5 + 0.3 * np.cos(angle))), round(height * (0.5 + 0.3 * np.sin(angle))))
        cv2.circle(image, centre, max(min(width, height) // 10, 2), (40, 120, 250), -1)
        return np.asarray(image, np.uint8)

    def close(self) -> None:
        """End a running iteration at its next frame."""
        self._closed = True

    def __iter__(self) -> Iterator[Frame]:
        self._closed = False
        self.dropped = 0
        started = time.perf_counter()
        first = int(np.ceil(self._options.start_s * self._fps - 1e-9))
        index = first
        while not self._closed and (self._frames is None or index < self._frames):
            if self._options.end_s is not None and index / self._fps >= self._options.end_s - 1e-9:
                return
            if self.info.live:
                now = first + int((time.perf_counter() - started) * self._fps)
                self.dropped += max(now - index, 0)
                index = max(index, now)
                time.sleep(max(started + (index - first) / self._fps - time.perf_counter(), 0.0))
            yield Frame(index, index / self._fps, self._options.apply(self.picture(index)))
            index += 1
