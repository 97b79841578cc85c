"""Training samples of Stage II: bodies before random cameras, and what a real Stage I would make of them.

What a detector gets wrong is imitated: noise that grows with the size of the person and as confidence falls, joints it
misses, takes for their left or right twin or from somebody else, people cut by the picture's border, hidden sides,
half bodies at desks, and annotators' ideas of where hips and shoulders are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from xnect.skeleton.joints import FLIP_2D, PARENTS_3D
from xnect.stages.lifting_frame import (
    ENCODING_GAIN,
    ENCODING_SLOTS,
    RayFrame,
    network_inputs,
    points_of_2d,
    to_ray_frame,
)
from xnect.structures import F32
from xnect.training.detected import Detected
from xnect.training.lifting_poses import PoseBatch, PoseSampler

_ARM = {"right": [3, 4], "left": [6, 7]}
_LEG = {"right": [9, 10], "left": [12, 13]}
_SIDE = {"right": [2, 3, 4, 8, 9, 10], "left": [5, 6, 7, 11, 12, 13]}
_LOWER = [9, 10, 12, 13]
_HIPS = [8, 11]
_NEAREST_M = 0.12
#: Share of detected people whose encoding is held back.
WITHOUT_ENCODING = 0.2


@dataclass(frozen=True, slots=True)
class Imitation:
    """How good the imitated detector is; the defaults are those of the training."""

    noise: float = 1.0
    errors: float = 1.0
    bias: float = 1.0
    desk: float = 0.15
    focal_error: float = 0.08
    encoding: float = 0.0


#: Noise alone: every joint is seen, none is wrong.
CLEAN = Imitation(errors=0.0, desk=0.0, focal_error=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class LiftingBatch:
    """Inputs and targets, one row a person.

    Attributes:
        inputs: float32 (B, INPUTS), see ``network_inputs``.
        joints_m: float32 (B, 22, 3), the 21 joints and the nose relative to the pelvis in the frame of the person's ray,
            in metres of a body of 1.70 m; NaN where not known.
        root: float32 (B, 3), what ``root_prior`` reads.
        frame: Where the people are.
        root_m: float64 (B, 3), pelvis in the frame of the ray [m]; as the focal length that is believed in has it.
        xy: float64 (B, 14, 2), joints in the picture plane; 0 where not seen.
    """

    inputs: F32
    joints_m: F32
    root: F32
    frame: RayFrame
    root_m: np.ndarray
    xy: np.ndarray


def make_batch(sampler: PoseSampler, rng: np.random.Generator, count: int, imitation: Imitation) -> LiftingBatch:
    """Draw ``count`` people seen by random cameras."""
    return observe(sampler.draw(rng, count), rng, imitation)


def observe(poses: PoseBatch, rng: np.random.Generator, imitation: Imitation) -> LiftingBatch:
    """Random cameras look at poses, an imitated detector reads the pictures."""
    count = len(poses.joints_m)
    turn = _camera_rotations(rng, count)
    joints = np.einsum("bij,bkj->bki", turn, poses.joints_m).astype(np.float64)
    nose = np.einsum("bij,bj->bi", turn, poses.nose_m).astype(np.float64)
    points = points_of_2d(joints, nose)
    half_size, root = _place(rng, points)
    lateral = np.einsum("bij,bj->bi", turn, poses.lateral)
    up = np.einsum("bij,bj->bi", turn, poses.up)
    marks = points + root[:, None] + imitation.bias * _annotator_bias(rng, points, lateral, up)
    depth = marks[..., 2]
    true_xy = marks[..., :2] / np.maximum(depth, _NEAREST_M)[..., None]
    confidence, xy = _detect(rng, true_xy, points, depth, half_size, imitation)
    focal = _focal(rng, count, imitation.focal_error)
    confidence[(confidence > 0).sum(1) < 3] = 0
    batch = _as_batch(xy, confidence, focal, np.concatenate([joints, nose[:, None]], 1), root)
    if imitation.encoding > 0:
        _imitate_encoding(rng, batch.inputs, batch.joints_m[:, :21], batch.frame.weight > 0, imitation.encoding)
    return batch


def detected_batch(people: Detected, rng: np.random.Generator, count: int, focal_error: float) -> LiftingBatch:
    """``count`` people as Stage I found them; where their noses are in space is not known (NaN).

    Some come without the encoding that was read: other detectors have none to give.
    """
    drawn = people.draw(rng, count)
    focal = _focal(rng, count, focal_error)
    points = np.concatenate([drawn.joints_m, np.full((count, 1, 3), np.nan)], 1).astype(np.float64)
    batch = _as_batch(drawn.xy.astype(np.float64), drawn.confidence, focal, points, drawn.root_m.astype(np.float64))
    if drawn.encoding is not None:
        told = rng.random(count) >= WITHOUT_ENCODING
        batch.inputs[told] = network_inputs(batch.frame, batch.xy, drawn.encoding)[told]
    return batch


def joined(parts: Sequence[LiftingBatch]) -> LiftingBatch:
    """Several batches as one."""
    frames = [part.frame for part in parts]
    frame = RayFrame(*(np.concatenate([getattr(f, field.name) for f in frames]) for field in fields(RayFrame)))
    plain = {n: np.concatenate([getattr(p, n) for p in parts]) for n in ("inputs", "joints_m", "root", "root_m", "xy")}
    return LiftingBatch(**plain, frame=frame)


def _focal(rng: np.random.Generator, count: int, error: float) -> np.ndarray:
    """By which factor the focal length that is believed in is wrong, (B, 1, 1): a guess half of the time."""
    return np.exp(error * rng.standard_normal((count, 1, 1)) * (rng.random((count, 1, 1)) < 0.5))


def _as_batch(
    xy: np.ndarray, confidence: np.ndarray, focal: np.ndarray, points: np.ndarray, root: np.ndarray
) -> LiftingBatch:
    """Inputs and targets of 2D joints whose truth is known in camera axes: points (B, 22, 3), pelvis (B, 3) [m]."""
    seen_along = to_ray_frame(xy, confidence).rotation
    xy = xy * focal
    frame = to_ray_frame(xy, confidence)
    # What is seen decides, not where the wrong focal length puts it: same pose to the true ray, nearer by the factor.
    root_m = np.einsum("bi,bij->bj", root, seen_along)
    root_m[:, 2:] /= focal[:, 0]
    safe = np.maximum(root_m[:, 2:], _NEAREST_M)
    plane = (root_m[:, :2] / safe - frame.centre) / frame.extent[:, None]
    target = np.concatenate([np.clip(plane, -5, 5), np.clip(np.log(safe * frame.extent[:, None]), -4, 4)], -1)
    return LiftingBatch(
        network_inputs(frame, xy, None), (points @ seen_along).astype(np.float32), target.astype(np.float32), frame, root_m, xy
    )  # fmt: skip


def _camera_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    """World (y up) to camera axes: any heading, mostly level or looking down, a little roll; (B, 3, 3)."""
    heading = rng.uniform(-np.pi, np.pi, count)
    pitch = np.where(rng.random(count) < 0.8, rng.normal(0.12, 0.18, count), rng.uniform(-0.5, 1.2, count))
    roll = rng.normal(0, 0.08, count) * np.where(rng.random(count) < 0.9, 1, 4)
    cosine, sine = np.cos(heading), np.sin(heading)
    zero, one = np.zeros(count), np.ones(count)
    turn = _stack(cosine, zero, sine, zero, one, zero, -sine, zero, cosine)
    flip = np.diag([1.0, -1.0, -1.0])
    c, s = np.cos(pitch), np.sin(pitch)
    tilt = _stack(one, zero, zero, zero, c, -s, zero, s, c)
    c, s = np.cos(roll), np.sin(roll)
    lean = _stack(c, -s, zero, s, c, zero, zero, zero, one)
    return lean @ tilt @ flip @ turn


def _stack(*entries: np.ndarray) -> np.ndarray:
    return np.stack(entries, -1).reshape(-1, 3, 3)


def _place(rng: np.random.Generator, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the picture's width and height in the picture plane (B, 2), and where the pelvis stands (B, 3) [m]."""
    count = len(points)
    aspect = rng.choice([16 / 9, 4 / 3, 1.0, 3 / 4, 9 / 16], count, p=[0.5, 0.2, 0.08, 0.07, 0.15])
    longer = np.tan(np.radians(rng.uniform(35, 90, count)) / 2)
    half_size = np.stack([longer * np.minimum(1, aspect), longer * np.minimum(1, 1 / aspect)], -1)
    whole = rng.random(count) < 0.65
    ratio = np.exp(
        np.where(whole, rng.uniform(-2.1, -0.1, count), rng.uniform(-0.1, 0.8, count))
    )  # of the picture height
    depth = np.maximum(1.7 / (2 * half_size[:, 1] * ratio), 0.45)
    anchor = rng.integers(0, 3, count)
    anchor_m = np.stack([np.zeros((count, 3)), points[:, 1], points[:, 0]], 1)[np.arange(count), anchor]
    reach = np.where(ratio > 0.8, 0.6, 0.9)[:, None]
    plane = rng.uniform(-1, 1, (count, 2)) * half_size * reach
    root = np.concatenate([plane, np.ones((count, 1))], -1) * depth[:, None] - anchor_m
    near = (points[..., 2] + root[:, None, 2]).min(1)
    root[:, 2] += np.maximum(0, 0.3 - near) * (rng.random(count) < 0.8)  # few people have a hand on the lens
    return half_size, root


