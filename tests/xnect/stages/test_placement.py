"""Where joints are: sharpened by size, guessed from the rest of the body and from traces in the heatmaps."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.errors import WeightsError
from xnect.skeleton.joints import FLIP_2D
from xnect.stages.placement import body_shape, place, read_body_shape
from xnect.training import body_shape as training

EMPTY = np.zeros((14, 40, 64), np.float32)


def standing(height=26.0, at=(30.0, 7.0)):
    """The mean body, upright in the middle of a map, float32 (14, 3)."""
    mean = body_shape()[0].reshape(14, 2)
    cells = (mean - mean.min(0)) * height / np.ptp(mean[:, 1]) + at
    return np.concatenate([cells, np.ones((14, 1))], 1).astype(np.float32)


def hills(joints, width, shape=(40, 64)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    far = (columns - joints[:, 0, None, None]) ** 2 + (rows - joints[:, 1, None, None]) ** 2
    return np.exp(-0.5 * far / width**2).astype(np.float32)


def expected(person, mean, precision):
    """Unseen joints by the textbook: size and shift by generalised least squares, then the conditional mean."""
    seen = np.repeat(person[:, 2] > 0, 2)
    covariance = np.linalg.inv(precision)
    known = person[:, :2].reshape(28).astype(float)[seen]
    weight = np.linalg.inv(covariance[np.ix_(seen, seen)])
    basis = np.stack([mean, np.tile([1.0, 0], 14), np.tile([0, 1.0], 14)], 1)
    found = np.linalg.solve(basis[seen].T @ weight @ basis[seen], basis[seen].T @ weight @ known)
    rest = covariance[np.ix_(~seen, seen)] @ weight @ (known - basis[seen] @ found)
    out = person[:, :2].reshape(28).astype(float)
    out[~seen] = basis[~seen] @ found + rest
    return out.reshape(14, 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 13))
def test_guesses_are_the_conditional_mean(seed, known):
    rng = np.random.default_rng(seed)
    person = standing(at=(100.0, 80.0))
    person[:, :2] += rng.normal(0, 1.5, (14, 2)).astype(np.float32)
    person[rng.permutation(14)[known:], 2] = 0
    wanted = expected(person, *body_shape())
    flat = person[None].copy()
    place(
        flat, np.zeros((14, 200, 200), np.float32)
    )  # a map without anything moves nothing that was seen, and a guess to its nearest cells at most
    np.testing.assert_array_equal(flat[0, person[:, 2] > 0], person[person[:, 2] > 0])
    np.testing.assert_allclose(flat[0, person[:, 2] == 0, :2], wanted[person[:, 2] == 0], atol=0.05)


def test_a_trace_in_the_map_draws_a_guess():
    person = standing()
    truth = person.copy()
    truth[4, :2] += (2.0, -2.0)  # a wrist that is not where wrists usually are
    person[4, 2] = 0
    drawn = person[None].copy()
    place(drawn, 0.08 * hills(truth, 1.0))
    nothing = person[None].copy()
    place(nothing, EMPTY)
    assert np.linalg.norm(drawn[0, 4, :2] - truth[4, :2]) < 0.6 * np.linalg.norm(nothing[0, 4, :2] - truth[4, :2])


def test_the_middle_of_a_wide_rough_hill_is_found():
    rng = np.random.default_rng(4)
    truth = standing(34.0, (24.0, 3.0))
    before, after = [], []
    for _ in range(20):
        rough = hills(truth, 2.2) + rng.normal(0, 0.08, EMPTY.shape).astype(np.float32)
        top = np.array([np.unravel_index(m.argmax(), m.shape)[::-1] for m in rough])
        person = np.concatenate([top, np.ones((14, 1))], 1).astype(np.float32)[None]
        before.append(np.linalg.norm(person[0, :, :2] - truth[:, :2], axis=1))
        place(person, rough)
        after.append(np.linalg.norm(person[0, :, :2] - truth[:, :2], axis=1))
    assert np.mean(after) < 0.6 * np.mean(before)


def test_joints_of_small_people_stay_with_their_own_hill():
    """Two people of six cells next to each other: nobody's joint is drawn to the other's."""
    left, right = standing(6.0, (20.0, 10.0)), standing(6.0, (24.0, 10.0))
    maps = np.maximum(hills(left, 0.6), hills(right, 0.6))
    both = np.stack([left, right])
    place(both, maps)
    assert np.abs(both[..., :2] - np.stack([left, right])[..., :2]).max() < 0.5


def test_sizes_follow_the_body_and_one_joint_is_enough():
    people = np.stack([standing(10.0), standing(20.0), standing()])
    people[2, 1:, 2] = 0
    sizes = place(people, EMPTY)
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.01)
    assert sizes[2] == 1.0
    np.testing.assert_allclose(people[2, :, :2], np.broadcast_to(people[2, 0, :2], (14, 2)), atol=0.01)


def test_two_joints_far_from_each_other_make_nobody_larger_than_the_picture():
    person = standing()[None]
    person[0, :, 2] = 0
    person[0, [2, 5], 2] = 1
    person[0, 2, :2], person[0, 5, :2] = (0.0, 0.0), (63.0, 39.0)
    assert place(person, EMPTY)[0] <= 64
    assert np.isfinite(person).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_whatever_the_maps_hold_places_are_finite(value):
    person = standing()[None]
    person[0, 5:9, 2] = 0
    place(person, np.full_like(EMPTY, value))
    assert np.isfinite(person).all()


def test_damaged_shapes_are_refused(tmp_path):
    from safetensors.numpy import save_file

    mean, precision = body_shape()
    cases = {
        "short": {"mean": mean[:26], "precision": precision},
        "nan": {"mean": mean * np.nan, "precision": precision},
        "less": {"mean": mean},
        "negative": {"mean": mean, "precision": -precision},
    }
    for name, content in cases.items():
        save_file(content, tmp_path / name)
    (tmp_path / "text").write_text("no safetensors")
    for name in (*cases, "text", "absent"):
        with pytest.raises(WeightsError):
            read_body_shape(tmp_path / name)


def test_shapes_are_learnt_from_whole_everyday_people_that_are_not_held_out(tmp_path, capsys):
    rng = np.random.default_rng(1)
    pose = rng.normal(0, 40, (13, 2)) + 200
    rows = []
    for number, image in enumerate([*range(1, 30), 11, 12, 10_000_001]):
        visible = np.full((13, 1), 2.0)
        if number == 3:
            visible[4] = 0
        given_px = pose * rng.uniform(0.5, 2) + rng.uniform(-50, 50, 2)
        rows.append({"image_id": image, "keypoints": np.concatenate([given_px, visible], 1).ravel().tolist()})
    (tmp_path / "train13.json").write_text(json.dumps({"annotations": rows}))
    poses = training.whole_poses([tmp_path])
    assert len(poses) == 2 * (29 + 2 - 2 - 1)  # 10 and 20 are held out, one lacks a joint, one is no everyday picture
    assert training.main(["--data", str(tmp_path), "--output", str(tmp_path / "body2d.safetensors")]) == 0
    mean, precision = read_body_shape(tmp_path / "body2d.safetensors")
    mirrored = (mean.reshape(14, 2) * [-1, 1])[FLIP_2D]
    np.testing.assert_allclose(mean.reshape(14, 2), mirrored, atol=1e-6)
    assert np.linalg.eigvalsh(precision).min() > 0
    assert "28 people" in capsys.readouterr().out
