"""The output formats by name: the one table that the writers, ``convert`` and ``repair`` share."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from xnect.errors import OutputError
from xnect.formats.header import RecordingHeader
from xnect.formats.people import Writer
from xnect.formats.recording import Recording


@dataclass(frozen=True, slots=True)
class Format:
    """One output format; it is written frame by frame (``live``) or from the whole recording (``export``).

    Attributes:
        name: As ``--formats`` has it.
        files: Patterns of the files it makes below the output folder.
        suffix: File ending by which ``convert`` knows it; "" = not to be converted to.
        live: Opens a writer for an output folder.
        export: Writes a recording into a folder and returns the files made.
    """

    name: str
    files: tuple[str, ...]
    suffix: str = ""
    live: Callable[[Path, RecordingHeader], Writer] | None = None
    export: Callable[[Recording, Path], list[Path]] | None = None


def _jsonl(directory: Path, header: RecordingHeader) -> Writer:
    from xnect.formats.jsonl import FILE_NAME, JsonlWriter

    return JsonlWriter(directory / FILE_NAME, header)


def _overlay(directory: Path, header: RecordingHeader) -> Writer:
    from xnect.formats.overlay import OverlayWriter

    return OverlayWriter(directory, header.fps)


def _openpose(directory: Path, header: RecordingHeader) -> Writer:
    from xnect.formats.openpose import OpenPoseWriter

    return OpenPoseWriter(directory, header)


def _coco(directory: Path, header: RecordingHeader) -> Writer:
    from xnect.formats.coco import FILE_NAME, CocoWriter

    return CocoWriter(directory / FILE_NAME)


def _csv(directory: Path, header: RecordingHeader) -> Writer:
    from xnect.formats.csv_table import FILE_NAME, CsvWriter

    return CsvWriter(directory / FILE_NAME, header)


def _npz(recording: Recording, directory: Path) -> list[Path]:
    from xnect.formats.tables import write_npz

    return write_npz(recording, directory / "poses.npz")


def _parquet(recording: Recording, directory: Path) -> list[Path]:
    from xnect.formats.tables import write_parquet

    return write_parquet(recording, directory / "poses.parquet")


def _bvh(recording: Recording, directory: Path) -> list[Path]:
    from xnect.formats.bvh import write_bvh

    return write_bvh(recording, directory)


def _c3d(recording: Recording, directory: Path) -> list[Path]:
    from xnect.formats.c3d import write_c3d

    return write_c3d(recording, directory / "poses.c3d")


def _trc(recording: Recording, directory: Path) -> list[Path]:
    from xnect.formats.trc import write_trc

    return write_trc(recording, directory)


def _glb(recording: Recording, directory: Path) -> list[Path]:
    from xnect.formats.glb import write_glb

    return write_glb(recording, directory)


def _scene(recording: Recording, directory: Path) -> list[Path]:
    from xnect.formats.glb import write_scene

    return write_scene(recording, directory)


_TABLE = (
    Format("jsonl", ("poses.jsonl",), ".jsonl", live=_jsonl),
    Format("overlay", ("overlay.mp4", "overlay.mkv"), live=_overlay),
    Format("openpose", ("openpose/*_keypoints.json",), live=_openpose),
    Format("coco", ("coco.json",), ".json", live=_coco),
    Format("csv", ("poses.csv",), ".csv", live=_csv),
    Format("npz", ("poses.npz",), ".npz", export=_npz),
    Format("parquet", ("poses.parquet",), ".parquet", export=_parquet),
    Format("bvh", ("bvh/person_*.bvh", "bvh/person_*.json"), ".bvh", export=_bvh),
    Format("c3d", ("poses.c3d",), ".c3d", export=_c3d),
    Format("trc", ("poses.trc", "poses_person_*.trc", "poses.trc.json"), ".trc", export=_trc),
    Format("glb", ("person_*.glb",), ".glb", export=_glb),
    Format("scene", ("scene.glb",), ".glb", export=_scene),
)
FORMATS: dict[str, Format] = {f.name: f for f in _TABLE}


def names() -> tuple[str, ...]:
    """All format names."""
    return tuple(FORMATS)


def chosen(formats: Iterable[str]) -> tuple[Format, ...]:
    """Formats by name, jsonl first and always; raises OutputError that names the known ones."""
    wanted = ["jsonl", *formats]
    for name in wanted:
        if name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise OutputError(f"unknown format {name!r}{hint} (known: {', '.join(FORMATS)})")
    return tuple(FORMATS[name] for name in dict.fromkeys(wanted))


def write_format(entry: Format, recording: Recording, directory: Path) -> list[Path]:
    """Write one format of a whole recording into a folder; returns the files made."""
    if entry.export is not None:
        return entry.export(recording, directory)
    assert entry.live is not None
    writer = entry.live(directory, recording.header)
    try:
        for record in recording.records():
            writer.write(record)
    finally:
        writer.close()
    return sorted(path for pattern in entry.files for path in directory.glob(pattern))
