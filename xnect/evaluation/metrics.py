"""Measures of accuracy as pure functions of arrays: 3D errors, 2D agreement, steadiness, and identity over time.

Joint arrays have the joints on the axis before the last and coordinates on the last. ``weight`` (..., J), where it is
offered, leaves joints out (0) or counts them (1, or anything between). Errors come back in the unit of the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from xnect.errors import ShapeError
from xnect.structures import F64

#: Thresholds of the area under the 3DPCK curve (method.md section 6.4) [m].
AUC_THRESHOLDS_M = np.arange(0.0, 0.1501, 0.005)


def _same_shape(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.ndim < 2:
        raise ShapeError(f"joints of equal shape (..., J, coordinates) expected, got {a.shape} and {b.shape}")


def _mean(values: F64, weight: np.ndarray | None) -> float:
    """Weighted mean of everything; 0 where nothing counts."""
    if weight is None:
        return float(values.mean()) if values.size else 0.0
    weight = np.broadcast_to(weight, values.shape)
    return float((values * weight).sum() / max(float(weight.sum()), 1e-12))


def joint_errors(found: np.ndarray, truth: np.ndarray) -> F64:
    """Distance of each joint from the truth, float64 (..., J).

    Raises:
        ShapeError: The two have not the same shape.
    """
    _same_shape(found, truth)
    return np.linalg.norm(np.asarray(found, np.float64) - truth, axis=-1)


def mpjpe(found: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean per-joint position error. For root-relative errors hand over root-relative joints."""
    return _mean(joint_errors(found, truth), weight)


def aligned(found: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None, scale: bool = True) -> F64:
    """``found`` moved onto ``truth`` by the best rotation, shift and, if asked, scale of each pose (Procrustes).

    Args:
        found: (..., J, 3).
        truth: (..., J, 3).
        weight: (..., J), joints that count for the fit; a pose needs three.
        scale: Whether the size is fitted too.

    Returns:
        float64 (..., J, 3); the rotation is never a mirror image.
    """
    _same_shape(found, truth)
    source, target = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    w = np.ones(source.shape[:-1]) if weight is None else np.broadcast_to(weight, source.shape[:-1]).astype(np.float64)
    w = (w / np.maximum(w.sum(-1, keepdims=True), 1e-12))[..., None]
    middle_source, middle_target = (w * source).sum(-2, keepdims=True), (w * target).sum(-2, keepdims=True)
    a, b = source - middle_source, target - middle_target
    u, s, vt = np.linalg.svd(np.swapaxes(w * a, -1, -2) @ b)
    sign = np.ones_like(s)
    sign[..., -1] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    rotation = (u * sign[..., None, :]) @ vt
    factor = np.ones(s.shape[:-1])
    if scale:
        factor = (s * sign).sum(-1) / np.maximum((w * a**2).sum((-1, -2)), 1e-12)
    return factor[..., None, None] * (a @ rotation) + middle_target


def pa_mpjpe(found: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None, scale: bool = True) -> float:
    """MPJPE after ``aligned``: what is left when place, direction and (with ``scale``) size are forgiven."""
    return mpjpe(aligned(found, truth, weight, scale), truth, weight)


def pck(found: np.ndarray, truth: np.ndarray, threshold: float, weight: np.ndarray | None = None) -> float:
    """Share of joints nearer to the truth than ``threshold``, 0 to 1; 3DPCK with joints in m and 0.15."""
    return _mean((joint_errors(found, truth) < threshold).astype(np.float64), weight)


def auc(
    found: np.ndarray, truth: np.ndarray, thresholds: np.ndarray = AUC_THRESHOLDS_M, weight: np.ndarray | None = None
) -> float:
    """Mean of ``pck`` over thresholds, 0 to 1."""
    errors = joint_errors(found, truth)
    return float(np.mean([_mean((errors < t).astype(np.float64), weight) for t in thresholds]))


