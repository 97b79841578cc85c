"""Joints moved to where the rest of the body says they are: a small network that has learnt the mistakes of Stage I.

A heatmap speaks for its own joint alone. How the fourteen places and confidences of a person usually differ from the truth
can be learnt from pictures with labels; the correction costs some 90,000 multiply-adds a person. It belongs to the weights
whose mistakes it knows, lies beside them as ``NAME.refiner.safetensors`` and is made by ``python -m xnect.training.refiner``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnect.errors import WeightsError
from xnect.skeleton.joints import JOINTS_2D
from xnect.stages.executors import package
from xnect.structures import F32

_log = logging.getLogger(__name__)

#: Numbers a person is told by: places, confidences, size, distances to the map's four edges.
INPUTS = 3 * len(JOINTS_2D) + 5
OUTPUTS = 2 * len(JOINTS_2D)
#: Corrections are outputs times this share of the person's size.
STEP = 0.3
#: Share of a person's bounding box that the body fills, and the least size [cells].
_FILLED, _LEAST_SIZE = 0.6, 2.0
#: Largest numbers of neurons that are taken.
_MOST = 4096


@dataclass(frozen=True, slots=True)
class Refiner:
    """The network: matrix and bias of each layer, rectifiers between them."""

    layers: tuple[tuple[F32, F32], ...]

    def __call__(self, joints: F32, map_px: tuple[int, int]) -> None:
        """Move joints in place.

        Args:
            joints: float32 (P, 14, 3): x, y [cells], confidence; those not seen (0) at their guessed places.
            map_px: Width and height of the map [cells].
        """
        if not len(joints):
            return
        state, size = person_inputs(joints, map_px)
        for matrix, bias in self.layers[:-1]:
            state = np.maximum(state @ matrix + bias, 0)
        matrix, bias = self.layers[-1]
        shift = (state @ matrix + bias).reshape(len(joints), len(JOINTS_2D), 2)
        joints[..., :2] += (STEP * size)[:, None, None] * shift


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
    count = len(found) // 2
    if not 1 <= count <= 8 or set(found) != {f"{part}{k}" for k in range(count) for part in ("matrix", "bias")}:
        raise WeightsError(f"{path} is not a refiner: matrix0, bias0, ... expected")
    layers = tuple((found[f"matrix{k}"], found[f"bias{k}"]) for k in range(count))
    before = INPUTS
    for matrix, bias in layers:
        if matrix.ndim != 2 or len(matrix) != before or bias.shape != matrix.shape[1:] or len(bias) > _MOST:
            raise WeightsError(f"{path} is not a refiner of {len(JOINTS_2D)} joints: its layers do not fit together")
        before = len(bias)
    if before != OUTPUTS:
        raise WeightsError(f"{path} is made for other joints")
    if not all(np.isfinite(part).all() for layer in layers for part in layer):
        raise WeightsError(f"{path} contains values that are not finite")
    return made_for, Refiner(layers)
