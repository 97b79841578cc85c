"""How good and how fast the skeleton fit is: python benchmarks/fit.py --motion FOLDER.

Held-out motion-capture clips are filmed by random cameras; 2D joints get errors such as Stage I makes (partly lasting,
joints missing or far off). 3D poses come from the Stage II that ships and, apart from that, from the truth with errors
that last, grow along the limbs and are larger in depth. Printed beside the input's own figures: MPJPE, acceleration,
reprojection, limit violations; then whether random sequences with 30 % of the frames missing stay bounded, and the time
for 1, 3 and 10 people. Writes the same as JSON with --json.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from xnect.config import FilterConfig, FitConfig
from xnect.geometry import camera_from_fov, matrix_from_quaternion, project
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D
from xnect.skeleton.kinematics import SKELETON
from xnect.skeleton.limits import violation_rad
from xnect.skeleton.proportions import AVERAGE_HEIGHT_M, body_height_m
from xnect.stages.fit import SkeletonFitter
from xnect.stages.lifting import Lifter
from xnect.structures import STATE_LOST, STATE_TRACKED, Bodies, Detections, Poses, Tracks

CAMERA = camera_from_fov((1280, 720), 60.0, estimated=False)
#: Of Stage II's error, the share that lasts, and how long [s].
LASTING, LASTING_S = 0.8, 0.5
_J = {name: i for i, name in enumerate(JOINTS_3D)}


@dataclass(frozen=True)
class Scene:
    """One clip as a camera sees it: truth, and what Stages I and II make of it, a row a frame."""

    name: str
    height_m: float
    time_s: np.ndarray
    truth_m: np.ndarray  # (T, 21, 3), camera space
    truth_px: np.ndarray  # (T, 14, 2)
    joints_px: np.ndarray
    confidence_2d: np.ndarray
    joints_m: np.ndarray  # (T, 21, 3), relative to the pelvis
    confidence_3d: np.ndarray
    root_m: np.ndarray
    seen: np.ndarray  # (T,)


def load_clips(folder: Path, split: str, longest: int, least: int = 30) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, joint positions (T, 24, 3) and head rotation (T, 3, 3) of a motion pack's clips [m, y up]."""
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    rotated = np.unique(SKELETON.parents[1:])
    shards = {}
    for name in {row["shard"] for row in rows}:
        with np.load(folder / name) as data:
            shards[name] = (
                np.cumsum(data["dquat"], 0, dtype=np.int16) / 32767.0,
                np.cumsum(data["droot"], 0, dtype=np.int32) / 1e4,
                data["offsets"].astype(np.float64),
            )
    clips = []
    for row in rows:
        quaternions, roots, offsets = shards[row["shard"]]
        count = min(int(row["frames"]), longest)
        if count < least:
            continue
        part = slice(int(row["first"]), int(row["first"]) + count)
        local = np.broadcast_to(np.eye(3), (count, len(SKELETON.joint_names), 3, 3)).copy()
        q = quaternions[part] / np.linalg.norm(quaternions[part], axis=-1, keepdims=True)
        local[:, rotated] = matrix_from_quaternion(q)
        xyz, turned = np.empty((*local.shape[:2], 3)), local.copy()
        xyz[:, 0] = roots[part]
        for j in range(1, len(SKELETON.parents)):
            p = SKELETON.parents[j]
            xyz[:, j] = xyz[:, p] + turned[:, p] @ offsets[int(row["skeleton"]), j]
            turned[:, j] = turned[:, p] @ local[:, j]
        clips.append((row["clip"], xyz, turned[:, SKELETON.joint_names.index("head")]))
    return clips


