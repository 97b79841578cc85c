"""Live sources: the newest frame wins, lost devices come back, hanging drivers do not hang the program."""

import http.server
import itertools
import threading
import time
from typing import ClassVar

import cv2
import numpy as np
import pytest

from xnect.capture import open_source, webcam
from xnect.capture.live import LiveSource, open_in_time
from xnect.capture.network import is_address, without_secret
from xnect.capture.source import ReadOptions
from xnect.errors import SourceError


class FakeDevice:
    """Pictures whose grey tells their number; breaks when told to."""

    name, fps = "fake camera", 100.0
    opened = 0

    def __init__(self, last=None, break_at=(), period_s=0.005):
        self.count, self.last, self.break_at, self.period_s, self.closed = 0, last, set(break_at), period_s, 0

    def read(self):
        time.sleep(self.period_s)
        if self.count in self.break_at:
            self.break_at.discard(self.count)
            raise SourceError("the cable is out")
        if self.last is not None and self.count >= self.last:
            return None
        image = np.full((24, 32, 3), self.count % 256, np.uint8)
        self.count += 1
        return image, None

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    deadline = time.perf_counter() + 3
    while set(threading.enumerate()) - before and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


class Metered(FakeDevice):
    """Gives a picture for each permit."""

    def __init__(self):
        super().__init__(period_s=0)
        self.permits = threading.Semaphore(1)  # the opening takes one

    def read(self):
        self.permits.acquire()
        return super().read()

    def give(self, count):
        """Let so many pictures come, and wait until the grabber asks for one more."""
        for _ in range(count):
            self.permits.release()
        target, deadline = self.count + count, time.perf_counter() + 20
        while self.count < target and time.perf_counter() < deadline:
            time.sleep(0.002)


def test_a_slow_reader_gets_the_newest_frame_and_the_rest_is_counted():
    device = Metered()
    source = LiveSource(lambda: device, "fake")
    assert source.info.live
    assert source.info.size_px == (32, 24)
    frames = iter(source)
    threading.Timer(0.05, device.give, [1]).start()  # the grabber starts with the first frame asked for
    seen = [next(frames)]
    for count in (5, 1, 7):
        device.give(count)
        time.sleep(0.05)  # the last one is published a moment after it is read
        seen.append(next(frames))
        assert seen[-1].index == device.count - 1
        assert int(seen[-1].image_bgr[0, 0, 0]) == device.count - 1
    assert all(a.timestamp_s < b.timestamp_s for a, b in itertools.pairwise(seen))
    assert source.dropped == device.count - len(seen)
    threading.Timer(0.05, device.permits.release).start()  # wakes the grabber, which waits in the driver
    source.close()
    assert device.closed == 1


def test_the_end_of_the_device_is_the_end_of_the_frames():
    source = LiveSource(lambda: FakeDevice(last=4), "fake")
    frames = list(source)
    assert 1 <= len(frames) <= 4
    assert frames[-1].index == 3


def test_a_lost_device_is_opened_again_and_time_goes_on(caplog):
    devices = []

    def opener():
        if len(devices) in (1, 2):
            devices.append(None)
            raise SourceError("not there yet")
        devices.append(FakeDevice(last=20, break_at=[10] if not devices else []))
        return devices[-1]

    source = LiveSource(opener, "fake", retry_s=0.05)
    frames = list(source)
    assert len(devices) == 4
    assert devices[0].closed == 1
    times = [f.timestamp_s for f in frames]
    assert max(np.diff(times)) > 0.1  # the gap is there, and time did not start anew
    assert all(a.index < b.index for a, b in itertools.pairwise(frames))
    assert sum("is lost" in line for line in caplog.messages) == 1
    assert source.lost is None


def test_without_retries_a_loss_is_an_error():
    source = LiveSource(lambda: FakeDevice(break_at=[3]), "fake", retry_s=None)
    with pytest.raises(SourceError, match="cable"):
        list(source)


def test_any_other_error_of_the_device_reaches_the_reader():
    class Broken(FakeDevice):
        def read(self):
            if self.count == 2:
                raise ValueError("driver")
            return super().read()

    with pytest.raises(ValueError, match="driver"):
        list(LiveSource(Broken, "fake"))


def test_close_from_another_thread_ends_a_waiting_reader():
    source = LiveSource(lambda: FakeDevice(break_at=[1]), "fake", retry_s=60)
    threading.Timer(0.2, source.close).start()
    started = time.perf_counter()
    list(source)
    assert time.perf_counter() - started < 3


def test_start_and_end_count_from_the_first_picture():
    source = LiveSource(FakeDevice, "fake", ReadOptions(start_s=0.1, end_s=0.6))
    times = [f.timestamp_s for f in source]
    assert min(times) >= 0.1
    assert max(times) < 0.6


def test_a_closed_source_gives_nothing():
    source = LiveSource(FakeDevice, "fake")
    source.close()
    assert list(source) == []


def test_a_hanging_driver_is_given_up_and_closed_when_it_wakes():
    gate, device = threading.Event(), FakeDevice()

    def opener():
        gate.wait(5)
        return device

    with pytest.raises(SourceError, match=r"did not answer within 0.1 s"):
        open_in_time(opener, "camera 0", limit_s=0.1)
    gate.set()
    deadline = time.perf_counter() + 2
    while not device.closed and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert device.closed == 1


