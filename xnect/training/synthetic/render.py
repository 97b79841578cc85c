"""From meshes, camera, light and background to a linear picture with depth and person ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from xnect.structures import F32, Bool
from xnect.training.synthetic import painting, raster, shading
from xnect.training.synthetic.assets import TextureHeap
from xnect.training.synthetic.cameras import PlacedCamera
from xnect.training.synthetic.lights import Light
from xnect.training.synthetic.meshes import Joined, Mesh, joined, pick_levels

_SHADOW_TEXELS = 400
_GROUND_CELLS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Shadows:
    """Where light does not arrive.

    Attributes:
        to_map: float32 (3, 4), world point -> shadow map x, y [texels] and height towards the light [m].
        nearest: float32 (S, S), height of the topmost caster.
        spread: Distance of the looks into the map [texels].
        bias_m: A caster must be so much higher to cast.
        occlusion: float32 (G, G), share of the sky's light that reaches the ground.
        corner_m: x and z of its first cell (2,), and ``step_m`` the cells' size.
        step_m: See ``corner_m``.
    """

    to_map: F32
    nearest: F32
    spread: float
    bias_m: float
    occlusion: F32
    corner_m: np.ndarray
    step_m: float


class Background(Protocol):
    """What lies behind the meshes."""

    def paint(
        self, image: F32, unseen: Bool, camera: PlacedCamera, light: Light, shadows: Shadows, heap: TextureHeap
    ) -> None:
        """Write linear colours into ``image`` (H, W, 3) where ``unseen`` (H, W)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn scene.

    Attributes:
        image: float32 (H, W, 3), linear red, green, blue, 1 = full white.
        inv_depth: float32 (H * s, W * s), 1/z [1/m], 0 = background; s samples a pixel and side.
        ident: int16 (H * s, W * s), number of the person, -1 = a thing or the background.
        scale: s.
    """

    image: F32
    inv_depth: F32
    ident: np.ndarray
    scale: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """All that one picture is drawn from.

    Attributes:
        meshes: People and things.
        camera: Where from.
        light: What lights it.
        background: What lies behind.
        spheres: float32 (S, 4), x, y, z, radius [m] of body parts that darken the ground under them.
    """

    meshes: list[Mesh]
    camera: PlacedCamera
    light: Light
    background: Background
    spheres: F32 = field(default_factory=lambda: np.zeros((0, 4), np.float32))


def draw(view: View, heap: TextureHeap, scale: int = 2) -> Drawing:
    """Draw a scene with ``scale`` x ``scale`` samples a pixel."""
    width, height = view.camera.camera.size_px
    centre = view.camera.centre_m
    seen = [m for m in view.meshes if _in_sight(m, view.camera)]
    # what is near comes first: less is drawn over
    seen.sort(key=lambda m: float(np.linalg.norm(m.vertices_m[:: max(1, len(m.vertices_m) // 8)].mean(0) - centre)))
    joint = joined(seen, heap)
    screen = np.empty((len(joint.vertices_m), 6), np.float32)
    raster.to_screen(joint.vertices_m, view.camera.camera_from_world, centre, view.camera.samples(scale), screen)
    levels = pick_levels(joint, screen, heap, scale)
    grid = height * scale, width * scale
    inv_depth = np.zeros(grid, np.float32)
    owner = np.full(grid, raster.EMPTY, np.int32)
    raster.fill(
        screen, joint.faces, joint.face_material, joint.uv, joint.uv_index, joint.cull, joint.alpha, joint.bias_m,
        levels, heap.texels, inv_depth, owner,
    )  # fmt: skip
    raster.fill_crossing(screen, joint.faces, inv_depth, owner)
    empty, ident = np.empty((height, width), np.int32), np.empty(grid, np.int16)
    unit = np.empty((owner.size, 4), np.int32)
    unit = unit[: shading.group_samples(owner, joint.face_material, joint.face_ident, empty, unit, ident)]
    shadows = _shadows(view)
    image = np.zeros((height, width, 3), np.float32)
    view.background.paint(image, empty > 0, view.camera, view.light, shadows, heap)
    shading.dim(image, empty, scale * scale)
    _shade(view, joint, screen, levels, unit, shadows, heap, scale, image)
    return Drawing(image, inv_depth, ident, scale)


def _shade(
    view: View, joint: Joined, screen: F32, levels: np.ndarray, unit: np.ndarray, shadows: Shadows, heap: TextureHeap,
    scale: int, image: F32,
) -> None:  # fmt: skip
    """Add what is seen of the meshes to the picture; only the vertices of faces that are seen are lit."""
    place, needed = np.empty((len(unit), 2), np.float32), np.zeros(len(joint.vertices_m), np.bool_)
    raster.locate(unit, screen, joint.faces, place, needed)
    normals = raster.vertex_normals(joint.vertices_m, joint.faces, needed)
    attributes = np.empty((len(joint.vertices_m), 8), np.float32)
    shading.light_vertices(
        joint.vertices_m, normals, view.camera.centre_m, view.light.ambient, view.light.direction, shadows.to_map,
        needed, attributes,
    )  # fmt: skip
    patterns = np.where(joint.patterns[:, None] >= 0, heap.levels[joint.patterns, 1], -1)
    shading.shade(
        unit, place, scale, joint.faces, joint.uv, joint.uv_index, joint.face_material, joint.values, levels, patterns,
        heap.texels, attributes, shadows.nearest, shadows.spread, shadows.bias_m, view.light.sun, image,
    )  # fmt: skip


def _in_sight(mesh: Mesh, camera: PlacedCamera) -> bool:
    """Whether the box around a mesh reaches into the picture."""
    low, high = raster.bounds(mesh.vertices_m)
    corners = camera.view(
        np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    )
    flat = corners @ camera.camera.matrix_px.T
    width, height = camera.camera.size_px
    x, y, z = flat.T
    outside = (z < raster.NEAR_M, x < -z, x > (width + 1) * z, y < -z, y > (height + 1) * z)
    return not any(o.all() for o in outside)


def _shadows(view: View) -> Shadows:
    direction = view.light.direction
    side = np.cross([0.0, 0.0, 1.0] if abs(direction[2]) < 0.9 else [1.0, 0.0, 0.0], direction)
    side /= np.linalg.norm(side)
    frame = np.stack([side, np.cross(direction, side), direction])
    corner, step, occlusion = _ground(view.spheres)
    casting = [m for m in view.meshes if m.casts]
    if not casting or view.light.sun.max() < 1e-3:
        nothing = np.full((2, 2), -1e9, np.float32)
        return Shadows(np.zeros((3, 4), np.float32), nothing, 1.0, 0.03, occlusion, corner, step)
    ends = np.array([raster.turned_bounds(m.vertices_m, frame) for m in casting])
    low, high = ends[:, 0].min(0), ends[:, 1].max(0)
    texel = max(float((high - low)[:2].max()) / (_SHADOW_TEXELS - 8), 0.004)
    to_map = np.concatenate([frame, np.zeros((3, 1))], 1)
    to_map[:2] /= texel
    to_map[:2, 3] = 4 - low[:2] / texel
    onto = to_map.astype(np.float32)
    nearest = np.full((_SHADOW_TEXELS, _SHADOW_TEXELS), -1e9, np.float32)
    for mesh in casting:
        faces = mesh.faces if mesh.shadow_faces is None else mesh.shadow_faces
        raster.fill_shadow(raster.to_light(mesh.vertices_m, onto), faces, nearest)
    spread = max(1.0, view.light.softness_m / texel)
    return Shadows(onto, nearest, spread, 0.02 + 1.5 * texel, occlusion, corner, step)


def _ground(spheres: F32) -> tuple[np.ndarray, float, F32]:
    """Corner, step and map of the light that bodies keep from the ground."""
    occlusion = np.ones((2, 2), np.float32)
    if not len(spheres):
        return np.zeros(2, np.float32), 1.0, occlusion
    low, high = spheres[:, [0, 2]].min(0) - 0.9, spheres[:, [0, 2]].max(0) + 0.9
    step = float((high - low).max()) / (_GROUND_CELLS - 1)
    occlusion = np.ones((_GROUND_CELLS, _GROUND_CELLS), np.float32)
    painting.ground_occlusion(spheres.astype(np.float32), low.astype(np.float32), step, occlusion)
    return low.astype(np.float32), step, occlusion
