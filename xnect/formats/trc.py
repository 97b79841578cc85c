"""TRC for OpenSim: one subject a file, metres, OpenSim's axes, no gaps; what was filled in stands in a side file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from xnect.formats.axes import OPENSIM, turned
from xnect.formats.files import replacing
from xnect.formats.header import public_name
from xnect.formats.markers import MARKERS, MarkerTrack, marker_tracks
from xnect.formats.recording import Recording
from xnect.structures import F64

FILE_NAME = "poses.trc"
SIDE_NAME = "poses.trc.json"


def write_trc(recording: Recording, directory: Path) -> list[Path]:
    """``poses.trc`` with the person seen in most frames and ``poses_person_<id>.trc`` with each other one.

    Every file runs from its person's first to last frame; frames without the person in between are interpolated and
    listed in ``poses.trc.json``.
    """
    grid, tracks = marker_tracks(recording)
    tracks.sort(key=lambda t: (-int(t.there.sum()), t.person_id))
    made, told = [], []
    for position, track in enumerate(tracks):
        path = directory / (f"poses_person_{track.person_id}.trc" if position else FILE_NAME)
        with replacing(path) as part:
            part.write_text(trc_text(grid, track, recording.header.fps, path.name), encoding="ascii", newline="\n")
        made.append(path)
        told.append(_story(grid, track, path.name))
    side = directory / SIDE_NAME
    story = {
        "source": public_name(recording.header.source.name),
        "program": dict(recording.header.program),
        "units": "m",
        "axes": "OpenSim's ground: x forward for a person who faces the camera, y up, z to that person's right",
        "filtered": recording.header.filtered,
        "files": told,
    }
    with replacing(side) as part:
        part.write_text(json.dumps(story, indent=1) + "\n", encoding="utf-8")
    return [*made, side]


def trc_text(grid: F64, track: MarkerTrack, fps: float, name: str) -> str:
    """The whole file of one person.

    Args:
        grid: Even times of the recording (T,) [s].
        track: The person's joints at these times.
        fps: Rate of the grid [1/s].
        name: File name for the first line.
    """
    span = track.span
    times = grid[span]
    space = turned(track.joints_3d[span], OPENSIM).reshape(len(times), -1)
    rate = f"{fps:g}"
    count = len(MARKERS)
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{len(times)}\t{count}\tm\t{rate}\t1\t{len(times)}",
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{k}" for k in range(1, count + 1) for axis in "XYZ"),
        "",
    ]
    rows = [
        f"{number}\t{time_s:.6f}\t" + "\t".join(f"{v:.5f}" for v in values)
        for number, (time_s, values) in enumerate(
            zip(times.tolist(), (np.round(space, 5) + 0.0).tolist(), strict=True), 1
        )
    ]
    return "\n".join([*head, *rows]) + "\n"


def _story(grid: F64, track: MarkerTrack, name: str) -> dict[str, Any]:
    span = track.span
    there = track.there[span]
    edges = np.flatnonzero(np.diff(np.concatenate([[1], there.astype(int), [1]])))
    gaps = [[round(float(grid[span][a - 1]), 6), round(float(grid[span][b]), 6)] for a, b in edges.reshape(-1, 2)]
    return {
        "file": name,
        "person": track.person_id,
        "start_s": round(float(grid[span][0]), 6),
        "frames": len(there),
        "filled_frames": int((~there).sum()),
        "gaps_s": gaps,
        "inferred_share": {m: round(float(v), 3) for m, v in zip(MARKERS, track.inferred[span].mean(0), strict=True)},
    }
