"""The fitted skeleton as Unity's humanoid bones: local rotations and offsets in left-handed metres, y up, z forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.formats.bones import BONE_NAMES
from xnect.formats.people import People
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON, SOLE_M
from xnect.structures import F64, I64

#: Joints of ``SKELETON`` that are bones outside, parents first, the hips at 0.
JOINTS: I64 = np.flatnonzero([bool(name) for name in BONE_NAMES])
#: Names of Unity's HumanBodyBones, in that order.
BONES: tuple[str, ...] = tuple(BONE_NAMES[j] for j in JOINTS)
_ROW = {int(j): i for i, j in enumerate(JOINTS)}
#: Parent of each bone, -1 for the hips.
PARENTS: I64 = np.array([_ROW.get(int(SKELETON.parents[j]), -1) for j in JOINTS])
#: Which of ``JOINTS_3D`` stand where a bone begins, and that bone (top of the head and finger tips have none).
JOINT_OF_BONE: dict[str, str] = {
    JOINTS_3D[k]: BONE_NAMES[j] for k, j in enumerate(SKELETON.index_21.tolist()) if BONE_NAMES[j]
}
#: From y-up right-handed axes (x to the person's left) to Unity's: x is turned round.
_POINT = np.array([-1.0, 1.0, 1.0])
_TURN = np.array([1.0, 1.0, -1.0, -1.0])  # quaternion w, x, y, z in the same change
#: From camera space (x right, y down, z forward) to Unity's axes: x, y and z change sign.
CAMERA_TO_UNITY = np.array([-1.0, -1.0, -1.0])


def _levels() -> I64:
    """Up to three factors of each joint's rotation, as indices of angles, (J, 3, 2); D = none."""
    none = len(SKELETON.angle_names)
    out = np.full((len(SKELETON.joint_names), 3, 2), none)
    for joint in range(len(out)):
        own = SKELETON.angles_of(joint).tolist()
        factors = [own[:2], own[2:]] if SKELETON.swing[joint] else [[d] for d in own]
        for level, factor in enumerate(factors):
            out[joint, level, : len(factor)] = factor
    return out


_LEVELS = _levels()[JOINTS]
_AXES = np.concatenate([np.eye(3)[SKELETON.angle_axis] * SKELETON.angle_sign[:, None], np.zeros((1, 3))])


@dataclass(frozen=True, slots=True, eq=False)
class Humanoids:
    """N people with B bones each, in Unity's axes.

    Attributes:
        ids: int64 (N,).
        turns: Rotation of each bone relative to its parent, the hips' to the world; float64 (N, B, 4), x, y, z, w.
        places: Start of each bone relative to its parent in the parent's axes, the hips' in the world with the
            camera in the origin; float64 (N, B, 3) [m].
        lowest: Height of the person's sole, float64 (N,) [m].
    """

    ids: I64
    turns: F64
    places: F64
    lowest: F64


def product(a: np.ndarray, b: np.ndarray) -> F64:
    """Products of quaternions (..., 4), w, x, y, z."""
    w, x, y, z = np.moveaxis(a, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(b, -1, 0)
    out: F64 = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = w * w2 - x * x2 - y * y2 - z * z2
    out[..., 1] = w * x2 + x * w2 + y * z2 - z * y2
    out[..., 2] = w * y2 - x * z2 + y * w2 + z * x2
    out[..., 3] = w * z2 + x * y2 - y * x2 + z * w2
    return out


def local_quaternions(angles_rad: np.ndarray) -> F64:
    """Rotation of each bone relative to its parent, right-handed, (N, B, 4) w, x, y, z; identity for the hips.

    The same as ``SKELETON.local_rotations``, for all joints in one go: this runs beside the pipeline, which must not
    be made to share the interpreter for longer than needed.
    """
    angles = np.concatenate([angles_rad.astype(np.float64), np.zeros((len(angles_rad), 1))], 1)
    vectors = (angles[:, _LEVELS][..., None] * _AXES[_LEVELS]).sum(-2)
    half = 0.5 * np.linalg.norm(vectors, axis=-1, keepdims=True)
    factors = np.concatenate([np.cos(half), 0.5 * np.sinc(half / np.pi) * vectors], -1)
    return product(product(factors[:, :, 0], factors[:, :, 1]), factors[:, :, 2])


def humanoids(people: People) -> Humanoids:
    """People as bones; their offsets must be known."""
    local = local_quaternions(people.angles)
    w, x, y, z = np.moveaxis(people.root_rotation.astype(np.float64), -1, 0)
    local[:, 0] = np.stack([-x, w, -z, y], -1)  # half a turn about x: from camera axes to y up
    turns = local * _TURN
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    places = people.offsets[:, JOINTS].astype(np.float64) * _POINT
    places[:, 0] = people.root_position * CAMERA_TO_UNITY
    lowest = -people.joints_3d[:, :, 1].max(1, initial=-np.inf).astype(np.float64)
    return Humanoids(people.ids, turns[..., [1, 2, 3, 0]], places, lowest - SOLE_M)


def rest_turns() -> F64:
    """Rotations of a person who stands at ease, hips upright and facing +z, (B, 4) x, y, z, w."""
    local = local_quaternions(SKELETON.rest_rad[None])[0] * _TURN
    return local[:, [1, 2, 3, 0]]


def chained(turns: np.ndarray, places: np.ndarray) -> F64:
    """World places of the bones' starts (N, B, 3) from local rotations (N, B, 4; x, y, z, w) and offsets."""
    world_turns, world = [turns[:, 0]], [places[:, 0]]
    for bone in range(1, len(BONES)):
        parent = int(PARENTS[bone])
        world.append(world[parent] + rotated(world_turns[parent], places[:, bone]))
        a, b = world_turns[parent][:, [3, 0, 1, 2]], turns[:, bone][:, [3, 0, 1, 2]]
        world_turns.append(product(a, b)[:, [1, 2, 3, 0]])
    return np.stack(world, 1)


def rotated(turns: np.ndarray, points: np.ndarray) -> F64:
    """Points (..., 3) turned by quaternions (..., 4; x, y, z, w)."""
    v, w = turns[..., :3], turns[..., 3:]
    twice = 2 * np.cross(v, points)
    return points + w * twice + np.cross(v, twice)
