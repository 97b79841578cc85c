"""Whole recordings as tables of numbers: ``poses.npz`` (arrays) and ``poses.parquet`` (the long form)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from xnect.errors import OutputError
from xnect.formats.csv_table import describe
from xnect.formats.files import replacing
from xnect.formats.header import header_to_json
from xnect.formats.recording import Recording
from xnect.formats.table import COLUMNS
from xnect.structures import STATE_NAMES


def write_npz(recording: Recording, path: Path) -> list[Path]:
    """All arrays of the recording under their own names, and the header as JSON text under ``header``."""
    arrays: dict[str, np.ndarray] = {
        f.name: getattr(recording.people, f.name) for f in dataclasses.fields(recording.people)
    }
    arrays |= {
        "header": np.array(json.dumps(header_to_json(recording.header))),
        "state_names": np.array(STATE_NAMES),
        "frames": recording.frames,
        "times_s": recording.times_s,
        "row_frame": recording.row_frame,
    }
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return [path]


def write_parquet(recording: Recording, path: Path) -> list[Path]:
    """The long form (docs/formats.md) with units and origin as metadata; raises OutputError without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise OutputError("Parquet needs pyarrow: pip install 'xnect[tables]'") from error
    table = recording.table()
    columns = {
        name: pyarrow.array(table[name], from_pandas=True)  # NaN becomes "no value"
        if name != "joint"
        else pyarrow.array(table[name].tolist(), pyarrow.string()).dictionary_encode()
        for name in COLUMNS
    }
    written = pyarrow.table(columns).replace_schema_metadata(describe(recording.header))
    with replacing(path) as part:
        pyarrow.parquet.write_table(written, str(part), compression="zstd")
    return [path]
