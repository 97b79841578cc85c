"""Stage II: from a person's 2D joints (and 3D encoding, where there is one) to 21 joints in 3D, all people at once.

The network is a small residual perceptron with batch norm folded in, so the run time is a few matrix products in numpy:
no torch, and no cost but arithmetic for ten people.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnect.codec.encoding import REFERENCE_HEIGHT_M
from xnect.errors import WeightsError
from xnect.geometry import unproject
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_2D, JOINTS_3D, PELVIS
from xnect.stages.lifting_frame import (
    ERRORS,
    INPUTS,
    OUTPUTS,
    finish,
    network_inputs,
    plain_inputs,
    to_ray_frame,
)
from xnect.structures import F32, Bool, Camera, Detections, Poses
from xnect.untrusted import parse_json

#: So many people are multiplied by the weights at once: with more, up to ``_FEW``, BLAS takes another and slower way
#: than two or three such groups need (OpenBLAS has kernels for products of up to a million).
_AT_ONCE, _FEW = 6, 24
#: An expected error of this size [m] gives a confidence of 1/e.
CONFIDENCE_SCALE_M = 0.15
DEFAULT_WEIGHTS = Path(__file__).resolve().parents[2] / "assets" / "weights" / "stage2.safetensors"

_FORMAT = "xnect-stage2"
_SPINE = JOINTS_3D.index("spine")
_NECK_2D, _RIGHT_HIP_2D, _LEFT_HIP_2D = 1, 8, 11


@dataclass(frozen=True, slots=True, eq=False)
class LiftingWeights:
    """A trained network, ready to run.

    Attributes:
        layers: Matrix float32 (in, out) and bias float32 (out,) of every layer: first, two per block, last.
        encoding: Whether it was trained with the 3D encoding; without, an encoding given is left aside.
        card: The JSON beside the file.
    """

    layers: tuple[tuple[F32, F32], ...]
    encoding: bool
    card: dict[str, Any]


def load_weights(path: str | os.PathLike[str]) -> LiftingWeights:
    """Read a safetensors file and the JSON of the same name beside it.

    Raises:
        WeightsError: A file is missing, damaged (sha256), or made for other joints, inputs or layers.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    file = Path(path)
    card = _read_card(file.with_suffix(".json"))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read weights {file}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != card["sha256"]:
        raise WeightsError(
            f"weights {file} do not match the sha256 in {file.stem}.json: the file is damaged or replaced"
        )
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:  # numpy refuses some shapes and types by itself
        raise WeightsError(f"weights {file} are no safetensors file: {error}") from error
    sizes = [INPUTS, *[card["width"]] * (2 * card["blocks"] + 1), OUTPUTS]
    layers = []
    for k, (size_in, size_out) in enumerate(itertools.pairwise(sizes)):
        for name, shape in ((f"layer{k}.weight", (size_out, size_in)), (f"layer{k}.bias", (size_out,))):
            have = tensors[name].shape if name in tensors else "nothing"
            if have != shape:
                raise WeightsError(f"weights {file}: {name} has shape {have}, expected {shape}")
        matrix, bias = (tensors[f"layer{k}.{part}"].astype(np.float32) for part in ("weight", "bias"))
        if not (np.isfinite(matrix).all() and np.isfinite(bias).all()):
            raise WeightsError(f"weights {file}: layer{k} holds numbers that are not finite")
        layers.append((np.ascontiguousarray(matrix.T), bias))
    return LiftingWeights(tuple(layers), bool(card["encoding"]), card)


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = parse_json(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot read {path}, which must lie beside the weights: {error.strerror}") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not valid JSON: {error}") from error
    expected = {
        "format": _FORMAT,
        "version": 1,
        "joints_2d": list(JOINTS_2D),
        "joints_3d": list(JOINTS_3D),
        "inputs": INPUTS,
        "outputs": OUTPUTS,
        "reference_height_m": REFERENCE_HEIGHT_M,
    }
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: an object was expected")
    for key, value in expected.items():
        if card.get(key) != value:
            raise WeightsError(f"{path}: {key} is {card.get(key)!r}, expected {value!r}")
    for key, kind in (("width", int), ("blocks", int), ("encoding", bool), ("sha256", str)):
        if type(card.get(key)) is not kind:
            raise WeightsError(f"{path}: {key} is {card.get(key)!r}, expected {kind.__name__}")
    if not (1 <= card["width"] <= 65536 and 0 <= card["blocks"] <= 64):
        raise WeightsError(f"{path}: no network has {card['blocks']} blocks of width {card['width']}")
    return card


