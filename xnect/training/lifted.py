"""3D for photos: what Stage II makes of their labelled joints, as a weak truth for Stage I's encoding.

Synthetic pictures alone teach an encoding that means less on photos. The labels of a photo tell a pose in 3D, though not
surely: Stage II lifts them, and says how far off it may be.
"""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from xnect.geometry import camera_from_fov, unproject
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_2D, PARENTS_3D
from xnect.stages.lifting import Lifter
from xnect.structures import Detections
from xnect.training.datasets.store import MAX_PEOPLE, Store

#: People with fewer labelled joints are not lifted.
LEAST_JOINTS = 8
#: What the encoding of a photo counts beside that of a synthetic picture, times Stage II's own confidence.
WEIGHT = 0.5
#: Photos do not tell their field of view along the longer side [degrees].
FOV_DEG = 60.0
_SURE = 0.9


def attach_lifted(store: Store, lifter: Lifter) -> Store:
    """The store with ``bones`` and ``rays`` of everybody whose labels are enough, with low weights."""
    store.bones = torch.zeros(len(store), MAX_PEOPLE, len(PARENTS_3D), 3)
    store.rays = torch.zeros(len(store), MAX_PEOPLE, len(JOINTS_2D), 3)
    labelled = store.joints[..., 2] > 0
    enough = (labelled.sum(-1) >= LEAST_JOINTS) & ~store.ignore
    for row in tqdm(torch.nonzero(enough.any(1)).flatten().tolist(), desc="lifting", unit="", disable=None):
        who = torch.nonzero(enough[row]).flatten()
        width, height = store.size[row].int().tolist()
        camera = camera_from_fov((width, height), FOV_DEG, estimated=True)
        known = labelled[row, who].numpy()
        joints = np.where(known[..., None], store.joints[row, who, :, :2].numpy(), camera.matrix_px[:2, 2])
        confidence = np.where(known, _SURE, 0.0).astype(np.float32)
        people = Detections(joints.astype(np.float32), confidence, np.ones(len(who), np.float32))
        poses = lifter(people, camera)
        weight = WEIGHT * poses.confidence[:, JOINT_3D_OF_2D] * known
        rays = np.concatenate([unproject(joints, camera), weight[..., None]], -1)
        bones = poses.joints_m - poses.joints_m[:, PARENTS_3D]
        store.bones[row, who] = torch.from_numpy(bones.astype(np.float32))
        store.rays[row, who] = torch.from_numpy(rays.astype(np.float32))
    return store
