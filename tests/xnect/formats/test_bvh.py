"""BVH files as an independent reader (bvhio) sees them."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.errors import FormatError, OutputError
from xnect.formats.bvh import euler_zxy, write_bvh
from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.skeleton.joints import JOINTS_3D

bvhio = pytest.importorskip("bvhio")

BONE_OF = {
    "pelvis": "Hips", "spine": "Chest", "neck": "Neck", "head": "Head", "right_shoulder": "RightUpperArm",
    "right_elbow": "RightLowerArm", "right_wrist": "RightHand", "left_shoulder": "LeftUpperArm",
    "left_elbow": "LeftLowerArm", "left_wrist": "LeftHand", "right_hip": "RightUpperLeg", "right_knee": "RightLowerLeg",
    "right_ankle": "RightFoot", "right_toe": "RightToes", "left_hip": "LeftUpperLeg", "left_knee": "LeftLowerLeg",
    "left_ankle": "LeftFoot", "left_toe": "LeftToes",
}  # fmt: skip


def positions(path, frame):
    """World positions of all joints at a frame, as bvhio computes them."""
    root = bvhio.readAsHierarchy(str(path))
    root.loadPose(frame)
    return {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}


def record(directory, header, frames, formats=("bvh",)):
    with open_writers(directory, formats, header) as writers:
        for frame, result in frames:
            writers.write(frame, result)
    return load(directory)


def test_joints_agree_within_a_millimetre(tmp_path, header, make_frames):
    frames = list(make_frames(20))
    record(tmp_path, header, frames)
    for person in (0, 1):
        path = tmp_path / "bvh" / f"person_{person + 1}.bvh"
        for index in (0, 7, 19):
            got = positions(path, index)
            want = frames[index][1].people[person].joints_3d * (1, -1, -1)  # y up, z towards the camera
            for joint, bone in BONE_OF.items():
                np.testing.assert_allclose(got[bone], want[JOINTS_3D.index(joint)], atol=0.001, err_msg=joint)


def test_rest_pose_is_an_upright_t(tmp_path, header, make_frames):
    record(tmp_path, header, make_frames(2))
    root = bvhio.readAsHierarchy(str(tmp_path / "bvh" / "person_1.bvh"))
    root.loadRestPose()
    at = {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
    assert at["Hips"] == pytest.approx([0, 0, 0])
    assert at["Head"][1] > 0.4
    assert at["RightFoot"][1] < -0.7
    assert at["LeftHand"][0] > 0.6
    assert at["RightHand"][0] < -0.6
    assert abs(at["LeftHand"][1] - at["LeftUpperArm"][1]) < 0.01
    assert at["LeftToes"][2] > at["LeftFoot"][2] + 0.1


def test_scale_in_centimetres(tmp_path, header, make_frames):
    recording = record(tmp_path, header, make_frames(3), ())
    write_bvh(recording, tmp_path, scale=100.0)
    got = positions(tmp_path / "bvh" / "person_1.bvh", 2)
    want = recording.person(1).people.joints_3d[2] * (100, -100, -100)
    np.testing.assert_allclose(got["RightHand"], want[JOINTS_3D.index("right_wrist")], atol=0.1)


def test_rate_and_length(tmp_path, header, make_frames):
    record(tmp_path, header, make_frames(11))
    text = (tmp_path / "bvh" / "person_1.bvh").read_text()
    assert "Frames: 11\nFrame Time: 0.040000000\n" in text
    assert all(np.isfinite([float(v) for v in line.split()]).all() for line in text.splitlines()[-11:])


def test_people_who_come_and_go(tmp_path, header, make_frames):
    there = {1: range(5, 30), 2: [*range(8, 12), *range(20, 26)]}
    frames = list(make_frames(40, ids=lambda i: tuple(k for k, when in there.items() if i in when)))
    recording = record(tmp_path, header, frames)
    assert recording.ids == (1, 2)
    story = json.loads((tmp_path / "bvh" / "person_2.json").read_text())
    assert story["frames"] == 18
    assert story["start_s"] == pytest.approx(8 / 25)
    assert story["filled_frames"] == 8
    assert story["gaps_s"] == [[pytest.approx(11 / 25), pytest.approx(20 / 25)]]
    path = tmp_path / "bvh" / "person_2.bvh"
    want = frames[22][1].people[1].joints_3d * (1, -1, -1)
    np.testing.assert_allclose(positions(path, 22 - 8)["LeftFoot"], want[JOINTS_3D.index("left_ankle")], atol=0.001)
    before, inside, after = (positions(path, k)["Hips"] for k in (3, 7, 12))
    assert (np.minimum(before, after) - 1e-4 <= inside).all()
    assert (inside <= np.maximum(before, after) + 1e-4).all()
    assert json.loads((tmp_path / "bvh" / "person_1.json").read_text())["gaps_s"] == []


def test_uneven_clock_is_resampled(tmp_path, header, make_frames):
    import dataclasses

    frames = []
    for frame, result in make_frames(30, ids=lambda i: (1,)):
        time_s = result.timestamp_s + (0.015 if frame.index % 3 == 1 else 0.0)
        frames.append((dataclasses.replace(frame, timestamp_s=time_s), dataclasses.replace(result, timestamp_s=time_s)))
    record(tmp_path, header, frames)
    story = json.loads((tmp_path / "bvh" / "person_1.json").read_text())
    assert story["resampled_frames"] == 10
    assert story["filled_frames"] == 0
    got = positions(tmp_path / "bvh" / "person_1.bvh", 15)["RightHand"]
    want = frames[15][1].people[0].joints_3d[JOINTS_3D.index("right_wrist")] * (1, -1, -1)
    np.testing.assert_allclose(got, want, atol=0.001)


def test_one_frame(tmp_path, header, make_frames):
    record(tmp_path, header, make_frames(1))
    assert "Frames: 1\n" in (tmp_path / "bvh" / "person_2.bvh").read_text()


def test_other_skeletons_are_refused(tmp_path, header, make_frames):
    import dataclasses

    odd = dataclasses.replace(header, angles=tuple(f"a{i}" for i in range(len(header.angles))))
    with pytest.raises(OutputError, match=r"bvh: .*skeleton"):
        record(tmp_path, odd, make_frames(2))
    with pytest.raises(FormatError, match="skeleton"):
        write_bvh(load(tmp_path), tmp_path)


def test_euler_angles_mean_the_same_rotation_and_do_not_jump():
    rng = np.random.default_rng(3)
    way = Rotation.from_rotvec(np.cumsum(rng.normal(0, 0.05, (400, 3)), axis=0))
    angles = euler_zxy(way.as_matrix()[:, None])
    back = Rotation.from_euler("ZXY", angles[:, 0]).as_matrix()
    np.testing.assert_allclose(back, way.as_matrix(), atol=1e-9)
    turning = Rotation.from_rotvec(np.linspace(0, 6 * np.pi, 200)[:, None] * (0.0, 1.0, 0.0)).as_matrix()[:, None]
    steps = np.abs(np.diff(euler_zxy(turning)[:, 0], axis=0)).max()
    assert steps < 0.2


def test_euler_angles_at_the_pole():
    up = Rotation.from_euler("ZXY", [[0.4, np.pi / 2, 0.3], [0.4, -np.pi / 2, 0.3]]).as_matrix()
    angles = euler_zxy(up[:, None])
    np.testing.assert_allclose(Rotation.from_euler("ZXY", angles[:, 0]).as_matrix(), up, atol=1e-6)
