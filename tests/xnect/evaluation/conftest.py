"""Recordings made up for the tests."""

import json

import numpy as np
import pytest

from xnect.formats.header import RecordingHeader, header_to_json
from xnect.formats.jsonl import FrameEncoder
from xnect.formats.people import People
from xnect.formats.recording import Recording
from xnect.geometry import camera_from_fov
from xnect.skeleton.kinematics import SKELETON

CAMERA = camera_from_fov((640, 480))


def recording_of(rows, frame_count, fps=30.0, frames=None, joints_2d=None, inferred=None, boxes=None):
    """A recording of rows (frame position, id, joints (21, 3))."""
    rows = sorted(enumerate(rows), key=lambda r: (r[1][0], r[1][1]))
    order = [k for k, _ in rows]
    rows = [r for _, r in rows]
    n = len(rows)
    joints = np.array([r[2] for r in rows], np.float32).reshape(n, 21, 3)
    rotation = np.zeros((n, 4), np.float32)
    rotation[:, 0] = 1
    people = People(
        ids=np.array([r[1] for r in rows], np.int64),
        state=np.ones(n, np.int64),
        score=np.full(n, 0.9, np.float32),
        box=np.zeros((n, 4), np.float32) if boxes is None else np.asarray(boxes, np.float32)[order],
        joints_2d=np.ones((n, 14, 2), np.float32) if joints_2d is None else np.asarray(joints_2d, np.float32)[order],
        confidence_2d=np.ones((n, 14), np.float32),
        joints_3d=joints,
        inferred=np.zeros((n, 21), bool) if inferred is None else np.asarray(inferred)[order],
        root_position=joints[:, 14],
        root_rotation=rotation,
        angles=np.zeros((n, len(SKELETON.angle_names)), np.float32),
        offsets=np.repeat(SKELETON.rest_offsets_m[None].astype(np.float32), n, 0),
    )
    numbers = np.arange(frame_count) if frames is None else np.asarray(frames)
    place = np.array([r[0] for r in rows], np.int64)
    return Recording(RecordingHeader(CAMERA, fps=fps), numbers.astype(np.int64), numbers / fps, place, people)


def write_recording(path, recording):
    """As the program writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder = FrameEncoder(recording.header)
    lines = [json.dumps(header_to_json(recording.header))]
    lines += [encoder.line(r.result.index, r.result.timestamp_s, r.people) for r in recording.records()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def make():
    return recording_of


@pytest.fixture
def write():
    return write_recording


@pytest.fixture
def body():
    """A standing body, 21 joints [m], pelvis at the origin."""
    joints, _ = SKELETON.forward(
        np.zeros((1, 3)), np.eye(3)[None], np.zeros((1, len(SKELETON.angle_names))), SKELETON.rest_offsets_m
    )
    return joints[0, SKELETON.index_21] * [1, -1, -1]
