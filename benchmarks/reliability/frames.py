"""Long runs: simulated people through Stage II, identity, Stage III, all writers and a stream; does anything grow?"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.harness import PICTURE_PX, Held, crowd, held
from xnect.config import PipelineConfig
from xnect.evaluation.report import markdown_table
from xnect.formats.header import RecordingHeader
from xnect.formats.writer import Writers, open_writers
from xnect.geometry import camera_from_fov
from xnect.pipeline import MotionCapture
from xnect.streams import open_streams
from xnect.structures import Detections, Frame

FORMATS = ("csv", "coco", "npz", "bvh")
TAKE = 1000  # frames of one recording: the writers are closed, and opened again, so often
EVERY = 50  # memory is looked at so often


def measure(frames: int, minutes: float | None = None, most: int = 2) -> tuple[str, dict[str, Any]]:
    """Work through so many frames, or for so many minutes; table and figures."""
    marks: list[tuple[int, Held]] = []
    begun, due = time.process_time(), time.monotonic() + 60 * (minutes or 1e6)
    done = 0
    with contextlib.closing(_work(frames, most)) as work:
        for done in work:
            if done % EVERY == 0:
                marks.append((done, held()))
            if done % (20 * EVERY) == 0:
                print(
                    f"{done} frames, {time.process_time() - begun:.0f} s: {marks[-1][1]}", file=sys.stderr, flush=True
                )
            if time.monotonic() > due:
                break
    return _report(done, marks, time.process_time() - begun)


def _work(frames: int, most: int) -> Generator[int, None, None]:
    """Frame after frame; yields how many are done."""
    capture = MotionCapture.for_joints(PipelineConfig())
    capture.warm_up()
    header = RecordingHeader(camera_from_fov(PICTURE_PX), fps=30.0)
    blank = np.zeros((PICTURE_PX[1], PICTURE_PX[0], 3), np.uint8)
    people = crowd(frames, most)
    done = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody, tempfile.TemporaryDirectory() as scratch:
        nobody.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{nobody.getsockname()[1]}"
        with open_streams(udp=(target,), websocket="127.0.0.1:0") as streams:
            streams.describe(header)
            while done < frames:
                with (
                    tempfile.TemporaryDirectory(dir=scratch) as folder,
                    open_writers(Path(folder), FORMATS, header) as writers,
                ):
                    for found in itertools.islice(people, TAKE):
                        result = _one(capture, found, Frame(done, done / 30, blank), writers)
                        streams.send(result)
                        done += 1
                        yield done


def _one(capture: MotionCapture, found: Detections, frame: Frame, writers: Writers) -> Any:
    result = capture.lift(found, frame, with_picture=False)
    for person in result.people:
        if not (np.isfinite(person.joints_3d).all() and np.isfinite(person.angles).all()):
            raise AssertionError(f"frame {frame.index}: person {person.id} has numbers that are not finite")
    writers.write(frame, result)
    return result


def _report(frames: int, marks: list[tuple[int, Held]], spent_s: float) -> tuple[str, dict[str, Any]]:
    """Growth from the second fifth to the last one, by medians: the first fifth fills caches."""
    rss = np.array([m.rss_mb for _, m in marks])
    fifth = max(len(rss) // 5, 1)
    early, late = float(np.median(rss[fifth : 2 * fifth])), float(np.median(rss[-fifth:]))
    growth = 100 * (late / early - 1)
    slope = (
        float(np.polyfit([at for at, _ in marks[fifth:]], rss[fifth:], 1)[0] * 1e5) if len(marks) > fifth + 1 else 0.0
    )
    rows = [[at, f"{m.rss_mb:.1f}", m.threads, m.files] for at, m in marks[:: max(len(marks) // 10, 1)]]
    text = (
        f"### {frames} frames: {growth:+.2f} % memory (second to last fifth), {slope:+.2f} MB in 100,000 frames\n\n"
        + markdown_table(["frames", "MB", "threads", "files"], rows)
        + f"\n\n{spent_s:.0f} s of processor time, {1e3 * spent_s / frames:.2f} ms a frame"
    )
    figures = {"frames": frames, "growth_percent": growth, "slope_mb_per_100k": slope, "cpu_s": spent_s}
    return text, figures | {"marks": [{"frames": at} | asdict(m) for at, m in marks]}
