"""Accuracy on training pictures that are never trained on: what every choice of a training run may be made by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xnect.config import DetectionConfig
from xnect.evaluation.coco import MOST_PEOPLE, as_results, judge_results
from xnect.stages.association import associate
from xnect.stages.executors.base import MapNetwork
from xnect.structures import U8
from xnect.training.datasets.people import LSP_IDS, is_held_out, labelled_pictures, load_labels


class HeldOut:
    """The held-out COCO pictures of one or several people packs, with the evaluation that belongs to them."""

    def __init__(self, folders: Path | Sequence[Path], limit: int | None = None) -> None:
        found = [p for p in labelled_pictures(folders) if is_held_out(p.image["id"]) and p.image.get("complete", True)]
        found = found[:limit]
        assert all(p.image["id"] < LSP_IDS for p in found)
        people = [{"keypoints": [0] * 39, "num_keypoints": 0, **a} for p in found for a in p.people]
        self._truth = {
            **load_labels((folders if isinstance(folders, Path) else folders[0]) / "train13.json"),
            "images": [p.image for p in found],
            "annotations": [{**a, "id": k} for k, a in enumerate(people, 1)],  # packs number their people alike
        }
        self._pictures: dict[int, U8] = {p.image["id"]: p.pixels() for p in found}

    def __call__(self, network: MapNetwork, config: DetectionConfig | None = None) -> dict[str, float]:
        """AP, AP50 and AR (13 joints, all sizes of people) of a network on the held-out pictures."""
        config = config or DetectionConfig(max_people=MOST_PEOPLE, min_score=0.02)  # AP judges the whole ranking
        found: list[dict[str, Any]] = []
        for number, pixels in tqdm(self._pictures.items(), desc="held out", unit="", leave=False):
            found += as_results(number, associate(network(pixels), config))
        figures = judge_results(self._truth, found)
        return {"AP": figures.ap, "AP50": figures.ap50, "AR": figures.ar}
