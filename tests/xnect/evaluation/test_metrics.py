import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xnect.errors import ShapeError
from xnect.evaluation import metrics


def poses(seed, count=5, joints=21):
    return np.random.default_rng(seed).normal(0, 0.4, (count, joints, 3))


def test_mpjpe_is_the_mean_distance():
    truth = poses(0)
    found = truth + np.array([0.03, 0.04, 0.0])
    assert metrics.mpjpe(found, truth) == pytest.approx(0.05)
    weight = np.zeros(truth.shape[:2])
    weight[:, :2] = 1
    found[:, 2:] += 9
    assert metrics.mpjpe(found, truth, weight) == pytest.approx(0.05)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999), factor=st.floats(0.3, 3.0))
def test_procrustes_undoes_a_similarity(seed, factor):
    truth = poses(seed)
    rng = np.random.default_rng(seed + 1)
    turn = Rotation.random(5, rng=rng).as_matrix()
    moved = factor * truth @ turn + rng.normal(0, 2, (5, 1, 3))
    assert metrics.pa_mpjpe(moved, truth) == pytest.approx(0, abs=1e-9)
    rigid = truth @ turn + rng.normal(0, 2, (5, 1, 3))
    assert metrics.pa_mpjpe(rigid, truth, scale=False) == pytest.approx(0, abs=1e-9)


def test_procrustes_without_scale_keeps_the_size():
    truth = poses(3)
    left = metrics.pa_mpjpe(1.5 * truth, truth, scale=False)
    centred = truth - truth.mean(1, keepdims=True)
    assert left == pytest.approx(0.5 * np.linalg.norm(centred, axis=-1).mean())


def test_procrustes_never_mirrors():
    truth = poses(4)
    assert metrics.pa_mpjpe(truth * [-1, 1, 1], truth) > 0.1


def test_procrustes_is_the_best_alignment():
    rng = np.random.default_rng(5)
    truth, found = poses(5, 1), poses(6, 1)
    weight = rng.random((1, 21))
    best = metrics.aligned(found, truth, weight)

    def cost(points):
        return (weight[..., None] * (points - truth) ** 2).sum()

    for _ in range(50):
        nudge = Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix()
        other = (best - best.mean(1, keepdims=True)) @ nudge * rng.normal(1, 0.03) + best.mean(1, keepdims=True)
        other += rng.normal(0, 0.02, 3)
        assert cost(other) > cost(best)


def test_joints_without_weight_do_not_bend_the_alignment():
    truth = poses(7)
    found = truth @ Rotation.from_rotvec([0.3, 0.2, 1.0]).as_matrix()
    found[:, 0] += 5
    weight = np.ones(21)
    weight[0] = 0
    assert metrics.pa_mpjpe(found, truth, weight) == pytest.approx(0, abs=1e-9)


def test_pck_and_auc():
    truth = np.zeros((1, 4, 3))
    found = truth.copy()
    found[0, :, 0] = [0.0, 0.06, 0.12, 0.4]
    assert metrics.pck(found, truth, 0.15) == 0.75
    # of the 31 thresholds 0 has none; joint 1 counts from 0.005 (30), joint 2 above 0.06 (18), joint 3 above 0.12 (6)
    assert metrics.auc(found, truth) == pytest.approx((30 + 18 + 6) / 31 / 4)


def test_bone_drift_is_zero_for_a_rigid_body_only():
    body = poses(8, 1)[0]
    turns = Rotation.from_rotvec(np.linspace(0, 2, 30)[:, None] * [0, 1, 0.3]).as_matrix()
    bones = np.array([[0, 1], [1, 2], [2, 3]])
    rigid = body @ turns
    assert metrics.bone_drift(rigid, bones) == pytest.approx(0, abs=1e-9)
    pulse = 1 + 0.1 * np.sin(np.arange(30))[:, None, None]
    assert metrics.bone_drift(rigid * pulse, bones) == pytest.approx(pulse.std() / pulse.mean())


def test_acceleration_of_a_fall_at_varying_rates():
    time = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.2, 40))
    fall = np.zeros((40, 2, 3))
    fall[:, :, 1] = (0.5 * 9.81 * time**2)[:, None]
    assert np.allclose(metrics.accelerations(fall, time), 9.81)
    assert metrics.jitter(fall, time) == pytest.approx(9.81)
    with pytest.raises(ShapeError):
        metrics.jitter(fall, time[::-1])


def test_a_planted_foot_does_not_skate_and_a_sliding_one_does():
    time = np.arange(60) / 30
    up = np.array([0.0, -1.0, 0.0])
    feet = np.zeros((60, 2, 3))
    feet[:, 0, 0] = np.where(time < 1, 0, (time - 1) * 2)  # stands for a second, then flies
    feet[:, 0, 1] = np.where(time < 1, 0, -0.3)
    feet[:, 1, 0] = 0.1 * time
    contact = metrics.contacts(feet, time, up)
    assert contact[:28, 0].all()
    assert not contact[32:, 0].any()
    assert metrics.foot_skating(feet[:, :1], contact[:, :1], time, up) == pytest.approx(0, abs=1e-9)
    assert metrics.foot_skating(feet[:, 1:], contact[:, 1:], time, up) == pytest.approx(0.1)


def test_nothing_to_measure_is_zero_not_nan():
    empty = np.zeros((0, 21, 3))
    assert metrics.mpjpe(empty, empty) == 0
    assert metrics.pck(empty, empty, 0.15) == 0
    assert metrics.mpjpe(poses(1), poses(2), np.zeros(21)) == 0
    assert metrics.jitter(np.zeros((2, 3, 3)), np.arange(2.0)) == 0


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match="equal shape"):
        metrics.mpjpe(poses(0), poses(0, 4))
    with pytest.raises(ShapeError, match="one length"):
        metrics.identity(np.zeros(3), np.zeros(3), np.zeros(2))


@pytest.mark.parametrize("seed", range(4))
def test_identity_agrees_with_motmetrics(seed):
    motmetrics = pytest.importorskip("motmetrics")
    rng = np.random.default_rng(seed)
    book = motmetrics.MOTAccumulator(auto_id=True)
    frame, person, track = [], [], []
    ids = np.arange(4) + 10
    for t in range(12):
        if rng.random() < 0.1:
            a, b = rng.choice(4, 2, replace=False)
            ids[[a, b]] = ids[[b, a]]
        if rng.random() < 0.1:
            ids[rng.integers(4)] = ids.max() + 1
        found = rng.random(4) < 0.85
        alarm = rng.random() < 0.2
        given_ids = [*ids[found], *([99] if alarm else [])]
        distance = np.full((4, len(given_ids)), np.nan)
        distance[np.flatnonzero(found), np.arange(found.sum())] = 0
        book.update(np.arange(4), given_ids, distance)
        frame += [t] * (4 + alarm)
        person += [0, 1, 2, 3] + [-1] * alarm
        track += [*np.where(found, ids, -1)] + [99] * alarm
    ours = metrics.identity(np.array(frame), np.array(person), np.array(track))
    names = ["num_switches", "idf1", "num_fragmentations"]
    theirs = motmetrics.metrics.create().compute(book, metrics=names).iloc[0]
    assert ours.switches == theirs.num_switches
    assert ours.idf1 == pytest.approx(theirs.idf1)
    assert ours.fragments == theirs.num_fragmentations
