"""Bone lengths of a person: what Stage II's poses tell of them, held near those of an average adult.

From Stage II only the ratios between bones are used; the size of the whole is set by the body height, that of the
person where it is known and of an average adult where it is not (one picture does not tell a tall person far away
from a small one near by).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON, SOLE_M
from xnect.structures import F64, I64, Bool

#: Body height where none is given [m].
AVERAGE_HEIGHT_M = 1.70

# bone, the pairs of 3D joints between which it is measured, the joints whose offsets it scales ("*": both sides)
_BONES: tuple[tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]], ...] = (
    ("trunk", (("pelvis", "spine"),), ("lumbar", "spine")),
    ("chest", (("spine", "neck"),), ("neck", "*clavicle")),
    ("neck", (("neck", "head"),), ("head",)),
    ("head", (("head", "head_top"),), ("head_top",)),
    ("shoulders", (("neck", "*shoulder"),), ("*shoulder",)),
    ("upper_arm", (("*shoulder", "*elbow"),), ("*elbow",)),
    ("forearm", (("*elbow", "*wrist"),), ("*wrist",)),
    ("hand", (("*wrist", "*hand"),), ("*hand",)),
    ("hips", (("pelvis", "*hip"),), ("*hip",)),
    ("thigh", (("*hip", "*knee"),), ("*knee",)),
    ("shin", (("*knee", "*ankle"),), ("*ankle",)),
    ("foot", (("*ankle", "*toe"),), ("*toe",)),
)
BONE_NAMES: tuple[str, ...] = tuple(name for name, _, _ in _BONES)


def _both_sides(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The names with "*" replaced by each side, or as they are."""
    if not any("*" in name for name in names):
        return [names]
    return [tuple(name.replace("*", side) for name in names) for side in ("right_", "left_")]


def _tables() -> tuple[I64, I64]:
    """Ends of each bone on each side, (2, bones, 2), and the bone that scales each joint's offset, (J,), -1 none."""
    ends = np.zeros((2, len(_BONES), 2), np.int64)
    scaled_by = np.full(len(SKELETON.joint_names), -1)
    for b, (_, measured, scales) in enumerate(_BONES):
        sides = [pair for names in measured for pair in _both_sides(names)]
        for s in range(2):
            ends[s, b] = [JOINTS_3D.index(name) for name in sides[s % len(sides)]]
        for name in scales:
            for (joint,) in _both_sides((name,)):
                scaled_by[SKELETON.joint_names.index(joint)] = b
    return ends, scaled_by


_ENDS, _SCALED_BY = _tables()


def side_lengths_m(joints_m: np.ndarray) -> F64:
    """Bone lengths of poses (..., 21, 3), right and left apart, (..., 2, bones) [m]."""
    return np.linalg.norm(joints_m[..., _ENDS[..., 1], :] - joints_m[..., _ENDS[..., 0], :], axis=-1)


def body_height_m(offsets_m: np.ndarray) -> F64:
    """Standing height of skeletons (..., J, 3) [m]: vertex to ball of the foot in the rest pose, and the sole."""
    names = SKELETON.joint_names
    up = sum(offsets_m[..., names.index(n), 1] for n in ("lumbar", "spine", "neck", "head", "head_top"))
    down = sum(offsets_m[..., names.index("right_" + n), 1] for n in ("hip", "knee", "ankle", "toe"))
    span = np.asarray(up - down)
    return span * (1 + SOLE_M / (AVERAGE_HEIGHT_M - SOLE_M))


def offsets_from_ratios(ratios: np.ndarray, height_m: float | None) -> F64:
    """Skeletons from the ratios of their bones to an average adult's.

    Args:
        ratios: (..., bones), 1 = average.
        height_m: Body height [m], None = an average adult's.

    Returns:
        Bone offsets, float64 (..., J, 3) [m].
    """
    factor = np.concatenate([ratios, np.ones_like(ratios[..., :1])], -1)[..., _SCALED_BY]
    offsets = factor[..., None] * SKELETON.rest_offsets_m
    size = (height_m or AVERAGE_HEIGHT_M) / body_height_m(offsets)
    return offsets * size[..., None, None]


def _rest_lengths_m() -> F64:
    """Bone lengths of the average adult, measured as those of a pose are, (bones,)."""
    identity = np.eye(3)[None]
    xyz, _ = SKELETON.forward(np.zeros((1, 3)), identity, SKELETON.rest_rad[None], SKELETON.rest_offsets_m)
    return side_lengths_m(xyz[0, SKELETON.index_21]).mean(0)


REST_LENGTHS_M = _rest_lengths_m()


def pose_scale(joints_m: np.ndarray, offsets_m: np.ndarray, weight: np.ndarray) -> F64:
    """Factor that brings Stage II's poses to the size of the skeletons, (P,).

    Args:
        joints_m: Poses, (P, 21, 3) [m].
        offsets_m: Skeletons, (P, J, 3) [m].
        weight: Trust in each joint, (P, 21), 0 to 1.
    """
    joints, offsets, trust = (np.ascontiguousarray(a, np.float64) for a in (joints_m, offsets_m, weight))
    return _pose_scales(joints, offsets, trust)


#: A joint whose offset each bone scales, and the bone's length over that offset's in the average adult.
_FIRST_JOINT: I64 = np.array([int(np.flatnonzero(b == _SCALED_BY)[-1]) for b in range(len(_BONES))])
_LENGTH_OF_OFFSET: F64 = REST_LENGTHS_M / np.linalg.norm(SKELETON.rest_offsets_m[_FIRST_JOINT], axis=-1)


