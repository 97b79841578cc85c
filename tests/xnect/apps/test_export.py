"""``xnect export``: what comes out computes the same elsewhere; wrong words are one line."""

import cv2
import numpy as np
import pytest
import torch

from xnect.apps.main import main
from xnect.config import NetworkConfig
from xnect.stages.executors import choose, package
from xnect.stages.executors.convert import core
from xnect.stages.network import NetworkSpec, Stage1, save_stage1


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Weights of a tiny network, and a cache of its own."""
    monkeypatch.setattr(package, "cache_file", lambda digest, kind: tmp_path / "cache" / f"{digest[:16]}.{kind}.zip")
    torch.manual_seed(0)
    save_stage1(
        Stage1(NetworkSpec("selecsls42", 0.1, 16, encoding=True, surroundings=True)).eval(),
        tmp_path / "small.safetensors",
        {},
    )
    return tmp_path / "small.safetensors"


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


def expected(weights, picture):
    config = NetworkConfig(device="cpu", executor="torch", precision="fp32")
    return choose.load_network(str(weights), config).executor(picture[None])


def test_onnx_computes_the_same(small, picture, tmp_path, capfd):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    assert main(["export", "onnx", "--weights", str(small)]) == 0
    assert capfd.readouterr().out == f"{tmp_path / 'small.onnx'}\n"
    session = runtime.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    for got, wanted in zip(session.run(None, {"pictures": picture[None]}), expected(small, picture), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-3 * np.abs(wanted).max())
    assert not list(tmp_path.glob("*.part"))


def test_openvino_computes_the_same(small, picture, tmp_path):
    pytest.importorskip("openvino")
    assert main(["export", "openvino", "--weights", str(small), "--output", str(tmp_path / "out" / "net.xml")]) == 0
    compiled = core().compile_model(tmp_path / "out" / "net.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([picture[None]])
    for name, wanted in zip(("maps", "encoding"), expected(small, picture), strict=True):
        np.testing.assert_allclose(found[name], wanted, atol=2e-3 * np.abs(wanted).max())


def test_int8_from_a_folder_lies_beside_the_weights_and_is_taken(small, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        cv2.imwrite(str(tmp_path / "pictures" / f"{i}.png"), rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    assert main(["export", "int8", "--weights", str(small), "--pictures", str(tmp_path / "pictures")]) == 0
    made = package.find(small, package.digest(small), "int8")
    assert made.card["calibration"] == "3 pictures: pictures"
    assert (tmp_path / "small.int8.zip").is_file()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["int8", "--output", "net.bin"], 2, "ends in .zip"),
        (["onnx", "--weights", "absent.safetensors"], 1, "no such file"),
        (["int8", "--pictures", "absent"], 2, "no pictures at absent"),
    ],
)
def test_wrong_words_are_one_line(words, code, text, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == code
    err = capfd.readouterr().err
    assert text in err
    assert err.count("\n") == 1
