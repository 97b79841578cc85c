"""Stage II: geometry against ground truth, what comes out of odd input, and refusal of weights that do not fit."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xnect.codec.encoding import in_frame_of
from xnect.errors import WeightsError
from xnect.geometry import camera_from_fov, project, ray_rotation
from xnect.skeleton.joints import FLIP_2D, FLIP_3D, JOINTS_2D, JOINTS_3D, PELVIS
from xnect.stages.lifting import DEFAULT_WEIGHTS, Lifter, load_weights, run_network
from xnect.stages.lifting_frame import (
    ENCODING_GAIN,
    ENCODING_SLOTS,
    INPUTS,
    OUTPUTS,
    ROOT,
    SIGHT_OF_POINT,
    finish,
    locate,
    network_inputs,
    place_points,
    plain_inputs,
    points_of_2d,
    root_prior,
    to_ray_frame,
)
from xnect.structures import Camera, Detections

CAMERA = camera_from_fov((1280, 720), 60)
#: A person of 1.70 m standing upright and facing the camera, arms a little off the body; relative to the pelvis [m].
STANDING = np.array(
    [
        [0, -0.76, 0], [0, -0.50, 0.02],
        [-0.19, -0.50, 0.02], [-0.27, -0.24, 0.05], [-0.30, 0.01, 0.0],
        [0.19, -0.50, 0.02], [0.27, -0.24, 0.05], [0.30, 0.01, 0.0],
        [-0.09, 0, 0], [-0.11, 0.41, 0], [-0.12, 0.82, 0.03],
        [0.09, 0, 0], [0.11, 0.41, 0], [0.12, 0.82, 0.03],
        [0, 0, 0], [0, -0.28, 0.03], [0, -0.58, 0.0],
        [-0.31, 0.08, -0.02], [0.31, 0.08, -0.02], [-0.15, 0.86, -0.10], [0.15, 0.86, -0.10],
    ]
)  # fmt: skip
NOSE = np.array([0, -0.62, -0.11])


def points_14(joints=STANDING, nose=NOSE):
    return points_of_2d(joints[None].copy(), nose[None])[0]


def seen_from(root, joints=STANDING, nose=NOSE, camera=CAMERA):
    """2D joints (14, 2) of a body at ``root`` in camera space."""
    return project(points_14(joints, nose) + root, camera).astype(np.float32)


def detections(*people, confidence=0.8, encoding=None):
    joints = np.stack(people).astype(np.float32)
    conf = np.broadcast_to(np.float32(confidence), joints.shape[:2]).copy()
    joints[conf == 0] = 0
    return Detections(joints, conf, np.ones(len(joints), np.float32), encoding)


@pytest.fixture(scope="module")
def lifter():
    if not DEFAULT_WEIGHTS.exists():
        pytest.skip("the weights that ship are not there")
    return Lifter()


def error_mm(joints, truth):
    return 1000 * float(np.linalg.norm(joints - truth, axis=-1).mean())


# --- geometry -------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 14))
def test_locate_finds_where_a_body_stands_whatever_joints_are_missing(seed, seen):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 0.4, (5, 14, 3))
    root = np.stack([rng.uniform(-0.3, 0.3, 5), rng.uniform(-0.3, 0.3, 5), rng.uniform(2.5, 9, 5)], -1)
    placed = points + root[:, None]
    confidence = rng.uniform(0.2, 1, (5, 14)) * (rng.random((5, 14)).argsort(1) < seen)
    frame = to_ray_frame(placed[..., :2] / placed[..., 2:], confidence)
    turned, truth = points @ frame.rotation, np.einsum("pi,pij->pj", root, frame.rotation)
    found = locate(turned, truth * 1.2, frame, strength=1e-9)
    np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-4)


def test_locate_is_not_led_astray_by_one_joint_of_somebody_else():
    points = points_14()[None]
    root = np.array([[0.0, 0.0, 4.0]])
    xy = (points + root)[..., :2] / (points + root)[..., 2:]
    xy[0, 10] += 0.3  # an ankle 1.2 m off
    frame = to_ray_frame(xy, np.ones((1, 14)))
    truth = np.einsum("pi,pij->pj", root, frame.rotation)
    found = locate(points @ frame.rotation, truth * 1.1, frame)
    assert abs(found[0, 2] - truth[0, 2]) < 0.25
    assert np.abs(found[0, :2] - truth[0, :2]).max() < 0.06


def test_one_joint_alone_falls_back_on_the_guess():
    frame = to_ray_frame(np.full((1, 14, 2), 0.1), np.eye(14)[:1])
    guess = np.array([[0.0, 0.1, 3.0]])
    found = locate(np.zeros((1, 14, 3)), guess, frame)
    assert np.isfinite(found).all()
    assert 0.1 < found[0, 2] < 30


def test_sight_lines_with_true_depths_give_the_true_joints():
    root, xy = np.array([0.7, -0.2, 3.0]), None
    points = points_14() + root
    xy = (points[:, :2] / points[:, 2:])[None]
    frame = to_ray_frame(xy, np.ones((1, 14)))
    inputs = network_inputs(frame, xy, None)
    truth = np.concatenate([STANDING, NOSE[None]]) @ frame.rotation[0]
    truth[[1, 16, 0]] = [points_14()[1] @ frame.rotation[0], *([truth[21]] * 2)]  # points that are not their 2D joint
    truth[17:21] = truth[[4, 7, 10, 13]]
    place = root @ frame.rotation[0]
    raw = np.zeros((1, OUTPUTS), np.float32)
    raw[0, 2:66:3] = truth[:, 2]
    raw[0, 66:68] = (place[:2] / place[2] - frame.centre[0]) / frame.extent[0]
    raw[0, 68] = np.log(place[2] * frame.extent[0])
    raw[0, 69:91] = 30  # gates wide open
    found = place_points(raw, inputs)[0]
    backed = SIGHT_OF_POINT >= 0
    np.testing.assert_allclose(found[backed], truth[backed], atol=2e-3)


def test_the_same_pose_along_another_ray_gives_the_same_inputs():
    tight = 0.3 * points_14()  # far off: the mean of the picture plane is the mean of the ray's plane
    middle = tight + np.array([0, 0, 6.0])
    turned = middle @ ray_rotation(np.array([0.5, -0.3])).T
    inputs = []
    for points in (middle, turned):
        xy = (points[:, :2] / points[:, 2:])[None]
        inputs.append(network_inputs(to_ray_frame(xy, np.ones((1, 14))), xy, None))
    np.testing.assert_allclose(inputs[0], inputs[1], atol=2e-2)


def test_the_ray_frame_looks_along_the_mean_sight_line():
    rng = np.random.default_rng(4)
    xy, confidence = rng.uniform(-0.8, 0.8, (6, 14, 2)), rng.uniform(0, 1, (6, 14))
    frame = to_ray_frame(xy, confidence)
    mean = (confidence[..., None] * xy).sum(1) / confidence.sum(1)[:, None]
    np.testing.assert_allclose(frame.rotation, ray_rotation(mean), atol=1e-12)
    rays = np.concatenate([xy, np.ones((6, 14, 1))], -1) @ frame.rotation
    np.testing.assert_allclose(frame.plane, rays[..., :2] / rays[..., 2:], atol=1e-12)
    spread = ((frame.plane - frame.centre[:, None]) ** 2).sum(-1)
    np.testing.assert_allclose(frame.extent**2, (confidence * spread).sum(1) / confidence.sum(1), rtol=1e-9)


def test_missing_joints_leave_no_trace_in_the_inputs():
    xy = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 14, 2))
    confidence = np.ones((1, 14))
    confidence[0, [4, 9]] = 0
    other = xy.copy()
    other[0, [4, 9]] = [[1e6, np.nan], [-3, 5]]
    encoding = np.ones((1, 14, 63), np.float32)
    first, second = (network_inputs(to_ray_frame(u, confidence), u, encoding) for u in (xy, other))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (1, INPUTS)


def test_the_compiled_whole_is_the_sum_of_its_parts():
    rng = np.random.default_rng(5)
    xy, confidence = rng.uniform(-0.6, 0.6, (7, 14, 2)), rng.uniform(0, 1, (7, 14)) * (rng.uniform(0, 1, (7, 14)) > 0.3)
    confidence[6] = 0
    frame = to_ray_frame(xy, confidence)
    inputs = network_inputs(frame, xy, None)
    np.testing.assert_array_equal(plain_inputs(frame), inputs[:, : plain_inputs(frame).shape[1]])
    raw = rng.normal(0, 1, (7, OUTPUTS)).astype(np.float32)
    points = place_points(raw, inputs)
    joints = points[:, :21] - points[:, PELVIS : PELVIS + 1]
    root = locate(points_of_2d(joints, points[:, 21]), root_prior(raw[:, ROOT], frame), frame)
    found, place = finish(raw, inputs, frame)
    np.testing.assert_allclose(found, joints @ frame.rotation.transpose(0, 2, 1), atol=1e-6)
    np.testing.assert_allclose(place, (root[:, None] @ frame.rotation.transpose(0, 2, 1))[:, 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("people", [1, 6, 7, 10, 13, 24, 25])
def test_groups_of_people_give_what_each_alone_does(people):
    rng = np.random.default_rng(6)
    sizes = [INPUTS, 32, 32, 32, OUTPUTS]
    layers = tuple(
        (rng.normal(0, 0.2, (a, b)).astype(np.float32), rng.normal(0, 0.2, b).astype(np.float32))
        for a, b in itertools.pairwise(sizes)
    )
    inputs = rng.normal(0, 1, (people, INPUTS)).astype(np.float32)
    alone = np.concatenate([run_network(layers, one[None]) for one in inputs])
    np.testing.assert_allclose(run_network(layers, inputs), alone, atol=1e-4)


# --- the network that ships -----------------------------------------------------------------------------------------


@pytest.mark.weights
@pytest.mark.parametrize("root", [[0, 0, 4.0], [1.6, 0.1, 4.0], [-1.0, 0.4, 3.0], [0.2, -0.3, 8.0]])
def test_a_standing_person_is_found_standing_where_they_are(lifter, root):
    poses = lifter(detections(seen_from(np.array(root))), CAMERA)
    assert error_mm(poses.joints_m[0], STANDING) < 120
    assert np.linalg.norm(poses.root_m[0] - root) < 0.15 * np.linalg.norm(root)
    up = poses.joints_m[0, 1]  # the neck above the pelvis
    assert np.degrees(np.arccos(-up[1] / np.linalg.norm(up))) < 15


@pytest.mark.weights
def test_a_person_at_the_edge_is_turned_with_their_ray(lifter):
    wide = camera_from_fov((1280, 720), 90)
    turn = ray_rotation(np.array([0.8, 0.0]))
    root = np.array([0, 0, 5.0])
    middle = lifter(detections(seen_from(root, camera=wide)), wide)
    side = lifter(detections(seen_from(turn @ root, STANDING @ turn.T, turn @ NOSE, wide)), wide)
    assert error_mm(side.joints_m[0] @ turn, middle.joints_m[0]) < 25
    np.testing.assert_allclose(turn.T @ side.root_m[0], middle.root_m[0], atol=0.15)


@pytest.mark.weights
def test_people_do_not_influence_each_other(lifter):
    people = [seen_from(np.array(r)) for r in ([0, 0, 3.0], [1, 0, 4.0], [-1, 0.2, 6.0])]
    together = lifter(detections(*people), CAMERA)
    for k, person in enumerate(people):
        alone = lifter(detections(person), CAMERA)
        np.testing.assert_allclose(alone.joints_m[0], together.joints_m[k], atol=1e-4)
        np.testing.assert_allclose(alone.root_m[0], together.root_m[k], atol=1e-3)


@pytest.mark.weights
def test_the_mirrored_picture_gives_about_the_mirrored_pose(lifter):
    joints = STANDING.copy()
    joints[[3, 4, 17]] += [[-0.05, -0.3, 0], [-0.2, -0.7, 0], [-0.2, -0.8, 0]]  # right arm raised
    person = seen_from(np.array([0, 0, 4.0]), joints)
    mirrored = person[FLIP_2D].copy()
    mirrored[:, 0] = CAMERA.size_px[0] - 1 - mirrored[:, 0]
    poses = lifter(detections(person, mirrored), CAMERA)
    expected = poses.joints_m[0][FLIP_3D] * [-1, 1, 1]
    assert error_mm(poses.joints_m[1], expected) < 50


@pytest.mark.weights
def test_flags_tell_what_the_picture_backs(lifter):
    confidence = np.full(14, 0.8, np.float32)
    confidence[[JOINTS_2D.index(n) for n in ("left_knee", "left_ankle", "left_hip", "nose")]] = 0
    person = seen_from(np.array([0, 0, 4.0]))
    poses = lifter(detections(person, person, confidence=np.stack([confidence, np.full(14, 0.8)])), CAMERA)
    guessed = {JOINTS_3D[k] for k in np.flatnonzero(poses.inferred[0])}
    always = {"head_top", "right_hand", "left_hand", "right_toe", "left_toe"}
    assert guessed == always | {"left_knee", "left_ankle", "left_hip", "head", "pelvis", "spine"}
    assert {JOINTS_3D[k] for k in np.flatnonzero(poses.inferred[1])} == always
    knee = JOINTS_3D.index("left_ankle")
    assert poses.confidence[0, knee] < poses.confidence[1, knee]


@pytest.mark.weights
def test_nobody_and_nothing_seen(lifter):
    assert len(lifter(Detections.empty(), CAMERA)) == 0
    poses = lifter(detections(np.zeros((14, 2)), confidence=0), CAMERA)
    assert (poses.confidence == 0).all()
    assert poses.inferred.all()
    assert np.isfinite(poses.joints_m).all()
    assert np.isfinite(poses.root_m).all()


@pytest.mark.weights
@settings(max_examples=20, deadline=None)
@given(
    arrays(np.float32, (3, 14, 2), elements=st.floats(-5000, 5000, width=32)),
    arrays(np.float32, (3, 14), elements=st.floats(0, 1, width=32)),
    st.floats(20, 150),
)
def test_whatever_goes_in_finite_numbers_come_out(lifter, joints, confidence, fov):
    camera = camera_from_fov((640, 480), fov)
    camera = Camera(camera.matrix_px.copy(), (640, 480), np.array([0.05, 0, 0, 0, 0]))
    poses = lifter(Detections(joints, confidence, np.ones(3, np.float32)), camera)
    for array in (poses.joints_m, poses.root_m, poses.confidence):
        assert np.isfinite(array).all()
    assert np.abs(poses.joints_m).max() < 5.001  # clamped to 5 m before the last rotation
    assert (poses.root_m[:, :] ** 2).sum(1).max() < 500**2
    assert ((poses.confidence >= 0) & (poses.confidence <= 1)).all()
    assert np.abs(poses.joints_m[:, JOINTS_3D.index("pelvis")]).max() == 0


@pytest.mark.weights
def test_encodings_enter_in_the_frame_of_the_person():
    """Compiled for the vectors that count; the codec says what they are."""
    rng = np.random.default_rng(2)
    xy = rng.normal(0, 0.4, (6, 14, 2))
    confidence = (rng.random((6, 14)) < 0.7).astype(np.float32)
    encoding = rng.normal(0, 0.3, (6, 14, 63)).astype(np.float32)
    frame = to_ray_frame(xy, confidence)
    found = network_inputs(frame, xy, encoding)
    vectors = in_frame_of(encoding, xy, frame.rotation) * (confidence > 0)[..., None, None]
    expected = ENCODING_GAIN * vectors[:, ENCODING_SLOTS[:, 0], ENCODING_SLOTS[:, 1]]
    np.testing.assert_allclose(found[:, 58:].reshape(expected.shape), expected, atol=1e-5)
    assert (found[:, 57] == 1).all()
    np.testing.assert_array_equal(found[:, :57], network_inputs(frame, xy, None)[:, :57])


def test_an_encoding_is_used_only_by_a_network_that_learnt_it(lifter):
    person = seen_from(np.array([0, 0, 4.0]))
    encoding = np.random.default_rng(0).normal(0, 0.3, (1, 14, 63)).astype(np.float32)
    plain = lifter(detections(person), CAMERA)
    with_it = lifter(detections(person, encoding=encoding), CAMERA)
    assert np.allclose(plain.joints_m, with_it.joints_m) != lifter.weights.encoding


# --- weights --------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path, lifter):
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"w{suffix}").write_bytes(DEFAULT_WEIGHTS.with_suffix(suffix).read_bytes())
    return tmp_path / "w.safetensors"


def edit(weights, **changes):
    card = json.loads(weights.with_suffix(".json").read_text())
    weights.with_suffix(".json").write_text(json.dumps({**card, **changes}))


def test_weights_are_small_and_load(weights):
    assert weights.stat().st_size < 3e6
    assert len(load_weights(weights).layers) == 2 * load_weights(weights).card["blocks"] + 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format"),
        ({"joints_3d": ["head"]}, "joints_3d"),
        ({"width": 100}, "shape"),
        ({"blocks": 7}, "expected"),
        ({"width": "wide"}, "expected int"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"inputs": 3}, "inputs"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_one_line(weights, change, message):
    edit(weights, **change)
    with pytest.raises(WeightsError, match=message) as caught:
        Lifter(weights)
    assert "\n" not in str(caught.value)


def test_damaged_or_missing_weights_are_refused(weights, tmp_path):
    with pytest.raises(WeightsError, match="cannot read"):
        Lifter(tmp_path / "nowhere.safetensors")
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        Lifter(weights)
    import hashlib

    weights.write_bytes(b"nonsense")
    edit(weights, sha256=hashlib.sha256(b"nonsense").hexdigest())
    with pytest.raises(WeightsError, match="no safetensors file"):
        Lifter(weights)
    weights.with_suffix(".json").write_text("{")
    with pytest.raises(WeightsError, match="JSON"):
        Lifter(weights)
