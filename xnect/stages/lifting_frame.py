"""From 2D joints to the frame in which Stage II predicts, and back: rays, scale, distance.

A person at the edge of the picture is seen along a slanted ray. Their joints are turned into the frame of that ray
(the optical axis turned onto it), so that the same pose looks the same wherever it stands; the prediction is turned back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.codec.encoding import TRUSTED_JOINTS, in_frame_of
from xnect.geometry import ray_rotation
from xnect.skeleton.joints import JOINT_3D_OF_2D
from xnect.structures import F32

#: The encoding vectors that enter the network: (2D joint, 3D joint) pairs, in this order.
ENCODING_SLOTS = np.argwhere(TRUSTED_JOINTS)
#: Inputs per person: x, y, confidence, seen for 14 joints; log extent; encoding present; the encoding's vectors.
GLOBAL_INPUTS = 2
INPUTS = 14 * 4 + GLOBAL_INPUTS + 3 * len(ENCODING_SLOTS)

_LEAST_EXTENT = 1e-3
_NEAREST_M, _FARTHEST_M = 0.15, 200.0
_LEAST_RAY_Z = 0.05
_SHOULDERS = (2, 5)


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
    weight = np.where(np.isfinite(xy).all(-1) & (confidence > 0), confidence, 0.0).astype(np.float64)
    seen = weight > 0
    xy = np.where(seen[..., None], xy, 0.0).astype(np.float64)
    share = weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)
    rotation = ray_rotation(np.einsum("pj,pjc->pc", share, xy))
    rays = np.concatenate([xy, np.ones_like(xy[..., :1])], -1) @ rotation
    plane = rays[..., :2] / np.maximum(rays[..., 2:], _LEAST_RAY_Z) * seen[..., None]
    centre = np.einsum("pj,pjc->pc", share, plane)
    squares = ((plane - centre[:, None]) ** 2).sum(-1)
    extent = np.maximum(np.sqrt((share * squares).sum(1)), _LEAST_EXTENT)
    return RayFrame(rotation, extent, centre, plane, weight)


def network_inputs(frame: RayFrame, xy: np.ndarray, encoding: np.ndarray | None) -> F32:
    """The network's input vectors, float32 (P, INPUTS).

    Joints relative to their mean and divided by the extent; zero where not seen. ``encoding`` (P, 14, 63) is turned
    into the person's frame; without it its slots are zero and the flag says so.
    """
    people = len(frame.extent)
    seen = frame.weight > 0
    out = np.zeros((people, INPUTS), np.float32)
    joints = out[:, :56].reshape(people, 14, 4)
    joints[..., :2] = (frame.plane - frame.centre[:, None]) / frame.extent[:, None, None] * seen[..., None]
    joints[..., 2] = frame.weight
    joints[..., 3] = seen
    out[:, 56] = np.log(frame.extent) + 2.0  # about 0 for a standing person two body lengths away
    if encoding is not None:
        safe = np.where(seen[..., None], xy, 0.0)
        vectors = in_frame_of(encoding, safe, frame.rotation) * seen[..., None, None]
        out[:, 57] = 1.0
        out[:, 58:] = 3.0 * vectors[:, ENCODING_SLOTS[:, 0], ENCODING_SLOTS[:, 1]].reshape(people, -1)
    return out


def root_prior(raw: np.ndarray, frame: RayFrame) -> np.ndarray:
    """The network's own guess of the pelvis in the ray's frame, float64 (P, 3) [m].

    Args:
        raw: (P, 3): the pelvis in the picture plane in units of the extent from the centre, and the logarithm of
            (distance times extent).
        frame: What the input was made of.
    """
    depth = np.clip(np.exp(np.clip(raw[:, 2].astype(np.float64), -4, 4)) / frame.extent, _NEAREST_M, _FARTHEST_M)
    plane = frame.centre + np.clip(raw[:, :2], -20, 20) * frame.extent[:, None]
    return np.concatenate([plane, np.ones((len(depth), 1))], -1) * depth[:, None]


def locate(points_m: np.ndarray, prior_m: np.ndarray, frame: RayFrame, strength: float = 0.3) -> np.ndarray:
    """Pelvis position that puts the predicted joints onto the seen ones: weighted least squares, closed form.

    Each seen joint at (x, y) in the plane asks for ``t_x - x t_z = x p_z - p_x`` and the same in y, in metres at the
    body; a second pass takes weight from joints that do not fit (Cauchy). The network's own guess enters as three more
    equations, so that one or two joints are enough for an answer and a person seen edge-on is not thrown far away.

    Args:
        points_m: (P, 14, 3), predicted places of the 2D joints relative to the pelvis, in the ray's frame [m].
        prior_m: (P, 3), guess (``root_prior``).
        frame: The seen joints.
        strength: Weight of the guess relative to one joint of confidence 1.

    Returns:
        float64 (P, 3), in the ray's frame [m].
    """
    x, y = frame.plane[..., 0], frame.plane[..., 1]
    rx = x * points_m[..., 2] - points_m[..., 0]
    ry = y * points_m[..., 2] - points_m[..., 1]
    slope = prior_m[:, :2] / prior_m[:, 2:]
    weight = frame.weight
    position = prior_m
    for _ in range(2):
        position = _solve(x, y, rx, ry, weight, slope, prior_m[:, 2], frame.extent, strength)
        error = np.hypot(
            position[:, :1] - x * position[:, 2:] - rx,
            position[:, 1:2] - y * position[:, 2:] - ry,
        )
        weight = frame.weight / (1 + (error / 0.1) ** 2)
    depth = np.clip(position[:, 2], _NEAREST_M, _FARTHEST_M)
    lost = ~np.isfinite(position).all(-1) | (position[:, 2] <= _NEAREST_M)
    return np.where(lost[:, None], prior_m, np.concatenate([position[:, :2], depth[:, None]], -1))


def _solve(
    x: np.ndarray,
    y: np.ndarray,
    rx: np.ndarray,
    ry: np.ndarray,
    weight: np.ndarray,
    slope: np.ndarray,
    depth: np.ndarray,
    extent: np.ndarray,
    strength: float,
) -> np.ndarray:
    """Normal equations of ``locate``: t_x and t_y eliminated by hand, then one equation for t_z."""
    # Rows of the guess: t_x - slope_x t_z = 0, t_y - slope_y t_z = 0, extent (t_z - depth) = 0.
    total = weight.sum(1) + strength
    mean_x = ((weight * x).sum(1) + strength * slope[:, 0]) / total
    mean_y = ((weight * y).sum(1) + strength * slope[:, 1]) / total
    mean_rx, mean_ry = (weight * rx).sum(1) / total, (weight * ry).sum(1) / total
    dx, dy = x - mean_x[:, None], y - mean_y[:, None]
    sx, sy = slope[:, 0] - mean_x, slope[:, 1] - mean_y
    left = (weight * (dx * dx + dy * dy)).sum(1) + strength * (sx * sx + sy * sy + extent**2)
    # Minimising over t_z with t_x = mean_rx + mean_x t_z: residual (mean_rx - rx) - dx t_z.
    right = (weight * (dx * (mean_rx[:, None] - rx) + dy * (mean_ry[:, None] - ry))).sum(1)
    right += strength * (sx * mean_rx + sy * mean_ry + extent**2 * depth)
    tz = right / np.maximum(left, 1e-12)
    return np.stack([mean_rx + mean_x * tz, mean_ry + mean_y * tz, tz], -1)


def points_of_2d(joints_m: np.ndarray, nose_m: np.ndarray) -> np.ndarray:
    """Where the 14 2D joints lie on a 3D pose: (P, 21, 3) and the nose (P, 3) -> (P, 14, 3).

    The nose has no joint of its own, and the 2D neck is the middle of the shoulders.
    """
    points = joints_m[:, JOINT_3D_OF_2D]
    points[:, 0] = nose_m
    points[:, 1] = joints_m[:, _SHOULDERS].mean(1)
    return points
