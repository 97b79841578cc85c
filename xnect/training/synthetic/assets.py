"""The asset pack on disk: its lists, its textures in one heap, and where it is looked for."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np

from xnect.errors import SourceError
from xnect.structures import I64, U8
from xnect.training.synthetic.options import find_folder

MAX_LEVELS = 10


def read_rows(path: Path) -> list[dict[str, str]]:
    """A CSV list as dicts; raises SourceError."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def read_picture(path: Path) -> U8:
    """A picture as RGBA uint8 (H, W, 4); raises SourceError."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise SourceError(f"cannot read the picture {path}")
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGBA).astype(np.uint8)
    code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return cv2.cvtColor(picture, code).astype(np.uint8)


class TextureHeap:
    """All textures with their mip levels in one growing array, so that compiled code can reach each of them.

    Attributes:
        texels: uint8 (capacity, 4), red, green, blue, alpha; rows of a picture one after another.
        levels: int64 (textures, MAX_LEVELS, 3), first texel, width and height of each level; the last one repeats.
        bright: float32 (textures,), 80th percentile of the lightness, 0 to 1 (the reference when recolouring).
    """

    def __init__(self, max_side: int = 1024) -> None:
        self.texels: U8 = np.zeros((1 << 20, 4), np.uint8)
        self.levels: I64 = np.zeros((0, MAX_LEVELS, 3), np.int64)
        self.bright = np.zeros(0, np.float32)
        self._used = 0
        self._max_side = max_side
        self._known: dict[str, int] = {}

    def load(self, path: Path) -> int:
        """Number of the texture in this file, read on first use."""
        key = str(path)
        if key not in self._known:
            self._known[key] = self.add(read_picture(path))
        return self._known[key]

    def colour(self, rgb: np.ndarray) -> int:
        """Number of a texture of one colour, (3,) 0 to 1."""
        values = np.clip(np.rint(np.asarray(rgb, np.float64) * 255), 0, 255).astype(np.uint8)
        key = f"colour {values.tolist()}"
        if key not in self._known:
            flat = np.full((1, 1, 4), 255, np.uint8)
            flat[0, 0, :3] = values
            self._known[key] = self.add(flat)
        return self._known[key]

    def named(self, key: str, make: Callable[[], U8]) -> int:
        """Number of a texture made in memory on first use, kept under ``key``."""
        if key not in self._known:
            self._known[key] = self.add(make())
        return self._known[key]

    def add(self, picture: U8) -> int:
        """Store an RGBA picture and its mip levels."""
        while max(picture.shape[:2]) > self._max_side:
            picture = _halved(picture)
        few = picture[::4, ::4] if min(picture.shape[:2]) > 64 else picture
        lightness = few[..., :3].astype(np.float32).mean(-1)[few[..., 3] > 127]
        entry = np.zeros((MAX_LEVELS, 3), np.int64)
        for level in range(MAX_LEVELS):
            height, width = picture.shape[:2]
            entry[level:] = self._append(picture.reshape(-1, 4)), width, height
            if min(height, width) < 8:
                break
            picture = _halved(picture)
        self.levels = np.concatenate([self.levels, entry[None]])
        bright = float(np.percentile(lightness, 80)) / 255 if lightness.size else 1.0
        self.bright = np.append(self.bright, np.float32(max(bright, 0.05)))
        return len(self.levels) - 1

    def _append(self, texels: U8) -> int:
        first, end = self._used, self._used + len(texels)
        if end > len(self.texels):
            grown = np.zeros((max(end, 2 * len(self.texels)), 4), np.uint8)
            grown[:first] = self.texels[:first]
            self.texels = grown
        self.texels[first:end] = texels
        self._used = end
        return first


def _halved(picture: U8) -> U8:
    """Half the size by averaging; alpha keeps its coverage since it is averaged alike."""
    size = max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


class Assets:
    """The asset pack: lists, folder and texture heap. Everything is read on first use.

    Args:
        folder: The pack, None = beside the checkout.
        max_texture: Longest side of a texture in memory [px].
    """

    def __init__(self, folder: str | Path | None = None, max_texture: int = 1024) -> None:
        self.folder = find_folder(folder, "synth", "bodies.npz")
        self.heap = TextureHeap(max_texture)

    @cached_property
    def clothes(self) -> list[dict[str, str]]:
        """Rows of clothes.csv."""
        return read_rows(self.folder / "clothes.csv")

    @cached_property
    def skins(self) -> list[dict[str, str]]:
        """Rows of skins.csv."""
        return read_rows(self.folder / "skins.csv")

    @cached_property
    def props(self) -> list[dict[str, str]]:
        """Rows of props.csv."""
        return read_rows(self.folder / "props.csv")

    @cached_property
    def tiles(self) -> list[dict[str, str]]:
        """Rows of rooms/tiles.csv."""
        return read_rows(self.folder / "rooms" / "tiles.csv")

    @cached_property
    def panoramas(self) -> list[dict[str, str]]:
        """Rows of panoramas/panoramas.csv."""
        return read_rows(self.folder / "panoramas" / "panoramas.csv")

    @cached_property
    def backdrops(self) -> list[dict[str, str]]:
        """Rows of backdrops/backdrops.csv."""
        return read_rows(self.folder / "backdrops" / "backdrops.csv")

    @cached_property
    def probes(self) -> dict[str, np.ndarray]:
        """Name of a panorama -> its light, float32 (9, 3) harmonics of irradiance / pi."""
        with np.load(self.folder / "panoramas" / "probes.npz") as data:
            return dict(zip((str(n) for n in data["names"]), data["sh"].astype(np.float32), strict=True))

    @cached_property
    def _tile_sheet(self) -> U8:
        return read_picture(self.folder / "rooms" / "tiles.webp")

    def tile(self, index: int) -> int:
        """Texture number of a repeating surface of 128 px."""
        return self.heap.named(f"tile {index}", lambda: self._tile(index))

    def _tile(self, index: int) -> U8:
        row, column = divmod(index, 16)
        part = self._tile_sheet[row * 128 : (row + 1) * 128, column * 128 : (column + 1) * 128].copy()
        part[:2], part[-2:] = part[2], part[-3]  # the sheet's compression lets neighbours' colours bleed in
        part[:, :2], part[:, -2:] = part[:, 2:3], part[:, -3:-2]
        return part

    def crop(self, part: str, name: str, box: tuple[float, float, float, float]) -> int:
        """Texture number of a part of a picture; ``box``: left, top, right, bottom as shares of its size."""

        def make() -> U8:
            picture = read_picture(self.folder / part / name)
            height, width = picture.shape[:2]
            x0, y0, x1, y1 = box
            return np.ascontiguousarray(picture[int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)])

        return self.heap.named(f"crop {part}/{name} {box}", make)

    @lru_cache(maxsize=64)  # noqa: B019 - one pack a process
    def photo(self, name: str) -> U8:
        """A backdrop as RGB (H, W, 3)."""
        return read_picture(self.folder / "backdrops" / name)[..., :3]

    def texture(self, part: str, name: str) -> int:
        """Texture number of a picture of the pack, for example ``texture("skins", "old_asian_male.webp")``."""
        return self.heap.load(self.folder / part / name)