def _wander(rng: np.random.Generator, frames: int, shape: tuple[int, ...], lasting: float) -> np.ndarray:
    """Noise of unit variance, of which ``lasting`` decays over ``LASTING_S`` and the rest is new every frame."""
    keep = np.exp(-1 / 30 / LASTING_S)
    slow = rng.normal(size=(frames, *shape))
    for t in range(1, frames):
        slow[t] = keep * slow[t - 1] + np.sqrt(1 - keep**2) * slow[t]
    return np.sqrt(lasting) * slow + np.sqrt(1 - lasting) * rng.normal(size=(frames, *shape))


def film(
    clip: tuple[str, np.ndarray, np.ndarray],
    rng: np.random.Generator,
    noise: float = 1.0,
    missing: float = 0.0,
    half: bool = False,
) -> Scene:
    """Put a camera around a clip and make the input of Stage III; ``noise`` 1 is what a good network does.

    ``missing`` is the share of frames without the person; ``half`` hides hips and legs from the 2D joints.
    """
    name, world, head = clip
    frames = len(world)
    yaw, pitch = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(-5, 20))
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    axes = np.diag([1.0, -1.0, -1.0]) @ tilt @ turn
    centred = (world - world[:, :1].mean(0)) @ axes.T
    # as near as the picture allows: everyone inside, between 2.5 and 6 m where that is enough
    focal, (width, tall) = CAMERA.matrix_px[0, 0], CAMERA.size_px
    centred = centred - 0.5 * (centred.min((0, 1)) + centred.max((0, 1))) * [1, 1, 0]
    reach_xy = np.abs(centred[..., :2]) * [2 * focal / (0.95 * width), 2 * focal / (0.95 * tall)]
    depth = max(rng.uniform(2.5, 6.0), float((reach_xy.max(-1) - centred[..., 2]).max()))
    points = centred + np.array([0.0, 0.0, depth])
    nose = points[:, SKELETON.joint_names.index("head")] + head @ SKELETON.nose_offset_m @ axes.T
    truth = points[:, SKELETON.index_21]
    seen_2d = truth[:, JOINT_3D_OF_2D].copy()
    seen_2d[:, 0], seen_2d[:, 1] = nose, truth[:, [_J["right_shoulder"], _J["left_shoulder"]]].mean(1)
    truth_px = project(seen_2d, CAMERA)
    # 2D: about 1 % of the person's size, now and then a joint is missing or badly off
    metre_px = (CAMERA.matrix_px[0, 0] / truth[:, _J["pelvis"], 2])[:, None, None]
    joints_px = truth_px + noise * 0.012 * metre_px * _wander(rng, frames, (14, 2), 0.4)
    wrong = rng.random((frames, 14)) < 0.01 * noise
    joints_px = joints_px + wrong[..., None] * rng.normal(size=joints_px.shape) * 0.2 * metre_px
    confidence_2d = np.where(rng.random((frames, 14)) < 0.05 * noise, 0.0, rng.uniform(0.4, 0.9, (frames, 14)))
    inside = ((joints_px >= 0) & (joints_px < np.array(CAMERA.size_px))).all(-1)
    confidence_2d = confidence_2d * inside
    if half:  # behind a desk
        confidence_2d[:, 8:] = 0.0
    # 3D: grows along the limbs, twice as much in depth; the scale is Stage II's guess
    relative = truth - truth[:, [_J["pelvis"]]]
    reach = np.array([0.03 + 0.06 * np.linalg.norm(r) for r in _rest_21()])
    error = noise * reach[:, None] * np.array([0.7, 0.7, 1.4]) * _wander(rng, frames, (21, 3), LASTING)
    error[:, _J["pelvis"]] = 0.0
    scale = 1 + noise * (rng.normal() * 0.05 + 0.02 * _wander(rng, frames, (1, 1), LASTING))
    size = np.linalg.norm(error, axis=-1)
    return Scene(
        name=name,
        height_m=_height_m(world),
        time_s=np.arange(frames) / 30 + 5.0,
        truth_m=truth,
        truth_px=truth_px,
        joints_px=joints_px * (confidence_2d > 0)[..., None],
        confidence_2d=confidence_2d,
        joints_m=(relative + error) * scale,
        confidence_3d=np.exp(-(0.5 * size + 0.5 * noise * reach) / 0.15),
        root_m=truth[:, _J["pelvis"]] * np.exp(noise * 0.1 * _wander(rng, frames, (1,), 0.9)),
        seen=rng.random(frames) >= missing,
    )


