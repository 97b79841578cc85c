"""People made up for the tests: moving figures with known numbers, in front of a known camera."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.formats.header import RecordingHeader, SourceInfo
from xnect.geometry import camera_from_fov, project, quaternion_from_matrix
from xnect.skeleton.joints import JOINT_3D_OF_2D
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import Camera, Frame, FrameResult, Person

FACING = np.diag([1.0, -1.0, -1.0])


def person_of(camera: Camera, person_id: int, phase: float, x_m: float = 0.0, z_m: float = 4.0) -> Person:
    """A person who moves every joint within its range and turns; joints are forward kinematics, 2D their projection."""
    middle, half = SKELETON.observed_rad.mean(1), np.ptp(SKELETON.observed_rad, axis=1) / 2
    angles = middle + 0.8 * half * np.sin(phase + np.arange(len(middle)) * 0.7 + person_id)
    turn, lean = 0.5 * np.sin(0.3 * phase + person_id), 0.2 * np.sin(0.5 * phase)
    rotation = FACING @ Rotation.from_euler("ZXY", [lean, lean, turn]).as_matrix()
    root = np.array([x_m + 0.3 * np.sin(0.5 * phase), 0.05 * np.cos(phase), z_m])
    offsets = SKELETON.rest_offsets_m * (1 + 0.05 * person_id)
    positions, _ = SKELETON.forward(root[None], rotation[None], angles[None], offsets)
    space = positions[0, SKELETON.index_21]
    pixels = project(space, camera)[JOINT_3D_OF_2D].astype(np.float32)
    inferred = np.zeros(21, bool)
    inferred[-4:] = True
    return Person(
        id=person_id,
        joints_2d=pixels,
        confidence_2d=np.full(14, 0.9, np.float32),
        joints_3d=space.astype(np.float32),
        inferred=inferred,
        angles=angles.astype(np.float32),
        root=(root.astype(np.float32), quaternion_from_matrix(rotation).astype(np.float32)),
        box=np.array([*pixels.min(0), *pixels.max(0)], np.float32),
        score=0.8,
        state="tracked",
        offsets=offsets.astype(np.float32),
    )


@pytest.fixture
def camera() -> Camera:
    return camera_from_fov((320, 240), 60.0)


@pytest.fixture
def header(camera: Camera) -> RecordingHeader:
    return RecordingHeader(
        camera=camera,
        source=SourceInfo("clip.mp4", (320, 240), 25.0, 2.0),
        fps=25.0,
        program={"name": "xnect", "version": "0.1.0", "weights_sha256": "ab" * 32},
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
