"""The fit's mathematics: Jacobian and gradient against finite differences, the sparse solve against a dense one."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.skeleton.kinematics import SKELETON
from xnect.stages import fit_solver
from xnect.stages.fit_solver import Priors, Targets, minimise
from xnect.stages.fit_start import aligned_rotation, body_from_pose, root_from_image
from xnect.stages.fit_tree import (
    ANGLES,
    CHAIN,
    POINTS,
    VARIABLE_PARENT,
    VARIABLES,
    exponential,
    forward,
    forward_people,
    jacobian,
    quaternions,
    turned,
    with_nose,
)

PRIORS = Priors(
    SKELETON.limits_rad.copy(), SKELETON.observed_rad.copy(), SKELETON.rest_rad.copy(), 4.0, 0.1, 0.6, 0.4**2, 0.15**2
)
FREE = PRIORS._replace(weight_observed=0.0, weight_rest=0.0)


def random_bodies(count: int, seed: int, spread: float = 0.3):
    """Root, rotation, angles, offsets and points of people two to five metres off, facing about anywhere."""
    rng = np.random.default_rng(seed)
    angles = np.clip(SKELETON.rest_rad + spread * rng.normal(size=(count, ANGLES)), *SKELETON.limits_rad.T)
    yaw = Rotation.from_rotvec(rng.uniform(-np.pi, np.pi, (count, 1)) * [0, 1, 0])
    rotation = (Rotation.from_euler("x", 180, degrees=True) * yaw).as_matrix()
    rotation = Rotation.from_rotvec(0.3 * rng.normal(size=(count, 3))).as_matrix() @ rotation
    root = np.stack([*rng.uniform(-0.5, 0.5, (2, count)), rng.uniform(2, 5, count)], -1)
    offsets = with_nose(SKELETON.rest_offsets_m * rng.uniform(0.9, 1.1, (count, 1, 1)))
    return root, rotation, angles, offsets, forward_people(root, rotation, angles, offsets)


def exact_targets(body, weight_2d=1.0):
    root, rotation, angles, offsets, points = body
    people = len(root)
    weight = np.zeros((people, POINTS))
    weight[:, [*SKELETON.index_21, POINTS - 1]] = 1 / 0.05**2
    return Targets(
        points - points[:, :1],
        weight,
        points[..., :2] / points[..., 2:],
        weight_2d * weight,
        root[:, 2].copy(),
        offsets,
        root.copy(),
        rotation.copy(),
        angles.copy(),
        np.zeros((people, 3)),
        np.zeros(people),
        np.zeros(people),
    )


def moved(body, i, step):
    """Body ``i`` after a step of all its variables, as a batch of one."""
    turn = np.empty((3, 3))
    exponential(np.ascontiguousarray(step[3:6]), turn)
    root, rotation, angles = body[0][i] + step[:3], turn @ body[1][i], body[2][i] + step[6:]
    return root[None], rotation[None], angles[None]


def test_compiled_kinematics_are_the_skeletons():
    root, rotation, angles, offsets, points = random_bodies(6, seed=0, spread=1.0)
    want, _ = SKELETON.forward(root, rotation, angles, offsets[:, :-1])
    assert np.abs(points[:, :-1] - want).max() < 1e-12


def test_jacobian_against_finite_differences():
    body = random_bodies(4, seed=1, spread=1.0)
    body[2][0] = 0.0  # the T pose, where rotation vectors are zero
    body[2][1, 14:17] = [1e-5, -1e-5, 0.3]
    eps = 1e-6
    for i in range(4):
        analytic = jacobian(body[0][i], body[1][i], body[2][i], body[3][i])
        numeric = np.empty_like(analytic)
        for k in range(VARIABLES):
            step = np.zeros(VARIABLES)
            step[k] = eps
            high = forward_people(*moved(body, i, step), body[3][i : i + 1])
            low = forward_people(*moved(body, i, -step), body[3][i : i + 1])
            numeric[..., k] = (high - low)[0] / (2 * eps)
        assert np.abs(analytic - numeric).max() < 1e-8


def work_arrays():
    return fit_solver._Work(
        np.empty((POINTS, 3)),
        np.empty((POINTS, 3, 3)),
        np.empty((ANGLES, 3)),
        np.empty((VARIABLES, VARIABLES)),
        np.empty((VARIABLES, VARIABLES)),
        np.empty(VARIABLES),
        np.empty(VARIABLES),
        np.empty((CHAIN.shape[1] + 3, 3)),
        np.empty(3),
    )


def linearised(targets, priors, body):
    """Gradient and full Hessian of the energy at a body (batch of one)."""
    work = work_arrays()
    forward(body[0][0], body[1][0], body[2][0], targets.offsets_m[0], work.points, work.frames, work.axes)
    fit_solver._linearise(0, targets, priors, body[0][0], body[1][0], body[2][0], work)
    lower = np.tril(work.hessian)
    return 2 * work.gradient, lower + np.tril(lower, -1).T


def energy(targets, priors, body):
    root, rotation, angles = (part.copy() for part in body)
    return minimise(targets, priors, root, rotation, angles, np.zeros(1, np.int64))[0]


@pytest.mark.parametrize("seed", range(3))
def test_gradient_of_all_terms_against_finite_differences(seed):
    rng = np.random.default_rng(seed)
    body = random_bodies(1, seed=10 + seed)
    targets = exact_targets(body)._replace(
        weight_root=np.full((1, 3), 30.0), weight_rotation=np.full(1, 20.0), weight_angle=np.full(1, 10.0)
    )
    start = moved(body, 0, 0.2 * rng.normal(size=VARIABLES))
    gradient, _ = linearised(targets, PRIORS, start)
    body = (*start, body[3], None)
    eps = 1e-6
    numeric = np.empty(VARIABLES)
    for k in range(VARIABLES):
        step = np.zeros(VARIABLES)
        step[k] = eps
        high, low = energy(targets, PRIORS, moved(body, 0, step)), energy(targets, PRIORS, moved(body, 0, -step))
        numeric[k] = (high - low) / (2 * eps)
    assert np.abs(gradient - numeric).max() < 1e-6 * np.abs(numeric).max()


def test_hessian_is_the_jacobians_square_where_residuals_vanish():
    body = random_bodies(1, seed=20)
    targets = exact_targets(body, weight_2d=0.0)
    _, hessian = linearised(targets, FREE, body[:3])
    derivative = jacobian(body[0][0], body[1][0], body[2][0], body[3][0])
    derivative = derivative - derivative[:1]  # relative to the root
    share = np.array([1.0, 1.0, FREE.depth_3d])
    want = np.einsum("p,i,pik,pil->kl", targets.weight_3d[0], share, derivative, derivative)
    assert np.abs(hessian - want).max() < 1e-9 * np.abs(want).max()


def test_variables_form_a_tree_and_the_sparse_solve_is_exact():
    assert (np.arange(VARIABLES) > VARIABLE_PARENT).all()
    body = random_bodies(1, seed=21)
    _, hessian = linearised(exact_targets(body), PRIORS, body[:3])
    hessian += np.eye(VARIABLES)
    right = np.random.default_rng(0).normal(size=VARIABLES)
    solution = right.copy()
    fit_solver._tree_solve(hessian.copy(), solution)
    assert np.abs(solution - np.linalg.solve(hessian, right)).max() < 1e-9


def test_a_disturbed_body_returns_to_the_minimum():
    body = random_bodies(20, seed=22)
    rng = np.random.default_rng(1)
    root, angles = body[0] + 0.1, np.clip(body[2] + 0.2 * rng.normal(size=body[2].shape), *SKELETON.limits_rad.T)
    rotation = turned(0.2 * rng.normal(size=(20, 3)), body[1])
    weak = PRIORS._replace(weight_observed=1e-6, weight_rest=1e-6)
    result = minimise(exact_targets(body), weak, root, rotation, angles, np.full(20, 50))
    points = forward_people(root, rotation, angles, body[3])
    error = np.linalg.norm(points - body[4], axis=-1)[:, SKELETON.index_21]
    assert np.median(error.max(1)) < 1e-3
    assert error.mean() < 3e-3
    assert np.median(result) < 0.1


def test_energy_never_rises_and_limits_hold_for_any_target():
    rng = np.random.default_rng(2)
    for seed in range(5):
        body = random_bodies(4, seed=30 + seed, spread=1.0)
        targets = exact_targets(body)
        targets.joints_m[:] = rng.normal(size=targets.joints_m.shape) * 2
        root, rotation, angles = (part.copy() for part in body[:3])
        before = minimise(targets, PRIORS, root, rotation, angles, np.zeros(4, np.int64))
        for _ in range(4):
            after = minimise(targets, PRIORS, root, rotation, angles, np.full(4, 2))
            assert (after <= before * (1 + 1e-12)).all()
            before = after
        assert (angles >= SKELETON.limits_rad[:, 0]).all()
        assert (angles <= SKELETON.limits_rad[:, 1]).all()
        assert np.abs(rotation @ np.swapaxes(rotation, 1, 2) - np.eye(3)).max() < 1e-9


def test_closed_form_body_is_close_for_poses_of_the_skeleton():
    root, rotation, _, offsets, points = random_bodies(50, seed=40, spread=0.4)
    joints = (points - points[:, :1])[:, SKELETON.index_21]
    found_rotation, found_angles = body_from_pose(joints, offsets[:, :-1])
    again = forward_people(np.zeros_like(root), found_rotation, found_angles, offsets)[:, SKELETON.index_21]
    assert np.linalg.norm(again - joints, axis=-1).mean() < 0.08
    turn = Rotation.from_matrix(found_rotation @ np.swapaxes(rotation, 1, 2)).magnitude()
    assert np.degrees(turn).mean() < 20  # bent spines move the chest that the pelvis is told by


def test_alignment_and_root_against_known_answers():
    rng = np.random.default_rng(3)
    source, turn = rng.normal(size=(5, 6, 3)), Rotation.random(5, random_state=4).as_matrix()
    target = source @ np.swapaxes(turn, 1, 2) + rng.normal(size=(5, 1, 3))
    assert np.abs(aligned_rotation(source, target, np.ones(6)) - turn).max() < 1e-9
    flat = aligned_rotation(np.zeros((1, 4, 3)), np.zeros((1, 4, 3)), np.ones(4))
    assert np.linalg.det(flat) == pytest.approx([1.0])

    root = np.array([[0.3, -0.2, 4.0]])
    joints = rng.normal(size=(1, 14, 3)) * 0.4
    image = (joints + root[:, None])[..., :2] / (joints + root[:, None])[..., 2:]
    assert root_from_image(joints, image, np.ones((1, 14)), root + 1)[0] == pytest.approx(root[0], abs=0.05)
    nothing = root_from_image(joints, image, np.zeros((1, 14)), np.array([[0.1, 0.2, 3.0]]))
    assert nothing[0] == pytest.approx([0.1, 0.2, 3.0])


def test_small_helpers_against_scipy():
    turns = Rotation.random(300, random_state=5)
    q = quaternions(turns.as_matrix())
    want = turns.as_quat(canonical=True)[:, [3, 0, 1, 2]]
    assert np.abs(np.abs((q * want).sum(1)) - 1).max() < 1e-12
    assert (q[:, 0] >= 0).all()
    vectors = np.random.default_rng(6).normal(size=(300, 3))
    assert (
        np.abs(turned(vectors, turns.as_matrix()) - (Rotation.from_rotvec(vectors) * turns).as_matrix()).max() < 1e-12
    )