def lifted(scene: Scene, lifter: Lifter) -> Scene:
    """The same scene with the 3D poses that Stage II makes of its 2D joints, at the person's true height."""
    detections = Detections(
        scene.joints_px.astype(np.float32), scene.confidence_2d.astype(np.float32), np.ones(len(scene.seen), np.float32)
    )
    poses, size = lifter(detections, CAMERA), scene.height_m / AVERAGE_HEIGHT_M
    return replace(
        scene,
        joints_m=poses.joints_m.astype(np.float64) * size,
        confidence_3d=poses.confidence.astype(np.float64),
        root_m=poses.root_m.astype(np.float64) * size,
    )


def _rest_21() -> np.ndarray:
    """The 21 joints of the T pose, relative to the pelvis."""
    zero = np.zeros((1, len(SKELETON.angle_names)))
    xyz, _ = SKELETON.forward(np.zeros((1, 3)), np.eye(3)[None], zero, SKELETON.rest_offsets_m)
    return xyz[0, SKELETON.index_21]


def _height_m(world: np.ndarray) -> float:
    """Body height from a clip's own bones."""
    offsets = np.zeros((len(SKELETON.joint_names), 3))
    lengths = np.linalg.norm(world[0, 1:] - world[0, SKELETON.parents[1:]], axis=-1)
    rest = SKELETON.rest_offsets_m[1:]
    offsets[1:] = rest * (lengths / np.linalg.norm(rest, axis=-1))[:, None]
    return float(body_height_m(offsets))


def _rows(values: list[np.ndarray], dtype: Any = np.float32) -> np.ndarray:
    return np.ascontiguousarray(np.stack(values).astype(dtype))


def fit_scenes(scenes: list[Scene], fitter: SkeletonFitter, timings_ms: list[float] | None = None) -> list[Bodies]:
    """Run scenes of the same length as people of one picture; one Bodies a frame."""
    out = []
    for t in range(min(len(s.time_s) for s in scenes)):
        visible = [i for i, s in enumerate(scenes) if s.seen[t]]
        row = np.full(len(scenes), -1)
        row[visible] = np.arange(len(visible))
        tracks = Tracks(np.arange(len(scenes)), row, np.where(row < 0, STATE_LOST, STATE_TRACKED))
        detections, poses = Detections.empty(), Poses.empty()
        if visible:
            who = [scenes[i] for i in visible]
            detections = Detections(
                _rows([s.joints_px[t] for s in who]),
                _rows([s.confidence_2d[t] for s in who]),
                np.ones(len(who), np.float32),
            )
            confidence = _rows([s.confidence_3d[t] for s in who])
            poses = Poses(
                _rows([s.joints_m[t] for s in who]), _rows([s.root_m[t] for s in who]), confidence, confidence < 0.1
            )
        started = time.thread_time()
        out.append(fitter(tracks, detections, poses, CAMERA, float(scenes[0].time_s[t])))
        if timings_ms is not None:
            timings_ms.append(1e3 * (time.thread_time() - started))
    return out


def acceleration(xyz: np.ndarray) -> np.ndarray:
    """Second differences of joints (T, 21, 3) at 30 frames a second, as lengths [m/s^2]."""
    return np.linalg.norm(xyz[2:] - 2 * xyz[1:-1] + xyz[:-2], axis=-1) * 900


def _relative(xyz: np.ndarray) -> np.ndarray:
    return xyz - xyz[:, [_J["pelvis"]]]


