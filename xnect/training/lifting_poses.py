"""Random bodies in random poses for Stage II: mocap frames, varied within joint limits, with varied proportions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnect.codec.encoding import REFERENCE_HEIGHT_M
from xnect.structures import F32
from xnect.training.motion import (
    JOINTS,
    JOINTS_3D_ROWS,
    ROTATED,
    MotionFrames,
    forward,
    mirror,
    read_limits,
    read_motion,
    standing_height,
)

_J = {name: row for row, name in enumerate(JOINTS)}
_ARMS = np.arange(6, 16)
_LEGS = np.arange(16, 24)
_HEAD = [_J["head"], _J["head_top"]]
_LIMIT_SLACK_RAD = np.float32(0.17)


@dataclass(frozen=True, slots=True)
class PoseVariety:
    """How often and how far poses are varied (shares of the samples)."""

    swap_limbs: float = 0.25
    perturb: float = 0.6
    sit: float = 0.12
    lie: float = 0.08
    proportions: float = 0.85
    children: float = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class PoseBatch:
    """Bodies of 1.70 m standing height in world axes (y up), pelvis at the origin.

    Attributes:
        joints_m: float32 (B, 21, 3).
        nose_m: float32 (B, 3).
        lateral: float32 (B, 3), unit vector to the person's left at the pelvis.
        up: float32 (B, 3), unit vector up the trunk at the pelvis.
    """

    joints_m: F32
    nose_m: F32
    lateral: F32
    up: F32


class PoseSampler:
    """Draws poses by category, so that what was recorded often does not rule."""

    def __init__(self, folder: Path, split: str = "train", part: str = "all", variety: PoseVariety | None = None):
        """Read the clips.

        Raises:
            SourceError: The folder is not a motion pack.
        """
        self.frames: MotionFrames = read_motion(folder, split, part)
        self.variety = variety or PoseVariety()
        self.low, self.high = read_limits(folder)
        categories = np.array([category for _, category in self.frames.clips])[self.frames.clip]
        _, kind, count = np.unique(categories, return_inverse=True, return_counts=True)
        share = np.sqrt(count.astype(np.float64))
        self._cumulative = np.cumsum((share / count)[kind])
        self._cumulative /= self._cumulative[-1]

    def draw(self, rng: np.random.Generator, count: int) -> PoseBatch:
        """Draw ``count`` varied poses."""
        v = self.variety
        rows = np.searchsorted(self._cumulative, rng.random(count))
        rotations = self.frames.rotations[rows].copy()
        offsets = self.frames.offsets_m[self.frames.skeleton[rows]]
        for limbs in (_ARMS, _LEGS):  # arms or legs of another frame
            who = np.flatnonzero(rng.random(count) < v.swap_limbs)
            other = np.searchsorted(self._cumulative, rng.random(len(who)))
            rotations[who[:, None], limbs] = self.frames.rotations[other][:, limbs]
        sitting = np.flatnonzero(rng.random(count) < v.sit)
        rotations[sitting] = _sit(rng, rotations[sitting])
        moved = np.flatnonzero(rng.random(count) < v.perturb)
        rotations[moved] = self._perturb(rng, rotations[moved])
        lying = np.flatnonzero(rng.random(count) < v.lie)
        rotations[lying, 0] = _random_quaternions(rng, len(lying))
        flip = np.flatnonzero(rng.random(count) < 0.5)
        rotations[flip], offsets[flip] = mirror(rotations[flip], offsets[flip])
        varied = np.flatnonzero(rng.random(count) < v.proportions)
        offsets[varied] = _vary_proportions(rng, offsets[varied], v.children)
        return finish(rotations, offsets, rng)

    def _perturb(self, rng: np.random.Generator, rotations: F32) -> F32:
        """Turn joints a little; what leaves the limits is brought back (a joint already outside stays where it was)."""
        count = len(rotations)
        vectors = _log(rotations)
        sigma = rng.choice(np.array([0.05, 0.12, 0.3], np.float32), (count, 1, 1), p=[0.5, 0.35, 0.15])
        loose = (rng.random((count, 24, 1)) < 0.5) * sigma
        moved = vectors + rng.standard_normal(vectors.shape, np.float32) * loose
        low = np.minimum(self.low - _LIMIT_SLACK_RAD, vectors)
        high = np.maximum(self.high + _LIMIT_SLACK_RAD, vectors)
        moved = np.clip(moved, low, high)
        moved[:, 0] = vectors[:, 0]
        out = _exp(moved)
        still = np.setdiff1d(np.arange(24), ROTATED)
        out[:, still] = np.array([1, 0, 0, 0], np.float32)
        return out


def finish(rotations: F32, offsets: F32, rng: np.random.Generator | None = None) -> PoseBatch:
    """Forward kinematics, rescaled to the reference height; with ``rng`` the nose's place on the face varies."""
    offsets = offsets * (REFERENCE_HEIGHT_M / standing_height(offsets))[:, None, None].astype(np.float32)
    places, turns = forward(rotations, offsets)
    head = offsets[:, _J["head_top"], 1] / 0.19
    nose = np.array([0, 0.04, 0.10], np.float32)
    if rng is not None:
        nose = nose + rng.standard_normal((len(offsets), 3), np.float32) * np.array([0.004, 0.02, 0.015], np.float32)
    nose_m = places[:, _J["head"]] + rotate(turns[:, _J["head"]], nose * head[:, None])
    axes = np.eye(3, dtype=np.float32)
    pelvis = turns[:, 0]
    return PoseBatch(
        places[:, JOINTS_3D_ROWS],
        nose_m.astype(np.float32),
        rotate(pelvis, np.broadcast_to(axes[0], nose_m.shape)),
        rotate(pelvis, np.broadcast_to(axes[1], nose_m.shape)),
    )


