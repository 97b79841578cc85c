"""Furniture and things of the pack as meshes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xnect.errors import SourceError
from xnect.structures import F32
from xnect.training.synthetic.assets import Assets
from xnect.training.synthetic.meshes import Material, Mesh, coarse

#: Cells of the coarser mesh that casts the shadow [m].
_COARSE_M = 0.03


class PropStore:
    """Props by name, read once."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._meshes: dict[str, Mesh] = {}

    def mesh(self, name: str) -> Mesh:
        """A prop in its own axes: on y = 0, centred, front to +z; raises SourceError."""
        if name not in self._meshes:
            path = self._assets.folder / "props" / f"{name}.npz"
            try:
                data = dict(np.load(path))
            except (OSError, ValueError) as error:
                raise SourceError(f"cannot read {path}: {error}") from error
            materials = [self._material(c, str(t)) for c, t in zip(data["colour"], data["texture"], strict=True)]
            self._meshes[name] = Mesh(
                data["vertices"].astype(np.float32),
                data["faces"].astype(np.int32),
                data["uv"].astype(np.float32),
                data["uv_index"].astype(np.int32),
                tuple(materials),
                data["material"].astype(np.int32),
                shadow_faces=coarse(data["vertices"].astype(np.float64), data["faces"].astype(np.int32), _COARSE_M),
            )
        return self._meshes[name]

    def _material(self, colour: np.ndarray, texture: str) -> Material:
        if texture:
            return Material(self._assets.texture("props", texture))
        return Material(self._assets.heap.colour(np.clip(colour.astype(np.float64), 0.02, 0.98)))


def placed(mesh: Mesh, rotation: np.ndarray, place_m: np.ndarray, scale: float = 1.0, ident: int = -1) -> Mesh:
    """The mesh scaled, turned (3, 3) and moved (3,) [m]."""
    vertices: F32 = (scale * mesh.vertices_m @ rotation.T.astype(np.float32) + place_m.astype(np.float32)).astype(
        np.float32
    )
    return replace(mesh, vertices_m=vertices, ident=ident)
