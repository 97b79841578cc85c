"""Stage II's errors on held-out motion beside a nearest neighbour, on real calibrated views, and its run time.

    python benchmarks/lifting.py --motion MOTION_FOLDER [--split test] [--videos VIDEO_FOLDER] [--output lifting.json]

People of the split's clips (drawn by category, rescaled to 1.70 m) stand before random cameras; their 2D joints carry the
noise of an imitated Stage I. MPJPE: mean distance of the 21 joints relative to the pelvis. PA: after the best rotation,
shift and scale. Nearest neighbour: the training pose whose 2D joints, in the same normalised frame, are closest.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from xnect.geometry import camera_from_fov, project
from xnect.skeleton.joints import JOINTS_2D
from xnect.stages.lifting import Lifter, run_network
from xnect.stages.lifting_frame import (
    ROOT,
    locate,
    network_inputs,
    place_points,
    points_of_2d,
    root_prior,
    to_ray_frame,
)
from xnect.structures import Camera, Detections
from xnect.training.lifting_data import CLEAN, Imitation, LiftingBatch, make_batch
from xnect.training.lifting_poses import PoseSampler, PoseVariety

AS_RECORDED = PoseVariety(swap_limbs=0, perturb=0, sit=0, lie=0, proportions=0)
UPPER_2D = np.array([0, 1, 2, 3, 4, 5, 6, 7])
UPPER_3D = np.array([0, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16, 17, 18])


def mpjpe_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean joint distance [mm]."""
    return 1000 * float(np.linalg.norm(found - truth, axis=-1).mean())


