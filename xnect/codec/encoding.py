"""What the 63 channels of the 3D encoding mean: the values to write, the channels that may be trusted, how to read them.

The map holds, for each of the 21 3D joints k, the vector from k's parent to k: channels 3k, 3k + 1, 3k + 2 are its x, y
and z. At the pixel of 2D joint j a whole 63-vector is read, but only some of it means anything there:

- **Trusted at j**: the vector of the 3D joint that stands at j (``JOINT_3D_OF_2D``; the head for the nose), of its
  kinematic parent, and of its children, i.e. the bones that meet at j and the one before. Everything else is noise by
  intent (the loss leaves it free), so that no capacity is spent on limbs that cannot be seen from there. The pelvis is
  its own parent, its vector is always zero and never trusted.
- **Unit**: metres of the person rescaled to a standing height of 1.70 m (``REFERENCE_HEIGHT_M``), since one camera
  cannot tell a near child from a far adult.
- **Axes**: the frame of the ray through j's own pixel (``geometry.ray_rotation``): what the picture shows around a pixel
  depends on the pose in that frame only, wherever in the picture it is. ``in_frame_of`` turns it into another ray's.
"""

from __future__ import annotations

import numpy as np

from xnect.geometry import ray_rotation
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_2D, JOINTS_3D, PARENTS_3D, PELVIS
from xnect.structures import F32, Bool

#: Standing height to which every body is rescaled in the encoding and in Stage II's output [m].
REFERENCE_HEIGHT_M = 1.70


def _trusted() -> Bool:
    """Joints whose vector is supervised at each 2D joint, bool (14, 21)."""
    mask = np.zeros((len(JOINTS_2D), len(JOINTS_3D)), np.bool_)
    for row, joint in zip(mask, JOINT_3D_OF_2D, strict=True):
        row[joint] = row[PARENTS_3D[joint]] = True
        row[joint == PARENTS_3D] = True
    mask[:, PELVIS] = False
    return mask


#: Joints whose vector may be trusted at each 2D joint, bool (14, 21).
TRUSTED_JOINTS = _trusted()
TRUSTED_JOINTS.setflags(write=False)
#: The same per channel, bool (14, 63).
TRUSTED_CHANNELS = TRUSTED_JOINTS.repeat(3, axis=1)
TRUSTED_CHANNELS.setflags(write=False)


def encode(joints_m: np.ndarray, xy: np.ndarray, height_m: np.ndarray | float) -> tuple[F32, Bool]:
    """Target values of the encoding at each 2D joint.

    Args:
        joints_m: (P, 21, 3) in camera axes [m]; only differences count, so camera space or root-relative alike.
        xy: (P, 14, 2), picture-plane coordinates (x/z, y/z; ``geometry.unproject``) of the 2D joints.
        height_m: Standing height of each person, (P,) or one for all [m].

    Returns:
        Values float32 (P, 14, 63), and the mask of the supervised channels, bool (14, 63): the loss counts those only,
        and of joints with evidence in the picture only: seen, or next on the body to one that is.
    """
    scale = REFERENCE_HEIGHT_M / np.broadcast_to(np.asarray(height_m, np.float64), len(joints_m))
    bones = (joints_m - joints_m[:, PARENTS_3D]) * scale[:, None, None]
    values = np.einsum("pkc,pjcd->pjkd", bones, ray_rotation(np.asarray(xy, np.float64)))  # R^T v, as row vectors
    return values.reshape(*xy.shape[:2], 3 * len(JOINTS_3D)).astype(np.float32), TRUSTED_CHANNELS


def in_frame_of(values: np.ndarray, xy: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Encodings read at the joints, turned from each joint's ray into the ray of the person.

    Args:
        values: (P, 14, 63), as read from the map.
        xy: (P, 14, 2), picture-plane coordinates of the joints where they were read.
        target: (P, 3, 3), rotation of the person's ray (``geometry.ray_rotation``).

    Returns:
        (P, 14, 21, 3), parent-relative vectors in the frame of the person's ray [m of a body of 1.70 m].
    """
    vectors = values.reshape(*values.shape[:2], len(JOINTS_3D), 3)
    turn = np.einsum("pjcd,pce->pjde", ray_rotation(xy), target)  # rows: target^T R
    return np.einsum("pjkd,pjde->pjke", vectors, turn)
