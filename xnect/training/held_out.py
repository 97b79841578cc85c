"""Accuracy on training pictures that are never trained on: what every choice of a training run may be made by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from xnect.config import DetectionConfig
from xnect.errors import FormatError
from xnect.evaluation.coco import MOST_PEOPLE, as_results, judge_results
from xnect.stages.association import associate
from xnect.stages.network import MapNetwork
from xnect.structures import U8
from xnect.training.datasets.people import LSP_IDS, Shards, is_held_out, load_labels


class HeldOut:
    """The held-out COCO pictures of the people pack, with the evaluation that belongs to them."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        data = load_labels(folder / "train13.json")
        shards = Shards(sorted(folder.glob("train_*.zip")) or [folder])
        images = [
            i for i in data["images"] if is_held_out(i["id"]) and i["file_name"] in shards and i.get("complete", True)
        ]
        images = images[:limit]
        ids = {i["id"] for i in images}
        people = [{"keypoints": [0] * 39, "num_keypoints": 0, **a} for a in data["annotations"] if a["image_id"] in ids]
        assert all(i["id"] < LSP_IDS for i in images)
        self._truth = {**data, "images": images, "annotations": people}
        self._pictures: dict[int, U8] = {}
        for image in images:
            pixels = cv2.imdecode(np.frombuffer(shards.read(image["file_name"]), np.uint8), cv2.IMREAD_COLOR)
            if pixels is None:
                raise FormatError(f"{image['file_name']} cannot be decoded")
            self._pictures[image["id"]] = pixels.astype(np.uint8, copy=False)

    def __call__(self, network: MapNetwork, config: DetectionConfig | None = None) -> dict[str, float]:
        """AP, AP50 and AR (13 joints, all sizes of people) of a network on the held-out pictures."""
        config = config or DetectionConfig(max_people=MOST_PEOPLE, min_score=0.02)  # AP judges the whole ranking
        found: list[dict[str, Any]] = []
        for number, pixels in tqdm(self._pictures.items(), desc="held out", unit="", leave=False):
            found += as_results(number, associate(network(pixels), config))
        figures = judge_results(self._truth, found)
        return {"AP": figures.ap, "AP50": figures.ap50, "AR": figures.ar}
