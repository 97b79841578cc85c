"""A log cut off at every single byte: all whole lines before the cut are read, and nothing else."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.stand_in import StandIn
from xnect.errors import FormatError
from xnect.formats.header import RecordingHeader
from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.geometry import camera_from_fov
from xnect.structures import Frame

SIZE_PX = (320, 180)


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """A log of so many frames, cut at every byte; text and figures."""
    due = time.monotonic() + 60 * (minutes or 1e6)
    with tempfile.TemporaryDirectory() as scratch:
        whole = _log(Path(scratch) / "take", times)
        path = Path(scratch) / "cut.jsonl"
        lines = np.cumsum([len(line) for line in whole.splitlines(keepends=True)])
        wrong, tried = [], 0
        for cut in range(len(whole) + 1):
            path.write_bytes(whole[:cut])
            # The last line break may be missing: the line is whole without it.
            expected = int((lines <= cut + 1).sum()) - 1
            try:
                found = len(load(path))
            except FormatError:
                found = -1
            tried += 1
            if found != expected:
                wrong.append(cut)
            if time.monotonic() > due:
                break
    text = f"### A log of {times} frames ({len(whole)} bytes), cut at {tried} places: {len(wrong)} read wrongly"
    return text, {"frames": times, "cuts": tried, "wrong": wrong}


def _log(folder: Path, frames: int) -> bytes:
    people, image = StandIn(), np.zeros((SIZE_PX[1], SIZE_PX[0], 3), np.uint8)
    with open_writers(folder, [], RecordingHeader(camera_from_fov(SIZE_PX), fps=30.0)) as writers:
        for index in range(frames):
            frame = Frame(index, index / 30, image)
            writers.write(frame, people(frame))
    return (folder / "poses.jsonl").read_bytes()