def run_network(layers: tuple[tuple[F32, F32], ...], inputs: F32) -> F32:
    """Inputs float32 (P, INPUTS) -> raw outputs float32 (P, OUTPUTS); inputs cut short are taken as followed by zeros."""
    people = len(inputs)
    if people <= _AT_ONCE or people > _FEW:
        return _run(layers, inputs)
    step = math.ceil(people / math.ceil(people / _AT_ONCE))
    return np.concatenate([_run(layers, inputs[start : start + step]) for start in range(0, people, step)])


def _run(layers: tuple[tuple[F32, F32], ...], inputs: F32) -> F32:
    """All layers, sums and rectifiers in place."""
    (first, first_bias), *middle, (last, last_bias) = layers
    state = _rectified(inputs, first[: inputs.shape[1]], first_bias)
    for (a, a_bias), (b, b_bias) in zip(middle[::2], middle[1::2], strict=True):
        state += _rectified(_rectified(state, a, a_bias), b, b_bias)
    return np.add(state @ last, last_bias)


def _rectified(state: F32, matrix: F32, bias: F32) -> F32:
    out = state @ matrix
    out += bias
    return np.maximum(out, 0, out=out)


class Lifter:
    """Stage II; holds weights only, no memory of earlier frames."""

    def __init__(self, weights: str | os.PathLike[str] | None = None) -> None:
        """Load the weights (None = those that ship).

        Raises:
            WeightsError: See ``load_weights``.
        """
        self.weights = load_weights(weights or DEFAULT_WEIGHTS)

    def __call__(self, detections: Detections, camera: Camera) -> Poses:
        """Lift people of one frame.

        Poses are those of a body of 1.70 m standing height (``REFERENCE_HEIGHT_M``), and ``root_m`` is where such a body
        would stand; the true height is Stage III's business. A person without any seen joint gets a mean pose of
        confidence 0.

        Args:
            detections: 2D joints in pixels of the frame.
            camera: The frame's camera.
        """
        if len(detections) == 0:
            return Poses.empty()
        xy = unproject(detections.joints_px, camera)
        frame = to_ray_frame(xy, detections.confidence)
        encoding = detections.encoding if self.weights.encoding else None
        inputs = plain_inputs(frame) if encoding is None else network_inputs(frame, xy, encoding)
        raw = run_network(self.weights.layers, inputs)
        joints, root = finish(raw, inputs, frame)
        seen = frame.weight > 0
        return Poses(joints, root, _confidence(raw[:, ERRORS], seen), ~_evidence(seen))


def _confidence(raw: np.ndarray, seen: np.ndarray) -> F32:
    """exp(-expected error / 15 cm), 0 to 1; nothing seen, nothing trusted."""
    expected_m = np.exp(np.clip(raw, -6, 2))
    anything = np.any(seen, axis=1, keepdims=True)
    return (np.exp(-expected_m / CONFIDENCE_SCALE_M) * anything).astype(np.float32)


def _evidence(seen: np.ndarray) -> Bool:
    """Which 3D joints (P, 21) the picture backs: seen themselves; pelvis by both hips, spine by these and the neck."""
    backed = np.zeros((len(seen), len(JOINTS_3D)), np.bool_)
    backed[:, JOINT_3D_OF_2D] = seen
    backed[:, PELVIS] = seen[:, _RIGHT_HIP_2D] & seen[:, _LEFT_HIP_2D]
    backed[:, _SPINE] = backed[:, PELVIS] & seen[:, _NECK_2D]
    return backed
