"""Stage I side by side with the other stages: the results of a file are those of one plain call after the other."""

import dataclasses

import numpy as np
import pytest

from xnect import MotionCapture
from xnect.capture import open_source
from xnect.config import DetectionConfig, NetworkConfig, PipelineConfig
from xnect.resources import resource
from xnect.session import Session
from xnect.structures import FrameResult

FRAMES_S = 1.0


def bits(result: FrameResult) -> tuple:
    people = [tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in flat(person)) for person in result.people]
    return result.index, result.timestamp_s, people


def flat(person):
    for f in dataclasses.fields(person):
        value = getattr(person, f.name)
        yield from value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_gives_the_same_bits_either_way(threads):
    network = NetworkConfig(device="cpu", threads=threads, input_size=(256, 160), mode="throughput")
    plain = MotionCapture(config=PipelineConfig(network=dataclasses.replace(network, mode="latency", threads=1)))
    with open_source(resource("demo.mp4"), end_s=FRAMES_S) as source:
        expected = [bits(plain(frame)) for frame in source]
    assert len(expected) > 20
    assert any(people for _, _, people in expected)
    got = []
    with open_source(resource("demo.mp4"), end_s=FRAMES_S) as source:
        Session(source, MotionCapture(config=PipelineConfig(network=network))).run(lambda _, r: got.append(bits(r)))
    assert got == expected


def test_target_fps_shrinks_the_network_s_picture():
    capture = MotionCapture(config=PipelineConfig(network=NetworkConfig(device="cpu", threads=1, target_fps=240)))
    shapes = []
    for i in range(25):
        capture(np.full((180, 320, 3), i, np.uint8))
        shapes.append(capture.last_maps.heatmaps.shape[1:])
    assert shapes[0] == (304 // 8, 544 // 8)
    assert shapes[-1][0] < shapes[0][0]


def test_live_frames_do_not_wait_and_those_of_a_file_get_the_full_picture_again():
    capture = MotionCapture(config=PipelineConfig(network=NetworkConfig(device="cpu", threads=1)))
    network = capture._detector.network
    capture.use_camera(None, live=True)
    control = capture._size_control
    control._target_s = 1e-4  # a machine that is far too slow
    for i in range(80):
        capture(np.full((180, 320, 3), i, np.uint8))
    assert (network.input_size, network.looks) == control.ways[-1] == ((256, 160), 1)
    capture.reconfigure(dataclasses.replace(capture.config, detection=DetectionConfig(min_score=0.3)))
    assert capture._size_control is control  # a slider moved: what was learnt of the machine stays
    capture.use_camera(None)
    assert capture._size_control is None
    assert (network.input_size, network.looks) == ((512, 320), 2)


def test_all_sizes_are_ready_before_a_camera_s_first_frame(monkeypatch):
    capture = MotionCapture(config=PipelineConfig(network=NetworkConfig(device="cpu", threads=1, target_fps=30)))
    network, prepared = capture._detector.network, []
    monkeypatch.setattr(network, "prepare", lambda frame_px, ways: prepared.append((frame_px, len(ways))))
    capture.warm_up((640, 480))
    assert prepared == [((640, 480), 6)]
    capture(np.zeros((480, 640, 3), np.uint8))
    assert len(prepared) == 1
