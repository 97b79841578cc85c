"""Compiled forward kinematics with the world axis of every angle: what the fit's Jacobian is made of.

The tree is the skeleton's plus one end point, the nose, so that the 2D nose has a place on the body. Variables of a
body, ``VARIABLES`` in number: root position (3), root rotation (3, about the camera's axes through the pelvis), then the
skeleton's angles. A point's derivative by an angle is ``axis x (point - joint)``; it is non-zero only for the angles
between the point and the root, which ``CHAIN`` lists, and which keeps the normal equations as sparse as the tree.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from xnect.skeleton.kinematics import SKELETON
from xnect.structures import F64, I64

#: Points of the tree: the skeleton's joints and the nose.
POINTS = len(SKELETON.joint_names) + 1
NOSE = POINTS - 1
ANGLES = len(SKELETON.angle_names)
#: Root position, root rotation, angles.
VARIABLES = 6 + ANGLES

_PARENT: I64 = np.append(SKELETON.parents, SKELETON.joint_names.index("head"))
_COUNT: I64 = np.bincount(SKELETON.angle_joint, minlength=POINTS)
_FIRST: I64 = np.concatenate([[0], np.cumsum(_COUNT)[:-1]])
_AXIS: I64 = SKELETON.angle_axis.copy()
_SIGN: F64 = SKELETON.angle_sign.copy()
_SWING: np.ndarray = np.append(SKELETON.swing, False)
_HEAD_TOP = SKELETON.joint_names.index("head_top")
_HEAD_M = float(np.linalg.norm(SKELETON.rest_offsets_m[_HEAD_TOP]))
#: Joint whose centre each angle turns about.
PIVOT: I64 = SKELETON.angle_joint.copy()


def _variable_parents() -> I64:
    """The variable next nearer to the root, -1 for the first: a tree in which ancestors come first."""
    out = np.arange(-1, VARIABLES - 1)
    for d in range(ANGLES):
        if d > 0 and PIVOT[d] == PIVOT[d - 1]:
            continue
        joint = int(_PARENT[PIVOT[d]])
        while joint > 0 and _COUNT[joint] == 0:
            joint = int(_PARENT[joint])
        out[6 + d] = 6 + _FIRST[joint] + _COUNT[joint] - 1 if joint > 0 else 5
    return out


def _chains() -> tuple[I64, I64]:
    """The angles that move each point, root first, (POINTS, longest), and their number, (POINTS,)."""
    chains: list[list[int]] = []
    for point in range(POINTS):
        chain: list[int] = []
        joint = int(_PARENT[point])
        while joint > 0:
            chain = list(range(_FIRST[joint], _FIRST[joint] + _COUNT[joint])) + chain
            joint = int(_PARENT[joint])
        chains.append(chain)
    length = np.array([len(c) for c in chains])
    table = np.zeros((POINTS, length.max()), np.int64)
    for row, chain in zip(table, chains, strict=True):
        row[: len(chain)] = chain
    return table, length


#: For each variable the next one towards the root, int64 (VARIABLES,).
VARIABLE_PARENT = _variable_parents()
CHAIN, CHAIN_LENGTH = _chains()


def with_nose(offsets_m: np.ndarray) -> F64:
    """Bone offsets (..., J, 3) with the nose's appended, (..., POINTS, 3); it grows with the head."""
    out = np.empty((*offsets_m.shape[:-2], POINTS, 3))
    out[..., :NOSE, :] = offsets_m
    size = np.sqrt((out[..., _HEAD_TOP, :] ** 2).sum(-1)) / _HEAD_M
    out[..., NOSE, :] = size[..., None] * SKELETON.nose_offset_m
    return out


@njit(cache=True, error_model="numpy")
def exponential(vector: F64, out: F64) -> None:
    """Rotation vector (3,) -> matrix, into ``out`` (3, 3)."""
    x, y, z = vector[0], vector[1], vector[2]
    s = x * x + y * y + z * z
    angle = math.sqrt(s)
    a = math.sin(angle) / angle if angle > 1e-6 else 1.0 - s / 6.0
    b = (1.0 - math.cos(angle)) / s if angle > 1e-4 else 0.5 - s / 24.0
    out[0, 0], out[0, 1], out[0, 2] = 1 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y
    out[1, 0], out[1, 1], out[1, 2] = b * x * y + a * z, 1 - b * (x * x + z * z), b * y * z - a * x
    out[2, 0], out[2, 1], out[2, 2] = b * x * z - a * y, b * y * z + a * x, 1 - b * (x * x + y * y)