@njit(cache=True)
def _distance(points: F64, a: int, b: int) -> float:
    return math.sqrt(
        (points[a, 0] - points[b, 0]) ** 2 + (points[a, 1] - points[b, 1]) ** 2 + (points[a, 2] - points[b, 2]) ** 2
    )


@njit(cache=True)
def _pose_scales(joints: F64, offsets: F64, weight: F64) -> F64:  # pragma: no cover - compiled
    """``pose_scale`` person by person: the factor of least squares over all bones on both sides."""
    out = np.empty(len(joints))
    for n in range(len(joints)):
        both, square = 0.0, 0.0
        for b in range(len(_FIRST_JOINT)):
            x, y, z = offsets[n, _FIRST_JOINT[b]]
            expected = _LENGTH_OF_OFFSET[b] * math.sqrt(x * x + y * y + z * z)
            for side in range(2):
                start, end = _ENDS[side, b]
                length = _distance(joints[n], start, end)
                trust = min(weight[n, start], weight[n, end]) + 1e-3
                both += trust * expected * length
                square += trust * length * length
        out[n] = min(max(both / max(square, 1e-6), 0.3), 3.0)
    return out


class ProportionEstimator:
    """Bone lengths of each person from their first confident frames; state in arrays, one row a person.

    Every frame gives each bone's ratio to the average adult's after the frame's overall scale is taken out; the
    estimate is the median over the frames so far, drawn towards 1 as long as there are few. After ``frames`` frames
    it stays as it is.
    """

    #: So many frames outweigh the average adult half.
    PRIOR_FRAMES = 8.0
    #: Least confidence of both ends of a bone that is to be measured.
    LEAST_CONFIDENCE = 0.4
    #: Bones further from the average adult's than this factor are cut to it.
    LARGEST_RATIO = 1.3

    def __init__(self, height_m: float | None, frames: int) -> None:
        """Makes an estimator without people.

        Args:
            height_m: Body height for everyone [m], None = an average adult's.
            frames: Confident frames after which a person's bones are fixed; 0 = the average adult's bones.
        """
        self._height_m = height_m
        self._frames = frames
        self._samples = np.zeros((0, frames, len(_BONES)))
        self._count = np.zeros(0, np.int64)
        self._default = offsets_from_ratios(np.ones(len(_BONES)), height_m)
        self._offsets = np.zeros((0, *self._default.shape))

    def reset(self, rows: I64) -> None:
        """Back to the average adult for these rows; makes room for them where needed."""
        if len(rows) == 0:
            return
        short = int(rows.max()) + 1 - len(self._count)
        if short > 0:
            self._samples = np.concatenate([self._samples, np.zeros((short, *self._samples.shape[1:]))])
            self._count = np.concatenate([self._count, np.zeros(short, np.int64)])
            self._offsets = np.concatenate([self._offsets, np.zeros((short, *self._default.shape))])
        self._count[rows] = 0
        self._offsets[rows] = self._default

    def restart(self) -> None:
        """Measure everyone anew; the present bones stay until the first new frame."""
        self._count[:] = 0

    def offsets_m(self, rows: I64) -> F64:
        """Bone offsets of these rows, (R, J, 3) [m]."""
        return self._offsets[rows]

    def update(self, rows: I64, joints_m: np.ndarray, confidence: np.ndarray) -> None:
        """Take a frame in.

        Args:
            rows: Row of each person, (R,).
            joints_m: Stage II's poses, (R, 21, 3) [m].
            confidence: (R, 21).
        """
        open_ = self._count[rows] < self._frames
        if not open_.any():
            return
        rows, joints_m, confidence = rows[open_], joints_m[open_], confidence[open_]
        lengths = side_lengths_m(joints_m)
        sure = np.minimum(confidence[:, _ENDS[..., 0]], confidence[:, _ENDS[..., 1]]) >= self.LEAST_CONFIDENCE
        usable = sure.any(1).sum(1) >= len(_BONES) // 2
        if not usable.any():
            return
        rows, lengths, sure = rows[usable], lengths[usable], sure[usable]
        ratios = _frame_ratios(lengths, sure)
        self._samples[rows, self._count[rows]] = ratios
        self._count[rows] += 1
        self._offsets[rows] = offsets_from_ratios(self._median_ratios(rows), self._height_m)

    def _median_ratios(self, rows: I64) -> F64:
        """Median of the samples so far, shrunk towards 1 (NaN samples: bone not seen in that frame)."""
        samples = self._samples[rows].copy()
        samples[np.arange(self._frames) >= self._count[rows, None]] = np.nan
        samples.sort(1)  # NaN last
        seen = (~np.isnan(samples)).sum(1)
        low, high = np.maximum(seen - 1, 0) // 2, np.maximum(seen, 1) // 2
        high = np.minimum(high, np.maximum(seen - 1, 0))
        take = np.take_along_axis
        median = 0.5 * (take(samples, low[:, None], 1) + take(samples, high[:, None], 1))[:, 0]
        trust = seen / (seen + self.PRIOR_FRAMES)
        ratio = 1 + trust * (np.where(seen > 0, median, 1.0) - 1)
        return np.clip(ratio, 1 / self.LARGEST_RATIO, self.LARGEST_RATIO)


def _frame_ratios(lengths: F64, sure: Bool) -> F64:
    """Ratio of each bone to the average adult's in one frame, sides averaged, overall scale removed, NaN = not seen.

    Args:
        lengths: (R, 2, bones) [m].
        sure: bool (R, 2, bones).
    """
    count = sure.sum(1)
    mean = (lengths * sure).sum(1) / np.maximum(count, 1)
    seen = count > 0
    scale = (seen * mean * REST_LENGTHS_M).sum(1) / np.maximum((seen * mean**2).sum(1), 1e-9)
    return np.where(seen, mean * scale[:, None] / REST_LENGTHS_M, np.nan)
