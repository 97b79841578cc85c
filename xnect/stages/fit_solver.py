"""The fit's energy and its minimiser: damped Gauss-Newton on the tree, one small sparse solve a person and step.

All terms are squares divided by the square of what is expected of them, so the energy has no unit. Both data terms
are in metres: the 2D residual is taken in the plane through the person (pixels times depth by focal length), which
makes its weight independent of resolution and distance. Both are robust (Geman-McClure): beyond the outlier distance
a joint stops pulling. Joint limits are a box that no step leaves: angles at a limit that want to go on are held for
that step (projected Newton).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from xnect.stages.fit_tree import (
    ANGLES,
    CHAIN,
    CHAIN_LENGTH,
    PIVOT,
    POINTS,
    VARIABLE_PARENT,
    VARIABLES,
    exponential,
    forward,
)
from xnect.structures import F64, I64

#: Points nearer to the camera's plane than this have no 2D residual [m].
NEAR_M = 0.05
_LEAST_DAMPING, _FIRST_DAMPING, _ATTEMPTS, _DONE = 1e-6, 1e-3, 5, 1e-4


class Targets(NamedTuple):
    """What each person's body is drawn to; first axis persons.

    Attributes:
        joints_m: Root-relative 3D targets, float64 (P, POINTS, 3), camera axes.
        weight_3d: Weight of each, float64 (P, POINTS), 0 = none [1/m^2].
        image: 2D targets as picture-plane coordinates x/z, y/z, float64 (P, POINTS, 2).
        weight_2d: Weight of each, float64 (P, POINTS), 0 = none [1/m^2].
        depth_m: Distance at which 2D residuals are measured, float64 (P,).
        offsets_m: Bone offsets with the nose, float64 (P, POINTS, 3).
        root_m, rotation, angles_rad: Where the person is expected to be, float64 (P, 3), (P, 3, 3), (P, ANGLES).
        weight_root: Weight of the expected root position, float64 (P, 3) [1/m^2].
        weight_rotation: Of the expected root rotation, float64 (P,) [1/rad^2].
        weight_angle: Of the expected angles, float64 (P,) [1/rad^2].
    """

    joints_m: F64
    weight_3d: F64
    image: F64
    weight_2d: F64
    depth_m: F64
    offsets_m: F64
    root_m: F64
    rotation: F64
    angles_rad: F64
    weight_root: F64
    weight_rotation: F64
    weight_angle: F64


class Priors(NamedTuple):
    """What is alike for everyone.

    Attributes:
        limits_rad, observed_rad, rest_rad: Ranges of the angles, float64 (ANGLES, 2), (ANGLES, 2), (ANGLES,).
        weight_observed: Weight of being outside of the observed range [1/rad^2].
        weight_rest: Weight of the distance from rest [1/rad^2].
        depth_3d: Weight of the depth of 3D targets, relative to that sideways.
        outlier_3d_m2, outlier_2d_m2: Squared distance beyond which a joint stops pulling [m^2].
    """

    limits_rad: F64
    observed_rad: F64
    rest_rad: F64
    weight_observed: float
    weight_rest: float
    depth_3d: float
    outlier_3d_m2: float
    outlier_2d_m2: float


class _Work(NamedTuple):
    """Scratch arrays, made once a call."""

    points: F64
    frames: F64
    axes: F64
    hessian: F64
    factor: F64
    gradient: F64
    step: F64
    lever: F64
    pull: F64


@njit(cache=True, error_model="numpy")
def _robust(square: float, outlier: float) -> float:
    """Geman-McClure: the square while small, never more than ``outlier``."""
    return square / (1.0 + square / outlier)


@njit(cache=True, error_model="numpy")
def _energy(i: int, targets: Targets, priors: Priors, root: F64, rotation: F64, angles: F64, points: F64) -> float:
    """Energy of person ``i`` whose points are known."""
    total = 0.0
    depth = targets.depth_m[i]
    for p in range(POINTS):
        w3, w2 = targets.weight_3d[i, p], targets.weight_2d[i, p]
        if w3 > 0.0:
            s = 0.0
            for k in range(3):
                square = (points[p, k] - points[0, k] - targets.joints_m[i, p, k]) ** 2
                s += square if k < 2 else priors.depth_3d * square
            total += w3 * _robust(s, priors.outlier_3d_m2)
        if w2 > 0.0:
            z = points[p, 2]
            if z > NEAR_M:
                u = depth * (points[p, 0] / z - targets.image[i, p, 0])
                v = depth * (points[p, 1] / z - targets.image[i, p, 1])
                total += w2 * _robust(u * u + v * v, priors.outlier_2d_m2)
            else:
                total += w2 * priors.outlier_2d_m2
    for k in range(3):
        total += targets.weight_root[i, k] * (root[k] - targets.root_m[i, k]) ** 2
    trace = 0.0
    for a in range(3):
        for b in range(3):
            trace += rotation[a, b] * targets.rotation[i, a, b]
    total += targets.weight_rotation[i] * (3.0 - trace)
    for d in range(ANGLES):
        x = angles[d]
        out = max(0.0, priors.observed_rad[d, 0] - x) + max(0.0, x - priors.observed_rad[d, 1])
        total += priors.weight_observed * out * out + priors.weight_rest * (x - priors.rest_rad[d]) ** 2
        total += targets.weight_angle[i] * (x - targets.angles_rad[i, d]) ** 2
    return total


@njit(cache=True, error_model="numpy")
def _add_point(p: int, root: F64, weight: F64, force: F64, image: F64, work: _Work) -> None:
    """Add one point's share to gradient and Hessian.

    ``weight`` (3,) is the diagonal of its root-relative 3D term, ``image`` the 3 x 3 matrix of its 2D term, of which
    alone the root's position knows; ``force`` the gradient by the point of both together.
    """
    hessian, gradient, lever, pull = work.hessian, work.gradient, work.lever, work.pull
    points, axes = work.points, work.axes
    length = CHAIN_LENGTH[p]
    for k in range(3 + length):
        if k < 3:
            x, y, z = points[p, 0] - root[0], points[p, 1] - root[1], points[p, 2] - root[2]
            a0, a1, a2 = 1.0 * (k == 0), 1.0 * (k == 1), 1.0 * (k == 2)
        else:
            d = CHAIN[p, k - 3]
            c = PIVOT[d]
            x, y, z = points[p, 0] - points[c, 0], points[p, 1] - points[c, 1], points[p, 2] - points[c, 2]
            a0, a1, a2 = axes[d, 0], axes[d, 1], axes[d, 2]
        lever[k, 0], lever[k, 1], lever[k, 2] = a1 * z - a2 * y, a2 * x - a0 * z, a0 * y - a1 * x
        row = 3 + k if k < 3 else 6 + CHAIN[p, k - 3]
        gradient[row] += lever[k, 0] * force[0] + lever[k, 1] * force[1] + lever[k, 2] * force[2]
        for a in range(3):
            share = image[a, 0] * lever[k, 0] + image[a, 1] * lever[k, 1] + image[a, 2] * lever[k, 2]
            hessian[row, a] += share
            pull[a] = share + weight[a] * lever[k, a]
        for m in range(k + 1):
            column = 3 + m if m < 3 else 6 + CHAIN[p, m - 3]
            hessian[row, column] += pull[0] * lever[m, 0] + pull[1] * lever[m, 1] + pull[2] * lever[m, 2]


@njit(cache=True, error_model="numpy")
def _body_term(i: int, p: int, targets: Targets, priors: Priors, points: F64, force: F64, weight: F64) -> None:
    """Half gradient of a point's 3D term into ``force``, the diagonal of its Hessian by the point into ``weight``."""
    square = 0.0
    for k in range(3):
        force[k] = points[p, k] - points[0, k] - targets.joints_m[i, p, k]
        weight[k] = 1.0 if k < 2 else priors.depth_3d
        square += weight[k] * force[k] ** 2
    factor = targets.weight_3d[i, p] / (1.0 + square / priors.outlier_3d_m2) ** 2
    for k in range(3):
        weight[k] *= factor
        force[k] *= weight[k]


