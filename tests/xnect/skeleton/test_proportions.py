"""Bone lengths: height and ratios come back from poses, steadily, and stay fixed after enough frames."""

import numpy as np
import pytest

from xnect.skeleton.kinematics import SKELETON
from xnect.skeleton.proportions import (
    BONE_NAMES,
    REST_LENGTHS_M,
    ProportionEstimator,
    body_height_m,
    offsets_from_ratios,
    pose_scale,
    side_lengths_m,
)

ROW = np.zeros(1, np.int64)
SURE = np.ones((1, 21), np.float32)


def people(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bone ratios and offsets of different people."""
    ratios = np.random.default_rng(seed).uniform(0.88, 1.12, (count, len(BONE_NAMES)))
    return ratios, offsets_from_ratios(ratios, None)


def pose_of(offsets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random pose (21, 3) with stiff trunk and clavicles, relative to the pelvis."""
    angles = SKELETON.rest_rad.copy()
    for d, name in enumerate(SKELETON.angle_names):
        if not name.startswith(("lumbar", "spine", "right_clavicle", "left_clavicle")):
            angles[d] = rng.uniform(*SKELETON.limits_rad[d])
    xyz, _ = SKELETON.forward(np.zeros((1, 3)), np.eye(3)[None], angles[None], offsets)
    return xyz[0, SKELETON.index_21]


@pytest.mark.parametrize("height", [None, 1.1, 1.95])
def test_height_is_kept_whatever_the_ratios(height):
    ratios, _ = people(5)
    offsets = offsets_from_ratios(ratios, height)
    assert body_height_m(offsets) == pytest.approx(np.full(5, height or 1.70), abs=1e-9)


def test_average_ratios_give_the_average_adult():
    offsets = offsets_from_ratios(np.ones(len(BONE_NAMES)), None)
    assert np.abs(offsets - SKELETON.rest_offsets_m).max() < 1.5e-3


def test_every_bone_scales_its_own_length_only():
    for b in range(len(BONE_NAMES)):
        ratios = np.ones(len(BONE_NAMES))
        ratios[b] = 1.2
        offsets = offsets_from_ratios(ratios, None)
        change = side_lengths_m(pose_of(offsets, np.random.default_rng(1))) / side_lengths_m(
            pose_of(SKELETON.rest_offsets_m, np.random.default_rng(1))
        )
        relative = change.mean(0) / np.median(change)
        assert np.argmax(relative) == b or BONE_NAMES[b] == "chest"  # the neck joint carries two bones
        assert relative[b] > 1.1


def test_poses_of_any_size_give_the_same_ratios():
    _, offsets = people(1, seed=4)
    rng = np.random.default_rng(2)
    found = []
    for size in (0.6, 1.7):
        estimator = ProportionEstimator(None, 60)
        estimator.reset(ROW)
        for _ in range(60):
            estimator.update(ROW, size * pose_of(offsets[0], rng)[None], SURE)
        found.append(estimator.offsets_m(ROW)[0])
    assert np.abs(found[0] - found[1]).max() < 4e-3
    error = np.linalg.norm(found[0] - offsets[0], axis=-1)
    default = np.linalg.norm(offsets_from_ratios(np.ones(len(BONE_NAMES)), None) - offsets[0], axis=-1)
    assert error.sum() < 0.4 * default.sum()


def test_noise_and_outliers_average_out():
    _, offsets = people(1, seed=5)
    rng = np.random.default_rng(3)
    estimator = ProportionEstimator(None, 60)
    estimator.reset(ROW)
    for k in range(60):
        pose = pose_of(offsets[0], rng)
        pose += rng.normal(size=pose.shape) * (0.5 if k % 6 == 0 else 0.02)
        estimator.update(ROW, pose[None], SURE)
    length = np.linalg.norm(estimator.offsets_m(ROW)[0, 1:], axis=-1)
    true = np.linalg.norm(offsets[0, 1:], axis=-1)
    long_bones = true > 0.2
    assert np.abs(length / true - 1)[long_bones].max() < 0.08


def test_bones_are_fixed_after_enough_frames_and_measured_anew_on_demand():
    _, offsets = people(2, seed=6)
    rng = np.random.default_rng(4)
    estimator = ProportionEstimator(None, 10)
    estimator.reset(ROW)
    for _ in range(10):
        estimator.update(ROW, pose_of(offsets[0], rng)[None], SURE)
    fixed = estimator.offsets_m(ROW)
    for _ in range(20):
        estimator.update(ROW, pose_of(offsets[1], rng)[None], SURE)
    assert np.array_equal(estimator.offsets_m(ROW), fixed)
    estimator.restart()
    assert np.array_equal(estimator.offsets_m(ROW), fixed)
    estimator.update(ROW, pose_of(offsets[1], rng)[None], SURE)
    assert not np.array_equal(estimator.offsets_m(ROW), fixed)


def test_unsure_frames_do_not_count():
    _, offsets = people(1, seed=7)
    estimator = ProportionEstimator(1.8, 10)
    estimator.reset(ROW)
    before = estimator.offsets_m(ROW)
    estimator.update(ROW, pose_of(offsets[0], np.random.default_rng(0))[None], 0.1 * SURE)
    assert np.array_equal(estimator.offsets_m(ROW), before)
    assert body_height_m(before[0]) == pytest.approx(1.8)


def test_half_bodies_leave_unseen_bones_in_proportion():
    _, offsets = people(1, seed=8)
    sure = SURE.copy()
    sure[0, [8, 9, 10, 11, 12, 13, 19, 20]] = 0.1
    estimator = ProportionEstimator(None, 30)
    estimator.reset(ROW)
    rng = np.random.default_rng(0)
    for _ in range(30):
        estimator.update(ROW, pose_of(offsets[0], rng)[None], sure)
    legs = [SKELETON.joint_names.index(f"right_{n}") for n in ("knee", "ankle", "toe")]
    lengths = np.linalg.norm(estimator.offsets_m(ROW)[0], axis=-1) / np.linalg.norm(
        np.where(SKELETON.rest_offsets_m == 0, 1e-9, SKELETON.rest_offsets_m), axis=-1
    )
    assert np.ptp(lengths[legs]) < 1e-6


def test_impossible_poses_stay_human():
    estimator = ProportionEstimator(None, 5)
    estimator.reset(np.arange(3))
    zeros = np.zeros((1, 21, 3))
    for pose in (zeros, zeros + 1e6, np.random.default_rng(0).normal(size=(1, 21, 3)) * 100):
        estimator.update(ROW, pose, SURE)
    offsets = estimator.offsets_m(np.arange(3))
    assert np.isfinite(offsets).all()
    assert body_height_m(offsets) == pytest.approx(np.full(3, 1.7))
    lengths = np.linalg.norm(offsets[:, 1:], axis=-1) / np.linalg.norm(SKELETON.rest_offsets_m[1:], axis=-1)
    assert (lengths > 0.6).all()
    assert (lengths < 1.6).all()


def test_pose_scale_finds_the_size():
    _, offsets = people(3, seed=9)
    rng = np.random.default_rng(5)
    poses = np.stack([pose_of(o, rng) for o in offsets])
    found = pose_scale(poses * np.array([0.5, 1.0, 1.8])[:, None, None], offsets, np.ones((3, 21)))
    assert found == pytest.approx([2.0, 1.0, 1 / 1.8], rel=0.03)
    assert np.isfinite(pose_scale(0 * poses, offsets, np.ones((3, 21)))).all()


def test_rest_lengths_are_those_of_the_rest_pose():
    assert REST_LENGTHS_M[BONE_NAMES.index("thigh")] == pytest.approx(0.414)
    assert REST_LENGTHS_M[BONE_NAMES.index("upper_arm")] == pytest.approx(0.292)
