"""The 3D view's contents as arrays: bones, joints, trails, ground, camera frustum, labels (numpy only, no Qt)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.gui.orbit import frustum, ground_grid, scene_from_camera
from xnect.gui.palette import SIDE_3D, joint_rgb, person_rgb
from xnect.gui.state import WindowState
from xnect.gui.text import person_name
from xnect.skeleton.joints import JOINTS_3D, PARENTS_3D, PELVIS
from xnect.structures import Person

#: Bones as (parent, joint) pairs; the pelvis has none.
BONES = np.array([(PARENTS_3D[j], j) for j in range(len(JOINTS_3D)) if j != PELVIS])
_BONE_SIDES = SIDE_3D[BONES[:, 1]]

#: Points of a trail that are drawn.
TRAIL_POINTS = 32
_LIGHT = np.array([0.35, -0.75, 0.56]) / np.linalg.norm([0.35, -0.75, 0.56])  # camera's side, above, a little right
#: Corners of an octahedron's faces: 0 and 1 are the bone's ends, 2 to 5 the ring about its thickest place.
_FACES = np.array([(0, 3, 2), (0, 4, 3), (0, 5, 4), (0, 2, 5), (1, 2, 3), (1, 3, 4), (1, 4, 5), (1, 5, 2)])
_NEXT, _LAST = [1, 2, 0], [2, 0, 1]
_DIM = np.array([0.45, 0.47, 0.50])


@dataclass(frozen=True, eq=False)
class Scene:
    """What to draw; positions in scene axes [m], colours RGBA 0 to 1.

    Attributes:
        joints: (N, 3).
        joint_rgba: (N, 4).
        bones: (M, 2, 3).
        bone_rgba: (M, 4).
        trails: (K, 2, 3).
        trail_rgba: (K, 2, 4).
        grid: (G, 2, 3).
        frustum: (F, 2, 3).
        labels: Positions, texts and colours.
        floor_z: Height of the ground [m].
    """

    joints: np.ndarray
    joint_rgba: np.ndarray
    bones: np.ndarray
    bone_rgba: np.ndarray
    trails: np.ndarray
    trail_rgba: np.ndarray
    grid: np.ndarray
    frustum: np.ndarray
    labels: tuple[tuple[np.ndarray, str, tuple[int, int, int]], ...]
    floor_z: float


def build(state: WindowState) -> Scene:
    """The scene of the state's newest frame."""
    people = state.visible_people()
    flip = np.array([-1.0, 1, 1]) if state.options.mirror else np.ones(3)
    floor = -state.floor_y_m
    joints, joint_rgba, bones, bone_rgba = _bodies(people, scene_palette(state), state.level)
    trails, trail_rgba = _trails(people, state)
    middle = joints[:, :2].mean(0) if len(joints) else np.array([0.0, 3.0])
    grid = ground_grid((0.0, float(np.clip(round(middle[1]), 3, 30))), floor, 6)
    outline = np.zeros((0, 2, 3))
    if state.options.frustum and state.shown is not None:
        camera = state.shown.result.camera
        outline = frustum(camera.matrix_px, camera.size_px) @ scene_rotation(state.level).T
    labels = tuple(
        (
            scene_from_camera(p.joints_3d[0] @ state.level.T) * flip + [0, 0, 0.14],
            state.people.entries[p.id].title if p.id in state.people.entries else person_name(p.id),
            label_rgb(p.id, state.options.theme),
        )
        for p in people
    )
    return Scene(
        joints * flip, joint_rgba, bones * flip, bone_rgba, trails * flip, trail_rgba,
        grid * flip, outline * flip, labels if state.options.ids else (), floor,
    )  # fmt: skip


def scene_rotation(level: np.ndarray) -> np.ndarray:
    """The rotation ``level`` (camera axes) as it acts on scene axes, (3, 3)."""
    axes = scene_from_camera(np.eye(3)).T
    return np.asarray(axes @ level @ axes.T)


def scene_palette(state: WindowState) -> str:
    """The side colours, darker on light ground where they are our own."""
    options = state.options
    return "XNect on light" if options.theme == "light" and options.palette == "XNect" else options.palette


