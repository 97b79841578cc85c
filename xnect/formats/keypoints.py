"""2D joints that other programs found, read from their files: OpenPose's JSON, COCO results, CSV, our own log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xnect.errors import FormatError
from xnect.structures import F64, I64, Camera, Detections

#: Frames without people between others are filled in up to this many, or so many times the frames there are; numbers
#: wider apart are those of unrelated pictures.
_FILL_FRAMES, _FILL_TIMES = 100_000, 20
#: Frame numbers beyond this are damage.
MAX_FRAME = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """2D joints of F frames.

    Attributes:
        name: Short name for folders and titles.
        frames: Frame numbers, int64 (F,), ascending.
        people: The people of each frame, F of them.
        times_s: Time of each frame, float64 (F,) [s], never falling; None = not told.
        sizes_px: Width and height of each frame, int64 (F, 2) [px]; None = not told.
        fps: Rate [1/s]; None = not told.
        camera: The camera; None = not told.
    """

    name: str
    frames: I64
    people: tuple[Detections, ...]
    times_s: F64 | None = None
    sizes_px: I64 | None = None
    fps: float | None = None
    camera: Camera | None = None

    def __len__(self) -> int:
        return len(self.frames)


def load_keypoints(path: str | Path, images: str | Path | None = None) -> Keypoints:
    """Read 2D joints.

    Args:
        path: A folder of OpenPose's JSON files, or one of them; a COCO results (or annotations) file; a CSV in long
            form; our own ``poses.jsonl`` or the folder it lies in.
        images: COCO's list of pictures (a JSON with ``images``), for names, sizes and order of a results file.

    Raises:
        FormatError: It cannot be read or is none of these; one line says what was found.
    """
    path = Path(path)
    if path.is_dir() and not (path / "poses.jsonl").is_file():
        from xnect.formats.keypoints_json import read_openpose

        found = read_openpose(path)
    else:
        found = _read_file(path, None if images is None else Path(images))
    return found if images is not None else _filled(found)


def _read_file(path: Path, images: Path | None) -> Keypoints:
    ending = path.suffix.lower()
    if images is not None and ending != ".json":
        raise FormatError(f"{path.name}: a list of pictures goes with a COCO results file (.json) only")
    if path.is_dir() or ending in (".jsonl", ".ndjson"):
        return _read_own(path)
    if ending == ".csv":
        from xnect.formats.keypoints_csv import read_csv

        return read_csv(path)
    if ending == ".json":
        from xnect.formats.keypoints_json import read_json

        return read_json(path, images)
    raise FormatError(f"{path.name}: a folder of OpenPose JSON, a .json (COCO results), .csv or .jsonl expected")


def _read_own(path: Path) -> Keypoints:
    from xnect.formats.recording import load

    recording = load(path)
    people = tuple(
        Detections(row.joints_2d, row.confidence_2d, row.score)
        for row in (record.people for record in recording.records())
    )
    camera = recording.header.camera
    sizes = np.array([camera.size_px] * len(recording), np.int64).reshape(-1, 2)
    for position, other in sorted(recording.cameras.items()):
        sizes[position:] = other.size_px
    name = Path(recording.header.source.name).stem or path.stem
    return Keypoints(name, recording.frames, people, recording.times_s, sizes, recording.header.fps, camera)


def _filled(found: Keypoints) -> Keypoints:
    """The same with frames that nobody was seen in, where the numbers are those of a film."""
    if found.times_s is not None or not len(found):
        return found
    first, last = int(found.frames[0]), int(found.frames[-1])
    span = last - first + 1
    if span == len(found) or span > max(_FILL_FRAMES, _FILL_TIMES * len(found)):
        return found
    people = [Detections.empty()] * span
    for frame, detections in zip(found.frames.tolist(), found.people, strict=True):
        people[frame - first] = detections
    sizes = found.sizes_px
    if sizes is not None:
        sizes = sizes[np.searchsorted(found.frames, np.arange(first, last + 1)).clip(max=len(sizes) - 1)]
    return replace(found, frames=np.arange(first, last + 1), people=tuple(people), sizes_px=sizes)
