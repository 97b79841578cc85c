"""Networks that give everybody's joints in one go: RTMO, YOLO pose, MoveNet."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from xnect.config import DetectionConfig
from xnect.errors import WeightsError
from xnect.skeleton.layouts import LAYOUTS, detections_from, strongest
from xnect.stages.foreign_model import OnnxModel, Recipe, placed, read_recipe, without_doubles
from xnect.structures import F32, U8, Detections

#: Boxes less sure than this are nobody; ``DetectionConfig.min_score`` may ask for more.
_LEAST_SCORE = 0.1


class OneStage(ABC):
    """One network, one run a picture.

    Attributes:
        config: Limits; may be set anew.
        description: Kind and file in words.
    """

    kind = ""
    usual = Recipe()

    def __init__(self, model: OnnxModel, outputs: list[F32], config: DetectionConfig) -> None:
        """Take over an open network; ``outputs`` are those of its trial run. Raises WeightsError."""
        self.model, self.config = model, config
        model.recipe = read_recipe(model.path, self.usual)
        self.names = keypoint_names(model, self.keypoints_in(outputs))
        self.description = f"{self.kind} {model.path.name} in onnxruntime"

    def __call__(self, image_bgr: U8) -> Detections:
        """People of one picture."""
        net_px = self.model.shape_for((image_bgr.shape[1], image_bgr.shape[0]))
        picture, scale = placed(image_bgr, net_px, self.model.recipe.fill)
        points, score = self.read(self.model(picture[None]), net_px)
        sure = np.where(points[..., 2] >= self.model.recipe.threshold, points[..., 2], 0.0)
        people = detections_from(points[..., :2] / scale, sure, self.names, score)
        limits = self.config
        return strongest(people, limits.min_joints, max(limits.min_score, _LEAST_SCORE), limits.max_people)

    @abstractmethod
    def keypoints_in(self, outputs: list[F32]) -> int:
        """How many keypoints a person has."""

    @abstractmethod
    def read(self, outputs: list[F32], net_px: tuple[int, int]) -> tuple[F32, F32]:
        """Outputs -> points (P, K, 3: x, y [network px], confidence) and scores (P,)."""


def keypoint_names(model: OnnxModel, count: int) -> tuple[str, ...]:
    """Names of the keypoints, from the recipe or by their number; raises WeightsError where they do not fit."""
    names = model.recipe.keypoints or LAYOUTS[count]
    if len(names) != count:
        raise WeightsError(f"{model.path.name} has {count} keypoints, the JSON beside it names {len(names)}")
    if "nose" not in names and "left_shoulder" not in names:
        raise WeightsError(f"the JSON beside {model.path.name} names no joint that is known here")
    return names


class Rtmo(OneStage):
    """RTMO as mmdeploy writes it: boxes (1, N, 5) and keypoints (1, N, K, 3) in pixels of the network's picture."""

    kind = "RTMO"

    def keypoints_in(self, outputs: list[F32]) -> int:
        """How many keypoints a person has."""
        return int(next(o.shape[2] for o in outputs if o.ndim == 4))

    def read(self, outputs: list[F32], net_px: tuple[int, int]) -> tuple[F32, F32]:
        """Outputs -> points and scores; doubles are left out, in case the export has no such step."""
        boxes = next(o[0] for o in outputs if o.ndim == 3 and o.shape[2] == 5)
        points = next(o[0] for o in outputs if o.ndim == 4)
        rows = without_doubles(boxes[:, :4], boxes[:, 4], _LEAST_SCORE)
        return points[rows], boxes[rows, 4]


class YoloPose(OneStage):
    """YOLO pose before its last step: (1, 5 + 3 K, N) centre, size, score and keypoints of every cell."""

    kind = "YOLO pose"
    usual = Recipe("RGB", std=(255.0, 255.0, 255.0))

    def keypoints_in(self, outputs: list[F32]) -> int:
        """How many keypoints a person has."""
        return (min(outputs[0].shape[1:]) - 5) // 3

    def read(self, outputs: list[F32], net_px: tuple[int, int]) -> tuple[F32, F32]:
        """Outputs -> points and scores of the best cells."""
        cells = outputs[0][0]
        cells = cells.T if cells.shape[0] < cells.shape[1] else cells
        half = cells[:, 2:4] / 2
        boxes = np.concatenate([cells[:, :2] - half, cells[:, :2] + half], 1)
        rows = without_doubles(boxes, cells[:, 4], _LEAST_SCORE)
        return cells[rows, 5:].reshape(len(rows), -1, 3), cells[rows, 4]


class MoveNet(OneStage):
    """MoveNet: (1, 6, 56) for up to six people, or (1, 1, 17, 3) for one; y, x, confidence in shares of the picture."""

    kind = "MoveNet"
    usual = Recipe("RGB", fill=0, threshold=0.2)

    def keypoints_in(self, outputs: list[F32]) -> int:
        """How many keypoints a person has."""
        return 17 if outputs[0].ndim == 3 else int(outputs[0].shape[2])

    def read(self, outputs: list[F32], net_px: tuple[int, int]) -> tuple[F32, F32]:
        """Outputs -> points and scores; of one person alone the score is the mean confidence."""
        rows = outputs[0][0]
        shares = rows[:, :51].reshape(-1, 17, 3) if rows.ndim == 2 else rows
        score = rows[:, 55] if rows.ndim == 2 else rows[..., 2].mean(1)
        points = shares[..., [1, 0, 2]] * np.array([*net_px, 1.0], np.float32)
        return points, score
