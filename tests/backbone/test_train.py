"""The trainer: data in, schedule, averaging, resuming, several processes, and proof that it learns."""

import csv
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import backbone
from backbone.augment import Augmentation, augment, erase, jitter, random_crop
from backbone.classify import open_classifier
from backbone.cli import main
from backbone.dataset import Pictures, read_folder, split
from backbone.errors import BackboneError, InputError, WeightsError
from backbone.preprocess import Preprocessing
from backbone.recipe import TrainConfig, WeightAverage, learning_rate, make_optimizer
from backbone.train import Trainer, train
from backbone.validate import validate
from tests.backbone.conftest import KINDS


def quick(shapes, output, **changes):
    """Settings of a run that takes a few seconds."""
    options = {"backbone": "selecsls42", "width": 0.125, "epochs": 2, "batch": 16, "size_px": 32, "lr": 0.05}
    options |= {"ema": 0.5, "warmup": 0.5, "workers": 0, "device": "cpu", "progress": False, "smallest_area": 0.5}
    return TrainConfig(shapes, output, **{**options, **changes})


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.sampled_from([8, 33]), st.floats(0, 1), st.floats(0, 1), st.integers(0)
)
def test_augmented_pictures_are_finite_and_of_the_size_asked(height, width, size, strength, erased, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    how = Augmentation(size, jitter=strength, erase=erased)
    found = augment(image, how, np.random.default_rng(seed))
    assert found.shape == (3, size, size)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.array_equal(found, augment(image, how, np.random.default_rng(seed)))


def test_without_chance_nothing_changes_but_the_size():
    image = np.full((50, 40, 3), (10, 100, 250), np.uint8)
    how = Augmentation(16, area=(1.0, 1.0), ratio=(0.8, 0.8), mirror=0, jitter=0, erase=0)
    found = augment(image, how, np.random.default_rng(0))
    expected = (np.array([10, 100, 250]) / 255 - Preprocessing().mean) / Preprocessing().std
    np.testing.assert_allclose(found[:, 3, 4], expected, rtol=1e-5)


def test_mirror_jitter_and_erasing_do_what_they_say():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :16] = 200
    how = Augmentation(32, area=(1.0, 1.0), ratio=(1.0, 1.0), mirror=1.0, jitter=0, erase=0)
    found = augment(image, how, np.random.default_rng(0))
    assert found[0, 0, 0] < 0 < found[0, 0, 31]
    values = np.random.default_rng(1).random((8, 8, 3)).astype(np.float32)
    changed = jitter(values, 0.4, np.random.default_rng(2))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.abs(changed - values).mean() > 0.01
    assert jitter(values, 0.0, np.random.default_rng(2)) is values
    planes = np.zeros((3, 64, 64), np.float32)
    erase(planes, np.random.default_rng(3))
    share = (planes != 0).mean()
    assert 0.015 < share < 0.35
    rows, columns = np.nonzero(planes[0])
    assert (planes[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] != 0).all()


def test_crops_cover_the_areas_asked():
    image = np.arange(100 * 100 * 3, dtype=np.uint32).reshape(100, 100, 3).astype(np.uint8)
    random = np.random.default_rng(0)
    assert random_crop(image, Augmentation(16, area=(0.2, 0.9)), random).shape == (16, 16, 3)
    line = np.zeros((1, 500, 3), np.uint8)
    assert random_crop(line, Augmentation(16), random).shape == (16, 16, 3)
    with pytest.raises(InputError):
        Augmentation(area=(0.5, 1.5))


def test_the_folder_is_split_or_held_out(shapes, tmp_path):
    train_part, held_out = split(shapes)
    assert (len(train_part), len(held_out)) == (48, 12)
    assert train_part.classes == KINDS
    whole = read_folder(shapes / "train")
    first, second = split(shapes / "train", seed=3)
    assert set(first.paths) | set(second.paths) == set(whole.paths)
    assert not set(first.paths) & set(second.paths)
    assert len(second) == 4
    assert split(shapes / "train", seed=3) == (first, second)
    for path, target in zip(second.paths, second.targets, strict=True):
        assert path.parent.name == KINDS[target]
    (tmp_path / "empty").mkdir()
    for folder, words in ((tmp_path / "gone", "no folder"), (tmp_path / "empty", "no class folders")):
        with pytest.raises(InputError, match=words):
            split(folder)
    with pytest.raises(InputError, match="has no pictures"):
        read_folder(tmp_path)


