"""What Stage I really finds in synthetic pictures, beside the 3D truth: Stage II learns from errors as they are.

    python -m xnect.training.detected --data SHARDS --output detected.npz
    xnect train stage2 --data MOTION --init assets/weights/stage2.safetensors --detections detected.npz

The imitated detector of ``lifting_data`` makes up its errors; here a network looked at pictures, took left for right,
mixed up neighbours and put knees on chairs, with the confidence that it has in such cases.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from xnect.codec.encoding import REFERENCE_HEIGHT_M
from xnect.config import NetworkConfig, PipelineConfig
from xnect.errors import FormatError
from xnect.evaluation.metrics import oks
from xnect.geometry import unproject
from xnect.skeleton.joints import COCO_13, FLIP_2D, FLIP_3D, JOINTS_2D, JOINTS_3D, OKS_SIGMAS_13, PELVIS
from xnect.stages.stage_one import load_stage_one
from xnect.structures import F32, U8, Detections
from xnect.training.datasets.synthetic import camera_of, labelled
from xnect.training.synthetic.labels import SEEN
from xnect.training.synthetic.shards import Sample, Shards

#: A found person is a true one from this similarity on.
LEAST_OKS = 0.3
#: Who shows fewer joints or less of the picture than that is not asked for.
LEAST_JOINTS, LEAST_SHARE = 3, 0.0004
#: Cameras are turned about their axis by up to so much [rad] when people are drawn.
_MOST_ROLL = 0.25
#: The same person is never seen in quite the same way twice: places move by about this share of the person's extent, ...
_JITTER = 0.03
#: ... confidence by about this factor, ...
_UNSURE = 0.2
#: ... and joints are missed: one, or all of the lower body as at a desk.
_MISSED, _DESK = 0.05, 0.1
#: Encodings of photos are further off than those of synthetic pictures: 90 mm against 78 from the poses that Stage II makes
#: of the labels (held-out people). Noise of each bone's vector on each axis makes up for it [m].
_ENCODING_NOISE_M = 0.025
#: Who is taken to face elsewhere has all bones turned alike: rotations of about this angle [rad], and so many people whose
#: front is taken for their back (depths change sign).
_ENCODING_TURN, _ENCODING_FLIPPED = 0.2, 0.05

_LOWER = [JOINTS_2D.index(f"{side}_{joint}") for side in ("right", "left") for joint in ("knee", "ankle")]


def countable(sample: Sample) -> np.ndarray:
    """Rows of the people of a picture who show enough to be asked for."""
    share = sample.area_px / (sample.image_bgr.shape[0] * sample.image_bgr.shape[1])
    return np.flatnonzero(((sample.joints_2d[..., 2] == SEEN).sum(1) >= LEAST_JOINTS) & (share >= LEAST_SHARE))


def truth_of(sample: Sample) -> np.ndarray:
    """Joints relative to the pelvis of bodies rescaled to 1.70 m, (P, 21, 3) [m]."""
    joints = sample.joints_3d.astype(np.float64)
    scale = REFERENCE_HEIGHT_M / sample.height_m.astype(np.float64)
    return (joints - joints[:, PELVIS : PELVIS + 1]) * scale[:, None, None]


def match(people: Detections, sample: Sample, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of found people and true ones (positions in ``rows``), by the similarity of their labelled joints."""
    if not len(people) or not len(rows):
        return np.zeros(0, int), np.zeros(0, int)
    seen = people.confidence > 0
    joints = people.joints_px.astype(np.float64)
    middle = (joints * seen[..., None]).sum(1) / np.maximum(seen.sum(1), 1)[:, None]
    joints = np.where(seen[..., None], joints, middle[:, None])[:, COCO_13]
    true = sample.joints_2d[rows][:, COCO_13]
    known = labelled(sample.joints_2d[rows, :, 2])[:, COCO_13]
    width, height = sample.image_bgr.shape[1::-1]
    box = np.clip(sample.box_px[rows], 0, [width, height, width, height])
    area = 0.53 * (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])  # COCO's share of a box that a person fills
    pairs = np.broadcast_to(joints[:, None], (len(joints), len(rows), 13, 2))
    alike = oks(pairs, np.broadcast_to(true[None, ..., :2], pairs.shape), known[None], area[None], OKS_SIGMAS_13)
    first, second = linear_sum_assignment(-alike)
    good = alike[first, second] >= LEAST_OKS
    return first[good], second[good]


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """People that Stage I found, one row each.

    Attributes:
        xy: float32 (N, 14, 2), joints in the picture plane; 0 where not seen.
        confidence: float32 (N, 14), 0 = not seen.
        joints_m: float32 (N, 21, 3), truth relative to the pelvis, camera axes, of a body of 1.70 m [m].
        root_m: float32 (N, 3), where the pelvis of such a body would stand [m].
        encoding: float32 (N, 14, 63), the 3D encoding read at each seen joint, or None where Stage I has none.
    """

    xy: F32
    confidence: F32
    joints_m: F32
    root_m: F32
    encoding: F32 | None = None

    def __len__(self) -> int:
        return len(self.xy)

    def draw(self, rng: np.random.Generator, count: int) -> Detected:
        """Random people, mirrored or not, the camera turned a little about its axis, seen a little worse or otherwise."""
        rows = rng.integers(len(self), size=count)
        xy, confidence, joints, root = (a[rows].astype(np.float64) for a in (self.xy, self.confidence, self.joints_m, self.root_m))  # fmt: skip
        flip = rng.random(count) < 0.5
        sign = np.where(flip, -1.0, 1.0)[:, None]
        xy = np.where(flip[:, None, None], xy[:, FLIP_2D] * [-1, 1], xy)
        confidence = np.where(flip[:, None], confidence[:, FLIP_2D], confidence)
        joints = np.where(flip[:, None, None], joints[:, FLIP_3D] * [-1, 1, 1], joints)
        root[:, :1] *= sign
        encoding = None
        if self.encoding is not None:
            encoding = self.encoding[rows].reshape(count, len(JOINTS_2D), len(JOINTS_3D), 3).astype(np.float64)
            other = encoding[:, FLIP_2D][:, :, FLIP_3D] * [-1, 1, 1]
            encoding = np.where(flip[:, None, None, None], other, encoding)
            encoding = _misjudged(rng, encoding)
            off = _ENCODING_NOISE_M * rng.standard_normal((count, 1, len(JOINTS_3D), 3))
            encoding += off * (encoding != 0).any((2, 3), keepdims=True)
        roll = rng.uniform(-_MOST_ROLL, _MOST_ROLL, count)
        c, s = np.cos(roll), np.sin(roll)
        turn = np.stack([c, -s, s, c], -1).reshape(-1, 2, 2)
        for vectors in (xy, joints, root[:, None]):
            vectors[..., :2] = np.einsum("bij,bkj->bki", turn, vectors[..., :2])
        xy, confidence = _seen_anew(rng, xy, confidence)
        parts = [a.astype(np.float32) for a in (xy, confidence, joints, root)]
        if encoding is not None:  # each in the frame of the ray through its joint, which turns along with the camera
            encoding[..., :2] = np.einsum("bij,bnkj->bnki", turn, encoding[..., :2])
            parts.append(encoding.reshape(count, len(JOINTS_2D), -1).astype(np.float32))
        return Detected(*parts)

    def save(self, path: Path) -> None:
        """Write an npz file."""
        parts: dict[str, Any] = {
            "xy": self.xy,
            "confidence": self.confidence,
            "joints_m": self.joints_m,
            "root_m": self.root_m,
        }
        if self.encoding is not None:
            parts["encoding"] = self.encoding.astype(np.float16)
        np.savez_compressed(path, **parts)