def _sit(rng: np.random.Generator, rotations: F32) -> F32:
    """Thighs forward, knees bent, as on chairs, sofas and the floor; trunk and arms stay."""
    count = len(rotations)
    together = rng.random((count, 1)) < 0.7
    hip = rng.normal(1.45, 0.25, (count, 1)) + np.where(together, 0.06, 0.3) * rng.standard_normal((count, 2))
    knee = rng.normal(1.45, 0.4, (count, 1)) + np.where(together, 0.12, 0.5) * rng.standard_normal((count, 2))
    spread = rng.normal(0.12, 0.15, (count, 2))
    twist = rng.normal(0, 0.15, (count, 2))
    for side, (h, k) in enumerate(((16, 17), (20, 21))):
        out = 1 if side else -1  # to the person's left is +x
        flex = np.stack([-np.clip(hip[:, side], 0.6, 2.1), np.zeros(count), np.zeros(count)], -1)
        open_ = np.stack([np.zeros(count), out * spread[:, side], twist[:, side]], -1)
        rotations[:, h] = _multiply(_exp(open_.astype(np.float32)), _exp(flex.astype(np.float32)))
        bend = np.stack([np.clip(knee[:, side], 0.0, 2.5), np.zeros(count), np.zeros(count)], -1)
        rotations[:, k] = _exp(bend.astype(np.float32))
    return rotations


def _vary_proportions(rng: np.random.Generator, offsets: F32, children: float) -> F32:
    """Longer or shorter limbs, trunks, heads; children have large heads and short legs."""
    count = len(offsets)
    child = (rng.random(count) < children) * rng.random(count)

    def factor(sigma: float, rows: int = 1) -> np.ndarray:
        return np.exp(sigma * rng.standard_normal((count, rows, 1))).astype(np.float32)

    def grown(ratio: float) -> np.ndarray:
        return (1 + child * (ratio - 1))[:, None, None].astype(np.float32)

    out = offsets * factor(0.02, 24)
    out[:, 1:4] *= factor(0.05)
    out[:, _HEAD] *= factor(0.08) * grown(1.45)
    for rows in (_ARMS, _LEGS):
        half = len(rows) // 2
        twin = factor(0.02, half)  # what is long on one side is long on the other
        out[:, rows[:half]] *= twin
        out[:, rows[half:]] *= twin
    out[:, [8, 9, 10, 13, 14, 15]] *= factor(0.05) * grown(0.93)
    out[:, [7, 12]] *= factor(0.08)
    out[:, [16, 20]] *= factor(0.15)
    out[:, [17, 18, 21, 22]] *= factor(0.05) * grown(0.85)
    out[:, [10, 15]] *= factor(0.15)
    return out


def _random_quaternions(rng: np.random.Generator, count: int) -> F32:
    q = rng.standard_normal((count, 4)).astype(np.float32)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) turned by unit quaternions (..., 4)."""
    w, u = q[..., :1], q[..., 1:]
    t = 2 * np.cross(u, v)
    return v + w * t + np.cross(u, t)


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1, keepdims=True)
    u = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([w, u], -1)


def _log(q: F32) -> F32:
    """Unit quaternions (..., 4) -> rotation vectors (..., 3)."""
    q = np.where(q[..., :1] < 0, -q, q)
    size = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(size, q[..., :1])
    return (q[..., 1:] * (angle / np.maximum(size, 1e-8))).astype(np.float32)


def _exp(v: F32) -> F32:
    """Rotation vectors (..., 3) -> unit quaternions (..., 4)."""
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    ratio = np.where(angle < 1e-6, 0.5, np.sin(angle / 2) / np.maximum(angle, 1e-6))
    return np.concatenate([np.cos(angle / 2), v * ratio], -1).astype(np.float32)
