"""A pipeline that finds one person without a network, and clips to feed it."""

import logging
import signal
import time

import av
import numpy as np
import pytest

from xnect.apps import signals
from xnect.errors import XnectError
from xnect.geometry import camera_from_fov
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import FrameResult, Person


class FakePipeline:
    """One person who walks to the right; numbers people anew after each ``use_camera``, like the real one."""

    def __init__(self, config=None, camera=None, delay_s=0.0):
        self.config, self.camera, self.delay_s = config, camera, delay_s
        self.cameras, self.seen, self.ids = [], [], 0
        self.stop_at, self.stop = -1, None

    def build(self, frame_px=None):
        return self

    def use_camera(self, camera, live=False):
        self.cameras.append(camera)
        self.camera, self.ids = camera, 0

    def __call__(self, frame):
        time.sleep(self.delay_s)
        self.seen.append(frame.index)
        if frame.index == self.stop_at:
            self.stop(signal.SIGINT)
        self.ids = self.ids or 1 + frame.index % 3  # the first number depends on where the run begins
        width, height = frame.size_px
        joints = np.random.default_rng(0).uniform(0.3, 0.7, (14, 2)) * [width, height] + [frame.index * 0.1, 0]
        joints = joints.astype(np.float32)
        person = Person(
            id=self.ids,
            joints_2d=joints,
            confidence_2d=np.ones(14, np.float32),
            joints_3d=np.random.default_rng(1).normal(0, 0.3, (21, 3)).astype(np.float32) + np.float32([0, 0, 3]),
            inferred=np.zeros(21, bool),
            angles=np.zeros(len(SKELETON.angle_names), np.float32),
            root=(np.float32([0, 0, 3]), np.float32([1, 0, 0, 0])),
            box=np.concatenate([joints.min(0), joints.max(0)]),
            score=0.9,
            state="tracked",
            offsets=SKELETON.rest_offsets_m.astype(np.float32),
        )
        camera = self.camera or camera_from_fov(frame.size_px)
        return FrameResult(frame.index, frame.timestamp_s, (person,), {"total": 1.0}, camera)


class BrokenPipeline(FakePipeline):
    """Has no weights."""

    def build(self, frame_px=None):
        raise XnectError("no weights were found")


def write_clip(path, count=30, fps=10, size=(64, 48)):
    """A grey clip."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"g": "5"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(count):
            image = np.full((size[1], size[0], 3), 5 * i % 250, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "walk.mp4")


@pytest.fixture
def make_clip():
    return write_clip


@pytest.fixture
def fake(monkeypatch):
    """The pipeline of all runs of a test."""
    pipeline = FakePipeline()
    monkeypatch.setattr("xnect.apps.run.LazyPipeline", lambda config: pipeline)
    return pipeline


@pytest.fixture
def interrupted(monkeypatch, fake):
    """Ctrl-C comes while the frame ``fake.stop_at`` is computed."""

    class Stop(signals.Stop):
        def __init__(self):
            super().__init__()
            fake.stop = self

    monkeypatch.setattr(signals, "Stop", Stop)


@pytest.fixture
def broken(monkeypatch):
    monkeypatch.setattr("xnect.apps.run.LazyPipeline", lambda config: BrokenPipeline())


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch, tmp_path):
    """No settings of the machine, no display, and the log as it was."""
    for name in ("XNECT_CONFIG", "XNECT_DEVICE", "XNECT_WEIGHTS", "XNECT_LOG_LEVEL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("xnect")
    before = log.level, log.propagate, list(log.handlers)
    yield
    log.level, log.propagate, log.handlers = before
