"""From 2D joints to the frame in which Stage II predicts, and back: rays, scale, distance.

A person at the edge of the picture is seen along a slanted ray. Their joints are turned into the frame of that ray
(the optical axis turned onto it), so that the same pose looks the same wherever it stands; the prediction is turned back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from xnect.codec.encoding import TRUSTED_JOINTS
from xnect.skeleton.joints import JOINT_3D_OF_2D, PELVIS
from xnect.structures import F32, F64, I64

#: The encoding vectors that enter the network: (2D joint, 3D joint) pairs, in this order.
ENCODING_SLOTS = np.argwhere(TRUSTED_JOINTS)
#: Inputs per person: x, y, confidence, seen for 14 joints; log extent; encoding present; the encoding's vectors.
INPUTS_WITHOUT_ENCODING = 14 * 4 + 2
INPUTS = INPUTS_WITHOUT_ENCODING + 3 * len(ENCODING_SLOTS)

#: Brings bone vectors [m] to about unit size.
ENCODING_GAIN = 3.0
#: Raw outputs: 22 points (21 joints and the nose; x, y, z each), the pelvis (plane x, y, logarithm of distance times
#: extent), a gate for each point, the logarithm of each joint's expected error.
POINTS, ROOT, GATES, ERRORS = slice(0, 66), slice(66, 69), slice(69, 91), slice(91, 112)
OUTPUTS = 112
#: The 2D joint whose sight line helps to place each of the 22 points; -1 = none (pelvis, spine).
SIGHT_OF_POINT = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, -1, -1, 0, 4, 7, 10, 13, 0])

#: No joint of a body of 1.70 m is farther from the pelvis along an axis.
LONGEST_REACH_M = 1.5

_LEAST_EXTENT = 1e-3
_NEAREST_M, _FARTHEST_M = 0.15, 200.0
#: Sight lines more than 80 degrees off the central ray are pulled in (no picture of a real lens has them).
_LEAST_RAY_Z = 0.17
#: A joint that misses its sight line by this [m] counts half in the later passes.
_MISFIT_M = 0.1
_SHOULDERS = (2, 5)
#: Row of the nose among the predicted points.
_NOSE = 21
#: Weight of the network's own guess of the place relative to one joint of confidence 1.
_STRENGTH = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class RayFrame:
    """People in the frames of their own rays.

    Attributes:
        rotation: float64 (P, 3, 3), turns the optical axis onto the person's central ray (``geometry.ray_rotation``).
        extent: float64 (P,), size of the person in the ray's picture plane: the confidence-weighted root mean square
            distance of the seen joints from their mean.
        centre: float64 (P, 2), that mean.
        plane: float64 (P, 14, 2), joints in the ray's picture plane (0 where not seen).
        weight: float64 (P, 14), confidence, 0 where not seen.
    """

    rotation: np.ndarray
    extent: np.ndarray
    centre: np.ndarray
    plane: np.ndarray
    weight: np.ndarray


def to_ray_frame(xy: np.ndarray, confidence: np.ndarray) -> RayFrame:
    """Turn people into the frames of their central rays.

    The central ray goes through the confidence-weighted mean of the seen joints.

    Args:
        xy: (P, 14, 2), picture-plane coordinates of the joints (``geometry.unproject``); anything where not seen.
        confidence: (P, 14), 0 = not seen.
    """
    return RayFrame(*_ray_frames(np.ascontiguousarray(xy, np.float64), np.ascontiguousarray(confidence, np.float64)))


@njit(cache=True)
def _ray_frames(xy: F64, confidence: F64) -> tuple[F64, F64, F64, F64, F64]:  # pragma: no cover - compiled
    """``to_ray_frame`` person by person: mean, its ray's rotation (as ``geometry.ray_rotation``), plane, mean, extent."""
    people, joints = confidence.shape
    rotation, extent = np.zeros((people, 3, 3)), np.zeros(people)
    centre, plane, weight = np.zeros((people, 2)), np.zeros((people, joints, 2)), np.zeros((people, joints))
    for n in range(people):
        total = x = y = 0.0
        for j in range(joints):
            w = confidence[n, j]
            if w > 0 and np.isfinite(xy[n, j, 0]) and np.isfinite(xy[n, j, 1]):
                weight[n, j] = w
                total, x, y = total + w, x + w * xy[n, j, 0], y + w * xy[n, j, 1]
        scale = 1 / total if total > 0 else 0.0
        x, y = x * scale, y * scale
        length = np.sqrt(x * x + y * y + 1)
        x, y, z = x / length, y / length, 1 / length
        k = 1 / (1 + z)
        r = rotation[n]
        r[0, 0], r[0, 1], r[0, 2] = 1 - k * x * x, -k * x * y, x
        r[1, 0], r[1, 1], r[1, 2] = -k * x * y, 1 - k * y * y, y
        r[2, 0], r[2, 1], r[2, 2] = -x, -y, z
        for j in range(joints):
            if weight[n, j] > 0:
                u, v = xy[n, j, 0], xy[n, j, 1]
                depth = max(u * r[0, 2] + v * r[1, 2] + r[2, 2], _LEAST_RAY_Z)
                plane[n, j, 0] = (u * r[0, 0] + v * r[1, 0] + r[2, 0]) / depth
                plane[n, j, 1] = (u * r[0, 1] + v * r[1, 1] + r[2, 1]) / depth
                centre[n] += weight[n, j] * scale * plane[n, j]
        square = 0.0
        for j in range(joints):
            dx, dy = plane[n, j, 0] - centre[n, 0], plane[n, j, 1] - centre[n, 1]
            square += weight[n, j] * scale * (dx * dx + dy * dy)
        extent[n] = max(np.sqrt(square), _LEAST_EXTENT)
    return rotation, extent, centre, plane, weight