@njit(cache=True, error_model="numpy")
def _left_jacobian(vector: F64, out: F64) -> None:
    """How a rotation vector's change turns the body, into ``out`` (3, 3): left Jacobian of the exponential."""
    x, y, z = vector[0], vector[1], vector[2]
    s = x * x + y * y + z * z
    angle = math.sqrt(s)
    a = (1.0 - math.cos(angle)) / s if angle > 1e-4 else 0.5 - s / 24.0
    b = (angle - math.sin(angle)) / (s * angle) if angle > 1e-3 else 1.0 / 6.0 - s / 120.0
    out[0, 0], out[0, 1], out[0, 2] = 1 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y
    out[1, 0], out[1, 1], out[1, 2] = b * x * y + a * z, 1 - b * (x * x + z * z), b * y * z - a * x
    out[2, 0], out[2, 1], out[2, 2] = b * x * z - a * y, b * y * z + a * x, 1 - b * (x * x + y * y)


@njit(cache=True, error_model="numpy")
def _times(a: F64, b: F64, out: F64) -> None:
    """Product of two 3 x 3 matrices."""
    for i in range(3):
        for k in range(3):
            out[i, k] = a[i, 0] * b[0, k] + a[i, 1] * b[1, k] + a[i, 2] * b[2, k]


@njit(cache=True, error_model="numpy")
def _swing(j: int, angles: F64, base: F64, frame: F64, axes: F64) -> None:
    """Turn a joint by the rotation vector of its first two angles."""
    vector, turn, tangent = np.zeros(3), np.empty((3, 3)), np.empty((3, 3))
    first = _FIRST[j]
    for d in range(first, first + 2):
        vector[_AXIS[d]] += _SIGN[d] * angles[d]
    exponential(vector, turn)
    _left_jacobian(vector, tangent)
    for d in range(first, first + 2):
        for i in range(3):
            axes[d, i] = 0.0
            for k in range(3):
                axes[d, i] += _SIGN[d] * base[i, k] * tangent[k, _AXIS[d]]
    _times(base, turn, frame)


@njit(cache=True, error_model="numpy")
def forward(root: F64, rotation: F64, angles: F64, offsets: F64, points: F64, frames: F64, axes: F64) -> None:
    """Positions of all points and camera-space axes of all angles of one body.

    Args:
        root: Pelvis (3,) [m].
        rotation: Rest axes to camera axes (3, 3).
        angles: (ANGLES,) [rad].
        offsets: (POINTS, 3) [m].
        points: Output, (POINTS, 3) [m].
        frames: Output, each joint's rotation (POINTS, 3, 3).
        axes: Output, unit (swings: nearly unit) axes (ANGLES, 3).
    """
    for i in range(3):
        points[0, i] = root[i]
        for k in range(3):
            frames[0, i, k] = rotation[i, k]
    for j in range(1, POINTS):
        p = _PARENT[j]
        base, frame = frames[p], frames[j]
        for i in range(3):
            points[j, i] = (
                points[p, i] + base[i, 0] * offsets[j, 0] + base[i, 1] * offsets[j, 1] + base[i, 2] * offsets[j, 2]
            )
            for k in range(3):
                frame[i, k] = base[i, k]
        start = 0
        if _SWING[j]:
            _swing(j, angles, base, frame, axes)
            start = 2
        for d in range(_FIRST[j] + start, _FIRST[j] + _COUNT[j]):
            a = _AXIS[d]
            b, c = (a + 1) % 3, (a + 2) % 3
            sine, cosine = math.sin(_SIGN[d] * angles[d]), math.cos(angles[d])
            for i in range(3):
                axes[d, i] = _SIGN[d] * frame[i, a]
                u, v = frame[i, b], frame[i, c]
                frame[i, b] = cosine * u + sine * v
                frame[i, c] = cosine * v - sine * u


