"""People made up for the tests: walking figures with known numbers, in front of a known camera."""

import numpy as np
import pytest

from xnect.formats.header import RecordingHeader, SourceInfo
from xnect.geometry import camera_from_fov, project
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D
from xnect.structures import Camera, Frame, FrameResult, Person

ANGLES = ("hip_bend", "knee_bend", "elbow_bend")
BONES = ("pelvis", "spine")

#: A standing person in camera axes relative to the pelvis (y down) [m], facing the camera: the left side at +x.
STANDING = {
    "head_top": (0, -0.72, 0), "neck": (0, -0.48, 0), "head": (0, -0.58, -0.02), "spine": (0, -0.24, 0), "pelvis": (0, 0, 0),
    "right_shoulder": (-0.18, -0.46, 0), "right_elbow": (-0.24, -0.2, 0), "right_wrist": (-0.26, 0.05, -0.05),
    "right_hand": (-0.26, 0.13, -0.06), "right_hip": (-0.09, 0.02, 0), "right_knee": (-0.1, 0.45, -0.02),
    "right_ankle": (-0.1, 0.86, 0), "right_toe": (-0.12, 0.92, -0.14),
}  # fmt: skip


def standing() -> np.ndarray:
    """Joints (21, 3) of a standing person relative to the pelvis [m]."""
    out = np.zeros((21, 3))
    for i, name in enumerate(JOINTS_3D):
        x, y, z = STANDING[name.replace("left_", "right_")]
        out[i] = (-x if name.startswith("left_") else x, y, z)
    return out


def person_of(camera: Camera, person_id: int, phase: float, x_m: float = 0.0, z_m: float = 4.0) -> Person:
    """A person who swings arms and legs; joints 2D are the projection of 3D."""
    joints = standing()
    swing = np.sin(phase)
    for names, sign in (
        (("right_wrist", "right_hand", "left_ankle", "left_toe"), 1),
        (("left_wrist", "left_hand"), -1),
    ):
        for name in names:
            joints[JOINTS_3D.index(name)] += (0.05 * swing, -0.1 * abs(swing), sign * 0.25 * swing)
    root = np.array([x_m + 0.3 * np.sin(0.5 * phase), 0.05 * np.cos(phase), z_m])
    space = (joints + root).astype(np.float32)
    pixels = project(space.astype(np.float64), camera)[JOINT_3D_OF_2D].astype(np.float32)
    confidence = np.full(14, 0.9, np.float32)
    inferred = np.zeros(21, bool)
    inferred[-4:] = True
    half = 0.25 * phase
    return Person(
        id=person_id,
        joints_2d=pixels,
        confidence_2d=confidence,
        joints_3d=space,
        inferred=inferred,
        angles=np.array([0.3 * swing, 0.1, -0.2], np.float32),
        root=(root.astype(np.float32), np.array([np.cos(half), 0, np.sin(half), 0], np.float32)),
        box=np.array([*pixels.min(0), *pixels.max(0)], np.float32),
        score=0.8,
        state="tracked",
        offsets=np.array([[0, 0, 0], [0, 0.24, 0]], np.float32),
    )


@pytest.fixture
def camera() -> Camera:
    return camera_from_fov((320, 240), 60.0)


@pytest.fixture
def header(camera: Camera) -> RecordingHeader:
    return RecordingHeader(
        angles=ANGLES,
        camera=camera,
        source=SourceInfo("clip.mp4", (320, 240), 25.0, 2.0),
        fps=25.0,
        program={"name": "xnect", "version": "0.1.0", "weights_sha256": "ab" * 32},
        bones=BONES,
        bone_parents=(-1, 0),
    )


def frames_of(camera: Camera, count: int, ids=lambda i: (1, 2), fps: float = 25.0, start_s: float = 0.0):
    """Frames and results: pictures with a moving grey level, people by ``ids(frame)``."""
    width, height = camera.size_px
    for i in range(count):
        image = np.full((height, width, 3), 40 + (i * 3) % 100, np.uint8)
        people = tuple(person_of(camera, k, 0.2 * i + k, x_m=0.9 * (k - 1.5), z_m=3.5 + 0.3 * k) for k in ids(i))
        time_s = start_s + i / fps
        yield Frame(i, time_s, image), FrameResult(i, time_s, people, {}, camera)


@pytest.fixture
def make_frames(camera: Camera):
    """Function (count, ids=..., fps=..., start_s=..., camera=...) -> pairs of frame and result."""

    def make(count: int, camera: Camera = camera, **options):
        return frames_of(camera, count, **options)

    return make


@pytest.fixture
def make_person(camera: Camera):
    """Function (person_id, phase=0, x_m=0, z_m=4, camera=...) -> a person."""

    def make(person_id: int, phase: float = 0.0, camera: Camera = camera, **place):
        return person_of(camera, person_id, phase, **place)

    return make
