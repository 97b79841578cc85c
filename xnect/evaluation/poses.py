"""3D poses against the truth, pose by pose: reading files of pairs, and the figures that papers give."""

from __future__ import annotations

import csv
import io
import math
import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnect.errors import FormatError, XnectError
from xnect.evaluation import metrics
from xnect.structures import F64, Bool
from xnect.untrusted import open_zip, read_member

#: 3DPCK counts a joint nearer than this [m].
PCK_M = 0.15
#: Where somebody is put who was not found: far from every threshold [m].
NOWHERE_M = 100.0
_NAMES = ("joints_3d", "joints", "poses", "positions")
UNITS = {"m": 1.0, "mm": 1e-3}
#: What numpy's and Python's readers raise on files that are damaged or claim what is not there (found by trying).
_UNREADABLE = (
    ValueError, EOFError, KeyError, TypeError, AttributeError, MemoryError, SyntaxError, tokenize.TokenError, csv.Error,
    zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Figures of poses.

    Attributes:
        figures: Name -> value; lengths in mm, shares 0 to 1, None where nothing was found.
        joint_mm: Mean error of each joint, float64 (J,) [mm], NaN where it is never known.
        curve: Share of joints nearer than each of ``metrics.AUC_THRESHOLDS_M``, float64.
    """

    figures: dict[str, Any]
    joint_mm: F64
    curve: F64


def judge(found: F64, truth: F64, known: Bool, there: Bool) -> Judged:
    """MPJPE, PA-MPJPE, 3DPCK at 150 mm and AUC.

    Args:
        found: float64 (N, J, 3), centred as they shall be compared [m]; anything finite where not there.
        truth: float64 (N, J, 3) [m].
        known: bool (N, J), joints that the truth has.
        there: bool (N, J), joints that were found. Errors are means over joints known and found; 3DPCK and AUC count
            a known joint that was not found as wrong.
    """
    both = known & there
    count = int(known.sum())
    apart = np.where(there[..., None], found, truth + NOWHERE_M)
    curve = np.array([metrics.pck(apart, truth, t, known) for t in metrics.AUC_THRESHOLDS_M])
    figures: dict[str, Any] = {
        "poses": int(known.any(-1).sum()),
        "found": float(both.sum() / max(count, 1)),
        "mpjpe_mm": None,
        "pa_mpjpe_mm": None,
        "pck150": metrics.pck(apart, truth, PCK_M, known),
        "auc": metrics.auc(apart, truth, weight=known),
    }
    if both.any():
        figures["mpjpe_mm"] = 1e3 * metrics.mpjpe(found, truth, both)
    three = both & (both.sum(-1, keepdims=True) >= 3)
    if three.any():
        figures["pa_mpjpe_mm"] = 1e3 * metrics.pa_mpjpe(found, truth, three)
    errors, times = metrics.joint_errors(found, truth), both.sum(0)
    joint_mm = np.where(times > 0, 1e3 * (errors * both).sum(0) / np.maximum(times, 1), np.nan)
    return Judged(figures, joint_mm, curve)


def judge_files(truth_file: str | Path, found_file: str | Path, root: tuple[int, ...], unit: str = "m") -> Judged:
    """Human3.6M-style figures of two files of poses in the same order.

    Args:
        truth_file: NPZ, NPY or CSV (see ``read_poses``).
        found_file: The same with as many poses and joints.
        root: Joints whose middle is taken for the origin; empty = places in the room are judged.
        unit: "m" or "mm", of both files.

    Raises:
        FormatError: A file cannot be read, or the two do not match.
    """
    truth, found = (read_poses(f, unit) for f in (truth_file, found_file))
    if truth.shape != found.shape:
        sizes = [" x ".join(map(str, a.shape[:2])) for a in (truth, found)]
        raise FormatError(f"{truth_file} has {sizes[0]} joints, {found_file} {sizes[1]}: the same number is needed")
    if any(not 0 <= r < truth.shape[1] for r in root):
        raise FormatError(f"root {','.join(map(str, root))}: joints are numbered from 0 to {truth.shape[1] - 1}")
    known, there = (np.asarray(np.isfinite(poses).all(-1)) for poses in (truth, found))
    truth, found = np.where(known[..., None], truth, 0.0), np.where(there[..., None], found, 0.0)
    if root:
        rooted = known[:, list(root)].all(-1, keepdims=True)
        known, there = known & rooted, there & there[:, list(root)].all(-1, keepdims=True)
        truth = truth - truth[:, list(root)].mean(1, keepdims=True)
        found = found - found[:, list(root)].mean(1, keepdims=True)
    if not known.any():
        raise FormatError(f"{truth_file} holds no pose whose root is known")
    return judge(found, truth, known, there)


def read_poses(path: str | Path, unit: str = "m") -> F64:
    """Poses of a file, float64 (N, J, 3) [m]; NaN where a joint is unknown.

    NPZ: the array "joints_3d", "joints", "poses" or "positions", or the only one; NPY: the array; CSV: a row a pose,
    three numbers a joint, a head line is skipped, empty cells are unknown.

    Raises:
        FormatError: The file cannot be read or holds something else.
    """
    path = Path(path)
    try:
        table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_numpy(path)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise FormatError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if table.ndim == 2 and table.shape[1] % 3 == 0:
        table = table.reshape(len(table), -1, 3)
    if table.ndim != 3 or table.shape[2] != 3 or not table.size:
        raise FormatError(f"{path}: poses x joints x 3 numbers expected, got {' x '.join(map(str, table.shape))}")
    values = np.where(np.isfinite(table), table, np.nan) * UNITS[unit]
    if np.nanmax(np.abs(values), initial=0.0) > 1e5:
        raise FormatError(f"{path}: coordinates beyond 100 km; are they in mm (--unit mm)?")
    return values


def _read_numpy(path: Path) -> F64:
    if not zipfile.is_zipfile(path):
        # Mapped first: that compares the size it claims with the file's before memory is taken.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False), np.float64)
    with open_zip(path) as archive:
        files = [n.removesuffix(".npy") for n in archive.namelist()]
        name = next((n for n in _NAMES if n in files), files[0] if len(files) == 1 else None)
        if name is None:
            raise FormatError(f"{path} has the arrays {', '.join(files)}; one named joints_3d expected")
        data = io.BytesIO(read_member(archive, f"{name}.npy"))
    return np.asarray(np.lib.format.read_array(data, allow_pickle=False), np.float64)


def _read_csv(path: Path) -> F64:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]

    def numbers(row: list[str]) -> list[float]:
        return [float(cell) if cell.strip() else math.nan for cell in row]

    try:
        numbers(rows[0] if rows else [])
    except ValueError:
        rows = rows[1:]  # a head line
    if len({len(row) for row in rows}) > 1:
        raise FormatError(f"{path}: rows of different length")
    return np.array([numbers(row) for row in rows], np.float64)


def need(package: str) -> Any:
    """Import an optional package; raises XnectError with the remedy where it is missing."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise XnectError(f"{name} is needed for this: pip install 'xnect[evaluate]'") from error