def _input_root(scene: Scene) -> np.ndarray:
    """The input's own camera-space joints: Stage II's pose at Stage II's root."""
    return scene.joints_m + scene.root_m[:, None]


def _pixels(xyz: np.ndarray) -> np.ndarray:
    """Joints that have a place in the picture (13: all 2D joints but the nose) [px]."""
    at = xyz[:, JOINT_3D_OF_2D[1:]].copy()
    at[:, 0] = xyz[:, [_J["right_shoulder"], _J["left_shoulder"]]].mean(1)
    return project(at, CAMERA)


def judge(scene: Scene, joints_m: np.ndarray) -> dict[str, float]:
    """Errors of camera-space joints (T, 21, 3) against the truth."""
    relative, truth = _relative(joints_m), _relative(scene.truth_m)
    metre_px = (CAMERA.matrix_px[0, 0] / scene.truth_m[:, _J["pelvis"], 2])[:, None]
    off = np.linalg.norm(_pixels(joints_m) - scene.truth_px[:, 1:], axis=-1)
    return {
        "mpjpe_mm": 1e3 * float(np.linalg.norm(relative - truth, axis=-1).mean()),
        "root_mm": 1e3 * float(np.linalg.norm(joints_m - scene.truth_m, axis=-1)[:, _J["pelvis"]].mean()),
        "reprojection_px": float(off.mean()),
        "reprojection_mm": 1e3 * float((off / metre_px).mean()),
        "acceleration_error": float(np.linalg.norm(np.diff(relative - truth, 2, axis=0), axis=-1).mean() * 900),
        "acceleration": float(acceleration(relative).mean()),
    }


def accuracy(scenes: list[Scene], fit: FitConfig, filters: FilterConfig, static: bool = False) -> dict[str, float]:
    """Mean figures over scenes, each fitted alone with its person's height."""
    rows, violations = [], 0
    for scene in scenes:
        config = FitConfig(scene.height_m, fit.iterations, fit.bone_frames, fit.smoothness)
        bodies = fit_scenes([scene], SkeletonFitter(config, filters, static))
        rows.append(judge(scene, np.concatenate([b.joints_m for b in bodies]).astype(np.float64)))
        angles = np.concatenate([b.angles_rad for b in bodies]).astype(np.float64)
        violations += int((violation_rad(angles, SKELETON.limits_rad) > 0).sum())
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return mean | {"limit_violations": float(violations)}


def stability(clips: list[Any], rng: np.random.Generator, sequences: int, frames: int = 60) -> dict[str, float]:
    """Random pieces of clips with heavy noise and 30 % of the frames missing, ten people at a time.

    Diverged: a number that is none, an angle outside of its limits, or, in a frame in which the person is seen, a
    joint 2 m from its place relative to the pelvis or a pelvis further off than the person is from the camera.
    """
    long_enough = [c for c in clips if len(c[1]) >= frames]
    diverged, worst = 0, []
    for _ in range(0, sequences, 10):
        scenes = []
        for _ in range(10):
            name, world, head = long_enough[rng.integers(len(long_enough))]
            start = int(rng.integers(len(world) - frames + 1))
            piece = (name, world[start : start + frames], head[start : start + frames])
            scenes.append(film(piece, rng, noise=rng.uniform(1, 3), missing=0.3, half=rng.random() < 0.2))
        bodies = fit_scenes(scenes, SkeletonFitter())
        joints, angles = np.stack([b.joints_m for b in bodies], 1), np.stack([b.angles_rad for b in bodies], 1)
        for scene, xyz, angle in zip(scenes, joints, angles.astype(np.float64), strict=True):
            ratio = 1.70 / scene.height_m  # everyone is taken for an average adult
            error = np.linalg.norm(_relative(xyz) - _relative(scene.truth_m) * ratio, axis=-1)[scene.seen]
            root = np.linalg.norm(xyz[:, 14] - scene.truth_m[:, 14] * ratio, axis=-1)[scene.seen]
            sound = np.isfinite(xyz).all() and (violation_rad(angle, SKELETON.limits_rad) == 0).all()
            far = (root > scene.truth_m[scene.seen, 14, 2]).any()
            diverged += int(not sound or error.max(initial=0) > 2 or far)
            worst.append((1e3 * error.mean(), 1e3 * error.max(initial=0), 1e3 * root.max(initial=0)))
    mean, joint, root = np.array(worst).T
    return {
        "sequences": float(sequences),
        "diverged": float(diverged),
        "mpjpe_mm": float(mean.mean()),
        "worst_joint_mm": float(joint.max()),
        "worst_root_mm": float(root.max()),
    }


