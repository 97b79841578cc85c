"""Compiled loops of the fit around its solver: the problem from one frame's evidence, and the filters on what comes out."""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.filters import filter_rotations, filter_rows
from xnect.skeleton.joints import JOINTS_2D
from xnect.skeleton.kinematics import SKELETON
from xnect.stages.fit_start import LEAST_DEPTH_M
from xnect.stages.fit_tree import NOSE, POINTS, quaternions
from xnect.structures import F64, I64, Bool

#: Expected error of a joint of full confidence: Stage II's, and a 2D joint's in the plane through the person [m].
ERROR_3D_M, ERROR_2D_M = 0.05, 0.015
#: Expected error of Stage II's distance, relative: far more than the picture's own, but there is always one.
GUESS_ERROR = 0.3
#: The 2D neck is the middle of the shoulders and only near the base of the neck.
NECK_TRUST = 0.4

POINT_OF_2D: I64 = np.array([NOSE] + [SKELETON.joint_names.index(n) for n in JOINTS_2D[1:]])
TRUST_2D: F64 = np.array([NECK_TRUST if name == "neck" else 1.0 for name in JOINTS_2D])
_POINT_OF_3D: I64 = np.asarray(SKELETON.index_21, np.int64)

#: State of a filter: values, speeds, ages, settings.
FilterState = tuple[F64, F64, F64, F64]


@njit(cache=True)
def drawn_to(
    joints_m: F64, trust: F64, image: F64, sure: F64, guess_m: F64, root_m: F64, weight_root: F64
) -> tuple[F64, F64, F64, F64, F64, F64, F64]:  # pragma: no cover - compiled
    """What each point of each body is drawn to, and where the root is expected.

    Args:
        joints_m: (P, 21, 3) [m].
        trust: (P, 21).
        image: (P, 14, 2), picture plane.
        sure: (P, 14).
        guess_m: Stage II's root, (P, 3) [m].
        root_m: Where the root is expected, (P, 3) [m].
        weight_root: Weight of that, (P, 3) [1/m^2].

    Returns:
        3D targets and their weights, 2D targets and theirs, distance, expected root and its weights, as in ``Targets``.
        Stage II's distance joins where the person is expected: without it a wrong distance could only walk on.
    """
    people = len(joints_m)
    body, weight_3d = np.zeros((people, POINTS, 3)), np.zeros((people, POINTS))
    plane, weight_2d = np.zeros((people, POINTS, 2)), np.zeros((people, POINTS))
    depth, root, weight = np.empty(people), root_m.copy(), weight_root.copy()
    for n in range(people):
        depth[n] = max(root_m[n, 2], LEAST_DEPTH_M)
        for j in range(len(_POINT_OF_3D)):
            p = _POINT_OF_3D[j]
            weight_3d[n, p] = trust[n, j] / ERROR_3D_M**2
            for k in range(3):
                body[n, p, k] = joints_m[n, j, k]
        weight_3d[n, 0] = 0.0  # the pelvis is the origin
        for j in range(len(POINT_OF_2D)):
            p = POINT_OF_2D[j]
            weight_2d[n, p] = sure[n, j] * (TRUST_2D[j] / ERROR_2D_M**2)
            for k in range(2):
                plane[n, p, k] = image[n, j, k]
        own = 1 / (GUESS_ERROR * max(guess_m[n, 2], root_m[n, 2])) ** 2
        root[n, 2] = (weight[n, 2] * root[n, 2] + own * guess_m[n, 2]) / (weight[n, 2] + own)
        weight[n, 2] += own
    return body, weight_3d, plane, weight_2d, depth, root, weight


@njit(cache=True)
def smooth(
    rows: I64,
    known: Bool,
    step_s: F64,
    root_m: F64,
    rotation: F64,
    angles_rad: F64,
    filters: tuple[FilterState, FilterState, FilterState, FilterState],
) -> F64:  # pragma: no cover - compiled
    """Filter those who are known: root (along its ray and in depth) and angles in place.

    Args:
        rows: Row of each person in the filters, (R,).
        known: bool (R,).
        step_s: Time since each person's last body, (R,) [s].
        root_m: (R, 3) [m].
        rotation: (R, 3, 3).
        angles_rad: (R, D) [rad].
        filters: Of ray, depth, angles and rotation.

    Returns:
        Unit quaternions, (R, 4), filtered.
    """
    at = np.flatnonzero(known)
    count, angles = len(at), angles_rad.shape[1]
    ray, depth, scale = np.empty((count, 1, 2)), np.empty((count, 1, 1)), np.empty(count)
    bend, turn, all_turns = np.empty((count, angles, 1)), np.empty((count, 4)), quaternions(rotation)
    ones, valid = np.ones(count), np.ones((count, angles), np.bool_)
    own_rows, dt = rows[at], step_s[at]
    for i in range(count):
        n = at[i]
        scale[i] = depth[i, 0, 0] = root_m[n, 2]
        for k in range(2):
            ray[i, 0, k] = root_m[n, k] / root_m[n, 2]
        for k in range(4):
            turn[i, k] = all_turns[n, k]
        for d in range(angles):
            bend[i, d, 0] = angles_rad[n, d]
    filter_rows(own_rows, depth, dt, valid, ones, *filters[1])
    filter_rows(own_rows, ray, dt, valid, scale, *filters[0])
    filter_rows(own_rows, bend, dt, valid, ones, *filters[2])
    filter_rotations(own_rows, turn, dt, *filters[3])
    for i in range(count):
        n = at[i]
        root_m[n, 2] = depth[i, 0, 0]
        for k in range(2):
            root_m[n, k] = ray[i, 0, k] * depth[i, 0, 0]
        for k in range(4):
            all_turns[n, k] = turn[i, k]
        for d in range(angles):
            angles_rad[n, d] = bend[i, d, 0]
    return all_turns
