"""Dressed people: garments fitted to a body, merged into one skinned mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from xnect.errors import SourceError
from xnect.structures import F32, F64
from xnect.training.synthetic.assets import Assets
from xnect.training.synthetic.bodies import Body, BodySpace, Pose, skin_vertices
from xnect.training.synthetic.meshes import Material, Mesh, coarse
from xnect.training.synthetic.raster import vertex_normals

_BONES = 8
#: Cells of the coarser mesh that casts the shadow [m].
_COARSE_M = 0.025
#: How far each kind of garment is drawn in front of what is under it, and pushed outwards [m].
_LAYER = {"trousers": 0.006, "shorts": 0.006, "skirt": 0.007, "shoes": 0.002, "top": 0.016, "dress": 0.016, "outfit": 0.010,
          "swimsuit": 0.004, "jacket": 0.02, "coat": 0.022, "hair": 0.004, "eyebrows": 0.004, "glasses": 0.006}  # fmt: skip
_PUSH = {"top": 0.003, "jacket": 0.005, "coat": 0.006, "dress": 0.003}


@njit(cache=True)
def _bound_weights(
    bind: np.ndarray, share: np.ndarray, joint: np.ndarray, weight: np.ndarray, out_joint: np.ndarray,
    out_weight: np.ndarray,
) -> None:  # fmt: skip
    """Skinning weights of garment vertices: the weighted mean of their three body vertices', the largest kept."""
    total = np.zeros(64, np.float32)
    for i in range(len(bind)):
        total[:] = 0
        for k in range(3):
            for n in range(joint.shape[1]):
                total[joint[bind[i, k], n]] += share[i, k] * weight[bind[i, k], n]
        whole = np.float32(0)
        for n in range(out_joint.shape[1]):
            best = total.argmax()
            w = max(np.float32(0), total[best])
            out_joint[i, n], out_weight[i, n] = best, w
            whole += w
            total[best] = -1
        for n in range(out_joint.shape[1]):
            out_weight[i, n] /= whole


