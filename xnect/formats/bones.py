"""What bones are called outside (Unity's humanoid, which BVH, GLB and VMC share) and which of them end a chain."""

from __future__ import annotations

from xnect.skeleton.kinematics import SKELETON

_OUTSIDE = {
    "pelvis": "Hips", "lumbar": "Spine", "spine": "Chest", "neck": "Neck", "head": "Head", "clavicle": "Shoulder",
    "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand", "hip": "UpperLeg", "knee": "LowerLeg",
    "ankle": "Foot", "toe": "Toes",
}  # fmt: skip


def bone_name(joint: str) -> str:
    """Name of the bone that starts at a joint of the skeleton, such as "RightUpperArm"; "" for a bare end point."""
    side, name = "", joint
    for prefix in ("right_", "left_"):
        if joint.startswith(prefix):
            side, name = prefix[:-1].capitalize(), joint.removeprefix(prefix)
    return side + _OUTSIDE[name] if name in _OUTSIDE else ""


#: Bone names by joint of ``SKELETON``; "" = end point without a bone of its own (top of the head, finger tips).
BONE_NAMES: tuple[str, ...] = tuple(bone_name(name) for name in SKELETON.joint_names)
CHILDREN: tuple[tuple[int, ...], ...] = tuple(
    tuple(c for c, p in enumerate(SKELETON.parents.tolist()) if p == j) for j in range(len(SKELETON.joint_names))
)
