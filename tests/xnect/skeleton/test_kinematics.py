"""The body's tree: forward kinematics against independent formulas, senses of the angles, mirror symmetry."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.skeleton.joints import FLIP_3D, JOINTS_3D
from xnect.skeleton.kinematics import SKELETON, rotation_from_vector

J, D = len(SKELETON.joint_names), len(SKELETON.angle_names)


def posed(**degrees: float) -> dict[str, np.ndarray]:
    """Joint positions by name with the given angles, the rest at 0, standing at the origin."""
    angles = np.zeros((1, D))
    for name, value in degrees.items():
        angles[0, SKELETON.angle_names.index(name)] = np.radians(value)
    xyz, _ = SKELETON.forward(np.zeros((1, 3)), np.eye(3)[None], angles, SKELETON.rest_offsets_m)
    return dict(zip(SKELETON.joint_names, xyz[0], strict=True))


def test_tree_is_sound():
    assert (SKELETON.parents[1:] < np.arange(1, J)).all()
    assert [SKELETON.joint_names[i] for i in SKELETON.index_21] == list(JOINTS_3D)
    assert len(set(SKELETON.angle_names)) == D
    assert (np.diff(SKELETON.angle_joint) >= 0).all()
    assert (SKELETON.limits_rad[:, 0] < SKELETON.limits_rad[:, 1]).all()
    assert not SKELETON.rest_offsets_m.flags.writeable


def test_rotation_vectors_against_scipy():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 3)) * rng.choice([0, 1e-9, 1e-3, 1.0, 3.0], size=(200, 1))
    assert np.abs(rotation_from_vector(vectors) - Rotation.from_rotvec(vectors).as_matrix()).max() < 1e-12


def test_forward_against_homogeneous_transforms():
    """Each joint's chain multiplied out with 4x4 matrices and scipy's rotations."""
    rng = np.random.default_rng(1)
    angles = rng.uniform(*SKELETON.limits_rad.T, size=(5, D))
    offsets = SKELETON.rest_offsets_m * rng.uniform(0.8, 1.2, (5, J, 1))
    roots = Rotation.random(5, random_state=2).as_matrix()
    position = rng.normal(size=(5, 3))
    xyz, rotations = SKELETON.forward(position, roots, angles, offsets)
    for t in range(5):
        for j in range(J):
            chain, k = [], j
            while k >= 0:
                chain.append(k)
                k = SKELETON.parents[k]
            world = np.eye(4)
            for k in reversed(chain):
                local = np.eye(4)
                local[:3, 3] = position[t] if k == 0 else offsets[t, k]
                vectors = [
                    SKELETON.angle_sign[d] * angles[t, d] * np.eye(3)[SKELETON.angle_axis[d]]
                    for d in SKELETON.angles_of(k)
                ]
                if SKELETON.swing[k]:
                    vectors = [vectors[0] + vectors[1], vectors[2]]
                for v in vectors:
                    local[:3, :3] = local[:3, :3] @ Rotation.from_rotvec(v).as_matrix()
                if k == 0:
                    local[:3, :3] = roots[t]
                world = world @ local
            assert np.allclose(world[:3, 3], xyz[t, j], atol=1e-12)
            assert np.allclose(world[:3, :3], rotations[t, j], atol=1e-12)


@pytest.mark.parametrize("side", ["right", "left"])
def test_positive_angles_do_what_their_names_say(side):
    rest = posed()
    out = -1 if side == "right" else 1  # the side's own outward direction along x
    toe = f"{side}_toe"
    assert posed(**{f"{side}_knee_flexion": 90})[f"{side}_ankle"][2] < rest[f"{side}_ankle"][2] - 0.3
    assert posed(**{f"{side}_hip_flexion": 90})[f"{side}_knee"][2] > 0.3
    assert posed(**{f"{side}_hip_abduction": 45})[f"{side}_knee"][0] * out > 0.3
    assert posed(**{f"{side}_hip_internal_rotation": 40})[toe][0] * out < rest[toe][0] * out - 0.05
    assert posed(**{f"{side}_ankle_plantarflexion": 40})[toe][1] < rest[toe][1] - 0.05
    assert posed(**{f"{side}_ankle_adduction": 40})[toe][0] * out < rest[toe][0] * out - 0.05
    assert posed(**{f"{side}_shoulder_elevation": -90})[f"{side}_elbow"][1] < rest[f"{side}_elbow"][1] - 0.2
    assert posed(**{f"{side}_shoulder_horizontal_flexion": 90})[f"{side}_elbow"][2] > 0.2
    assert posed(**{f"{side}_elbow_flexion": 90})[f"{side}_wrist"][2] > 0.2
    bent = {f"{side}_elbow_flexion": 90, f"{side}_shoulder_internal_rotation": 60}
    assert posed(**bent)[f"{side}_wrist"][1] < rest[f"{side}_wrist"][1] - 0.1
    assert posed(**{f"{side}_clavicle_elevation": 30})[f"{side}_shoulder"][1] > rest[f"{side}_shoulder"][1] + 0.05
    assert posed(**{f"{side}_clavicle_protraction": 20})[f"{side}_shoulder"][2] > rest[f"{side}_shoulder"][2] + 0.03
    assert posed(lumbar_flexion=40)["head"][2] > 0.2
    assert posed(spine_bend_right=20)["head"][0] < -0.05
    assert posed(spine_turn_left=30)["right_shoulder"][2] > rest["right_shoulder"][2] + 0.05


def test_mirrored_angles_give_the_mirrored_body():
    rng = np.random.default_rng(3)
    angles = rng.uniform(*SKELETON.limits_rad.T, size=(4, D))
    mirror = np.empty_like(angles)
    for d, name in enumerate(SKELETON.angle_names):
        other = {"right": "left", "left": "right"}.get(name.split("_")[0])
        partner = f"{other}_{name.split('_', 1)[1]}" if other else name
        sign = -1 if name.endswith(("bend_right", "turn_left")) else 1
        mirror[:, SKELETON.angle_names.index(partner)] = sign * angles[:, d]
    identity = np.broadcast_to(np.eye(3), (4, 3, 3))
    one, _ = SKELETON.forward(np.zeros((4, 3)), identity, angles, SKELETON.rest_offsets_m)
    two, _ = SKELETON.forward(np.zeros((4, 3)), identity, mirror, SKELETON.rest_offsets_m)
    one, two = one[:, SKELETON.index_21], two[:, SKELETON.index_21]
    assert np.abs(two[:, FLIP_3D] * [-1, 1, 1] - one).max() < 1e-12
