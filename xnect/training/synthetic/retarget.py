"""Motion capture onto a body: each joint takes the source's rotation times a constant that aligns the rest bones."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from xnect.structures import F64
from xnect.training.synthetic.bodies import Body, BodySpace, Pose
from xnect.training.synthetic.motion import JOINTS, Motion

_CHILD = {"upperarm": "lowerarm", "lowerarm": "hand", "hand": "knuckle", "thigh": "calf", "calf": "foot"}
_LIMBS = [[f"{p}_{s}" for p in chain] for s in "lr" for chain in (("upperarm", "lowerarm", "hand"), ("thigh", "calf"))]
#: Our joint -> the end of the motion pack's bone that it carries.
_SOURCE_BONE = {
    f"{ours}_{s}": f"{s}_{end}"
    for s in "lr"
    for ours, end in (
        ("upperarm", "elbow"),
        ("lowerarm", "wrist"),
        ("hand", "hand"),
        ("thigh", "knee"),
        ("calf", "ankle"),
    )
}
#: Trunk: our joint -> (end of our bone, end of the source's bone).
_TRUNK = {
    "spine_01": ("spine_03", "spine"),
    "spine_03": ("neck", "neck"),
    "neck": ("head", "head"),
    "head": ("head_top", "head_top"),
}
#: Our joint -> the source's joint whose rotation drives it.
_DRIVER = {"pelvis": "pelvis", "spine_01": "lumbar", "spine_03": "spine", "neck": "neck", "head": "head"} | {
    f"{ours}_{s}": f"{s}_{theirs}"
    for s in "lr"
    for ours, theirs in (
        ("clavicle", "clavicle"), ("upperarm", "shoulder"), ("lowerarm", "elbow"), ("hand", "wrist"),
        ("thigh", "hip"), ("calf", "knee"), ("foot", "ankle"), ("toe", "ankle"),
    )
}  # fmt: skip


@njit(cache=True)
def least_rotation(a: F64, b: F64) -> F64:
    """The shortest rotation (3, 3) that takes direction ``a`` to direction ``b``."""
    a, b = a / math.sqrt((a * a).sum()), b / math.sqrt((b * b).sum())
    cosine = (a * b).sum()
    out = np.empty((3, 3))
    if cosine < -0.9999:  # opposite: half a turn about any axis across
        k = np.abs(a).argmin()
        across = -a[k] * a
        across[k] += 1.0
        across /= math.sqrt((across * across).sum())
        for i in range(3):
            for j in range(3):
                out[i, j] = 2 * across[i] * across[j] - (1.0 if i == j else 0.0)
        return out
    x, y, z = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    k = 1 / (1 + cosine)
    out[0] = np.array([1 - k * (y * y + z * z), k * x * y - z, k * x * z + y])
    out[1] = np.array([k * x * y + z, 1 - k * (x * x + z * z), k * y * z - x])
    out[2] = np.array([k * x * z - y, k * y * z + x, 1 - k * (x * x + y * y)])
    return out


def halfway(a: F64, b: F64) -> F64:
    """The rotations (..., 3, 3) between two sets of near ones: their mean, made orthogonal again."""
    u, _, v = np.linalg.svd(a + b)
    u[..., -1] *= np.linalg.det(u @ v)[..., None]
    return u @ v


def turn(axis: str, degrees: float) -> F64:
    """Rotation matrix (3, 3) about a coordinate axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    if axis == "x":
        return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    if axis == "y":
        return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


class Retarget:
    """Poses of one body from the motions of one skeleton.

    With Q the source's global rotation of a joint, ours is ``Q @ A``; A takes our rest bone onto the source's. Down a
    limb each A starts from its parent's, so that the bend planes of elbow and knee are kept. Pelvis, clavicles and
    feet take Q as it is: in both rests the pelvis is level, the shoulders hang naturally and the feet stand flat.

    Args:
        space: The body's rig.
        body: Whom to pose.
        offsets_m: The source's bone offsets (24, 3).
    """

    def __init__(self, space: BodySpace, body: Body, offsets_m: F64) -> None:
        self._space = space

        def where(name: str) -> F64:
            return space.named_place(body, name)

        align = {name: np.eye(3) for name in space.joint_names}
        for limb in _LIMBS:
            a = np.eye(3)
            for joint in limb:
                part, side = joint.rsplit("_", 1)
                bone = where(f"{_CHILD[part]}_{side}") - where(joint)
                a = least_rotation(a @ bone, offsets_m[JOINTS.index(_SOURCE_BONE[joint])]) @ a
                align[joint] = a
        for joint, (end, source) in _TRUNK.items():
            align[joint] = least_rotation(where(end) - where(joint), offsets_m[JOINTS.index(source)])
        align["spine_02"] = align["spine_01"]
        self._align = np.stack([align[n] for n in space.joint_names])
        driver = _DRIVER | {"spine_02": "lumbar"}
        self._driver = np.array([JOINTS.index(driver[n]) for n in space.joint_names])
        ours = np.linalg.norm(where("thigh_l") - where("calf_l")) + np.linalg.norm(where("calf_l") - where("foot_l"))
        theirs = sum(np.linalg.norm(offsets_m[JOINTS.index(n)]) for n in ("l_knee", "l_ankle"))
        #: Our leg length over the source's.
        self.scale = float(ours / theirs)
        self._pelvis_from_hips = where("pelvis") - (where("thigh_l") + where("thigh_r")) / 2

    def poses(self, motion: Motion) -> list[Pose]:
        """One pose a frame, in the motion's own world (floor near y = 0)."""
        drive = motion.rotations[:, self._driver]
        middle = self._space.joint("spine_02")
        pair = [motion.rotations[:, JOINTS.index(n)] for n in ("lumbar", "spine")]
        drive[:, middle] = halfway(*pair)
        rotations = drive @ self._align
        hips = motion.joints_m[:, [JOINTS.index("l_hip"), JOINTS.index("r_hip")]].mean(1) * self.scale
        pelvis = hips + rotations[:, 0] @ self._pelvis_from_hips
        return [Pose(r, p) for r, p in zip(rotations, pelvis, strict=True)]
