"""Folders of pictures: natural order, any path, turned as their EXIF mark says, bad ones skipped."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from xnect.capture.calibration import camera_for
from xnect.capture.opencv import quiet
from xnect.capture.source import AS_IT_IS, ReadOptions, SourceBase, SourceInfo
from xnect.errors import SourceError
from xnect.structures import U8, Frame

_log = logging.getLogger(__name__)

PICTURE_ENDINGS = frozenset(
    "." + ending
    for ending in (
        *("jpg", "jpeg", "jpe", "png", "bmp", "dib", "webp", "tif", "tiff", "gif", "jp2", "avif"),
        *("pbm", "pgm", "ppm", "pxm", "pnm", "sr", "ras", "hdr"),
    )
)
DEFAULT_FPS = 30.0


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sorts ``frame10`` after ``frame9``."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture (and not of a hidden file)."""
    return path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith(".")


def read_picture(path: Path) -> U8:
    """A picture as BGR uint8 (H, W, 3), upright.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread fails on some non-ASCII paths
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    if not len(data):
        raise SourceError(f"{path} is empty (0 bytes)")
    try:
        with quiet():
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise SourceError(f"{path} is not a picture that can be read, or it is damaged")
    return np.asarray(image, np.uint8)


class ImageSource(SourceBase):
    """The pictures of a folder as frames, or one single picture; times come from the asked pace (30 a second)."""

    def __init__(self, path: str | Path, options: ReadOptions = AS_IT_IS) -> None:
        """List the folder and read its first good picture.

        Raises:
            SourceError: No such folder, no picture in it, or none that can be read.
        """
        self._path = Path(path)
        self._options = options
        self._closed = False
        self._fps = options.fps or DEFAULT_FPS
        self._files = self._list()
        first = next(self._pictures(warn=False), None)
        if first is None:
            raise SourceError(f"none of the {len(self._files)} pictures in {self._path} can be read")
        height, width = first[1].shape[:2]
        duration, count = options.expected(len(self._files) / self._fps, len(self._files))
        size = options.turned((width, height))
        name = self._path.resolve().name if self._path.is_dir() else self._path.stem
        info = SourceInfo(name, str(self._path), size, self._fps, count, duration)
        super().__init__(info, camera_for(options, (width, height), self._path.name))

    def _list(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        if not self._path.is_dir():
            raise SourceError(f"no such {'file' if is_picture(self._path) else 'folder'}: {self._path}")
        try:
            entries = [p for p in self._path.iterdir() if is_picture(p) and p.is_file()]
        except OSError as error:
            raise SourceError(f"cannot read the folder {self._path}: {error.strerror}") from error
        if not entries:
            raise SourceError(f"no pictures in {self._path} (looked for .jpg, .png, .webp, .tif, .bmp and the like)")
        return sorted(entries, key=lambda p: natural_key(p.name))

    def _pictures(self, warn: bool = True) -> Iterator[tuple[int, U8]]:
        for index, file in enumerate(self._files):
            if index / self._fps < self._options.start_s - 1e-9:
                continue
            if self._closed or (self._options.end_s is not None and index / self._fps >= self._options.end_s - 1e-9):
                return
            try:
                yield index, read_picture(file)
            except SourceError as error:
                if warn:
                    self.skipped += 1
                    _log.warning("left out: %s", error)

    def close(self) -> None:
        """End a running iteration at its next picture."""
        self._closed = True

    def __iter__(self) -> Iterator[Frame]:
        self._closed = False
        self.skipped = 0
        sizes: set[tuple[int, ...]] = set()
        for index, image in self._pictures():
            turned = self._options.apply(image)
            sizes.add(turned.shape)
            if len(sizes) == 2:
                _log.warning("%s: pictures differ in size; each is taken as it is", self._path.name)
                sizes.add(())  # told once
            yield Frame(index, index / self._fps, turned)
