"""The queue between pipeline and outlets, plain OSC, and UDP."""

import dataclasses
import json
import logging
import socket
import threading
import time

import numpy as np
import pytest

from xnect.formats.header import RecordingHeader, SourceInfo
from xnect.formats.people import confidence_3d, people_of
from xnect.formats.recording import load
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON
from xnect.streams import Streams, hub, open_streams
from xnect.structures import FrameResult


class Listener:
    """An outlet that keeps what it gets."""

    description = "a listener"

    def __init__(self, wait=None, fault=None):
        self.packets, self.ticks, self.closed = [], 0, False
        self.wait, self.fault = wait, fault

    def send(self, packet, now_s):
        if self.wait is not None:
            self.wait.wait()
        if self.fault is not None:
            raise self.fault
        self.packets.append(packet)

    def tick(self, now_s):
        self.ticks += 1

    def close(self):
        self.closed = True


def test_frames_come_in_order_and_ticks_between(results, wait):
    listener = Listener()
    with Streams([listener]) as streams:
        for index in range(3):
            streams.send(results(index))
        wait(lambda: listener.ticks > 1)
    assert [packet.index for packet in listener.packets] == [0, 1, 2]
    assert listener.closed


def test_the_pipeline_never_waits_and_the_newest_frames_win(results, wait):
    gate = threading.Event()
    listener = Listener(wait=gate)
    made = [results(index) for index in range(50)]
    with Streams([listener]) as streams:
        streams.send(made[0])
        wait(lambda: not streams._waiting)  # the outlet hangs in the first frame
        start = time.thread_time()
        for result in made[1:]:
            streams.send(result)
        assert time.thread_time() - start < 0.02
        assert streams.dropped == 49 - hub.QUEUE
        gate.set()
    assert [packet.index for packet in listener.packets] == [0, 46, 47, 48, 49]


def test_an_outlet_that_breaks_is_dropped_and_the_rest_goes_on(results, wait, caplog):
    good, bad = Listener(), Listener(fault=ValueError("what"))
    with caplog.at_level(logging.ERROR), Streams([bad, good]) as streams:
        streams.send(results(0))
        streams.send(results(1))
        wait(lambda: len(good.packets) == 2)
    assert bad.closed
    assert [r.message for r in caplog.records] == ["a listener broke; the rest goes on"]


def test_people_with_impossible_numbers_never_go_out(results, person, wait):
    listener = Listener()
    sick = person(3)
    sick = dataclasses.replace(sick, joints_3d=np.full((21, 3), np.nan, np.float32))
    other = dataclasses.replace(person(4), angles=np.zeros(3, np.float32))
    with Streams([listener]) as streams:
        whole = results(0)
        streams.send(FrameResult(0, 0.0, (*whole.people, sick), {}, whole.camera))
        streams.send(FrameResult(1, 0.1, (other,), {}, whole.camera))
        wait(lambda: len(listener.packets) == 2)
    assert [packet.people.ids.tolist() for packet in listener.packets] == [[1, 2], []]


def test_nothing_asked_is_nothing_done(results):
    streams = open_streams()
    assert not streams
    streams.send(results(0))
    streams.close()
    assert not streams._waiting


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        made.bind(("127.0.0.1", 0))
        made.settimeout(5)
        yield made


def address_of(made):
    return (f"127.0.0.1:{made.getsockname()[1]}",)


def test_udp_lines_are_a_recording(udp, results, tmp_path):
    camera = results(0).camera
    header = RecordingHeader(camera, SourceInfo("walk.mp4", camera.size_px, 30.0, 2.0), 30.0, {"name": "xnect"})
    with open_streams(udp=address_of(udp)) as streams:
        streams.describe(header)
        lines = []
        for index in range(4):
            streams.send(results(index))
            lines += [udp.recv(65536) for _ in range(2 if index == 0 else 1)]
    assert json.loads(lines[0])["source"]["name"] == "walk.mp4"
    (tmp_path / "poses.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    found = load(tmp_path / "poses.jsonl")
    assert found.frames.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.people.joints_3d[-1], results(3).people[1].joints_3d, atol=1e-4)
    np.testing.assert_allclose(found.people.offsets[-1], results(3).people[1].offsets, atol=1e-4)


def test_a_crowd_is_split_over_several_datagrams(udp, results):
    ids = tuple(range(1, 61))
    with open_streams(udp=address_of(udp)) as streams:
        streams.send(results(0, ids))
        assert json.loads(udp.recv(65536))["format"] == "xnect-poses"
        seen = []
        while len(seen) < 60:
            line = json.loads(udp.recv(65536))
            assert line["frame"] == 0
            assert all("offsets" in person for person in line["people"])
            seen += [person["id"] for person in line["people"]]
    assert seen == list(ids)


def test_plain_osc_tells_joints_and_who_left(osc, results, wait):
    receiver = osc()
    with open_streams(osc=(f"127.0.0.1:{receiver.port}",)) as streams:
        streams.send(results(5))
        streams.send(results(6, (2,)))
        wait(lambda: receiver.of("/xnect/person/1/lost"))
    assert receiver.of("/xnect/frame") == [(5, pytest.approx(5 / 30), 2), (6, pytest.approx(0.2), 1)]
    assert receiver.of("/xnect/people") == [(1, 2), (2,)]
    assert max(receiver.sizes) <= 1500
    people = people_of(results(5), len(SKELETON.angle_names), len(SKELETON.joint_names))
    for row, person_id in enumerate((1, 2)):
        for joint, name in enumerate(JOINTS_3D):
            *place, confidence = receiver.of(f"/xnect/person/{person_id}/joint/{name}")[0]
            np.testing.assert_allclose(place, people.joints_3d[row, joint], atol=1e-6)
            assert confidence == pytest.approx(confidence_3d(people)[row, joint])
        root = receiver.of(f"/xnect/person/{person_id}/root")[0]
        np.testing.assert_allclose(root[:3], people.root_position[row], atol=1e-6)
        np.testing.assert_allclose(np.roll(root[3:], 1), people.root_rotation[row], atol=1e-6)


def test_nobody_there_to_hear_is_no_fault(results, wait, caplog):
    with open_streams(vmc=("127.0.0.1:9",), osc=("127.0.0.1:9",), udp=("127.0.0.1:9",)) as streams:
        for index in range(5):
            streams.send(results(index))
        wait(lambda: not streams._waiting)
        assert len(streams.outlets) == 3
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