def speed(clips: list[Any], rng: np.random.Generator) -> dict[int, dict[str, float]]:
    """Processor time of one call for 1, 3 and 10 people [ms], everyone in every frame."""
    long_enough = [c for c in clips if len(c[1]) >= 90]
    out = {}
    for people in (1, 3, 10):
        scenes = [film(long_enough[k * len(long_enough) // people], rng) for k in range(people)]
        fitter = SkeletonFitter()
        fitter.warm_up()
        timings: list[float] = []
        fit_scenes(scenes, fitter, timings)
        out[people] = {"median": float(np.median(timings)), "p95": float(np.percentile(timings, 95))}
    return out


def _table(title: str, rows: dict[str, dict[str, float]]) -> None:
    names = list(dict.fromkeys(key for row in rows.values() for key in row))
    print(f"\n| {title} | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[k]:.4g}" if k in row else "" for k in names) + " |")


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _compare(scenes: list[Scene]) -> dict[str, dict[str, float]]:
    """Truth, input and the fit in its modes on the same scenes."""
    return {
        "truth": {"acceleration": float(np.mean([judge(s, s.truth_m)["acceleration"] for s in scenes]))},
        "input": _mean([judge(s, _input_root(s)) for s in scenes]),
        "fit, every frame alone": accuracy(scenes, FitConfig(), FilterConfig(), static=True),
        "fit, no filters": accuracy(scenes, FitConfig(), FilterConfig(enabled=False)),
        "fit": accuracy(scenes, FitConfig(), FilterConfig()),
    }


def main() -> None:
    """Run everything and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--motion", type=Path, required=True, help="folder of the motion pack")
    parser.add_argument("--split", default="val")
    parser.add_argument("--frames", type=int, default=150, help="longest piece of a clip")
    parser.add_argument("--every", type=int, default=1, help="take every so many clips")
    parser.add_argument("--sequences", type=int, default=1000, help="random sequences of the stability test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    clips = load_clips(options.motion, options.split, options.frames)[:: options.every]
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}",
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "split": options.split,
        "clips": len(clips),
    }
    whole, half = [film(c, rng) for c in clips], [film(c, rng, half=True) for c in clips[::4]]
    lifter = Lifter()
    report["Stage II, whole body"] = _compare([lifted(s, lifter) for s in whole])
    report["Stage II, half body"] = _compare([lifted(s, lifter) for s in half])
    report["invented errors, whole body"] = _compare(whole)
    report["invented errors, half body"] = _compare(half)
    report["no errors"] = {
        "fit, no filters": accuracy([film(c, rng, 0.0) for c in clips[::4]], FitConfig(), FilterConfig(enabled=False))
    }
    report["stability"] = stability(clips, rng, options.sequences)
    report["time_ms"] = {str(k): v for k, v in speed(clips, rng).items()}
    print(
        f"{len(clips)} clips of split {options.split}; accelerations in m/s^2; reprojection_mm: in the person's plane"
    )
    for part, rows in report.items():
        if isinstance(rows, dict) and part not in ("stability", "time_ms"):
            _table(part, rows)
    _table("30 % of frames missing", {"fit": report["stability"]})
    _table("people", report["time_ms"])
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
