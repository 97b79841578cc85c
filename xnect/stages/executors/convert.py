"""From a weights file to OpenVINO's form and to ONNX: conversion needs torch, running what comes out does not."""

from __future__ import annotations

import functools
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

from xnect.errors import WeightsError
from xnect.stages.executors import package
from xnect.stages.executors.package import Package

#: The newest operator set that every runtime of the last years reads.
_OPSET = 17
_making = threading.Lock()


def openvino() -> Any:
    """The module openvino; raises WeightsError where it is not installed or does not load."""
    try:
        import openvino as module
    except ImportError as error:
        raise WeightsError(f"OpenVINO cannot be used ({error}): pip install 'xnect[openvino]'") from error
    return module


def core() -> Any:
    """OpenVINO's ``Core``, one for the whole program, which keeps it to its end; raises WeightsError.

    A ``Core`` puts a stack for signal handlers under the thread that makes it, and frees that stack when it goes, also
    where another ``Core`` or thread has it in use by then: after that the next Ctrl-C is a segmentation fault.
    """
    with _making:
        return _core()


@functools.cache
def _core() -> Any:
    return openvino().Core()


def float_package(weights: Path, weights_sha256: str) -> Package:
    """A weights file in OpenVINO's form, its numbers as 16-bit floats; takes some seconds.

    Raises:
        WeightsError: Not a usable weights file, or OpenVINO is not installed.
    """
    ov = openvino()
    import torch

    from xnect.stages.network import FromPictures, folded, load_stage1

    net = load_stage1(weights)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter(
            "ignore"
        )  # about shapes that are traced as constants: the picture's size is free again below
        example = torch.zeros((1, 64, 96, 3), dtype=torch.uint8)
        model = ov.convert_model(FromPictures(folded(net)).eval(), example_input=example)
    model.inputs[0].get_tensor().set_names({"pictures"})
    for output, name in zip(model.outputs, ("maps", "encoding"), strict=False):
        output.get_tensor().set_names({name})
    model.reshape({"pictures": ov.PartialShape([1, -1, -1, 3])})
    spec = net.spec
    card = {
        "weights_sha256": weights_sha256,
        "precision": "float",
        "description": str(spec),
        "made_by": f"openvino {ov.__version__}",
    }
    return as_package(model, card)


def as_package(model: Any, card: dict[str, Any]) -> Package:
    """An OpenVINO model in memory as a package."""
    ov = openvino()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        ov.save_model(model, path, compress_to_fp16=True)
        return Package(path.read_bytes(), path.with_suffix(".bin").read_bytes(), card)


def as_model(source: Package, shape: tuple[int, ...] | None = None) -> Any:
    """A package as an OpenVINO model, for pictures of one shape (N, H, W, 3) or for one of any size."""
    ov = openvino()
    weights = ov.Tensor(memoryview_array(source.weights))
    model = core().read_model(source.model, weights)
    if shape is not None:
        model.reshape(list(shape))
    return model


def memoryview_array(data: bytes) -> Any:
    """Bytes as a uint8 array that may be written to, which is what OpenVINO takes."""
    import numpy as np

    return np.frombuffer(bytearray(data), np.uint8)


def write_onnx(weights: Path, path: Path) -> None:
    """A weights file as ONNX: ``pictures`` BGR uint8 (1, H, W, 3) of any size -> ``maps`` (and ``encoding``) float32.

    Raises:
        WeightsError: Not a usable weights file, or the package onnx is not installed.
        OSError: It cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise WeightsError("ONNX files are written by the package onnx: pip install 'xnect[onnx]'") from error
    import torch

    from xnect.stages.network import FromPictures, folded, load_stage1

    net = load_stage1(weights)
    names = ["maps", "encoding"] if net.spec.encoding else ["maps"]
    axes = {"pictures": {1: "height", 2: "width"}, **{name: {2: "rows", 3: "columns"} for name in names}}
    part = path.with_name(path.name + ".part")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracing exporter is marked as old; the new one needs one package more
            torch.onnx.export(
                FromPictures(folded(net)).eval(), (torch.zeros((1, 64, 96, 3), dtype=torch.uint8),), str(part),
                input_names=["pictures"], output_names=names, dynamic_axes=axes, opset_version=_OPSET, dynamo=False,
            )  # fmt: skip
        model = onnx.load(str(part))
        onnx.checker.check_model(model)
        onnx.helper.set_model_props(model, {"weights_sha256": package.digest(weights)})
        onnx.save(model, str(part))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
