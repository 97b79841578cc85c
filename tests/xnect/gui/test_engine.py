"""The engine's threads, without a window."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from xnect.config import CameraConfig, DetectionConfig, NetworkConfig, PipelineConfig
from xnect.errors import OutputError, WeightsError
from xnect.gui.engine import Engine
from xnect.gui.engine_events import EngineEvents
from xnect.gui.parts import RecordingPlan, SourceRequest
from xnect.gui.people import IdMap

FILE = SourceRequest("video", "clip.mp4")
LIVE = SourceRequest("camera", "Fake Cam")


class Log:
    """Everything the engine told."""

    def __init__(self):
        self.shown, self.opened, self.failed, self.progress, self.recording = [], [], [], [], []
        self.ended = 0

    def events(self):
        def ended():
            self.ended += 1

        return EngineEvents(
            self.shown.append, lambda i, g: self.opened.append(i), ended,
            lambda *a: self.failed.append(a), self.progress.append, self.recording.append,
        )  # fmt: skip

    @property
    def found(self):
        """Frames that went through the network."""
        return [s for s in self.shown if s.result.timings_ms]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def engine(world, log):
    made = Engine(world.parts(), PipelineConfig(), log.events(), IdMap())
    yield made
    assert made.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("xnect-")]


def test_a_file_goes_through_whole_and_in_order(engine, world, log, wait):
    engine.load(PipelineConfig())
    engine.set_speed(0)
    engine.open(FILE)
    wait(lambda: log.ended)
    assert [s.result.index for s in log.found] == list(range(world.frames))
    assert log.opened[0].duration_s == pytest.approx(2.0)
    assert not log.failed
    assert log.found[-1].fps > 0


def test_files_keep_their_pace(engine, world, log, wait):
    world.frames, world.cost_s = 15, 0
    engine.load(PipelineConfig())
    wait(lambda: engine.ready)
    begin = time.perf_counter()
    engine.open(FILE)
    wait(lambda: log.ended)
    assert time.perf_counter() - begin > 0.42, "15 frames at 30 a second were hurried"


def test_pause_step_seek_and_play_on(engine, world, log, wait):
    engine.load(PipelineConfig())
    wait(lambda: engine.ready)
    engine.open(FILE)
    wait(lambda: len(log.found) > 3)
    engine.play(False)
    time.sleep(0.15)
    count = len(log.found)
    time.sleep(0.15)
    assert len(log.found) == count
    last = log.found[-1].result.index
    engine.step(2)
    wait(lambda: log.found[-1].result.index >= last + 2)
    engine.seek(1.0)
    wait(lambda: log.found[-1].result.index == 30)
    time.sleep(0.1)
    assert log.found[-1].result.index == 30, "a paused file stays where it was sought"
    assert "reset" in world.pipelines[0].calls, "people of another time are not these"
    engine.set_speed(0)
    engine.play(True)
    wait(lambda: log.ended)
    assert log.found[-1].result.index == world.frames - 1


def test_seek_after_the_end_and_loop(engine, world, log, wait):
    world.frames = 10
    engine.load(PipelineConfig())
    engine.set_speed(0)
    engine.open(FILE)
    wait(lambda: log.ended)
    engine.seek(0.0)
    wait(lambda: log.found[-1].result.index == 0)
    engine.set_loop(True)
    engine.play(True)
    wait(lambda: len(log.found) > 30)
    assert log.ended == 1


def test_live_frames_are_dropped_not_queued(engine, world, log, wait):
    world.fps, world.cost_s = 200.0, 0.05
    engine.load(PipelineConfig())
    wait(lambda: engine.ready)
    engine.open(LIVE)
    wait(lambda: len(log.found) > 8)
    assert log.found[-1].dropped >= 5
    latency = sorted(s.latency_ms for s in log.found)
    assert latency[len(latency) // 2] < 500, "the newest frame wins: a queue of all frames would wait for seconds"


def test_lost_camera_is_told_and_found_again(engine, world, log, wait, tmp_path):
    engine.load(PipelineConfig())
    engine.open(LIVE)
    wait(lambda: len(log.found) > 2)
    engine.start_recording(RecordingPlan(tmp_path / "take", ("jsonl",), exact=True))
    world.unplugged.set()
    wait(lambda: engine.lost)
    assert "cable pulled" in engine.lost
    last = log.found[-1]
    world.unplugged.clear()
    wait(lambda: log.found[-1] is not last and not engine.lost)
    assert log.found[-1].result.timestamp_s > last.result.timestamp_s, "one time base"
    assert engine.recording, "the take goes on"
    assert "reset" not in world.pipelines[-1].calls, "everyone keeps the number"
    assert not log.failed


def test_a_live_source_with_an_end_ends(engine, world, log, wait):
    """--camera 0 --end 5: the camera must not be opened again and again."""
    world.live_frames = 4
    engine.load(PipelineConfig())
    engine.open(LIVE)
    wait(lambda: log.ended)
    time.sleep(0.1)
    assert len(world.opened) == 1
    engine.seek(0)
    wait(lambda: len(world.opened) == 2 and log.ended == 2)


def test_a_setting_that_cannot_be_used_is_told_and_everything_goes_on(engine, world, log, wait):
    engine.load(PipelineConfig())
    engine.open(LIVE)
    wait(lambda: log.found)
    engine.configure(PipelineConfig(camera=CameraConfig(calibration="wrong.toml")))
    wait(lambda: log.failed)
    assert "another shape" in log.failed[0][1]
    count = len(log.found)
    wait(lambda: len(log.found) > count + 2)
    engine.configure(PipelineConfig(camera=CameraConfig(calibration="right.toml")))
    wait(lambda: "measured camera" in world.pipelines[-1].calls)
    engine.configure(PipelineConfig(camera=CameraConfig(fov_deg=70)))
    wait(lambda: world.pipelines[-1].calls[-1] == "camera")
    assert len(world.pipelines) == 1


def test_pictures_come_before_the_network(engine, world, log, wait):
    world.load_s = 0.4
    engine.load(PipelineConfig())
    engine.open(FILE)
    wait(lambda: log.shown)
    assert not engine.ready
    assert log.shown[0].result.people == ()
    assert any("network" in p for p in log.progress)
    wait(lambda: len(log.found) > 2)
    assert log.found[0].result.index == 0, "a file waits for the network, nothing is left out"
    assert log.progress[-1] == ""


def test_settings_take_effect_while_running(engine, world, log, wait):
    engine.load(PipelineConfig())
    engine.open(LIVE)
    wait(lambda: log.found and len(log.found[-1].result.people) == 2)
    engine.configure(PipelineConfig(detection=DetectionConfig(max_people=1)))
    wait(lambda: len(log.found[-1].result.people) == 1)
    assert len(world.pipelines) == 1
    engine.configure(PipelineConfig(network=NetworkConfig(input_size=(256, 160))))
    wait(lambda: len(world.pipelines) == 2 and len(log.found[-1].result.people) == 2)


def test_settings_redraw_a_paused_frame(engine, world, log, wait):
    engine.load(PipelineConfig())
    engine.open(FILE)
    wait(lambda: log.found)
    engine.play(False)
    time.sleep(0.1)
    index = log.found[-1].result.index
    engine.configure(PipelineConfig(detection=DetectionConfig(max_people=1)))
    wait(lambda: len(log.found[-1].result.people) == 1)
    assert log.found[-1].result.index == index


def test_a_network_that_cannot_be_loaded_is_told(engine, world, log, wait):
    world.load_fault = WeightsError("weights.safetensors is damaged")
    engine.load(PipelineConfig())
    wait(lambda: log.failed)
    assert "damaged" in log.failed[0][1]
    assert log.progress[-1] == ""
    world.load_fault = None
    engine.load(PipelineConfig())
    wait(lambda: engine.ready)


def test_recording_holds_every_frame(engine, world, log, wait, tmp_path):
    engine.load(PipelineConfig())
    engine.set_speed(0)
    engine.open(FILE, RecordingPlan(tmp_path, ("jsonl",)))
    wait(lambda: log.ended)
    engine.stop_recording()
    wait(lambda: log.recording[-1].phase == "idle")
    (sink,) = world.sinks
    assert [r.index for r in sink.results] == list(range(world.frames))
    assert sink.closed
    status = log.recording[-1]
    assert status.frames == world.frames
    assert status.size_bytes > 0
    assert status.elapsed_s == pytest.approx((world.frames - 1) / world.fps)


def test_recording_one_person(engine, world, log, wait, tmp_path):
    engine.load(PipelineConfig())
    engine.set_speed(0)
    engine.open(FILE)
    engine.start_recording(RecordingPlan(tmp_path, ("jsonl",), only=2))
    wait(lambda: log.ended)
    engine.stop_recording()
    wait(lambda: world.sinks and world.sinks[0].closed)
    assert {p.id for r in world.sinks[0].results for p in r.people} == {2}


def test_a_take_ends_where_time_jumps(engine, world, log, wait, tmp_path):
    engine.load(PipelineConfig())
    engine.open(FILE)
    engine.start_recording(RecordingPlan(tmp_path, ("jsonl",)))
    wait(lambda: log.recording and log.recording[-1].frames > 3)
    engine.seek(0.0)
    wait(lambda: log.recording[-1].phase == "idle")
    indices = [r.index for r in world.sinks[0].results]
    assert indices == sorted(set(indices))


@pytest.mark.parametrize("fault", [OutputError("disk full"), OSError(28, "No space left on device"), ValueError("x")])
def test_a_disk_that_fails_ends_the_take_only(engine, world, log, wait, tmp_path, fault):
    world.sink_fault = fault
    engine.load(PipelineConfig())
    engine.open(LIVE)
    engine.start_recording(RecordingPlan(tmp_path, ("jsonl",)))
    wait(lambda: log.recording and log.recording[-1].phase == "idle")
    assert log.recording[-1].error
    assert world.sinks[0].closed
    count = len(log.found)
    wait(lambda: len(log.found) > count + 3)


def test_a_crash_in_the_pipeline_is_told_and_keeps_the_take(engine, world, log, wait, tmp_path):
    engine.load(PipelineConfig())
    engine.open(LIVE)
    engine.start_recording(RecordingPlan(tmp_path, ("jsonl",)))
    wait(lambda: log.recording and log.recording[-1].frames > 3)
    world.fault = RuntimeError("CUDA error: out of memory")
    wait(lambda: log.failed)
    title, text, details = log.failed[0]
    assert "out of memory" in text
    assert "Traceback" in details
    assert title
    wait(lambda: log.recording[-1].phase == "idle")
    assert world.sinks[0].closed
    assert not log.recording[-1].error
    assert not engine.ready
    world.fault = None
    count = len(log.found)
    engine.load(PipelineConfig())
    wait(lambda: len(log.found) > count + 3)


def test_switching_sources_shows_nothing_of_the_old_one(engine, world, log, wait):
    engine.load(PipelineConfig())
    engine.open(LIVE)
    wait(lambda: len(log.found) > 2)
    engine.open(SourceRequest("video", "other.mp4"))
    number = engine.generation
    wait(lambda: log.found[-1].generation == number)
    late = [s.generation for s in log.shown]
    assert late == sorted(late)
    engine.open(SourceRequest("video", "missing.mp4"))
    wait(lambda: log.failed)
    assert "missing.mp4" in log.failed[-1][1]
    engine.open(FILE)
    wait(lambda: log.found[-1].generation == engine.generation)


def test_hand_made_ids_reach_the_recording(world, log, wait, tmp_path):
    ids = IdMap()
    engine = Engine(world.parts(), PipelineConfig(), log.events(), ids)
    engine.load(PipelineConfig())
    engine.open(LIVE)
    wait(lambda: log.found)
    ids.merge(2, 7)
    engine.start_recording(RecordingPlan(tmp_path, ("jsonl",)))
    wait(lambda: log.recording and log.recording[-1].frames > 3)
    assert engine.close()
    assert {p.id for r in world.sinks[0].results for p in r.people} == {1, 7}
    assert world.sinks[0].closed


def test_closing_takes_less_than_a_second_from_every_state(world, log, wait):
    for ready in (False, True):
        for request in (None, FILE, LIVE):
            engine = Engine(world.parts(), PipelineConfig(), log.events(), IdMap())
            if ready:
                engine.load(PipelineConfig())
                wait(lambda e=engine: e.ready)
            if request is not None:
                engine.open(request)
                time.sleep(0.05)
            begin = time.perf_counter()
            assert engine.close()
            assert time.perf_counter() - begin < 1


def test_every_new_result_is_published_once(world, log, wait):
    """Live streams hang on this: hand-made ids hold, a paused frame that is drawn again is no news."""
    published, ids = [], IdMap()
    engine = Engine(replace(world.parts(), publish=published.append), PipelineConfig(), log.events(), ids)
    engine.load(PipelineConfig())
    engine.set_speed(0)
    engine.open(FILE)
    wait(lambda: log.ended)
    assert [result.index for result in published] == list(range(world.frames))
    assert [p.id for p in published[0].people] == [p.id for p in log.found[0].result.people]
    engine.configure(PipelineConfig(detection=DetectionConfig(max_people=1)))
    wait(lambda: len(log.shown[-1].result.people) == 1)
    assert len(published) == world.frames
    assert engine.close()