@njit(cache=True)
def _kept_faces(
    faces: np.ndarray, uv_index: np.ndarray, hidden: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces with a corner that is not hidden, renumbered for the vertices they use; and which vertices these are."""
    used = np.zeros(len(hidden), np.bool_)
    count = 0
    for f in range(len(faces)):
        if not (hidden[faces[f, 0]] and hidden[faces[f, 1]] and hidden[faces[f, 2]]):
            count += 1
            for k in range(3):
                used[faces[f, k]] = True
    number = np.cumsum(used) - 1
    out, uv_out = np.empty((count, 3), np.int32), np.empty((count, 3), np.int32)
    n = 0
    for f in range(len(faces)):
        if not (hidden[faces[f, 0]] and hidden[faces[f, 1]] and hidden[faces[f, 2]]):
            for k in range(3):
                out[n, k], uv_out[n, k] = number[faces[f, k]], uv_index[f, k]
            n += 1
    return out, uv_out, used


@njit(cache=True, fastmath=True)
def _fit(
    vertices: np.ndarray, bind: np.ndarray, share: np.ndarray, offset: np.ndarray, scale: np.ndarray, out: np.ndarray
) -> None:
    """Garment vertices at rest: weighted mean of three body vertices and a scaled offset."""
    for i in range(len(bind)):
        for k in range(3):
            value = offset[i, k] * scale[k]
            for n in range(3):
                value += share[i, n] * vertices[bind[i, n], k]
            out[i, k] = value


@dataclass(frozen=True, slots=True, eq=False)
class Garment:
    """A garment, hair style or accessory bound to the body mesh (format: the pack's README)."""

    name: str
    category: str
    faces: np.ndarray
    uv: F32
    uv_index: np.ndarray
    bind: np.ndarray
    share: F32
    offset_m: F32
    scale_ref: np.ndarray
    scale_den: F32
    hides: np.ndarray
    bone: np.ndarray
    bone_weight: F32
    shadow_faces: np.ndarray

    def fitted(self, body: Body) -> F32:
        """Its vertices on a body at rest (N, 3)."""
        v, ref = body.vertices_m, self.scale_ref
        axis = np.arange(3)
        scale = np.abs(v[ref[:, 0], axis] - v[ref[:, 1], axis]) / self.scale_den
        out = np.empty((len(self.bind), 3), np.float32)
        _fit(v, self.bind, self.share, self.offset_m, scale.astype(np.float32), out)
        push = _PUSH.get(self.category, 0.0)
        if push:
            out += np.float32(push) * vertex_normals(out, self.faces, np.ones(len(out), np.bool_))
        return out


@dataclass(frozen=True, slots=True)
class Wear:
    """One thing worn: the garment's id, its texture file, a tint (0 to 1) or None, a cloth tile or -1."""

    garment: str
    texture: str
    tint: tuple[float, float, float] | None = None
    tile: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """How one person looks.

    Attributes:
        coefficients: float32 (48,), shape.
        like: The named body that sex, age and origin are taken from.
        skin: File in skins/.
        wears: Clothes, shoes, hair, eyes, eyebrows.
    """

    coefficients: F32
    like: int
    skin: str
    wears: tuple[Wear, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A dressed body, ready to be posed.

    Attributes:
        body: The body at rest.
        rest: Mesh at rest: what is seen of the skin, and the clothes.
        bone: int32 (N, K), and ``bone_weight`` float32 (N, K): skinning of the mesh.
        bone_weight: See ``bone``.
    """

    body: Body
    rest: Mesh
    bone: np.ndarray
    bone_weight: F32

    def posed(self, space: BodySpace, pose: Pose, ident: int) -> Mesh:
        """The mesh in a pose; ``ident`` is the person's number in the picture."""
        vertices = np.empty_like(self.rest.vertices_m)
        world = space.transforms(self.body, pose)
        skin_vertices(self.rest.vertices_m, self.bone, self.bone_weight, world, vertices)
        return replace(self.rest, vertices_m=vertices, ident=ident)


class Wardrobe:
    """Garments by name, read once, and people dressed in them."""

    def __init__(self, assets: Assets, space: BodySpace) -> None:
        self._assets, self._space = assets, space
        self._garments: dict[str, Garment] = {}
        self._rows = {r["id"]: r for r in assets.clothes}
        self._shadow_faces = coarse(space.mean_skin, space.faces, _COARSE_M)

    def garment(self, name: str) -> Garment:
        """A garment of the pack; raises SourceError."""
        if name not in self._garments:
            if name not in self._rows:
                raise SourceError(f"no garment {name!r} in {self._assets.folder}")
            self._garments[name] = self._read(name)
        return self._garments[name]

    def _read(self, name: str) -> Garment:
        path = self._assets.folder / "clothes" / f"{name}.npz"
        try:
            data = dict(np.load(path))
        except (OSError, ValueError) as error:
            raise SourceError(f"cannot read {path}: {error}") from error
        bind, share = data["bind"].astype(np.int32), data["bind_weight"].astype(np.float32)
        bone = np.zeros((len(bind), _BONES), np.int32)
        weight = np.zeros((len(bind), _BONES), np.float32)
        _bound_weights(bind, share, self._space.skin_joint, self._space.skin_weight, bone, weight)
        return Garment(
            name,
            self._rows[name]["category"],
            data["faces"].astype(np.int32),
            data["uv"].astype(np.float32),
            data["uv_index"].astype(np.int32),
            bind,
            share,
            data["offset"].astype(np.float32),
            data["scale_ref"].astype(np.int64),
            data["scale_den"].astype(np.float32),
            np.unpackbits(data["hide"])[: self._space.skin_count].astype(bool),
            bone,
            weight,
            coarse(self._space.at_rest(bind, share), data["faces"].astype(np.int32), _COARSE_M),
        )

    def material(self, wear: Wear) -> Material:
        """What a worn thing is made of."""
        row = self._rows[wear.garment]
        return Material(
            self._assets.texture("clothes", wear.texture),
            wear.tint,
            -1 if wear.tile < 0 else self._assets.tile(wear.tile),
            alpha="alpha" in row["note"],
            bias_m=_LAYER.get(row["category"], 0.002),
            gloss=0.04 if row["category"] in ("shoes", "hair", "jacket") else 0.0,
        )

    def _casting(self, used: np.ndarray, worn: list[Garment], first: np.ndarray) -> np.ndarray:
        """The coarser faces that cast the shadow, for vertices numbered as in ``dressed``."""
        skin = self._shadow_faces[used[self._shadow_faces].all(1)]
        number = (np.cumsum(used) - 1).astype(np.int32)
        clothes = [g.shadow_faces + np.int32(n) for g, n in zip(worn, first[1:], strict=False)]
        return np.concatenate([number[skin], *clothes])

    def dressed(self, looks: Looks) -> Person:
        """A person that looks so."""
        space = self._space
        body = space.shape(looks.coefficients, looks.like)
        worn = [self.garment(w.garment) for w in looks.wears]
        hidden = np.zeros(space.skin_count, bool)
        for g in worn:
            hidden |= g.hides
        faces, uv_index, used = _kept_faces(space.faces, space.uv_index, hidden)
        rest = [body.vertices_m[: space.skin_count][used]] + [g.fitted(body) for g in worn]
        bone = np.zeros((int(used.sum()), _BONES), np.int32)
        weight = np.zeros((len(bone), _BONES), np.float32)
        bone[:, :4], weight[:, :4] = (
            space.skin_joint[: space.skin_count][used],
            space.skin_weight[: space.skin_count][used],
        )
        skin = Material(self._assets.texture("skins", looks.skin), cull=True, gloss=0.05)
        vertex_first = np.cumsum([0] + [len(r) for r in rest])
        uv_first = np.cumsum([0, len(space.uv)] + [len(g.uv) for g in worn])
        mesh = Mesh(
            np.concatenate(rest),
            np.concatenate([faces] + [g.faces + np.int32(n) for g, n in zip(worn, vertex_first[1:], strict=False)]),
            np.concatenate([space.uv] + [g.uv for g in worn]),
            np.concatenate([uv_index] + [g.uv_index + np.int32(n) for g, n in zip(worn, uv_first[1:], strict=False)]),
            (skin, *(self.material(w) for w in looks.wears)),
            np.concatenate([np.full(len(f), k, np.int32) for k, f in enumerate([faces] + [g.faces for g in worn])]),
            shadow_faces=self._casting(used, worn, vertex_first),
        )
        return Person(
            body,
            mesh,
            np.concatenate([bone] + [g.bone for g in worn]),
            np.concatenate([weight] + [g.bone_weight for g in worn]),
        )


def ground_gap(space: BodySpace, places: F64) -> float:
    """Height of the lowest foot point over y = 0 [m] (negative = sunk in); shoe soles are about as thick as it is."""
    lowest = [space.at(places, f"{p}_{s}")[1] for s in "lr" for p in ("heel", "toe_tip", "toe")]
    return float(min(lowest))


def ground_spheres(space: BodySpace, places: F64) -> F32:
    """Spheres (9, 4) that stand for a body where it darkens the ground."""
    parts = [("foot_l", 0.09), ("foot_r", 0.09), ("toe_l", 0.06), ("toe_r", 0.06), ("calf_l", 0.1), ("calf_r", 0.1),
             ("pelvis", 0.2), ("spine_03", 0.22), ("head", 0.14)]  # fmt: skip
    return np.array([[*space.at(places, n), r] for n, r in parts], np.float32)
