"""A whole window world without camera, network or disk: moving people, a paced source, a remembered recording."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from xnect.config import PipelineConfig
from xnect.errors import CalibrationError, SourceError
from xnect.geometry import camera_from_fov, project
from xnect.gui.parts import CameraChoice, Facts, Parts, RecordingPlan, SourceRequest
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D
from xnect.structures import Camera, Frame, FrameResult, Person, PoseMaps

SIZE = (640, 360)
ANGLES = ("right_elbow_flexion", "left_elbow_flexion", "right_knee_flexion")

_REST = {
    "head_top": (0, -0.72, 0), "head": (0, -0.6, -0.02), "neck": (0, -0.48, 0), "spine": (0, -0.25, 0), "pelvis": (0, 0, 0),
    "right_shoulder": (-0.18, -0.45, 0), "right_elbow": (-0.25, -0.18, 0), "right_wrist": (-0.27, 0.06, -0.05),
    "right_hand": (-0.27, 0.14, -0.08), "left_shoulder": (0.18, -0.45, 0), "left_elbow": (0.25, -0.18, 0),
    "left_wrist": (0.27, 0.06, -0.05), "left_hand": (0.27, 0.14, -0.08),
    "right_hip": (-0.1, 0.02, 0), "right_knee": (-0.11, 0.44, -0.02), "right_ankle": (-0.11, 0.84, 0.02),
    "right_toe": (-0.12, 0.9, -0.13), "left_hip": (0.1, 0.02, 0), "left_knee": (0.11, 0.44, -0.02),
    "left_ankle": (0.11, 0.84, 0.02), "left_toe": (0.12, 0.9, -0.13),
}  # fmt: skip
BODY = np.array([_REST[n] for n in JOINTS_3D])
_J = JOINTS_3D.index


def moving_body(phase: float, centre: tuple[float, float, float]) -> np.ndarray:
    """A body that walks on the spot and waves, (21, 3) camera space."""
    body = BODY.copy()
    swing = np.sin(phase)
    for side, sign in (("right", 1), ("left", -1)):
        body[_J(f"{side}_knee"), 2] -= 0.18 * max(0, sign * swing)
        for name in ("ankle", "toe"):
            body[_J(f"{side}_{name}"), 1] -= 0.12 * max(0, sign * swing)
            body[_J(f"{side}_{name}"), 2] += 0.10 * sign * swing
        for name, reach in (("elbow", 0.10), ("wrist", 0.25), ("hand", 0.32)):
            body[_J(f"{side}_{name}"), 2] -= reach * sign * swing
    lift = 0.5 + 0.5 * np.sin(0.7 * phase)
    for name, up, out in (("elbow", 0.35, 0.12), ("wrist", 0.85, 0.05), ("hand", 0.98, 0.03)):
        body[_J(f"left_{name}")] += [out * lift, -up * lift, 0]
    return body + np.array(centre)


def make_person(pid: int, joints: np.ndarray, camera: Camera, hidden: tuple[str, ...] = ()) -> Person:
    """A person whose 2D is the projection of the 3D; the hidden joints are inferred."""
    pixels = project(joints[JOINT_3D_OF_2D], camera).astype(np.float32)
    inferred = np.array([any(h in n for h in hidden) for n in JOINTS_3D])
    confidence = np.where(inferred[JOINT_3D_OF_2D], 0, 0.85).astype(np.float32)
    pixels[confidence == 0] = 0
    seen = pixels[confidence > 0]
    box = np.concatenate([seen.min(0) - 8, seen.max(0) + 8]).astype(np.float32)
    elbow = float(np.linalg.norm(joints[_J("left_wrist")] - joints[_J("left_shoulder")]))
    return Person(
        id=pid, joints_2d=pixels, confidence_2d=confidence, joints_3d=joints.astype(np.float32), inferred=inferred,
        angles=np.array([0.3, elbow, 0.5], np.float32),
        root=(joints[_J("pelvis")].astype(np.float32), np.array([1, 0, 0, 0], np.float32)),
        box=box, score=0.9, state="tracked", offsets=np.zeros((3, 3), np.float32),
    )  # fmt: skip


def make_result(index: int, time_s: float, camera: Camera, count: int = 2) -> FrameResult:
    """``count`` people side by side; the second one's legs are not seen."""
    people = []
    for i in range(count):
        x = (i - (count - 1) / 2) * 1.1 + 0.15 * np.sin(time_s + i)
        joints = moving_body(3.0 * time_s + 1.3 * i, (x, 0.05, 3.2 + 0.4 * i))
        people.append(make_person(i + 1, joints, camera, ("knee", "ankle", "toe") if i == 1 else ()))
    timings = {"network": 31.0, "association": 2.1, "lifting": 1.2, "identity": 0.4, "fit": 2.4, "total": 37.1}
    return FrameResult(index, time_s, tuple(people), timings, camera)


