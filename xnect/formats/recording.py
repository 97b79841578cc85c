"""A recording read back: ``poses.jsonl`` as arrays, checked number by number."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from xnect.errors import FormatError
from xnect.formats.header import RecordingHeader, camera_from_json, header_from_json
from xnect.formats.people import People
from xnect.formats.table import long_table
from xnect.structures import F64, I64, STATE_NAMES, Camera, FrameResult

if TYPE_CHECKING:
    import pandas

#: A line longer than this is no frame of people [bytes].
MAX_LINE = 16 << 20
MAX_PEOPLE = 1000
#: Largest values that can be meant: pixels, metres, radians, seconds.
_LIMIT_PX, _LIMIT_M, _LIMIT_RAD, _LIMIT_S = 1e6, 1e5, 1e4, 1e11
_NUMBERS = frozenset((int, float))
_BOOLS = frozenset((bool,))


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A whole recording; F frames, N rows of people over all frames.

    Attributes:
        header: What the recording says about itself.
        frames: Frame numbers in the source, int64 (F,), ascending.
        times_s: Time of each frame, float64 (F,) [s], never falling.
        row_frame: For each row of people the position of its frame in ``frames``, int64 (N,), never falling.
        people: The rows (see ``People`` for every array, its shape and unit).
        cameras: Position of a frame -> the camera from there on, where it differs from the header's.
        torn_lines: 1 where the last line was cut off (killed run) and left out, else 0.
    """

    header: RecordingHeader
    frames: I64
    times_s: F64
    row_frame: I64
    people: People
    cameras: dict[int, Camera] = field(default_factory=dict)
    torn_lines: int = 0

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def ids(self) -> tuple[int, ...]:
        """Everyone who appears, ascending."""
        return tuple(np.unique(self.people.ids).tolist())

    def person(self, person_id: int) -> Recording:
        """The same recording with one person only (all frames stay); raises KeyError for an unknown id."""
        rows = np.flatnonzero(self.people.ids == person_id)
        if not len(rows):
            raise KeyError(f"nobody has the id {person_id}; there are {list(self.ids)}")
        return Recording(
            self.header, self.frames, self.times_s, self.row_frame[rows], self.people.take(rows), self.cameras, self.torn_lines
        )  # fmt: skip

    def results(self) -> Iterator[FrameResult]:
        """Frame by frame, as the pipeline gave them (timings are not kept)."""
        camera = self.header.camera
        edges = np.searchsorted(self.row_frame, np.arange(len(self) + 1)).tolist()
        for position, (frame, time_s) in enumerate(zip(self.frames.tolist(), self.times_s.tolist(), strict=True)):
            camera = self.cameras.get(position, camera)
            rows = range(edges[position], edges[position + 1])
            yield FrameResult(frame, time_s, tuple(self.people.person(r) for r in rows), {}, camera)

    def table(self) -> dict[str, np.ndarray]:
        """Long form, one row a frame, person and joint (columns: see docs/formats.md)."""
        return long_table(self.frames[self.row_frame], self.times_s[self.row_frame], self.people, self.header.filtered)

    def to_pandas(self) -> pandas.DataFrame:
        """The long form as a data frame; raises ImportError without pandas."""
        import pandas

        table = self.table()
        for name in ("joint",):
            table[name] = pandas.Categorical(table[name], categories=list(dict.fromkeys(table[name].tolist())))
        return pandas.DataFrame(table)


