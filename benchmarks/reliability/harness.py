"""What the reliability measurements share: programs as children, what a process holds, made-up people."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

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
    def inside_shown(self) -> bool:
        """Whether a user was shown the program's inside."""
        return "Traceback" in self.err or "Fatal Python" in self.err


def environment() -> dict[str, str]:
    """Ours, with this checkout first and one thread a library."""
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip


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


class Forked:
    """A copy of this process that runs a program to its end: a real process without the seconds that imports take.

    Attributes:
        pid: Its number.
        told: Frame numbers that it has written to its pipe so far.
    """

    def __init__(self, program: Callable[[int], int], scratch: Path) -> None:
        """Args: gets the pipe for frame numbers, returns the exit code; a folder for what it writes out."""
        self._out, self._err = scratch / "out.txt", scratch / "err.txt"
        self.told: list[int] = []
        self._ears, mouth = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._ears)
            _become(program, mouth, self._out, self._err)
        os.close(mouth)
        os.set_blocking(self._ears, False)

    def listen(self) -> int:
        """Take in what was told; returns how many frames there are."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._ears, 8 * 1024):
                self.told += [number for (number,) in struct.iter_unpack("<q", data)]
        return len(self.told)

    def reach(self, frames: int, limit_s: float = 120.0) -> bool:
        """Wait until so many frames are written; False where it ended before."""
        due = time.monotonic() + limit_s
        while self.listen() < frames:
            if time.monotonic() > due or not self.lives:
                return False
            time.sleep(0.003)
        return True

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end(self, number: int | None = None, limit_s: float = 120.0) -> Ended:
        """Send a signal (or none) and wait for the end; a process that outlives the limit is killed."""
        begun = time.perf_counter()
        if number is not None:
            os.kill(self.pid, number)
        while self.lives:
            if time.perf_counter() - begun > limit_s:
                os.kill(self.pid, signal.SIGKILL)
            self.listen()
            time.sleep(0.003)
        seconds = time.perf_counter() - begun
        self.listen()
        os.close(self._ears)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return Ended(code, self._out.read_text(), self._err.read_text(), seconds)


def _become(program: Callable[[int], int], mouth: int, out: Path, err: Path) -> NoReturn:
    """The copy's life."""
    code = 70
    try:
        for target, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), target)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        code = program(mouth)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the end of this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