def make_maps(result: FrameResult) -> PoseMaps:
    """Gaussians where the joints are, unit fields along the spine."""
    w, h = 64, 36
    scale = SIZE[0] / w
    ys, xs = np.mgrid[:h, :w]
    heat = np.zeros((14, h, w), np.float32)
    pafs = np.zeros((13, 2, h, w), np.float32)
    for person in result.people:
        for j, (x, y) in enumerate(person.joints_2d / scale):
            if person.confidence_2d[j] > 0:
                heat[j] = np.maximum(heat[j], np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 3))
                pafs[0, 1] = np.maximum(pafs[0, 1], (heat[j] > 0.4).astype(np.float32))
    affine = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
    return PoseMaps(heat, pafs, None, affine)


@dataclass
class FakeFacts:
    name: str
    size_px: tuple[int, int]
    fps: float
    duration_s: float | None
    live: bool


class FakeSource:
    """Pictures with the frame number in their colour; a file of some frames, or a camera that never stops."""

    def __init__(self, world: FakeWorld, request: SourceRequest) -> None:
        self.world, self.request = world, request
        self.camera = camera_from_fov(SIZE)
        self.dropped = 0
        live = request.live
        rest = world.frames / world.fps - request.start_s
        self.info = FakeFacts(Path(request.spec).name, SIZE, world.fps, None if live else max(0.0, rest), live)
        self.closed = threading.Event()
        self.lost: str | None = None

    def close(self) -> None:
        self.closed.set()

    def __iter__(self):
        fps = self.world.fps
        first = round(self.request.start_s * fps)
        i = first
        last = self.world.live_frames if self.info.live else self.world.frames
        while not self.closed.is_set() and i < last:
            if self.info.live:
                while self.world.unplugged.is_set() and not self.closed.is_set():
                    self.lost = "cable pulled"
                    self.closed.wait(0.01)
                self.lost = None
                self.closed.wait(1 / fps)
            yield Frame(i, i / fps, self.world.picture(i))
            i += 1


class FakePipeline:
    """The people of ``make_result``, after a while."""

    def __init__(self, world: FakeWorld, config: PipelineConfig) -> None:
        self.world, self.config = world, config
        self.last_maps: PoseMaps | None = None
        self.calls: list[str] = []
        self.seen: list[int] = []

    def __call__(self, frame: Frame) -> FrameResult:
        if self.world.fault is not None:
            raise self.world.fault
        time.sleep(self.world.cost_s)
        self.seen.append(frame.index)
        result = make_result(
            frame.index, frame.timestamp_s, self.world.camera, min(self.world.people, self.config.detection.max_people)
        )
        self.last_maps = make_maps(result) if self.world.with_maps else None
        return result

    def reset(self) -> None:
        self.calls.append("reset")

    def rescale(self) -> None:
        self.calls.append("rescale")

    def reconfigure(self, config: PipelineConfig) -> None:
        self.calls.append("reconfigure")
        self.config = config

    def use_camera(self, camera: Camera | None, live: bool = False) -> None:
        self.calls.append("camera" if camera is None else "measured camera")


