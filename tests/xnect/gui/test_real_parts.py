"""The window's engine over this program's own capture and writers; only the network is made up."""

from __future__ import annotations

import dataclasses
import http.server
import threading
import time
from collections import deque

import av
import cv2
import numpy as np
import pytest

from xnect.capture import SourceInfo
from xnect.config import CameraConfig, FilterConfig, PipelineConfig
from xnect.formats.recording import load
from xnect.geometry import camera_from_fov
from xnect.gui import default_parts
from xnect.gui.engine import Engine
from xnect.gui.engine_events import EngineEvents
from xnect.gui.parts import RecordingPlan, SourceRequest
from xnect.gui.people import IdMap
from xnect.skeleton.kinematics import SKELETON

BITS, BLOCK = 12, 16
SIZE = (BITS * BLOCK, 120)


def numbered(number: int) -> np.ndarray:
    """A picture that carries a number as black and white blocks."""
    image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 if number >> bit & 1 else 0
    return image


def number_in(image: np.ndarray) -> int:
    centres = image[BLOCK // 2, BLOCK // 2 :: BLOCK, 0]
    return int(sum(1 << bit for bit in range(BITS) if centres[bit] > 127))


class Camera(http.server.ThreadingHTTPServer):
    """A network camera: MJPEG over HTTP on loopback, faster than anybody computes."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, fps: float, port: int = 0) -> None:
        self.fps = fps
        self.sent: deque[tuple[int, float]] = deque(maxlen=4000)
        self.halt = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/stream.mjpg"

    def pull_the_plug(self) -> None:
        self.halt.set()
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_args) -> None:
        pass

    def do_GET(self) -> None:
        camera: Camera = self.server
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        begin, number = time.perf_counter(), 0
        try:
            while not camera.halt.is_set():
                number = int((time.perf_counter() - begin) * camera.fps)
                data = cv2.imencode(".jpg", numbered(number % (1 << BITS)))[1].tobytes()
                camera.sent.append((number % (1 << BITS), time.perf_counter()))
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                camera.halt.wait(max(0.0, begin + (number + 1) / camera.fps - time.perf_counter()))
        except OSError:
            pass


@pytest.fixture
def engine(world):
    """An engine with real sources and writers, and what it showed."""
    shown, failed, ended, status = [], [], [], []
    parts = dataclasses.replace(world.parts(), open_source=default_parts.open_source, open_sink=default_parts.open_sink)
    events = EngineEvents(
        shown.append, lambda *a: None, lambda: ended.append(1), lambda *a: failed.append(a),
        lambda *a: None, status.append,
    )  # fmt: skip
    made = Engine(parts, PipelineConfig(), events, IdMap())
    made.load(PipelineConfig())
    made.logs = (shown, failed, ended, status)
    yield made
    assert made.close()


@pytest.fixture
def real_people(monkeypatch, result_at):
    """The fake people with as many angles and bones as the skeleton has."""
    angles = np.linspace(0, 0.5, len(SKELETON.angle_names), dtype=np.float32)
    offsets = SKELETON.rest_offsets_m.astype(np.float32)

    def widened(self, frame):
        result = result_at(frame.index, frame.timestamp_s, self.world.camera)
        people = tuple(dataclasses.replace(p, angles=angles.copy(), offsets=offsets.copy()) for p in result.people)
        return dataclasses.replace(result, people=people)

    import sys

    fake = next(m for name, m in sys.modules.items() if name.endswith("gui.conftest"))
    monkeypatch.setattr(fake.FakePipeline, "__call__", widened)


def lags_of(engine, camera: Camera, wait, seconds: float) -> np.ndarray:
    """Age [s] of what is shown, from the camera's sending of a picture to its result, with the time it was seen (N, 2)."""
    shown, failed = engine.logs[:2]
    engine.open(SourceRequest("address", camera.address))
    wait(lambda: len(shown) > 3 or failed, 20)
    assert not failed
    lags, begin = [], time.perf_counter()
    while time.perf_counter() < begin + seconds:
        count = len(shown)
        wait(lambda c=count: len(shown) > c)
        now, number = time.perf_counter(), number_in(shown[-1].frame.image_bgr)
        at = next((t for n, t in reversed(camera.sent) if n == number), None)
        if at is not None:
            lags.append((now - begin, now - at))
        del shown[:-5]
    return np.array(lags)


@pytest.fixture
def camera():
    made = Camera(100.0)
    yield made
    made.pull_the_plug()


def test_a_network_camera_is_live_and_its_latency_stays_flat(engine, world, wait, camera):
    """Frames at 100 fps into a network that does 20: what is shown is never older than a few steps."""
    world.cost_s = 0.05
    lags = lags_of(engine, camera, wait, 2.5)[:, 1]
    half = len(lags) // 2
    assert half >= 5
    assert engine.logs[0][-1].dropped > 10
    assert np.median(lags[half:]) < np.median(lags[:half]) + 0.15, "lag does not grow"
    assert np.median(lags) < 1.0


@pytest.mark.slow
def test_latency_stays_flat_for_a_minute(engine, world, wait, camera):
    """A queue of all frames would be 48 s behind at the end."""
    world.cost_s = 0.05
    lags = lags_of(engine, camera, wait, 60.0)
    medians = [float(np.median(lags[(lags[:, 0] >= t) & (lags[:, 0] < t + 10), 1])) for t in range(0, 60, 10)]
    print("lag in each ten seconds [ms]:", [round(1000 * m) for m in medians])
    assert len(lags) > 200
    assert max(medians) < 0.5
    assert medians[-1] < medians[0] + 0.1, "lag does not grow"


def test_a_network_camera_that_goes_away_is_found_again(engine, world, wait, monkeypatch):
    monkeypatch.setattr(default_parts, "RETRY_S", 0.1)
    first = Camera(30.0)
    shown, failed, ended, _ = engine.logs
    engine.open(SourceRequest("address", first.address))
    wait(lambda: len(shown) > 3 or failed, 20)
    first.pull_the_plug()
    wait(lambda: engine.lost, 20)
    last = shown[-1].frame
    again = Camera(30.0, first.server_address[1])
    try:
        wait(lambda: not engine.lost and shown[-1].frame.index > last.index, 20)
        assert shown[-1].frame.timestamp_s > last.timestamp_s
        assert not failed
        assert not ended
    finally:
        again.pull_the_plug()


def test_pictures_are_flipped_as_they_are_read_and_the_take_says_so(engine, world, wait, tmp_path, real_people):
    _, failed, ended, status = engine.logs
    world.camera = camera_from_fov(SIZE)
    config = PipelineConfig(filters=FilterConfig(enabled=False))
    engine.configure(config)
    engine.set_speed(0)
    path = tmp_path / "clip.mp4"
    write_clip(path, 4)
    engine.open(SourceRequest("video", str(path), mirror=True), RecordingPlan(tmp_path / "out", ("jsonl",), exact=True))
    wait(lambda: ended or failed, 30)
    assert number_in(engine.logs[0][-1].frame.image_bgr[:, ::-1]) == 3
    engine.stop_recording()
    wait(lambda: status and status[-1].phase == "idle", 30)
    header = load(tmp_path / "out").header
    assert header.filtered is False
    assert header.program["read"] == {"rotate": 0, "mirror": True}
    assert header.program["settings"]["filters"]["enabled"] is False
    review = default_parts.open_source(SourceRequest("recording", str(tmp_path / "out")), config)
    frames = list(review)
    assert number_in(frames[3].image_bgr[:, ::-1]) == 3, "the review turns and flips the video as the run did"


def test_a_calibration_is_turned_like_the_pictures(tmp_path):
    path = tmp_path / "lens.toml"
    path.write_text("camera_matrix = [[600.0, 0, 300], [0, 610.0, 180], [0, 0, 1]]\nwidth = 640\nheight = 360\n")
    config = PipelineConfig(camera=CameraConfig(calibration=str(path)))
    request = SourceRequest("video", "walk.mp4", rotate=90, mirror=True)
    camera = default_parts.camera_of(config, request, SourceInfo("walk", "walk.mp4", (360, 640), 30.0))
    assert camera.size_px == (360, 640)
    np.testing.assert_allclose(np.diag(camera.matrix_px), [610, 600, 1])
    np.testing.assert_allclose(camera.matrix_px[:2, 2], [180, 300])
    assert default_parts.camera_of(PipelineConfig(), request, SourceInfo("walk", "", (360, 640), 30.0)) is None


def write_clip(path, frames: int, rate: int = 10, gop: str = "250") -> None:
    """A video of numbered pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": gop, "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(i), "bgr24")))
        container.mux(stream.encode())


def test_a_video_is_recorded_by_the_real_writers(engine, world, wait, tmp_path, real_people):
    path = tmp_path / "Gehen.mp4"
    write_clip(path, 12)
    _, failed, ended, status = engine.logs
    engine.set_speed(0)
    engine.open(
        SourceRequest("video", str(path), title=path.name), RecordingPlan(tmp_path / "out", ("jsonl", "overlay", "csv"))
    )
    wait(lambda: ended or failed, 30)
    assert not failed
    engine.stop_recording()
    wait(lambda: status and status[-1].phase == "idle", 30)
    assert not status[-1].error
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.startswith("Gehen_")
    recording = load(folder)
    assert len(recording) == 12
    assert recording.ids == (1, 2)
    assert recording.header.source.name == "Gehen.mp4"
    assert recording.header.angles == SKELETON.angle_names
    assert (folder / "overlay.mp4").stat().st_size > 500
    assert (folder / "poses.csv").is_file()
    assert status[-1].size_bytes > 1000


def test_a_take_never_overwrites_an_older_one(engine, wait, tmp_path, real_people):
    out = tmp_path / "out"
    out.mkdir()
    (out / "poses.jsonl").write_text("precious\n")
    _, _, _, status = engine.logs
    engine.open(SourceRequest("video", "synthetic:192x120@30:40"), RecordingPlan(out, ("jsonl",), exact=True))
    wait(lambda: status and status[-1].phase == "idle", 20)
    assert "already" in status[-1].error
    assert (out / "poses.jsonl").read_text() == "precious\n"


def test_seeking_in_a_real_video_meets_the_frame(engine, world, wait, tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, 60, 20, "15")
    shown, failed, _, _ = engine.logs
    engine.open(SourceRequest("video", str(path)))
    wait(lambda: shown or failed)
    engine.play(False)
    for target in (47, 3, 31):
        engine.seek(target / 20)
        wait(lambda t=target: shown[-1].frame.index == t)
        assert number_in(shown[-1].frame.image_bgr) == target
    engine.step(1)
    wait(lambda: number_in(shown[-1].frame.image_bgr) == 32)
    assert not failed
