"""Frames without pictures, for 2D joints that come from a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xnect.capture.calibration import camera_for
from xnect.capture.source import AS_IT_IS, ReadOptions, SourceBase, SourceInfo
from xnect.structures import F64, I64, Camera, Frame


class BlankSource(SourceBase):
    """Black frames of given numbers, times and sizes; they take no memory."""

    def __init__(
        self,
        name: str,
        frames: I64,
        times_s: F64,
        sizes_px: I64,
        fps: float,
        options: ReadOptions = AS_IT_IS,
        camera: Camera | None = None,
    ) -> None:
        """Set up.

        Args:
            name: Short name for folders and titles.
            frames: Numbers, int64 (F,), ascending.
            times_s: Time of each, float64 (F,), never falling [s].
            sizes_px: Width and height of each, int64 (F, 2) [px].
            fps: Nominal rate [1/s].
            options: Optics, start and end.
            camera: The camera where it is known already, for frames of the first size.

        Raises:
            CalibrationError: The calibration cannot be used.
        """
        keep = times_s >= options.start_s - 1e-9
        if options.end_s is not None:
            keep &= times_s < options.end_s - 1e-9
        self._rows = list(zip(frames[keep].tolist(), times_s[keep].tolist(), sizes_px[keep].tolist(), strict=True))
        self._closed = False
        size = int(sizes_px[0, 0]), int(sizes_px[0, 1])
        length = len(self._rows) / fps
        info = SourceInfo(name, name, size, fps, len(self._rows), length)
        super().__init__(info, camera or camera_for(options, size, name))

    def close(self) -> None:
        """End a running iteration at its next frame."""
        self._closed = True

    def __iter__(self) -> Iterator[Frame]:
        self._closed = False
        black = np.zeros((1, 1, 3), np.uint8)
        for index, time_s, (width, height) in self._rows:
            if self._closed:
                return
            yield Frame(index, time_s, np.broadcast_to(black, (height, width, 3)))
