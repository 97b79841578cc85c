"""OpenPose's JSON: one file a frame, BODY_25 order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from xnect.formats.header import RecordingHeader, public_name
from xnect.formats.jsonl import DECIMALS_M, DECIMALS_PX, DECIMALS_SHARE, rounded
from xnect.formats.people import FrameRecord, People, confidence_3d
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D
from xnect.structures import F64

FOLDER = "openpose"
_BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "", "", "", "",
    "left_toe", "", "", "right_toe", "", "",
)  # fmt: skip
MID_HIP = 8
_HIPS = [JOINTS_2D.index("right_hip"), JOINTS_2D.index("left_hip")]


def _places(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of BODY_25 that we have, and our joints that fill them."""
    pairs = [(row, names.index(name)) for row, name in enumerate(_BODY_25) if name in names]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


_TO_2D, _FROM_2D = _places(JOINTS_2D)
_TO_3D, _FROM_3D = _places(JOINTS_3D)


def body_25(people: People, drop_inferred: bool = False) -> tuple[F64, F64]:
    """BODY_25 keypoints: x, y, confidence (N, 25, 3) [px] and x, y, z, confidence (N, 25, 4) [m, camera space].

    Joints that are not seen are 0, 0, 0; in 3D inferred joints keep their place and have confidence 0. The middle of the
    hips is as sure as the less sure hip; eyes, ears, heels and small toes are never known, the nose in 2D only.
    ``drop_inferred``: inferred joints are 0, 0, 0, 0.
    """
    count = len(people)
    flat = np.zeros((count, 25, 3))
    confidence = np.clip(people.confidence_2d.astype(np.float64), 0, 1)
    flat[:, _TO_2D, :2] = people.joints_2d[:, _FROM_2D]
    flat[:, _TO_2D, 2] = confidence[:, _FROM_2D]
    flat[:, MID_HIP, :2] = people.joints_2d[:, _HIPS].mean(1)
    flat[:, MID_HIP, 2] = confidence[:, _HIPS].min(1)
    flat[flat[..., 2] <= 0] = 0.0
    space = np.zeros((count, 25, 4))
    space[:, _TO_3D, :3] = people.joints_3d[:, _FROM_3D]
    space[:, _TO_3D, 3] = np.clip(confidence_3d(people)[:, _FROM_3D], 0, 1)
    if drop_inferred:
        space[:, _TO_3D] *= ~people.inferred[:, _FROM_3D, None]
    return flat, space


def frame_json(people: People, drop_inferred: bool = False) -> dict[str, Any]:
    """The content of one frame's file."""
    flat, space = body_25(people, drop_inferred)
    pixels, shares = rounded(flat[..., :2], DECIMALS_PX), rounded(flat[..., 2], DECIMALS_SHARE)
    metres, shares_3d = rounded(space[..., :3], DECIMALS_M), rounded(space[..., 3], DECIMALS_SHARE)
    persons = [
        {
            "person_id": [person_id],
            "pose_keypoints_2d": [v for xy, c in zip(pixels[row], shares[row], strict=True) for v in (*xy, c)],
            "face_keypoints_2d": [],
            "hand_left_keypoints_2d": [],
            "hand_right_keypoints_2d": [],
            "pose_keypoints_3d": [v for xyz, c in zip(metres[row], shares_3d[row], strict=True) for v in (*xyz, c)],
            "face_keypoints_3d": [],
            "hand_left_keypoints_3d": [],
            "hand_right_keypoints_3d": [],
        }
        for row, person_id in enumerate(people.ids.tolist())
    ]
    return {"version": 1.3, "people": persons}


class OpenPoseWriter:
    """Writes one file a frame into the folder ``openpose``, also where nobody is seen."""

    def __init__(self, directory: Path, header: RecordingHeader) -> None:
        self._folder, self._drop = directory / FOLDER, header.drop_inferred
        self._folder.mkdir(exist_ok=True)
        self._stem = re.sub(r"[^\w.-]+", "_", Path(public_name(header.source.name)).stem) or "frame"

    def write(self, record: FrameRecord) -> None:
        """Write the frame's file."""
        name = f"{self._stem}_{record.result.index:012d}_keypoints.json"
        (self._folder / name).write_text(
            json.dumps(frame_json(record.people, self._drop), separators=(",", ":"), allow_nan=False)
        )

    def close(self) -> None:
        """Nothing is open between frames."""
