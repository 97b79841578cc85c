"""``xnect run`` with made-up people instead of the networks: everything around them is the real program."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from xnect.formats.writer import Writers
from xnect.geometry import camera_from_fov
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import Camera, Frame, FrameResult, Person

PEOPLE = 2


class StandIn:
    """Two people who walk to the right; the same in every run, and every frame stands alone."""

    def __init__(self, config: Any = None, camera: Camera | None = None) -> None:
        self._camera = camera

    def build(self, frame_px: tuple[int, int] | None = None) -> StandIn:
        """Nothing to load."""
        return self

    def use_camera(self, camera: Camera | None, live: bool = False) -> None:
        """Take the camera of a source."""
        self._camera = camera

    def __call__(self, frame: Frame) -> FrameResult:
        """The people of one frame."""
        camera = self._camera or camera_from_fov(frame.size_px)
        people = tuple(_person(which, frame) for which in range(PEOPLE))
        return FrameResult(frame.index, frame.timestamp_s, people, {}, camera)


def _person(which: int, frame: Frame) -> Person:
    rng = np.random.default_rng((which, frame.index // 30))
    joints = rng.uniform(0.2, 0.8, (14, 2)) * frame.size_px + [frame.index % 30 * 0.5, 0]
    low, high = SKELETON.limits_rad.T
    return Person(
        id=which + 1,
        joints_2d=joints.astype(np.float32),
        confidence_2d=np.full(14, 0.8, np.float32),
        joints_3d=(rng.normal(0, 0.3, (21, 3)) + np.array([which, 0, 3])).astype(np.float32),
        inferred=np.zeros(21, bool),
        angles=np.clip(rng.normal(0, 0.3, len(low)), low, high).astype(np.float32),
        root=(np.array([which, 0, 3], np.float32), np.array([1, 0, 0, 0], np.float32)),
        box=np.concatenate([joints.min(0), joints.max(0)]).astype(np.float32),
        score=0.9,
        state="tracked",
        offsets=SKELETON.rest_offsets_m.astype(np.float32),
    )


def run(arguments: Sequence[str], told: int | None = None, pause_s: float = 0.0) -> int:
    """``xnect run ARGUMENTS`` in this process, which is to end afterwards; returns the exit code.

    Args:
        arguments: As typed.
        told: A pipe that is told the number of each frame as soon as the writers have taken it.
        pause_s: The network's time for a frame [s].
    """
    from xnect.apps import main, signals
    from xnect.apps import run as program

    signals.Process.ours = True
    program.LazyPipeline = StandIn  # type: ignore[misc, assignment]
    write, compute = Writers.write, StandIn.__call__

    def write_and_tell(writers: Writers, frame: Frame, result: FrameResult) -> None:
        write(writers, frame, result)
        if told is not None and "jsonl" not in writers.failures:
            os.write(told, struct.pack("<q", frame.index))

    def compute_slowly(self: StandIn, frame: Frame) -> FrameResult:
        time.sleep(pause_s)
        return compute(self, frame)

    Writers.write = write_and_tell  # type: ignore[method-assign]
    StandIn.__call__ = compute_slowly  # type: ignore[method-assign]
    return main.main(["run", *arguments])
