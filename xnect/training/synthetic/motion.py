"""The motion pack: clips of real motion capture as global joint rotations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnect.errors import SourceError
from xnect.geometry import matrix_from_quaternion
from xnect.structures import F64
from xnect.training.synthetic.assets import read_rows
from xnect.training.synthetic.options import find_folder

MOTION_CREDIT = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)

JOINTS: tuple[str, ...] = (
    "pelvis", "lumbar", "spine", "neck", "head", "head_top",
    "r_clavicle", "r_shoulder", "r_elbow", "r_wrist", "r_hand",
    "l_clavicle", "l_shoulder", "l_elbow", "l_wrist", "l_hand",
    "r_hip", "r_knee", "r_ankle", "r_toe", "l_hip", "l_knee", "l_ankle", "l_toe",
)  # fmt: skip
PARENTS = np.array([-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 9, 2, 11, 12, 13, 14, 0, 16, 17, 18, 0, 20, 21, 22])
_ROTATED = np.array(sorted({int(p) for p in PARENTS if p >= 0}))
_PARTNER = {"l_": "r_", "r_": "l_"}
_MIRROR = np.array([JOINTS.index(_PARTNER.get(n[:2], n[:2]) + n[2:]) for n in JOINTS])


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A piece of a clip.

    Attributes:
        rotations: float64 (T, 24, 3, 3), global joint rotations (identity in the T pose), y up.
        joints_m: float64 (T, 24, 3), world [m], floor at about y = 0.
        offsets_m: float64 (24, 3), bone offsets at rest.
        fps: Frames a second.
        clip: Name in the pack's list.
    """

    rotations: F64
    joints_m: F64
    offsets_m: F64
    fps: float
    clip: str

    def __len__(self) -> int:
        return len(self.rotations)

    def mirrored(self) -> Motion:
        """Left and right exchanged (reflection in the y-z plane)."""
        flip = np.array([-1.0, 1.0, 1.0])
        turn = flip[:, None] * self.rotations[:, _MIRROR] * flip
        return Motion(turn, self.joints_m[:, _MIRROR] * flip, self.offsets_m[_MIRROR] * flip, self.fps, self.clip)

    def part(self, frames: np.ndarray) -> Motion:
        """Some frames of it."""
        return Motion(self.rotations[frames], self.joints_m[frames], self.offsets_m, self.fps, self.clip)


class MotionPack:
    """Reads clips by name; the shards are unpacked once.

    Args:
        folder: The pack, None = beside the checkout.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = find_folder(folder, "motion", "index.csv")
        self.rows = read_rows(self.folder / "index.csv")
        self._by_name = {r["clip"]: r for r in self.rows}
        self._shards: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def row(self, clip: str) -> dict[str, str]:
        """The list's row of a clip; raises SourceError."""
        if clip not in self._by_name:
            raise SourceError(f"no clip {clip!r} in {self.folder}")
        return self._by_name[clip]

    def load(self, clip: str, frames: np.ndarray | slice | None = None) -> Motion:
        """A clip, or the given frames of it; raises SourceError."""
        row = self.row(clip)
        quats, roots, offsets = self._shard(row["shard"])
        first, count = int(row["first"]), int(row["frames"])
        pick = slice(None) if frames is None else frames
        q = np.zeros((count, len(JOINTS), 4))[pick]
        q[..., 0] = 1
        part = quats[first : first + count][pick].astype(np.float64)
        q[:, _ROTATED] = part / np.linalg.norm(part, axis=-1, keepdims=True)
        root = roots[first : first + count][pick] / 1e4
        bones = offsets[int(row["skeleton"])]
        rotations, places = forward(matrix_from_quaternion(q), root, bones)
        return Motion(rotations, places, bones, float(row["fps"]), clip)

    def _shard(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if name not in self._shards:
            try:
                with np.load(self.folder / name, allow_pickle=False) as data:
                    quats = np.cumsum(data["dquat"], axis=0, dtype=np.int16)  # differences are modulo 2 ** 16
                    roots = np.cumsum(data["droot"], axis=0, dtype=np.int32)
                    self._shards[name] = quats, roots, data["offsets"].astype(np.float64)
            except (OSError, KeyError, ValueError) as error:
                raise SourceError(f"cannot read {self.folder / name}: {error}") from error
        return self._shards[name]


def forward(local: F64, root_m: F64, offsets_m: F64) -> tuple[F64, F64]:
    """Local rotations (T, 24, 3, 3), pelvis (T, 3), offsets (24, 3) -> global rotations and joints (T, 24, 3)."""
    turn = np.array(local, np.float64)
    place = np.zeros((len(local), len(JOINTS), 3))
    place[:, 0] = root_m
    for j in range(1, len(JOINTS)):
        p = PARENTS[j]
        place[:, j] = place[:, p] + turn[:, p] @ offsets_m[j]
        turn[:, j] = turn[:, p] @ local[:, j]
    return turn, place