@njit(cache=True, error_model="numpy")
def _image_term(i: int, p: int, targets: Targets, outlier: float, points: F64, force: F64, image: F64) -> None:
    """Half gradient of a point's 2D term into ``force``, its Hessian by the point into ``image`` (3 x 3)."""
    weight, depth, z = targets.weight_2d[i, p], targets.depth_m[i], points[p, 2]
    if weight <= 0.0 or z <= NEAR_M:
        for a in range(3):
            force[a] = 0.0
            for b in range(3):
                image[a, b] = 0.0
        return
    x, y, f = points[p, 0] / z, points[p, 1] / z, depth / z
    u, v = depth * (x - targets.image[i, p, 0]), depth * (y - targets.image[i, p, 1])
    weight /= (1.0 + (u * u + v * v) / outlier) ** 2
    force[0], force[1] = weight * f * u, weight * f * v
    force[2] = -x * force[0] - y * force[1]
    weight *= f * f
    image[0, 0] = image[1, 1] = weight
    image[0, 1] = image[1, 0] = 0.0
    image[0, 2] = image[2, 0] = -weight * x
    image[1, 2] = image[2, 1] = -weight * y
    image[2, 2] = weight * (x * x + y * y)


@njit(cache=True, error_model="numpy")
def _linearise(i: int, targets: Targets, priors: Priors, root: F64, rotation: F64, angles: F64, work: _Work) -> None:
    """Half gradient and Gauss-Newton Hessian (lower triangle) at the current body, into ``work``."""
    hessian, gradient, points = work.hessian, work.gradient, work.points
    for k in range(VARIABLES):
        gradient[k] = 0.0
        for m in range(k + 1):
            hessian[k, m] = 0.0
    force, pull, weight, image = np.empty(3), np.empty(3), np.empty(3), np.empty((3, 3))
    for p in range(POINTS):
        if targets.weight_3d[i, p] <= 0.0 and targets.weight_2d[i, p] <= 0.0:
            continue
        _body_term(i, p, targets, priors, points, force, weight)
        _image_term(i, p, targets, priors.outlier_2d_m2, points, pull, image)
        for a in range(3):
            gradient[a] += pull[a]
            force[a] += pull[a]
            for b in range(a + 1):
                hessian[a, b] += image[a, b]
        _add_point(p, root, weight, force, image, work)
    _add_priors(i, targets, priors, root, rotation, angles, work)


