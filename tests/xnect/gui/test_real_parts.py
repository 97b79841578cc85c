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

from xnect.config import PipelineConfig
from xnect.formats.recording import load
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

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.sent: deque[tuple[int, float]] = deque(maxlen=4000)
        self.halt = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/stream.mjpg"


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


def test_a_network_camera_is_live_and_its_latency_stays_flat(engine, world, wait):
    """Frames at 100 fps into a network that does 20: what is shown is never older than a few steps."""
    world.cost_s = 0.05
    camera = Camera(100.0)
    shown, failed, _, _ = engine.logs
    lags = []
    try:
        engine.open(SourceRequest("address", camera.address))
        wait(lambda: len(shown) > 3 or failed, 20)
        assert not failed
        until = time.perf_counter() + 3
        while time.perf_counter() < until:
            count = len(shown)
            wait(lambda c=count: len(shown) > c)
            number = number_in(shown[-1].frame.image_bgr)
            at = next((t for n, t in reversed(camera.sent) if n == number), None)
            if at is not None:
                lags.append(time.perf_counter() - at)
    finally:
        camera.halt.set()
        camera.shutdown()
        camera.server_close()
    half = len(lags) // 2
    assert half >= 5
    assert shown[-1].dropped > 10
    assert np.median(lags[half:]) < np.median(lags[:half]) + 0.15, "lag does not grow"
    assert np.median(lags) < 1.0


def test_a_video_is_recorded_by_the_real_writers(engine, world, wait, tmp_path, real_people):
    path = tmp_path / "Gehen.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
        for i in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(i), "bgr24")))
        container.mux(stream.encode())
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
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"g": "15", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
        for i in range(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(i), "bgr24")))
        container.mux(stream.encode())
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
