"""The table of joint ranges, clamping without a rounding error, and the table against motion capture."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.skeleton.kinematics import SKELETON
from xnect.skeleton.limits import clamp, load_ranges, violation_rad

MOTION = Path(__file__).parents[3] / ".." / "shared" / "data" / "motion"


def test_ranges_nest():
    low, high = SKELETON.limits_rad.T
    assert (low <= SKELETON.observed_rad[:, 0] + 1e-6).all()
    assert (SKELETON.observed_rad[:, 1] <= high + 1e-6).all()
    assert ((SKELETON.rest_rad > low) & (SKELETON.rest_rad < high)).all()


def test_sides_share_one_entry():
    right, left = load_ranges(["right_knee_flexion"]), load_ranges(["left_knee_flexion"])
    assert np.array_equal(right.limits_rad, left.limits_rad)
    assert np.degrees(right.limits_rad[0]) == pytest.approx([-5, 155], abs=1e-4)


def test_unknown_angle_is_refused():
    with pytest.raises(KeyError, match="tail_wag"):
        load_ranges(["tail_wag"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=42, max_size=42))
def test_clamped_float32_angles_lie_inside_exactly(values):
    clamped = clamp(np.array(values, np.float32), SKELETON.limits_rad)
    assert clamped.dtype == np.float32
    assert (violation_rad(clamped.astype(np.float64), SKELETON.limits_rad) == 0).all()
    inside = violation_rad(np.array(values), SKELETON.limits_rad) == 0
    assert np.array_equal(clamped[inside], np.array(values, np.float32)[inside])


def test_violation_is_the_distance_outside():
    angles = SKELETON.limits_rad[:, 1] + 0.25
    assert violation_rad(angles, SKELETON.limits_rad) == pytest.approx(np.full(len(angles), 0.25))


@pytest.mark.shared
def test_people_keep_to_the_limits():
    """Euler angles of held-out motion capture, taken apart by scipy, are hardly ever outside the limits."""
    from scipy.spatial.transform import Rotation

    if not MOTION.exists():
        pytest.skip("the motion pack is not beside the checkout")
    with (MOTION / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "test" and r["shard"] == "cmu.npz"]
    with np.load(MOTION / "cmu.npz") as data:
        quaternions = np.cumsum(data["dquat"], 0, dtype=np.int16) / 32767.0
    take = np.concatenate([np.arange(int(r["first"]), int(r["first"]) + int(r["frames"]), 5) for r in rows])
    rotated = np.unique(SKELETON.parents[1:]).tolist()
    for joint in ("lumbar", "spine", "head", "right_hip", "left_hip", "right_knee", "left_elbow"):
        j = SKELETON.joint_names.index(joint)
        own = SKELETON.angles_of(j)
        order = "".join("XYZ"[SKELETON.angle_axis[d]] for d in own)
        order += "".join(c for c in "XZY" if c not in order)
        q = quaternions[take][:, rotated.index(j)]
        euler = Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_euler(order)[:, : len(own)]
        outside = violation_rad(euler * SKELETON.angle_sign[own], SKELETON.limits_rad[own])
        # beyond by more than 5 degrees in fewer than 1 of 100 frames
        assert (outside > np.radians(5)).mean() < 0.01, joint
