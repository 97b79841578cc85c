"""Keypoints in a CSV in long form: one row a frame, person and joint."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from xnect.errors import FormatError
from xnect.formats.keypoints import MAX_FRAME, Keypoints
from xnect.skeleton.joints import JOINTS_2D
from xnect.skeleton.layouts import detections_from
from xnect.structures import F64

#: Other names of a column; the first that is there is taken.
_COLUMNS = {
    "frame": ("frame", "frame_id", "frame_number", "image_id"),
    "person": ("person", "person_id", "track_id", "id"),
    "joint": ("joint", "keypoint", "bodypart", "name"),
    "x": ("x_px", "x"),
    "y": ("y_px", "y"),
    "conf": ("conf", "confidence", "score", "likelihood", "c"),
    "time": ("time_s", "time"),
}
_LONGEST_S = 1e11
_JOINT_ROWS = {name: row for row, name in enumerate(JOINTS_2D)}


def read_csv(path: Path) -> Keypoints:
    """Read the file; columns ``frame, joint, x_px, y_px``, and where they are there ``person, conf, time_s``.

    Joint names may be ours ("right_knee"), OpenPose's ("RKnee") or in words ("Right Knee"); other joints are left out.
    An empty cell or NaN in x or y means not seen. Lines that start with ``#`` are comments; ``# fps: 25`` is obeyed.

    Raises:
        FormatError: A column is missing or a cell is not what it should be; the line's number is told.
    """
    if path.exists() and not path.is_file():
        raise FormatError(f"{path.name} is no file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _Table(path).read(file)
    except OSError as error:
        raise FormatError(f"cannot read {path.name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path.name} is not text in UTF-8") from error
    except csv.Error as error:
        raise FormatError(f"{path.name} is not a CSV table: {error}") from error


def joint_of(name: str) -> str:
    """Another program's joint name as ours: "RKnee", "Right Knee" and "right_knee" are "right_knee"."""
    text = name.strip()
    if len(text) > 1 and text[0] in "RL" and text[1].isupper():
        text = ("right_" if text[0] == "R" else "left_") + text[1:]
    return text.lower().replace(" ", "_").replace("-", "_")


class _Table:
    """Rows gathered by frame and person: people -> joints x, y, confidence."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fps: float | None = None
        self._people: dict[int, dict[str, F64]] = defaultdict(dict)
        self._times: dict[int, float] = {}

    def read(self, file: TextIO) -> Keypoints:
        columns: dict[str, int] = {}
        reader = csv.reader(self._lines(file))
        for cells in reader:
            if cells and columns:
                self._row(cells, columns, f"{self._path.name}, line {reader.line_num}")
            elif cells:
                columns = self._columns(cells)
        if not columns:
            raise FormatError(f"{self._path.name} is empty; a line with the names of the columns expected")
        return self._keypoints()

    def _lines(self, file: TextIO) -> Iterator[str]:
        """Lines without comments, as many as there are, so that numbers hold."""
        for line in file:
            if line.startswith("#"):
                key, _, value = line[1:].partition(":")
                if key.strip() == "fps":
                    self._fps = _number(value, f"{self._path.name}: fps")
                    if self._fps is not None and not 1e-3 <= self._fps <= 1000:
                        raise FormatError(f"{self._path.name}: fps {self._fps:g}: 0.001 to 1000 expected")
                line = "\n"
            yield line

    def _columns(self, cells: list[str]) -> dict[str, int]:
        names = [cell.strip().lower() for cell in cells]
        found = {
            key: next((names.index(name) for name in options if name in names), -1) for key, options in _COLUMNS.items()
        }
        missing = [_COLUMNS[key][0] for key in ("frame", "joint", "x", "y") if found[key] < 0]
        if missing:
            raise FormatError(
                f"{self._path.name} has no column {', '.join(missing)}; expected one row a frame, person and joint with "
                "frame, person, joint, x_px, y_px, conf"
            )
        if {"x", "y", "z"} <= set(names) and "x_px" not in names:
            raise FormatError(f"{self._path.name}: x, y, z are places in space; pixels in x_px, y_px are needed")
        return {key: place for key, place in found.items() if place >= 0}

    def _row(self, cells: list[str], columns: dict[str, int], where: str) -> None:
        if len(cells) <= max(columns.values()):
            raise FormatError(f"{where}: {len(cells)} cells, the first line has names for more")
        cell = {key: cells[place].strip() for key, place in columns.items()}
        number = _number(cell["frame"], f"{where}: frame")
        if number is None or not 0 <= number <= MAX_FRAME or number != int(number):
            raise FormatError(f"{where}: frame {cell['frame'][:40]!r} is not a frame's number")
        frame = int(number)
        if cell.get("time"):
            time_s = _number(cell["time"], f"{where}: time")
            if time_s is None or abs(time_s) > _LONGEST_S:
                raise FormatError(f"{where}: time {cell['time'][:40]!r} is not a number of seconds")
            self._times[frame] = time_s
        people = self._people[frame]
        joint = joint_of(cell["joint"])
        if joint not in _JOINT_ROWS:
            return
        joints = people.setdefault(cell.get("person", ""), np.full((14, 3), np.nan))
        row = _JOINT_ROWS[joint]
        if not math.isnan(joints[row, 2]):
            raise FormatError(f"{where}: {joint} stands twice in frame {frame}; a column person tells people apart")
        x, y = (_number(cell[axis], f"{where}: {axis}") for axis in "xy")
        sure = _number(cell["conf"], f"{where}: confidence") if "conf" in cell else 1.0
        seen = x is not None and y is not None
        joints[row] = (x, y, (sure or 0.0)) if seen else (0.0, 0.0, 0.0)

    def _keypoints(self) -> Keypoints:
        frames = sorted(self._people)
        times = None
        if len(self._times) == len(frames) and frames:
            times = np.array([self._times[frame] for frame in frames])
            if (np.diff(times) < 0).any():
                raise FormatError(f"{self._path.name}: the time falls from one frame to the next")
        people = []
        for frame in frames:
            rows = list(self._people[frame].values())
            points = np.stack(rows) if rows else np.zeros((0, 14, 3))
            people.append(detections_from(points[..., :2], np.nan_to_num(points[..., 2]), JOINTS_2D))
        return Keypoints(self._path.stem, np.array(frames, np.int64), tuple(people), times, fps=self._fps)


def _number(text: str, where: str) -> float | None:
    """A number; None for an empty cell, NaN and infinity. Raises FormatError."""
    text = text.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise FormatError(f"{where}: {text[:40]!r} is not a number") from None
    return value if math.isfinite(value) else None