def aligned(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``found`` (N, J, 3) after the rotation, shift and scale that bring it closest to ``truth``."""
    a, b = found - found.mean(1, keepdims=True), truth - truth.mean(1, keepdims=True)
    u, s, vt = np.linalg.svd(np.einsum("nji,njk->nik", a, b))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    turn = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / np.maximum((a**2).sum((1, 2)), 1e-9)
    return scale[:, None, None] * (a @ turn) + truth.mean(1, keepdims=True)


def nearest(database: LiftingBatch, queries: LiftingBatch, mask: np.ndarray) -> np.ndarray:
    """The 3D joints of each query's nearest neighbour among the joints of ``mask`` in 2D, (N, 21, 3)."""
    known, asked = (hidden(batch, mask, equal=True) for batch in (database, queries))
    plane, wanted = (
        b.inputs[:, :56].reshape(-1, 14, 4)[..., :2].reshape(len(b.inputs), -1).astype(np.float32)
        for b in (known, asked)
    )
    square = (plane**2).sum(1)
    rows = [(square - 2 * part @ plane.T).argmin(1) for part in np.array_split(wanted, max(1, len(wanted) // 500))]
    return known.joints_m[np.concatenate(rows), :21]


def hidden(batch: LiftingBatch, mask: np.ndarray, equal: bool = False) -> LiftingBatch:
    """The same people with only some joints seen (all with the same confidence if ``equal``), without encoding."""
    weight = (batch.frame.weight > 0).astype(float) if equal else batch.frame.weight
    frame = to_ray_frame(batch.xy, weight * mask)
    # The frame of the seen joints differs from that of all: turn the truth with it.
    turn = np.einsum("nij,nik->njk", batch.frame.rotation, frame.rotation)
    return replace(
        batch,
        frame=frame,
        inputs=network_inputs(frame, batch.xy, None),
        joints_m=(batch.joints_m @ turn).astype(np.float32),
        root_m=np.einsum("ni,nij->nj", batch.root_m, turn),
    )


def lift(lifter: Lifter, batch: LiftingBatch) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 21, 3) and pelvis (N, 3) in the frames of the rays [m]."""
    raw = run_network(lifter.weights.layers, batch.inputs)
    points = place_points(raw, batch.inputs).astype(np.float64)
    joints = points[:, :21] - points[:, 14:15]
    prior = root_prior(raw[:, ROOT], batch.frame)
    return joints, locate(points_of_2d(joints, points[:, 21]), prior, batch.frame)


def row(name: str, lifter: Lifter, batch: LiftingBatch, neighbour: np.ndarray | None) -> dict[str, object]:
    """One line of the table."""
    truth = batch.joints_m[:, :21].astype(np.float64)
    found, root = lift(lifter, batch)
    out: dict[str, object] = {
        "evidence": name,
        "people": len(truth),
        "mpjpe_mm": mpjpe_mm(found, truth),
        "upper_mm": mpjpe_mm(found[:, UPPER_3D], truth[:, UPPER_3D]),
        "pa_mm": mpjpe_mm(aligned(found, truth), truth),
        "distance_error": float(np.median(np.abs(root[:, 2] / batch.root_m[:, 2] - 1))),
    }
    if neighbour is not None:
        out["nn_mpjpe_mm"] = mpjpe_mm(neighbour, truth)
        out["nn_upper_mm"] = mpjpe_mm(neighbour[:, UPPER_3D], truth[:, UPPER_3D])
        out["nn_pa_mm"] = mpjpe_mm(aligned(neighbour, truth), truth)
    return out


def held_out(lifter: Lifter, motion: Path, split: str, people: int, database_size: int) -> list[dict[str, object]]:
    """The table on held-out clips."""
    rng = np.random.default_rng(2024)
    sampler = PoseSampler(motion, split, variety=AS_RECORDED)
    seen = replace(CLEAN, encoding=1.0 if lifter.weights.encoding else 0.0)
    full = make_batch(sampler, rng, people, seen)
    training = PoseSampler(motion, "train", variety=AS_RECORDED)
    database = make_batch(training, rng, database_size, replace(CLEAN, noise=0.0, bias=0.0))
    everything, upper = np.ones(14), np.isin(np.arange(14), UPPER_2D).astype(float)
    flat = hidden(full, everything)
    half = hidden(full, upper)
    neighbour = nearest(database, full, everything)
    half_neighbour = nearest(database, full, upper)
    rows = []
    if lifter.weights.encoding:
        rows.append(row("full: 14 joints and imitated encoding", lifter, full, neighbour))
    rows.append(row("2D only: 14 joints", lifter, flat, neighbour))
    rows.append(row("half body: nose, neck, arms", lifter, half, half_neighbour))
    for sure in (False, True):
        imitation = Imitation(
            desk=0.0, errors=0.0 if sure else 1.0, noise=0.0 if sure else 1.0, bias=0.0 if sure else 1.0
        )
        batch = make_batch(sampler, rng, people, replace(imitation, focal_error=0.0))
        keep = (batch.frame.weight > 0).any(1)
        batch = LiftingBatch(
            *(getattr(batch, f)[keep] for f in ("inputs", "joints_m", "root")),
            type(batch.frame)(*(getattr(batch.frame, f)[keep] for f in batch.frame.__slots__)),
            batch.root_m[keep],
            batch.xy[keep],
        )
        name = (
            "2D only, without any noise" if sure else "2D only, all errors of an imitated Stage I, cut by the picture"
        )
        rows.append(row(name, lifter, batch, None))
    return rows


def real_views(lifter: Lifter, videos: Path) -> list[dict[str, object]]:
    """Triangulated people projected into the real cameras that saw them; the 12 joints that both sides have."""
    rows = []
    for name in ("lab_two_people", "desk_half_body"):
        reference = json.loads((videos / f"{name}.ref3d.json").read_text())
        calibration = json.loads((videos / f"{name}.calib.json").read_text())
        for camera_name, c in calibration["cameras"].items():
            camera = Camera(np.array(c["K"]), (c["width"], c["height"]), np.array(c["dist"]))
            for person in reference["people"]:
                world = np.array([[p or [np.nan] * 3 for p in f] for f in person["joints_m"]], float)
                joints = world @ np.array(c["R"]).T + np.array(c["t"])
                rows.append({"view": f"{name} {camera_name} {person.get('name', person['id'])}"})
                rows[-1].update(_real_view(lifter, joints, camera))
    return rows


def _real_view(lifter: Lifter, joints: np.ndarray, camera: Camera) -> dict[str, object]:
    known = np.isfinite(joints).all(-1)
    neck = joints[:, [1, 4]].mean(1, keepdims=True)
    joints = np.concatenate([joints[:, :1], neck, joints[:, 1:]], 1)
    known = np.concatenate([known[:, :1], (known[:, 1] & known[:, 4])[:, None], known[:, 1:]], 1)
    safe = np.where(known[..., None], joints, [0, 0, 1.0])
    pixels = project(safe, camera)
    width, height = camera.size_px
    seen = known & (pixels >= 0).all(-1) & (pixels[..., 0] < width) & (pixels[..., 1] < height) & (safe[..., 2] > 0.1)
    confidence = (0.7 * seen).astype(np.float32)
    detections = Detections(
        np.where(seen[..., None], pixels, 0).astype(np.float32), confidence, np.ones(len(seen), np.float32)
    )
    poses = lifter(detections, camera)
    errors, aligned_errors, ratio = [], [], []
    for found, truth, ok, root in zip(poses.joints_m, joints, seen, poses.root_m, strict=True):
        ok = ok & (np.arange(14) >= 2)
        if ok.sum() < 5:
            continue
        f, t = found[:14][ok].astype(float), truth[ok]
        f0, t0 = f - f.mean(0), t - t.mean(0)
        scale = (f0 * t0).sum() / (f0**2).sum()
        errors.append(mpjpe_mm(scale * f0, t0))
        aligned_errors.append(mpjpe_mm(aligned(f[None], t[None]), t[None]))
        ratio.append(scale * (f + root).mean(0)[2] / t.mean(0)[2])
    return {
        "frames": len(errors),
        "joints": float(seen[:, 2:].sum(1).mean()),
        "scaled_mpjpe_mm": float(np.mean(errors)),
        "pa_mm": float(np.mean(aligned_errors)),
        "distance_ratio": float(np.median(ratio)),
    }


def timing(lifter: Lifter) -> list[dict[str, object]]:
    """Milliseconds of one call."""
    camera, rng = camera_from_fov((1280, 720)), np.random.default_rng(0)
    rows = []
    for people in (1, 3, 10, 30):
        joints = rng.uniform(100, 600, (people, len(JOINTS_2D), 2)).astype(np.float32)
        detections = Detections(
            joints, rng.uniform(0.1, 1, (people, 14)).astype(np.float32), np.ones(people, np.float32)
        )
        times = []
        for _ in range(400):
            started = time.perf_counter()
            lifter(detections, camera)
            times.append(1000 * (time.perf_counter() - started))
        low, middle, high = np.percentile(times[20:], [5, 50, 95])
        rows.append({"people": people, "p5_ms": low, "median_ms": middle, "p95_ms": high})
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """Markdown."""
    names = list(dict.fromkeys(k for r in rows for k in r))
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for r in rows:
        cells = [f"{v:.3f}" if isinstance(v, float) and abs(v) < 10 else f"{v:.1f}" if isinstance(v, float) else str(v)
                 for v in (r.get(n, "-") for n in names)]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", type=Path, required=True, help="motion folder")
    parser.add_argument("--videos", type=Path, help="folder with calibrated clips and their reference 3D")
    parser.add_argument("--split", default="test", choices=["test", "val", "train"])
    parser.add_argument("--weights", type=Path, help="default: those that ship")
    parser.add_argument("--people", type=int, default=5000, help="people of the split")
    parser.add_argument("--database", type=int, default=100_000, help="training views of the nearest neighbour")
    parser.add_argument("--output", type=Path, help="JSON to write")
    options = parser.parse_args(arguments)
    lifter = Lifter(options.weights)
    parts = {"held_out": held_out(lifter, options.motion, options.split, options.people, options.database)}
    if options.videos:
        parts["real_views"] = real_views(lifter, options.videos)
    parts["timing"] = timing(lifter)
    for name, rows in parts.items():
        print(f"\n### {name}\n\n{table(rows)}")
    if options.output:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
        about = {
            "machine": f"{platform.machine()} {platform.processor()}",
            "date": datetime.date.today().isoformat(),
            "commit": commit.stdout.strip(),
            "split": options.split,
        }
        options.output.write_text(json.dumps({**about, **parts}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
