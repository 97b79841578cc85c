"""What a drawn picture shows, in numbers: joints in 2D and 3D, who hides what, boxes, masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D
from xnect.structures import F32, F64, U8
from xnect.training.synthetic.bodies import BodySpace
from xnect.training.synthetic.cameras import PlacedCamera
from xnect.training.synthetic.distortion import projected
from xnect.training.synthetic.meshes import Mesh
from xnect.training.synthetic.raster import count_samples
from xnect.training.synthetic.render import Drawing

OUTSIDE, HIDDEN, SEEN = 0, 1, 2
#: A joint lies inside the body: the own surface may be so far in front of it [m].
_SLACK = np.array([0.20 if n in ("pelvis", "spine", "right_hip", "left_hip") else 0.12 for n in JOINTS_3D])
#: Another surface hides a joint when it is so much nearer [m].
_FOREIGN = 0.01
_NOSE, _NECK = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Truth of one picture, one row a person.

    Attributes:
        ids: int64 (P,), the person over time.
        joints_m: float32 (P, 21, 3), order of JOINTS_3D, camera space [m].
        joints_px: float32 (P, 14, 2), order of JOINTS_2D; the neck is the middle of the shoulders. Also given for
            joints outside the picture; 0 where a joint is behind the camera.
        seen: uint8 (P, 14), OUTSIDE the picture (0), HIDDEN (1) or SEEN (2).
        seen_3d: uint8 (P, 21), the same for the 21 joints.
        box_px: float32 (P, 4), x0, y0, x1, y1 of the whole body with clothes, not cut at the picture's edge.
        area_px: float32 (P,), pixels that show the person.
        height_m: float32 (P,), standing height.
        matrix_px: float64 (3, 3), intrinsics.
        distortion: float64 (5,), k1, k2, p1, p2, k3 as OpenCV has them.
    """

    ids: np.ndarray
    joints_m: F32
    joints_px: F32
    seen: U8
    seen_3d: U8
    box_px: F32
    area_px: F32
    height_m: F32
    matrix_px: F64
    distortion: F64

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, keep: np.ndarray) -> Labels:
        """Some of the people."""
        return Labels(
            self.ids[keep], self.joints_m[keep], self.joints_px[keep], self.seen[keep], self.seen_3d[keep],
            self.box_px[keep], self.area_px[keep], self.height_m[keep], self.matrix_px, self.distortion,
        )  # fmt: skip


def visibility(drawing: Drawing, camera: PlacedCamera, points_m: np.ndarray, ident: int, slack_m: np.ndarray) -> U8:
    """OUTSIDE, HIDDEN or SEEN for camera-space points (N, 3) of a person.

    A point is seen where the first surface at its pixel is the person's own and at most ``slack_m`` (N,) nearer than
    the point, or where nothing is in front of it at all.
    """
    height, width = drawing.inv_depth.shape
    z = points_m[:, 2]
    ahead = z > 1e-3
    safe = np.where(ahead[:, None], points_m, [0.0, 0.0, 1.0])
    at = np.rint((projected(safe, camera.camera) + 0.5) * drawing.scale - 0.5)
    inside = ahead & (at >= 0).all(1) & (at[:, 0] < width) & (at[:, 1] < height)
    x, y = np.where(inside, at[:, 0], 0).astype(int), np.where(inside, at[:, 1], 0).astype(int)
    near = drawing.inv_depth[y, x].astype(np.float64)
    gap = z - 1 / np.maximum(near, 1e-6)  # how far the surface is in front of the point; very negative: nothing there
    own = drawing.ident[y, x] == ident
    free = gap < np.where(own, slack_m, _FOREIGN)
    return np.where(inside, np.where(free, SEEN, HIDDEN), OUTSIDE).astype(np.uint8)


def label(
    drawing: Drawing, camera: PlacedCamera, space: BodySpace, places: list[F64], meshes: list[Mesh],
    ids: np.ndarray, heights_m: np.ndarray,
) -> Labels:  # fmt: skip
    """Labels of a drawn picture.

    Args:
        drawing: The picture; ``ident`` k is row k of what follows.
        camera: Where it was drawn from.
        space: The bodies' rig.
        places: Posed rig joints and points of each person, world.
        meshes: The people's posed meshes.
        ids: int64 (P,).
        heights_m: (P,).
    """
    count = len(places)
    joints, flat = np.zeros((count, 21, 3)), np.zeros((count, 14, 2))
    seen, seen_3d = np.zeros((count, 14), np.uint8), np.zeros((count, 21), np.uint8)
    box = np.zeros((count, 4))
    slack = _SLACK[JOINT_3D_OF_2D].copy()
    slack[_NOSE] = 0.05
    for k, place in enumerate(places):
        world, nose, middle = space.labels(place)
        joints[k] = camera.view(world)
        points = joints[k][JOINT_3D_OF_2D]
        points[_NOSE], points[_NECK] = camera.view(nose), camera.view(middle)
        flat[k] = _projected(points, camera)
        seen[k] = visibility(drawing, camera, points, k, slack)
        seen_3d[k] = visibility(drawing, camera, joints[k], k, _SLACK)
        box[k] = _box(camera, meshes[k])
    shown = np.zeros(count, np.int64)
    count_samples(drawing.ident, shown)
    return Labels(
        np.asarray(ids, np.int64), joints.astype(np.float32), flat.astype(np.float32), seen, seen_3d,
        box.astype(np.float32), (shown / drawing.scale**2).astype(np.float32), np.asarray(heights_m, np.float32),
        camera.camera.matrix_px.copy(), camera.camera.distortion.copy(),
    )  # fmt: skip


def masks(drawing: Drawing) -> U8:
    """Who is seen at each pixel, uint8 (H, W): 0 = nobody, k + 1 = row k of the labels (one sample of the pixel)."""
    middle = drawing.scale // 2
    return (drawing.ident[middle :: drawing.scale, middle :: drawing.scale] + 1).astype(np.uint8)


def _projected(points: np.ndarray, camera: PlacedCamera) -> np.ndarray:
    ahead = points[:, 2:] > 1e-3
    return np.where(ahead, projected(np.where(ahead, points, [0.0, 0.0, 1.0]), camera.camera), 0.0)


def _box(camera: PlacedCamera, mesh: Mesh) -> np.ndarray:
    points = camera.view(mesh.vertices_m[::8])
    points = points[points[:, 2] > 0.05]
    if not len(points):
        return np.zeros(4)
    flat = projected(points, camera.camera)
    return np.concatenate([flat.min(0), flat.max(0)])
