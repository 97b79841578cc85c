"""Backgrounds: a room with windows and pictures, a panorama with ground, a photo with a known horizon."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from xnect.structures import F32, F64, Bool
from xnect.training.synthetic import painting
from xnect.training.synthetic.assets import TextureHeap
from xnect.training.synthetic.cameras import PlacedCamera
from xnect.training.synthetic.lights import Light, harmonics
from xnect.training.synthetic.render import Shadows

#: Inward normals of a room's sides, in the order -x, +x, -y, +y, -z, +z.
_INWARD = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A rectangle on a wall: a picture, a window, a door.

    Attributes:
        side: Number of the wall (0 -x, 1 +x, 4 -z, 5 +z).
        span_m: u0, u1, v0, v1: z (walls 0 and 1) or x along the wall, height.
        texture: What it shows.
        glow: Light of its own (a window), 0 = none.
        frame_m: Width of the white frame.
    """

    side: int
    span_m: tuple[float, float, float, float]
    texture: int
    glow: float = 0.0
    frame_m: float = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """A box seen from inside.

    Attributes:
        low_m: Corner (3,) with the least coordinates; y = 0 is the floor.
        high_m: The opposite corner (3,).
        textures: Six texture numbers, sides in the order -x, +x, -y, +y, -z, +z.
        tints: float32 (6, 3), colour times the texture.
        repeat: float32 (6,), texture repeats a metre.
        panels: What hangs on the walls.
    """

    low_m: F64
    high_m: F64
    textures: tuple[int, ...]
    tints: F32
    repeat: F32
    panels: tuple[Panel, ...] = ()

    def paint(
        self, image: F32, unseen: Bool, camera: PlacedCamera, light: Light, shadows: Shadows, heap: TextureHeap
    ) -> None:
        """See ``render.Background``."""
        ambient = np.maximum(harmonics(_INWARD) @ light.ambient, 0.05).astype(np.float32)
        direct = np.maximum(_INWARD @ light.direction, 0).astype(np.float32)
        rows = [[p.side, *p.span_m, p.glow, p.frame_m] for p in self.panels]
        panels = np.array(rows, np.float32).reshape(-1, 7)
        pictures = heap.levels[[p.texture for p in self.panels], 1].reshape(-1, 3)
        painting.paint_room(
            image, unseen, camera.rays, camera.centre_m, self.low_m, self.high_m, heap.levels[list(self.textures)],
            self.tints, self.repeat, ambient, direct, light.sun, panels, pictures, heap.texels, shadows.to_map,
            shadows.nearest, shadows.spread, shadows.bias_m, shadows.occlusion, shadows.corner_m, shadows.step_m,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Panorama:
    """A panorama around the people, its lower half laid on the ground.

    Attributes:
        texture: The equirectangular picture.
        gain: Brightness.
        view_height_m: Height of the panorama's own camera.
        radius_m: Where its ground ends.
        ground: Texture of a tile that covers the ground near the people, -1 = none.
        ground_tint: float32 (3,), colour times the tile.
        yaw_deg: How far it is turned about the vertical, to the left.
    """

    texture: int
    gain: float = 1.0
    view_height_m: float = 1.6
    radius_m: float = 14.0
    ground: int = -1
    ground_tint: F32 | None = None
    yaw_deg: float = 0.0

    def paint(
        self, image: F32, unseen: Bool, camera: PlacedCamera, light: Light, shadows: Shadows, heap: TextureHeap
    ) -> None:
        """See ``render.Background``; drawn at half size, which is still finer than the panoramas' own pixels."""
        tile = heap.levels[[self.ground] if self.ground >= 0 else []]
        tint = np.ones(3, np.float32) if self.ground_tint is None else self.ground_tint
        up, shade = ground_light(light)
        height, width = unseen.shape
        small = (height + 1) // 2, (width + 1) // 2
        wanted = cv2.resize(unseen.view(np.uint8), small[::-1], interpolation=cv2.INTER_AREA)
        wanted = cv2.dilate(np.ceil(wanted).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
        coarse = np.zeros((*small, 3), np.float32)
        rays = camera.rays @ np.array([[width / small[1], 0, 0.5], [0, height / small[0], 0.5], [0, 0, 1]])
        painting.paint_panorama(
            coarse, wanted, rays, camera.centre_m, heap.levels[self.texture, 0], self.yaw_deg / 360, self.gain, self.view_height_m,
            self.radius_m, tile, tint, 0.8 * self.radius_m, up, heap.texels, shadows.to_map, shadows.nearest,
            shadows.spread, shadows.bias_m, shade, shadows.occlusion, shadows.corner_m, shadows.step_m,
        )  # fmt: skip
        fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        np.copyto(image, fine, where=unseen[..., None])


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A photo that fills the picture; shadows fall on the plane y = 0.

    Attributes:
        picture: float32 (H, W, 3), linear, at the size of the drawing.
    """

    picture: F32

    def paint(
        self, image: F32, unseen: Bool, camera: PlacedCamera, light: Light, shadows: Shadows, heap: TextureHeap
    ) -> None:
        """See ``render.Background``."""
        np.copyto(image, self.picture, where=unseen[..., None])
        painting.shade_ground(
            image, unseen, camera.rays, camera.centre_m, shadows.to_map, shadows.nearest, shadows.spread,
            shadows.bias_m, ground_light(light)[1], shadows.occlusion, shadows.corner_m, shadows.step_m,
        )  # fmt: skip


def ground_light(light: Light) -> tuple[F32, F32]:
    """All light on a white level surface (3,), and the share of it that a shadow leaves (3,)."""
    up = np.array([0.0, 1.0, 0.0])
    ambient = np.maximum(harmonics(up) @ light.ambient, 0.05)
    whole = ambient + max(0.0, float(light.direction[1])) * light.sun
    return whole.astype(np.float32), (ambient / whole).astype(np.float32)