def plain_inputs(frame: RayFrame) -> F32:
    """``network_inputs`` without encoding and the slots for it, float32 (P, INPUTS_WITHOUT_ENCODING)."""
    return _plain_inputs(frame.plane, frame.centre, frame.extent, frame.weight)


@njit(cache=True)
def _plain_inputs(plane: F64, centre: F64, extent: F64, weight: F64) -> F32:  # pragma: no cover - compiled
    """``plain_inputs`` person by person."""
    out = np.zeros((len(extent), INPUTS_WITHOUT_ENCODING), np.float32)
    for n in range(len(extent)):
        for j in range(weight.shape[1]):
            if weight[n, j] > 0:
                out[n, 4 * j] = (plane[n, j, 0] - centre[n, 0]) / extent[n]
                out[n, 4 * j + 1] = (plane[n, j, 1] - centre[n, 1]) / extent[n]
                out[n, 4 * j + 2], out[n, 4 * j + 3] = weight[n, j], 1.0
        out[n, 56] = math.log(extent[n]) + 2.0  # about 0 for a standing person two body lengths away
    return out


def network_inputs(frame: RayFrame, xy: np.ndarray, encoding: np.ndarray | None) -> F32:
    """The network's input vectors, float32 (P, INPUTS).

    Joints relative to their mean and divided by the extent; zero where not seen. ``encoding`` (P, 14, 63) is turned
    into the person's frame; without it its slots are zero and the flag says so.
    """
    out = np.zeros((len(frame.extent), INPUTS), np.float32)
    out[:, :INPUTS_WITHOUT_ENCODING] = plain_inputs(frame)
    if encoding is not None:
        out[:, 57] = 1.0
        values = np.ascontiguousarray(encoding, np.float32)
        _add_encoding(out, values, np.ascontiguousarray(xy, np.float64), frame.weight, frame.rotation, ENCODING_SLOTS)
    return out


@njit(cache=True)
def _add_encoding(
    out: F32, encoding: F32, xy: F64, weight: F64, rotation: F64, slots: I64
) -> None:  # pragma: no cover - compiled
    """``codec.encoding.in_frame_of`` for the vectors that enter the network alone, person by person."""
    turn = np.empty((3, 3))
    ray = np.empty((3, 3))
    for n in range(len(out)):
        last = -1
        for s in range(len(slots)):
            j, k = slots[s]
            if weight[n, j] <= 0:
                continue
            if j != last:  # slots are sorted by joint
                x, y = xy[n, j, 0], xy[n, j, 1]
                length = math.sqrt(x * x + y * y + 1)
                x, y, z = x / length, y / length, 1 / length
                f = 1 / (1 + z)
                ray[0] = 1 - f * x * x, -f * x * y, x
                ray[1] = -f * x * y, 1 - f * y * y, y
                ray[2] = -x, -y, z
                for d in range(3):
                    for e in range(3):
                        turn[d, e] = 0.0
                        for c in range(3):
                            turn[d, e] += ray[c, d] * rotation[n, c, e]
                last = j
            for e in range(3):
                value = 0.0
                for d in range(3):
                    value += encoding[n, j, 3 * k + d] * turn[d, e]
                out[n, INPUTS_WITHOUT_ENCODING + 3 * s + e] = ENCODING_GAIN * value


