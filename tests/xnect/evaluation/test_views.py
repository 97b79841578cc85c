import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.errors import FormatError
from xnect.evaluation.views import ViewPoses, against_reference, between_views, load_views, match
from xnect.geometry import project
from xnect.skeleton.joints import COCO_13, JOINTS_2D, JOINTS_3D, PELVIS
from xnect.structures import Detections

NAMES = [JOINTS_2D[j] for j in COCO_13]
PEOPLE, FRAMES = 2, 4


def bodies(seed=0):
    """Two people over some frames: 21 joints in the world (z up), hips about the pelvis [m]."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(0, 0.3, (PEOPLE, FRAMES, 21, 3)) * [1, 1, 2]
    hips = [JOINTS_3D.index("right_hip"), JOINTS_3D.index("left_hip")]
    joints[..., PELVIS, :] = joints[..., hips, :].mean(-2)
    joints -= joints[..., [PELVIS], :]
    return joints + np.array([[-0.7, 0.1, 1.0], [0.8, 0.0, 1.0]])[:, None, None]


@pytest.fixture
def pair(tmp_path):
    """A calibrated pair on disk, and the true joints in the world."""
    world = bodies()
    cameras = {}
    for name, yaw in (("a", 0.2), ("b", 1.3)):
        look = Rotation.from_euler("x", 90, degrees=True).as_matrix() @ Rotation.from_euler("z", yaw).as_matrix()
        cameras[name] = {
            "file": f"clip_{name}.mp4", "width": 640, "height": 480, "K": [[600, 0, 320], [0, 600, 240], [0, 0, 1]],
            "dist": [0.0] * 5, "R": look.tolist(), "t": [0.0, 1.0, 5.0],
        }  # fmt: skip
    reference = world[..., [JOINTS_3D.index(n if n != "nose" else "head") for n in NAMES], :]
    people = [{"id": k, "joints_m": reference[k].round(5).tolist()} for k in range(PEOPLE)]
    people[0]["joints_m"][1][3] = None
    (tmp_path / "clip.calib.json").write_text(json.dumps({"cameras": cameras}), encoding="utf-8")
    (tmp_path / "clip.ref3d.json").write_text(json.dumps({"joints": NAMES, "people": people}), encoding="utf-8")
    return (*load_views(tmp_path, "clip"), world)


def true_poses(world, view):
    joints = (world - world[..., [PELVIS], :]) @ view.rotation.T
    return ViewPoses(joints, np.ones((PEOPLE, FRAMES), bool))


def seen_by(view, reference, frame, order):
    truth = reference.in_view(view)[order, frame]
    joints = np.zeros((len(order), 14, 2), np.float32)
    joints[:, COCO_13] = project(truth, view.camera)
    confidence = np.zeros((len(order), 14), np.float32)
    confidence[:, COCO_13] = reference.known[order, frame]
    return Detections(joints, confidence, np.ones(len(order), np.float32))


def test_people_are_matched_whatever_their_order(pair):
    (view, _), reference, _ = pair
    assert not reference.known[0, 1, 3]
    assert reference.known.sum() == PEOPLE * FRAMES * 13 - 1
    assert match(seen_by(view, reference, 1, [1, 0]), 1, view, reference).tolist() == [1, 0]
    assert match(seen_by(view, reference, 1, [1]), 1, view, reference).tolist() == [-1, 0]
    assert match(Detections.empty(), 1, view, reference).tolist() == [-1, -1]
    far = seen_by(view, reference, 2, [0, 1])
    far = Detections(far.joints_px + np.float32(300), far.confidence.copy(), far.score.copy())
    assert match(far, 2, view, reference).tolist() == [-1, -1]


def test_the_truth_has_no_error_in_any_view(pair):
    views, reference, world = pair
    for view in views:
        figures = against_reference(true_poses(world, view), view, reference)
        assert figures["mpjpe_mm"] == pytest.approx(0, abs=0.05)
        assert (figures["found"], figures["pck150"], figures["people"]) == (1, 1, PEOPLE * FRAMES)
    both = between_views(*(true_poses(world, v) for v in views), *views)
    assert both["mpjpe_mm"] == pytest.approx(0, abs=1e-6)


def test_size_and_direction_are_forgiven_where_they_should_be(pair):
    views, reference, world = pair
    right = true_poses(world, views[0])
    large = against_reference(ViewPoses(1.2 * right.joints_m, right.found), views[0], reference)
    assert large["mpjpe_mm"] > 50
    assert large["scaled_mm"] == pytest.approx(0, abs=0.05)
    turn = Rotation.from_rotvec([0, 0.6, 0]).as_matrix()
    turned = against_reference(ViewPoses(right.joints_m @ turn, right.found), views[0], reference)
    assert turned["scaled_mm"] > 50
    assert turned["pa_mm"] == pytest.approx(0, abs=0.05)
    # a pose in the wrong camera's axes agrees with nothing but after full alignment
    wrong = between_views(right, right, *views)
    assert wrong["mpjpe_mm"] > 100
    assert wrong["pa_mm"] == pytest.approx(0, abs=1e-6)


def test_half_bodies_are_joined_at_the_shoulders(pair):
    views, reference, world = pair
    hips = [NAMES.index("right_hip"), NAMES.index("left_hip")]
    reference.known.setflags(write=True)
    reference.known[..., hips] = False
    shifted = true_poses(world, views[0])
    moved = ViewPoses(shifted.joints_m + np.array([0.5, 0, 0]), shifted.found)
    assert against_reference(moved, views[0], reference)["mpjpe_mm"] == pytest.approx(0, abs=0.05)


def test_nobody_found_is_no_figure(pair):
    views, reference, world = pair
    nobody = ViewPoses(true_poses(world, views[0]).joints_m * 0, np.zeros((PEOPLE, FRAMES), bool))
    figures = against_reference(nobody, views[0], reference)
    assert figures["found"] == 0
    assert figures["mpjpe_mm"] is None
    assert between_views(nobody, nobody, *views) == {"people": 0, "mpjpe_mm": None, "pa_mm": None}


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(FormatError, match="cannot read"):
        load_views(tmp_path, "none")
    (tmp_path / "x.calib.json").write_text("{}", encoding="utf-8")
    (tmp_path / "x.ref3d.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FormatError, match="expected form"):
        load_views(tmp_path, "x")
