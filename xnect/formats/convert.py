"""From a recording to any other format: what ``xnect convert`` does."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from xnect.errors import OutputError
from xnect.formats.recording import Recording, load
from xnect.formats.registry import FORMATS, Format, chosen, write_format

if TYPE_CHECKING:
    from xnect.formats.cleanup import CleanUp

#: Formats in which single joints may be missing.
DROPPING = ("csv", "parquet", "c3d", "openpose")


def convert(
    source: str | Path,
    target: str | Path,
    name: str | None = None,
    person: int | None = None,
    overwrite: bool = False,
    bvh_scale: float = 1.0,
    clean_up: CleanUp | None = None,
    drop_inferred: bool = False,
) -> list[Path]:
    """Write a recording in another format.

    Args:
        source: ``poses.jsonl`` or the folder it lies in.
        target: A file whose ending tells the format; formats with one file a person write ``<name>_person_<id>`` where
            there are several. Without an ending: a folder, laid out like ``--output``.
        name: Format name; None = by the ending of ``target``.
        person: Only this id, None = everyone.
        overwrite: Replace files that are there.
        bvh_scale: Units a metre in BVH (1 or 100).
        clean_up: Filters and the like to run before.
        drop_inferred: Leave out 3D joints that no image evidence backs (tables, C3D, OpenPose).

    Returns:
        The files made.

    Raises:
        FormatError: ``source`` is no recording or does not fit the format.
        OutputError: Unknown format or ending; a file is there already; it cannot be written.
    """
    target = Path(target)
    entry = _entry(target, name)
    recording = load(source)
    if person is not None:
        try:
            recording = recording.person(person)
        except KeyError as error:
            raise OutputError(str(error.args[0])) from None
    if drop_inferred and entry.name not in DROPPING:
        raise OutputError(
            f"{entry.name} has no room for missing joints; --drop-inferred goes with {', '.join(DROPPING)}"
        )
    if clean_up:
        from xnect.formats.cleanup import clean

        recording = clean(recording, clean_up)
    header = dataclasses.replace(recording.header, formats=(entry.name,), drop_inferred=drop_inferred)
    recording = dataclasses.replace(recording, header=header)
    try:
        folder = target.parent if target.suffix else target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".xnect-", dir=folder) as scratch:
            made = _write(entry, recording, Path(scratch), bvh_scale)
            if target.suffix:
                moves = _single(made, target)
            else:
                moves = {path: folder / path.relative_to(scratch) for path in made}
            return _move(moves, overwrite)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def _entry(target: Path, name: str | None) -> Format:
    if name is not None:
        entry = chosen([name])[-1]
    else:
        by_suffix = {f.suffix: f for f in reversed(FORMATS.values()) if f.suffix}  # of two the first
        if target.suffix.lower() not in by_suffix:
            known = " ".join(sorted(by_suffix))
            raise OutputError(f"{target.name}: no format ends in {target.suffix!r}; known: {known}, or name the format")
        entry = by_suffix[target.suffix.lower()]
    if target.suffix and target.suffix.lower() != entry.suffix:
        wanted = f"a file that ends in {entry.suffix}" if entry.suffix else "a folder"
        raise OutputError(f"{target.name}: {entry.name} is written to {wanted}")
    if entry.name == "overlay":
        raise OutputError("an overlay needs the pictures, and a recording has none: run the video again")
    return entry


def _write(entry: Format, recording: Recording, scratch: Path, bvh_scale: float) -> list[Path]:
    if entry.name == "bvh":
        from xnect.formats.bvh import write_bvh

        return write_bvh(recording, scratch, bvh_scale)
    return write_format(entry, recording, scratch)


def _single(made: list[Path], target: Path) -> dict[Path, Path]:
    """New names beside ``target``: its own for the main file, or one a person; side files follow their main file."""
    count = sum(path.suffix == target.suffix.lower() for path in made)
    if not count:
        raise OutputError(f"nobody was seen: {target.name} would be empty")
    return {path: target.with_name(_renamed(path.name, target.stem, count == 1)) for path in made}


def _renamed(name: str, stem: str, alone: bool) -> str:
    old, dot, ending = name.partition(".")
    if alone:
        return stem + dot + ending
    return f"{stem}_{name}" if old.startswith("person_") else stem + name.removeprefix("poses")


def _move(moves: dict[Path, Path], overwrite: bool) -> list[Path]:
    for new in moves.values():
        if new.exists() and not overwrite:
            raise OutputError(f"{new} is there already; give --overwrite to replace it, or another name")
    for old, new in moves.items():
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(old, new)
    return list(moves.values())
