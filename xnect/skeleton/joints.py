"""Names, order and neighbours of the joints; the one place where the two joint sets are written down."""

import numpy as np

from xnect.structures import MapSpec

JOINTS_2D: tuple[str, ...] = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
)  # fmt: skip

JOINTS_3D: tuple[str, ...] = (
    "head_top", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "pelvis", "spine", "head", "right_hand", "left_hand", "right_toe", "left_toe",
)  # fmt: skip

PELVIS = JOINTS_3D.index("pelvis")

#: Parent of each 3D joint (method.md section 3; the pelvis is its own).
PARENTS_3D = np.array([16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, 14, 14, 1, 4, 7, 10, 13])
PARENTS_3D.setflags(write=False)

#: Limbs of the affinity fields, as pairs of 2D joints.
LIMBS: tuple[tuple[int, int], ...] = (
    (1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7),
    (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
)  # fmt: skip

#: Length of each limb as a share of body height (an average adult, standing).
LIMB_SHARE = np.array([0.11, 0.11, 0.17, 0.15, 0.11, 0.17, 0.15, 0.30, 0.24, 0.24, 0.30, 0.24, 0.24], np.float32)
LIMB_SHARE.setflags(write=False)

#: 3D joint that stands where the 2D joint does; the nose has none of its own (the head is nearest).
JOINT_3D_OF_2D = np.array([16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
JOINT_3D_OF_2D.setflags(write=False)


def mirrored(names: tuple[str, ...]) -> np.ndarray:
    """Index of each joint's partner on the other side of the body, int64 (J,)."""

    def partner(name: str) -> str:
        for a, b in (("left_", "right_"), ("right_", "left_")):
            if name.startswith(a):
                return b + name.removeprefix(a)
        return name

    return np.array([names.index(partner(n)) for n in names])


FLIP_2D = mirrored(JOINTS_2D)
FLIP_3D = mirrored(JOINTS_3D)

#: The channels of the network that ships.
MAPS = MapSpec(joints=JOINTS_2D, limbs=LIMBS, encoding_joints=JOINTS_3D, stride=8)

#: COCO's per-joint falloff for the 13 joints that COCO labels (all of ours but the neck), in our order.
OKS_SIGMAS_13 = np.array([0.026, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089])
#: Rows of the 14 joints that COCO labels.
COCO_13 = np.array([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