class FakeSink:
    """Remembers what is written, and writes a line a frame to disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / "poses.jsonl").open("w")
        self.results: list[FrameResult] = []
        self.closed = False
        self.fault: Exception | None = None

    def write(self, frame: Frame, result: FrameResult) -> None:
        if self.fault is not None:
            raise self.fault
        self.results.append(result)
        self.file.write(f"{result.index}\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()
        self.closed = True


@dataclass
class FakeWorld:
    """Everything outside the window."""

    frames: int = 60
    live_frames: int = 1_000_000
    fps: float = 30.0
    people: int = 2
    cost_s: float = 0.003
    load_s: float = 0.0
    with_maps: bool = True
    fault: Exception | None = None
    load_fault: Exception | None = None
    sink_fault: Exception | None = None
    background: np.ndarray | None = None
    unplugged: threading.Event = field(default_factory=threading.Event)
    pipelines: list[FakePipeline] = field(default_factory=list)
    sinks: list[FakeSink] = field(default_factory=list)
    opened: list[SourceRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.camera = camera_from_fov(SIZE)

    def picture(self, index: int) -> np.ndarray:
        if self.background is not None:
            return self.background.copy()
        image = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
        image[:] = (60, 40 + index % 100, 30)
        return image

    def open_source(self, request: SourceRequest, config: PipelineConfig) -> FakeSource:
        self.opened.append(request)
        if "missing" in request.spec:
            raise SourceError(f"no such file: {request.spec}")
        if self.unplugged.is_set() and request.live:
            raise SourceError("no camera there")
        return FakeSource(self, request)

    def make_pipeline(self, config: PipelineConfig) -> FakePipeline:
        time.sleep(self.load_s)
        if self.load_fault is not None:
            raise self.load_fault
        self.pipelines.append(FakePipeline(self, config))
        return self.pipelines[-1]

    def camera_of(self, config: PipelineConfig, request: SourceRequest, facts: Facts) -> Camera | None:
        if config.camera.calibration == "wrong.toml":
            raise CalibrationError("wrong.toml was made for pictures of another shape")
        return self.camera if config.camera.calibration else None

    def open_sink(self, plan: RecordingPlan, source: object, config: PipelineConfig, frame: Frame, result: FrameResult):
        folder = plan.folder if plan.exact else plan.folder / f"take_{len(self.sinks)}"
        sink = FakeSink(folder)
        sink.fault = self.sink_fault
        self.sinks.append(sink)
        return sink, folder

    def parts(self) -> Parts:
        return Parts(
            open_source=self.open_source,
            make_pipeline=self.make_pipeline,
            camera_of=self.camera_of,
            open_sink=self.open_sink,
            list_cameras=lambda: [CameraChoice("Fake Cam", "Fake Cam"), CameraChoice("Other Cam", "Other Cam")],
            angle_names=lambda: ANGLES,
        )


def wait_for(condition, timeout_s: float = 5.0) -> None:
    """Wait until a condition holds, else fail."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def wait():
    return wait_for


@pytest.fixture
def result_at():
    return make_result


def has_gui() -> str:
    """Why no window can be tested here; empty = it can."""
    try:
        import PyQt5.QtWidgets  # noqa: F401
        import pyqtgraph  # noqa: F401
        import pytestqt  # noqa: F401
    except ImportError as error:
        return f"needs PyQt5, pyqtgraph and pytest-qt ({error})"
    from xnect.gui.display import has_display

    return "" if has_display() else "needs a display (xvfb-run)"


def pytest_collection_modifyitems(config, items) -> None:
    reason = None
    for item in items:
        if item.get_closest_marker("gui"):
            reason = has_gui() if reason is None else reason
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def qapp(tmp_path_factory):
    """The application as the program makes it (shared OpenGL contexts, repaired Qt folders)."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    from xnect.gui.app import make_application
    from xnect.gui.display import mend_qt_paths

    mend_qt_paths()
    return make_application()


@pytest.fixture
def qtbot(qtbot, monkeypatch):
    """pytest-qt's robot, patient: the machine may be busy with other things."""
    wait_until = qtbot.waitUntil
    monkeypatch.setattr(qtbot, "waitUntil", lambda condition, timeout=15000: wait_until(condition, timeout=timeout))
    return qtbot


@pytest.fixture
def settings(tmp_path):
    from PyQt5.QtCore import QSettings

    return QSettings(str(tmp_path / "window.ini"), QSettings.IniFormat)


@pytest.fixture
def opengl():
    """Painted 3D view: quicker where OpenGL is computed by the processor; tests of the real one say None."""
    return False


@pytest.fixture
def window(world, settings, tmp_path, qtbot, qapp, opengl):
    """The real window over the fake world, on screen; closed and its threads gone afterwards."""
    from xnect.gui.main_window import MainWindow

    made = MainWindow(world.parts(), PipelineConfig(), tmp_path / "takes", ("jsonl",), settings, opengl)
    made.ask = False
    made.parts_world = world
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    qapp.setActiveWindow(made)  # there is no window manager that would
    made.begin(PipelineConfig())
    yield made
    made.close()
    assert not made.engine.alive
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("xnect-")])


@pytest.fixture
def playing(window, qtbot):
    """The window with a file playing and people found."""
    window.parts_world.frames = 300
    window.open_source(SourceRequest("video", "clip.mp4", title="clip.mp4"))
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    return window
