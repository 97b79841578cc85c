"""``poses.jsonl``: the append-only log that everything else can be rebuilt from."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from xnect.formats.files import Syncer
from xnect.formats.header import RecordingHeader, camera_to_json, header_to_json
from xnect.formats.people import FrameRecord, People
from xnect.structures import STATE_NAMES, Camera

FILE_NAME = "poses.jsonl"
#: Decimals kept: 0.01 px, 0.1 mm, 1e-4 rad, 1e-5 of a quaternion, 1 microsecond.
DECIMALS_PX, DECIMALS_M, DECIMALS_RAD, DECIMALS_UNIT, DECIMALS_SHARE, DECIMALS_S = 2, 4, 4, 5, 3, 6


def rounded(array: np.ndarray, decimals: int) -> Any:
    """Nested lists of short decimal numbers; no negative zero."""
    return (np.round(array.astype(np.float64), decimals) + 0.0).tolist()


class FrameEncoder:
    """Turns frames into lines; remembers which bone offsets and camera it has told already."""

    def __init__(self, header: RecordingHeader) -> None:
        self._camera = camera_to_json(header.camera)
        self._camera_seen: Camera | None = header.camera
        self._offsets: dict[int, list[list[float]]] = {}

    def forget(self) -> None:
        """Tell offsets and camera again in the next line, for readers who come late."""
        self._offsets.clear()
        self._camera_seen, self._camera = None, {}

    def line(self, index: int, time_s: float, people: People, camera: Camera | None = None) -> str:
        """One frame as one line without its end; offsets and camera only where they changed."""
        if not math.isfinite(time_s):
            raise ValueError(f"frame {index}: time {time_s} is not finite")
        out: dict[str, Any] = {"frame": int(index), "time": round(float(time_s), DECIMALS_S)}
        if camera is not None and camera is not self._camera_seen:
            self._camera_seen, told = camera, camera_to_json(camera)
            if told != self._camera:
                self._camera = out["camera"] = told
        out["people"] = self._people(people)
        return json.dumps(out, separators=(",", ":"), allow_nan=False)

    def _people(self, people: People) -> list[dict[str, Any]]:
        if not len(people):
            return []
        columns: dict[str, Any] = {
            "id": people.ids.tolist(),
            "state": [STATE_NAMES[s] for s in people.state],
            "score": rounded(np.clip(people.score, 0, 1), DECIMALS_SHARE),
            "box": rounded(people.box, DECIMALS_PX),
            "joints_2d": rounded(people.joints_2d, DECIMALS_PX),
            "confidence_2d": rounded(np.clip(people.confidence_2d, 0, 1), DECIMALS_SHARE),
            "joints_3d": rounded(people.joints_3d, DECIMALS_M),
            "inferred": people.inferred.tolist(),
        }
        position = rounded(people.root_position, DECIMALS_M)
        rotation = rounded(people.root_rotation, DECIMALS_UNIT)
        columns["root"] = [{"position": p, "rotation": r} for p, r in zip(position, rotation, strict=True)]
        columns["angles"] = rounded(people.angles, DECIMALS_RAD)
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        for row, offsets in zip(rows, rounded(people.offsets, DECIMALS_M), strict=True):
            if offsets and self._offsets.get(row["id"]) != offsets:
                self._offsets[row["id"]] = row["offsets"] = offsets
        return rows


class JsonlWriter:
    """Writes each frame with one system call, so that a killed run keeps every frame up to the last.

    What is written is put on the disk once a second: a power cut costs no more.
    """

    def __init__(self, path: Path, header: RecordingHeader) -> None:
        self._encoder = FrameEncoder(header)
        self._file = path.open("wb", buffering=0)
        self._whole = 0
        self._append(json.dumps(header_to_json(header), separators=(",", ":"), allow_nan=False, default=str))
        self._syncer = Syncer(path)

    def _append(self, line: str) -> None:
        data = memoryview(line.encode() + b"\n")
        try:
            while data:  # an unbuffered write may be short on a full disk before it fails
                data = data[self._file.write(data) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._whole)  # no torn line
            raise
        self._whole = self._file.tell()

    def write(self, record: FrameRecord) -> None:
        """Append one frame and hand it to the operating system; raises OSError where the disk is full or failed."""
        self._syncer.check()
        result = record.result
        self._append(self._encoder.line(result.index, result.timestamp_s, record.people, result.camera))

    def close(self) -> None:
        """Close the file, once it is on the disk; raises OSError."""
        self._file.close()
        self._syncer.close()
