"""Joints moved to where the rest of the body says they are, and people judged by what they look like: a small network that
has learnt the mistakes of Stage I.

A heatmap speaks for its own joint alone, and its highest point is not where labels have the joint on average. How the
fourteen places and confidences of a person usually differ from the truth, and what a heatmap looks like around a joint that
lies elsewhere, can be learnt from pictures with labels. So can how well a person found agrees with a true one, if there is
one at all: the mean height of the peaks says less. Both cost some 250,000 multiply-adds a person. The network belongs to the
weights whose mistakes it knows, lies beside them as ``NAME.refiner.safetensors`` and is made by
``python -m xnect.training.refiner``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from xnect.errors import WeightsError
from xnect.skeleton.joints import JOINTS_2D
from xnect.stages.executors import package
from xnect.structures import F32

_log = logging.getLogger(__name__)

#: Numbers a person is told by: places, confidences, size, distances to the map's four edges.
INPUTS = 3 * len(JOINTS_2D) + 5
#: What the whole person says: two shifts a joint, and one number for the score.
OUTPUTS = 2 * len(JOINTS_2D) + 1
#: Corrections are outputs times this share of the person's size.
STEP = 0.3
#: Share of a person's bounding box that the body fills, and the least size [cells].
_FILLED, _LEAST_SIZE = 0.6, 2.0
#: A window onto a joint's heatmap: points a side, and the step between them in shares of the person's size, at least ... [cells].
_WINDOW_SIDE, _WINDOW_STEP, _LEAST_STEP = 9, np.float32(0.05), np.float32(0.5)
WINDOW = _WINDOW_SIDE**2
#: Largest numbers of neurons and of layers that are taken.
_MOST, _MOST_LAYERS = 4096, 8
Layer = tuple[F32, F32]


@dataclass(frozen=True, slots=True, eq=False)
class Refiner:
    """The network; each layer is a matrix and a bias, with rectifiers between them.

    Attributes:
        person: Layers from ``INPUTS`` to what is known of the whole person, H numbers.
        whole: Layer from there to the shifts of all joints, and the person's own part of the score.
        window: Matrices from a joint's window (``WINDOW``, K), for each joint (14, K), and from the person (H, K); their
            sum is the first layer that a joint has of its own.
        joint: The further layers of a joint, the last to its shift and its part of the score.
    """

    person: tuple[Layer, ...]
    whole: Layer
    window: tuple[F32, F32, F32]
    joint: tuple[Layer, ...]

    def __call__(self, joints: F32, heatmaps: F32) -> F32:
        """Move joints in place, and tell how good they are.

        Args:
            joints: float32 (P, 14, 3): x, y [cells], confidence; those not seen (0) at their guessed places.
            heatmaps: float32 (14, h, w), where they were found.

        Returns:
            float32 (P,), 0 to 1: the similarity (OKS) with a true person that is to be expected; where nobody is, 0.
        """
        if not len(joints):
            return np.zeros(0, np.float32)
        state, size = person_inputs(joints, (heatmaps.shape[2], heatmaps.shape[1]))
        for matrix, bias in self.person:
            state = np.maximum(state @ matrix + bias, 0)
        matrix, bias = self.whole
        whole = state @ matrix + bias
        by_window, by_joint, by_person = self.window
        near = windows(heatmaps, joints, size) @ by_window + by_joint + (state @ by_person)[:, None]
        for matrix, bias in self.joint:
            near = np.maximum(near, 0) @ matrix + bias
        shift = whole[:, :-1].reshape(len(joints), len(JOINTS_2D), 2) + near[..., :2]
        joints[..., :2] += (STEP * size)[:, None, None] * shift
        return 1 / (1 + np.exp(-np.clip(whole[:, -1] + near[..., 2].mean(1), -30, 30)))


def windows(heatmaps: F32, joints: F32, size: F32) -> F32:
    """What the heatmaps look like around their joints, float32 (P, 14, ``WINDOW``), bilinear, row after row.

    Args:
        heatmaps: float32 (14, h, w).
        joints: float32 (P, 14, 3), as for ``Refiner``.
        size: float32 (P,), of ``person_inputs``.
    """
    out = np.empty((*joints.shape[:2], WINDOW), np.float32)
    _look(heatmaps, joints, size, out)
    return out


@njit(cache=True, fastmath=True)
def _look(heatmaps: F32, joints: F32, size: F32, out: F32) -> None:  # pragma: no cover - compiled
    """``windows``, point by point; beyond the map its edge goes on."""
    height, width = heatmaps.shape[1:]
    one, reach = np.float32(1), _WINDOW_SIDE // 2
    for p in range(len(joints)):
        step = max(_LEAST_STEP, _WINDOW_STEP * size[p])
        for j in range(joints.shape[1]):
            heat, k = heatmaps[j], 0
            for row in range(-reach, reach + 1):
                y = min(max(joints[p, j, 1] + np.float32(row) * step, np.float32(0)), np.float32(height - 1))
                top = min(int(y), height - 2)
                down = y - np.float32(top)
                for column in range(-reach, reach + 1):
                    x = min(max(joints[p, j, 0] + np.float32(column) * step, np.float32(0)), np.float32(width - 1))
                    left = min(int(x), width - 2)
                    over = x - np.float32(left)
                    above = heat[top, left] * (one - over) + heat[top, left + 1] * over
                    below = heat[top + 1, left] * (one - over) + heat[top + 1, left + 1] * over
                    out[p, j, k] = above * (one - down) + below * down
                    k += 1


def person_inputs(joints: F32, map_px: tuple[int, int]) -> tuple[F32, F32]:
    """What the network reads: float32 (P, ``INPUTS``), and each person's size, float32 (P,) [cells].

    Args:
        joints: As for ``Refiner``.
        map_px: Width and height of the map [cells].
    """
    places, sure = joints[..., :2], np.clip(joints[..., 2], 0, 1)
    low, high = places.min(1), places.max(1)
    wide, tall = (high - low).T
    # of people guessed from two joints a place may be anywhere: numbers beyond the map say no more than its edge
    size = np.clip(np.sqrt(_FILLED * wide * tall), _LEAST_SIZE, max(map_px)).astype(np.float32)
    one = size[:, None]
    relative = np.clip((places - places.mean(1, keepdims=True)) / one[..., None], -4, 4)
    edges = np.clip(np.concatenate([low, np.array(map_px, np.float32) - high], 1) / one, -1, 1)
    inputs = np.concatenate([relative.reshape(len(joints), -1), sure, np.log(one) - 2, edges], 1)
    return inputs.astype(np.float32), size


def beside(weights: Path) -> Path:
    """Where the refiner of a weights file lies."""
    return weights.with_name(f"{weights.stem}.refiner.safetensors")


def load_refiner(weights: Path) -> Refiner | None:
    """The refiner beside a weights file; None where there is none, or one made for other weights.

    Raises:
        WeightsError: It is damaged, or the weights cannot be read.
    """
    path = beside(weights)
    if not path.is_file():
        return None
    made_for, refiner = read_refiner(path)
    if made_for == package.digest(weights):
        return refiner
    _log.info("%s was made for other weights: going on without", path.name)
    return None


def read_refiner(path: Path) -> tuple[str, Refiner]:
    """A refiner's file: the SHA-256 of the weights it was made for, and the network; raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            made_for = str((file.metadata() or {}).get("weights_sha256"))
            found = {key: file.get_tensor(key).astype(np.float32) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is not a readable refiner: {error}") from error
    try:
        refiner = _assembled(found)
    except KeyError as error:
        raise WeightsError(f"{path} is not a refiner: {error.args[0]} is missing") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not a refiner of {len(JOINTS_2D)} joints: {error}") from error
    return made_for, refiner


def _assembled(found: dict[str, F32]) -> Refiner:
    """A refiner from its tensors; raises KeyError (one is missing) or ValueError (they do not fit)."""
    if not all(np.isfinite(part).all() for part in found.values()):
        raise ValueError("it contains values that are not finite")
    left = dict(found)

    def take(name: str, *shape: int | None) -> F32:
        part = left.pop(name)
        fits = part.ndim == len(shape) and all(b in (None, a) for a, b in zip(part.shape, shape, strict=True))
        if not fits or max(part.shape) > _MOST:
            raise ValueError(f"{name} has the shape {part.shape}")
        return np.ascontiguousarray(part)

    def layer(name: str, before: int, after: int | None = None) -> Layer:
        matrix = take(f"{name}.matrix", before, after)
        return matrix, take(f"{name}.bias", matrix.shape[1])

    person: list[Layer] = []
    joint: list[Layer] = []
    width = INPUTS
    while f"person{len(person)}.matrix" in left and len(person) < _MOST_LAYERS:
        person.append(layer(f"person{len(person)}", width))
        width = len(person[-1][1])
    whole = layer("whole", width, OUTPUTS)
    by_window = take("window.window", WINDOW, None)
    near = by_window.shape[1]
    window = by_window, take("window.joint", len(JOINTS_2D), near), take("window.person", width, near)
    while f"joint{len(joint)}.matrix" in left and len(joint) < _MOST_LAYERS:
        joint.append(layer(f"joint{len(joint)}", near))
        near = len(joint[-1][1])
    if not joint or near != 3:
        raise ValueError("the last layer of a joint must give x, y and a part of the score")
    if left:
        raise ValueError(f"{sorted(left)[0]} has no place in it")
    return Refiner(tuple(person), whole, window, tuple(joint))
