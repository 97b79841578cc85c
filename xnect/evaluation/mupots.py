"""The protocols of MuPoTS-3D and MPI-INF-3DHP (docs/evaluation.md tells the steps)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnect.evaluation.annotations import (
    JOINTS,
    Sequence,
    found_people,
    pairs,
    read_dhp,
    read_mupots,
    read_recording,
)
from xnect.evaluation.poses import Judged, judge
from xnect.formats.recording import Recording
from xnect.skeleton.joints import PELVIS
from xnect.structures import F64, I64, Bool

#: A joint agrees where it lies nearer than this in x and in y [px].
NEAR_PX = 40.0
#: The 14 joints that count: head top, neck, shoulders, elbows, wrists, hips, knees, ankles.
COUNTED = 14
#: Bones from the pelvis outwards: joint, parent.
BONES = (
    (15, 14), (1, 15), (0, 1), (16, 1), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 6), (8, 14), (9, 8), (10, 9),
    (11, 14), (12, 11), (13, 12),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Annotated people of a clip, one row each, with who was found for them.

    Attributes:
        found_m: float64 (N, 17, 3), relative to the pelvis [m]; 0 where nobody was found.
        metric_m: float64 (N, 17, 3), relative to the pelvis [m].
        universal_m: float64 (N, 17, 3), relative to the pelvis [m].
        there: bool (N,), whether somebody was found.
        occluded: bool (N, 17), None where it is not told.
    """

    found_m: F64
    metric_m: F64
    universal_m: F64
    there: Bool
    occluded: Bool | None


def match(truth_px: F64, found_px: F64, seen: Bool) -> I64:
    """Whom each annotated person was found as, in turn: the free one with most joints near; -1 = nobody, int64 (P,).

    Args:
        truth_px: float64 (P, 17, 2).
        found_px: float64 (K, 14, 2); joints 1 to 13 (all but the head) are compared.
        seen: bool (K, 14).
    """
    out = np.full(len(truth_px), -1)
    if not len(found_px):
        return out
    away = np.abs(truth_px[:, None, 1:14] - found_px[None, :, 1:]).max(-1)
    agree = ((away < NEAR_PX) & seen[None, :, 1:]).sum(-1)
    for k, row in enumerate(agree):
        best = int(row.argmax())
        if row[best] > 0:
            out[k] = best
            agree[:, best] = 0
    return out


def rescaled(found: F64, truth: F64) -> F64:
    """Poses (N, 17, 3) whose bones have the truth's lengths and their own directions, from the pelvis outwards."""
    out = found.copy()
    for joint, parent in BONES:
        bone = found[:, joint] - found[:, parent]
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        wanted = np.linalg.norm(truth[:, joint] - truth[:, parent], axis=-1, keepdims=True)
        out[:, joint] = out[:, parent] + bone * wanted / np.maximum(length, 1e-9)
    return out


def matched(sequence: Sequence, recording: Recording) -> Matched:
    """Everyone annotated, with the person found for them; frame k of the annotations is frame k of the recording."""
    found, there, rows = [], [], np.argwhere(sequence.valid)
    for frame in np.unique(rows[:, 0]):
        who = np.flatnonzero(sequence.valid[frame])
        points, seen, joints = found_people(recording, int(frame))
        chosen = match(sequence.joints_px[frame, who], points, seen)
        padded = np.concatenate([joints, np.zeros((1, JOINTS, 3))])  # the last row is nobody's
        found.append(padded[chosen])
        there.append(chosen >= 0)
    f, p = rows.T

    def centred(joints: F64) -> F64:
        return joints - joints[:, [PELVIS]]

    return Matched(
        centred(np.concatenate([np.zeros((0, JOINTS, 3)), *found])),
        centred(sequence.metric_m[f, p]),
        centred(sequence.universal_m[f, p]),
        np.concatenate([np.zeros(0, bool), *there]),
        None if sequence.occluded is None else sequence.occluded[f, p],
    )


def joined(parts: list[Matched]) -> Matched:
    """Several clips as one."""
    told = [p.occluded for p in parts if p.occluded is not None]
    return Matched(
        np.concatenate([p.found_m for p in parts]),
        np.concatenate([p.metric_m for p in parts]),
        np.concatenate([p.universal_m for p in parts]),
        np.concatenate([p.there for p in parts]),
        np.concatenate(told) if len(told) == len(parts) else None,
    )


def _judge(found: F64, truth: F64, there: Bool, known: Bool | None = None) -> Judged:
    counts = np.ones((len(found), COUNTED), bool) if known is None else known[:, :COUNTED]
    return judge(found[:, :COUNTED], truth[:, :COUNTED], counts, np.repeat(there[:, None], COUNTED, 1))


def judge_mupots(people: Matched) -> tuple[dict[str, Any], Judged]:
    """Figures by MuPoTS-3D's protocol (bones rescaled, universal size), and plain MPJPE in true size beside them.

    Returns:
        ``all`` (people not found count as wrong), ``matched`` (they are left out), ``occluded`` and ``visible`` joints
        (of all people), each 3DPCK and AUC from 0 to 1, None where there are none; found share, plain errors in mm.
        And what the curve and the joints of "all" are made of.
    """
    scaled = rescaled(people.found_m, people.universal_m)
    everyone = _judge(scaled, people.universal_m, people.there)
    plain = _judge(people.found_m, people.metric_m, people.there).figures
    rows = people.there
    only = _judge(scaled[rows], people.universal_m[rows], rows[rows]).figures if rows.any() else {}
    figures = {
        "people": len(rows),
        "found": float(rows.mean()) if len(rows) else 0.0,
        "pck150_all": everyone.figures["pck150"],
        "auc_all": everyone.figures["auc"],
        "pck150_matched": only.get("pck150"),
        "auc_matched": only.get("auc"),
        "pck150_visible": None,
        "pck150_occluded": None,
        "mpjpe_mm": plain["mpjpe_mm"],
        "pa_mpjpe_mm": plain["pa_mpjpe_mm"],
    }
    if people.occluded is not None:
        for name, chosen in (("visible", ~people.occluded), ("occluded", people.occluded)):
            if chosen[:, :COUNTED].any():
                part = _judge(scaled, people.universal_m, people.there, chosen)
                figures[f"pck150_{name}"] = part.figures["pck150"]
    return figures, everyone


def judge_dhp(people: Matched) -> tuple[dict[str, Any], Judged]:
    """Figures by MPI-INF-3DHP's protocol: no rescaling, universal size; a person not found counts as wrong."""
    judged = _judge(people.found_m, people.universal_m, people.there)
    metric = _judge(people.found_m, people.metric_m, people.there).figures
    return {**judged.figures, "metric_mpjpe_mm": metric["mpjpe_mm"]}, judged


def sequences(protocol: str, truth: str | Path, recordings: str | Path) -> dict[str, Matched]:
    """Name of each clip -> its people; ``protocol`` is "mupots" or "mpi-inf-3dhp".

    Raises:
        FormatError: Annotations or recordings are missing or not what they should be.
    """
    read, count = (read_mupots, 20) if protocol == "mupots" else (read_dhp, 6)
    return {folder.name: matched(read(folder), read_recording(log)) for folder, log in pairs(truth, recordings, count)}