def test_an_unreadable_picture_is_replaced(shapes, tmp_path, caplog):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        content = next((shapes / "train" / "disc").iterdir()).read_bytes()
        (tmp_path / name / "good.png").write_bytes(content)
    (tmp_path / "a" / "bad.png").write_text("no picture")
    data = Pictures(read_folder(tmp_path), Preprocessing(32))
    assert [data[index][1] for index in range(3)] == [0, 0, 1]
    assert "bad.png" in caplog.text


def test_the_schedule_rises_and_falls_to_zero():
    config = TrainConfig(Path("x"), Path("y"), epochs=10, warmup=2, lr=1.0)
    rates = [learning_rate(config, epoch / 10, 256) for epoch in range(101)]
    assert rates[0] < 0.01
    assert rates[20] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0, abs=1e-9)
    assert all(a < b for a, b in pairwise(rates[:21]))
    assert all(a > b for a, b in pairwise(rates[20:]))
    scaled = TrainConfig(Path("x"), Path("y"), epochs=10, warmup=0)
    assert learning_rate(scaled, 0, 512) == pytest.approx(0.2)


def test_decay_reaches_norms_only_when_asked():
    model = backbone.create_model("selecsls42", width=0.125, num_classes=2)
    for norms, expected in ((False, 0.0), (True, 0.5)):
        config = TrainConfig(Path("x"), Path("y"), optimizer="adam", decay=0.5, decay_norms=norms)
        groups = make_optimizer(model, config).param_groups
        decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert decay[id(model.stem.norm.weight)] == expected
        assert decay[id(model.stem.conv.weight)] == 0.5
        assert len(decay) == len(list(model.parameters()))


def test_the_average_follows_the_weights():
    model = backbone.create_model("selecsls42", width=0.125, num_classes=2)
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        model.fc.bias.fill_(1.0)
        average.model.fc.bias.zero_()
    expected = 0.0
    for step in range(1, 200):
        average.update(model)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
    assert float(average.model.fc.bias.mean().detach()) == pytest.approx(expected, rel=1e-4)


@pytest.fixture(scope="module")
def tints(tmp_path_factory):
    """Noise with a tint: a task that a few steps suffice for."""
    folder, random = tmp_path_factory.mktemp("tints"), np.random.default_rng(0)
    for part, count in (("train", 24), ("val", 8)):
        for channel, kind in enumerate(("blue", "green", "red")):
            (folder / part / kind).mkdir(parents=True)
            for index in range(count):
                image = random.integers(0, 150, (72, 72, 3), np.uint8)
                image[..., channel] += 100
                cv2.imwrite(str(folder / part / kind / f"{index}.png"), image)
    return folder


def test_it_learns_and_what_it_saves_classifies(tints, tmp_path):
    changes = {"epochs": 10, "batch": 12, "size_px": 64, "smoothing": 0.0, "erase": 0.0, "jitter": 0.0}
    history = train(quick(tints, tmp_path, **changes))
    assert history[-1].loss < 0.5 * history[0].loss
    best = max(history, key=lambda h: h.ema_top1)
    assert best.ema_top1 > 80
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(1, 11))
    model, info = backbone.load_model(tmp_path / "best.safetensors")
    assert model.num_classes == 3
    assert info.extra["classes"] == ["blue", "green", "red"]
    assert info.extra["figures"]["top1"] == best.ema_top1
    assert str(tints) not in str(info.extra)
    classifier = open_classifier(weights=tmp_path / "best.safetensors", device="cpu")
    assert classifier.how == Preprocessing(64)
    assert validate(classifier, tints / "val", progress=False).top1 == pytest.approx(best.ema_top1)


