"""How joints lie to each other in pictures, from labels: python -m xnect.training.body_shape --data PEOPLE --output FILE."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from xnect.skeleton.joints import FLIP_2D
from xnect.structures import F64
from xnect.training.datasets.people import LSP_IDS, is_held_out, joints_14

#: Added to the variances of poses of unit size, so that no direction is certain.
_LEAST_VARIANCE = 2e-4


def whole_poses(folders: Iterable[Path]) -> F64:
    """Everyday people with all joints labelled, as they are and mirrored, float64 (N, 14, 2) [px]; nobody held out."""
    poses = []
    for folder in folders:
        for annotation in json.loads((folder / "train13.json").read_text())["annotations"]:
            image = annotation["image_id"]
            if image >= LSP_IDS or is_held_out(image) or len(annotation.get("keypoints", ())) != 39:
                continue
            joints = joints_14(annotation)
            if joints[:, 2].all():
                poses.append(joints[:, :2].astype(np.float64))
    known = np.array(poses).reshape(-1, 14, 2)
    return np.concatenate([known, (known * [-1, 1])[:, FLIP_2D]])


def fit(poses: F64) -> tuple[F64, F64]:
    """Mean (28,) and precision (28, 28) of poses (N, 14, 2) that are shifted to mean 0 and scaled to norm 1."""
    centred = poses - poses.mean(1, keepdims=True)
    unit = (centred / np.sqrt((centred**2).sum((1, 2), keepdims=True))).reshape(len(poses), -1)
    mean = unit.mean(0)
    spread = unit - mean
    covariance = spread.T @ spread / len(unit) + _LEAST_VARIANCE * np.eye(len(mean))
    return mean, np.linalg.inv(covariance)


def main(argv: Sequence[str] | None = None) -> int:
    """Fit and write."""
    parser = argparse.ArgumentParser(prog="python -m xnect.training.body_shape", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with train13.json")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    poses = whole_poses(options.data)
    mean, precision = fit(poses)
    save_file({"mean": mean.astype(np.float32), "precision": precision.astype(np.float32)}, options.output)
    tqdm.write(f"{len(poses) // 2} people, and mirrored")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
