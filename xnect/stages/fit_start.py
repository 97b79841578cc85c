"""A body in closed form from a 3D pose and its 2D joints: where the fit starts with people it has not seen before."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON, rotation_from_vector
from xnect.skeleton.limits import clamp
from xnect.stages.fit_tree import forward_people, with_nose
from xnect.structures import F64

#: People are at least so far from the camera [m].
LEAST_DEPTH_M = 0.3
#: Error of a pose's joints that the guess of the root weighs up against, over the relative error of that guess [m].
DEPTH_TRUST_M = 0.4
_PELVIS_JOINTS = np.array([JOINTS_3D.index(n) for n in ("pelvis", "right_hip", "left_hip", "spine", "neck")])
_PELVIS_WEIGHTS = np.array([1.0, 2.0, 2.0, 1.0, 0.2])
_CHEST_JOINTS = np.array([JOINTS_3D.index(n) for n in ("spine", "neck", "right_shoulder", "left_shoulder")])
_CHEST_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0])

_REST_LOCAL = SKELETON.local_rotations(SKELETON.rest_rad[None])[0]
_REST_CHEST = _REST_LOCAL[SKELETON.joint_names.index("lumbar")] @ _REST_LOCAL[SKELETON.joint_names.index("spine")]
_REST_CLAVICLE = {s: _REST_LOCAL[SKELETON.joint_names.index(f"{s}_clavicle")] for s in ("right", "left")}


def aligned_rotation(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> F64:
    """Rotations that turn points onto others in the least squares sense (Kabsch).

    Args:
        source: (P, N, 3) or (N, 3), about their own centres.
        target: (P, N, 3).
        weights: (N,) or (P, N).

    Returns:
        (P, 3, 3), proper rotations.
    """
    weights = np.broadcast_to(weights, target.shape[:-1])[..., None]
    total = weights.sum(-2, keepdims=True)
    source = source - (weights * source).sum(-2, keepdims=True) / total
    target = target - (weights * target).sum(-2, keepdims=True) / total
    u, _, vt = np.linalg.svd(np.swapaxes(weights * target, -1, -2) @ source)
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def root_from_image(joints_m: np.ndarray, image: np.ndarray, weight: np.ndarray, guess_m: np.ndarray) -> F64:
    """Root position at which a pose of fixed shape projects best onto its 2D joints (linear least squares).

    Args:
        joints_m: Root-relative points, (P, N, 3) [m].
        image: Picture-plane coordinates x/z, y/z of each, (P, N, 2).
        weight: (P, N), 0 = not seen.
        guess_m: Where the root is if the picture does not tell, (P, 3) [m].

    Returns:
        (P, 3) [m], not nearer than ``LEAST_DEPTH_M``.
    """
    # each coordinate: t_x - u t_z = u Z - X
    u = image
    right = u * joints_m[..., 2:] - joints_m[..., :2]
    matrix = np.zeros((len(u), 3, 3))
    w = weight.sum(-1)
    wu = (weight[..., None] * u).sum(-2)
    matrix[:, 0, 0] = matrix[:, 1, 1] = w
    matrix[:, 0, 2] = matrix[:, 2, 0] = -wu[:, 0]
    matrix[:, 1, 2] = matrix[:, 2, 1] = -wu[:, 1]
    matrix[:, 2, 2] = (weight[..., None] * u**2).sum((-1, -2))
    vector = np.empty((len(u), 3))
    vector[:, :2] = (weight[..., None] * right).sum(-2)
    vector[:, 2] = -(weight[..., None] * u * right).sum((-1, -2))
    # sideways far below what one joint says; in depth as if the guess were right to a third and poses to a hand's breadth
    trust = np.full(guess_m.shape, 1e-3)
    trust[:, 2] = (DEPTH_TRUST_M / np.maximum(guess_m[:, 2], LEAST_DEPTH_M)) ** 2
    matrix += trust[:, :, None] * np.eye(3)
    vector += trust * guess_m
    root = np.linalg.solve(matrix, vector[..., None])[..., 0]
    low = root[:, 2] < LEAST_DEPTH_M
    return np.where(low[:, None], np.maximum(guess_m, [-np.inf, -np.inf, LEAST_DEPTH_M]), root)


def _direction(frame: F64, joints: np.ndarray, start: str, end: str) -> F64:
    """Unit vector of a bone in a frame's axes, (P, 3)."""
    bone = joints[:, JOINTS_3D.index(end)] - joints[:, JOINTS_3D.index(start)]
    bone = (np.swapaxes(frame, -1, -2) @ bone[..., None])[..., 0]
    return bone / np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-9)


