"""Top-down: one network finds people's boxes, another (RTMPose) the joints inside each box."""

from __future__ import annotations

import cv2
import numpy as np

from xnect.config import DetectionConfig
from xnect.errors import WeightsError
from xnect.skeleton.layouts import detections_from, strongest
from xnect.stages.foreign_model import OnnxModel, Recipe, placed, read_recipe, without_doubles
from xnect.stages.foreign_one_stage import keypoint_names
from xnect.structures import F32, U8, Detections

#: A box grows by this factor before the joints are looked for in it, as in training.
_MARGIN = 1.25
_STRIDES = (8, 16, 32)
_PERSON = 0  # COCO's first class


def is_box_finder(shapes: list[tuple[int, ...]]) -> bool:
    """Whether outputs are boxes (1, N, 5) with classes (1, N), or YOLOX's cells (1, N, 5 + classes)."""
    if any(len(s) == 3 and s[2] == 5 for s in shapes):
        return all((len(s) == 3 and s[2] == 5) or len(s) == 2 for s in shapes)
    return len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] in (6, 85)


class BoxFinder:
    """Finds people's boxes: YOLOX's cells, or any detector that mmdeploy wrote (boxes and classes)."""

    def __init__(self, model: OnnxModel) -> None:
        """Take over an open network; raises WeightsError where its outputs are no boxes."""
        self.model = model
        outputs = model.trial()
        if not is_box_finder([o.shape for o in outputs]):
            told = ", ".join("x".join(map(str, o.shape)) for o in outputs)
            raise WeightsError(
                f"--boxes {model.path.name} has outputs {told}; 1xNx5 and classes, or YOLOX's cells expected"
            )
        model.recipe = read_recipe(model.path, Recipe())

    def __call__(self, image_bgr: U8, most: int) -> tuple[F32, F32]:
        """Boxes (P, 4: x0, y0, x1, y1) [px] and scores (P,), best first."""
        net_px = self.model.shape_for((image_bgr.shape[1], image_bgr.shape[0]))
        picture, scale = placed(image_bgr, net_px, self.model.recipe.fill)
        outputs = self.model(picture[None])
        boxes, scores = _cells(outputs[0][0], net_px) if outputs[0].shape[-1] > 5 else _listed(outputs)
        rows = without_doubles(boxes, scores, self.model.recipe.threshold)[:most]
        return boxes[rows] / scale, scores[rows]


def _listed(outputs: list[F32]) -> tuple[F32, F32]:
    found = next(o[0] for o in outputs if o.ndim == 3)
    classes = next((o[0] for o in outputs if o.ndim == 2), np.zeros(len(found)))
    return found[:, :4], np.where(classes == _PERSON, found[:, 4], -1.0).astype(np.float32)


def _cells(cells: F32, net_px: tuple[int, int]) -> tuple[F32, F32]:
    """YOLOX: offsets from each cell and logarithms of sizes, in strides."""
    grids = []
    for stride in _STRIDES:
        y, x = np.mgrid[: net_px[1] // stride, : net_px[0] // stride]
        grids.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], 1))
    grid = np.concatenate(grids).astype(np.float32)
    if len(grid) != len(cells):
        raise WeightsError(
            f"--boxes: {len(cells)} cells for a picture of {net_px[0]}x{net_px[1]}; YOLOX has {len(grid)}"
        )
    centre = (cells[:, :2] + grid[:, :2]) * grid[:, 2:]
    half = np.exp(np.clip(cells[:, 2:4], -20, 10)) * grid[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], 1), cells[:, 4] * cells[:, 5 + _PERSON]


class TopDown:
    """RTMPose: two rows of bins a keypoint (SimCC), on a cut-out of each person.

    Attributes:
        config: Limits; may be set anew.
        description: Kind and files in words.
    """

    usual = Recipe("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), fill=0)

    def __init__(self, model: OnnxModel, outputs: list[F32], boxes: BoxFinder, config: DetectionConfig) -> None:
        """Take over open networks; raises WeightsError."""
        if model.size_px is None:
            raise WeightsError(f"{model.path.name}: a network for cut-outs must have a fixed size of picture")
        self.model, self.boxes, self.config = model, boxes, config
        self._size_px = model.size_px
        model.recipe = read_recipe(model.path, self.usual)
        self.names = keypoint_names(model, outputs[0].shape[1])
        self.description = f"RTMPose {model.path.name} with boxes of {boxes.model.path.name} in onnxruntime"

    def __call__(self, image_bgr: U8) -> Detections:
        """People of one picture."""
        boxes, scores = self.boxes(image_bgr, self.config.max_people)
        if not len(boxes):
            return Detections.empty()
        origin, pixel = self._cut_outs(boxes)
        pictures = np.stack([self._cut(image_bgr, o, p) for o, p in zip(origin, pixel, strict=True)])
        places, sure = self._joints(pictures)
        sure = np.where(sure >= self.model.recipe.threshold, sure, 0.0)
        points = origin[:, None] + places * pixel[:, None, None]
        people = detections_from(points, sure, self.names, scores)
        limits = self.config
        return strongest(people, limits.min_joints, limits.min_score, limits.max_people)

    def _cut_outs(self, boxes: F32) -> tuple[np.ndarray, np.ndarray]:
        """Top left corner (P, 2) [px] and frame pixels a pixel of the cut-out (P,), boxes widened to its shape."""
        width, height = self._size_px
        sides = boxes[:, 2:] - boxes[:, :2]
        pixel = np.maximum(np.maximum(sides[:, 0] / width, sides[:, 1] / height) * _MARGIN, 1e-3)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        return middle - np.array([width, height]) / 2 * pixel[:, None], pixel

    def _cut(self, image_bgr: U8, origin: np.ndarray, pixel: float) -> U8:
        matrix = np.array([[1 / pixel, 0, -origin[0] / pixel], [0, 1 / pixel, -origin[1] / pixel]])
        fill = (self.model.recipe.fill,) * 3
        cut = cv2.warpAffine(image_bgr, matrix, self._size_px, flags=cv2.INTER_LINEAR, borderValue=fill)
        return np.asarray(cut, np.uint8)

    def _joints(self, pictures: U8) -> tuple[np.ndarray, np.ndarray]:
        """Places (P, K, 2) [px of the cut-outs] and confidences (P, K)."""
        batch = self.model.batch or len(pictures)
        rows, columns = [], []
        for start in range(0, len(pictures), batch):  # one run a batch, whatever number the network was made for
            part = pictures[start : start + batch]
            padded = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), np.uint8)])
            x, y = self.model(padded)
            columns.append(x[: len(part)])
            rows.append(y[: len(part)])
        x, y = np.concatenate(columns), np.concatenate(rows)
        bins = x.shape[2] / self._size_px[0]
        places = np.stack([x.argmax(2), y.argmax(2)], -1) / bins
        return places, np.minimum(x.max(2), y.max(2))
