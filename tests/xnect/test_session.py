"""Sessions: every frame of a file in order, newest frame of a live source, errors to the caller, files whole."""

import threading
import time

import numpy as np
import pytest

from xnect.capture.source import ReadOptions, SourceBase, SourceInfo
from xnect.errors import OutputError, SourceError
from xnect.geometry import camera_from_fov
from xnect.session import READ_AHEAD, Session
from xnect.structures import Frame, FrameResult

SIZE = (32, 24)


class Counted(SourceBase):
    """Numbered frames; may break, may be live."""

    def __init__(self, count, fail_at=None, live=False):
        super().__init__(SourceInfo("counted", "counted", SIZE, 30.0, count, live=live), camera_from_fov(SIZE))
        self.count, self.fail_at, self.given, self.closed = count, fail_at, 0, False

    def close(self):
        self.closed = True

    def __iter__(self):
        for i in range(self.count):
            if self.closed:
                return
            if i == self.fail_at:
                raise SourceError("the cable is out")
            self.given += 1
            yield Frame(i, i / 30, np.full((24, 32, 3), i % 256, np.uint8))


class Kept:
    """A sink that remembers."""

    def __init__(self, fail_at=None, fail_close=False, delay_s=0.0):
        self.indices, self.closed, self.fail_at, self.fail_close, self.delay_s = [], 0, fail_at, fail_close, delay_s

    def write(self, frame, result):
        time.sleep(self.delay_s)
        assert frame.index == result.index
        if frame.index == self.fail_at:
            raise OutputError("the disk is full")
        self.indices.append(frame.index)

    def close(self):
        self.closed += 1
        if self.fail_close:
            raise OutputError("cannot finish")


def answer(frame):
    return FrameResult(frame.index, frame.timestamp_s, (), {}, camera_from_fov(SIZE))


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    deadline = time.perf_counter() + 2
    while set(threading.enumerate()) - before and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_every_frame_of_a_file_reaches_every_sink_in_order():
    sinks = [Kept(delay_s=0.001), Kept()]
    seen = []
    report = Session(Counted(60), answer, sinks).run(lambda frame, result: seen.append(result.index))
    assert sinks[0].indices == sinks[1].indices == seen == list(range(60))
    assert [s.closed for s in sinks] == [1, 1]
    assert (report.frames, report.dropped, report.skipped, report.stopped) == (60, 0, 0, False)


def test_reading_ahead_is_bounded():
    source, gate = Counted(1000), threading.Event()

    def slow(frame):
        gate.wait(5)
        return answer(frame)

    session = Session(source, slow)
    session.start()
    time.sleep(0.3)
    assert source.given <= READ_AHEAD + 2  # one with the network, one in the reader's hand
    gate.set()
    session.stop()


def test_stop_writes_what_was_computed_and_closes():
    sink, stop = Kept(delay_s=0.002), threading.Event()

    def stop_at_20(frame, result):
        if result.index == 20:
            stop.set()

    report = Session(Counted(10**6), answer, [sink]).run(stop_at_20, stop)
    assert report.stopped
    assert sink.indices == list(range(report.frames))
    assert 21 <= report.frames < 10**5
    assert sink.closed == 1


@pytest.mark.parametrize(
    ("source", "pipeline", "sink", "error"),
    [
        (Counted(9, fail_at=5), answer, Kept(), SourceError),
        (Counted(9), lambda frame: 1 / (3 - frame.index), Kept(), (ZeroDivisionError, AttributeError)),
        (Counted(10**6), answer, Kept(fail_at=3), OutputError),
        (Counted(9), answer, Kept(fail_close=True), OutputError),
        (Counted(10**6), answer, Kept(fail_at=3, fail_close=True), OutputError),
    ],
    ids=["source", "pipeline", "sink", "close", "sink and close"],
)
def test_an_error_of_a_worker_reaches_the_caller_and_sinks_are_closed(source, pipeline, sink, error):
    with pytest.raises(error) as caught:
        Session(source, pipeline, [sink]).run()
    assert sink.closed == 1
    assert "finish" not in str(caught.value) or not sink.fail_at  # the first error is told, not its echo


def test_frames_before_a_broken_source_are_written():
    sink = Kept()
    with pytest.raises(SourceError, match="cable"):
        Session(Counted(9, fail_at=5), answer, [sink]).run()
    assert sink.indices == list(range(5))


def test_an_error_in_on_result_reaches_the_caller():
    def broken(frame, result):
        raise ValueError("window gone")

    with pytest.raises(ValueError, match="window gone"):
        Session(Counted(9), answer, [Kept()]).run(broken)


def test_a_hanging_pipeline_is_told_and_not_waited_for():
    gate, entered = threading.Event(), threading.Event()

    def hang(frame):
        entered.set()
        gate.wait(5)
        return answer(frame)

    session = Session(Counted(5), hang)
    session.start()
    entered.wait(5)
    with pytest.raises(TimeoutError, match="xnect-compute"):
        session.stop(timeout_s=0.2)
    gate.set()
    session.join(2)


def test_a_session_runs_once():
    session = Session(Counted(2), answer)
    session.run()
    with pytest.raises(RuntimeError):
        session.run()


def test_options_turn_and_flip():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert ReadOptions(rotate=90).apply(image).shape == (4, 2, 3)
    assert (ReadOptions(rotate=90).apply(image)[0, -1] == image[0, 0]).all()  # top left goes to the top right
    assert (ReadOptions(mirror=True).apply(image)[:, 0] == image[:, -1]).all()


class Halves:
    """A pipeline in two halves whose first half takes longer for some frames than for others."""

    def __init__(self, at_once, fail_at=None):
        self.detectors_at_once, self.fail_at = at_once, fail_at
        self.inside, self.most, self.completed, self.lock = 0, 0, [], threading.Lock()

    def __call__(self, frame):
        return self.complete(self.detect(frame))

    def detect(self, frame):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.004 if frame.index % 3 == 0 else 0.001)
        with self.lock:
            self.inside -= 1
        if frame.index == self.fail_at:
            raise ValueError("no such picture")
        return frame

    def complete(self, seen):
        self.completed.append(seen.index)
        return answer(seen)


@pytest.mark.parametrize("at_once", [1, 3])
def test_two_halves_overlap_and_keep_the_order(at_once):
    pipeline, sink = Halves(at_once), Kept()
    report = Session(Counted(60), pipeline, [sink]).run()
    assert sink.indices == pipeline.completed == list(range(60))
    assert pipeline.most == at_once
    assert (report.frames, report.stopped) == (60, False)


def test_an_error_in_the_first_half_comes_after_the_frames_before_it():
    pipeline, sink = Halves(3, fail_at=7), Kept()
    with pytest.raises(ValueError, match="no such picture"):
        Session(Counted(10**6), pipeline, [sink]).run()
    assert sink.indices == list(range(7))
    assert sink.closed == 1


def test_frames_wait_before_the_first_half_and_not_after_it():
    source, gate = Counted(1000), threading.Event()

    class Slow(Halves):
        def complete(self, seen):
            gate.wait(5)
            return answer(seen)

    session = Session(source, Slow(2))
    session.start()
    time.sleep(0.3)
    assert source.given <= READ_AHEAD + 1 + 2 + 1  # in the reader's hand; with Stage I or waiting; being completed
    gate.set()
    session.stop()


def test_a_live_source_in_two_halves_takes_the_newest_and_ends_whole():
    pipeline, sink = Halves(1), Kept()
    report = Session(Counted(30, live=True), pipeline, [sink]).run()
    assert sink.indices == list(range(30))
    assert report.frames == 30
