"""Classification results going out: a line of text, JSON, CSV, or drawn on the picture."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from backbone.errors import BackboneError, InputError


@dataclass(frozen=True, slots=True)
class Guess:
    """One class for one picture: its index, identifier, name and probability (0 to 1)."""

    index: int
    id: str
    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The most probable classes of one picture, best first.

    Attributes:
        origin: Path of the file, or `camera N`.
        frame: Number of the frame in a stream, from 0; None for a picture of its own.
        time_s: Time in the video [s]; None where there is none.
        top: The guesses.
    """

    origin: str
    frame: int | None
    time_s: float | None
    top: tuple[Guess, ...]

    def text(self) -> str:
        """One line for people."""
        place = self.origin if self.frame is None else f"{self.origin} frame {self.frame}"
        return f"{place}: " + "; ".join(f"{100 * guess.probability:.1f} % {guess.name}" for guess in self.top)

    def record(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        top = [{"index": g.index, "id": g.id, "name": g.name, "probability": round(g.probability, 6)} for g in self.top]
        return {"path": self.origin, "frame": self.frame, "time_s": self.time_s, "top": top}


class Writer(Protocol):
    """Where results go; used in a `with` block, so that the file is whole afterwards."""

    def write(self, result: Classification) -> None:
        """Take one result."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _FileWriter:
    """Common part: the file appears under its name at the close, also when a run was interrupted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def _end(self) -> None:
        """Write what stands at the end of the file."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._file.close()
        os.replace(self._partial, self._path)


class CsvWriter(_FileWriter):
    """One row per guess: path, frame, time_s, rank (1 is best), index, id, name, probability."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        super().__init__(path)
        self._rows = csv.writer(self._file)
        self._rows.writerow(("path", "frame", "time_s", "rank", "index", "id", "name", "probability", "weights"))
        self._weights = about["weights"]

    def write(self, result: Classification) -> None:
        """Take one result."""
        for rank, g in enumerate(result.top, 1):
            place = (result.origin, result.frame, result.time_s)
            self._rows.writerow((*place, rank, g.index, g.id, g.name, f"{g.probability:.6f}", self._weights))
        self._file.flush()


class JsonWriter(_FileWriter):
    """One object: what ran (`model`, `weights`, `preprocessing`), then `results`, one entry per picture."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        super().__init__(path)
        head = json.dumps({"format": "backbone-classes", "version": 1, **about}, ensure_ascii=False)
        self._file.write(head[:-1] + ', "results": [')
        self._empty = True

    def write(self, result: Classification) -> None:
        """Take one result."""
        self._file.write(("\n" if self._empty else ",\n") + json.dumps(result.record(), ensure_ascii=False))
        self._file.flush()
        self._empty = False

    def _end(self) -> None:
        self._file.write("\n]}\n")


def open_writer(path: Path, about: dict[str, Any], overwrite: bool = False) -> Writer:
    """A writer for a `.json` or `.csv` file.

    Args:
        path: The file to write.
        about: What ran: `model`, `weights`, `preprocessing`.
        overwrite: Replace a file that is there.

    Raises:
        InputError: Another ending, the file is there, or it cannot be written.
    """
    kinds: dict[str, type[CsvWriter] | type[JsonWriter]] = {".csv": CsvWriter, ".json": JsonWriter}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"results go to .json or .csv, not to {path.name!r}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already; --overwrite replaces it")
    return kind(path, about)


_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(image_rgb: NDArray[np.uint8], result: Classification, title: str) -> NDArray[np.uint8]:
    """A copy of the picture with the guesses, their bars and a title in its upper left.

    Args:
        image_rgb: uint8 (H, W, 3).
        result: What to show.
        title: A line above the guesses.

    Returns:
        uint8 BGR (H, W, 3), ready for OpenCV; pictures under 320 px are enlarged first, so that words fit.
    """
    image = np.ascontiguousarray(image_rgb[:, :, ::-1])
    enlarge = 320 / min(image.shape[:2])
    if enlarge > 1:
        image = np.asarray(cv2.resize(image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
    height, width = image.shape[:2]
    scale = 0.0012 * min(height, width)
    scale = min(max(scale, 0.4), 2.0)
    line = round(34 * scale)
    thickness = max(1, round(1.6 * scale))
    rows = [(title, 0.0)] + [
        (f"{100 * g.probability:5.1f} %  {g.name.split(',')[0]}", g.probability) for g in result.top
    ]
    panel = (min(width, round(620 * scale)), min(height, line * len(rows) + line // 2))
    image[: panel[1], : panel[0]] = (image[: panel[1], : panel[0]] * 0.35).astype(np.uint8)
    for index, (words, share) in enumerate(rows):
        bottom = line * (index + 1)
        if share > 0:
            end = max(1, round(panel[0] * share))
            image[bottom - round(0.78 * line) : bottom + round(0.18 * line), :end] = (60, 130, 40)
        plain = words.encode("ascii", "replace").decode()
        fitting = _fit(plain, panel[0] - round(12 * scale), scale, thickness)
        place = (round(8 * scale), bottom)
        cv2.putText(image, fitting, place, _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return image


def _fit(words: str, room_px: int, scale: float, thickness: int) -> str:
    """Cut words until they fit into `room_px`, with dots for what is gone."""
    kept = words
    while len(kept) > 1 and cv2.getTextSize(words, _FONT, scale, thickness)[0][0] > room_px:
        kept = kept[:-1]
        words = kept + "..."
    return words


def save_drawing(image_bgr: NDArray[np.uint8], path: Path) -> None:
    """Write a drawn picture as JPEG or PNG by the ending of its name.

    Raises:
        BackboneError: It cannot be written.
    """
    try:
        good, content = cv2.imencode(path.suffix or ".jpg", image_bgr)
        path.parent.mkdir(parents=True, exist_ok=True)
        content.tofile(path)
    except (OSError, cv2.error) as error:
        raise BackboneError(f"cannot write {path}: {error}") from error
    if not good:
        raise BackboneError(f"cannot write {path}")
