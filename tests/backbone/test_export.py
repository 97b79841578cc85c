"""Exported networks compute the same, in onnxruntime and in OpenVINO."""

import json

import numpy as np
import pytest
import torch

import backbone
from backbone import export
from backbone.cli import main
from backbone.errors import ExportError
from backbone.fold import fold_batch_norm
from tests.backbone.parity import seeded_state

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def small(**options):
    model = backbone.create_model("selecsls60", width=0.125, **options)
    model.load_state_dict(seeded_state({key: tuple(value.shape) for key, value in model.state_dict().items()}))
    return model


@pytest.mark.parametrize("folded", [False, True])
def test_onnx_computes_the_same(tmp_path, folded):
    model = small(num_classes=5)
    model = fold_batch_norm(model) if folded else model
    was = model.training
    report = export.export_onnx(model, tmp_path / "deep" / "model.onnx", size=(64, 96))
    assert model.training == was
    assert report.outputs == ("logits",)
    assert report.difference <= 1e-5
    assert report.size_bytes == report.path.stat().st_size
    assert [path.name for path in report.path.parent.iterdir()] == ["model.onnx"]
    session = ort.InferenceSession(str(report.path), providers=["CPUExecutionProvider"])
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, {"pictures": x.numpy()})[0], model.eval()(x), atol=1e-4)
    record = json.loads(session.get_modelmeta().custom_metadata_map["backbone"])
    assert record["spec"]["name"] == "selecsls60"


def test_feature_maps_and_varying_sizes(tmp_path):
    model = small(features_only=True, out_strides=(8, 16))
    report = export.export_onnx(model, tmp_path / "model.onnx", size=(64, 64), dynamic_size=True)
    assert report.outputs == ("stride8", "stride16")
    session = ort.InferenceSession(str(report.path), providers=["CPUExecutionProvider"])
    maps = session.run(None, {"pictures": np.zeros((1, 3, 96, 160), np.float32)})
    assert [m.shape[1:] for m in maps] == [(model.channels[0], 12, 20), (model.channels[1], 6, 10)]


def test_openvino_computes_the_same(tmp_path):
    pytest.importorskip("openvino")
    model = small(features_only=True, out_strides=(16, 8))
    path = tmp_path / "model.xml"
    report = export.export_openvino(model, path, size=(64, 64), dynamic_size=True)
    assert report.difference <= 1e-5
    assert path.with_suffix(".bin").exists()
    compiled = export._core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval()(x)
    for name, own in zip(report.outputs, expected, strict=True):
        np.testing.assert_allclose(compiled({"pictures": x.numpy()})[name], own, atol=1e-4)
    half = export.export_openvino(model, tmp_path / "half.xml", size=(64, 64), half=True)
    assert half.size_bytes < 0.8 * report.size_bytes
    with pytest.raises(ExportError, match=r"\.xml"):
        export.export_openvino(model, tmp_path / "model.onnx")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_openvino_takes_the_module_itself():
    ov = pytest.importorskip("openvino")
    model = small(num_classes=5).eval()
    x = torch.randn(1, 3, 64, 64)
    compiled = ov.compile_model(ov.convert_model(model, example_input=x), "CPU")
    with torch.no_grad():
        np.testing.assert_allclose(compiled(x.numpy())[0], model(x), atol=1e-2)


def test_a_file_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    model = small(num_classes=5)
    write = export._write_onnx

    def spoiled(model, path, size, dynamic_size):
        write(model, path, size, dynamic_size)
        proto = onnx.load(str(path))
        tensor = next(t for t in proto.graph.initializer if t.name == "fc.bias")
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(5, 9, np.float32), "fc.bias"))
        onnx.save(proto, str(path))

    monkeypatch.setattr(export, "_write_onnx", spoiled)
    with pytest.raises(ExportError, match="computes something else"):
        export.export_onnx(model, tmp_path / "model.onnx", size=(64, 64))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ExportError, match=r"pip install 'xnect\[export\]'"):
        export.export_onnx(small(num_classes=2), tmp_path / "model.onnx")


def test_the_command_exports_pruned_and_folded_files(tmp_path, weights_file, capsys):
    plan, smaller = tmp_path / "plan.json", tmp_path / "small.safetensors"
    words = ["prune", str(weights_file), "--plan", str(plan), "--threshold", "0", "--size", "64", "--repeats", "1"]
    assert main([*words, "--output", str(smaller), "--fold"]) == 0
    assert "saved" in capsys.readouterr().out
    assert main(["export", str(tmp_path / "m.onnx"), "--weights", str(smaller), "--size", "64x96"]) == 0
    assert "largest relative difference" in capsys.readouterr().out
    again = ["prune", str(weights_file), "--plan", str(plan), "--apply", "--size", "64", "--repeats", "1"]
    assert main(again) == 0
    assert main(["summary", "--weights", str(smaller), "--size", "64"]) == 0
    assert main(["prune", str(weights_file), "--plan", str(tmp_path / "gone.json"), "--apply"]) == 1
