"""Pictures from files, folders, videos and cameras, as RGB arrays with a word on where they came from."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from backbone.errors import InputError

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif", ".gif")
)
"""File name endings that count as pictures; the content decides whether one is."""
READERS = 4
"""Threads that decode pictures ahead: decoding runs outside the interpreter's lock."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture and its place.

    Attributes:
        origin: Path of the file, or `camera N`.
        image_rgb: uint8 (H, W, 3).
        frame: Number of the frame in a video or camera stream, from 0; None for a picture of its own.
        time_s: Time in the video [s]; None where there is none.
    """

    origin: str
    image_rgb: NDArray[np.uint8]
    frame: int | None = None
    time_s: float | None = None


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a picture as RGB; the camera's orientation note is followed, transparency and depth are dropped.

    Returns:
        uint8 (H, W, 3).

    Raises:
        InputError: The file cannot be read or is no picture.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except cv2.error as error:
        raise InputError(f"{path} is no readable picture: {error.err or error}") from error
    if image is None:
        raise InputError(f"{path} is no readable picture")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below a folder, sorted by path; hidden ones are left out.

    Raises:
        InputError: There are none, or no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"no folder at {folder}")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise InputError(f"no pictures below {folder}")
    return found


def ahead(work: Callable[[Item], Result], items: Iterable[Item], readers: int = READERS) -> Iterator[Result]:
    """Results of `work` in the order of `items`, computed by threads a few items ahead of the consumer."""
    rest = iter(items)
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(work, item) for item in islice(rest, 2 * readers))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _attempt(path: Path) -> Picture | InputError:
    try:
        return Picture(str(path), read_picture(path))
    except InputError as error:
        return error


def from_files(paths: Iterable[Path], on_fault: Callable[[InputError], None]) -> Iterator[Picture]:
    """The pictures of many files in order; files that cannot be read are reported to `on_fault` and left out."""
    for found in ahead(_attempt, paths):
        if isinstance(found, InputError):
            on_fault(found)
        else:
            yield found


def from_stream(source: Path | int, every: int = 1) -> Iterator[Picture]:
    """Every `every`-th frame of a video file or of a camera by number.

    Raises:
        InputError: It cannot be opened, or gives no frame.
    """
    name = f"camera {source}" if isinstance(source, int) else str(source)
    capture = _open(source)
    try:
        if not capture.isOpened():
            raise InputError(f"cannot open {name}: no picture, no video and no camera")
        index = 0
        while capture.grab():
            if index % every == 0:
                good, image = capture.retrieve()
                if not good:
                    break
                time_s = None if isinstance(source, int) else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
                yield Picture(name, rgb, index, time_s)
            index += 1
        if index == 0:
            raise InputError(f"{name} gives no frames")
    finally:
        capture.release()


def _open(source: Path | int) -> cv2.VideoCapture:
    """Open a stream without OpenCV's own remarks: what goes wrong is told by an error of ours."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(source if isinstance(source, int) else str(source))
    finally:
        cv2.utils.logging.setLogLevel(level)


def frame_count(path: Path) -> int | None:
    """Number of frames that a video file announces; None when it does not say."""
    capture = _open(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count if count > 0 else None
