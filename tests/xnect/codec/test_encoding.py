"""The 3D encoding: which channels count where, and that turning it to another ray loses nothing."""

import numpy as np
import pytest

from xnect.codec.encoding import TRUSTED_JOINTS, encode, in_frame_of
from xnect.geometry import ray_rotation
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D, PARENTS_3D


def trusted(name):
    return {JOINTS_3D[k] for k in np.flatnonzero(TRUSTED_JOINTS[JOINTS_2D.index(name)])}


@pytest.mark.parametrize(
    ("joint", "expected"),
    [
        ("right_elbow", {"right_shoulder", "right_elbow", "right_wrist"}),
        ("left_wrist", {"left_elbow", "left_wrist", "left_hand"}),
        ("right_ankle", {"right_knee", "right_ankle", "right_toe"}),
        ("left_hip", {"left_hip", "left_knee"}),
        ("neck", {"spine", "neck", "head", "right_shoulder", "left_shoulder"}),
        ("nose", {"neck", "head", "head_top"}),
    ],
)
def test_trusts_the_bones_that_meet_at_a_joint(joint, expected):
    assert trusted(joint) == expected


def test_every_bone_is_supervised_somewhere():
    assert set(np.flatnonzero(TRUSTED_JOINTS.any(0))) == set(range(21)) - {JOINTS_3D.index("pelvis")}


def test_values_are_bones_in_the_axes_of_the_pixel_s_own_ray():
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.5, (3, 21, 3)) + np.array([0, 0, 3])
    xy = rng.uniform(-0.6, 0.6, (3, 14, 2))
    values, mask = encode(joints, xy, np.array([1.7, 1.7, 1.7]))
    assert values.shape == (3, 14, 63)
    assert mask.shape == (14, 63)
    for person, j, k in ((0, 4, 3), (2, 9, 9), (1, 1, 16)):
        bone = joints[person, k] - joints[person, PARENTS_3D[k]]
        back = ray_rotation(xy[person, j]) @ values[person, j, 3 * k : 3 * k + 3]
        np.testing.assert_allclose(back, bone, atol=1e-6)


def test_every_joint_tells_the_same_bone_once_turned_into_the_person_s_ray():
    rng = np.random.default_rng(1)
    joints = rng.normal(0, 0.5, (4, 21, 3))
    xy = rng.uniform(-0.8, 0.8, (4, 14, 2))
    target = ray_rotation(rng.uniform(-0.5, 0.5, (4, 2)))
    vectors = in_frame_of(encode(joints, xy, 1.7)[0], xy, target)
    expected = (joints - joints[:, PARENTS_3D]) @ target
    np.testing.assert_allclose(vectors, np.broadcast_to(expected[:, None], vectors.shape), atol=1e-6)


def test_a_child_and_an_adult_of_the_same_shape_have_the_same_encoding():
    rng = np.random.default_rng(2)
    joints, xy = rng.normal(0, 0.5, (1, 21, 3)), rng.uniform(-0.5, 0.5, (1, 14, 2))
    adult, _ = encode(joints, xy, 1.8)
    child, _ = encode(joints / 2, xy, np.array([0.9]))
    np.testing.assert_allclose(adult, child, atol=1e-6)
