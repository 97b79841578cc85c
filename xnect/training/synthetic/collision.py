"""Do bodies, furniture and walls intersect? Bodies stand for a few capsules, furniture for boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.structures import F64
from xnect.training.synthetic.bodies import BodySpace
from xnect.training.synthetic.meshes import Mesh

#: Ends of the capsules and their radii for a body of 1.7 m [m].
_CAPSULES = [("head", "head_top", 0.1), ("pelvis", "spine_03", 0.135), ("spine_03", "neck", 0.125)] + [
    (f"{a}_{s}", f"{b}_{s}", r)
    for s in "lr"
    for a, b, r in (
        ("upperarm", "lowerarm", 0.05), ("lowerarm", "hand", 0.042), ("hand", "fingertip", 0.035),
        ("thigh", "calf", 0.085), ("calf", "foot", 0.06), ("foot", "toe_tip", 0.05),
    )
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Capsules:
    """A body as capsules.

    Attributes:
        ends_m: float64 (C, 2, 3).
        radius_m: float64 (C,).
    """

    ends_m: F64
    radius_m: F64

    def points(self) -> F64:
        """Ends and middles of the axes (3 C, 3)."""
        middle = self.ends_m.mean(1, keepdims=True)
        return np.concatenate([self.ends_m, middle], 1).reshape(-1, 3)


def capsules(space: BodySpace, places: F64, height_m: float) -> Capsules:
    """The capsules of a posed body."""
    ends = np.array([[space.at(places, a), space.at(places, b)] for a, b, _ in _CAPSULES])
    return Capsules(ends, np.array([r for _, _, r in _CAPSULES]) * height_m / 1.7)


def overlap(a: Capsules, b: Capsules) -> float:
    """How deep two bodies are in one another [m], 0 = apart."""
    p, q = a.ends_m[:, None, 0], b.ends_m[None, :, 0]
    u, v = a.ends_m[:, None, 1] - p, b.ends_m[None, :, 1] - q
    gap = segment_distance(p, u, q, v)
    return float(np.maximum(a.radius_m[:, None] + b.radius_m[None] - gap, 0).max())


def segment_distance(p: F64, u: F64, q: F64, v: F64) -> F64:
    """Least distance of the segments p + s u and q + t v, s and t in 0 .. 1; arrays (..., 3) that broadcast."""
    w = p - q
    a, b, c = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    d, e = (u * w).sum(-1), (v * w).sum(-1)
    a, c = np.maximum(a, 1e-12), np.maximum(c, 1e-12)
    s = np.clip((b * e - c * d) / np.maximum(a * c - b * b, 1e-12), 0, 1)
    t = np.clip((b * s + e) / c, 0, 1)
    s = np.clip((b * t - d) / a, 0, 1)
    t = np.clip((b * s + e) / c, 0, 1)
    return np.linalg.norm(w + s[..., None] * u - t[..., None] * v, axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """The box around a thing in the world, along the axes of the thing.

    Attributes:
        centre_m: float64 (3,).
        half_m: float64 (3,), half sizes.
        rotation: float64 (3, 3), box axes to world axes.
    """

    centre_m: F64
    half_m: F64
    rotation: F64

    def holds(self, points_m: F64, margin_m: float | F64 = 0.0) -> bool:
        """Whether any of the points (N, 3) is inside, or within the margin of it."""
        local = np.abs((points_m - self.centre_m) @ self.rotation)
        return bool((local < self.half_m + np.asarray(margin_m)[..., None]).all(1).any())

    def meets(self, other: Box) -> bool:
        """Whether two boxes touch, seen from above (circles inside the footprints and the centres are compared)."""
        apart = np.linalg.norm((self.centre_m - other.centre_m)[[0, 2]])
        if apart > self._round_m() + other._round_m() + 0.04:
            return False
        mine, theirs = self._grid(), other._grid()
        return self.holds(theirs, 0.02) or other.holds(mine, 0.02)

    def corners(self) -> F64:
        """The eight corners (8, 3)."""
        return self._grid()[[0, 4, 20, 24, 100, 104, 120, 124]]

    def _round_m(self) -> float:
        """Radius of a ball around the box [m]."""
        return float(np.linalg.norm(self.half_m))

    def _grid(self) -> F64:
        steps = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
        return self.centre_m + (grid * self.half_m) @ self.rotation.T


def box_of(mesh: Mesh, rotation: F64, place_m: F64, scale: float = 1.0) -> Box:
    """The box around a prop that is scaled, turned and moved."""
    low, high = mesh.vertices_m.min(0).astype(np.float64) * scale, mesh.vertices_m.max(0).astype(np.float64) * scale
    return Box(place_m + rotation @ ((low + high) / 2), (high - low) / 2, rotation)
