"""The body as a tree of bones: joint angles to rotations and positions, and back.

Rest pose (all angles 0): T pose, upright, y up, x to the person's left, z forward, palms down. A joint has up to three
angles; names say the sense of the positive direction, alike for both sides. ``rotation = R_first R_second R_third``
in the order of ``angle_names``. The shoulder is different: its first two angles are one rotation vector that swings
the upper arm, the third turns it about its own axis (three Euler angles would have a singular direction in reach,
such as straight forward; this has none but straight through the body).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.limits import load_ranges
from xnect.structures import F64, I64

# Joint, parent, offset from the parent [m], angles (name, axis with sign), parents first; the mean of 30 people of
# the motion-capture pack, scaled to 1.70 m. "right" stands for both sides; the left is its mirror image.
_Angle = tuple[str, str]
_Row = tuple[str, str, tuple[float, float, float], tuple[_Angle, ...]]
_TRUNK_ANGLES = (("flexion", "+x"), ("bend_right", "+z"), ("turn_left", "+y"))
_TRUNK: tuple[_Row, ...] = (
    ("pelvis", "", (0.0, 0.0, 0.0), ()),
    ("lumbar", "pelvis", (0.0, 0.108, -0.048), _TRUNK_ANGLES),
    ("spine", "lumbar", (0.0, 0.246, 0.0), _TRUNK_ANGLES),
    ("neck", "spine", (0.0, 0.143, 0.0), _TRUNK_ANGLES),
    ("head", "neck", (0.0, 0.103, 0.0), _TRUNK_ANGLES),
    ("head_top", "head", (0.0, 0.190, 0.0), ()),
)
_ARM: tuple[_Row, ...] = (
    ("clavicle", "spine", (-0.003, 0.136, 0.0), (("elevation", "-z"), ("protraction", "+y"))),
    (
        "shoulder",
        "clavicle",
        (-0.187, 0.0, 0.0),
        (("horizontal_flexion", "+y"), ("elevation", "-z"), ("internal_rotation", "+x")),
    ),
    ("elbow", "shoulder", (-0.292, 0.0, 0.0), (("flexion", "+y"),)),
    (
        "wrist",
        "elbow",
        (-0.276, 0.0, 0.0),
        (("flexion", "+z"), ("radial_deviation", "+y"), ("pronation", "+x")),
    ),
    ("hand", "wrist", (-0.074, 0.0, 0.0), ()),
)
_LEG: tuple[_Row, ...] = (
    ("hip", "pelvis", (-0.095, 0.0, 0.0), (("flexion", "-x"), ("abduction", "-z"), ("internal_rotation", "+y"))),
    ("knee", "hip", (0.0, -0.414, 0.0), (("flexion", "+x"),)),
    ("ankle", "knee", (0.0, -0.434, 0.0), (("plantarflexion", "+x"), ("adduction", "+y"))),
    ("toe", "ankle", (0.0, -0.032, 0.126), ()),
)

#: The floor lies so far below the ball of the foot of an adult of 1.70 m [m].
SOLE_M = 0.03
#: Tip of the nose in the head's axes, adult of 1.70 m [m].
NOSE_OFFSET_M: tuple[float, float, float] = (0.0, 0.04, 0.10)


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """A tree of joints with named angles.

    Attributes:
        joint_names: J names, parents before children, the pelvis first.
        parents: Index of each joint's parent, int64 (J,), -1 for the pelvis.
        angle_names: D names such as "right_knee_flexion"; joint by joint, in the order in which rotations multiply.
        angle_joint: Joint that each angle turns, int64 (D,), ascending.
        angle_axis: Axis 0 to 2 (x, y, z) of each angle, int64 (D,).
        angle_sign: Sense of each angle about its axis, float64 (D,), 1 or -1.
        swing: Joints whose first two angles are a rotation vector, bool (J,).
        rest_offsets_m: From the parent to the joint in the rest pose of an average adult, float64 (J, 3).
        limits_rad: Hard limits of the angles, low and high, float64 (D, 2).
        observed_rad: Range of the angles that people use most, float64 (D, 2).
        rest_rad: Angle where nothing is known, float64 (D,).
        index_21: Joint of this skeleton for each of ``JOINTS_3D``, int64 (21,).
        nose_offset_m: Tip of the nose in the head's axes, float64 (3,).
    """

    joint_names: tuple[str, ...]
    parents: I64
    angle_names: tuple[str, ...]
    angle_joint: I64
    angle_axis: I64
    angle_sign: F64
    swing: np.ndarray
    rest_offsets_m: F64
    limits_rad: F64
    observed_rad: F64
    rest_rad: F64
    index_21: I64
    nose_offset_m: F64 = field(default_factory=lambda: np.array(NOSE_OFFSET_M))

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def angles_of(self, joint: int) -> np.ndarray:
        """Indices of the angles that turn a joint, in the order in which their rotations multiply."""
        return np.flatnonzero(self.angle_joint == joint)

    def local_rotations(self, angles_rad: np.ndarray) -> F64:
        """Rotation of each joint relative to its parent.

        Args:
            angles_rad: (T, D).

        Returns:
            Matrices (T, J, 3, 3); identity for the pelvis (the root's rotation is not an angle) and for end points.
        """
        signed = np.asarray(angles_rad, np.float64) * self.angle_sign
        out = np.broadcast_to(np.eye(3), (len(signed), len(self.joint_names), 3, 3)).copy()
        for joint in np.unique(self.angle_joint):
            indices = self.angles_of(int(joint))
            vectors = np.zeros((len(signed), len(indices), 3))
            for k, d in enumerate(indices):
                vectors[:, k, self.angle_axis[d]] = signed[:, d]
            if self.swing[joint]:
                vectors = np.stack([vectors[:, 0] + vectors[:, 1], vectors[:, 2]], 1)
            rotation = rotation_from_vector(vectors[:, 0])
            for k in range(1, vectors.shape[1]):
                rotation = rotation @ rotation_from_vector(vectors[:, k])
            out[:, joint] = rotation
        return out

    def forward(
        self,
        root_position: np.ndarray,
        root_rotation: np.ndarray,
        angles: np.ndarray,
        offsets: np.ndarray,
    ) -> tuple[F64, F64]:
        """Forward kinematics.

        Args:
            root_position: Pelvis, (T, 3) [m].
            root_rotation: Rest axes to camera (or world) axes, matrices (T, 3, 3).
            angles: (T, D) [rad].
            offsets: Bone offsets in the rest pose, (T, J, 3) or (J, 3) [m].

        Returns:
            Joint positions (T, J, 3) [m] and each joint's rotation from rest axes, (T, J, 3, 3).
        """
        local = self.local_rotations(angles)
        offsets = np.broadcast_to(np.asarray(offsets, np.float64), (*local.shape[:2], 3))
        positions = np.empty((*local.shape[:2], 3))
        rotations = np.empty_like(local)
        positions[:, 0] = root_position
        rotations[:, 0] = root_rotation
        for j in range(1, len(self.parents)):
            parent = self.parents[j]
            positions[:, j] = positions[:, parent] + (rotations[:, parent] @ offsets[:, j, :, None])[..., 0]
            rotations[:, j] = rotations[:, parent] @ local[:, j]
        return positions, rotations


def rotation_from_vector(vectors: np.ndarray) -> F64:
    """Rotation vectors (..., 3) [rad] -> matrices (..., 3, 3) (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)
    # series near 0: sin(a)/a and (1 - cos(a))/a^2 without division by a vanishing angle
    a = np.sinc(angle / np.pi)[..., None, None]
    b = (0.5 * np.sinc(angle / (2 * np.pi)) ** 2)[..., None, None]
    x, y, z = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
    zero = np.zeros_like(x)
    k = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)
    return np.eye(3) + a * k + b * (k @ k)


