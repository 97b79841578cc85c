"""Networks in other formats: ONNX and OpenVINO, each compared with the original before it is handed over."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backbone import specs
from backbone.errors import ExportError
from backbone.selecsls import Classifier, FeatureNet, SelecSLS

OPSET = 17
"""ONNX operator set: the newest that every runtime of the last three years reads."""
TOLERANCE = 1e-4
"""Largest accepted difference, relative to the largest output value: both sides compute in float32."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote and how well it agrees.

    Attributes:
        path: The file (for OpenVINO the `.xml`; its `.bin` lies beside it).
        size_bytes: Size on disk, both files for OpenVINO.
        difference: Largest difference to the original's outputs, relative to their largest value.
        outputs: Names of the outputs.
    """

    path: Path
    size_bytes: int
    difference: float
    outputs: tuple[str, ...]


def output_names(model: SelecSLS) -> tuple[str, ...]:
    """Names of the outputs in exported files: `logits`, `features` (no classes), or `stride8` and so on."""
    if isinstance(model, FeatureNet):
        return tuple(f"stride{stride}" for stride in model.strides)
    return ("features",) if isinstance(model, Classifier) and model.num_classes == 0 else ("logits",)


def export_onnx(
    model: SelecSLS, path: Path, size: tuple[int, int] = (224, 224), dynamic_size: bool = False
) -> ExportReport:
    """Write a network as ONNX and compare it with onnxruntime.

    Args:
        model: A classifier or feature extractor; it is not changed.
        path: The `.onnx` file to write; it appears only when the comparison holds.
        size: Height and width of the input [px].
        dynamic_size: Let height and width vary as the batch does.

    Returns:
        What was written. The input is called `pictures`, float32 (B, 3, H, W), normalised as in training.

    Raises:
        ExportError: onnx or onnxruntime is missing, the file cannot be written, or the outputs differ.
    """
    ort = _need("onnxruntime", "export")
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_onnx(model, partial, size, dynamic_size)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(str(partial), options, providers=["CPUExecutionProvider"])
        difference = _compare(model, size, dynamic_size, lambda x: session.run(None, {"pictures": x}))
        partial.replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return ExportReport(path, path.stat().st_size, difference, output_names(model))


def export_openvino(
    model: SelecSLS,
    path: Path,
    size: tuple[int, int] = (224, 224),
    dynamic_size: bool = False,
    half: bool = False,
) -> ExportReport:
    """Write a network in OpenVINO's format (`.xml` and `.bin`) and compare it on the CPU.

    Args:
        model: A classifier or feature extractor; it is not changed.
        path: The `.xml` file to write.
        size: Height and width of the input [px].
        dynamic_size: Let height and width vary as the batch does.
        half: Store the weights as float16: half the size, for differences of about 1e-3.

    Raises:
        ExportError: onnx or OpenVINO is missing, the files cannot be written, or the outputs differ.
    """
    ov = _need("openvino", "openvino")
    if path.suffix != ".xml":
        raise ExportError(f"OpenVINO files end in .xml, not {path.name!r}")
    with tempfile.TemporaryDirectory() as folder:
        onnx_path = Path(folder) / "model.onnx"
        _write_onnx(model, onnx_path, size, dynamic_size)
        core = _core()
        converted = core.read_model(onnx_path)
        compiled = core.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        names = output_names(model)
        difference = _compare(model, size, dynamic_size, lambda x: [compiled({"pictures": x})[name] for name in names])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            ov.save_model(converted, path, compress_to_fp16=half)
        except (OSError, RuntimeError) as error:
            raise ExportError(f"cannot write {path}: {error}") from error
    size_bytes = path.stat().st_size + path.with_suffix(".bin").stat().st_size
    return ExportReport(path, size_bytes, difference, output_names(model))


@functools.cache
def _core() -> Any:
    """One for the whole program: each puts a stack under signal handlers, and frees it while another one uses it."""
    return _need("openvino", "openvino").Core()


def _need(module: str, extra: str) -> Any:
    """Import an optional package, or say how to get it."""
    try:
        return __import__(module)
    except ImportError as error:
        raise ExportError(f"this export needs {module}: pip install 'xnect[{extra}]'") from error


def _write_onnx(model: SelecSLS, path: Path, size: tuple[int, int], dynamic_size: bool) -> None:
    """Write the file, with a description of the network in its metadata."""
    onnx = _need("onnx", "export")
    names = output_names(model)
    free = {0: "batch", 2: "height", 3: "width"} if dynamic_size else {0: "batch"}
    axes: dict[str, dict[int, str]] = {"pictures": free}
    for name in names:
        spatial = {2: f"{name}_height", 3: f"{name}_width"} if name.startswith("stride") and dynamic_size else {}
        axes[name] = {0: "batch", **spatial}
    was_training, device = model.training, next(model.parameters()).device
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter is marked as old; the new one needs one package more
        torch.onnx.export(
            model.eval(),
            (torch.zeros(1, 3, *size, device=device),),
            str(path),
            input_names=["pictures"],
            output_names=list(names),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model.train(was_training)
    proto = onnx.load(str(path))
    onnx.checker.check_model(proto)
    record = {"spec": specs.to_dict(model.spec), "weights": model.weights_origin}
    onnx.helper.set_model_props(proto, {"backbone": json.dumps(record)})
    onnx.save(proto, str(path))


def _compare(
    model: SelecSLS, size: tuple[int, int], dynamic_size: bool, run: Callable[[Floats], list[Floats]]
) -> float:
    """Largest relative difference over two batch sizes (and two picture sizes, if they may vary).

    Raises:
        ExportError: It is above `TOLERANCE`, or not a number.
    """
    shapes = [(1, *size), (3, *size)] + ([(2, size[0] + 32, size[1] + 64)] if dynamic_size else [])
    random = torch.Generator().manual_seed(0)
    was_training, device = model.training, next(model.parameters()).device
    worst = 0.0
    for batch, height, width in shapes:
        x = torch.randn(batch, 3, height, width, generator=random)
        with torch.inference_mode():
            expected = model.eval()(x.to(device))
        for own, other in zip(expected if isinstance(expected, list) else [expected], run(x.numpy()), strict=True):
            worst = max(worst, _relative(own.float().cpu(), torch.from_numpy(np.array(other))))
    model.train(was_training)
    if not worst <= TOLERANCE:
        raise ExportError(f"the exported {model.spec.name} computes something else: outputs differ by {worst:.2g}")
    return worst


def _relative(own: Tensor, other: Tensor) -> float:
    if own.shape != other.shape or not bool(other.isfinite().all()):
        return float("inf")
    return float((own - other).abs().max() / own.abs().max().clamp(min=1e-12))
