"""Synthetic shards (``xnect synth write``) as a store: 2D joints of everyone, and the 3D truth for the pose encoding."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from xnect.codec.encoding import REFERENCE_HEIGHT_M
from xnect.errors import FormatError
from xnect.geometry import unproject
from xnect.skeleton.joints import JOINTS_2D, LIMBS, PARENTS_3D
from xnect.structures import F32, Bool, Camera
from xnect.training.datasets.people import empty_store
from xnect.training.datasets.store import MAX_PEOPLE, Store
from xnect.training.synthetic.labels import HIDDEN, SEEN
from xnect.training.synthetic.shards import Sample, Shards

#: Who shows fewer joints or less of the picture than that is no person to be found, and no background either.
_LEAST_JOINTS, _LEAST_SHARE = 3, 0.0004
#: Who shows less than this share of the picture is not there at all.
_GONE_SHARE = 0.0001
#: What the encoding at a joint that is hidden, but next to one that is seen, counts beside that at a seen one.
_HIDDEN_WEIGHT = 0.3


def _neighbours() -> Bool:
    """Which 2D joints are joined by a limb, bool (14, 14)."""
    out = np.zeros((len(JOINTS_2D), len(JOINTS_2D)), np.bool_)
    for a, b in LIMBS:
        out[a, b] = out[b, a] = True
    return out


_NEXT = _neighbours()


def labelled(state: np.ndarray) -> Bool:
    """Which joints (P, 14) of state OUTSIDE, HIDDEN or SEEN are labels: seen, or hidden beside one that is seen.

    A photo's labels are like that: who marks joints guesses a hidden one from its neighbours, and leaves out the rest.
    """
    backed = (state == SEEN) @ _NEXT > 0
    return np.asarray((state == SEEN) | ((state == HIDDEN) & backed), np.bool_)


def camera_of(sample: Sample) -> Camera:
    """The camera of a picture, its lens included."""
    height, width = sample.image_bgr.shape[:2]
    return Camera(sample.matrix_px, (width, height), sample.distortion, estimated=False)


def bones_of(sample: Sample) -> F32:
    """Vectors from parent to joint of bodies rescaled to 1.70 m, camera axes, float32 (P, 21, 3) [m]."""
    joints = sample.joints_3d.astype(np.float64)
    scale = REFERENCE_HEIGHT_M / np.maximum(sample.height_m.astype(np.float64), 0.1)
    return ((joints - joints[:, PARENTS_3D]) * scale[:, None, None]).astype(np.float32)


def load_synthetic(folder: Path, side: int = 288, limit: int | None = None) -> Store:
    """The shards of ``folder`` as tensors on the CPU, with ``bones`` and ``rays``.

    Args:
        folder: As written by ``xnect synth write``; shards still missing are left out.
        side: The longer side of each picture is brought to this [px].
        limit: Only so many pictures, spread over the set (for trials).

    Raises:
        FormatError: No shards, or damaged ones.
    """
    shards = Shards(folder)
    if not len(shards):
        raise FormatError(f"{folder} holds no whole shard yet")
    rows = range(len(shards))
    if limit:
        rows = range(0, len(shards), max(1, len(shards) // limit))[:limit]
    store = empty_store(len(rows), side)
    store.complete[:] = True
    store.bones = torch.zeros(len(rows), MAX_PEOPLE, len(PARENTS_3D), 3)
    store.rays = torch.zeros(len(rows), MAX_PEOPLE, len(JOINTS_2D), 3)
    for row, number in enumerate(tqdm(rows, desc="synthetic", unit="", disable=None)):
        _fill(store, row, shards[number])
    return store


def _fill(store: Store, row: int, sample: Sample) -> None:
    height, width = sample.image_bgr.shape[:2]
    scale = store.side / max(height, width)
    size = [max(1, round(width * scale)), max(1, round(height * scale))]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = cv2.resize(sample.image_bgr, size, interpolation=method)
    store.pictures[row, :, : size[1], : size[0]] = torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)
    store.size[row], store.ids[row] = torch.tensor(size), sample.number
    share = sample.area_px / (height * width)
    state = sample.joints_2d[..., 2]
    there = np.flatnonzero(share >= _GONE_SHARE)
    there = there[np.argsort(-share[there], kind="stable")][:MAX_PEOPLE]
    if not len(there):
        return
    slots = torch.arange(len(there))
    usable = ((state[there] == SEEN).sum(1) >= _LEAST_JOINTS) & (share[there] >= _LEAST_SHARE)
    # the box of what is in the picture, as in photos
    box = np.clip(sample.box_px[there], 0, [width, height, width, height])
    box = np.concatenate([box[:, :2], np.maximum(box[:, 2:] - box[:, :2], 1)], 1) * scale
    store.boxes[row, slots] = torch.from_numpy(box.astype(np.float32))
    store.ignore[row, slots] = torch.from_numpy(~usable)
    known = labelled(state[there]) & usable[:, None]
    flat = sample.joints_2d[there, :, :2].astype(np.float64)
    # pixel centres at integers: a resized picture's are at (x + 1/2) scale - 1/2
    joints = np.concatenate([((flat + 0.5) * scale - 0.5) * known[..., None], known[..., None]], -1)
    store.joints[row, slots] = torch.from_numpy(joints.astype(np.float32))
    assert store.bones is not None
    assert store.rays is not None
    store.bones[row, slots] = torch.from_numpy(bones_of(sample)[there])
    safe = np.where(known[..., None], flat, sample.matrix_px[:2, 2])
    weight = np.where(state[there] == SEEN, 1.0, _HIDDEN_WEIGHT) * known
    rays = np.concatenate([unproject(safe, camera_of(sample)), weight[..., None]], -1)
    store.rays[row, slots] = torch.from_numpy(rays.astype(np.float32))
