"""Joints moved by what is known of Stage I's mistakes: learnt from pictures, kept beside the weights, refused when damaged."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tests.xnect.stages.test_association import maps_of
from xnect.config import DetectionConfig, NetworkConfig, PipelineConfig
from xnect.errors import FormatError, WeightsError
from xnect.skeleton.joints import FLIP_2D
from xnect.stages.association import associate
from xnect.stages.network import NetworkSpec, Stage1, save_stage1
from xnect.stages.placement import body_shape
from xnect.stages.refinement import INPUTS, WINDOW, beside, load_refiner, person_inputs, read_refiner, windows
from xnect.stages.stage_one import StageOne, load_stage_one
from xnect.training import refiner as training
from xnect.training.refiner import Found

MAP = (64, 40)
HEAT = np.zeros((14, MAP[1], MAP[0]), np.float32)


def people(count, seed=0):
    """Standing people of many sizes at many places, float32 (N, 14, 3), all joints seen."""
    rng = np.random.default_rng(seed)
    mean = body_shape()[0].reshape(14, 2)
    height = rng.uniform(12, 30, (count, 1, 1))
    cells = (mean - mean.min(0)) * height / np.ptp(mean[:, 1]) + rng.uniform((5, 2), (50, 8), (count, 1, 2))
    cells += rng.normal(0, 0.02, (count, 14, 2)) * height
    return np.concatenate([cells, rng.uniform(0.3, 1, (count, 14, 1))], 2).astype(np.float32)


def with_mistakes(joints):
    """What a network that puts ankles too high by a tenth of the person, and wrists too far out, would give."""
    found = joints.copy()
    size = np.sqrt(0.6 * np.ptp(joints[..., 0], axis=1) * np.ptp(joints[..., 1], axis=1))[:, None]
    found[:, [10, 13], 1] -= 0.1 * size
    outwards = np.sign(joints[:, [4, 7], 0] - joints[:, :, 0].mean(1, keepdims=True))
    found[:, [4, 7], 0] += 0.08 * size * outwards
    return found


def labelled(count, seed=0, nobody=0):
    """People with mistakes and labels; the last ``nobody`` of them are heaps of joints without labels."""
    truth = people(count, seed)
    labels = truth.copy()
    labels[..., 2] = 1
    area = np.sqrt(0.6 * np.ptp(truth[..., 0], axis=1) * np.ptp(truth[..., 1], axis=1))
    found = with_mistakes(truth)
    if nobody:
        rng = np.random.default_rng(seed)
        found[-nobody:, :, :2] = rng.uniform((20, 10), (40, 30), (nobody, 14, 2))
        labels[-nobody:], area[-nobody:] = 0, 1
    seen = windows(HEAT, found, person_inputs(found, MAP)[1])
    return Found(found, labels, area, np.tile(np.float32(MAP), (count, 1)), seen)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A refiner's file that knows these mistakes, made for weights of SHA-256 "abc"."""
    path = tmp_path_factory.mktemp("refiner") / "w.refiner.safetensors"
    training.save(training.learn(labelled(400, nobody=100), 30), path, "abc")
    return path


def test_mistakes_that_are_always_the_same_are_learnt(trained):
    made_for, refine = read_refiner(trained)
    new = labelled(100, seed=9)
    joints = new.joints.copy()
    refine(joints, HEAT)

    def missed(found):
        return np.linalg.norm(found[..., :2] - new.labels[..., :2], axis=-1) / new.area[:, None]

    wrong = [4, 7, 10, 13]
    assert made_for == "abc"
    assert missed(joints)[:, wrong].mean() < 0.4 * missed(new.joints)[:, wrong].mean()
    assert np.array_equal(joints[..., 2], new.joints[..., 2])