@njit(cache=True, error_model="numpy")
def _add_priors(i: int, targets: Targets, priors: Priors, root: F64, rotation: F64, angles: F64, work: _Work) -> None:
    """Add all terms that concern one variable each."""
    hessian, gradient = work.hessian, work.gradient
    expected, w = targets.rotation[i], targets.weight_rotation[i]
    for k in range(3):
        gradient[k] += targets.weight_root[i, k] * (root[k] - targets.root_m[i, k])
        hessian[k, k] += targets.weight_root[i, k]
        a, b = (k + 1) % 3, (k + 2) % 3
        twist = 0.0  # twice the sine of the turn from the expected rotation, about axis k
        for m in range(3):
            twist += rotation[b, m] * expected[a, m] - rotation[a, m] * expected[b, m]
        gradient[3 + k] += 0.5 * w * twist
        hessian[3 + k, 3 + k] += w
    for d in range(ANGLES):
        x, row = angles[d], 6 + d
        gradient[row] += priors.weight_rest * (x - priors.rest_rad[d])
        gradient[row] += targets.weight_angle[i] * (x - targets.angles_rad[i, d])
        hessian[row, row] += priors.weight_rest + targets.weight_angle[i]
        out = min(0.0, x - priors.observed_rad[d, 0]) + max(0.0, x - priors.observed_rad[d, 1])
        if out != 0.0:
            gradient[row] += priors.weight_observed * out
            hessian[row, row] += priors.weight_observed


@njit(cache=True, error_model="numpy")
def _tree_solve(h: F64, x: F64) -> None:
    """Solve ``H x = b`` in place for a Hessian with the sparsity of the tree (b comes in ``x``, H is destroyed).

    ``H = L'L`` without fill-in, since each variable is coupled with its ancestors only (Featherstone, Rigid Body
    Dynamics Algorithms, section 6.5).
    """
    for k in range(VARIABLES - 1, -1, -1):
        h[k, k] = math.sqrt(max(h[k, k], 1e-12))
        i = VARIABLE_PARENT[k]
        while i >= 0:
            h[k, i] /= h[k, k]
            i = VARIABLE_PARENT[i]
        i = VARIABLE_PARENT[k]
        while i >= 0:
            j = i
            while j >= 0:
                h[i, j] -= h[k, i] * h[k, j]
                j = VARIABLE_PARENT[j]
            i = VARIABLE_PARENT[i]
    for k in range(VARIABLES - 1, -1, -1):
        x[k] /= h[k, k]
        i = VARIABLE_PARENT[k]
        while i >= 0:
            x[i] -= h[k, i] * x[k]
            i = VARIABLE_PARENT[i]
    for k in range(VARIABLES):
        i = VARIABLE_PARENT[k]
        while i >= 0:
            x[k] -= h[k, i] * x[i]
            i = VARIABLE_PARENT[i]
        x[k] /= h[k, k]


