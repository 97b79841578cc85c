"""Cameras, rotations and the maps between frame pixels and network pixels."""

from __future__ import annotations

import math

import numpy as np

from xnect.structures import F64, Camera


def camera_from_fov(size_px: tuple[int, int], fov_deg: float = 60.0, estimated: bool = True) -> Camera:
    """A pinhole camera looking straight ahead.

    Args:
        size_px: Width and height of the pictures [px].
        fov_deg: Field of view along the longer side [degrees].
        estimated: Whether the field of view is a guess.
    """
    width, height = size_px
    focal = max(width, height) / 2 / math.tan(math.radians(fov_deg) / 2)
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]], dtype=np.float64)
    return Camera(matrix, (width, height), estimated=estimated)


def scaled(camera: Camera, size_px: tuple[int, int]) -> Camera:
    """The same camera for pictures resized to ``size_px``; pixel centres at integers stay pixel centres."""
    if size_px == camera.size_px:
        return camera
    sx, sy = size_px[0] / camera.size_px[0], size_px[1] / camera.size_px[1]
    scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    return Camera(scale @ camera.matrix_px, size_px, camera.distortion.copy(), camera.estimated)


def project(points_m: np.ndarray, camera: Camera) -> np.ndarray:
    """Camera-space points (..., 3) [m] -> pixels (..., 2); distortion included. Points need z > 0."""
    xy = points_m[..., :2] / points_m[..., 2:]
    if camera.distortion.any():
        k1, k2, p1, p2, k3 = camera.distortion
        x, y = xy[..., 0], xy[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        xy = np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            -1,
        )
    m = camera.matrix_px
    return np.stack([xy[..., 0] * m[0, 0] + m[0, 2], xy[..., 1] * m[1, 1] + m[1, 2]], -1)


#: No lens sees as far from its axis as this (89.9 degrees).
_FARTHEST = 1e3


def unproject(pixels: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels (..., 2) -> undistorted picture-plane coordinates (..., 2), x/z and y/z."""
    m = camera.matrix_px
    xy0 = (pixels - m[:2, 2]) / m.diagonal()[:2]
    if not camera.distortion.any():
        return xy0
    k1, k2, p1, p2, k3 = camera.distortion
    xy = xy0.copy()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(8):  # the fixed point iteration of OpenCV's undistortPoints
            x, y = xy[..., 0], xy[..., 1]
            r2 = x * x + y * y
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            tangential = np.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], -1)
            xy = (xy0 - tangential) / radial[..., None]
    # Where the coefficients say nothing (they hold within the picture they were measured on) it runs away.
    return np.where((np.abs(xy) < _FARTHEST).all(-1, keepdims=True), xy, xy0)


def ray_rotation(xy: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) that turn the optical axis onto the rays through picture-plane points (..., 2).

    The shortest rotation (no roll about the ray): ``R @ (0, 0, 1)`` is the unit ray. A person's pose is expressed in
    the frame of the ray they stand on (``R.T @ v``), since what the picture shows depends on that frame only.
    """
    ray = np.concatenate([xy, np.ones_like(xy[..., :1])], -1)
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    x, y, z = ray[..., 0], ray[..., 1], ray[..., 2]
    k = 1 / (1 + z)
    return np.stack(
        [
            np.stack([1 - k * x * x, -k * x * y, x], -1),
            np.stack([-k * x * y, 1 - k * y * y, y], -1),
            np.stack([-x, -y, z], -1),
        ],
        -2,
    )


def quaternion_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) -> unit quaternions (..., 4) w, x, y, z with w >= 0."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_quat(canonical=True)
    return flat[:, [3, 0, 1, 2]].reshape(*matrix.shape[:-2], 4)


def matrix_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) w, x, y, z -> rotation matrices (..., 3, 3)."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    out = np.empty(
        (*quaternion.shape[:-1], 3, 3), quaternion.dtype
    )  # filled in place: stacking takes three times as long
    xx, yy, zz, xy, xz, yz, wx, wy, wz = x * x, y * y, z * z, x * y, x * z, y * z, w * x, w * y, w * z
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = 1 - 2 * (yy + zz), 2 * (xy - wz), 2 * (xz + wy)
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = 2 * (xy + wz), 1 - 2 * (xx + zz), 2 * (yz - wx)
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = 2 * (xz - wy), 2 * (yz + wx), 1 - 2 * (xx + yy)
    return out


def network_size(frame_px: tuple[int, int], input_px: tuple[int, int], multiple: int = 16) -> tuple[int, int]:
    """The network's picture size for a frame: the frame's own shape at the area of ``input_px``.

    Portrait frames get portrait pictures, so that people keep their resolution and no cell is spent on padding.
    Each side is a multiple of ``multiple``; the frame fits inside with its aspect kept (see ``net_from_frame``).

    Returns:
        Width and height [px].
    """
    aspect = frame_px[0] / frame_px[1]
    area = input_px[0] * input_px[1]
    width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
    sides = [max(4 * multiple, round(s / multiple) * multiple) for s in (width, height)]
    return sides[0], sides[1]


def fitted_size(frame_px: tuple[int, int], net_px: tuple[int, int]) -> tuple[int, int]:
    """Width and height [px] of the frame inside the network's picture: as large as fits, aspect kept, whole pixels."""
    scale = min(net_px[0] / frame_px[0], net_px[1] / frame_px[1])
    width, height = (max(1, round(side * scale)) for side in frame_px)
    return min(width, net_px[0]), min(height, net_px[1])


def net_from_frame(frame_px: tuple[int, int], net_px: tuple[int, int]) -> F64:
    """Affine map (2, 3) from frame pixels to network pixels: resized to ``fitted_size``, at the top left."""
    sx, sy = (small / large for small, large in zip(fitted_size(frame_px, net_px), frame_px, strict=True))
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]])


def frame_from_map(frame_px: tuple[int, int], net_px: tuple[int, int], stride: int) -> F64:
    """Affine map (2, 3) from map cells (centres at integers) to frame pixels.

    Cell i covers the network's pixels stride * i .. stride * i + stride - 1, so its centre is at
    stride * i + (stride - 1) / 2.
    """
    sx, sy = net_from_frame(frame_px, net_px)[[0, 1], [0, 1]]
    half = stride / 2
    return np.array([[stride / sx, 0, half / sx - 0.5], [0, stride / sy, half / sy - 0.5]])


def apply_affine(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Points (..., 2) through an affine map (2, 3)."""
    return points @ affine[:, :2].T + affine[:, 2]