def test_the_score_tells_people_from_what_is_nobody_and_good_joints_from_bad(trained):
    refine = read_refiner(trained)[1]
    new = labelled(80, seed=11, nobody=40)
    scores = refine(new.joints.copy(), HEAT)
    assert scores.shape == (80,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[:40].min() > scores[40:].max()
    joints = new.joints[:40].copy()
    told = refine(joints, HEAT)
    true = np.array([training.similarity(j, t, a) for j, t, a in zip(joints, new.labels, new.area, strict=False)])
    assert abs(told.mean() - true.mean()) < 0.15
    assert len(refine(new.joints[:0], HEAT)) == 0


def test_a_fresh_network_corrects_nothing(tmp_path):
    training.save(training.Network().tensors(), tmp_path / "fresh.safetensors", "abc")
    joints = people(5)
    before = joints.copy()
    scores = read_refiner(tmp_path / "fresh.safetensors")[1](joints, HEAT)
    np.testing.assert_array_equal(joints, before)
    np.testing.assert_array_equal(scores, 0.5)


def test_a_window_shows_the_heatmap_around_its_joint_in_steps_of_the_person_s_size():
    y, x = np.mgrid[: MAP[1], : MAP[0]].astype(np.float32)
    heatmaps = np.stack([x + 100 * y + 10_000 * k for k in range(14)])
    joints, size = people(3), np.float32([4, 12, 30])  # the first so small that steps are half a cell
    found = windows(heatmaps, joints, size).reshape(3, 14, 9, 9)
    for p, step in enumerate((0.5, 0.6, 1.5)):
        steps = np.arange(-4, 5) * step
        at_x, at_y = (np.clip(joints[p, :, k, None] + steps, 0, MAP[k] - 1) for k in (0, 1))
        wanted = at_x[:, None] + 100 * at_y[:, :, None] + 10_000 * np.arange(14)[:, None, None]
        np.testing.assert_allclose(found[p], wanted, rtol=1e-4, atol=0.05)
    joints[:, 0] = (1e9, -1e9, 0)  # a guess far outside sees the corner
    np.testing.assert_allclose(windows(heatmaps, joints, size)[:, 0], MAP[0] - 1)


def test_mistakes_that_show_in_the_heatmap_are_learnt(tmp_path):
    """Blobs whose tail points to the truth: nothing in the body tells, only the window does."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: MAP[1], : MAP[0]].astype(np.float32)

    def drawn(count, seed):
        parts = []
        for k in range(count):
            truth, way = people(1, seed + k)[0], rng.choice([-1.0, 1.0], 14)
            found = truth.copy()
            size = person_inputs(truth[None], MAP)[1][0]
            found[:, 0] -= 0.1 * size * way
            near = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2) for a, b, _ in found]
            tail = [0.6 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2) for a, b, _ in truth]
            heatmaps = np.maximum(near, tail).astype(np.float32)
            labels = np.concatenate([truth[:, :2], np.ones((14, 1), np.float32)], 1)
            seen = windows(heatmaps, found[None], person_inputs(found[None], MAP)[1])[0]
            parts.append((found, labels, np.float32(size), np.float32(MAP), seen, heatmaps))
        return parts

    columns = [np.array(part, np.float32) for part in zip(*drawn(300, 0), strict=True)]
    training.save(training.learn(Found(*columns[:5]), 30), tmp_path / "w.safetensors", "abc")
    refine, gaps = read_refiner(tmp_path / "w.safetensors")[1], []
    for found, labels, size, _, _, heatmaps in drawn(40, 1000):
        joints = found[None].copy()
        refine(joints, heatmaps)
        gaps.append([np.abs(j[:, 0] - labels[:, 0]).mean() / size for j in (found, joints[0])])
    before, after = np.mean(gaps, 0)
    assert after < 0.4 * before


def test_mirrored_people_are_mirrored_twice_the_same_and_keep_their_likeness():
    found = labelled(6)
    mirrored = found.mirrored()
    np.testing.assert_allclose(mirrored.mirrored().joints, found.joints, atol=1e-4)
    np.testing.assert_array_equal(mirrored.mirrored().windows, found.windows)
    assert found.windows.shape == (6, 14, WINDOW)
    np.testing.assert_allclose(mirrored.joints[:, 4, 0], MAP[0] - 1 - found.joints[:, FLIP_2D[4], 0], atol=1e-4)
    for k in range(6):
        a, b = (training.similarity(f.joints[k], f.labels[k], float(f.area[k])) for f in (found, mirrored))
        assert a == pytest.approx(b)
        assert 0 < a < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1e9), st.integers(0, 14))
def test_wherever_guesses_lie_inputs_stay_small_and_size_and_place_do_not_matter(seed, far, guessed):
    rng = np.random.default_rng(seed)
    joints = people(2, seed)
    joints[0, rng.permutation(14)[:guessed]] = (far, -far, 0)
    inputs, size = person_inputs(joints, MAP)
    assert inputs.shape == (2, INPUTS)
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() <= 5
    assert (size <= max(MAP)).all()
    twice, twice_size = person_inputs(joints * np.float32([2, 2, 1]), (2 * MAP[0], 2 * MAP[1]))
    np.testing.assert_allclose(twice[1, :42], inputs[1, :42], atol=1e-4)  # the other may be cut at the map's size
    np.testing.assert_allclose(twice_size[1], 2 * size[1], rtol=1e-4)


def test_association_moves_joints_and_takes_the_score(trained):
    truth = people(3)[:, :, :2] * 8
    maps = maps_of(truth.astype(np.float32), np.ones((3, 14), bool), frame=(512, 320), net=(512, 320))
    plain = associate(maps, DetectionConfig())
    moved = associate(maps, DetectionConfig(), read_refiner(trained)[1])
    assert len(moved) == len(plain) > 0
    order = [int(np.abs(plain.joints_px[:, 1] - m[1]).sum(1).argmin()) for m in moved.joints_px]  # who is who
    assert sorted(order) == list(range(len(plain)))
    np.testing.assert_array_equal(moved.confidence, plain.confidence[order])
    assert (np.diff(moved.score) <= 0).all()
    assert (moved.score != plain.score[order]).all()
    assert 0.5 < np.abs(moved.joints_px - plain.joints_px[order]).max() < 60
    by_stage = StageOne(lambda image: maps, DetectionConfig(), refiner=read_refiner(trained)[1])(
        np.zeros((1, 1, 3), np.uint8)
    )
    np.testing.assert_array_equal(by_stage.joints_px, moved.joints_px)
    nobody = maps_of(truth[:0].astype(np.float32), np.ones((0, 14), bool), frame=(512, 320), net=(512, 320))
    assert len(associate(nobody, DetectionConfig(), read_refiner(trained)[1])) == 0


def test_it_is_used_with_the_weights_that_it_was_made_for_alone(trained, tmp_path, caplog):
    weights = tmp_path / "w.safetensors"
    save_stage1(Stage1(NetworkSpec("selecsls42", 0.1, 16)), weights, {})
    settings_ = PipelineConfig(network=NetworkConfig("cpu", "fp32", str(weights), (128, 96), 1, executor="torch"))
    assert load_refiner(weights) is None  # there is none
    beside(weights).write_bytes(trained.read_bytes())
    with caplog.at_level("INFO"):
        assert load_refiner(weights) is None
    assert "made for other weights" in caplog.text
    from xnect.stages.executors.package import digest

    save_file(load_file(trained), beside(weights), {"weights_sha256": digest(weights)})
    assert load_refiner(weights) is not None
    stage_one = load_stage_one(settings_)
    assert isinstance(stage_one, StageOne)
    assert stage_one._refiner is not None
    beside(weights).write_bytes(trained.read_bytes()[:500])
    with pytest.raises(WeightsError, match="not a readable refiner"):
        load_stage_one(settings_)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("person1.bias"), "person1.bias is missing"),
        (lambda t: t.pop("window.joint"), "window.joint is missing"),
        (lambda t: t.pop("joint1.matrix"), "must give x, y and a part of the score"),
        (
            lambda t: t.update(
                {"joint1.matrix": t["joint1.matrix"][:, :2].copy(), "joint1.bias": np.zeros(2, np.float32)}
            ),
            "must give x, y and a part of the score",
        ),
        (lambda t: t.update(extra=np.zeros(1, np.float32)), "extra has no place"),
        (lambda t: t.update({"person0.matrix": t["person0.matrix"][:-1].copy()}), "person0.matrix has the shape"),
        (lambda t: t.update({"whole.bias": t["whole.bias"][:-1].copy()}), "whole.bias has the shape"),
        (lambda t: t.update({"window.person": t["window.person"][None].copy()}), "window.person has the shape"),
        (lambda t: t.update({"joint0.bias": np.zeros((), np.float32)}), "joint0.bias has the shape"),
        (lambda t: t["person1.bias"].fill(np.nan), "not finite"),
        (lambda t: t.clear(), "is missing"),
    ],
)
def test_what_is_no_refiner_is_refused(trained, tmp_path, change, told):
    tensors = load_file(trained)
    change(tensors)
    path = tmp_path / "x.safetensors"
    save_file(tensors or {"nothing": np.zeros(1, np.float32)}, path)
    with pytest.raises(WeightsError, match=told):
        read_refiner(path)


def test_people_with_labels_are_collected_each_once_and_others_where_everybody_is_labelled():
    truth = people(2, seed=4)[:, :, :2] * 8
    maps = maps_of(truth.astype(np.float32), np.ones((2, 14), bool), frame=(512, 320), net=(512, 320))

    known = [v for x, y in truth[0][[0, *range(2, 14)]] for v in (float(x), float(y), 2)]

    class Picture:
        def __init__(self, number=1, complete=False, box=(0, 0, 9, 9)):
            self.image = {"id": number, "complete": complete}
            nobody, crowd = {"keypoints": [0] * 39, "area": 100.0}, {"bbox": list(box), "ignore": 1}
            self.people = [{"keypoints": known, "area": 5000.0}, nobody, crowd]

        def pixels(self):
            return np.zeros((320, 512, 3), np.uint8)

    found = training.collect(lambda image: maps, [Picture()])
    assert len(found.joints) == 1
    assert training.similarity(found.joints[0], found.labels[0], float(found.area[0])) > 0.8
    complete = training.collect(lambda image: maps, [Picture(complete=True)])
    assert len(complete.joints) == 2
    assert sorted((complete.labels[..., 2] > 0).any(1)) == [False, True]
    for silent in (Picture(complete=True, box=(0, 0, 512, 320)), Picture(number=10_000_001, complete=True)):
        assert len(training.collect(lambda image: maps, [silent]).joints) == 1
    with pytest.raises(FormatError, match="nobody"):
        training.collect(lambda image: replace(maps, heatmaps=0 * maps.heatmaps), [Picture()])


def test_parts_of_a_picture_keep_its_labels_where_they_are_and_hide_those_outside():
    truth = (people(1, seed=4)[:, :, :2] * 8).round().astype(np.float32)
    known = [v for x, y in truth[0][[0, *range(2, 14)]] for v in (float(x), float(y), 2)]
    y, x = np.mgrid[:320, :512]

    class Picture:
        image, people = {"id": 1}, [{"keypoints": known, "area": 9000.0}]

        def pixels(self):
            return np.stack([x // 2, y // 2, 0 * x], 2).astype(np.uint8)  # a pixel tells where it was

    sizes = []

    def network(pixels):
        sizes.append(pixels.shape[:2])
        shown = truth - 2 * pixels[0, 0, :2].astype(np.float32)
        frame = pixels.shape[1::-1]
        inside = ((shown >= 0) & (shown < frame)).all(2)
        return maps_of(shown, inside, frame=frame, net=(512, 320))

    found = training.collect(network, [Picture()] * 12, views=3)
    assert sizes[0] == (320, 512)
    assert all(0.6 * 320 - 1 <= h <= 320 and abs(w / h - 1.6) < 0.02 for h, w in sizes)
    assert len(set(sizes)) > 20
    assert len(found.joints) > 24
    hidden = 0
    for k in range(len(found.joints)):
        seen = found.labels[k, [0, *range(2, 14)], 2] > 0
        hidden += (~seen).sum()
        both = (found.labels[k, :, 2] > 0) & (found.joints[k, :, 2] > 0)
        gap = np.linalg.norm(found.joints[k, both, :2] - found.labels[k, both, :2], axis=1)
        assert np.median(gap) < 1.0  # the corner is known to two pixels
    assert hidden > 0