def load(path: str | Path) -> Recording:
    """Read ``poses.jsonl`` (or the output folder it lies in).

    A last line that was cut off is left out and counted; anything else that does not fit is refused.

    Args:
        path: The file, or a folder with ``poses.jsonl``.

    Raises:
        FormatError: The file cannot be read or is no recording; one line with the line's number.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "poses.jsonl"
    try:
        with path.open("rb") as file:
            return _Reader(path.name).read(file)
    except OSError as error:
        raise FormatError(f"cannot read {path.name}: {error.strerror or error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError(f"{name} is no number here")


def _json(line: bytes) -> Any:
    """Raises FormatError (NaN and the like) or ValueError (no JSON)."""
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise FormatError("lists nested too deeply") from None


class _Reader:
    """Collects the columns line by line in compact arrays."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._frames, self._times = array("q"), array("d")
        self._row_frame, self._ids, self._state = array("q"), array("q"), array("b")
        self._columns = {key: array("f") for key in ("score", "box", "joints_2d", "confidence_2d", "joints_3d")}
        self._columns |= {key: array("f") for key in ("position", "rotation", "angles", "offsets")}
        self._inferred = array("b")
        self._cameras: dict[int, Camera] = {}
        self._offsets_of: dict[int, list[float]] = {}
        self._angle_count = self._bone_count = 0

    def read(self, file: BinaryIO) -> Recording:
        header: RecordingHeader | None = None
        torn = 0
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise FormatError(f"{self._name}, line {number}: longer than {MAX_LINE >> 20} MB")
            try:
                if header is None:
                    header = header_from_json(_json(line.removeprefix(b"\xef\xbb\xbf")))
                    self._angle_count, self._bone_count = len(header.angles), len(header.bones)
                else:
                    self._frame(_json(line))
            except FormatError as error:
                raise FormatError(f"{self._name}, line {number}: {error}") from None
            except ValueError as error:
                if header is not None and not file.read(1):  # the last line: a killed run leaves it torn
                    torn = 1
                    break
                raise FormatError(f"{self._name}, line {number}: not JSON ({_short(error)})") from None
        if header is None:
            raise FormatError(f"{self._name} is empty; expected a header and one line a frame")
        return self._recording(header, torn)

    def _frame(self, data: Any) -> None:
        if not isinstance(data, dict):
            raise FormatError("a frame must be an object")
        frame: Any = data.get("frame")
        time_s: Any = data.get("time")
        people: Any = data.get("people")
        if type(frame) is not int or not 0 <= frame < 2**53:
            raise FormatError(f"frame must be a whole number from 0, got {_short(frame)}")
        if self._frames and frame <= self._frames[-1]:
            raise FormatError(f"frame {frame} after frame {self._frames[-1]}; they must ascend")
        if type(time_s) not in _NUMBERS or not abs(time_s) <= _LIMIT_S:
            raise FormatError(f"time must be a number of seconds, got {_short(time_s)}")
        if self._times and time_s < self._times[-1]:
            raise FormatError(f"time {time_s} after {self._times[-1]}; it must not fall")
        if not isinstance(people, list) or len(people) > MAX_PEOPLE:
            raise FormatError(f"people must be a list of at most {MAX_PEOPLE}")
        if "camera" in data:
            self._cameras[len(self._frames)] = camera_from_json(data["camera"])
        known = len(self._ids)
        for person in people:
            self._person(person)
        ids = self._ids[known:]
        if len(set(ids)) != len(ids):
            raise FormatError("the same id twice in one frame")
        self._frames.append(frame)
        self._times.append(time_s)

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
            "box": _flat(data, "box", (4,), _LIMIT_PX),
            "joints_2d": _flat(data, "joints_2d", (14, 2), _LIMIT_PX),
            "confidence_2d": _flat(data, "confidence_2d", (14,), 1.0, 0.0),
            "joints_3d": _flat(data, "joints_3d", (21, 3), _LIMIT_M),
            "position": _flat(root, "position", (3,), _LIMIT_M),
            "rotation": rotation,
            "angles": _flat(data, "angles", (self._angle_count,), _LIMIT_RAD),
        }
        inferred = _flat(data, "inferred", (21,), 1, 0, _BOOLS)
        if "offsets" in data:
            self._offsets_of[person_id] = _flat(data, "offsets", (self._bone_count, 3), _LIMIT_M)
        row["offsets"] = self._offsets_of.get(person_id) or [0.0] * (3 * self._bone_count)
        row["score"] = [score]
        self._row_frame.append(len(self._frames))
        self._ids.append(person_id)
        self._state.append(STATE_NAMES.index(state))
        self._inferred.extend(inferred)
        for key, values in row.items():
            self._columns[key].extend(values)

    def _recording(self, header: RecordingHeader, torn: int) -> Recording:
        count = len(self._ids)

        def column(key: str, *shape: int) -> Any:
            return np.array(self._columns[key], np.float32).reshape(count, *shape)

        people = People(
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
        frames, times = np.array(self._frames, np.int64), np.array(self._times, np.float64)
        return Recording(header, frames, times, np.array(self._row_frame, np.int64), people, self._cameras, torn)


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
