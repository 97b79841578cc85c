"""OpenPose and COCO files as their own tools read them."""

import contextlib
import io
import json

import numpy as np
import pytest

from xnect.formats.openpose import body_25
from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D

#: Written out from OpenPose's documentation, not from our table.
BODY_25 = [
    "Nose",
    "Neck",
    "RShoulder",
    "RElbow",
    "RWrist",
    "LShoulder",
    "LElbow",
    "LWrist",
    "MidHip",
    "RHip",
    "RKnee",
    "RAnkle",
    "LHip",
    "LKnee",
    "LAnkle",
    "REye",
    "LEye",
    "REar",
    "LEar",
    "LBigToe",
    "LSmallToe",
    "LHeel",
    "RBigToe",
    "RSmallToe",
    "RHeel",
]
SIDES = {"R": "right_", "L": "left_"}


def ours(name):
    """Our 2D joint of one of OpenPose's names, or None."""
    joint = name.lower() if name in ("Nose", "Neck") else SIDES.get(name[0], "") + name[1:].lower()
    return joint if joint in JOINTS_2D else None


@pytest.fixture
def frames(make_frames):
    out = list(make_frames(4, ids=lambda i: (3, 5) if i != 1 else ()))
    hidden = out[2][1].people[0]
    confidence = np.array(hidden.confidence_2d)
    confidence[[JOINTS_2D.index("left_wrist"), JOINTS_2D.index("right_hip")]] = 0
    object.__setattr__(hidden, "confidence_2d", confidence)
    return out


@pytest.fixture
def written(tmp_path, header, frames):
    with open_writers(tmp_path, ["openpose", "coco"], header) as writers:
        for frame, result in frames:
            writers.write(frame, result)
    return tmp_path


def test_openpose_files_are_named_and_shaped_as_openpose_does(written):
    names = sorted(p.name for p in (written / "openpose").iterdir())
    assert names == [f"clip_{i:012d}_keypoints.json" for i in range(4)]
    empty = json.loads((written / "openpose" / names[1]).read_text())
    assert empty == {"version": 1.3, "people": []}
    person = json.loads((written / "openpose" / names[2]).read_text())["people"][0]
    assert person["person_id"] == [3]
    assert len(person["pose_keypoints_2d"]) == 75
    assert len(person["pose_keypoints_3d"]) == 100
    for key in ("face", "hand_left", "hand_right"):
        assert person[f"{key}_keypoints_2d"] == []
        assert person[f"{key}_keypoints_3d"] == []


def test_openpose_joints_stand_in_body_25_order(written, frames):
    person = json.loads((written / "openpose" / "clip_000000000002_keypoints.json").read_text())["people"][0]
    flat = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
    space = np.array(person["pose_keypoints_3d"]).reshape(25, 4)
    want = frames[2][1].people[0]
    for row, name in enumerate(BODY_25):
        joint = ours(name)
        if joint is None or want.confidence_2d[JOINTS_2D.index(joint)] == 0:
            assert name == "MidHip" or (flat[row] == 0).all(), name
        else:
            index = JOINTS_2D.index(joint)
            assert flat[row] == pytest.approx([*want.joints_2d[index], want.confidence_2d[index]], abs=0.01), name
        if joint in JOINTS_3D:
            assert space[row, :3] == pytest.approx(want.joints_3d[JOINTS_3D.index(joint)], abs=1e-4), name
    assert (flat[8] == 0).all()  # the right hip was not seen, so neither was the middle
    assert space[8, :3] == pytest.approx(want.joints_3d[JOINTS_3D.index("pelvis")], abs=1e-4)
    assert space[8, 3] == 0
    assert space[22, :3] == pytest.approx(want.joints_3d[JOINTS_3D.index("right_toe")], abs=1e-4)
    assert space[22, 3] == 0  # inferred
    assert space[0].tolist() == [0, 0, 0, 0]  # no nose in 3D


def test_middle_of_the_hips(written):
    people = load(written).people
    flat, _ = body_25(people)
    hips = people.joints_2d[:, [JOINTS_2D.index("right_hip"), JOINTS_2D.index("left_hip")]]
    seen = flat[:, 8, 2] > 0
    assert seen.tolist().count(False) == 1
    np.testing.assert_allclose(flat[seen, 8, :2], hips[seen].mean(1), atol=1e-3)


def test_pycocotools_reads_the_results(written, frames):
    coco = pytest.importorskip("pycocotools.coco")
    names = [
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ]
    truth = coco.COCO()
    truth.dataset = {"images": [{"id": i} for i in range(4)], "categories": [{"id": 1}], "annotations": [], "info": {}}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = truth.loadRes(str(written / "coco.json"))
    assert len(results.getAnnIds()) == 6
    assert results.getAnnIds(imgIds=[1]) == []
    found = results.loadAnns(results.getAnnIds(imgIds=[2]))
    person = next(a for a in found if a["track_id"] == 3)
    want = frames[2][1].people[0]
    points = np.array(person["keypoints"]).reshape(17, 3)
    for row, name in enumerate(names):
        index = JOINTS_2D.index(name) if name in JOINTS_2D else None
        if index is None or want.confidence_2d[index] == 0:
            assert (points[row] == 0).all(), name
        else:
            assert points[row] == pytest.approx([*want.joints_2d[index], want.confidence_2d[index]], abs=0.01), name
    assert person["score"] == pytest.approx(0.8)


def test_results_without_people_are_an_empty_list(tmp_path, header):
    open_writers(tmp_path, ["coco"], header).close()
    assert json.loads((tmp_path / "coco.json").read_text()) == []
