"""Pictures and labels as tensors in device memory: decoded once, drawn from ever after."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch

#: People kept per picture; the largest are kept where there are more.
MAX_PEOPLE = 24


@dataclass(slots=True)
class Store:
    """N labelled pictures on one device.

    Attributes:
        pictures: uint8 (N, 3, S, S) RGB, each at the top left, zero elsewhere.
        size: float32 (N, 2), width and height of the part that is picture [px].
        joints: float32 (N, P, 14, 3): x, y [px] and 1 where the joint is labelled, else 0.
        boxes: float32 (N, P, 4): x, y, width, height [px]; width 0 = no such person.
        ignore: bool (N, P): a person or crowd without usable joints; says nothing in either direction.
        complete: bool (N,): everyone in the picture has a label or an ignore box.
        ids: int64 (N,): the picture's number in its data set.
        soft_maps: uint8 (N, C, s, s) or None: a teacher's heatmaps (0 to 1 as 0..255) and affinity fields (-1 to 1 as
            0..255), over the whole S x S picture.
        bones: float32 (N, P, 21, 3) or None: vector from each 3D joint's parent to it, camera axes, rescaled to a body
            of 1.70 m [m].
        rays: float32 (N, P, 14, 3) or None: where each 2D joint lies on the picture plane (x/z, y/z), and how much the
            encoding there counts, 0 to 1 (0 = no 3D truth).
    """

    pictures: torch.Tensor
    size: torch.Tensor
    joints: torch.Tensor
    boxes: torch.Tensor
    ignore: torch.Tensor
    complete: torch.Tensor
    ids: torch.Tensor
    soft_maps: torch.Tensor | None = None
    bones: torch.Tensor | None = None
    rays: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.pictures.device

    @property
    def side(self) -> int:
        """Side of the square that holds each picture [px]."""
        return self.pictures.shape[-1]

    def focal_people(self) -> torch.Tensor:
        """People worth centring a view on, bool (N, P): five labelled joints or more."""
        return (self.joints[..., 2] > 0).sum(-1) >= 5

    def to(self, device: torch.device | str) -> Store:
        """The same store on another device."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: None if value is None else value.to(device) for name, value in values.items()}
        return Store(**moved)


def joined(stores: list[Store]) -> Store:
    """Several stores of the same picture side as one."""
    parts: dict[str, list[Any]] = {f.name: [getattr(s, f.name) for s in stores] for f in fields(Store)}
    whole: dict[str, Any] = {k: None if any(v is None for v in part) else torch.cat(part) for k, part in parts.items()}
    return Store(**whole)
