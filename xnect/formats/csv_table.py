"""``poses.csv``: the long form as text, with units and origin in comment lines at the top."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xnect.formats.header import CameraPose, RecordingHeader, public_name
from xnect.formats.jsonl import DECIMALS_M, DECIMALS_PX, DECIMALS_S, DECIMALS_SHARE
from xnect.formats.people import FrameRecord
from xnect.formats.table import COLUMNS, long_table

FILE_NAME = "poses.csv"
_DECIMALS = {"time_s": DECIMALS_S, "conf": DECIMALS_SHARE, "x_px": DECIMALS_PX, "y_px": DECIMALS_PX}


def describe(header: RecordingHeader) -> dict[str, str]:
    """What a table must say about itself: units, axes, program, weights, source; plain text, one line each."""
    told = {
        "format": "xnect-poses-table 1",
        "units": "x y z m; x_px y_px px; time_s s; conf 0 to 1",
        "axes": "camera space, x right, y down, z forward; pixels x right, y down, centres at integers",
        "source": public_name(header.source.name),
        "source_sha256": header.source.sha256 or "",
        "fps": f"{header.fps:g}",
        "axes_3d": ""
        if header.camera_pose == CameraPose()
        else f"level, floor at y = 0; camera at {header.camera_pose}",
        "inferred": "left out" if header.drop_inferred else "",
        **{f"program_{key}": str(value) for key, value in header.program.items()},
    }
    return {key: " ".join(value.split()) for key, value in told.items() if value}


class CsvWriter:
    """Writes the rows of each frame as they come; empty cells where a value does not exist."""

    def __init__(self, path: Path, header: RecordingHeader) -> None:
        self._filtered, self._drop = header.filtered, header.drop_inferred
        self._file = path.open("w", encoding="utf-8", newline="")
        for key, value in describe(header).items():
            self._file.write(f"# {key}: {value}\n")
        self._file.write(",".join(COLUMNS) + "\n")

    def write(self, record: FrameRecord) -> None:
        """Append one frame."""
        count = len(record.people)
        frame = np.full(count, record.result.index, np.int64)
        time_s = np.full(count, record.result.timestamp_s)
        table = long_table(frame, time_s, record.people, self._filtered, self._drop)
        cells = [_texts(name, table[name]) for name in COLUMNS]
        self._file.writelines(",".join(row) + "\n" for row in zip(*cells, strict=True))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _texts(name: str, column: np.ndarray) -> list[str]:
    if column.dtype.kind == "f":
        decimals = _DECIMALS.get(name, DECIMALS_M)
        return ["" if v != v else f"{v:.{decimals}f}" for v in column.tolist()]
    if column.dtype == bool:
        return ["1" if v else "0" for v in column.tolist()]
    return [str(v) for v in column.tolist()]
