"""A small classifier on disk and a few pictures, shared by the tests of the commands."""

import cv2
import numpy as np
import pytest
import torch

import backbone
from benchmarks.backbone import write_shapes

KINDS = ("disc", "ring", "triangle")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small networks gain nothing from several threads, and waiting ones starve on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder `train/KIND/*.png` and `val/KIND/*.png` of generated shapes."""
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder / "train", 16, 64, seed=1, kinds=KINDS)
    write_shapes(folder / "val", 4, 64, seed=2, kinds=KINDS)
    return folder


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    """A narrow selecsls42b for three named classes, 64 px, with random weights that pass for trained ones."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    model = backbone.create_model("selecsls42b", width=0.125, num_classes=3)
    preprocessing = {"size_px": 64, "crop": 1.0, "interpolation": "bilinear"}
    backbone.save_model(model, path, {"classes": list(KINDS), "preprocessing": preprocessing})
    return path


@pytest.fixture
def pictures(tmp_path):
    """A folder with three readable pictures (colour, grey with a non-ASCII name, transparent) and a broken one."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (90, 120, 4), np.uint8)
    for name, image in (("a.png", noise[..., :3]), ("deeper/grün.jpg", noise[..., 0]), ("c.png", noise)):
        cv2.imencode(name[-4:], image)[1].tofile(folder / name)
    (folder / "b.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


@pytest.fixture
def video(tmp_path):
    """Ten frames at 10 frames a second."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for index in range(10):
        writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    writer.release()
    return path