def _mirrored_axis(axis: str) -> str:
    """A reflection in the y-z plane keeps rotations about x and turns the others round."""
    return axis if axis[1] == "x" else ("-" if axis[0] == "+" else "+") + axis[1]


def _rows() -> list[_Row]:
    """All joints, both sides."""
    rows = list(_TRUNK)
    for limb in (_ARM, _LEG):
        own = {row[0] for row in limb}
        for side in ("right_", "left_"):
            for name, parent, (x, y, z), angles in limb:
                left = side == "left_"
                rows.append(
                    (
                        side + name,
                        side + parent if parent in own else parent,
                        (-x if left else x, y, z),
                        tuple((n, _mirrored_axis(a) if left else a) for n, a in angles),
                    )
                )
    return rows


def _build() -> Skeleton:
    rows = _rows()
    names = tuple(row[0] for row in rows)
    angles = [(j, f"{name}_{angle}", axis) for j, (name, _, _, own) in enumerate(rows) for angle, axis in own]
    angle_names = tuple(name for _, name, _ in angles)
    ranges = load_ranges(angle_names)
    return Skeleton(
        joint_names=names,
        parents=np.array([names.index(row[1]) if row[1] else -1 for row in rows]),
        angle_names=angle_names,
        angle_joint=np.array([j for j, _, _ in angles]),
        angle_axis=np.array(["xyz".index(axis[1]) for _, _, axis in angles]),
        angle_sign=np.array([1.0 if axis[0] == "+" else -1.0 for _, _, axis in angles]),
        swing=np.array([name.endswith("_shoulder") for name in names]),
        rest_offsets_m=np.array([row[2] for row in rows]),
        limits_rad=ranges.limits_rad,
        observed_rad=ranges.observed_rad,
        rest_rad=ranges.rest_rad,
        index_21=np.array([names.index(name) for name in JOINTS_3D]),
    )


#: The skeleton of all that leaves Stage III.
SKELETON = _build()