def label_rgb(person_id: int, theme: str) -> tuple[int, int, int]:
    """A person's colour as text: darkened on light ground."""
    r, g, b = person_rgb(person_id)
    return (r, g, b) if theme == "dark" else (r * 6 // 10, g * 6 // 10, b * 6 // 10)


def _bodies(
    people: list[Person], palette: str, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if not people:
        return np.zeros((0, 3)), np.zeros((0, 4)), np.zeros((0, 2, 3)), np.zeros((0, 4))
    joints = scene_from_camera(np.stack([p.joints_3d for p in people]) @ level.T)
    inferred = np.stack([p.inferred for p in people])
    own = np.array([person_rgb(p.id) for p in people]) / 255
    sides = joint_rgb(palette, _BONE_SIDES) / 255
    bone_rgb = np.where((_BONE_SIDES == 2)[None, :, None], own[:, None], sides[None])
    doubt = inferred[:, BONES[:, 1]]
    bone_rgb = np.where(doubt[..., None], 0.45 * bone_rgb + 0.55 * _DIM, bone_rgb)
    joint_rgb_ = np.where((SIDE_3D == 2)[None, :, None], own[:, None], joint_rgb(palette, SIDE_3D)[None] / 255)
    joint_rgb_ = np.where(inferred[..., None], 0.45 * joint_rgb_ + 0.55 * _DIM, joint_rgb_)
    bones = joints[:, BONES]
    return (
        joints.reshape(-1, 3),
        np.concatenate([joint_rgb_, np.ones((*joint_rgb_.shape[:2], 1))], -1).reshape(-1, 4),
        bones.reshape(-1, 2, 3),
        np.concatenate([bone_rgb, np.ones((*bone_rgb.shape[:2], 1))], -1).reshape(-1, 4),
    )


def _trails(people: list[Person], state: WindowState) -> tuple[np.ndarray, np.ndarray]:
    lines, colours = [], []
    if state.options.trails:
        for person in people:
            path = scene_from_camera(state.history.trail(person.id, state.options.trail_s) @ state.level.T)
            path = path[:: max(1, len(path) // TRAIL_POINTS)]
            if len(path) < 2:
                continue
            path[:, 2] = -state.floor_y_m + 0.01  # the way walked, on the ground
            alpha = np.linspace(0.05, 0.9, len(path))
            rgba = np.concatenate([np.tile(np.array(person_rgb(person.id)) / 255, (len(path), 1)), alpha[:, None]], 1)
            lines.append(np.stack([path[:-1], path[1:]], 1))
            colours.append(np.stack([rgba[:-1], rgba[1:]], 1))
    if not lines:
        return np.zeros((0, 2, 3)), np.zeros((0, 2, 4))
    return np.concatenate(lines), np.concatenate(colours)


def bone_mesh(bones: np.ndarray, rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bones (M, 2, 3) as lit octahedra: triangles (8 M, 3, 3) and their colours (8 M, 4).

    The light is worked out here and not by a shader, so that every OpenGL there is draws the same.
    """
    start, end = bones[:, 0], bones[:, 1]
    along = end - start
    length = _length(along)
    along = along / np.maximum(length, 1e-9)
    helper = np.where(np.abs(along[:, 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    u = _cross(along, helper)
    u /= np.maximum(_length(u), 1e-9)
    v = _cross(along, u)
    radius = np.clip(0.13 * length, 0.012, 0.045)
    waist = start + np.minimum(0.22 * length, 0.08) * along
    corners = np.stack([start, end, *(waist + radius * d for d in (u, v, -u, -v))], 1)
    faces = corners[:, _FACES].reshape(-1, 3, 3)
    normal = _cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    cosine = (normal @ _LIGHT)[:, None] / np.maximum(_length(normal), 1e-12)
    colours = np.repeat(rgba, len(_FACES), axis=0)
    colours[:, :3] *= 0.62 + 0.38 * np.maximum(cosine, -0.6)
    return faces, colours


def _length(vectors: np.ndarray) -> np.ndarray:
    """Lengths (N, 1) of vectors (N, 3)."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products (N, 3); numpy's own takes several times as long for a few rows."""
    return a[:, _NEXT] * b[:, _LAST] - a[:, _LAST] * b[:, _NEXT]


def follow_point(state: WindowState) -> np.ndarray | None:
    """Where the followed person's pelvis is, scene axes [m]; None where nobody is followed or seen."""
    for person in state.visible_people():
        if person.id == state.follow:
            flip = np.array([-1.0, 1, 1]) if state.options.mirror else np.ones(3)
            return scene_from_camera(person.joints_3d[PELVIS] @ state.level.T) * flip
    return None
