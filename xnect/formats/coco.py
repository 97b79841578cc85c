"""``coco.json``: COCO's keypoint results, one entry a person, 17 joints of which 13 are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from xnect.formats.jsonl import DECIMALS_PX, DECIMALS_SHARE, rounded
from xnect.formats.people import FrameRecord, People
from xnect.skeleton.joints import COCO_13
from xnect.skeleton.layouts import COCO_13_OF_17

FILE_NAME = "coco.json"


def entries(image_id: int, people: People) -> list[dict[str, Any]]:
    """The entries of one frame; a joint that is not seen is 0, 0, 0, else its third number is its confidence."""
    points = np.zeros((len(people), 17, 2))
    confidence = np.zeros((len(people), 17))
    confidence[:, COCO_13_OF_17] = np.clip(people.confidence_2d[:, COCO_13], 0, 1)
    points[:, COCO_13_OF_17] = np.where(confidence[:, COCO_13_OF_17, None] > 0, people.joints_2d[:, COCO_13], 0.0)
    pixels, shares = rounded(points, DECIMALS_PX), rounded(confidence, DECIMALS_SHARE)
    scores = rounded(np.clip(people.score, 0, 1), DECIMALS_SHARE)
    return [
        {
            "image_id": int(image_id),
            "category_id": 1,
            "keypoints": [v for xy, c in zip(pixels[row], shares[row], strict=True) for v in (*xy, c)],
            "score": scores[row],
            "track_id": person_id,
        }
        for row, person_id in enumerate(people.ids.tolist())
    ]


class CocoWriter:
    """Writes the list entry by entry; a killed run leaves it without its end, which ``xnect repair`` mends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii")
        self._file.write("[")
        self._first = True

    def write(self, record: FrameRecord) -> None:
        """Append the people of one frame; the frame's number is the image id."""
        for entry in entries(record.result.index, record.people):
            self._file.write("\n" if self._first else ",\n")
            self._file.write(json.dumps(entry, separators=(",", ":"), allow_nan=False))
            self._first = False
        self._file.flush()

    def close(self) -> None:
        """End the list."""
        with self._file:
            self._file.write("\n]\n")
