"""Reads ``poses.jsonl`` line by line, checks every number and gathers them in compact columns."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, BinaryIO, NoReturn

import numpy as np

from xnect.errors import FormatError
from xnect.formats.header import RecordingHeader, camera_from_json, header_from_json
from xnect.formats.people import LIMIT_M, LIMIT_PX, LIMIT_RAD, People
from xnect.structures import F64, I64, STATE_NAMES, Camera

#: A line longer than this is no frame of people [bytes].
MAX_LINE = 16 << 20
MAX_PEOPLE = 1000
_LIMIT_S = 1e11
_NUMBERS = frozenset((int, float))
_BOOLS = frozenset((bool,))


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError(f"{name} is no number here")


def _json(line: bytes) -> Any:
    """Raises FormatError (NaN and the like) or ValueError (no JSON)."""
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise FormatError("lists nested too deeply") from None


class LogReader:
    """Collects the columns line by line.

    Attributes:
        header: The first line, None before ``read``.
        cameras: Position of a frame -> the camera from there on.
        skipped: Lines that were left out (``salvage`` only).
        inner: How many of these have good lines after them.
        whole_end: Whether the last good line ends in a line break.
        torn: 1 where the last line was cut off and left out.
    """

    def __init__(self, name: str) -> None:
        self.header: RecordingHeader | None = None
        self.cameras: dict[int, Camera] = {}
        self.skipped = self.inner = self.torn = 0
        self.whole_end = True
        self._name = name
        self._frames, self._times = array("q"), array("d")
        self._row_frame, self._ids, self._state = array("q"), array("q"), array("b")
        self._columns = {key: array("f") for key in ("score", "box", "joints_2d", "confidence_2d", "joints_3d")}
        self._columns |= {key: array("f") for key in ("position", "rotation", "angles", "offsets")}
        self._inferred = array("b")
        self._offsets_of: dict[int, list[float]] = {}
        self._angle_count = self._bone_count = 0

    def read(self, file: BinaryIO) -> None:
        """The whole file; a torn last line is left out. Raises FormatError with the line's number."""
        for number, line in self._lines(file):
            try:
                self._line(line)
            except FormatError as error:
                raise FormatError(f"{self._name}, line {number}: {error}") from None
            except ValueError as error:
                if self.header is None or file.read(1):  # a killed run tears the last line only
                    raise FormatError(f"{self._name}, line {number}: not JSON ({_short(error)})") from None
                self.torn = 1
        self._need_header()

    def salvage(self, file: BinaryIO, keep: Callable[[bytes], object]) -> None:
        """What can be read; ``keep`` gets every good line. Raises FormatError where the first line is no header."""
        for number, line in self._lines(file, tolerant=True):
            try:
                self._line(line)
            except ValueError as error:
                if self.header is None:
                    raise FormatError(f"{self._name}, line {number}: not JSON ({_short(error)})") from None
                self.skipped += 1
            except FormatError as error:
                if self.header is None:
                    raise FormatError(f"{self._name}, line {number}: {error}") from None
                self.skipped += 1
            else:
                keep(line)
                self.inner, self.whole_end = self.skipped, line.endswith(b"\n")
        self._need_header()

    def check(self, file: BinaryIO) -> Iterator[str]:
        """Everything that is wrong, one text a line of the file; nothing after a header that cannot be used."""
        for number, line in self._lines(file, tolerant=True):
            try:
                self._line(line)
            except (FormatError, ValueError) as error:
                what = str(error) if isinstance(error, FormatError) else f"not JSON ({_short(error)})"
                yield f"{self._name}, line {number}: {what}"
                if self.header is None:
                    return
        if self.skipped:
            yield f"{self._name}: {self.skipped} lines longer than {MAX_LINE >> 20} MB"
        if self.header is None:
            yield f"{self._name} is empty; expected a header and one line a frame"

    @property
    def rows(self) -> tuple[int, int]:
        """Frames and rows of people that were good so far."""
        return len(self._frames), len(self._ids)

    def _lines(self, file: BinaryIO, tolerant: bool = False) -> Iterator[tuple[int, bytes]]:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) <= MAX_LINE:
                yield number, line
                continue
            if not tolerant:
                raise FormatError(f"{self._name}, line {number}: longer than {MAX_LINE >> 20} MB")
            self.skipped += 1
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)

    def _need_header(self) -> None:
        if self.header is None:
            raise FormatError(f"{self._name} is empty; expected a header and one line a frame")

    def _line(self, line: bytes) -> None:
        if self.header is None:
            self.header = header_from_json(_json(line.removeprefix(b"\xef\xbb\xbf")))
            self._angle_count, self._bone_count = len(self.header.angles), len(self.header.bones)
        else:
            self._frame(_json(line))

    def _frame(self, data: Any) -> None:
        if not isinstance(data, dict):
            raise FormatError("a frame must be an object")
        frame, time_s = self._clock(data)
        people: Any = data.get("people")
        if not isinstance(people, list) or len(people) > MAX_PEOPLE:
            raise FormatError(f"people must be a list of at most {MAX_PEOPLE}")
        camera = camera_from_json(data["camera"]) if "camera" in data else None
        known = len(self._ids)
        try:
            for person in people:
                self._person(person)
            ids = self._ids[known:]
            if len(set(ids)) != len(ids):
                raise FormatError("the same id twice in one frame")
        except FormatError:
            self._forget(known)
            raise
        if camera is not None:
            self.cameras[len(self._frames)] = camera
        self._frames.append(frame)
        self._times.append(time_s)

    def _clock(self, data: dict[str, Any]) -> tuple[int, float]:
        frame: Any = data.get("frame")
        time_s: Any = data.get("time")
        if type(frame) is not int or not 0 <= frame < 2**53:
            raise FormatError(f"frame must be a whole number from 0, got {_short(frame)}")
        if self._frames and frame <= self._frames[-1]:
            raise FormatError(f"frame {frame} after frame {self._frames[-1]}; they must ascend")
        if type(time_s) not in _NUMBERS or not abs(time_s) <= _LIMIT_S:
            raise FormatError(f"time must be a number of seconds, got {_short(time_s)}")
        if self._times and time_s < self._times[-1]:
            raise FormatError(f"time {time_s} after {self._times[-1]}; it must not fall")
        return frame, time_s

    def _person(self, data: Any) -> None:
        if not isinstance(data, dict):
            raise FormatError("a person must be an object")
        person_id, state = data.get("id"), data.get("state", "tracked")
        if type(person_id) is not int or not 0 <= person_id < 2**53:
            raise FormatError(f"id must be a whole number from 0, got {_short(person_id)}")
        if state not in STATE_NAMES:
            raise FormatError(f"state must be one of {', '.join(STATE_NAMES)}, got {_short(state)}")
        root = data.get("root")
        if not isinstance(root, dict):
            raise FormatError("root must be an object with position and rotation")
        score: Any = data.get("score")
        if type(score) not in _NUMBERS or not 0 <= score <= 1:
            raise FormatError(f"score must lie between 0 and 1, got {_short(score)}")
        rotation = _flat(root, "rotation", (4,), 2.0)
        if abs(math.hypot(*rotation) - 1) > 0.01:
            raise FormatError("root.rotation must be a unit quaternion w, x, y, z")
        row = {
            "box": _flat(data, "box", (4,), LIMIT_PX),
            "joints_2d": _flat(data, "joints_2d", (14, 2), LIMIT_PX),
            "confidence_2d": _flat(data, "confidence_2d", (14,), 1.0, 0.0),
            "joints_3d": _flat(data, "joints_3d", (21, 3), LIMIT_M),
            "position": _flat(root, "position", (3,), LIMIT_M),
            "rotation": rotation,
            "angles": _flat(data, "angles", (self._angle_count,), LIMIT_RAD),
        }
        inferred = _flat(data, "inferred", (21,), 1, 0, _BOOLS)
        if "offsets" in data:
            self._offsets_of[person_id] = _flat(data, "offsets", (self._bone_count, 3), LIMIT_M)
        row["offsets"] = self._offsets_of.get(person_id) or [0.0] * (3 * self._bone_count)
        row["score"] = [score]
        self._row_frame.append(len(self._frames))
        self._ids.append(person_id)
        self._state.append(STATE_NAMES.index(state))
        self._inferred.extend(inferred)
        for key, values in row.items():
            self._columns[key].extend(values)

    def _forget(self, rows: int) -> None:
        """Take back what a bad line had added after so many rows of people."""
        for column in (self._row_frame, self._ids, self._state):
            del column[rows:]
        del self._inferred[21 * rows :]
        for key, width in self._widths().items():
            del self._columns[key][width * rows :]

    def _widths(self) -> dict[str, int]:
        wide = {
            "score": 1,
            "box": 4,
            "joints_2d": 28,
            "confidence_2d": 14,
            "joints_3d": 63,
            "position": 3,
            "rotation": 4,
        }
        return wide | {"angles": self._angle_count, "offsets": 3 * self._bone_count}

    def clock(self) -> tuple[I64, F64, I64]:
        """Frame numbers, times [s] and the frame's position for each row of people."""
        frames, times = np.array(self._frames, np.int64), np.array(self._times, np.float64)
        return frames, times, np.array(self._row_frame, np.int64)

    def people(self) -> People:
        """All rows of people."""
        count = len(self._ids)

        def column(key: str, *shape: int) -> Any:
            return np.array(self._columns[key], np.float32).reshape(count, *shape)

        return People(
            ids=np.array(self._ids, np.int64),
            state=np.array(self._state, np.int64),
            score=column("score"),
            box=column("box", 4),
            joints_2d=column("joints_2d", 14, 2),
            confidence_2d=column("confidence_2d", 14),
            joints_3d=column("joints_3d", 21, 3),
            inferred=np.array(self._inferred, bool).reshape(count, 21),
            root_position=column("position", 3),
            root_rotation=column("rotation", 4),
            angles=column("angles", self._angle_count),
            offsets=column("offsets", self._bone_count, 3),
        )


def _flat(
    data: dict[str, Any], key: str, shape: tuple[int, ...], high: float, low: float | None = None,
    kinds: frozenset[type] = _NUMBERS,
) -> list[Any]:  # fmt: skip
    """The numbers of a (nested) list in one row; raises FormatError where shape, type or range do not fit."""
    value = data.get(key)
    if type(value) is list and len(value) == shape[0]:
        if len(shape) == 2:
            inner = all(type(v) is list and len(v) == shape[1] for v in value)
            value = list(chain.from_iterable(value)) if inner else None
        if value is not None and set(map(type, value)) <= kinds:
            if not value or (max(value) <= high and min(value) >= (-high if low is None else low)):
                return value
            raise FormatError(f"{key} has a number out of range")
    what = "true/false values" if kinds is _BOOLS else "finite numbers"
    raise FormatError(f"{key} must be {' x '.join(map(str, shape))} {what}" if key in data else f"{key} is missing")


def _short(value: object) -> str:
    text = " ".join(str(value).split()) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