def _set(angles: F64, name: str, value: np.ndarray) -> None:
    """Write the geometric angle (about the plain axis) under the skeleton's sign."""
    d = SKELETON.angle_names.index(name)
    angles[:, d] = SKELETON.angle_sign[d] * value


def _set_leg(angles: F64, side: str, pelvis: F64, joints: np.ndarray) -> None:
    thigh = _direction(pelvis, joints, f"{side}_hip", f"{side}_knee")
    swing_x = np.arctan2(-thigh[:, 2], -thigh[:, 1])
    swing_z = np.arcsin(np.clip(thigh[:, 0], -1, 1))
    zero = np.zeros_like(swing_x)
    frame = pelvis @ rotation_from_vector(np.stack([swing_x, zero, zero], -1))
    frame = frame @ rotation_from_vector(np.stack([zero, zero, swing_z], -1))
    shin = _direction(frame, joints, f"{side}_knee", f"{side}_ankle")
    bend = np.arccos(np.clip(-shin[:, 1], -1, 1))
    turn = np.where(np.sin(bend) > 0.25, np.arctan2(-shin[:, 0], -shin[:, 2]), 0.0)
    _set(angles, f"{side}_hip_flexion", swing_x)
    _set(angles, f"{side}_hip_abduction", swing_z)
    _set(angles, f"{side}_hip_internal_rotation", turn)
    _set(angles, f"{side}_knee_flexion", bend)


def _set_arm(angles: F64, side: str, shoulder: F64, joints: np.ndarray) -> None:
    out = np.array([-1.0 if side == "right" else 1.0, 0.0, 0.0])
    arm = _direction(shoulder, joints, f"{side}_shoulder", f"{side}_elbow")
    axis = np.cross(out, arm)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    swing = axis * np.arctan2(sine, arm @ out[:, None]) / np.maximum(sine, 1e-9)
    frame = shoulder @ rotation_from_vector(swing)
    forearm = _direction(frame, joints, f"{side}_elbow", f"{side}_wrist")
    bend = np.arccos(np.clip(forearm @ out, -1, 1))
    d = SKELETON.angle_names.index(f"{side}_shoulder_internal_rotation")
    turn = np.where(np.sin(bend) > 0.25, np.arctan2(-forearm[:, 1], forearm[:, 2]), SKELETON.rest_rad[d])
    _set(angles, f"{side}_shoulder_horizontal_flexion", swing[:, 1])
    _set(angles, f"{side}_shoulder_elevation", swing[:, 2])
    _set(angles, f"{side}_shoulder_internal_rotation", turn)
    angles[:, SKELETON.angle_names.index(f"{side}_elbow_flexion")] = bend


def body_from_pose(joints_m: np.ndarray, offsets_m: F64) -> tuple[F64, F64]:
    """Root rotation and joint angles of poses: trunk by alignment, limbs by their bones' directions.

    Args:
        joints_m: Root-relative poses, (P, 21, 3) [m].
        offsets_m: The persons' bones, (P, J, 3) [m].

    Returns:
        Rotations (P, 3, 3) and angles (P, D) inside the limits [rad].
    """
    people = len(joints_m)
    joints_m = np.asarray(joints_m, np.float64)
    angles = np.broadcast_to(SKELETON.rest_rad, (people, len(SKELETON.angle_names))).copy()
    identity = np.tile(np.eye(3), (people, 1, 1))
    rest = forward_people(np.zeros((people, 3)), identity, angles, with_nose(offsets_m))[:, SKELETON.index_21]
    pelvis = aligned_rotation(rest[:, _PELVIS_JOINTS], joints_m[:, _PELVIS_JOINTS], _PELVIS_WEIGHTS)
    chest = aligned_rotation(rest[:, _CHEST_JOINTS], joints_m[:, _CHEST_JOINTS], _CHEST_WEIGHTS)
    chest = chest @ _REST_CHEST
    bend = Rotation.from_matrix(np.swapaxes(pelvis, -1, -2) @ chest).as_rotvec() / 2
    for joint in ("lumbar", "spine"):
        _set(angles, f"{joint}_flexion", bend[:, 0])
        _set(angles, f"{joint}_bend_right", bend[:, 2])
        _set(angles, f"{joint}_turn_left", bend[:, 1])
    for side in ("right", "left"):
        _set_leg(angles, side, pelvis, joints_m)
        _set_arm(angles, side, chest @ _REST_CLAVICLE[side], joints_m)
    return pelvis, clamp(angles, SKELETON.limits_rad)
