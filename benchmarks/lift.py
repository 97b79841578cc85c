"""`xnect lift` on another network's 2D joints, against triangulated 3D: python benchmarks/lift.py --joints DIR [--own].

The joints (DIR/CLIP.json as benchmarks/stages.py takes them) are written as OpenPose's JSON, one file a frame, and go
through the command as a user would call it, with the clip's calibration. ``--own``: `xnect run` on the same clips, with
our own network, beside it. Errors are those of the recordings that come out (Stage III), about the hips.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import PEER_3D, SHARED, give_out
from xnect.apps.main import main as xnect
from xnect.capture import open_source
from xnect.errors import FormatError, XnectError
from xnect.evaluation.report import Cell, markdown_table
from xnect.evaluation.views import Reference, View, ViewPoses, against_reference, load_views, match
from xnect.formats.recording import Recording, load
from xnect.skeleton.joints import PELVIS
from xnect.structures import Detections

PAIRS = ("lab_two_people", "desk_half_body")
_UNSEEN_18 = [0.0, 0.0, 0.0] * 4  # eyes and ears


def as_openpose(path: Path, folder: Path) -> str:
    """Write a file of joints as OpenPose's JSON (COCO's 18 keypoints); returns the network's name. Raises FormatError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        folder.mkdir(parents=True)
        for number, frame in enumerate(data["frames"]):
            people = []
            for person in frame["people"]:
                joints = zip(person["joints_2d"], person["confidence_2d"], strict=True)
                flat = [float(v) for (x, y), sure in joints for v in (x, y, sure)]
                people.append({"person_id": [-1], "pose_keypoints_2d": flat + _UNSEEN_18})
            name = f"{path.stem}_{number:012d}_keypoints.json"
            (folder / name).write_text(json.dumps({"version": 1.3, "people": people}), encoding="utf-8")
        return str(data.get("detector", path.parent.name))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: not a file of 2D joints ({error})") from error


def poses_of(recording: Recording, view: View, reference: Reference) -> ViewPoses:
    """The recording's poses of the reference people, told apart by where their 2D joints lie."""
    people, frames = reference.known.shape[:2]
    joints, found = np.zeros((people, frames, 21, 3)), np.zeros((people, frames), bool)
    for record in recording.records():
        index, rows = record.result.index, record.people
        if index >= frames:
            break
        seen = Detections(rows.joints_2d, rows.confidence_2d, rows.score)
        for who, row in enumerate(match(seen, index, view, reference)):
            if row >= 0:
                joints[who, index] = rows.joints_3d[row] - rows.joints_3d[row, PELVIS]
                found[who, index] = True
    return ViewPoses(joints, found)


def call(words: list[str]) -> None:
    """A command of ours; raises XnectError where it fails."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the folder it made
        code = xnect(words)
    if code:
        raise XnectError(f"failed: xnect {' '.join(words)}")


def rows_of(view: View, calibration: Path, reference: Reference, joints: list[Path], own: bool) -> list[dict[str, Any]]:
    """Figures of one clip, from every source of 2D joints."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        camera = ["--calibration", f"{calibration}:{view.name}", "--formats", "jsonl", "--log-level", "warning"]
        with open_source(view.video) as source:
            info = source.info
        for number, folder in enumerate(joints):
            name = as_openpose(folder / f"{view.video.stem}.json", Path(scratch) / f"joints{number}")
            out = Path(scratch) / f"out{number}"
            size = f"{info.size_px[0]}x{info.size_px[1]}"
            call(["lift", str(Path(scratch) / f"joints{number}"), "--size", size, "--fps", f"{info.fps:.6g}", *camera, "--output", str(out)])  # fmt: skip
            rows.append((f"{name}, xnect lift", out))
        if own:
            out = Path(scratch) / "own"
            call(["run", "--video", str(view.video), "--no-display", "--threads", "1", *camera, "--output", str(out)])
            rows.append(("our own, xnect run", out))
        return [
            {"clip": view.video.stem, "2D joints": name, "ids": len(recording.ids)}
            | against_reference(poses_of(recording, view, reference), view, reference)
            for name, recording in ((name, load(out)) for name, out in rows)
        ]


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    names = ("clip", "2D joints", "ids", "people", "found %", "MPJPE", "after size", "PA-MPJPE", "3DPCK 150 %")
    cells: list[list[Cell]] = []
    for r in rows:
        pck = r["pck150"]
        cells.append(
            [
                r["clip"], r["2D joints"], r["ids"], r["people"], 100 * r["found"], r["mpjpe_mm"], r["scaled_mm"],
                r["pa_mm"], None if pck is None else 100 * pck,
            ]
        )  # fmt: skip
    return f"### 2D joints of other programs, lifted [mm]\n\n{markdown_table(names, cells)}\n\n{PEER_3D}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--videos", type=Path, default=SHARED / "videos", help="folder with the calibrated pairs")
    add("--joints", type=Path, action="append", default=[], help="folder with another network's 2D joints; repeatable")
    add("--own", action="store_true", help="our own network as well")
    add("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    try:
        rows = []
        for stem in PAIRS:
            views, reference = load_views(options.videos, stem)
            for view in views:
                calibration = options.videos / f"{stem}.calib.json"
                rows += rows_of(view, calibration, reference, options.joints, options.own)
        give_out([table(rows)], {"lift": rows}, options.output)
    except XnectError as error:
        print(f"lift: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
