"""Bones in Unity's axes against the skeleton's own kinematics."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xnect.formats.people import people_of
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON
from xnect.streams import humanoid
from xnect.structures import FrameResult


@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.0, 1e-6, 1.0, 3.0]))
@settings(max_examples=20, deadline=None)
def test_local_rotations_are_the_skeletons_own(seed, spread):
    angles = np.random.default_rng(seed).normal(0, spread, (3, len(SKELETON.angle_names)))
    found = humanoid.local_quaternions(angles)
    expected = SKELETON.local_rotations(angles)[:, humanoid.JOINTS]
    got = Rotation.from_quat(found[..., [1, 2, 3, 0]].reshape(-1, 4)).as_matrix().reshape(expected.shape)
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_names_are_unitys():
    assert len(humanoid.BONES) == 21
    needed = {"Hips", "Spine", "Head"} | {
        side + name
        for side in ("Left", "Right")
        for name in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    }
    assert needed <= set(humanoid.BONES)
    assert humanoid.PARENTS[0] == -1
    assert (humanoid.PARENTS[1:] < np.arange(1, 21)).all()
    assert (humanoid.PARENTS[1:] >= 0).all()


def test_who_faces_the_camera_faces_unitys_forward(person):
    """Upright, facing the camera, 4 m away, left of the picture's middle = on the person's own right side."""
    one = person(1)
    angles, offsets = np.zeros((1, len(SKELETON.angle_names)), np.float32), SKELETON.rest_offsets_m[None].astype("f4")
    people = people_of(FrameResult(0, 0.0, (one,), {}, None), angles.shape[1], offsets.shape[1])
    fields = {name: getattr(people, name) for name in people.__slots__}
    fields |= {"angles": angles, "offsets": offsets, "root_rotation": np.float32([[0, 1, 0, 0]])}
    fields |= {"root_position": np.float32([[-0.5, 0.1, 4.0]])}
    found = humanoid.humanoids(type(people)(**fields))
    np.testing.assert_allclose(np.abs(found.turns[0]), np.tile([0, 0, 0, 1.0], (21, 1)), atol=1e-7)
    np.testing.assert_allclose(found.places[0, 0], [0.5, -0.1, -4.0], atol=1e-6)
    left = humanoid.BONES.index("LeftUpperLeg")
    assert found.places[0, left, 0] < 0  # Unity: the left side is at -x of who looks along +z
    world = humanoid.chained(found.turns, found.places)[0]
    assert world[humanoid.BONES.index("Head"), 1] > world[0, 1] > world[humanoid.BONES.index("LeftFoot"), 1]
    assert world[humanoid.BONES.index("LeftToes"), 2] > world[humanoid.BONES.index("LeftFoot"), 2]


def test_chained_bones_stand_where_the_joints_are(results):
    people = people_of(results(7, (1, 2, 3)), len(SKELETON.angle_names), len(SKELETON.joint_names))
    found = humanoid.humanoids(people)
    world = humanoid.chained(found.turns, found.places)
    for joint, bone in humanoid.JOINT_OF_BONE.items():
        expected = people.joints_3d[:, JOINTS_3D.index(joint)] * humanoid.CAMERA_TO_UNITY
        np.testing.assert_allclose(world[:, humanoid.BONES.index(bone)], expected, atol=1e-5)
    assert len(humanoid.JOINT_OF_BONE) == 18
    low = people.joints_3d[:, :, 1].max(1)
    np.testing.assert_allclose(found.lowest, -low - 0.03, atol=1e-6)
