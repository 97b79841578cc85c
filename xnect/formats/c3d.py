"""``poses.c3d``: everyone's joints as markers, millimetres, Z up, at an even rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xnect.errors import FormatError, OutputError
from xnect.formats.axes import Z_UP, turned
from xnect.formats.csv_table import describe
from xnect.formats.files import replacing
from xnect.formats.markers import MARKERS, marker_tracks
from xnect.formats.recording import Recording

#: Frame numbers of a C3D header have 16 bits.
MAX_FRAMES = 65_535


def write_c3d(recording: Recording, path: Path) -> list[Path]:
    """Write the file; raises OutputError without ezc3d, FormatError for a recording that C3D cannot hold.

    A person who is not seen has coordinates 0 and residual -1. Joints with image evidence carry the mark of camera 1
    in their camera mask, inferred joints none (or count as not seen, where the header drops them). With several people the labels start with ``P<id>_``.
    """
    try:
        import ezc3d
    except ImportError as error:
        raise OutputError("C3D needs ezc3d: pip install 'xnect[export]'") from error
    grid, tracks = marker_tracks(recording)
    if len(grid) > MAX_FRAMES:
        raise FormatError(f"{len(grid)} frames; a C3D file holds {MAX_FRAMES}")
    count = len(tracks) * len(MARKERS)
    there = np.concatenate([np.repeat(t.there[:, None], len(MARKERS), 1) for t in tracks], 1)
    inferred = np.concatenate([t.inferred for t in tracks], 1)
    if recording.header.drop_inferred:
        there &= ~inferred
    space = np.concatenate([t.joints_3d for t in tracks], 1)
    points = np.ones((4, count, len(grid)))
    points[:3] = np.where(there[..., None], 1000.0 * turned(space, Z_UP), 0.0).transpose(2, 1, 0)
    masks = np.zeros((7, count, len(grid)), bool)
    masks[0] = (there & ~inferred).T
    prefixes = [f"P{t.person_id}_" if len(tracks) > 1 else "" for t in tracks]
    file = ezc3d.c3d()
    parameters = file["parameters"]["POINT"]
    parameters["RATE"]["value"] = [recording.header.fps]
    parameters["UNITS"]["value"] = ["mm"]
    parameters["LABELS"]["value"] = [prefix + name for prefix in prefixes for name in MARKERS]
    parameters["DESCRIPTIONS"]["value"] = [f"person {t.person_id}" for t in tracks for _ in MARKERS]
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(there.T, 0.0, -1.0)[None]
    file["data"]["meta_points"]["camera_masks"] = masks
    for key, value in (describe(recording.header) | {"axes": "x right, y away from the camera, z up"}).items():
        if key != "units":
            file.add_parameter("XNECT", key.upper()[:20], [value.encode("ascii", "replace").decode()[:120]])
    with replacing(path) as part:
        file.write(str(part))
    return [path]
