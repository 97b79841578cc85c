"""Accuracy on training pictures that are never trained on: what every choice of a training run may be made by."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from xnect.config import DetectionConfig
from xnect.errors import FormatError
from xnect.skeleton.joints import COCO_13, OKS_SIGMAS_13
from xnect.stages.association import associate
from xnect.stages.network import MapNetwork
from xnect.structures import U8, Detections
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
        """AP, AP50 and AR (pycocotools, 13 joints, all sizes of people) of a network on the held-out pictures."""
        config = config or DetectionConfig(max_people=20)
        found: list[dict[str, Any]] = []
        for number, pixels in tqdm(self._pictures.items(), desc="held out", unit="", leave=False):
            found += as_coco(number, associate(network(pixels), config))
        return coco_figures(self._truth, found)


def as_coco(image_id: int, people: Detections) -> list[dict[str, Any]]:
    """People as COCO results with 13 joints.

    COCO scores a guess for every joint, so a joint that was not seen is put at the mean of those that were.
    """
    rows = []
    for k in range(len(people)):
        joints = people.joints_px[k].astype(float)
        seen = people.confidence[k] > 0
        joints[~seen] = joints[seen].mean(0)
        keypoints = np.concatenate([joints[COCO_13], seen[COCO_13, None]], 1)
        rows.append({
            "image_id": image_id, "category_id": 1, "keypoints": keypoints.round(2).ravel().tolist(),
            "score": float(people.score[k]),
        })  # fmt: skip
    return rows


def coco_figures(truth: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, float]:
    """AP, AP50 and AR of COCO results with 13 joints."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not found:
        return {"AP": 0.0, "AP50": 0.0, "AR": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(found), "keypoints")
        run.params.kpt_oks_sigmas = OKS_SIGMAS_13
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {"AP": float(run.stats[0]), "AP50": float(run.stats[1]), "AR": float(run.stats[5])}
