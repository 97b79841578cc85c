import numpy as np
import pytest

from benchmarks import synthetic_3d as bench
from xnect.skeleton.joints import JOINT_3D_OF_2D
from xnect.stages.lifting import Lifter
from xnect.structures import PoseMaps
from xnect.training.datasets.synthetic import camera_of
from xnect.training.synthetic.labels import OUTSIDE, SEEN
from xnect.training.synthetic.shards import Sample

MATRIX = np.array([[400.0, 0, 255.5], [0, 400.0, 159.5], [0, 0, 1]])


@pytest.fixture
def sample():
    """Two people who stand side by side, the second a child of 1.2 m."""
    rest = np.array([
        [0, -0.75, 0], [0, -0.5, 0], [-0.18, -0.48, 0], [-0.2, -0.2, 0.02], [-0.2, 0.05, 0], [0.18, -0.48, 0],
        [0.2, -0.2, 0.02], [0.2, 0.05, 0], [-0.1, 0.03, 0], [-0.1, 0.45, -0.02], [-0.1, 0.85, 0], [0.1, 0.03, 0],
        [0.1, 0.45, -0.02], [0.1, 0.85, 0], [0, 0, 0], [0, -0.25, 0], [0, -0.6, 0], [-0.2, 0.12, 0], [0.2, 0.12, 0],
        [-0.1, 0.9, -0.1], [0.1, 0.9, -0.1],
    ])  # fmt: skip
    height = np.array([1.7, 1.2])
    joints = rest[None] * (height / 1.7)[:, None, None] + np.array([[-0.8, 0, 4.0], [0.8, 0.3, 4.0]])[:, None]
    points = joints[:, JOINT_3D_OF_2D]
    points[:, 1] = (joints[:, 2] + joints[:, 5]) / 2
    flat = points @ MATRIX.T
    flat = flat[..., :2] / flat[..., 2:]
    state = np.full((2, 14, 1), SEEN)
    box = np.concatenate([flat.min(1) - 8, flat.max(1) + 8], 1)
    return Sample(
        np.zeros((320, 512, 3), np.uint8), np.concatenate([flat, state], -1).astype(np.float32),
        joints.astype(np.float32), np.full((2, 21), SEEN, np.uint8), MATRIX, np.zeros(5), box.astype(np.float32),
        np.full(2, 4000, np.float32), height.astype(np.float32), np.arange(2), np.zeros((320, 512), np.uint8), 0,
    )  # fmt: skip


def test_true_labels_match_themselves_and_swapped_people_their_own(sample):
    rows = bench.countable(sample)
    assert rows.tolist() == [0, 1]
    people = bench.true_detections(sample, rows[::-1], encoding=True)
    first, second = bench.match(people, sample, rows)
    assert second[np.argsort(first)].tolist() == [1, 0]
    assert people.encoding.shape == (2, 14, 63)


def test_far_people_do_not_match(sample):
    people = bench.true_detections(sample, np.array([0]), encoding=False)
    moved = type(people)(people.joints_px + 60, people.confidence, people.score)
    assert len(bench.match(moved, sample, np.array([0]))[0]) == 0


def test_truth_is_that_of_a_reference_body(sample):
    truth = bench.truth_of(sample)
    np.testing.assert_allclose(truth[0], truth[1], atol=1e-6)


def test_figures_are_the_errors_put_in():
    truth = np.random.default_rng(0).normal(0, 0.4, (2, 21, 3))
    found = truth.copy()
    found[0] += [0.1, 0, 0]
    found[1, :7] += [0, 0.3, 0]
    state = np.full((2, 21), SEEN)
    state[1, :7] = OUTSIDE
    errors = bench.Errors.none()
    errors.add(found, truth, state, 4)
    figures = errors.figures()
    assert figures["found %"] == 50
    assert figures["MPJPE mm"] == pytest.approx((21 * 100 + 7 * 300) / 42)
    assert figures["cut off mm"] == pytest.approx(300)
    assert figures["seen mm"] == pytest.approx(21 * 100 / 35)
    assert figures["hidden mm"] is None
    assert figures["3DPCK %"] == pytest.approx(100 * 35 / 42)
    assert figures["all people %"] == pytest.approx(100 * 35 / 84)
    assert figures["PA mm"] < figures["MPJPE mm"]


def test_the_encoding_of_a_perfect_map_is_without_error(sample):
    people = bench.true_detections(sample, np.array([0]), encoding=True)
    joint = 8
    maps = PoseMaps(
        np.zeros((14, 40, 64), np.float32), np.zeros((13, 2, 40, 64), np.float32),
        np.broadcast_to(people.encoding[0, joint][:, None, None], (63, 40, 64)).astype(np.float32).copy(),
        np.array([[8.0, 0, 3.5], [0, 8.0, 3.5]]),
    )  # fmt: skip
    only = sample.joints_2d.copy()
    only[:, :, 2] = 0
    only[0, joint, 2] = SEEN
    one = Sample(*(only if f == "joints_2d" else getattr(sample, f) for f in Sample.__slots__))
    wrong, right = bench.encoding_error_m(maps, one, np.array([0]))
    assert wrong.max() < 1e-5
    assert right.mean() > 0.05


def test_stage_two_takes_true_labels(sample):
    rows = bench.countable(sample)
    poses = Lifter()(bench.true_detections(sample, rows, encoding=True), camera_of(sample))
    errors = np.linalg.norm(poses.joints_m - bench.truth_of(sample), axis=-1)
    assert errors.mean() < 0.12


def test_missing_shards_end_with_one_line_and_1(tmp_path, capsys):
    assert bench.main(["--data", str(tmp_path)]) == 1
    assert "holds no synthetic shards" in capsys.readouterr().err
