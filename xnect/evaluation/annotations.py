"""Annotations of MuPoTS-3D and of MPI-INF-3DHP's test set as they are downloaded, and recordings to judge by them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnect.errors import FormatError, XnectError
from xnect.evaluation.poses import need
from xnect.formats.recording import Recording, load
from xnect.structures import F64, Bool

#: Joints of both sets; they are the first of our 21, in the same order.
JOINTS = 17
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Annotated people of one clip: F frames, at most P people each.

    Attributes:
        name: As "TS1".
        joints_px: float64 (F, P, 17, 2) [px].
        metric_m: float64 (F, P, 17, 3), true size, camera space [m].
        universal_m: float64 (F, P, 17, 3), the same scaled to one common body height [m].
        valid: bool (F, P), whether that person is annotated in that frame.
        occluded: bool (F, P, 17), None where the set does not tell.
    """

    name: str
    joints_px: F64
    metric_m: F64
    universal_m: F64
    valid: Bool
    occluded: Bool | None = None


def pairs(truth: str | Path, recordings: str | Path, count: int) -> list[tuple[Path, Path]]:
    """Folders TS1, TS2, ... of the annotations with the recording of each (``TS1/poses.jsonl`` or ``TS1.jsonl``).

    Raises:
        FormatError: There is no sequence that has both.
    """
    found = []
    for name in (f"TS{k}" for k in range(1, count + 1)):
        places = [Path(recordings) / name / "poses.jsonl", Path(recordings) / f"{name}.jsonl"]
        log = next((p for p in places if p.is_file()), None)
        if (Path(truth) / name).is_dir() and log is not None:
            found.append((Path(truth) / name, log))
    if not found:
        raise FormatError(
            f"no sequence has both: {truth}/TS1 (annotations) and {recordings}/TS1/poses.jsonl (a recording of it)"
        )
    return found


def _matlab(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file, of either kind; raises FormatError."""
    from scipy.io import loadmat

    try:
        with path.open("rb") as file:
            start = file.read(520)
        if _HDF5 in (start[:8], start[512:]):  # MATLAB 7.3
            h5py = need("h5py")
            with h5py.File(path, "r") as data:
                return {name: np.asarray(data[name]) for name in data if isinstance(data[name], h5py.Dataset)}
        return dict(loadmat(path, squeeze_me=False, struct_as_record=False))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    except XnectError:
        raise
    except Exception as error:  # scipy's readers fail in many ways on damaged files
        raise FormatError(f"{path} is not a MATLAB file: {' '.join(str(error).split())}") from error


def _joints(value: Any, width: int, path: Path) -> F64:
    """2 x 17, 3 x 17 or transposed -> (17, width); raises FormatError."""
    array = np.asarray(value, np.float64)
    if array.shape == (width, JOINTS):
        array = array.T
    if array.shape != (JOINTS, width) or not np.isfinite(array).all():
        raise FormatError(
            f"{path}: {width} x {JOINTS} finite numbers expected, got {' x '.join(map(str, array.shape))}"
        )
    return array


def read_mupots(folder: Path) -> Sequence:
    """One sequence of MuPoTS-3D: ``annot.mat`` and ``occlusion.mat``.

    Raises:
        FormatError: A file is missing or holds something else.
    """
    path = folder / "annot.mat"
    cells = _matlab(path).get("annotations")
    if not isinstance(cells, np.ndarray) or cells.ndim != 2:
        raise FormatError(f"{path} has no table of annotations (frames x people)")
    frames, people = cells.shape
    shape = (frames, people, JOINTS)
    px, metric, universal = np.zeros((*shape, 2)), np.zeros((*shape, 3)), np.zeros((*shape, 3))
    valid = np.zeros((frames, people), bool)
    for place, cell in np.ndenumerate(cells):
        one = cell.flat[0] if isinstance(cell, np.ndarray) and cell.size else cell
        try:
            if not bool(np.asarray(one.isValidFrame).any()):
                continue
            px[place] = _joints(one.annot2, 2, path)
            metric[place], universal[place] = _joints(one.annot3, 3, path), _joints(one.univ_annot3, 3, path)
        except (AttributeError, TypeError, ValueError) as error:
            raise FormatError(f"{path}, frame {place[0]}, person {place[1]}: {error}") from error
        valid[place] = True
    return Sequence(folder.name, px, 1e-3 * metric, 1e-3 * universal, valid, _occlusions(folder, shape))


def _occlusions(folder: Path, shape: tuple[int, ...]) -> Bool | None:
    path = folder / "occlusion.mat"
    if not path.exists():
        return None
    cells = _matlab(path).get("occlusion_labels")
    if not isinstance(cells, np.ndarray) or cells.shape != shape[:2]:
        raise FormatError(f"{path} has no occlusion_labels for {shape[0]} frames and {shape[1]} people")
    out = np.zeros(shape, bool)
    for place, cell in np.ndenumerate(cells):
        flags = np.asarray(cell).reshape(-1)
        if flags.size == JOINTS:
            out[place] = flags.astype(np.float64) > 0
    return out


def read_dhp(folder: Path) -> Sequence:
    """One sequence of MPI-INF-3DHP's test set: ``annot_data.mat``, one person.

    Raises:
        FormatError: The file is missing or holds something else.
        XnectError: It is of the HDF5 kind and h5py is not installed.
    """
    path = folder / "annot_data.mat"
    data = _matlab(path)
    missing = [n for n in ("annot2", "annot3", "univ_annot3", "valid_frame") if n not in data]
    if missing:
        raise FormatError(f"{path} has no {', '.join(missing)}")

    def block(name: str, width: int) -> F64:
        array = np.asarray(data[name], np.float64)
        if array.shape[:2] == (width, JOINTS):  # MATLAB's own order of axes: coordinate, joint, person, frame
            array = np.moveaxis(array.reshape(width, JOINTS, -1), -1, 0).swapaxes(1, 2)
        if array.shape[-2:] != (JOINTS, width) or not np.isfinite(array).all():
            raise FormatError(f"{path}: {name} is not frames x {JOINTS} x {width} finite numbers")
        return array.reshape(-1, 1, JOINTS, width)

    px, metric, universal = block("annot2", 2), 1e-3 * block("annot3", 3), 1e-3 * block("univ_annot3", 3)
    valid = np.asarray(data["valid_frame"]).reshape(-1).astype(np.float64) > 0
    if not len(px) == len(metric) == len(universal) == len(valid):
        raise FormatError(f"{path}: its arrays are of different length")
    return Sequence(folder.name, px, metric, universal, valid[:, None])


def found_people(recording: Recording, frame: int) -> tuple[F64, Bool, F64]:
    """Who was found in a frame of the source.

    Returns:
        2D joints float64 (K, 14, 2) [px], which of them were seen, 17 3D joints float64 (K, 17, 3) [m].
    """
    place = int(np.searchsorted(recording.frames, frame))
    if place == len(recording) or recording.frames[place] != frame:
        place = len(recording)
    low, high = np.searchsorted(recording.row_frame, [place, place + 1])
    people = recording.people
    rows = slice(int(low), int(high))
    joints = people.joints_3d[rows, :JOINTS].astype(np.float64)
    return people.joints_2d[rows].astype(np.float64), people.confidence_2d[rows] > 0, joints


def read_recording(path: Path) -> Recording:
    """``load``, with the whole path in the error; raises FormatError."""
    try:
        return load(path)
    except FormatError as error:
        raise FormatError(f"{path.parent.name}: {error}") from None
