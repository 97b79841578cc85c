"""Keypoint sets of other programs, and the way from them to our 14 joints."""

from __future__ import annotations

import numpy as np

from xnect.skeleton.joints import COCO_13, JOINTS_2D
from xnect.structures import Detections

_EYES_EARS = ("left_eye", "right_eye", "left_ear", "right_ear")
_OPENPOSE_ARMS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
_RIGHT_LEG, _LEFT_LEG = ("right_hip", "right_knee", "right_ankle"), ("left_hip", "left_knee", "left_ankle")
#: The 17 keypoints of COCO.
COCO_17 = (
    "nose", *_EYES_EARS, "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
#: Where the 13 joints that COCO labels (``COCO_13``, in our order) are among its 17 keypoints.
COCO_13_OF_17 = np.array([COCO_17.index(JOINTS_2D[j]) for j in COCO_13])
#: OpenPose's 25 keypoints.
BODY_25 = (
    *_OPENPOSE_ARMS, "pelvis", *_RIGHT_LEG, *_LEFT_LEG, "right_eye", "left_eye", "right_ear", "left_ear",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
#: OpenPose's 18 keypoints.
OPENPOSE_18 = (*_OPENPOSE_ARMS, *_RIGHT_LEG, *_LEFT_LEG, "right_eye", "left_eye", "right_ear", "left_ear")
#: Halpe's 26 keypoints (AlphaPose, RTMPose's "body with feet").
HALPE_26 = (
    *COCO_17, "head_top", "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe",
    "left_heel", "right_heel",
)  # fmt: skip
#: COCO-WholeBody: COCO's 17, then feet, face and hands, which are left out.
WHOLE_BODY_133 = (*COCO_17, *(f"detail_{n}" for n in range(116)))

#: Keypoint sets by how many keypoints they have.
LAYOUTS: dict[int, tuple[str, ...]] = {
    len(names): names for names in (JOINTS_2D, COCO_17, OPENPOSE_18, BODY_25, HALPE_26, WHOLE_BODY_133)
}
#: Coordinates beyond this are no pixels [px].
FARTHEST_PX = 1e6
_NECK = JOINTS_2D.index("neck")
_SHOULDERS = [JOINTS_2D.index("right_shoulder"), JOINTS_2D.index("left_shoulder")]


def detections_from(
    points_px: np.ndarray, confidence: np.ndarray, names: tuple[str, ...], score: np.ndarray | None = None
) -> Detections:
    """People of one frame from another program's keypoints.

    A keypoint counts as seen where its confidence is above 0 and its place is a finite number of pixels. Where the set
    has no neck, or it was not seen, the neck is the middle of the shoulders and as sure as the less sure of them.

    Args:
        points_px: (P, K, 2) [px].
        confidence: (P, K); above 1 counts as 1.
        names: K names; those that are not among our 14 joints are left out.
        score: (P,), how sure each person is; None = mean confidence of the 14 joints.
    """
    people = len(points_px)
    joints, sure = np.zeros((people, 14, 2)), np.zeros((people, 14))
    pairs = [(names.index(name), j) for j, name in enumerate(JOINTS_2D) if name in names]
    theirs, ours = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    joints[:, ours], sure[:, ours] = points_px[:, theirs], confidence[:, theirs]
    good = (sure > 0) & (np.abs(joints) <= FARTHEST_PX).all(-1)  # false for NaN too
    joints = np.where(good[..., None], joints, 0.0)
    sure = np.where(good, np.minimum(sure, 1.0), 0.0)
    middle = (sure[:, _NECK] == 0) & (sure[:, _SHOULDERS] > 0).all(1)
    joints[middle, _NECK] = joints[middle][:, _SHOULDERS].mean(1)
    sure[middle, _NECK] = sure[middle][:, _SHOULDERS].min(1)
    whole = sure.mean(1) if score is None else np.nan_to_num(np.clip(score, 0, 1), nan=0.0)
    return Detections(joints.astype(np.float32), sure.astype(np.float32), np.asarray(whole, np.float32).reshape(people))


def strongest(people: Detections, min_joints: int, min_score: float, most: int) -> Detections:
    """Those with enough joints and score, best first, at most so many."""
    keep = np.flatnonzero(((people.confidence > 0).sum(1) >= min_joints) & (people.score >= min_score))
    rows = keep[np.argsort(-people.score[keep], kind="stable")][:most]
    encoding = None if people.encoding is None else people.encoding[rows]
    return Detections(people.joints_px[rows], people.confidence[rows], people.score[rows], encoding)
