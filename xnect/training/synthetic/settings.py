"""Random places: rooms with furniture along the walls, panoramas, photos; with the light that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from xnect.structures import F64, Camera
from xnect.training.synthetic.assets import Assets
from xnect.training.synthetic.backdrops import Panel, Panorama, Photo, Room
from xnect.training.synthetic.collision import Box, box_of
from xnect.training.synthetic.lights import Light, exposed, room_light, split_light, turned_light
from xnect.training.synthetic.meshes import Mesh
from xnect.training.synthetic.props import PropStore, placed
from xnect.training.synthetic.retarget import turn
from xnect.training.synthetic.splits import held_apart

#: Photos with ground to stand on: rows of the horizon and of the ground's far edge, where what stands on it begins, as
#: shares of the picture's height from the top (by eye).
_GROUND = {
    "kodak19": (0.70, 0.75), "coco000000000508": (0.42, 0.7), "coco000000001993": (0.42, 0.9),
    "coco000000030213": (0.35, 0.97), "coco000000107438": (0.47, 0.94), "coco000000175364": (0.38, 0.96),
    "coco000000180239": (0.5, 0.92), "coco000000196610": (0.35, 0.93), "coco000000403385": (0.35, 0.9),
    "coco000000408805": (0.4, 0.95), "coco000000525891": (0.65, 0.95),
}  # fmt: skip
#: Panoramas with free ground: how far it reaches from the camera [m] (by eye); those not named are water, sky, a bridge.
_FREE_M = {
    "aerodynamics_workshop": 4.0, "autoshop_01": 10.0, "blocky_photo_studio": 3.5, "brown_photostudio_01": 3.5,
    "brown_photostudio_02": 3.0, "brown_photostudio_06": 6.0, "brown_photostudio_07": 5.0,
    "christmas_photo_studio_07": 4.0, "circus_arena": 3.0, "dancing_hall": 14.0, "dikhololo_night": 14.0,
    "drachenfels_cellar": 7.0, "empty_warehouse_01": 8.0, "forest_slope": 8.0, "hilly_terrain_01": 9.0,
    "immenstadter_horn": 14.0, "kiara_1_dawn": 6.0, "kloppenheim_05": 18.0, "lebombo": 3.0, "modern_buildings_2": 8.0,
    "narrow_moonlit_road": 5.0, "noon_grass": 18.0, "peppermint_powerplant": 4.0, "phalzer_forest_01": 5.0,
    "rainforest_trail": 3.0, "rooitou_park": 18.0, "sepulchral_chapel_rotunda": 8.0, "st_fagans_interior": 7.0,
    "st_peters_square_night": 16.0, "studio_small_03": 3.0, "studio_small_05": 3.0, "thatch_chapel": 4.0,
    "vestibule": 8.0,
}  # fmt: skip
#: Seats that nobody fits into: the table on its arm goes through the sitter.
_NOT_TO_SIT_ON = ("by_classseat",)
#: How far ground reaches in a panorama that nobody has looked at [m].
_UNKNOWN_FREE_M = 6.0
#: Panoramas of water, of the sky alone, or taken from a bridge: nobody can stand there.
_NOWHERE = ("adams_place_bridge", "aristea_wreck_puresky", "chinese_garden")


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Where a scene takes place.

    Attributes:
        background: What lies behind.
        light: What lights it.
        things: Furniture.
    """

    background: Room | Panorama | Photo
    light: Light
    things: tuple[Mesh, ...] = ()


