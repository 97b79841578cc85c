"""Results going out: one call a frame for everything that ``--formats`` asks for."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from xnect.errors import OutputError, XnectError
from xnect.formats import recording
from xnect.formats.files import claimed
from xnect.formats.header import RecordingHeader, SourceInfo
from xnect.formats.jsonl import FILE_NAME
from xnect.formats.people import FrameRecord, Writer, people_of
from xnect.formats.registry import FORMATS, Format, chosen, names
from xnect.structures import Frame, FrameResult

__all__ = ["FORMATS", "RecordingHeader", "SourceInfo", "Writer", "Writers", "names", "open_writers"]

_LOG = logging.getLogger(__name__)
#: What a writer may fail with by the world's fault; it is closed, the others go on.
_FAULTS = (OSError, ValueError, RuntimeError, MemoryError, XnectError, av.FFmpegError)


class Writers:
    """All open formats of one recording; a context manager.

    Formats that need the whole recording (NPZ, BVH, C3D ...) are made from the log at the close. A format that fails is
    closed and told at the close; the others go on.

    Attributes:
        directory: The output folder.
        failures: Format name -> what went wrong, as soon as it is known.
        frames: Frames written so far.
    """

    def __init__(self, directory: Path, header: RecordingHeader, formats: Sequence[Format]) -> None:
        self.directory = directory
        self.failures: dict[str, str] = {}
        self.frames = 0
        self._header = header
        self._formats = tuple(formats)
        self._open: dict[str, Writer] = {}
        self._closed = False
        self._left_out = 0
        self._last = (-1, -math.inf)
        self._claim = contextlib.ExitStack()
        self._claim.enter_context(claimed(directory))
        for entry in self._formats:
            if entry.live is not None:
                self._try(entry.name, lambda e=entry: self._open.__setitem__(e.name, e.live(directory, header)))  # type: ignore[misc]

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Hand one frame to every format; never raises for a format's failure (see ``failures`` and ``close``).

        Args:
            frame: The picture that was looked at.
            result: Who was found in it.
        """
        if self._closed:
            raise OutputError(f"the recording in {self.directory} is closed already")
        record = self._record(frame, result)
        if record is None:
            return
        self.frames += 1
        for name, writer in list(self._open.items()):
            if not self._try(name, lambda w=writer: w.write(record)):  # type: ignore[misc]
                del self._open[name]
                self._try(name, writer.close)

    def _record(self, frame: Frame, result: FrameResult) -> FrameRecord | None:
        """The frame as the writers take it; None where it must not get into the log, which has to be readable again."""
        last_index, last_s = self._last
        if not (result.index > last_index and math.isfinite(result.timestamp_s) and result.timestamp_s >= last_s):
            self._fail(
                "order", f"frame {result.index} at {result.timestamp_s} s came after frame {last_index}, left out"
            )
            return None
        try:
            people = people_of(result, len(self._header.angles), len(self._header.bones))
        except ValueError as error:
            self._fail("people", f"frame {result.index}: a person's arrays have another width than the header: {error}")
            return None
        self._last = result.index, result.timestamp_s
        good = people.sound()
        if not good.all():
            self._left_out += int((~good).sum())
            kept = tuple(p for p, ok in zip(result.people, good, strict=True) if ok)
            result, people = dataclasses.replace(result, people=kept), people.take(good)
        return FrameRecord(frame, result, people)

    def close(self) -> None:
        """Finish every file, then make the formats that need the whole recording; safe to call twice.

        Raises:
            OutputError: Something could not be written; everything else is whole.
        """
        if self._closed:
            return
        self._closed = True
        for name, writer in self._open.items():
            self._try(name, writer.close)
        self._open.clear()
        with self._claim:
            self._export()
        if self._left_out:
            self.failures["numbers"] = (
                f"{self._left_out} people with impossible numbers (not finite, out of range) were left out"
            )
        if self.failures:
            told = "; ".join(f"{name}: {what}" for name, what in self.failures.items())
            raise OutputError(f"not everything could be written to {self.directory}: {told}")

    def abandon(self) -> None:
        """Close what is open without finishing anything and without a word."""
        self._closed = True
        for name, writer in self._open.items():
            self._try(name, writer.close)
        self._open.clear()
        self._claim.close()

    def _export(self) -> None:
        later = [f for f in self._formats if f.export is not None]
        if not later:
            return
        loaded: list[recording.Recording] = []
        if not self._try("log", lambda: loaded.append(recording.load(self.directory / FILE_NAME))):
            return
        for entry in later:
            self._try(entry.name, lambda e=entry: e.export(loaded[0], self.directory))  # type: ignore[misc]

    def _try(self, name: str, action: Callable[[], object]) -> bool:
        try:
            action()
        except _FAULTS as error:
            self._fail(name, str(error) or type(error).__name__)
            return False
        return True

    def _fail(self, name: str, what: str) -> None:
        if name not in self.failures:
            self.failures[name] = " ".join(what.split())
            _LOG.error("output %s: %s", name, self.failures[name])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if error is None:
                raise
            _LOG.exception("while closing after another error")


def open_writers(output_dir: Path, formats: Sequence[str], header: RecordingHeader, overwrite: bool = False) -> Writers:
    """Start a recording.

    Args:
        output_dir: Made where it does not exist.
        formats: Names in ``FORMATS``; jsonl is always among them.
        header: What the recording says about itself.
        overwrite: Replace the files of an earlier recording of these formats.

    Raises:
        OutputError: Unknown format; files are there already; another program writes there; the folder cannot be written
            to.
    """
    output_dir = Path(output_dir)
    entries = chosen(formats)
    header = dataclasses.replace(header, formats=tuple(e.name for e in entries))
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with claimed(output_dir):
            present = sorted(p for e in entries for pattern in e.files for p in output_dir.glob(pattern))
            if present and not overwrite:
                raise OutputError(
                    f"{present[0]} is there already; give --overwrite to replace it, --resume to go on, or another folder"
                )
            for path in present:
                path.unlink()
            writers = Writers(output_dir, header, entries)
    except OSError as error:
        raise OutputError(f"cannot write to {output_dir}: {error.strerror or error}") from error
    if "jsonl" in writers.failures:
        what = writers.failures["jsonl"]
        writers.abandon()
        raise OutputError(f"cannot write to {output_dir}: {what}")
    return writers
