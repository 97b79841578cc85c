"""What is in the files of a recording, read by others than the program itself where there are any."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from benchmarks.reliability.stand_in import PEOPLE

_NEEDS = {"parquet": "pyarrow", "c3d": "ezc3d", "glb": "pygltflib", "scene": "pygltflib"}
_ALL = ("overlay", "openpose", "coco", "csv", "npz", "parquet", "bvh", "c3d", "trc", "glb", "scene")


def formats() -> list[str]:
    """All recording formats that can be written and read here."""
    return [name for name in _ALL if name not in _NEEDS or importlib.util.find_spec(_NEEDS[name]) is not None]


def log(folder: Path) -> int:
    """Whole lines of frames, numbered from 0 without a gap; -1 where there is no header."""
    lines = (folder / "poses.jsonl").read_bytes().split(b"\n")[:-1] if (folder / "poses.jsonl").exists() else []
    if not lines:
        return -1
    json.loads(lines[0])
    for number, line in enumerate(lines[1:]):
        frame = json.loads(line)
        if frame["frame"] != number or len(frame["people"]) != PEOPLE:
            raise AssertionError(f"line {number + 2} of the log is not frame {number} with {PEOPLE} people")
    return len(lines) - 1


def video(path: Path) -> int:
    """Frames that can be decoded, in the order of time; -1 where it cannot be opened."""
    count, last = 0, -1.0
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                if frame.time is None or frame.time <= last:
                    raise AssertionError(f"{path}: the time of frame {count} does not rise")
                last = frame.time
                count += 1
    except (av.FFmpegError, IndexError):
        return count or -1
    return count


def _csv(folder: Path) -> int:
    with (folder / "poses.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return len({row["frame"] for row in rows})


def _coco(folder: Path) -> int:
    return len({entry["image_id"] for entry in json.loads((folder / "coco.json").read_text())})


def _openpose(folder: Path) -> int:
    return sum(len(json.loads(p.read_text())["people"]) == PEOPLE for p in (folder / "openpose").iterdir())


def _npz(folder: Path) -> int:
    with np.load(folder / "poses.npz", allow_pickle=False) as arrays:
        return max(len(np.unique(arrays[name])) for name in arrays.files if name in ("frame", "frames"))


def _parquet(folder: Path) -> int:
    import pyarrow.parquet

    return len(pyarrow.parquet.read_table(folder / "poses.parquet", columns=["frame"])["frame"].unique())


def _bvh(folder: Path) -> int:
    texts = [path.read_text() for path in sorted((folder / "bvh").glob("*.bvh"))]
    counts = {int(re.search(r"Frames:\s*(\d+)", text)[1]) for text in texts}  # type: ignore[index]
    if len(texts) != PEOPLE or any(t.count("\n", t.index("Frame Time")) - 1 not in counts for t in texts):
        raise AssertionError("a BVH file has another number of lines than it says")
    return min(counts)


def _c3d(folder: Path) -> int:
    import ezc3d

    return int(ezc3d.c3d(str(folder / "poses.c3d"))["data"]["points"].shape[2])


def _trc(folder: Path) -> int:
    paths = sorted(folder.glob("poses*.trc"))
    return min(sum(line[:1].isdigit() for line in p.read_text().splitlines()[5:]) for p in paths)


def _glb(folder: Path, pattern: str = "person_*.glb") -> int:
    import pygltflib

    counts = []
    for path in sorted(folder.glob(pattern)):
        scene = pygltflib.GLTF2().load(str(path))
        counts.append(max(scene.accessors[s.input].count for a in scene.animations for s in a.samplers))
    return min(counts)


READERS: dict[str, Callable[[Path], int]] = {
    "jsonl": log,
    "overlay": lambda folder: video(folder / "overlay.mp4"),
    "openpose": _openpose,
    "coco": _coco,
    "csv": _csv,
    "npz": _npz,
    "parquet": _parquet,
    "bvh": _bvh,
    "c3d": _c3d,
    "trc": _trc,
    "glb": _glb,
    "scene": lambda folder: _glb(folder, "scene.glb"),
}