class Settings:
    """Draws places at random.

    Args:
        assets: The pack.
        props: Its furniture.
        split: train, val or test.
    """

    def __init__(self, assets: Assets, props: PropStore, split: str) -> None:
        self._assets, self._props = assets, props
        tiles = held_apart(assets.tiles, "index", ("use",), split)
        self._tiles: dict[str, list[int]] = {}
        for row in tiles:
            self._tiles.setdefault(row["use"], []).append(int(row["index"]))
        views = [r for r in assets.panoramas if r["backdrop"]]
        self._panoramas = held_apart(views, "name", ("place",), split)
        photos = [r for r in assets.backdrops if "val2017" not in r["evaluation_overlap"]]
        self._photos = held_apart(photos, "file", ("licence",), split)
        rows = [r for r in assets.props if float(r["height_m"]) > 0.3 and float(r["width_m"]) < 2.5]
        self._furniture = held_apart(rows, "id", ("category",), split)

    def room(self, rng: np.random.Generator, bodies_m: F64, eye_m: F64, taken: list[Box]) -> Setting:
        """A room around the given points (N, 3) of bodies and the camera.

        Args:
            rng: Where chance comes from.
            bodies_m: Points that must be inside, and clear of furniture.
            eye_m: Place of the camera (3,).
            taken: Boxes of what stands there already.
        """
        inside = np.concatenate([bodies_m, eye_m[None]])
        low, high = (
            inside.min(0) - rng.uniform([0.25, 0, 0.3], [2.6, 0.1, 3.5]),
            inside.max(0) + rng.uniform(0.25, 2.2, 3),
        )
        low[1], high[1] = 0.0, max(float(rng.uniform(2.35, 3.1)), float(inside[:, 1].max()) + 0.1)
        wall = self._tile(rng, "wall")
        floor = self._tile(rng, "tiles" if rng.random() < 0.25 else "floor")
        ceiling = self._tile(rng, "ceiling") if rng.random() < 0.2 else self._assets.heap.colour(np.full(3, 0.92))
        tints = np.ones((6, 3), np.float32)
        paint = np.clip(1 - np.abs(rng.normal(0, 0.13)) * rng.uniform(0, 1, 3), 0.35, 1) * rng.uniform(0.75, 1.0)
        if rng.random() < 0.65:  # painted: a colour, with the tile's grain at most
            wall = self._assets.heap.colour(np.full(3, 0.93)) if rng.random() < 0.7 else wall
            tints[[0, 1, 4, 5]] = paint
            if rng.random() < 0.25:
                tints[int(rng.choice([0, 1, 4]))] = rng.uniform(0.25, 0.85) + rng.uniform(-0.2, 0.2, 3)
        tints[2] = rng.uniform(0.85, 1.25)
        repeat = np.array([1, 1, rng.uniform(0.5, 0.9), 0.5, 1, 1]) * rng.uniform(0.6, 1.0)
        repeat[[0, 1, 4, 5]] = rng.uniform(0.5, 1.0)
        sides = (wall, wall, floor, ceiling, wall, wall)
        panels = self._panels(rng, low, high)
        room = Room(low, high, sides, tints, repeat.astype(np.float32), panels)
        light = exposed(room_light(rng), float(rng.uniform(0.55, 1.05)))
        return Setting(room, light, self._furnish(rng, low, high, inside, taken))

    def panorama(self, rng: np.random.Generator, reach_m: float = 0.0) -> Setting | None:
        """Outdoors or in a hall; with a fifth of those outdoors a repeating ground near the people.

        Args:
            rng: Where chance comes from.
            reach_m: How far from the middle somebody stands; the panorama's ground reaches so far.

        Returns:
            None where no panorama has so much ground.
        """
        free = {r["name"]: _FREE_M.get(r["name"], _UNKNOWN_FREE_M) for r in self._panoramas}
        rows = [r for r in self._panoramas if r["name"] not in _NOWHERE and free[r["name"]] >= reach_m]
        if not rows:
            return None
        row = rows[int(rng.integers(len(rows)))]
        yaw = float(rng.uniform(0, 360))
        sun = np.array([float(row[f"sun_{a}"]) for a in "xyz"])
        share = min(float(row["sun_share"]), 0.6)
        if sun[1] < 0.25:  # light from the horizon or below casts no shadow worth drawing
            sun, share = np.array([sun[0], 0.4, sun[2]]), 0.3 * share
        light = split_light(self._assets.probes[row["name"]], sun, share, float(rng.uniform(0.01, 0.04)))
        light = exposed(turned_light(light, turn("y", yaw)), float(rng.uniform(0.6, 1.05)))
        ground = -1
        if rng.random() < 0.2 and row["place"] != "indoor":
            ground = self._tile(rng, "ground")
        texture = self._assets.texture("panoramas", row["backdrop"])
        radius = min(float(rng.uniform(9, 18)), 1.25 * free[row["name"]])
        return Setting(Panorama(texture, float(rng.uniform(0.75, 1.15)), 1.6, radius, ground, None, yaw), light)

    def photo(self, rng: np.random.Generator, camera: Camera, ground: bool) -> tuple[Setting, float, float]:
        """A photo; with ``ground`` one that people can stand in.

        Returns:
            The setting, the row of the horizon and the row where the ground ends [px]; whose feet are in the picture
            must have them below that.
        """
        rows = self._photos
        if ground:
            rows = [r for r in rows if r["file"].rsplit(".", 1)[0] in _GROUND] or rows
        row = rows[int(rng.integers(len(rows)))]
        picture = self._assets.photo(row["file"])
        width, height = camera.size_px
        most = min(picture.shape[1] / width, picture.shape[0] / height)
        zoom = most * float(rng.uniform(0.75, 1.0))
        left = rng.uniform(0, picture.shape[1] - zoom * width)
        spare = picture.shape[0] - zoom * height
        top = rng.uniform(0.4 * spare, spare) if ground else rng.uniform(0, spare)
        matrix = np.array([[zoom, 0, left], [0, zoom, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        linear = (seen.astype(np.float32) / 255) ** 2
        if rng.random() < 0.5:
            linear = np.ascontiguousarray(linear[:, ::-1])
        horizon, edge = _GROUND.get(row["file"].rsplit(".", 1)[0], (0.45, 0.95))
        level = float(np.clip(2.2 * linear.mean() + 0.25, 0.35, 1.0)) * float(rng.uniform(0.8, 1.2))
        setting = Setting(Photo(linear.astype(np.float32)), exposed(room_light(rng), level))
        tall = picture.shape[0]
        return setting, (horizon * tall - top) / zoom, (edge * tall - top) / zoom

    def prop(self, rng: np.random.Generator, *categories: str) -> dict[str, str]:
        """A row of props.csv, of the given categories."""
        rows = [r for r in self._assets.props if not categories or r["category"] in categories]
        return rows[int(rng.integers(len(rows)))]

    def seat(self, rng: np.random.Generator, highest_m: float = 0.6) -> dict[str, str]:
        """A row of props.csv for something to sit on, its seat 0.35 to ``highest_m`` high and one or two people wide."""
        rows = [
            r
            for r in self._assets.props
            if r["id"] not in _NOT_TO_SIT_ON
            and r["seat_height_m"]
            and 0.35 <= float(r["seat_height_m"]) <= highest_m
            and float(r["width_m"]) < 1.1
        ]
        return rows[int(rng.integers(len(rows)))]

    def _tile(self, rng: np.random.Generator, use: str) -> int:
        return self._assets.tile(int(rng.choice(self._tiles[use])))

    def _view_out(self, rng: np.random.Generator, glow: bool) -> int:
        """A texture for a window or a picture: part of a panorama, or a photo."""
        if glow or rng.random() < 0.5:
            row = self._panoramas[int(rng.integers(len(self._panoramas)))]
            left = int(rng.integers(8)) / 10
            return self._assets.crop("panoramas", row["backdrop"], (left, 0.34, left + 0.2, 0.6))
        row = self._photos[int(rng.integers(len(self._photos)))]
        return self._assets.texture("backdrops", row["file"])

    def _panels(self, rng: np.random.Generator, low: F64, high: F64) -> tuple[Panel, ...]:
        out: list[Panel] = []
        for _ in range(int(rng.integers(0, 6))):
            side = int(rng.choice([0, 1, 4, 4, 5]))
            along = 2 if side in (0, 1) else 0
            kind = str(rng.choice(["picture", "picture", "window", "door"]))
            size = {"picture": rng.uniform([0.3, 0.3], [1.1, 0.8]), "window": rng.uniform([0.8, 0.9], [1.8, 1.4]),
                    "door": rng.uniform([0.75, 1.95], [0.95, 2.1])}[kind]  # fmt: skip
            room = high[along] - low[along] - 0.2 - size[0]
            if room <= 0:
                continue
            u = low[along] + 0.1 + rng.uniform(0, room)
            v = 0.0 if kind == "door" else float(rng.uniform(0.85, 1.4))
            if v + size[1] > high[1] - 0.1:
                continue
            span = (float(u), float(u + size[0]), v, float(v + size[1]))
            if any(p.side == side and p.span_m[0] < span[1] and span[0] < p.span_m[1] for p in out):
                continue
            if kind == "door":
                out.append(
                    Panel(
                        side,
                        span,
                        self._assets.heap.colour(rng.uniform(0.25, 0.9) * np.array([1, 0.93, 0.85])),
                        0.0,
                        0.07,
                    )
                )
            else:
                glow = float(rng.uniform(0.6, 1.6)) if kind == "window" else 0.0
                out.append(
                    Panel(side, span, self._view_out(rng, kind == "window"), glow, float(rng.uniform(0.01, 0.06)))
                )
        return tuple(out)

    def _furnish(self, rng: np.random.Generator, low: F64, high: F64, clear: F64, taken: list[Box]) -> tuple[Mesh, ...]:
        """Furniture with its back to the walls, clear of people, camera and what stands there already."""
        out: list[Mesh] = []
        boxes = list(taken)
        for _ in range(int(rng.integers(0, 7))):
            row = self._furniture[int(rng.integers(len(self._furniture)))]
            mesh = self._props.mesh(row["id"])
            side = int(rng.choice([0, 1, 4, 4, 4]))
            yaw = {0: 90.0, 1: -90.0, 4: 0.0}[side]
            turned = turn("y", yaw)
            depth = float(row["depth_m"]) / 2 + 0.03
            along = 2 if side in (0, 1) else 0
            half = float(row["width_m"]) / 2 + 0.03
            if high[along] - low[along] < 2 * half:
                continue
            place = np.zeros(3)
            place[along] = rng.uniform(low[along] + half, high[along] - half)
            place[2 - along] = high[2 - along] - depth if side == 1 else low[2 - along] + depth
            box = box_of(mesh, turned, place)
            if box.holds(clear, 0.12) or any(box.meets(b) for b in boxes):
                continue
            boxes.append(box)
            out.append(placed(mesh, turned, place))
        return tuple(out)
