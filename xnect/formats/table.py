"""The long form that CSV, Parquet and pandas share: one row a frame, person and joint."""

from __future__ import annotations

import numpy as np

from xnect.formats.jsonl import DECIMALS_M, DECIMALS_PX, DECIMALS_SHARE
from xnect.formats.people import People, confidence_3d
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_2D, JOINTS_3D
from xnect.structures import F64, I64

#: The 21 joints of 3D, then the nose, which is known in 2D only.
TABLE_JOINTS: tuple[str, ...] = (*JOINTS_3D, "nose")
COLUMNS = ("frame", "time_s", "person", "joint", "x", "y", "z", "conf", "inferred", "filtered", "x_px", "y_px")
_NAMES_2D = np.arange(1, len(JOINTS_2D))  # all but the nose stand where a 3D joint does


def long_table(
    frame: I64, time_s: F64, people: People, filtered: bool, drop_inferred: bool = False
) -> dict[str, np.ndarray]:
    """Columns of the long form.

    ``x, y, z`` are metres in camera space (NaN for the nose, which has no 3D joint), ``x_px, y_px`` pixels (NaN where
    the joint was not seen), ``conf`` 0 to 1, ``inferred`` and ``filtered`` true or false.

    Args:
        frame: Frame number of each row of people (N,).
        time_s: Its time (N,) [s].
        people: N rows.
        filtered: Whether the numbers went through the smoothing filters.
        drop_inferred: ``x, y, z`` are NaN where no image evidence backs the joint.
    """
    count, joints = len(people), len(TABLE_JOINTS)
    space = np.full((count, joints, 3), np.nan)
    space[:, :21] = np.round(people.joints_3d.astype(np.float64), DECIMALS_M) + 0.0
    if drop_inferred:
        space[:, :21][people.inferred] = np.nan
    pixels = np.full((count, joints, 2), np.nan)
    seen = people.confidence_2d > 0
    flat = np.where(seen[..., None], np.round(people.joints_2d.astype(np.float64), DECIMALS_PX) + 0.0, np.nan)
    pixels[:, JOINT_3D_OF_2D[_NAMES_2D]] = flat[:, _NAMES_2D]
    pixels[:, -1] = flat[:, 0]
    confidence = np.concatenate([confidence_3d(people), people.confidence_2d[:, :1]], 1).astype(np.float64)
    inferred = np.concatenate([people.inferred, ~seen[:, :1]], 1)
    return {
        "frame": np.repeat(frame, joints),
        "time_s": np.repeat(time_s, joints),
        "person": np.repeat(people.ids, joints),
        "joint": np.tile(np.array(TABLE_JOINTS, dtype=object), count),
        "x": space[..., 0].ravel(),
        "y": space[..., 1].ravel(),
        "z": space[..., 2].ravel(),
        "conf": np.round(np.clip(confidence, 0, 1), DECIMALS_SHARE).ravel(),
        "inferred": inferred.ravel(),
        "filtered": np.full(count * joints, filtered),
        "x_px": pixels[..., 0].ravel(),
        "y_px": pixels[..., 1].ravel(),
    }