@njit(cache=True, error_model="numpy")
def forward_people(root: F64, rotation: F64, angles: F64, offsets: F64) -> F64:
    """Points of several bodies, (P, POINTS, 3) [m]; arguments as for ``forward`` with a leading person axis."""
    points, frames, axes = np.empty((len(root), POINTS, 3)), np.empty((POINTS, 3, 3)), np.empty((ANGLES, 3))
    for i in range(len(root)):
        forward(root[i], rotation[i], angles[i], offsets[i], points[i], frames, axes)
    return points


@njit(cache=True, error_model="numpy")
def turned(vectors: F64, rotations: F64) -> F64:
    """Rotations (P, 3, 3) turned further by rotation vectors (P, 3), rounding errors taken out."""
    out, turn = np.empty_like(rotations), np.empty((3, 3))
    for i in range(len(rotations)):
        exponential(vectors[i], turn)
        m = out[i]
        _times(turn, rotations[i], m)
        # Gram-Schmidt on the columns
        length, along = 0.0, 0.0
        for k in range(3):
            length += m[k, 0] ** 2
            along += m[k, 0] * m[k, 1]
        along /= length
        square = 0.0
        for k in range(3):
            m[k, 1] -= along * m[k, 0]
            square += m[k, 1] ** 2
        for k in range(3):
            m[k, 0] /= math.sqrt(length)
            m[k, 1] /= math.sqrt(square)
        for k in range(3):
            a, b = (k + 1) % 3, (k + 2) % 3
            m[k, 2] = m[a, 0] * m[b, 1] - m[b, 0] * m[a, 1]
    return out


@njit(cache=True, error_model="numpy")
def quaternions(rotations: F64) -> F64:
    """Rotation matrices (P, 3, 3) -> unit quaternions w, x, y, z (P, 4), w >= 0."""
    out = np.empty((len(rotations), 4))
    for i in range(len(rotations)):
        m, q = rotations[i], out[i]
        trace = m[0, 0] + m[1, 1] + m[2, 2]
        k = 0
        for a in range(1, 3):
            if m[a, a] > m[k, k]:
                k = a
        a, b = (k + 1) % 3, (k + 2) % 3
        if trace > m[k, k]:  # w is the largest
            q[0] = 1.0 + trace
            for c in range(3):
                d, e = (c + 1) % 3, (c + 2) % 3
                q[1 + c] = m[e, d] - m[d, e]
        else:
            q[0] = m[b, a] - m[a, b]
            q[1 + k] = 1.0 + m[k, k] - m[a, a] - m[b, b]
            q[1 + a] = m[a, k] + m[k, a]
            q[1 + b] = m[b, k] + m[k, b]
        length = math.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2 + q[3] ** 2) * (-1.0 if q[0] < 0 else 1.0)
        for c in range(4):
            q[c] /= length
    return out


@njit(cache=True, error_model="numpy")
def matrices(quaternions: F64) -> F64:
    """Unit quaternions w, x, y, z (P, 4) -> rotation matrices (P, 3, 3)."""
    out = np.empty((len(quaternions), 3, 3))
    for i in range(len(quaternions)):
        w, x, y, z = quaternions[i]
        m = out[i]
        m[0, 0], m[0, 1], m[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
        m[1, 0], m[1, 1], m[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
        m[2, 0], m[2, 1], m[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return out


def jacobian(root: np.ndarray, rotation: np.ndarray, angles: np.ndarray, offsets: np.ndarray) -> F64:
    """Derivative of all points by all variables, dense, (POINTS, 3, VARIABLES): for tests and inspection.

    The root's rotation changes as ``exp(delta) @ rotation``.
    """
    points, frames, axes = np.empty((POINTS, 3)), np.empty((POINTS, 3, 3)), np.empty((ANGLES, 3))
    forward(root, rotation, angles, offsets, points, frames, axes)
    out = np.zeros((POINTS, 3, VARIABLES))
    out[:, :, :3] = np.eye(3)
    out[:, :, 3:6] = np.cross(np.eye(3)[None], (points - points[0])[:, None]).transpose(0, 2, 1)
    for point in range(POINTS):
        for d in CHAIN[point, : CHAIN_LENGTH[point]]:
            out[point, :, 6 + d] = np.cross(axes[d], points[point] - points[PIVOT[d]])
    return out
