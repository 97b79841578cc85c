"""A user's own ONNX network: how it is opened, how a picture gets in, what its outputs look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from xnect.config import NetworkConfig
from xnect.errors import WeightsError
from xnect.geometry import fitted_size, network_size
from xnect.structures import F32, U8
from xnect.untrusted import parse_json

#: Picture side for the trial run of a network that takes any size [px].
_TRIAL_PX = 256
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a network wants and cannot say itself; a JSON of the same name beside it changes it.

    Attributes:
        channels: "RGB" or "BGR".
        mean, std: Of the three channels in that order: the network gets (pixel - mean) / std, pixels 0 to 255.
        fill: Grey level beside a picture of another shape.
        threshold: Keypoints (or boxes) less sure than this are not seen, 0 to 1.
        keypoints: Names of the keypoints, in the order of the outputs; empty = by their number.
    """

    channels: str = "BGR"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = 114
    threshold: float = 0.3
    keypoints: tuple[str, ...] = ()


def read_recipe(model: Path, usual: Recipe) -> Recipe:
    """The usual recipe of a kind of network, changed by ``MODEL.json`` where that is there; raises WeightsError."""
    path = model.with_suffix(".json")
    if not path.is_file():
        return usual
    try:
        given = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path.name} beside the network is not readable JSON") from error
    if not isinstance(given, dict) or set(given) - set(Recipe.__slots__):
        raise WeightsError(f"{path.name}: an object with some of {', '.join(Recipe.__slots__)} expected")
    values: dict[str, Any] = {}
    for key, value in given.items():
        good = _GOOD[key](value)
        if not good:
            raise WeightsError(f"{path.name}: {key} is {str(value)[:60]!r}, which cannot be")
        values[key] = tuple(value) if isinstance(value, list) else value
    return replace(usual, **values)


def _numbers(value: Any, low: float) -> bool:
    return (
        isinstance(value, list) and len(value) == 3 and all(type(v) in (int, float) and low <= v < 1e6 for v in value)
    )


_GOOD = {
    "channels": lambda v: v in ("RGB", "BGR"),
    "mean": lambda v: _numbers(v, -1e6),
    "std": lambda v: _numbers(v, 1e-6),
    "fill": lambda v: type(v) is int and 0 <= v <= 255,
    "threshold": lambda v: type(v) in (int, float) and 0 <= v <= 1,
    "keypoints": lambda v: (
        isinstance(v, list) and all(isinstance(n, str) for n in v) and 0 < len(v) == len(set(v)) < 1000
    ),
}


class OnnxModel:
    """An ONNX network that takes pictures.

    Attributes:
        path: The file.
        size_px: Width and height of its pictures [px]; None = any.
        batch: Pictures at a time; None = any.
        channels_first: Whether the input is (B, 3, H, W) and not (B, H, W, 3).
        recipe: How pictures are brought in; set by the adapter.
    """

    def __init__(self, path: str | Path, config: NetworkConfig) -> None:
        """Open the file.

        Raises:
            WeightsError: It cannot be read, takes no picture, or onnxruntime is missing.
        """
        self.path = Path(path)
        self.recipe = Recipe()
        self._session = _open(self.path, config)
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape)
        if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or inputs[0].type not in _TYPES:
            told = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise WeightsError(f"{self.path.name}: one input (1, 3, H, W) or (1, H, W, 3) expected, has {told}")
        self._name, self._type = inputs[0].name, _TYPES[inputs[0].type]
        self.channels_first = shape[1] == 3
        height, width = shape[2:] if self.channels_first else shape[1:3]
        fixed = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
        self.size_px = (width, height) if fixed else None
        self.batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        self._input_size = config.input_size

    def shape_for(self, frame_px: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the network's picture for a frame [px]."""
        return self.size_px or network_size(frame_px, self._input_size, 32)

    def trial(self) -> list[F32]:
        """Outputs for a blank picture, which tell what kind of network it is."""
        width, height = self.size_px or (_TRIAL_PX, _TRIAL_PX)
        return self(np.zeros((self.batch or 1, height, width, 3), np.uint8))

    def __call__(self, pictures: U8) -> list[F32]:
        """Run it on BGR pictures uint8 (B, H, W, 3); raises WeightsError where it fails."""
        recipe = self.recipe
        ordered: np.ndarray = pictures[..., ::-1] if recipe.channels == "RGB" else pictures
        if any(recipe.mean) or recipe.std != (1.0, 1.0, 1.0):
            ordered = (ordered - np.array(recipe.mean, np.float32)) / np.array(recipe.std, np.float32)
        if self.channels_first:
            ordered = ordered.transpose(0, 3, 1, 2)
        try:
            outputs = self._session.run(None, {self._name: np.ascontiguousarray(ordered, self._type)})
        except Exception as error:  # onnxruntime's errors have no common root
            raise WeightsError(f"{self.path.name} fails on a picture: {_first_line(error)}") from error
        return [np.asarray(o, np.float32) for o in outputs]


def _open(path: Path, config: NetworkConfig) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError("--detector needs onnxruntime: pip install 'xnect[onnx]'") from error
    if not path.is_file():
        raise WeightsError(f"cannot read the network {path}: no such file")
    have = onnxruntime.get_available_providers()
    wanted = ["CPUExecutionProvider"]
    if config.device.startswith("cuda") or (config.device == "auto" and "CUDAExecutionProvider" in have):
        if "CUDAExecutionProvider" not in have:
            raise WeightsError(f"--device {config.device}: this onnxruntime has no CUDA (pip install onnxruntime-gpu)")
        number = int(config.device[5:] or 0) if config.device.startswith("cuda:") else 0
        wanted.insert(0, ("CUDAExecutionProvider", {"device_id": number}))  # type: ignore[arg-type]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.log_severity_level = 4  # what goes wrong is raised as well
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # onnxruntime's errors have no common root
        raise WeightsError(f"{path.name} is not an ONNX network that can be run: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def placed(image_bgr: U8, net_px: tuple[int, int], fill: int) -> tuple[U8, float]:
    """The picture as large as fits at the top left of ``net_px``, and network pixels a pixel of it."""
    frame_px = (image_bgr.shape[1], image_bgr.shape[0])
    width, height = fitted_size(frame_px, net_px)
    method = cv2.INTER_AREA if width < frame_px[0] else cv2.INTER_LINEAR
    out = np.full((net_px[1], net_px[0], 3), fill, np.uint8)
    out[:height, :width] = cv2.resize(image_bgr, (width, height), interpolation=method)
    return out, min(net_px[0] / frame_px[0], net_px[1] / frame_px[1])


def without_doubles(boxes: np.ndarray, scores: np.ndarray, least: float, overlap: float = 0.6) -> np.ndarray:
    """Rows of the boxes (N, 4; x0, y0, x1, y1) that count, best first: finite, sure enough, none twice."""
    good = np.flatnonzero(np.isfinite(boxes).all(1) & (scores >= least))
    if not len(good):
        return good
    sides = np.concatenate([boxes[good, :2], boxes[good, 2:] - boxes[good, :2]], 1).astype(np.float64)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), scores[good].astype(float).tolist(), 0.0, overlap)
    return good[np.asarray(kept, np.int64).reshape(-1)]