def test_the_same_seed_gives_the_same_run(shapes, tmp_path):
    first, second = (train(quick(shapes, tmp_path / name, epochs=1)) for name in "ab")
    assert first[0].loss == second[0].loss
    other = train(quick(shapes, tmp_path / "c", epochs=1, seed=1))
    assert other[0].loss != first[0].loss


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(shapes, tmp_path, monkeypatch):
    whole = train(quick(shapes, tmp_path / "whole"))
    record = Trainer._record

    def stop(self, figures):
        record(self, figures)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_record", stop)
        with pytest.raises(KeyboardInterrupt):
            train(quick(shapes, tmp_path / "parts"))
    rest = train(quick(shapes, tmp_path / "parts", resume=True))
    assert [epoch.number for epoch in rest] == [2]
    assert rest[0].loss == pytest.approx(whole[1].loss, rel=1e-6)
    assert (tmp_path / "parts" / "log.csv").read_text().count("\n") == 3
    with pytest.raises(WeightsError, match="made with seed 0"):
        train(quick(shapes, tmp_path / "parts", resume=True, seed=5))
    (tmp_path / "parts" / "last.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="no checkpoint"):
        train(quick(shapes, tmp_path / "parts", resume=True))


def test_mixed_precision_and_adam_run(shapes, tmp_path):
    changes = {"epochs": 1, "size_px": 48, "optimizer": "adam", "lr": 1e-3, "decay_norms": True}
    mixed, whole = (train(quick(shapes, tmp_path / str(amp), amp=amp, **changes))[0].loss for amp in (True, False))
    assert mixed != whole
    assert mixed == pytest.approx(whole, rel=0.05)


def test_mixed_precision_stays_off_where_the_kernel_is_unsound(shapes, tmp_path, caplog):
    mixed, whole = (train(quick(shapes, tmp_path / str(amp), amp=amp, epochs=1))[0].loss for amp in (True, False))
    assert mixed == whole
    assert caplog.text.count("at least 33 px") == 1


GRADIENTS = """
import sys, torch, backbone
from backbone.train import CPU_HALF_MIN_PX
torch.set_num_threads(1)
found = []
for mixed in (True, False):
    torch.manual_seed(0)
    model = backbone.create_model("selecsls60", width=0.125, num_classes=3).to(memory_format=torch.channels_last)
    pictures = torch.randn(8, 3, CPU_HALF_MIN_PX, CPU_HALF_MIN_PX).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        torch.nn.functional.cross_entropy(model(pictures), torch.arange(8) % 3).backward()
    found.append([p.grad.norm() for p in model.parameters()])
worst = max(float(a / (b + 1e-3)) for a, b in zip(*found))
sys.exit(0 if worst < 10 else f"a gradient is {worst:.3g} times as long as it should be")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc fills fresh memory on request")
def test_half_gradients_have_no_unwritten_memory_at_the_smallest_size():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_PERTURB_": "128"}
    command = [sys.executable, "-c", GRADIENTS]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_that_diverges_says_so(shapes, tmp_path):
    with pytest.raises(BackboneError, match="lower --lr"):
        train(quick(shapes, tmp_path, lr=1e30, warmup=0, epochs=3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "guess"}, "no optimizer"),
        ({"epochs": 0}, "at least 1"),
        ({"smoothing": 2.0}, "from 0 to 1"),
        ({"lr": -1.0}, "above 0"),
        ({"batch": 1000}, "do not fill one batch"),
    ],
)
def test_impossible_settings_are_refused(shapes, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        train(quick(shapes, tmp_path, **changes))


def test_the_command_trains_and_protects_what_is_there(shapes, tmp_path, capsys):
    output = str(tmp_path / "run")
    words = ["train", str(shapes), "--output", output, "--backbone", "selecsls42", "--width", "0.125", "--epochs", "1"]
    words += ["--batch", "16", "--size-px", "32", "--workers", "0", "--device", "cpu", "--no-progress"]
    assert main(words) == 0
    assert "averaged top-1" in capsys.readouterr().out
    assert main(words) == 1
    assert "--resume" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0


@pytest.mark.slow
def test_two_processes_train_as_one(shapes, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "backbone"]
    command += ["train", str(shapes), "--output", str(tmp_path), "--backbone", "selecsls42", "--width", "0.125"]
    command += ["--epochs", "1", "--batch", "8", "--size-px", "32", "--workers", "0", "--device", "cpu"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log.csv").read_text().count("\n") == 2
    assert backbone.load_model(tmp_path / "best.safetensors")[0].num_classes == 3