def oks(found: np.ndarray, truth: np.ndarray, labelled: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> F64:
    """COCO's object keypoint similarity, float64 (...), 0 to 1.

    Args:
        found: (..., J, 2) [px].
        truth: (..., J, 2) [px].
        labelled: bool (..., J), joints that the truth has.
        area: (...), area of the person [px^2].
        sigmas: (J,), falloff of each joint.
    """
    square = joint_errors(found, truth) ** 2
    spread = 2 * (2 * np.asarray(sigmas)) ** 2 * (np.asarray(area, np.float64)[..., None] + np.spacing(1))
    similarity = np.exp(-square / spread) * labelled
    return similarity.sum(-1) / np.maximum(np.asarray(labelled).sum(-1), 1)


def bone_lengths(joints: np.ndarray, bones: np.ndarray) -> F64:
    """Lengths of bones, float64 (..., B); ``bones`` int (B, 2), pairs of joint numbers."""
    points = np.asarray(joints, np.float64)
    return np.linalg.norm(points[..., bones[:, 0], :] - points[..., bones[:, 1], :], axis=-1)


def bone_drift(joints: np.ndarray, bones: np.ndarray) -> float:
    """Standard deviation of bone lengths over time relative to their mean, averaged over bones; 0 = a rigid skeleton.

    Args:
        joints: (T, J, 3).
        bones: int (B, 2).
    """
    lengths = bone_lengths(joints, bones)
    return float((lengths.std(0) / np.maximum(lengths.mean(0), 1e-9)).mean())


def accelerations(joints: np.ndarray, time_s: np.ndarray) -> F64:
    """Length of each joint's acceleration, float64 (T - 2, J) [unit/s^2]; the time steps may vary.

    Args:
        joints: (T, J, coordinates).
        time_s: (T,), rising [s].

    Raises:
        ShapeError: Times do not match or do not rise.
    """
    step = np.diff(np.asarray(time_s, np.float64))
    if len(time_s) != len(joints) or (step <= 0).any():
        raise ShapeError("one rising time per frame expected")
    speed = np.diff(np.asarray(joints, np.float64), axis=0) / step[:, None, None]
    between = (step[1:] + step[:-1]) / 2
    return np.linalg.norm(np.diff(speed, axis=0) / between[:, None, None], axis=-1)


def jitter(joints: np.ndarray, time_s: np.ndarray) -> float:
    """Mean acceleration of the joints [unit/s^2]: how restless a motion is. Compare with the truth's own."""
    values = accelerations(joints, time_s)
    return float(values.mean()) if values.size else 0.0


def contacts(
    feet: np.ndarray, time_s: np.ndarray, up: np.ndarray, height: float = 0.05, speed: float = 0.2
) -> np.ndarray:
    """When feet stand on the ground: low and slow, bool (T, F).

    Args:
        feet: (T, F, 3), ankle or toe joints in a space that does not move [m].
        time_s: (T,) [s].
        up: (3,), unit vector.
        height: Highest clearance over the joint's own lowest (2nd percentile) [m].
        speed: Highest speed [m/s].
    """
    points = np.asarray(feet, np.float64)
    level = points @ up
    velocity = np.gradient(points, np.asarray(time_s, np.float64), axis=0)
    low = level < np.percentile(level, 2, axis=0) + height
    return low & (np.linalg.norm(velocity, axis=-1) < speed)


def foot_skating(feet: np.ndarray, contact: np.ndarray, time_s: np.ndarray, up: np.ndarray) -> float:
    """Mean speed along the ground of feet that stand, over steps between two frames of contact [m/s].

    Args:
        feet: (T, F, 3) [m].
        contact: bool (T, F), from the truth where there is one, else ``contacts``.
        time_s: (T,) [s].
        up: (3,), unit vector.
    """
    move = np.diff(np.asarray(feet, np.float64), axis=0)
    flat = move - (move @ up)[..., None] * up
    speed = np.linalg.norm(flat, axis=-1) / np.diff(time_s)[:, None]
    return _mean(speed, (contact[1:] & contact[:-1]).astype(np.float64))


@dataclass(frozen=True, slots=True)
class IdentityFigures:
    """How well ids follow people.

    Attributes:
        switches: How often a person's id differs from the one they had when last found.
        fragments: How often a person is found again after frames without.
        idf1: Share of true and found appearances that the best one-to-one naming explains, 0 to 1.
    """

    switches: int
    fragments: int
    idf1: float


def identity(frame: np.ndarray, person: np.ndarray, track: np.ndarray) -> IdentityFigures:
    """Judge ids over time.

    Args:
        frame: int (N,), frame of each appearance, ascending.
        person: int (N,), who it truly is; -1 = a false alarm.
        track: int (N,), the id given; -1 = not found.

    Raises:
        ShapeError: The three have not the same length.
    """
    if not frame.shape == person.shape == track.shape or frame.ndim != 1:
        raise ShapeError("frame, person and track must be of one length")
    switches = fragments = 0
    for who in np.unique(person[person >= 0]):
        ids = track[person == who]
        known = ids[ids >= 0]
        switches += int((np.diff(known) != 0).sum())
        found = np.flatnonzero(ids >= 0)
        fragments += int((np.diff(found) > 1).sum())
    true, given = person >= 0, track >= 0
    both = true & given
    people, row = np.unique(person[both], return_inverse=True)
    ids_found, column = np.unique(track[both], return_inverse=True)
    together = np.zeros((len(people), len(ids_found)))
    np.add.at(together, (row, column), 1)
    hits = together[linear_sum_assignment(-together)].sum()
    return IdentityFigures(switches, fragments, float(2 * hits / max(true.sum() + given.sum(), 1)))