def _annotator_bias(rng: np.random.Generator, points: np.ndarray, lateral: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Where people who label pictures put the joints, less the joint centres, (B, 14, 3) [m]."""
    count = len(points)
    sigma = np.array([2, 1, 2, 1.5, 1.5, 2, 1.5, 1.5, 2, 1.5, 2, 2, 1.5, 2]) / 100
    bias = rng.normal(0, 1, points.shape) * sigma[None, :, None]
    out, rise = rng.normal(0.02, 0.025, (count, 1)), rng.normal(0.02, 0.03, (count, 1))
    bias[:, 8] += -out * lateral + rise * up
    bias[:, 11] += out * lateral + rise * up
    out, rise = rng.normal(0.0, 0.02, (count, 1)), rng.normal(0.0, 0.02, (count, 1))
    bias[:, 2] += -out * lateral + rise * up
    bias[:, 5] += out * lateral + rise * up
    bias[:, 1] = (bias[:, 2] + bias[:, 5]) / 2
    return bias


def _detect(
    rng: np.random.Generator,
    true_xy: np.ndarray,
    points: np.ndarray,
    depth: np.ndarray,
    half_size: np.ndarray,
    imitation: Imitation,
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence (B, 14) and picture-plane places (B, 14, 2) that an imperfect detector reports."""
    count = len(true_xy)
    size = 1.7 / np.maximum(depth.mean(1), 0.3)  # standing height in the picture plane
    good = rng.beta(5, 1.6, (count, 1)) * rng.beta(9, 1.2, (count, 14))
    seen = depth > _NEAREST_M
    if imitation.errors > 0:
        good = _hide(rng, good, points, imitation)
        seen &= _lose(rng, true_xy, half_size, good, imitation)
    spread = imitation.noise * (0.004 + 0.035 * (1 - good) ** 1.5) * rng.lognormal(0, 0.4, (count, 1))
    coarse = imitation.noise * 0.0025 * half_size.max(1)[:, None] * rng.lognormal(0, 0.4, (count, 1))
    sigma = np.hypot(spread * size[:, None], coarse)
    noise = rng.standard_normal((count, 14, 2)) * np.sqrt(5 / rng.chisquare(5, (count, 14, 1)))
    xy = true_xy + noise * sigma[..., None]
    if imitation.errors > 0:
        xy, good = _mistake(rng, xy, good, size, imitation.errors)
    xy[:, 1] = 0.7 * xy[:, [2, 5]].mean(1) + 0.3 * xy[:, 1]  # the neck is the middle of the shoulders
    confidence = np.clip(good, 0.03, 1) ** np.exp(rng.normal(0, 0.35, (count, 1)))  # detectors differ in scale
    confidence = np.where(seen, confidence, 0)
    return confidence, np.where(seen[..., None], xy, 0)


def _hide(rng: np.random.Generator, good: np.ndarray, points: np.ndarray, imitation: Imitation) -> np.ndarray:
    """Joints behind the own trunk, and limbs or sides behind other things, are found badly."""
    count = len(good)
    top, bottom = points[:, 1:2], points[:, _HIPS].mean(1, keepdims=True)
    along = top - bottom
    t = ((points - bottom)[..., :2] * along[..., :2]).sum(-1) / np.maximum((along[..., :2] ** 2).sum(-1), 1e-4)
    nearest = bottom + np.clip(t, 0, 1)[..., None] * along
    gap = points - nearest
    behind = (np.hypot(gap[..., 0], gap[..., 1]) < 0.15) & (gap[..., 2] > 0.10)
    behind[:, [1, 2, 5, 8, 11]] = False
    hidden = behind & (rng.random(good.shape) < 0.8)
    for limb in (*_ARM.values(), *_LEG.values()):
        hidden[:, limb] |= rng.random((count, 1)) < 0.04 * imitation.errors
    for side in _SIDE.values():
        hidden[:, side] |= rng.random((count, 1)) < 0.03 * imitation.errors
    hidden |= rng.random(good.shape) < 0.04 * imitation.errors
    return np.where(hidden, good * rng.uniform(0.05, 0.6, good.shape), good)


def _lose(
    rng: np.random.Generator,
    true_xy: np.ndarray,
    half_size: np.ndarray,
    good: np.ndarray,
    imitation: Imitation,
) -> np.ndarray:
    """Which joints are reported at all, bool (B, 14)."""
    count = len(good)
    seen = (np.abs(true_xy) < half_size[:, None]).all(-1)
    errors = imitation.errors
    seen &= rng.random(good.shape) > errors * (0.03 + 0.75 * np.maximum(0, 0.45 - good) / 0.45)
    desk = rng.random((count, 1)) < imitation.desk
    seen[:, _LOWER] &= ~desk | (rng.random((count, 4)) < 0.06)
    seen[:, _HIPS] &= ~desk | (rng.random((count, 1)) < 0.4)
    for rows, chance in ((_ARM, 0.02), (_LEG, 0.02), (_SIDE, 0.02)):
        for limb in rows.values():
            seen[:, limb] &= rng.random((count, 1)) >= errors * chance
    return seen


def _mistake(
    rng: np.random.Generator, xy: np.ndarray, good: np.ndarray, size: np.ndarray, errors: float
) -> tuple[np.ndarray, np.ndarray]:
    """Left and right confused, joints taken from somebody else or from nowhere; such joints are seldom sure."""
    count = len(xy)
    wrong = np.zeros((count, 14), bool)
    for rows, chance in ((_ARM, 0.012), (_LEG, 0.02), (_SIDE, 0.008)):
        pair = rows["right"] + rows["left"]
        wrong[:, pair] ^= rng.random((count, 1)) < errors * chance * (
            1 + 2 * (good[:, pair].mean(1, keepdims=True) < 0.5)
        )
    swapped = np.where(wrong[..., None], xy[:, FLIP_2D], xy)
    twin = rng.random((count, 14)) < errors * 0.02 * (good < 0.6)  # both sides on one limb
    swapped = np.where(twin[..., None], swapped[:, FLIP_2D], swapped)
    stray = rng.random((count, 14)) < errors * np.where(good < 0.5, 0.08, 0.008)
    away = xy + rng.standard_normal(xy.shape) * (0.35 * size)[:, None, None]
    swapped = np.where(stray[..., None], away, swapped)
    return swapped, np.where(wrong | twin | stray, good * rng.uniform(0.3, 1.0, good.shape), good)


def _imitate_encoding(
    rng: np.random.Generator, inputs: F32, joints: np.ndarray, seen: np.ndarray, share: float
) -> None:
    """Fill in the encoding of a share of the people as a network would predict it: about 12 degrees off, more in depth.

    What ``network_inputs`` does with ``codec.encoding.encode`` gives the same vectors; they are written in the person's
    frame at once.
    """
    who = np.flatnonzero(rng.random(len(inputs)) < share)
    bones = (joints - joints[:, PARENTS_3D])[who].astype(np.float32)
    count, slots = len(who), len(ENCODING_SLOTS)
    length = np.linalg.norm(bones, axis=-1, keepdims=True)
    skill = 0.15 * rng.lognormal(0, 0.5, (count, 1, 1)).astype(np.float32)
    axes = np.array([0.8, 0.8, 1.4], np.float32)
    bones += skill * axes * (length + 0.03) * rng.standard_normal(bones.shape, np.float32)
    vectors = bones[:, ENCODING_SLOTS[:, 1]]
    vectors += (
        0.7
        * skill
        * axes
        * (0.1 + rng.exponential(0.15, (count, slots, 1)).astype(np.float32))
        * (rng.standard_normal(vectors.shape, np.float32))
    )
    vectors *= seen[who][:, ENCODING_SLOTS[:, 0], None]
    inputs[who, 57] = 1
    inputs[who, 58:] = ENCODING_GAIN * vectors.reshape(count, -1)
