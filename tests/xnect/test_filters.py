"""1-euro filters: against a plain transcription of the paper, variable time steps, gaps, rotations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xnect.filters import RESTART_S, OneEuroFilter, RotationFilter

ROW = np.zeros(1, np.int64)


def paper(values, steps, min_cutoff, beta, derivative_cutoff):
    """Algorithm 1 of Casiez et al. for one number a frame; ``steps[k]`` is the time before value k."""

    def alpha(cutoff, dt):
        return 1 / (1 + (1 / (2 * np.pi * cutoff)) / dt)

    out, speed = [values[0]], 0.0
    for value, dt in zip(values[1:], steps[1:], strict=True):
        a = alpha(derivative_cutoff, dt)
        speed = a * (value - out[-1]) / dt + (1 - a) * speed
        a = alpha(min_cutoff + beta * abs(speed), dt)
        out.append(a * value + (1 - a) * out[-1])
    return np.array(out)


def run(one, values, steps, **options):
    one.reset(ROW)
    return np.array([one(ROW, v[None], np.array([dt]), **options)[0] for v, dt in zip(values, steps, strict=True)])


def test_numbers_as_in_the_paper():
    rng = np.random.default_rng(0)
    steps = rng.uniform(0.005, 0.1, 200)
    values = np.cumsum(rng.normal(size=(200, 3, 1)), 0)
    got = run(OneEuroFilter(3, 1, 1.2, 0.7, 0.9), values, steps)
    for k in range(3):
        assert got[:, k, 0] == pytest.approx(paper(values[:, k, 0], steps, 1.2, 0.7, 0.9))


def test_vectors_do_not_depend_on_the_axes():
    rng = np.random.default_rng(2)
    values = np.cumsum(rng.normal(size=(80, 4, 3)), 0)
    turn = Rotation.random(random_state=3).as_matrix()
    steps = np.full(80, 1 / 30)
    plain = run(OneEuroFilter(4, 3, 1.0, 0.5, 1.0), values, steps)
    turned = run(OneEuroFilter(4, 3, 1.0, 0.5, 1.0), values @ turn.T, steps)
    assert turned == pytest.approx(plain @ turn.T)


def test_still_signals_lose_their_jitter_and_fast_ones_do_not_lag():
    rng = np.random.default_rng(4)
    t = np.arange(300) / 30
    still = rng.normal(size=(300, 1, 1)) * 0.01
    steps = np.full(300, 1 / 30)
    out = run(OneEuroFilter(1, 1, 1.0, 2.0, 1.0), still, steps)
    assert np.diff(out[100:], axis=0).std() < 0.25 * np.diff(still[100:], axis=0).std()
    fast = (3 * t)[:, None, None] + still
    out = run(OneEuroFilter(1, 1, 1.0, 2.0, 1.0), fast, steps)
    assert np.abs(out - fast)[100:].mean() < 0.08  # at 3 m/s: less than a frame


def test_scale_acts_on_the_speed_only():
    rng = np.random.default_rng(5)
    values = np.cumsum(rng.normal(size=(60, 2, 2)), 0)
    steps = np.full(60, 1 / 30)
    scaled = run(OneEuroFilter(2, 2, 1.0, 0.5, 1.0), values, steps, scale=np.array([4.0]))
    assert scaled == pytest.approx(run(OneEuroFilter(2, 2, 1.0, 2.0, 1.0), values, steps))


def test_missing_values_are_held_then_let_through_and_do_not_echo():
    one = OneEuroFilter(2, 1, 1.0, 0.1, 1.0)
    one.reset(ROW)
    dt = np.array([0.1])
    seen = np.array([[True, True]])
    gone = np.array([[True, False]])
    for _ in range(5):
        one(ROW, np.full((1, 2, 1), 2.0), dt, seen)
    held = one(ROW, np.array([[[2.0], [99.0]]]), dt, gone)
    assert held[0, :, 0] == pytest.approx([2.0, 2.0])
    for _ in range(int(RESTART_S / 0.1) + 1):
        last = one(ROW, np.array([[[2.0], [99.0]]]), dt, gone)
    assert last[0, 1, 0] == 99.0
    back = one(ROW, np.full((1, 2, 1), 7.0), dt, seen)
    assert back[0, 1, 0] == 7.0  # starts afresh
    assert back[0, 0, 0] < 7.0  # the other was there all the time


def test_a_gap_shorter_than_the_restart_counts_as_one_long_step():
    one, two = OneEuroFilter(1, 1, 1.0, 0.0, 1.0), OneEuroFilter(1, 1, 1.0, 0.0, 1.0)
    for f in (one, two):
        f.reset(ROW)
        f(ROW, np.zeros((1, 1, 1)), np.array([0.1]))
    one(ROW, np.zeros((1, 1, 1)), np.array([0.1]), np.array([[False]]))
    a = one(ROW, np.ones((1, 1, 1)), np.array([0.2]))
    b = two(ROW, np.ones((1, 1, 1)), np.array([0.3]))
    assert a == pytest.approx(b)


def test_people_do_not_mix_and_rows_grow():
    rng = np.random.default_rng(6)
    values = np.cumsum(rng.normal(size=(50, 3, 2, 2)), 0)
    together, alone = OneEuroFilter(2, 2, 1.0, 0.5, 1.0), OneEuroFilter(2, 2, 1.0, 0.5, 1.0)
    rows = np.array([4, 0, 2])
    together.reset(rows[:1])
    together.reset(rows)
    alone.reset(ROW)
    for v in values:
        got = together(rows, v, np.full(3, 1 / 30))
        want = alone(ROW, v[1:2], np.array([1 / 30]))
        assert got[1] == pytest.approx(want[0])
    together.reset(rows[1:2])
    assert together(rows, values[0], np.full(3, 1 / 30))[1] == pytest.approx(values[0, 1])


def rotation_run(quaternions, steps, settings_):
    one = RotationFilter(*settings_)
    one.reset(ROW)
    return np.array([one(ROW, q[None], np.array([dt]))[0] for q, dt in zip(quaternions, steps, strict=True)])


def test_turning_about_one_axis_is_filtering_the_angle():
    rng = np.random.default_rng(7)
    angle = np.cumsum(rng.normal(size=100)) * 0.1  # steps below half a turn
    steps = rng.uniform(0.02, 0.05, 100)
    axis = np.array([2.0, -1, 2]) / 3
    q = np.concatenate([np.cos(angle / 2)[:, None], np.sin(angle / 2)[:, None] * axis], 1)
    got = rotation_run(q, steps, (1.5, 0.5, 1.0))
    want = paper(angle, steps, 1.5, 0.5, 1.0)
    expected = np.concatenate([np.cos(want / 2)[:, None], np.sin(want / 2)[:, None] * axis], 1)
    assert np.abs((got * expected).sum(1)) == pytest.approx(np.ones(100))


def test_both_signs_of_a_quaternion_are_one_rotation():
    rng = np.random.default_rng(8)
    q = Rotation.from_rotvec(np.cumsum(rng.normal(size=(60, 3)) * 0.1, 0)).as_quat()[:, [3, 0, 1, 2]]
    flipped = q * rng.choice([-1, 1], 60)[:, None]
    steps = np.full(60, 1 / 30)
    a, b = rotation_run(q, steps, (1.0, 0.5, 1.0)), rotation_run(flipped, steps, (1.0, 0.5, 1.0))
    assert np.abs((a * b).sum(1)) == pytest.approx(np.ones(60))


def test_rotations_turn_with_the_world():
    rng = np.random.default_rng(9)
    turns = Rotation.from_rotvec(np.cumsum(rng.normal(size=(60, 3)) * 0.2, 0))
    world = Rotation.random(random_state=1)
    steps = np.full(60, 1 / 30)
    a = rotation_run(turns.as_quat()[:, [3, 0, 1, 2]], steps, (1.0, 0.5, 1.0))
    b = rotation_run((world * turns).as_quat()[:, [3, 0, 1, 2]], steps, (1.0, 0.5, 1.0))
    moved = (world * Rotation.from_quat(a[:, [1, 2, 3, 0]])).as_quat()[:, [3, 0, 1, 2]]
    assert np.abs((moved * b).sum(1)) == pytest.approx(np.ones(60))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 5)), min_size=1, max_size=20), st.integers(0, 99))
def test_finite_in_finite_out_and_between_the_values_so_far(samples, seed):
    values = np.array([v for v, _ in samples])
    steps = np.array([dt for _, dt in samples])
    out = run(OneEuroFilter(1, 1, 1.7, 0.3, 1.0), values[:, None, None], steps)[:, 0, 0]
    assert np.isfinite(out).all()
    for k in range(len(values)):
        slack = 1e-9 * np.abs(values).max()
        assert values[: k + 1].min() - slack <= out[k] <= values[: k + 1].max() + slack
    q = Rotation.random(len(values), random_state=seed).as_quat().reshape(-1, 4)[:, [3, 0, 1, 2]]
    turned = rotation_run(q, steps, (1.0, 0.5, 1.0))
    assert np.linalg.norm(turned, axis=1) == pytest.approx(np.ones(len(values)))