def _misjudged(rng: np.random.Generator, encoding: np.ndarray) -> np.ndarray:
    """Encodings (N, 14, 21, 3) of people taken to face a little, or wholly, elsewhere."""
    turn = Rotation.from_rotvec(_ENCODING_TURN * rng.standard_normal((len(encoding), 3)) * [0.5, 1.0, 0.5]).as_matrix()
    turn[rng.random(len(encoding)) < _ENCODING_FLIPPED, :, 2] *= -1
    return np.asarray(np.einsum("bij,bnkj->bnki", turn, encoding))


def _seen_anew(rng: np.random.Generator, xy: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 14, 2) and confidence (N, 14) with a little noise, and with joints that are missed."""
    count = len(xy)
    seen = confidence > 0
    middle = (xy * seen[..., None]).sum(1, keepdims=True) / np.maximum(seen.sum(1), 1)[:, None, None]
    extent = np.sqrt((((xy - middle) ** 2).sum(-1) * seen).sum(1) / np.maximum(seen.sum(1), 1))
    gone = rng.random(seen.shape) < _MISSED
    gone[:, _LOWER] |= rng.random((count, 1)) < _DESK
    gone &= (seen & ~gone).sum(1, keepdims=True) >= LEAST_JOINTS  # somebody is left to be seen
    seen &= ~gone
    xy = xy + rng.standard_normal(xy.shape) * (_JITTER * extent)[:, None, None]
    confidence = np.clip(confidence * np.exp(_UNSURE * rng.standard_normal(confidence.shape)), 0.01, 1.0)
    return xy * seen[..., None], confidence * seen


def read(path: Path) -> Detected:
    """What ``Detected.save`` wrote; raises FormatError."""
    shapes: dict[str, tuple[int, ...]] = {"xy": (14, 2), "confidence": (14,), "joints_m": (21, 3), "root_m": (3,)}
    try:
        with np.load(path, allow_pickle=False) as file:
            if "encoding" in file:
                shapes["encoding"] = (14, 63)
            parts = [file[name].astype(np.float32) for name in shapes]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise FormatError(f"{path} holds no detected people: {error}") from error
    count = len(parts[0]) if parts[0].ndim else 0
    for part, (name, shape) in zip(parts, shapes.items(), strict=True):
        if part.shape != (count, *shape) or not np.isfinite(part).all():
            raise FormatError(f"{path}: {name} must be finite numbers of shape {(count, *shape)}, got {part.shape}")
    if not count:
        raise FormatError(f"{path} holds nobody")
    return Detected(*parts)


def collect(detector: Callable[[U8], Detections], shards: Shards, limit: int | None = None) -> Detected:
    """Everybody that is found in the pictures of ``shards`` and is truly there; raises FormatError where nobody is."""
    found: list[tuple[np.ndarray, ...]] = []
    for k in tqdm(range(len(shards))[:limit], unit="picture", disable=None):
        sample = shards[k]
        rows = countable(sample)
        people = detector(sample.image_bgr)
        first, second = match(people, sample, rows)
        if not len(first):
            continue
        true = rows[second]
        seen = people.confidence[first] > 0
        xy = unproject(people.joints_px[first], camera_of(sample)) * seen[..., None]
        scale = REFERENCE_HEIGHT_M / sample.height_m[true].astype(np.float64)
        root = sample.joints_3d[true, PELVIS] * scale[:, None]
        encoding = () if people.encoding is None else (people.encoding[first],)
        found.append((xy, people.confidence[first], truth_of(sample)[true], root, *encoding))
    if not found:
        raise FormatError("nobody was found who is truly there")
    return Detected(*(np.concatenate(part).astype(np.float32) for part in zip(*found, strict=True)))


def main(argv: Sequence[str] | None = None) -> int:
    """Collect and write."""
    parser = argparse.ArgumentParser(prog="python -m xnect.training.detected", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of `xnect synth write`")
    parser.add_argument("--output", type=Path, required=True, help=".npz file")
    parser.add_argument("--weights", help="Stage I's weights (default: the ones that ship)")
    parser.add_argument("--limit", type=int, help="only the first so many pictures")
    options = parser.parse_args(argv)
    detector = load_stage_one(PipelineConfig(network=NetworkConfig(device="cpu", weights=options.weights)))
    people = collect(detector, Shards(options.data), options.limit)
    people.save(options.output)
    tqdm.write(f"{len(people)} people")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
