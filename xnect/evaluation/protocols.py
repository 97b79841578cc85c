"""Each protocol of ``xnect evaluate``: from the files named to tables, figures and plots."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xnect.errors import FormatError
from xnect.evaluation import mupots, plots
from xnect.evaluation.coco import MOST_PEOPLE, CocoFigures, CocoSet, evaluate, judge_results
from xnect.evaluation.poses import Judged, judge_files
from xnect.evaluation.quality import quality, up_vector
from xnect.evaluation.report import Cell, markdown_table
from xnect.evaluation.tracks import judge_tracks, read_boxes
from xnect.formats.recording import Recording, load
from xnect.skeleton.joints import JOINTS_3D
from xnect.untrusted import parse_json


@dataclass(frozen=True, slots=True)
class Report:
    """What a protocol found.

    Attributes:
        text: Markdown.
        figures: The same for JSON.
        draw: Folder -> the plots written there; raises OutputError.
    """

    text: str
    figures: dict[str, Any]
    draw: Callable[[Path], list[Path]]


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def coco(options: Namespace) -> Report:
    """2D joints on pictures, by our network or from a file of results."""
    pictures = CocoSet(options.labels, options.pictures, options.limit)
    found = judge_results(pictures.truth, _results(options.results, pictures)) if options.results else None
    figures = found or _run_network(pictures, options)
    names = ("AP", "AP50", "AP75", "AP medium", "AP large", "AR")
    values = [figures.ap, figures.ap50, figures.ap75, figures.ap_medium, figures.ap_large, figures.ar]
    shown: list[Cell] = [None if v < 0 else 100 * v for v in values]
    note = (
        f"{figures.pictures} pictures, {figures.people} people, 13 joints, at most {MOST_PEOPLE} people a picture [%]."
    )
    return Report(
        f"{markdown_table(names, [shown])}\n\n{note}",
        figures.as_dict(),
        lambda folder: [
            plots.bars(folder / "coco.png", "COCO keypoints", names, [100 * max(v, 0) for v in values], "%")
        ],
    )


def _results(path: str, pictures: CocoSet) -> list[dict[str, Any]]:
    try:
        rows = parse_json(Path(path).read_bytes())
        there = {image["id"] for image in pictures.truth["images"]}
        kept = [row for row in rows if row["image_id"] in there]
        good = all(len(row["keypoints"]) == 39 and isinstance(row["score"], int | float) for row in kept)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path} is not a list of COCO results") from error
    if not good:
        raise FormatError(f"{path}: 13 joints (39 numbers) and a score expected in every row")
    return [{"category_id": 1, **row} for row in kept]


def _run_network(pictures: CocoSet, options: Namespace) -> CocoFigures:
    from tqdm import tqdm

    from xnect.config import DetectionConfig, NetworkConfig, PipelineConfig
    from xnect.stages.stage_one import load_stage_one

    settings = NetworkConfig(device=options.device, threads=options.threads, weights=options.weights)
    if options.input_size is not None:
        settings = replace(settings, input_size=options.input_size)
    detection = DetectionConfig(max_people=MOST_PEOPLE, min_score=0.02)  # AP judges the whole ranking
    detect = load_stage_one(PipelineConfig(network=settings, detection=detection))
    return evaluate(detect, pictures, lambda p: tqdm(p, total=len(pictures), unit="picture", disable=None))


def _draw_poses(judged: Judged, curves: dict[str, np.ndarray], names: list[str]) -> Callable[[Path], list[Path]]:
    def draw(folder: Path) -> list[Path]:
        return [
            plots.pck_curves(folder / "pck.png", curves),
            plots.bars(folder / "joints.png", "mean error of each joint", names, list(judged.joint_mm), "mm"),
        ]

    return draw


def _clips(
    protocol: str, options: Namespace, judge: Callable[[mupots.Matched], tuple[dict[str, Any], Judged]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Judged]]:
    """Figures of every clip, of all people together ("together"), and the plain mean of the clips ("mean")."""
    clips = mupots.sequences(protocol, options.truth, options.found)
    clips["together"] = mupots.joined(list(clips.values()))
    judged = {name: judge(people) for name, people in clips.items()}
    rows = {name: figures for name, (figures, _) in judged.items()}
    each = [figures for name, figures in rows.items() if name != "together"]
    rows["mean"] = {
        key: float(np.mean([f[key] for f in each if f[key] is not None]))
        if any(f[key] is not None for f in each)
        else None
        for key in rows["together"]
    }
    return rows, {name: one for name, (_, one) in judged.items()}


def _clip_report(
    rows: dict[str, dict[str, Any]], judged: dict[str, Judged], columns: dict[str, tuple[str, bool]], note: str
) -> Report:
    """Table of clips: ``columns`` has a figure's name -> heading and whether it is a share."""

    def cells(name: str) -> list[Cell]:
        values = rows[name]
        return [name, *(_percent(values[key]) if share else values[key] for key, (_, share) in columns.items())]

    table = markdown_table(["clip", *(head for head, _ in columns.values())], [cells(name) for name in rows])
    whole = judged["together"]
    curves = {name: one.curve for name, one in judged.items()} if len(judged) <= 8 else {"together": whole.curve}
    names = list(JOINTS_3D[: len(whole.joint_mm)])
    return Report(f"{table}\n\n{note}", {"clips": rows}, _draw_poses(whole, curves, names))


