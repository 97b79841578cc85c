"""Motion capture clips on one 24-joint skeleton, read from a folder of npz shards with an index."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from xnect.errors import SourceError
from xnect.structures import F32, I64

JOINTS: tuple[str, ...] = (
    "pelvis", "lumbar", "spine", "neck", "head", "head_top",
    "r_clavicle", "r_shoulder", "r_elbow", "r_wrist", "r_hand",
    "l_clavicle", "l_shoulder", "l_elbow", "l_wrist", "l_hand",
    "r_hip", "r_knee", "r_ankle", "r_toe", "l_hip", "l_knee", "l_ankle", "l_toe",
)  # fmt: skip
PARENTS = np.array([-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 9, 2, 11, 12, 13, 14, 0, 16, 17, 18, 0, 20, 21, 22])
#: Joints with a rotation of their own, in the order of the files; the rest are end points.
ROTATED = np.unique(PARENTS[PARENTS >= 0])
#: Row of each of xnect's 21 3D joints.
JOINTS_3D_ROWS = np.array([5, 3, 7, 8, 9, 12, 13, 14, 16, 17, 18, 20, 21, 22, 0, 2, 4, 10, 15, 19, 23])
#: Partner of each joint on the other side of the body.
MIRROR = np.array([*range(6), *range(11, 16), *range(6, 11), *range(20, 24), *range(16, 20)])
_PELVIS_TO_TOP = (1, 2, 3, 4, 5)
_LEG = ((17, 18), (21, 22))
_SOLE_BELOW_TOE_M = 0.02
_INDEX_COLUMNS = {"clip", "category", "split", "frames", "first", "skeleton", "shard"}


@dataclass(frozen=True, slots=True, eq=False)
class MotionFrames:
    """Frames of many clips, laid one after another.

    Attributes:
        rotations: float32 (N, 24, 4), local unit quaternions w, x, y, z; identity at end points.
        root_m: float32 (N, 3), pelvis, y up [m].
        skeleton: int64 (N,), row of ``offsets_m``.
        clip: int64 (N,), row of ``clips``.
        offsets_m: float32 (S, 24, 3), bone offsets in the T pose; x to the person's left, y up, z forward [m].
        clips: Name and category of every clip.
    """

    rotations: F32
    root_m: F32
    skeleton: I64
    clip: I64
    offsets_m: F32
    clips: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.rotations)


def read_motion(folder: Path, split: str, part: str = "all") -> MotionFrames:
    """Read the clips of a split.

    Args:
        folder: Holds ``index.csv`` and the shards it names.
        split: "train", "val" or "test".
        part: "all"; or of the split's takes "tune" (one in twelve, for choosing between trainings) or "fit" (the rest).

    Raises:
        SourceError: A file is missing or is not what its name says, or nothing is left.
    """
    try:
        with open(folder / "index.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise SourceError(f"cannot read {folder / 'index.csv'}: {error.strerror}") from error
    if not rows or not set(rows[0]) >= _INDEX_COLUMNS:
        raise SourceError(f"{folder / 'index.csv'}: columns {sorted(_INDEX_COLUMNS)} expected")
    rows = [r for r in rows if r["split"] == split and (part == "all" or _is_tuning(r["clip"]) == (part == "tune"))]
    if not rows:
        raise SourceError(f"no clip of split {split!r}, part {part!r} in {folder}")
    shards = {name: _read_shard(folder / name) for name in sorted({r["shard"] for r in rows})}
    offsets = [shard_offsets for _, _, shard_offsets in shards.values()]
    base = dict(zip(shards, np.cumsum([0, *map(len, offsets)])[:-1].tolist(), strict=True))
    rotations, roots, skeletons = [], [], []
    for row in rows:
        quats, root, _ = shards[row["shard"]]
        take = slice(int(row["first"]), int(row["first"]) + int(row["frames"]))
        full = np.zeros((len(root[take]), len(JOINTS), 4), np.float32)
        full[..., 0] = 1
        full[:, ROTATED] = quats[take]
        rotations.append(full / np.linalg.norm(full, axis=-1, keepdims=True))
        roots.append(root[take])
        skeletons.append(np.full(len(full), base[row["shard"]] + int(row["skeleton"])))
    return MotionFrames(
        np.concatenate(rotations),
        np.concatenate(roots),
        np.concatenate(skeletons),
        np.repeat(np.arange(len(rows)), [len(r) for r in rotations]),
        np.concatenate(offsets),
        tuple((r["clip"], r["category"]) for r in rows),
    )


def _is_tuning(clip: str) -> bool:
    """One take in twelve; the parts a, b, c ... of a take stay together."""
    take = clip.rstrip("abcdefghijklmnopqrstuvwxyz")
    return sum(i * ord(c) for i, c in enumerate(take, 1)) % 12 == 0


def _read_shard(path: Path) -> tuple[F32, F32, F32]:
    """Rotations (N, 19, 4), roots (N, 3) and offsets (S, 24, 3) of a shard."""
    try:
        with np.load(path, allow_pickle=False) as shard:
            quats = np.cumsum(shard["dquat"], axis=0, dtype=np.int16)  # differences along time, modulo 2^16
            root = np.cumsum(shard["droot"], axis=0, dtype=np.int32)
            offsets = shard["offsets"].astype(np.float32)
    except (OSError, KeyError, ValueError) as error:
        raise SourceError(f"cannot read motion from {path}: {error}") from error
    return quats.astype(np.float32) / np.float32(32767), root.astype(np.float32) / np.float32(10000), offsets


def read_limits(folder: Path) -> tuple[F32, F32]:
    """First and last percentile of the rotation vectors, (24, 3) each [rad]; no freedom at end points.

    Raises:
        SourceError: ``limits.json`` is missing or incomplete.
    """
    path = folder / "limits.json"
    low, high = np.zeros((24, 3), np.float32), np.zeros((24, 3), np.float32)
    try:
        joints = json.loads(path.read_text(encoding="utf-8"))["joints"]
        for name, axes in joints.items():
            row = JOINTS.index(name)
            low[row] = [axes[a]["rotvec_p1"] for a in "xyz"]
            high[row] = [axes[a]["rotvec_p99"] for a in "xyz"]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise SourceError(f"cannot read joint limits from {path}: {error}") from error
    return np.radians(low).astype(np.float32), np.radians(high).astype(np.float32)


@njit(cache=True)
def _forward(rotations: F32, offsets: F32, parents: I64) -> tuple[F32, F32]:  # pragma: no cover - compiled
    people, joints = rotations.shape[0], rotations.shape[1]
    place = np.zeros((people, joints, 3), np.float32)
    turn = np.zeros((people, joints, 4), np.float32)
    for n in range(people):
        for j in range(joints):
            p = parents[j]
            bw, bx, by, bz = rotations[n, j]
            if p < 0:
                turn[n, j] = rotations[n, j]
                continue
            aw, ax, ay, az = turn[n, p]
            vx, vy, vz = offsets[n, j]
            tx, ty, tz = 2 * (ay * vz - az * vy), 2 * (az * vx - ax * vz), 2 * (ax * vy - ay * vx)
            place[n, j, 0] = place[n, p, 0] + vx + aw * tx + ay * tz - az * ty
            place[n, j, 1] = place[n, p, 1] + vy + aw * ty + az * tx - ax * tz
            place[n, j, 2] = place[n, p, 2] + vz + aw * tz + ax * ty - ay * tx
            turn[n, j, 0] = aw * bw - ax * bx - ay * by - az * bz
            turn[n, j, 1] = aw * bx + ax * bw + ay * bz - az * by
            turn[n, j, 2] = aw * by - ax * bz + ay * bw + az * bx
            turn[n, j, 3] = aw * bz + ax * by - ay * bx + az * bw
    return place, turn


def forward(rotations: np.ndarray, offsets_m: np.ndarray) -> tuple[F32, F32]:
    """Forward kinematics with the pelvis at the origin.

    Each joint lies at its parent plus the parent's global rotation times the joint's offset.

    Args:
        rotations: (N, 24, 4), local unit quaternions.
        offsets_m: (N, 24, 3), bone offsets [m].

    Returns:
        Places float32 (N, 24, 3) [m] and global quaternions float32 (N, 24, 4).
    """
    return _forward(np.ascontiguousarray(rotations, np.float32), np.ascontiguousarray(offsets_m, np.float32), PARENTS)


def standing_height(offsets_m: np.ndarray) -> np.ndarray:
    """Height of skeletons (..., 24, 3) standing upright, sole to vertex [m]."""
    up = offsets_m[..., _PELVIS_TO_TOP, 1].sum(-1)
    legs = [
        np.linalg.norm(offsets_m[..., bones, :], axis=-1).sum(-1) - offsets_m[..., bones[1] + 1, 1] for bones in _LEG
    ]
    return up + sum(legs) / 2 + _SOLE_BELOW_TOE_M


def mirror(rotations: np.ndarray, offsets_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right exchanged: rotations (N, 24, 4) and offsets (N, 24, 3) reflected in the plane x = 0."""
    return rotations[:, MIRROR] * np.array([1, 1, -1, -1], np.float32), offsets_m[:, MIRROR] * np.array(
        [-1, 1, 1], np.float32
    )
