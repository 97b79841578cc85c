"""Make a stopped or damaged recording whole again: what ``xnect repair`` does."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av

from xnect.errors import FormatError, OutputError, XnectError
from xnect.formats import overlay
from xnect.formats.files import claimed, replacing
from xnect.formats.jsonl import FILE_NAME
from xnect.formats.recording import Recording, salvage
from xnect.formats.registry import FORMATS, write_format

#: The log as it was, where more than its torn last line had to go.
DAMAGED_NAME = "poses.damaged.jsonl"
_LEFTOVERS = (
    "poses.part.*", "poses_person_*.part.trc", "poses.trc.part.json", "person_*.part.glb", "bvh/person_*.part.*",
    "overlay.part.mp4", ".xnect-*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What ``repair`` found and did.

    Attributes:
        frames: Frames in the log afterwards.
        made: Files that were made, replaced or mended, relative to the folder.
        lost: What could not be saved, one sentence each; empty = nothing was lost.
    """

    frames: int
    made: tuple[str, ...]
    lost: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.frames} frames; " + (f"made {', '.join(self.made)}" if self.made else "nothing to mend")
        return "\n".join([head, *(f"lost: {what}" for what in self.lost)])


def repair(directory: str | Path) -> RepairReport:
    """Mend an output folder in place.

    Cuts the torn end off the log (damaged lines within it are dropped and the old file is kept beside it), makes the MP4
    of an overlay that was being written, and makes from the log whatever other file is missing or not whole.

    Raises:
        FormatError: There is no log, or its first line cannot be read.
        OutputError: The folder cannot be written to, or another program is recording into it.
    """
    directory = Path(directory)
    log = directory / FILE_NAME
    if not log.is_file():
        raise FormatError(f"{directory} has no {FILE_NAME}: nothing to mend it from")
    made: list[str] = []
    lost: list[str] = []
    try:
        with claimed(directory):
            frames = _mend(directory, log, made, lost)
    except OSError as error:
        raise OutputError(f"cannot mend {directory}: {error.strerror or error}") from error
    return RepairReport(frames, tuple(made), tuple(lost))


def _mend(directory: Path, log: Path, made: list[str], lost: list[str]) -> int:
    """All of it; returns the number of frames in the log."""
    _sweep(directory)
    recording, changed = _mend_log(log, made, lost)
    names = [name for name in recording.header.formats if name in FORMATS and name != "jsonl"]
    if "overlay" in names or (directory / overlay.RUNNING_NAME).exists():
        _mend_overlay(directory, recording, made, lost)
    for name in names:
        if name != "overlay":
            _mend_format(name, recording, directory, changed, made, lost)
    return len(recording)


def _sweep(directory: Path) -> None:
    """Remove what a killed writer left half done under passing names."""
    for pattern in _LEFTOVERS:
        for path in directory.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _mend_log(log: Path, made: list[str], lost: list[str]) -> tuple[Recording, bool]:
    """Cut or clean the log; returns what it holds and whether it was changed."""
    sizes: list[int] = []
    found = salvage(log, lambda line: sizes.append(len(line)))
    if found.inner:
        with replacing(log) as part:
            with part.open("wb") as file:
                salvage(log, lambda line: file.write(line.removesuffix(b"\n") + b"\n"))
            log.replace(log.with_name(DAMAGED_NAME))
        lost.append(f"{found.skipped} damaged lines of {FILE_NAME} (the old file is kept as {DAMAGED_NAME})")
    elif found.skipped:
        os.truncate(log, sum(sizes))
        lost.append(f"the last line of {FILE_NAME}, which was cut off")
    elif not found.whole_end:
        with log.open("ab") as file:
            file.write(b"\n")
    else:
        return found.recording, False
    made.append(FILE_NAME)
    return found.recording, True


def _mend_overlay(directory: Path, recording: Recording, made: list[str], lost: list[str]) -> None:
    running, target = directory / overlay.RUNNING_NAME, directory / overlay.FILE_NAME
    if not running.exists():
        if not target.exists():
            lost.append("the overlay video: nothing of it is left, run the video again")
        return
    times = recording.times_s - recording.times_s[0] if len(recording) else None
    try:
        count = overlay.remux(running, target, times, recording.header.fps)
    except (av.FFmpegError, IndexError) as error:
        lost.append(f"the overlay video: {running.name} cannot be read ({error})")
        return
    running.unlink()
    made.append(target.name)
    if count < len(recording):
        lost.append(f"the last {len(recording) - count} frames of the overlay video")


def _mend_format(
    name: str, recording: Recording, directory: Path, changed: bool, made: list[str], lost: list[str]
) -> None:
    """Make the format anew beside the old files and take over what is missing or differs."""
    entry = FORMATS[name]
    # Files made at the close appear whole or not at all: one that is there stays, unless the log has changed.
    trusted = entry.export is not None and not changed
    present = {path for pattern in entry.files for path in directory.glob(pattern)}
    with tempfile.TemporaryDirectory(prefix=".xnect-", dir=directory) as scratch:
        try:
            fresh = write_format(entry, recording, Path(scratch))
        except XnectError as error:
            lost.append(f"{name}: {error}")
            return
        names = {path.relative_to(scratch) for path in fresh}
        for stale in present:
            if not trusted and stale.relative_to(directory) not in names:
                stale.unlink()
        mended = []
        for relative in sorted(names):
            new, old = Path(scratch) / relative, directory / relative
            if not old.exists() or not (trusted or filecmp.cmp(new, old, shallow=False)):
                old.parent.mkdir(exist_ok=True)
                new.replace(old)
                mended.append(str(relative))
    made += mended if len(mended) <= 3 else [f"{len(mended)} files of {name}"]
