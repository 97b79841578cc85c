"""Textured triangles and what they are made of, and many of them joined for one drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from xnect.structures import F32
from xnect.training.synthetic.assets import MAX_LEVELS, TextureHeap


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """How a surface looks.

    Attributes:
        texture: Number in the texture heap.
        tint: Colour (3,) 0 to 1 that replaces the texture's hue (light and dark are kept), None = as it is.
        pattern: Texture number of a repeating cloth pattern that multiplies a tinted surface, -1 = none.
        cull: Leave out faces seen from behind.
        alpha: The texture's alpha decides (at one half).
        bias_m: How far it is drawn in front of its place.
        gloss: Strength of the highlight, 0 to 1.
    """

    texture: int
    tint: tuple[float, float, float] | None = None
    pattern: int = -1
    cull: bool = False
    alpha: bool = False
    bias_m: float = 0.0
    gloss: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles in the world.

    Attributes:
        vertices_m: float32 (N, 3).
        faces: int32 (F, 3).
        uv: float32 (U, 2), v = 0 at the bottom row of the texture.
        uv_index: int32 (F, 3).
        materials: What the faces are made of.
        face_material: int32 (F,), row in ``materials``.
        ident: Number of the person, -1 = a thing.
        casts: Whether it casts a shadow.
        shadow_faces: int32 (S, 3), fewer faces on the same vertices that cast the shadow, None = all.
    """

    vertices_m: F32
    faces: np.ndarray
    uv: F32
    uv_index: np.ndarray
    materials: tuple[Material, ...]
    face_material: np.ndarray
    ident: int = -1
    casts: bool = True
    shadow_faces: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Meshes laid one after another; arrays as in ``Mesh``, tables with one row a material.

    Attributes:
        face_ident: int16 (F,), number of the person, -1 = a thing.
        vertex_first: int64 (meshes + 1,), first vertex of each mesh; likewise ``face_first``.
        face_first: See ``vertex_first``.
        cull, alpha, bias_m: Per material, as in ``Material``.
        values: float32 (M, 8): tinted?, tint red, green, blue, the texture's bright level, gloss, 0, 0.
        textures: int64 (M,), number of the texture; ``patterns`` int64 (M,), of the pattern, -1 = none.
        patterns: See ``textures``.
    """

    vertices_m: F32
    faces: np.ndarray
    uv: F32
    uv_index: np.ndarray
    face_material: np.ndarray
    face_ident: np.ndarray
    vertex_first: np.ndarray
    face_first: np.ndarray
    cull: np.ndarray
    alpha: np.ndarray
    bias_m: np.ndarray
    values: F32
    textures: np.ndarray
    patterns: np.ndarray


def joined(meshes: list[Mesh], heap: TextureHeap) -> Joined:
    """All meshes as one."""
    vertex_first = np.cumsum([0] + [len(m.vertices_m) for m in meshes])
    face_first = np.cumsum([0] + [len(m.faces) for m in meshes])
    uv_first = np.cumsum([0] + [len(m.uv) for m in meshes])
    material_first = np.cumsum([0] + [len(m.materials) for m in meshes])
    faces, uv_index = np.empty((face_first[-1], 3), np.int32), np.empty((face_first[-1], 3), np.int32)
    material, ident = np.empty(face_first[-1], np.int32), np.empty(face_first[-1], np.int16)
    for k, mesh in enumerate(meshes):
        part = slice(face_first[k], face_first[k + 1])
        faces[part] = mesh.faces + vertex_first[k]
        uv_index[part] = mesh.uv_index + uv_first[k]
        material[part] = mesh.face_material + material_first[k]
        ident[part] = mesh.ident
    flat = [m for mesh in meshes for m in mesh.materials]
    values = np.zeros((len(flat), 8), np.float32)
    for row, m in zip(values, flat, strict=True):
        row[0] = m.tint is not None
        row[1:4] = m.tint or (1, 1, 1)
        row[4], row[5] = heap.bright[m.texture], m.gloss
    empty = np.zeros((0, 3), np.float32)
    return Joined(
        np.concatenate([m.vertices_m for m in meshes] or [empty]),
        faces,
        np.concatenate([m.uv for m in meshes] or [empty[:, :2]]),
        uv_index,
        material,
        ident,
        vertex_first,
        face_first,
        np.array([m.cull for m in flat], np.bool_),
        np.array([m.alpha for m in flat], np.bool_),
        np.array([m.bias_m for m in flat], np.float32),
        values,
        np.array([m.texture for m in flat], np.int64),
        np.array([m.pattern for m in flat], np.int64),
    )


@njit(cache=True)
def _areas(
    screen: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_index: np.ndarray, material: np.ndarray, out: np.ndarray
) -> None:
    """Twice the area of a sample of each material's faces, on the screen and in the texture: out (M, 2)."""
    for f in range(0, len(faces), 5):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if screen[a, 2] > 0 and screen[b, 2] > 0 and screen[c, 2] > 0:
            p, q, r = uv_index[f, 0], uv_index[f, 1], uv_index[f, 2]
            m = material[f]
            out[m, 0] += abs(
                (screen[b, 0] - screen[a, 0]) * (screen[c, 1] - screen[a, 1])
                - (screen[c, 0] - screen[a, 0]) * (screen[b, 1] - screen[a, 1])
            )
            out[m, 1] += abs(
                (uv[q, 0] - uv[p, 0]) * (uv[r, 1] - uv[p, 1]) - (uv[r, 0] - uv[p, 0]) * (uv[q, 1] - uv[p, 1])
            )


def pick_levels(joint: Joined, screen: np.ndarray, heap: TextureHeap, scale: int) -> np.ndarray:
    """The mip level of each material that has about one texel a pixel: int64 (M, 3), first texel, width, height."""
    areas = np.zeros((len(joint.textures), 2))
    _areas(screen, joint.faces, joint.uv, joint.uv_index, joint.face_material, areas)
    size = heap.levels[joint.textures, 0, 1] * heap.levels[joint.textures, 0, 2]
    ratio = areas[:, 1] * size / np.maximum(areas[:, 0] / scale**2, 1)
    level = np.clip(np.rint(0.5 * np.log2(np.maximum(ratio, 1e-6)) - 0.4), 0, MAX_LEVELS - 1).astype(np.int64)
    return np.ascontiguousarray(heap.levels[joint.textures, level])


def coarse(vertices_m: np.ndarray, faces: np.ndarray, cell_m: float) -> np.ndarray:
    """Fewer faces (S, 3) on the same vertices: those in one cell of a grid become the first of them."""
    keys = np.floor(vertices_m / cell_m).astype(np.int64) @ np.array([1, 1 << 20, 1 << 40])
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    joined_faces = first[which.reshape(-1)].astype(np.int32)[faces]
    a, b, c = joined_faces.T
    kept = joined_faces[(a != b) & (b != c) & (a != c)]
    return np.unique(kept, axis=0)