def place_points(raw: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Raw outputs (P, OUTPUTS) and the inputs they come from -> 21 joints and the nose, (P, 22, 3) [m].

    In x and y a point is what the network says plus a share (the gate, 0 to 1) of where its joint's sight line passes at
    the depth the network gives it: with pelvis at (u, v) and distance Z in the ray's plane, a joint seen at (x, y) and z
    deeper than the pelvis lies at ``Z (x - u) + z x`` beside it. So the network need not learn to multiply.
    """
    return _placed(np.ascontiguousarray(raw, np.float32), np.ascontiguousarray(inputs, np.float32))


@njit(cache=True)
def _placed(raw: F32, inputs: F32) -> F64:  # pragma: no cover - compiled
    """``place_points`` person by person."""
    points = np.empty((len(raw), len(SIGHT_OF_POINT), 3))
    for n in range(len(raw)):
        size_m, extent = math.exp(min(max(raw[n, 68], -4.0), 4.0)), math.exp(inputs[n, 56] - 2.0)
        for p in range(len(SIGHT_OF_POINT)):
            j, z = SIGHT_OF_POINT[p], float(raw[n, 3 * p + 2])
            share = 0.0
            if j >= 0:
                share = inputs[n, 4 * j + 3] / (1 + math.exp(-min(max(raw[n, 69 + p], -30.0), 30.0)))
            for k in range(2):
                points[n, p, k] = raw[n, 3 * p + k]
                if share > 0:
                    plane = float(inputs[n, 4 * j + k])
                    sight = size_m * (plane - raw[n, 66 + k]) + z * plane * extent
                    points[n, p, k] += share * min(max(sight, -LONGEST_REACH_M), LONGEST_REACH_M)
            points[n, p, 2] = z
            for k in range(3):
                points[n, p, k] = min(max(points[n, p, k], -LONGEST_REACH_M), LONGEST_REACH_M)
    return points


def root_prior(raw: np.ndarray, frame: RayFrame) -> np.ndarray:
    """The network's own guess of the pelvis in the ray's frame, float64 (P, 3) [m].

    Args:
        raw: (P, 3): the pelvis in the picture plane in units of the extent from the centre, and the logarithm of
            (distance times extent).
        frame: What the input was made of.
    """
    return _priors(np.ascontiguousarray(raw, np.float32), 0, frame.centre, frame.extent)


@njit(cache=True)
def _priors(raw: F32, first: int, centre: F64, extent: F64) -> F64:  # pragma: no cover - compiled
    """``root_prior`` person by person, from three columns of ``raw``."""
    out = np.empty((len(raw), 3))
    for n in range(len(raw)):
        depth = math.exp(min(max(raw[n, first + 2], -4.0), 4.0)) / extent[n]
        out[n, 2] = min(max(depth, _NEAREST_M), _FARTHEST_M)
        for k in range(2):
            out[n, k] = (centre[n, k] + min(max(raw[n, first + k], -20.0), 20.0) * extent[n]) * out[n, 2]
    return out


def locate(points_m: np.ndarray, prior_m: np.ndarray, frame: RayFrame, strength: float = _STRENGTH) -> np.ndarray:
    """Pelvis position that puts the predicted joints onto the seen ones: weighted least squares, closed form.

    Each seen joint at (x, y) in the plane asks for ``t_x - x t_z = x p_z - p_x`` and the same in y, in metres at the
    body; two more passes take weight from joints that do not fit (Cauchy). The network's own guess enters as three more
    equations, so that one or two joints are enough for an answer and a person seen edge-on is not thrown far away.

    Args:
        points_m: (P, 14, 3), predicted places of the 2D joints relative to the pelvis, in the ray's frame [m].
        prior_m: (P, 3), guess (``root_prior``).
        frame: The seen joints.
        strength: Weight of the guess relative to one joint of confidence 1.

    Returns:
        float64 (P, 3), in the ray's frame [m].
    """
    points, prior = np.ascontiguousarray(points_m, np.float64), np.ascontiguousarray(prior_m, np.float64)
    return _solve(points, prior, frame.plane, frame.weight, frame.extent, strength)


@njit(cache=True)
def _solve(
    points: F64, prior: F64, plane: F64, confidence: F64, extent: F64, strength: float
) -> F64:  # pragma: no cover - compiled
    """``locate`` person by person: three passes over the joints, t_x and t_y eliminated by hand, one division for t_z.

    Every joint is an equation pair with right sides ``a = x p_z - p_x`` and ``b = y p_z - p_y``; the guess is a pair with
    the sight line of the guess and right side 0, and ``extent (t_z - prior_z) = 0``.
    """
    people, joints = confidence.shape
    out = prior.copy()
    for n in range(people):
        gx, gy = prior[n, 0] / prior[n, 2], prior[n, 1] / prior[n, 2]
        for turn in range(3):
            sw, sx, sy, sa, sb = strength, strength * gx, strength * gy, 0.0, 0.0
            sq, sr = strength * (gx * gx + gy * gy), 0.0
            for j in range(joints):
                w = confidence[n, j]
                if w <= 0:
                    continue
                x, y = plane[n, j, 0], plane[n, j, 1]
                a = x * points[n, j, 2] - points[n, j, 0]
                b = y * points[n, j, 2] - points[n, j, 1]
                if turn > 0:
                    ex, ey = out[n, 0] - x * out[n, 2] - a, out[n, 1] - y * out[n, 2] - b
                    w /= 1 + (ex * ex + ey * ey) / _MISFIT_M**2
                sw, sx, sy, sa, sb = sw + w, sx + w * x, sy + w * y, sa + w * a, sb + w * b
                sq, sr = sq + w * (x * x + y * y), sr + w * (x * a + y * b)
            pull = strength * extent[n] ** 2
            left = sq - (sx * sx + sy * sy) / sw + pull
            tz = ((sx * sa + sy * sb) / sw - sr + pull * prior[n, 2]) / max(left, 1e-12)
            out[n, 0], out[n, 1], out[n, 2] = (sa + sx * tz) / sw, (sb + sy * tz) / sw, tz
        finite = np.isfinite(out[n, 0]) and np.isfinite(out[n, 1])
        if not (finite and _NEAREST_M < out[n, 2] <= _FARTHEST_M):
            out[n] = prior[n]
    return out


@njit(cache=True)
def _finished(
    raw: F32, inputs: F32, rotation: F64, extent: F64, centre: F64, plane: F64, weight: F64, strength: float
) -> tuple[F32, F32]:  # pragma: no cover - compiled
    """``finish`` in one go."""
    points, prior = _placed(raw, inputs), _priors(raw, 66, centre, extent)
    people = len(points)
    on_2d = np.empty((people, len(JOINT_3D_OF_2D), 3))
    for n in range(people):
        for k in range(3):
            middle = points[n, PELVIS, k]
            for p in range(points.shape[1]):
                points[n, p, k] -= middle if p < _NOSE else 0.0
            for j in range(len(JOINT_3D_OF_2D)):
                on_2d[n, j, k] = points[n, JOINT_3D_OF_2D[j], k]
            on_2d[n, 0, k] = points[n, _NOSE, k]
            on_2d[n, 1, k] = 0.5 * (on_2d[n, _SHOULDERS[0], k] + on_2d[n, _SHOULDERS[1], k])
    found = _solve(on_2d, prior, plane, weight, extent, strength)
    joints, root = np.empty((people, _NOSE, 3), np.float32), np.empty((people, 3), np.float32)
    for n in range(people):
        for k in range(3):
            turn = rotation[n, k]
            root[n, k] = turn[0] * found[n, 0] + turn[1] * found[n, 1] + turn[2] * found[n, 2]
            for p in range(_NOSE):
                joints[n, p, k] = turn[0] * points[n, p, 0] + turn[1] * points[n, p, 1] + turn[2] * points[n, p, 2]
    return joints, root


def finish(raw: F32, inputs: F32, frame: RayFrame) -> tuple[F32, F32]:
    """From raw outputs to poses: ``place_points``, ``root_prior``, ``locate``, and back to camera axes.

    Args:
        raw: (P, OUTPUTS).
        inputs: What they come from, at least the first ``INPUTS_WITHOUT_ENCODING`` columns.
        frame: What the inputs were made of.

    Returns:
        Joints relative to the pelvis, float32 (P, 21, 3), and the pelvis, float32 (P, 3), camera axes [m].
    """
    return _finished(raw, inputs, frame.rotation, frame.extent, frame.centre, frame.plane, frame.weight, _STRENGTH)


def points_of_2d(joints_m: np.ndarray, nose_m: np.ndarray) -> np.ndarray:
    """Where the 14 2D joints lie on a 3D pose: (P, 21, 3) and the nose (P, 3) -> (P, 14, 3).

    The nose has no joint of its own, and the 2D neck is the middle of the shoulders.
    """
    points = joints_m[:, JOINT_3D_OF_2D]
    points[:, 0] = nose_m
    points[:, 1] = joints_m[:, list(_SHOULDERS)].mean(1)
    return points
