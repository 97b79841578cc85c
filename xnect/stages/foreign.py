"""A user's own 2D network in place of Stage I: which kind an ONNX file is, told from its inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xnect.config import DetectionConfig, NetworkConfig
from xnect.errors import ConfigError, WeightsError
from xnect.skeleton.layouts import LAYOUTS
from xnect.stages.foreign_maps import MapsNetwork, map_outputs
from xnect.stages.foreign_model import OnnxModel
from xnect.stages.foreign_one_stage import MoveNet, OneStage, Rtmo, YoloPose
from xnect.stages.foreign_top_down import BoxFinder, TopDown, is_box_finder

if TYPE_CHECKING:
    import numpy as np

_KINDS = (
    "RTMO (boxes and keypoints), YOLO pose, MoveNet (one or several people), RTMPose (SimCC; with --boxes), maps as "
    "Lightweight OpenPose has them"
)


def load_detector(config: NetworkConfig, detection: DetectionConfig) -> OneStage | TopDown | MapsNetwork:
    """The network that ``config.detector`` names, ready to run.

    Returns:
        Something that turns a picture into people, or (for fields and heatmaps) into maps, which our own association
        turns into people.

    Raises:
        WeightsError: It cannot be read, or is none of the known kinds; one line tells its outputs.
        ConfigError: A top-down network without a network for boxes, or the other way round.
    """
    model = OnnxModel(config.detector or "", config)
    outputs = model.trial()
    kind = kind_of(model, outputs)
    if kind == "boxes":
        raise ConfigError(
            f"{model.path.name} finds boxes, not joints: give it as --boxes beside a --detector for joints"
        )
    if kind == "simcc":
        if config.boxes is None:
            raise ConfigError(f"{model.path.name} sees one person at a time: give --boxes, a network that finds people")
        return TopDown(model, outputs, BoxFinder(OnnxModel(config.boxes, config)), detection)
    if config.boxes is not None:
        raise ConfigError(f"{model.path.name} finds people by itself: leave --boxes out")
    if kind == "maps":
        return MapsNetwork(model, outputs)
    made: dict[str, Callable[..., OneStage]] = {"rtmo": Rtmo, "movenet": MoveNet, "yolo": YoloPose}
    return made[kind](model, outputs, detection)


def kind_of(model: OnnxModel, outputs: list[np.ndarray]) -> str:
    """One of rtmo, yolo, movenet, simcc, maps and boxes; raises WeightsError that tells the outputs."""
    shapes = [o.shape for o in outputs]
    if any(_is_points(s) for s in shapes) and any(len(s) == 3 and s[2] == 5 for s in shapes) and model.channels_first:
        return "rtmo"
    if len(shapes) == 1 and not model.channels_first and (_is_movenet(shapes[0]) or _is_points(shapes[0])):
        return "movenet"
    if len(shapes) == 1 and model.channels_first and _is_yolo(shapes[0]):
        return "yolo"
    if len(shapes) == 2 and model.size_px is not None and _is_simcc(shapes, model.size_px):
        return "simcc"
    if map_outputs(shapes) is not None:
        return "maps"
    if is_box_finder(shapes):
        return "boxes"
    told = ", ".join("x".join(map(str, s)) for s in shapes)
    raise WeightsError(f"{model.path.name} has outputs {told}; networks that can be used: {_KINDS}")


def _is_points(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[3] == 3 and shape[2] in LAYOUTS


def _is_movenet(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] == 56


def _is_yolo(shape: tuple[int, ...]) -> bool:
    few, many = sorted(shape[1:]) if len(shape) == 3 else (0, 0)
    return (few - 5) % 3 == 0 and (few - 5) // 3 in LAYOUTS and many > few


def _is_simcc(shapes: list[tuple[int, ...]], size_px: tuple[int, int]) -> bool:
    x, y = shapes
    if not (len(x) == len(y) == 3 and x[1] == y[1] and x[1] in LAYOUTS):
        return False
    return x[2] * size_px[1] == y[2] * size_px[0] and x[2] >= size_px[0]