def mupots_3d(options: Namespace) -> Report:
    """3DPCK and AUC by MuPoTS-3D's protocol."""
    rows, judged = _clips("mupots", options, mupots.judge_mupots)
    columns = {
        "people": ("people", False), "found": ("found %", True), "pck150_all": ("3DPCK all", True),
        "auc_all": ("AUC all", True), "pck150_matched": ("3DPCK matched", True), "auc_matched": ("AUC matched", True),
        "pck150_visible": ("visible", True), "pck150_occluded": ("occluded", True), "mpjpe_mm": ("MPJPE mm", False),
        "pa_mpjpe_mm": ("PA-MPJPE mm", False),
    }  # fmt: skip
    note = (
        "3DPCK at 150 mm and AUC [%] of 14 joints after rescaling bones to the truth's lengths, universal size; visible and "
        "occluded joints of all people. MPJPE and PA-MPJPE: people found, nothing rescaled before, true size. "
        "together: every person counts alike; mean: every clip counts alike."
    )
    return _clip_report(rows, judged, columns, note)


def mpi_inf_3dhp(options: Namespace) -> Report:
    """3DPCK, AUC and MPJPE by MPI-INF-3DHP's protocol."""
    rows, judged = _clips("mpi-inf-3dhp", options, mupots.judge_dhp)
    columns = {
        "poses": ("frames", False), "found": ("found %", True), "pck150": ("3DPCK", True), "auc": ("AUC", True),
        "mpjpe_mm": ("MPJPE mm", False), "pa_mpjpe_mm": ("PA-MPJPE mm", False),
        "metric_mpjpe_mm": ("MPJPE mm, true size", False),
    }  # fmt: skip
    note = (
        "3DPCK at 150 mm and AUC [%] of 14 joints relative to the pelvis, universal size; a person not found counts as "
        "wrong there and is left out of MPJPE. together: every frame counts alike; mean: every clip counts alike."
    )
    return _clip_report(rows, judged, columns, note)


def h36m(options: Namespace) -> Report:
    """MPJPE and PA-MPJPE of two files."""
    judged = judge_files(options.truth, options.found, options.root, options.unit)
    f = judged.figures
    heads = ("poses", "found %", "MPJPE mm", "PA-MPJPE mm", "3DPCK %", "AUC %")
    row = [f["poses"], 100 * f["found"], f["mpjpe_mm"], f["pa_mpjpe_mm"], 100 * f["pck150"], 100 * f["auc"]]
    origin = "root: joint " + ",".join(map(str, options.root)) if options.root else "absolute places"
    joints = [f"joint {k}" for k in range(len(judged.joint_mm))]
    each = {n: None if np.isnan(v) else float(v) for n, v in zip(joints, judged.joint_mm, strict=True)}
    return Report(
        f"{markdown_table(heads, [row])}\n\n{origin}; 3DPCK at 150 mm.",
        {**f, "joint_mm": each},
        _draw_poses(judged, {"all joints": judged.curve}, joints),
    )


def tracking(options: Namespace) -> Report:
    """Identity over time."""
    figures = judge_tracks(read_boxes(options.truth, truth=True), read_boxes(options.found), options.overlap)
    shares = ("idf1", "idp", "idr", "mota", "recall", "precision")
    table = markdown_table(list(figures), [[100 * v if k in shares else v for k, v in figures.items()]])
    names = [n.upper() if len(n) < 5 else n for n in shares]
    values = [100 * figures[n] for n in shares]
    return Report(
        f"{table}\n\nShares in %; boxes match from an overlap (IoU) of {options.overlap:g}.",
        figures,
        lambda folder: [plots.bars(folder / "tracking.png", "identity over time", names, values, "%")],
    )


_QUALITY = {
    "frames": "frames", "length_s": "s", "rate_hz": "frames/s", "dropped": "dropped", "longest_gap_s": "longest gap s",
    "people": "people", "ids": "ids", "fragments": "fragments", "id_changes": "id changes", "jumps": "jumps",
    "jitter_m_s2": "jitter m/s²", "root_jitter_m_s2": "root jitter m/s²", "bone_drift": "bone drift %",
    "skating_m_s": "skating cm/s", "inferred": "inferred %",
}  # fmt: skip
_HUNDREDFOLD = ("bone_drift", "skating_m_s", "inferred")


def label_free(options: Namespace) -> Report:
    """Quality of recordings without a truth."""
    loaded: dict[str, Recording] = {}
    for path in options.recordings:
        name = Path(path).parent.name if Path(path).name == "poses.jsonl" else Path(path).stem
        loaded[name if name not in loaded else str(path)] = load(path)
    judged = {name: quality(one, up_vector(options.tilt)).as_dict() for name, one in loaded.items()}
    rows: list[list[Cell]] = [
        [name, *(_percent(f[k]) if k in _HUNDREDFOLD else f[k] for k in _QUALITY)] for name, f in judged.items()
    ]

    def draw(folder: Path) -> list[Path]:
        used: list[Path] = []
        for number, (name, one) in enumerate(loaded.items()):
            safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name) or str(number)
            path = folder / f"{safe}.png"
            used.append(plots.timeline(path if path not in used else folder / f"{safe}-{number}.png", one, name))
        return used

    return Report(markdown_table(["recording", *_QUALITY.values()], rows, 2), {"recordings": judged}, draw)


PROTOCOLS: dict[str, Callable[[Namespace], Report]] = {
    "coco": coco, "mupots": mupots_3d, "mpi-inf-3dhp": mpi_inf_3dhp, "h36m": h36m, "tracking": tracking,
    "quality": label_free,
}  # fmt: skip