# ---- webcams, with OpenCV's capture played by a fake


class FakeCapture:
    """``cv2.VideoCapture`` of a camera with two modes."""

    plugged: ClassVar = {2}
    made: ClassVar = []

    def __init__(self, index, backend):
        self.index, self.set_calls, self.size, self.reads = index, [], (640, 480), 0
        FakeCapture.made.append(self)

    def isOpened(self):
        return self.index in self.plugged

    def set(self, key, value):
        self.set_calls.append(key)
        if key == cv2.CAP_PROP_FRAME_WIDTH:
            self.size = (1280, 720) if value >= 1280 else (640, 480)

    def get(self, key):
        return {cv2.CAP_PROP_FRAME_WIDTH: self.size[0], cv2.CAP_PROP_FRAME_HEIGHT: self.size[1]}.get(key, 30.0)

    def read(self):
        time.sleep(0.002)
        self.reads += 1
        if self.index not in self.plugged or self.reads > 60:
            return False, None
        return True, np.full((self.size[1], self.size[0], 3), 50, np.uint8)

    def release(self):
        pass


@pytest.fixture
def fake_cameras(monkeypatch):
    FakeCapture.plugged, FakeCapture.made = {2}, []
    entries = [webcam.CameraEntry(0, "Built-in", 0, 0), webcam.CameraEntry(2, "C920 HD Pro", 2, 0)]
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(webcam, "list_cameras", lambda: entries)
    return entries


def test_cameras_by_number_and_by_part_of_their_name(fake_cameras):
    for wanted in (2, "2", "camera:c920", "camera:C920 HD Pro"):
        with open_source(wanted) as source:
            assert source.info.name == "C920 HD Pro"
            assert source.info.size_px == (1280, 720)
            frame = next(iter(source))
            assert frame.size_px == (1280, 720)


def test_mjpg_is_asked_before_the_size(fake_cameras):
    with open_source(2, resolution=(1280, 720)):
        calls = FakeCapture.made[-1].set_calls
        assert calls.index(cv2.CAP_PROP_FOURCC) < calls.index(cv2.CAP_PROP_FRAME_WIDTH)
    with open_source(2, resolution=(640, 480)):
        assert cv2.CAP_PROP_FOURCC not in FakeCapture.made[-1].set_calls


def test_a_camera_put_back_elsewhere_is_found_by_its_name(fake_cameras):
    source = webcam.open_camera("C920", retry_s=0.02)
    for frame in source:
        if FakeCapture.plugged == {2} and frame.index >= 5:
            FakeCapture.plugged = {7}
            fake_cameras[1] = webcam.CameraEntry(7, "C920 HD Pro", 7, 0)
        if frame.index > 20:
            break
    source.close()
    assert FakeCapture.made[-1].index == 7


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("0", "cannot open camera 0"), ("5", "no camera '5'"), ("camera:Logi", "0: Built-in; 2: C920")],
)
def test_absent_cameras_are_told_in_one_line(fake_cameras, wanted, words):
    with pytest.raises(SourceError, match=words) as caught:
        open_source(wanted)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(bool(webcam.list_cameras()), reason="a camera is attached")
def test_no_camera_at_all(capfd):
    for wanted in ("0", "camera:any"):
        with pytest.raises(SourceError, match="camera"):
            open_source(wanted)
    assert capfd.readouterr().err == ""


def test_modes(fake_cameras):
    assert [(w, h) for w, h, _ in webcam.camera_modes(fake_cameras[1])] == [(640, 480), (1280, 720)]


# ---- addresses, with a server of our own


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    """An IP camera: JPEG pictures without end at /live, hanging up after ten at /short."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for i in range(10 if "short" in self.path else 10**6):
                data = cv2.imencode(".jpg", np.full((48, 64, 3), i % 200, np.uint8))[1].tobytes()
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
                self.wfile.write(data + b"\r\n")
                time.sleep(0.005)
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def ip_camera():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_network_camera_is_live(ip_camera):
    with open_source(ip_camera + "/live") as source:
        assert source.info.live
        assert source.info.duration_s is None
        frames = []
        for frame in source:
            frames.append(frame)
            if len(frames) == 5:
                break
    assert {f.size_px for f in frames} == {(64, 48)}
    assert all(a.timestamp_s < b.timestamp_s for a, b in itertools.pairwise(frames))


def test_a_network_camera_that_hangs_up_is_called_again(ip_camera, caplog):
    with open_source(ip_camera + "/short", retry_s=0.05) as source:
        for frame in source:
            if frame.index > 30:
                break
    assert any("is lost" in line for line in caplog.messages)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "rtsp://user:secret@127.0.0.1:9/x"])
def test_addresses_that_do_not_answer(address, capfd):
    with pytest.raises(SourceError) as caught:
        open_source(address)
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_addresses_are_told_from_paths():
    assert is_address("RTSP://cam/1")
    assert not is_address("C:/clips/a.mp4")
    assert not is_address("clips/http.mp4")
    assert without_secret("rtsp://u:p@cam/1") == "rtsp://cam/1"
