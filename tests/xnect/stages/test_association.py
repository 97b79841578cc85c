"""Maps drawn from known people must decode to those people."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from tests_support import crowd

from xnect.codec.heatmaps import draw_heatmaps, find_peaks
from xnect.codec.pafs import draw_pafs
from xnect.config import DetectionConfig
from xnect.geometry import apply_affine, frame_from_map
from xnect.skeleton.joints import LIMBS
from xnect.stages.association import associate, read_encoding
from xnect.stages.grouping import best_pairs, group
from xnect.structures import PoseMaps

FRAME, NET = (640, 400), (512, 320)


def maps_of(joints_px, seen, encoding=None, frame=FRAME, net=NET):
    """The ideal maps of people given in frame pixels."""
    to_frame = frame_from_map(frame, net, 8)
    cells = (joints_px - to_frame[:, 2]) / to_frame[0, 0]
    shape = (net[1] // 8, net[0] // 8)
    sigma = np.full(len(cells), 0.8)
    heat = draw_heatmaps(cells, seen, sigma, shape)
    return PoseMaps(heat, draw_pafs(cells, seen, sigma, LIMBS, shape), encoding, to_frame)


def matched(found, truth):
    """Rows of ``found`` nearest to each true person."""
    cost = np.linalg.norm(found.joints_px[:, None, 1] - truth[None, :, 1], axis=-1)
    return cost.argmin(0)


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_people_come_back(count):
    truth = crowd(count)
    found = associate(maps_of(truth, np.ones((count, 14), bool)), DetectionConfig())
    assert len(found) == count
    error = np.linalg.norm(found.joints_px[matched(found, truth)] - truth, axis=-1)
    assert error.max() < 0.7  # px of the frame, on a map of 10 px cells
    assert (found.confidence > 0.85).all()


def test_missing_joints_stay_missing_and_are_guessed():
    seen = np.ones((2, 14), bool)
    seen[0, [4, 10]] = False
    seen[1, 8:] = False
    truth = crowd(2)
    found = associate(maps_of(truth, seen), DetectionConfig())
    rows = matched(found, truth)
    assert ((found.confidence[rows] > 0) == seen).all()
    height = np.ptp(truth[..., 1], axis=1)[:, None]
    off = np.linalg.norm(found.joints_px[rows] - truth, axis=-1) / height
    assert off[~seen].max() < 0.35  # legs of half a body, too


def test_crossing_limbs_go_to_their_owners():
    # two people so near to each other that the nearest elbow of a shoulder is often the other one's
    truth = crowd(2)
    truth[1] = truth[0] + [40, 0]
    found = associate(maps_of(truth, np.ones((2, 14), bool)), DetectionConfig())
    assert len(found) == 2
    error = np.linalg.norm(found.joints_px[matched(found, truth)] - truth, axis=-1)
    assert np.median(error) < 3


def test_limbs_are_a_tree():
    # then the limbs of different kinds cannot contradict each other, and each kind is a matching of its own
    joined = {LIMBS[0][0]}
    for a, b in LIMBS:
        assert a in joined
        assert b not in joined
        joined.add(b)
    assert joined == set(range(14))


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.0, 0.2, 0.5, 0.9, 1.0, 1.3]))
    )
)
@settings(max_examples=60, deadline=None)
def test_limbs_are_matched_for_the_largest_sum(gain):
    columns = best_pairs(gain)
    rows = np.flatnonzero(columns >= 0)
    assert len(set(columns[rows])) == len(rows)
    assert (gain[rows, columns[rows]] > 0).all()
    best = gain[linear_sum_assignment(-gain)].sum()
    assert gain[rows, columns[rows]].sum() == pytest.approx(best)


def test_one_strong_false_limb_does_not_break_two_true_ones():
    # shins side by side; noise joins the left one's knee to the right one's ankle more strongly than its own
    peaks, counts = np.zeros((14, 2, 3), np.float32), np.zeros(14, np.int64)
    peaks[9], peaks[10], counts[[9, 10]] = [[10, 10, 1], [13, 10, 1]], [[10, 18, 1], [13, 18, 1]], 2
    pafs = np.zeros((13, 2, 30, 30), np.float32)
    shin = LIMBS.index((9, 10))
    for a, b, strength in ((0, 0, 0.8), (1, 1, 0.8), (0, 1, 0.95)):
        along = peaks[10, b, :2] - peaks[9, a, :2]
        for t in np.linspace(0, 1, 60):
            x, y = np.rint(peaks[9, a, :2] + t * along).astype(int)
            pafs[shin, :, y, x] = strength * along / np.linalg.norm(along)
    found = {tuple(row[[9, 10]]) for row in group(peaks, counts, pafs, 0.05)}
    assert found == {(0, 0), (1, 1)}


def test_a_limb_too_long_for_its_person_is_left_to_another():
    # one ankle is hidden: the other's is the only end there is, twice as far away as a shin is long
    truth = crowd(2)
    truth[1] = truth[0] + [45, 0]
    seen = np.ones((2, 14), bool)
    seen[1, [9, 10]] = False
    maps = maps_of(truth, seen)
    found = associate(maps, DetectionConfig())
    rows = matched(found, truth)
    assert (found.confidence[rows[0], [9, 10]] > 0).all()
    assert (found.confidence[rows[1], [9, 10]] == 0).all()


def test_a_weak_peak_continues_a_person_and_begins_none():
    joints = crowd(2, 90.0)
    maps = maps_of(joints, np.ones((2, 14), bool))
    wrist, faint = 4, maps.heatmaps.copy()
    faint[wrist] *= 0.15
    left = joints[0, :, 0].mean() < joints[1, :, 0].mean()
    half = faint.shape[2] // 2
    other = slice(half, None) if left else slice(None, half)
    faint[:, :, other] *= 0.15  # of the second person nothing is clear
    strict = DetectionConfig(peak_threshold=0.2, weak_threshold=0.2)
    lenient = DetectionConfig(peak_threshold=0.2, weak_threshold=0.1)
    faded = PoseMaps(faint, maps.pafs, None, maps.frame_from_map)
    assert [len(associate(faded, config)) for config in (strict, lenient)] == [1, 1]
    assert associate(faded, strict).confidence[0, wrist] == 0
    found = associate(faded, lenient)
    assert found.confidence[0, wrist] == pytest.approx(0.15, abs=0.03)
    assert (found.confidence > 0).all()
    np.testing.assert_allclose(found.joints_px[0], joints[0], atol=1.5)


def test_those_to_be_followed_come_after_the_sure_ones():
    truth = crowd(2)
    maps = maps_of(truth, np.ones((2, 14), bool))
    left = np.arange(maps.heatmaps.shape[2])[None, None] < maps.heatmaps.shape[2] / 2
    faint = PoseMaps(np.where(left, 0.3 * maps.heatmaps, maps.heatmaps), maps.pafs, None, maps.frame_from_map)
    config = DetectionConfig(min_score=0.5, follow_score=0.1)
    (alone,) = associate(faint, config).score
    found = associate(faint, config, follow=True)
    assert found.sure.tolist() == [True, False]
    assert found.score[0] == alone
    assert set(matched(found, truth)) == {0, 1}
    assert associate(faint, replace(config, follow_score=0.9), follow=True).sure.tolist() == [True]


def test_nobody():
    shape = (40, 64)
    maps = PoseMaps(
        np.zeros((14, *shape), np.float32), np.zeros((13, 2, *shape), np.float32), None, frame_from_map(FRAME, NET, 8)
    )
    assert len(associate(maps, DetectionConfig())) == 0


def test_noise_alone_gives_finite_people_within_limits():
    rng = np.random.default_rng(0)
    heat = rng.random((14, 40, 64), dtype=np.float32)
    pafs = rng.normal(size=(13, 2, 40, 64)).astype(np.float32)
    found = associate(PoseMaps(heat, pafs, None, frame_from_map(FRAME, NET, 8)), DetectionConfig(max_people=4))
    assert len(found) <= 4
    assert np.isfinite(found.joints_px).all()
    assert (np.diff(found.score) <= 0).all()


def test_nan_maps_give_nobody():
    heat = np.full((14, 40, 64), np.nan, np.float32)
    maps = PoseMaps(heat, np.full((13, 2, 40, 64), np.nan, np.float32), None, frame_from_map(FRAME, NET, 8))
    assert len(associate(maps, DetectionConfig())) == 0


@settings(max_examples=60, deadline=None)
@given(x=st.floats(2, 60), y=st.floats(2, 36), sigma=st.floats(0.6, 1.2), height=st.floats(0.3, 1))
def test_peak_position_is_that_of_the_gaussian(x, y, sigma, height):
    heat = draw_heatmaps(np.array([[[x, y]]]), np.ones((1, 1), bool), np.array([sigma]), (40, 64)) * np.float32(height)
    peaks, counts = find_peaks(heat, 0.1, 8)
    assert counts[0] == 1
    assert np.abs(peaks[0, 0, :2] - [x, y]).max() < 0.02


def test_a_plateau_is_one_peak():
    heat = np.zeros((1, 9, 9), np.float32)
    heat[0, 4, 4:6] = 0.8
    heat[0, 5, 4:6] = 0.8
    assert find_peaks(heat, 0.1, 8)[1][0] == 1


def test_highest_peaks_are_kept():
    heat = np.zeros((1, 20, 40), np.float32)
    heights = np.linspace(0.2, 0.9, 10).astype(np.float32)
    heat[0, 10, 2:40:4] = heights
    peaks, counts = find_peaks(heat, 0.1, 4)
    assert counts[0] == 4
    np.testing.assert_allclose(peaks[0, :, 2], heights[::-1][:4])


def test_encoding_is_read_at_the_joints():
    rows, columns = np.mgrid[:40, :64].astype(np.float32)
    encoding = np.stack([columns, rows, *[rows * 0 + k for k in range(61)]]).astype(np.float32)
    truth = crowd(2)
    seen = np.ones((2, 14), bool)
    seen[1, 13] = False
    found = associate(maps_of(truth, seen, encoding), DetectionConfig())
    read = found.encoding[matched(found, truth)]
    cells = apply_affine(read[..., :2], frame_from_map(FRAME, NET, 8))
    assert np.abs(cells - truth)[seen].max() < 0.8
    assert (read[1, 13] == 0).all()
    assert (read[0, 0, 2:] == np.arange(61)).all()


def test_encoding_at_the_border_stays_inside():
    encoding = np.ones((63, 40, 64), np.float32)
    corners = np.array([[[-0.4, -0.4], [63.4, 39.4]]])
    assert (read_encoding(encoding, corners, np.ones((1, 2), bool)) == 1).all()
