"""Lens distortion: a wider pinhole picture is drawn and bent, and labels go through the same lens."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from xnect.geometry import project, unproject
from xnect.structures import F32, F64, Camera
from xnect.training.synthetic.cameras import PlacedCamera
from xnect.training.synthetic.render import Drawing

#: Share of a corner's distance from the middle by which lenses move it: barrel to pincushion.
_STRENGTH = (-0.08, 0.035)
#: The bending is worked out at every so many pixels and filled in between.
_STEP_PX = 8
#: Points so much farther out than the picture's corners are carried on in a straight line: the polynomial folds back.
_BEYOND = 1.05


def random_distortion(rng: np.random.Generator, camera: Camera) -> F64:
    """k1, k2, p1, p2, k3 of an ordinary lens before this picture, float64 (5,)."""
    corner = float(np.linalg.norm(unproject(np.zeros(2), replace(camera, distortion=np.zeros(5)))))
    first, second = rng.uniform(*_STRENGTH) / corner**2, rng.normal(0, 0.004) / corner**4
    return np.array([first, second, *rng.normal(0, 0.0006, 2), 0.0])


def bent_camera(camera: PlacedCamera, distortion: F64) -> PlacedCamera:
    """The same camera with another lens."""
    return replace(camera, camera=replace(camera.camera, distortion=distortion))


def pinhole_of(camera: PlacedCamera) -> PlacedCamera:
    """A camera without distortion whose picture holds all that ``camera`` sees; the camera itself where it has none."""
    one = camera.camera
    if not one.distortion.any():
        return camera
    seen = unproject(_border(one.size_px), one) * one.matrix_px[[0, 1], [0, 1]] + one.matrix_px[:2, 2]
    width, height = one.size_px
    low = np.minimum(np.floor(seen.min(0)) - 1, 0)
    high = np.maximum(np.ceil(seen.max(0)) + 1, [width - 1, height - 1])
    matrix = one.matrix_px.copy()
    matrix[:2, 2] -= low
    size = (high - low + 1).astype(int)
    return replace(camera, camera=Camera(matrix, (int(size[0]), int(size[1])), np.zeros(5), one.estimated))


def bend(drawing: Drawing, wide: Camera, camera: Camera) -> Drawing:
    """A picture drawn by the pinhole ``wide`` as ``camera`` with its lens sees it."""
    x, y = _places(wide, camera, 1)
    image = cv2.remap(drawing.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    x, y = _places(wide, camera, drawing.scale)
    samples = [
        cv2.remap(grid, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        for grid in (drawing.inv_depth, drawing.ident)
    ]
    return Drawing(
        image.astype(np.float32, copy=False), samples[0].astype(np.float32, copy=False), samples[1], drawing.scale
    )


def projected(points_m: np.ndarray, camera: Camera) -> F64:
    """Camera-space points (N, 3), z > 0 -> pixels (N, 2); far outside the picture along straight lines."""
    if not camera.distortion.any():
        return project(points_m, camera).astype(np.float64)
    xy = points_m[:, :2] / points_m[:, 2:]
    far = np.maximum(np.linalg.norm(xy, axis=1) / _widest(camera), 1.0)[:, None]
    middle = camera.matrix_px[:2, 2]
    inner = np.concatenate([xy / far, np.ones((len(xy), 1))], 1)
    return np.asarray((project(inner, camera) - middle) * far + middle, np.float64)


@lru_cache(maxsize=4)
def _widest(camera: Camera) -> float:
    """Distance from the axis, on the plane at depth 1, up to which a lens is taken at its word."""
    return _BEYOND * float(np.linalg.norm(unproject(_border(camera.size_px), camera), axis=1).max())


def _border(size_px: tuple[int, int]) -> F64:
    """Pixels along the picture's edge (N, 2)."""
    width, height = size_px
    x, y = np.linspace(0, width - 1, 33), np.linspace(0, height - 1, 33)
    sides = [(x, 0 * x), (x, 0 * x + height - 1), (0 * y, y), (0 * y + width - 1, y)]
    return np.concatenate([np.stack(side, 1) for side in sides])


def _places(wide: Camera, camera: Camera, scale: int) -> tuple[F32, F32]:
    """Where each sample of the bent picture lies in the grid of the wide one: x and y, float32 (H * s, W * s)."""
    width, height = camera.size_px
    # knots in the middle of cells of _STEP_PX pixels, one cell more on each side, filled in between by resizing
    x, y = ((np.arange(-1, -(-length // _STEP_PX) + 1) + 0.5) * _STEP_PX - 0.5 for length in (width, height))
    knots = np.stack(np.meshgrid(x, y), -1)
    flat = unproject(knots, camera) * wide.matrix_px[[0, 1], [0, 1]] + wide.matrix_px[:2, 2]
    grid = ((flat + 0.5) * scale - 0.5).astype(np.float32)
    step = _STEP_PX * scale
    full = cv2.resize(grid, (len(x) * step, len(y) * step), interpolation=cv2.INTER_LINEAR)
    full = full[step : step + height * scale, step : step + width * scale]
    return np.ascontiguousarray(full[..., 0], np.float32), np.ascontiguousarray(full[..., 1], np.float32)
