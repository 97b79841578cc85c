"""Stage II learns from what Stage I finds: people collected from pictures, drawn anew, mixed into batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.benchmarks.test_synthetic_3d import sample  # noqa: F401 - a fixture
from tests.xnect.stages.test_association import maps_of
from tests.xnect.training.test_stage2 import write_pack
from xnect.codec.encoding import REFERENCE_HEIGHT_M, encode
from xnect.config import DetectionConfig
from xnect.errors import FormatError, WeightsError
from xnect.geometry import unproject
from xnect.skeleton.joints import JOINT_3D_OF_2D, PARENTS_3D, PELVIS
from xnect.stages.lifting import load_weights
from xnect.stages.lifting_frame import ENCODING_GAIN, ENCODING_SLOTS, INPUTS
from xnect.stages.stage_one import StageOne
from xnect.training import detected
from xnect.training.datasets.synthetic import camera_of
from xnect.training.detected import Detected
from xnect.training.lifting_data import detected_batch
from xnect.training.lifting_model import LiftingNet, export, lifting_loss, take_over
from xnect.training.stage2 import Stage2Recipe, Stage2Trainer


def exact(count=40):
    """People whose joints are seen where they are."""
    rng = np.random.default_rng(3)
    joints = rng.normal(0, 0.3, (count, 21, 3))
    joints[:, PELVIS] = 0
    root = np.stack([rng.uniform(-1, 1, count), rng.uniform(-0.5, 0.5, count), rng.uniform(3, 6, count)], 1)
    points = joints[:, JOINT_3D_OF_2D] + root[:, None]
    confidence = rng.uniform(0.2, 1, (count, 14)) * (rng.random((count, 14)) < 0.8)
    xy = points[..., :2] / points[..., 2:] * (confidence > 0)[..., None]
    return Detected(*(a.astype(np.float32) for a in (xy, confidence, joints, root)))


def off_m(people):
    """How far seen joints lie from their sight lines."""
    points = people.joints_m[:, JOINT_3D_OF_2D] + people.root_m[:, None]
    gap = np.linalg.norm(people.xy * points[..., 2:] - points[..., :2], axis=-1)
    return gap[people.confidence > 0]


def test_people_drawn_anew_are_still_seen_where_they_are(monkeypatch):
    people = exact()
    noisy = people.draw(np.random.default_rng(0), 500)
    assert off_m(people).max() < 1e-4
    assert 0.002 < off_m(noisy).mean() < 0.05
    assert ((noisy.confidence > 0).sum(1) >= 3).all()
    assert (people.confidence[:, [9, 10, 12, 13]] > 0).any(1).all()
    assert 0.05 < 1 - (noisy.confidence[:, [9, 10, 12, 13]] > 0).any(1).mean() < 0.16  # as at desks
    assert ((noisy.xy == 0).all(-1) == (noisy.confidence == 0)).all()
    monkeypatch.setattr(detected, "_JITTER", 0.0)
    drawn = people.draw(np.random.default_rng(0), 500)
    assert off_m(drawn).max() < 1e-4
    lengths = np.linalg.norm(drawn.joints_m[:, 3] - drawn.joints_m[:, 2], axis=1)
    own = np.linalg.norm(people.joints_m[:, [3, 6]] - people.joints_m[:, [2, 5]], axis=-1)
    assert (np.abs(lengths[:, None] - own.ravel()).min(1) < 1e-4).all()  # of the right arm, or the left one mirrored
    assert (np.abs(lengths[:, None] - own[:, 1]).min(1) < 1e-4).mean() > 0.3


def with_encoding(people):
    values = encode(people.joints_m, people.xy, REFERENCE_HEIGHT_M)[0] * (people.confidence > 0)[..., None]
    return replace(people, encoding=values)


def test_encodings_turn_and_mirror_with_their_people(monkeypatch):
    monkeypatch.setattr(detected, "_JITTER", 0.0)
    monkeypatch.setattr(detected, "_ENCODING_NOISE_M", 0.0)
    monkeypatch.setattr(detected, "_ENCODING_TURN", 0.0)
    monkeypatch.setattr(detected, "_ENCODING_FLIPPED", 0.0)
    drawn = with_encoding(exact()).draw(np.random.default_rng(0), 300)
    seen = drawn.confidence > 0
    np.testing.assert_allclose(drawn.encoding[seen], with_encoding(drawn).encoding[seen], atol=1e-5)


def test_encodings_get_worse_when_drawn_as_photos_have_them():
    people = with_encoding(exact())
    drawn = people.draw(np.random.default_rng(0), 300)
    seen = drawn.confidence > 0
    off = np.linalg.norm((drawn.encoding - with_encoding(drawn).encoding).reshape(300, 14, 21, 3), axis=-1)[seen]
    assert 0.06 < off.mean() < 0.2


def test_batches_carry_what_stage_i_reads_and_some_people_come_without(monkeypatch, tmp_path):
    monkeypatch.setattr(detected, "_JITTER", 0.0)
    monkeypatch.setattr(detected, "_ENCODING_NOISE_M", 0.0)
    monkeypatch.setattr(detected, "_ENCODING_TURN", 0.0)
    monkeypatch.setattr(detected, "_ENCODING_FLIPPED", 0.0)
    with_encoding(exact()).save(tmp_path / "d.npz")
    people = detected.read(tmp_path / "d.npz")
    batch = detected_batch(people, np.random.default_rng(1), 500, focal_error=0.0)
    told = batch.inputs[:, 57] == 1
    assert 0.7 < told.mean() < 0.9
    assert (batch.inputs[~told, 57:] == 0).all()
    vectors = batch.inputs[told, 58:].reshape(told.sum(), -1, 3) / ENCODING_GAIN
    bones = batch.joints_m[told, :21] - batch.joints_m[told][:, PARENTS_3D]
    expected = bones[:, ENCODING_SLOTS[:, 1]] * (batch.frame.weight[told] > 0)[:, ENCODING_SLOTS[:, 0], None]
    np.testing.assert_allclose(vectors, expected, atol=2e-3)
    assert (detected_batch(exact(), np.random.default_rng(1), 50, 0.0).inputs[:, 57:] == 0).all()


def test_batches_of_detected_people_have_their_truth_in_the_frame_of_their_ray(monkeypatch):
    monkeypatch.setattr(detected, "_JITTER", 0.0)
    batch = detected_batch(exact(), np.random.default_rng(1), 200, focal_error=0.0)
    assert batch.inputs.shape == (200, INPUTS)
    assert np.isnan(batch.joints_m[:, 21]).all()
    body = batch.joints_m[:, :21].astype(np.float64)
    assert np.isfinite(body).all()
    points = body[:, JOINT_3D_OF_2D] + batch.root_m[:, None]
    plane = points[..., :2] / points[..., 2:]
    seen = batch.frame.weight > 0
    np.testing.assert_allclose(batch.frame.plane[seen], plane[seen], atol=1e-4)


def test_what_is_not_known_pulls_nothing():
    torch.manual_seed(0)
    net = LiftingNet(32, 1)
    batch = detected_batch(exact(), np.random.default_rng(1), 64, focal_error=0.05)
    inputs, joints, root = (torch.from_numpy(a) for a in (batch.inputs, batch.joints_m, batch.root))
    loss, error = lifting_loss(net(inputs), inputs, joints, root)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(error)
    assert (net.last.weight.grad[63:66] == 0).all()  # the nose
    assert (net.last.weight.grad[:63].abs().sum(1) > 0).all()


def test_stage_i_is_asked_and_strangers_are_left_out(sample):  # noqa: F811
    truth = sample.joints_2d[..., :2].astype(np.float64)
    stranger = truth[:1] * 0.5 + (250, 20)
    everybody = np.concatenate([truth, stranger])

    def network(picture):
        return maps_of(everybody, np.ones((3, 14), bool), frame=(512, 320), net=(512, 320))

    people = detected.collect(StageOne(network, DetectionConfig(min_score=0.1)), [sample])
    assert len(people) == 2
    order = np.argsort(people.root_m[:, 0])
    expected = unproject(truth, camera_of(sample))
    np.testing.assert_allclose(people.xy[order], expected, atol=0.01)
    np.testing.assert_allclose(people.joints_m[order[0]], people.joints_m[order[1]], atol=1e-5)  # both of 1.70 m
    assert people.root_m[order[1], 2] == pytest.approx(4 * 1.7 / 1.2, rel=1e-3)  # a child this near, a man that far


def test_a_file_comes_back_and_others_are_refused(tmp_path):
    people = exact()
    people.save(tmp_path / "d.npz")
    back = detected.read(tmp_path / "d.npz")
    np.testing.assert_array_equal(back.xy, people.xy)
    np.testing.assert_array_equal(back.root_m, people.root_m)
    whole = {n: getattr(people, n) for n in ("xy", "confidence", "joints_m", "root_m")}
    cases = {
        "nan": {**whole, "xy": people.xy * np.nan},
        "short": {**whole, "root_m": people.root_m[:5]},
        "nobody": {n: v[:0] for n, v in whole.items()},
        "scalar": {**whole, "xy": np.float32(3)},
        "less": {"xy": people.xy},
        "object": {**whole, "xy": np.array([{}], object)},
    }
    for name, content in cases.items():
        np.savez(tmp_path / f"{name}.npz", **content)
    (tmp_path / "text.npz").write_text("nothing")
    for name in (*cases, "text", "absent"):
        with pytest.raises(FormatError):
            detected.read(tmp_path / f"{name}.npz")


def test_a_training_begins_with_exported_weights_and_takes_its_share_of_detected_people(tmp_path):
    (tmp_path / "pack").mkdir()
    write_pack(tmp_path / "pack")
    exact().save(tmp_path / "d.npz")
    recipe = Stage2Recipe(steps=4, batch=64, width=32, blocks=1, detected=0.25)
    first = Stage2Trainer(recipe, tmp_path / "pack")
    for batch in first.batches():
        first.learn(batch)
    export(first.net.eval(), tmp_path / "stage2.safetensors", {"encoding": True})
    again = Stage2Trainer(
        recipe, tmp_path / "pack", init=tmp_path / "stage2.safetensors", detections=tmp_path / "d.npz"
    )
    batch = again.batch(0)
    assert np.isnan(batch.joints_m[:, 21, 0]).sum() == 16
    assert len(batch.inputs) == len(batch.frame.weight) == 64
    inputs = torch.from_numpy(batch.inputs)
    with torch.no_grad():
        ours, theirs = again.net.eval()(inputs), first.net.eval()(inputs)
        learning = again.net.train()(inputs)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=5e-3)  # fp16 on disk
    assert (learning - theirs).abs().mean() < 0.5 * theirs.std()  # other people, other statistics, the same network
    for batch in again.batches():
        loss, error = again.learn(batch)
        assert np.isfinite([loss, error]).all()
    before = load_weights(tmp_path / "stage2.safetensors")
    export(again.net.eval(), tmp_path / "after.safetensors", {"encoding": True})
    export(again.net, tmp_path / "mean.safetensors", {"encoding": True}, before.layers, keep=0.5)
    after, mean = (load_weights(tmp_path / f"{name}.safetensors") for name in ("after", "mean"))
    for old, new, half in zip(before.layers, after.layers, mean.layers, strict=True):
        np.testing.assert_allclose(half[0], (old[0] + new[0]) / 2, atol=2e-3)
        np.testing.assert_allclose(half[1], (old[1] + new[1]) / 2, atol=2e-3)
    with pytest.raises(WeightsError, match="width 16"):
        take_over(LiftingNet(16, 1), load_weights(tmp_path / "stage2.safetensors").layers, inputs)
