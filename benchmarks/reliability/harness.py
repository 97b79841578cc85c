"""What the reliability measurements share: programs as children, what a process holds, made-up people."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT
from xnect.structures import Detections

PICTURE_PX = (1280, 720)
#: A standing body, 14 joints, in shares of its height from its middle, feet down.
_BODY = np.array(
    [
        (0, -0.34), (0, -0.27), (-0.1, -0.27), (-0.13, -0.1), (-0.14, 0.05), (0.1, -0.27), (0.13, -0.1), (0.14, 0.05),
        (-0.06, 0.03), (-0.06, 0.27), (-0.06, 0.5), (0.06, 0.03), (0.06, 0.27), (0.06, 0.5),
    ]
)  # fmt: skip
_ARMS, _LEGS = [3, 4, 6, 7], [9, 10, 12, 13]


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds of the machine.

    Attributes:
        rss_mb: Memory in use [MB].
        threads: Threads.
        files: Open file handles.
    """

    rss_mb: float
    threads: int
    files: int


def held(pid: int | str = "self") -> Held:
    """What a process holds now; needs ``/proc``."""
    home = Path("/proc") / str(pid)
    pages = int((home / "statm").read_text().split()[1])
    return Held(
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        len(list((home / "task").iterdir())),
        len(list((home / "fd").iterdir())),
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that has ended.

    Attributes:
        code: Exit code, negative where a signal killed it.
        out: What it wrote.
        err: What it complained.
        seconds: From the signal (or the start, where none was sent) to its end [s].
    """

    code: int
    out: str
    err: str
    seconds: float

    @property
    def traceback(self) -> bool:
        """Whether a user was shown the program's inside."""
        return "Traceback" in self.err or "Fatal Python" in self.err


def environment() -> dict[str, str]:
    """Ours, with this checkout first and one thread a library."""
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def start(arguments: Sequence[str | Path], cwd: Path | None = None) -> subprocess.Popen[str]:
    """A Python program of ours as a child: ``["-m", "xnect", ...]``."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=cwd or ROOT,
    )  # fmt: skip


def end(child: subprocess.Popen[str], number: int | None = None, limit_s: float = 300.0) -> Ended:
    """Send a signal (or none) and wait; a child that does not end in time is killed, and counts as code -9."""
    begun = time.perf_counter()
    if number is not None and child.poll() is None:
        child.send_signal(number)
    try:
        out, err = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
    return Ended(child.returncode, out, err, time.perf_counter() - begun)


def kill(child: subprocess.Popen[str]) -> Ended:
    """SIGKILL: nothing of the program runs any more."""
    return end(child, signal.SIGKILL)


def crowd(frames: int, most: int = 4, seed: int = 0) -> Iterator[Detections]:
    """2D joints of people who walk through the picture, come and go, frame by frame [px].

    Everybody leaves after some seconds and somebody else comes elsewhere; joints shake by a pixel or two, drop out, and
    in one frame of two hundred the detector is wrong altogether.
    """
    rng = np.random.default_rng(seed)
    born, centre, height, speed, phase = _newcomers(rng, most, 0)
    age = rng.integers(90, 900, most)
    for t in range(frames):
        gone = t - born > age
        if gone.any():
            fresh = _newcomers(rng, most, t + 30)  # a second later, at another place
            for mine, new in zip((born, centre, height, speed, phase), fresh, strict=True):
                mine[gone] = new[gone]
        here = born <= t
        since = (t - born)[:, None]
        places = centre + speed * np.sin(since / 120)
        joints = np.repeat(_BODY[None], most, 0)
        swing = 0.05 * np.sin(2 * np.pi * t / 30 + phase)[:, None]
        joints[:, _ARMS, 0] += swing
        joints[:, _LEGS, 0] -= swing
        joints = joints * height[:, None, None] + places[:, None] + rng.normal(0, 1.5, (most, 14, 2))
        confidence = np.clip(rng.normal(0.7, 0.15, (most, 14)), 0.05, 1) * (rng.random((most, 14)) > 0.05)
        if t % 200 == 199:
            joints = rng.uniform(-500, 2000, joints.shape)
        yield Detections(
            joints[here].astype(np.float32),
            confidence[here].astype(np.float32),
            np.full(int(here.sum()), 0.8, np.float32),
        )


def _newcomers(rng: np.random.Generator, most: int, frame: int) -> tuple[np.ndarray, ...]:
    """First frame, place, height, way and phase of people [px]."""
    centre = np.stack([rng.uniform(150, PICTURE_PX[0] - 150, most), rng.uniform(300, 420, most)], -1)
    way = np.stack([rng.uniform(-150, 150, most), np.zeros(most)], -1)
    return np.full(most, frame), centre, rng.uniform(250, 450, most), way, rng.uniform(0, 6, most)
