"""A recording read back: ``poses.jsonl`` as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from xnect.errors import FormatError
from xnect.formats.header import RecordingHeader
from xnect.formats.people import FrameRecord, People
from xnect.formats.reader import LogReader
from xnect.formats.table import long_table
from xnect.structures import F64, I64, Camera, FrameResult

if TYPE_CHECKING:
    import pandas


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

    def records(self) -> Iterator[FrameRecord]:
        """Frame by frame, as the writers take them (without pictures)."""
        camera = self.header.camera
        edges = np.searchsorted(self.row_frame, np.arange(len(self) + 1)).tolist()
        for position, (frame, time_s) in enumerate(zip(self.frames.tolist(), self.times_s.tolist(), strict=True)):
            camera = self.cameras.get(position, camera)
            people = self.people.take(slice(edges[position], edges[position + 1]))
            persons = tuple(people.person(row) for row in range(len(people)))
            yield FrameRecord(None, FrameResult(frame, time_s, persons, {}, camera), people)

    def results(self) -> Iterator[FrameResult]:
        """Frame by frame, as the pipeline gave them (timings are not kept)."""
        return (record.result for record in self.records())

    def table(self, drop_inferred: bool = False) -> dict[str, np.ndarray]:
        """Long form, one row a frame, person and joint (columns: see docs/formats.md).

        Args:
            drop_inferred: NaN in place of joints that no image evidence backs.
        """
        drop = drop_inferred or self.header.drop_inferred
        frames, times_s = self.frames[self.row_frame], self.times_s[self.row_frame]
        return long_table(frames, times_s, self.people, self.header.filtered, drop)

    def to_pandas(self, drop_inferred: bool = False) -> pandas.DataFrame:
        """The long form as a data frame (``drop_inferred`` as in ``table``); raises ImportError without pandas."""
        import pandas

        table = self.table(drop_inferred)
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
    return _recording(_read(path / "poses.jsonl" if path.is_dir() else path, LogReader.read))


def _read(path: Path, how: Callable[[LogReader, BinaryIO], None]) -> LogReader:
    reader = LogReader(path.name)
    try:
        with path.open("rb") as file:
            how(reader, file)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    return reader


def _recording(reader: LogReader) -> Recording:
    assert reader.header is not None
    frames, times_s, row_frame = reader.clock()
    return Recording(reader.header, frames, times_s, row_frame, reader.people(), reader.cameras, reader.torn)


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """What ``validate`` found.

    Attributes:
        problems: One text a bad line, with its number; empty = all is well.
        more: How many further ones there are.
        frames: Good frames.
        rows: Good rows of people.
    """

    problems: tuple[str, ...]
    more: int
    frames: int
    rows: int


def validate(path: str | Path, most: int = 20) -> Check:
    """Check a ``poses.jsonl`` (or the folder it lies in) line by line against version 1 of the format.

    Stricter than the JSON schema that ships: ascending frames, equal lengths, unit quaternions as well.

    Args:
        path: The file or folder.
        most: Problems to tell.

    Raises:
        FormatError: The file cannot be read at all.
    """
    path = Path(path)
    found: list[str] = []
    reader = _read(path / "poses.jsonl" if path.is_dir() else path, lambda r, file: found.extend(r.check(file)))
    return Check(tuple(found[:most]), max(len(found) - most, 0), *reader.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Salvage:
    """What could be read of a damaged log.

    Attributes:
        recording: The good lines.
        skipped: Lines that could not be read.
        inner: How many of these have good lines after them (0 = only the end is damaged).
        whole_end: Whether the last good line ends in a line break.
    """

    recording: Recording
    skipped: int
    inner: int
    whole_end: bool


def salvage(path: Path, keep: Callable[[bytes], object]) -> Salvage:
    """Read a damaged log, bad lines left out.

    Args:
        path: ``poses.jsonl``.
        keep: Gets every good line as it stands in the file.

    Raises:
        FormatError: The file cannot be read, or its first line is no header.
    """
    reader = _read(path, lambda r, file: r.salvage(file, keep))
    return Salvage(_recording(reader), reader.skipped, reader.inner, reader.whole_end)