@njit(cache=True, error_model="numpy")
def _newton_step(damping: float, angles: F64, limits: F64, work: _Work) -> None:
    """The damped step into ``work.step``; angles at a limit that would leave it stay where they are."""
    factor, step = work.factor, work.step
    for k in range(VARIABLES):
        for m in range(k + 1):
            factor[k, m] = work.hessian[k, m]
        factor[k, k] = factor[k, k] * (1.0 + damping) + 1e-9
        step[k] = -work.gradient[k]
    for d in range(ANGLES):
        k = 6 + d
        if (angles[d] <= limits[d, 0] and step[k] < 0.0) or (angles[d] >= limits[d, 1] and step[k] > 0.0):
            for m in range(k):
                factor[k, m] = 0.0
            for m in range(k + 1, VARIABLES):
                factor[m, k] = 0.0
            factor[k, k] = 1.0
            step[k] = 0.0
    _tree_solve(factor, step)


@njit(cache=True, error_model="numpy")
def _copy(root: F64, rotation: F64, angles: F64, to_root: F64, to_rotation: F64, to_angles: F64) -> None:
    """One body onto another (in loops: slices would double the time to compile)."""
    for a in range(3):
        to_root[a] = root[a]
        for b in range(3):
            to_rotation[a, b] = rotation[a, b]
    for d in range(ANGLES):
        to_angles[d] = angles[d]


@njit(cache=True, error_model="numpy")
def _minimise(
    i: int, targets: Targets, priors: Priors, root: F64, rotation: F64, angles: F64, iterations: int, work: _Work
) -> float:
    """Levenberg's loop for one person, in place; returns the energy, which never rises."""
    new_root, new_rotation, new_angles, turn = np.empty(3), np.empty((3, 3)), np.empty(ANGLES), np.empty((3, 3))
    forward(root, rotation, angles, targets.offsets_m[i], work.points, work.frames, work.axes)
    energy = _energy(i, targets, priors, root, rotation, angles, work.points)
    damping = _FIRST_DAMPING
    for _ in range(iterations):
        _linearise(i, targets, priors, root, rotation, angles, work)
        before = energy
        for _ in range(_ATTEMPTS):
            _newton_step(damping, angles, priors.limits_rad, work)
            for a in range(3):
                work.pull[a] = work.step[3 + a]
            exponential(work.pull, turn)
            for a in range(3):
                new_root[a] = root[a] + work.step[a]
                for b in range(3):
                    new_rotation[a, b] = (
                        turn[a, 0] * rotation[0, b] + turn[a, 1] * rotation[1, b] + turn[a, 2] * rotation[2, b]
                    )
            for d in range(ANGLES):
                new_angles[d] = min(max(angles[d] + work.step[6 + d], priors.limits_rad[d, 0]), priors.limits_rad[d, 1])
            forward(new_root, new_rotation, new_angles, targets.offsets_m[i], work.points, work.frames, work.axes)
            trial = _energy(i, targets, priors, new_root, new_rotation, new_angles, work.points)
            if trial <= energy:
                _copy(new_root, new_rotation, new_angles, root, rotation, angles)
                energy = trial
                damping = max(damping * 0.25, _LEAST_DAMPING)
                break
            damping *= 10.0
        else:  # no step helps: this is the minimum as far as doubles can tell
            break
        if before - energy <= _DONE * before:
            break
    return energy


@njit(cache=True, error_model="numpy")
def minimise(targets: Targets, priors: Priors, root: F64, rotation: F64, angles: F64, iterations: I64) -> F64:
    """Fit everyone, in place.

    Args:
        targets: What to fit.
        priors: Limits and weights.
        root: Start and result, (P, 3) [m].
        rotation: Start and result, (P, 3, 3).
        angles: Start and result, (P, ANGLES), inside the limits [rad].
        iterations: Most steps for each person, (P,).

    Returns:
        Energies, (P,).
    """
    deepest = CHAIN.shape[1] + 3
    work = _Work(
        np.empty((POINTS, 3)),
        np.empty((POINTS, 3, 3)),
        np.empty((ANGLES, 3)),
        np.empty((VARIABLES, VARIABLES)),
        np.empty((VARIABLES, VARIABLES)),
        np.empty(VARIABLES),
        np.empty(VARIABLES),
        np.empty((deepest, 3)),
        np.empty(3),
    )
    energies = np.empty(len(root))
    for i in range(len(root)):
        energies[i] = _minimise(i, targets, priors, root[i], rotation[i], angles[i], iterations[i], work)
    return energies
