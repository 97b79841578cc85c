"""Identity over time against the truth, on boxes: IDF1, switches, MOTA, by motmetrics."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnect.errors import FormatError
from xnect.evaluation.poses import need
from xnect.formats.recording import load
from xnect.structures import F64, I64

#: Figures by the names motmetrics has for them.
FIGURES = {
    "idf1": "idf1", "idp": "idp", "idr": "idr", "mota": "mota", "switches": "num_switches",
    "fragments": "num_fragmentations", "missed": "num_misses", "false_alarms": "num_false_positives",
    "recall": "recall", "precision": "precision", "boxes": "num_objects",
}  # fmt: skip
_WHOLE = ("switches", "fragments", "missed", "false_alarms", "boxes")


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes with ids over time.

    Attributes:
        frame: int64 (N,), numbered from 1 as in MOTChallenge.
        ids: int64 (N,).
        box_px: float64 (N, 4), x0, y0, x1, y1 [px].
    """

    frame: I64
    ids: I64
    box_px: F64


def read_boxes(path: str | Path, truth: bool = False) -> Boxes:
    """A recording of ours (its frame 0 is frame 1), or MOTChallenge text: frame, id, left, top, width, height, ...

    In truth files rows whose seventh number is 0 are marked to be ignored, and rows of another class than 1 (eighth
    number) are no people; both are left out.

    Raises:
        FormatError: It is neither.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() == ".jsonl":
        recording = load(path)
        frames = recording.frames[recording.row_frame] + 1
        return Boxes(frames, recording.people.ids, recording.people.box.astype(np.float64))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty file: nobody was found
            rows = np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8")
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FormatError(f"{path} is not MOTChallenge text: {' '.join(str(error).split())}") from error
    if not rows.size:
        rows = np.zeros((0, 6))
    if rows.shape[1] < 6 or not (np.abs(rows[:, :6]) < 1e9).all() or (rows[:, 0] < 1).any():
        raise FormatError(f"{path}: frame (from 1), id, left, top, width, height expected in every row")
    if truth and rows.shape[1] > 6:
        rows = rows[rows[:, 6] != 0]
    if truth and rows.shape[1] > 7:
        rows = rows[(rows[:, 7] == 1) | (rows[:, 7] < 0)]
    corner = rows[:, 2:4]
    return Boxes(
        rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), np.concatenate([corner, corner + rows[:, 4:6]], 1)
    )


def overlap(a: F64, b: F64) -> F64:
    """Intersection over union of boxes (M, 4) and (N, 4), float64 (M, N), 0 to 1."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1) for boxes in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-12)


def judge_tracks(truth: Boxes, found: Boxes, least_overlap: float = 0.5) -> dict[str, Any]:
    """IDF1, IDP, IDR, MOTA, recall and precision (shares), switches, fragments, missed, false alarms (counts).

    Raises:
        FormatError: The truth is empty.
        XnectError: motmetrics is not installed.
    """
    if not len(truth.frame):
        raise FormatError("the truth holds nobody")
    motmetrics = need("motmetrics")
    account = motmetrics.MOTAccumulator(auto_id=False)
    for frame in np.unique(np.concatenate([truth.frame, found.frame])):
        a, b = truth.frame == frame, found.frame == frame
        share = overlap(truth.box_px[a], found.box_px[b])
        distance = np.where(share >= least_overlap, 1 - share, np.nan)
        account.update(truth.ids[a], found.ids[b], distance, frameid=int(frame))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' own, about code of motmetrics
        row = motmetrics.metrics.create().compute(account, metrics=list(FIGURES.values()), return_dataframe=False)
    values = {ours: float(np.nan_to_num(row[theirs])) for ours, theirs in FIGURES.items()}
    return {name: int(value) if name in _WHOLE else value for name, value in values.items()}
