"""3D accuracy and time per stage: python benchmarks/stages.py [--motion DIR] [--videos DIR] [--joints DIR] [--weights FILE].

Held-out motion: Stage II and III against motion capture (benchmarks/lifting.py and fit.py). Calibrated pairs of clips:
each view against triangulated joints and the two views against each other, from our own Stage I (--weights, or the one
that ships) and from another detector's 2D joints (--joints: a folder with CLIP.json, {"frames": [{"people":
[{"joints_2d": [[x, y]] * 14, "confidence_2d": [c] * 14, "score": s}]}]}). Times: every stage for 1, 3 and 10 people.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import PEER_3D, ROOT, SHARED, Times, give_out, timed
from xnect.capture import open_source
from xnect.codec.heatmaps import draw_heatmaps
from xnect.codec.pafs import draw_pafs
from xnect.config import DetectionConfig, FilterConfig, FitConfig, NetworkConfig, TrackingConfig
from xnect.errors import FormatError, WeightsError, XnectError
from xnect.evaluation.report import Cell, markdown_table
from xnect.evaluation.views import View, ViewPoses, against_reference, between_views, load_views, match
from xnect.geometry import apply_affine, camera_from_fov, frame_from_map, network_size
from xnect.skeleton.joints import LIMBS, PELVIS
from xnect.stages.association import associate
from xnect.stages.executors.base import default_weights
from xnect.stages.fit import SkeletonFitter
from xnect.stages.lifting import Lifter
from xnect.stages.refinement import load_refiner
from xnect.structures import U8, Camera, Detections, Frame, PoseMaps
from xnect.tracking import Tracker

#: A detector that may use the number of the frame.
Detect = Callable[[Frame], Detections]
PAIRS = ("lab_two_people", "desk_half_body")
FRAME_PX = (1280, 720)
#: A standing body, 14 joints, in shares of its height, feet down.
BODY = np.array(
    [
        [0, -0.34], [0, -0.27], [-0.1, -0.27], [-0.13, -0.1], [-0.14, 0.05], [0.1, -0.27], [0.13, -0.1], [0.14, 0.05],
        [-0.06, 0.03], [-0.06, 0.27], [-0.06, 0.5], [0.06, 0.03], [0.06, 0.27], [0.06, 0.5],
    ]
)  # fmt: skip


def walkers(count: int, frames: int, seed: int = 0) -> Iterator[np.ndarray]:
    """2D joints (count, 14, 2) of people who walk about in a picture of ``FRAME_PX``, frame by frame [px]."""
    rng = np.random.default_rng(seed)
    centre = np.stack([np.linspace(90, FRAME_PX[0] - 90, count), rng.uniform(300, 420, count)], -1)
    height = rng.uniform(300, 420, count)
    phase = rng.uniform(0, 6, count)
    for t in range(frames):
        swing = 0.05 * np.sin(2 * np.pi * (t / 30) + phase)[:, None]
        joints = np.repeat(BODY[None], count, 0)
        joints[:, [4, 9, 13], 0] += swing
        joints[:, [7, 10, 12], 0] -= swing
        yield joints * height[:, None, None] + (centre + np.array([20 * np.sin(t / 40), 0]))[:, None]


def ideal_maps(joints_px: np.ndarray, input_size: tuple[int, int]) -> PoseMaps:
    """Stage I's ideal output for people in a frame of ``FRAME_PX``."""
    width, height = network_size(FRAME_PX, input_size)
    back = frame_from_map(FRAME_PX, (width, height), 8)
    forth = np.linalg.inv(np.vstack([back, [0, 0, 1]]))[:2]
    cells, shape = apply_affine(joints_px, forth), (height // 8, width // 8)
    seen = np.ones(joints_px.shape[:2], bool)
    wide = np.ones(len(joints_px))
    return PoseMaps(draw_heatmaps(cells, seen, wide, shape), draw_pafs(cells, seen, wide, LIMBS, shape), None, back)


def stage_times(weights: Path | None, options: NetworkConfig, frames: int = 90) -> list[dict[str, Any]]:
    """Times of every stage [ms] for 1, 3 and 10 people; the network's own where there are weights."""
    network = own_network(weights, options)
    image = np.random.default_rng(0).integers(0, 255, (FRAME_PX[1], FRAME_PX[0], 3), dtype=np.uint8)
    camera = camera_from_fov(FRAME_PX)
    net_ms = [timed(lambda: network(image))[1] for _ in range(12)][2:] if network else []
    rows = []
    for count in (1, 3, 10):
        columns = run_stages(count, frames, options.input_size, image, camera)
        times = {"network": Times.of(net_ms)} if net_ms else {}
        times |= {name: Times.of(values[20:]) for name, values in columns.items()}  # the first frames compile
        rows.append({"people": count} | {name: asdict(t) for name, t in times.items()})
    return rows


def run_stages(
    count: int, frames: int, input_size: tuple[int, int], image: U8, camera: Camera
) -> dict[str, list[float]]:
    """Times of all stages but the network, frame by frame [ms], on ideal maps of ``count`` people.

    Processor time of all threads: what the stages cost on one core, whatever else the machine does.
    """
    lifter, tracker, fitter = Lifter(), Tracker(TrackingConfig()), SkeletonFitter(FitConfig(), FilterConfig())
    config, refiner = DetectionConfig(), load_refiner(default_weights())
    columns: dict[str, list[float]] = {n: [] for n in ("association", "lifting", "identity", "fit", "these four")}
    for t, joints in enumerate(walkers(count, frames)):
        maps = ideal_maps(joints, input_size)
        marks = [time.process_time()]
        people = associate(maps, config, refiner)
        marks.append(time.process_time())
        poses = lifter(people, camera)
        marks.append(time.process_time())
        tracks = tracker(people, poses, image, t / 30)
        marks.append(time.process_time())
        fitter(tracks, people, poses, camera, t / 30)
        marks.append(time.process_time())
        if len(people) != count:
            raise RuntimeError(f"{count} people drawn, {len(people)} found")
        spent = np.diff(marks) * 1e3
        for name, value in zip(columns, [*spent, spent.sum()], strict=True):
            columns[name].append(float(value))
    return columns


def own_network(weights: Path | None, options: NetworkConfig) -> Any:
    """Stage I's network, None where no weights are there and none were asked for."""
    from xnect.stages.executors.choose import load_network

    try:
        return load_network(None if weights is None else str(weights), options)
    except WeightsError:
        if weights is not None:
            raise
        return None


def from_file(path: Path) -> Detect:
    """A detector that reads joints found before.

    Raises:
        FormatError: Not such a file.
    """
    try:
        frames = json.loads(path.read_text(encoding="utf-8"))["frames"]
        found = [
            Detections(
                np.array([p["joints_2d"] for p in f["people"]], np.float32).reshape(-1, 14, 2),
                np.array([p["confidence_2d"] for p in f["people"]], np.float32).reshape(-1, 14),
                np.array([p["score"] for p in f["people"]], np.float32),
            )
            for f in frames
        ]
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: not a file of 2D joints ({error})") from error
    return lambda frame: found[frame.index] if frame.index < len(found) else Detections.empty()


def film(view: View, detect: Detect, reference: Any) -> dict[str, ViewPoses]:
    """Run Stages II and III over one view; poses of the reference people after either."""
    lifter, tracker, fitter = Lifter(), Tracker(TrackingConfig()), SkeletonFitter(FitConfig(), FilterConfig())
    people, frames = reference.known.shape[:2]
    poses = {stage: np.zeros((people, frames, 21, 3)) for stage in ("II", "III")}
    found = np.zeros((people, frames), bool)
    with open_source(view.video) as source:
        for frame in source:
            if frame.index >= frames:
                break
            seen = detect(frame)
            lifted = lifter(seen, view.camera)
            tracks = tracker(seen, lifted, frame.image_bgr, frame.timestamp_s)
            bodies = fitter(tracks, seen, lifted, view.camera, frame.timestamp_s)
            for who, row in enumerate(match(seen, frame.index, view, reference)):
                track = np.flatnonzero(tracks.row == row) if row >= 0 else ()
                if len(track):
                    body = bodies.joints_m[track[0]]
                    poses["II"][who, frame.index] = lifted.joints_m[row]
                    poses["III"][who, frame.index] = body - body[PELVIS]
                    found[who, frame.index] = True
    return {stage: ViewPoses(joints, found) for stage, joints in poses.items()}


def pair_rows(videos: Path, stem: str, name: str, detector_of: Callable[[View], Detect]) -> list[dict[str, Any]]:
    """Figures of one calibrated pair with one detector: each view against the reference, then both views."""
    views, reference = load_views(videos, stem)
    filmed = [film(view, detector_of(view), reference) for view in views]
    rows = []
    for stage in ("II", "III"):
        head = {"clip": stem, "2D joints": name, "stage": stage}
        for view, poses in zip(views, filmed, strict=True):
            rows.append(
                {**head, "compared": f"{view.name} / reference", **against_reference(poses[stage], view, reference)}
            )
        both = between_views(filmed[0][stage], filmed[1][stage], views[0], views[1])
        rows.append({**head, "compared": f"{views[0].name} / {views[1].name}", **both})
    return rows


def all_pairs(options: argparse.Namespace, settings: NetworkConfig) -> list[dict[str, Any]]:
    """Figures of all pairs with every detector at hand."""
    detectors: list[tuple[str, Callable[[View], Detect]]] = []
    network = own_network(options.weights, settings)
    if network is not None:
        detectors.append(
            (
                "own Stage I",
                lambda view: lambda frame: associate(network(frame.image_bgr), DetectionConfig(), network.refiner),
            )
        )
    for folder in options.joints:
        detectors.append((folder.name, lambda view, folder=folder: from_file(folder / f"{view.video.stem}.json")))
    return [row for stem in PAIRS for name, of in detectors for row in pair_rows(options.videos, stem, name, of)]


def pair_table(rows: list[dict[str, Any]]) -> str:
    """The calibrated pairs as Markdown [mm, per cent]."""
    columns = (
        "clip",
        "2D joints",
        "stage",
        "compared",
        "people",
        "found %",
        "MPJPE",
        "after size",
        "PA-MPJPE",
        "3DPCK 150 %",
    )
    cells: list[list[Cell]] = []
    for r in rows:
        share, pck = r.get("found"), r.get("pck150")
        cells.append(
            [
                *(r[k] for k in ("clip", "2D joints", "stage", "compared", "people")),
                None if share is None else 100 * share, r["mpjpe_mm"], r.get("scaled_mm"), r["pa_mm"],
                None if pck is None else 100 * pck,
            ]
        )  # fmt: skip
    return f"### Calibrated pairs [mm]\n\n{markdown_table(columns, cells)}\n\n{PEER_3D}"


def time_table(rows: list[dict[str, Any]]) -> str:
    """Median times as Markdown, the least in brackets [ms]."""
    names = [n for n in rows[0] if n != "people"]
    cells: list[list[Cell]] = [
        [r["people"], *(f"{r[n]['median']:.2f} ({r[n]['least']:.2f})" for n in names)] for r in rows
    ]
    note = "Network: wall clock; the others: processor time, all threads together."
    return f"### Time per frame: median (least) [ms]\n\n{markdown_table(['people', *names], cells)}\n\n{note}"


def held_out(program: str, arguments: list[str], json_option: str) -> tuple[str, Any]:
    """What another benchmark prints, and its JSON.

    Raises:
        XnectError: It failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / program), *arguments, json_option, str(file)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise XnectError(f"benchmarks/{program} ended with {done.returncode}")
        return done.stdout.strip(), json.loads(file.read_text(encoding="utf-8"))


def motion_parts(options: argparse.Namespace) -> tuple[list[str], dict[str, Any]]:
    """Stage II and III on held-out motion: tables and figures of benchmarks/lifting.py and fit.py."""
    few = (["--people", "1000", "--database", "20000"], ["--every", "8", "--frames", "90", "--sequences", "50"])
    lifting, fit = few if options.quick else ([], [])
    common = ["--motion", str(options.motion), "--split", "test"]
    first, figures_2 = held_out("lifting.py", [*common, *lifting], "--output")
    second, figures_3 = held_out("fit.py", [*common, *fit], "--json")
    tables = [f"## Stage II on held-out motion\n\n{first}", f"## Stage III on held-out motion\n\n{second}"]
    return tables, {"stage2": figures_2, "stage3": figures_3}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--videos", type=Path, default=SHARED / "videos", help="folder with the calibrated pairs")
    add("--joints", type=Path, action="append", default=[], help="folder with another detector's 2D joints; repeatable")
    add("--weights", type=Path, help="Stage I's weights file (default: the one that ships)")
    add("--threads", type=int, default=0, help="CPU threads of the network, 0 = all")
    add("--motion", type=Path, default=SHARED / "data" / "motion", help="motion pack for the held-out part")
    add("--quick", action="store_true", help="a small share of the held-out motion")
    add("--parts", default="times,pairs,motion", help="which of times, pairs, motion (default all)")
    add("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    settings, tables, results = NetworkConfig(threads=options.threads), [], {}
    try:
        parts = options.parts.split(",")
        if "times" in parts:
            results["times_ms"] = stage_times(options.weights, settings)
            tables.append(time_table(results["times_ms"]))
        if "pairs" in parts:
            results["pairs"] = all_pairs(options, settings)
            tables.append(pair_table(results["pairs"]))
        if "motion" in parts:
            more, results["motion"] = motion_parts(options)
            tables += more
        give_out(tables, results, options.output)
    except XnectError as error:
        print(f"stages: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
