"""Poses of the same people from several calibrated views: against a triangulated reference, and against each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from xnect.errors import FormatError
from xnect.evaluation import metrics
from xnect.geometry import project
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D
from xnect.structures import F64, Bool, Camera, Detections

#: A person found belongs to a reference person if their joints lie nearer than this, in heights of the projected body.
_NEAR = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One calibrated clip: x_camera = rotation @ x_world + shift_m.

    Attributes:
        name: Name of the camera.
        video: The clip.
        camera: Intrinsics for the clip's size.
        rotation: float64 (3, 3).
        shift_m: float64 (3,).
    """

    name: str
    video: Path
    camera: Camera
    rotation: F64
    shift_m: F64


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Triangulated joints of P people over T frames, in world axes.

    Attributes:
        joints: Names of the J joints.
        xyz_m: float64 (P, T, J, 3), 0 where unknown.
        known: bool (P, T, J).
    """

    joints: tuple[str, ...]
    xyz_m: F64
    known: Bool

    def in_view(self, view: View) -> F64:
        """The joints in a view's camera space, float64 (P, T, J, 3)."""
        return self.xyz_m @ view.rotation.T + view.shift_m


@dataclass(frozen=True, slots=True, eq=False)
class ViewPoses:
    """What one view says of the reference people.

    Attributes:
        joints_m: float64 (P, T, 21, 3), camera axes, relative to the pelvis; 0 where the person was not found.
        found: bool (P, T).
    """

    joints_m: F64
    found: Bool


def load_views(folder: str | Path, stem: str) -> tuple[list[View], Reference]:
    """The views and the reference of ``STEM.calib.json`` and ``STEM.ref3d.json``.

    Raises:
        FormatError: A file is missing or not of that form.
    """
    folder = Path(folder)
    try:
        cameras = json.loads((folder / f"{stem}.calib.json").read_text(encoding="utf-8"))["cameras"]
        data = json.loads((folder / f"{stem}.ref3d.json").read_text(encoding="utf-8"))
        views = [
            View(
                name,
                folder / c["file"],
                Camera(np.array(c["K"], np.float64), (c["width"], c["height"]), np.array(c["dist"], np.float64)),
                np.array(c["R"], np.float64),
                np.array(c["t"], np.float64),
            )
            for name, c in cameras.items()
        ]
        people = [[[p or [np.nan] * 3 for p in frame] for frame in who["joints_m"]] for who in data["people"]]
        xyz = np.array(people, np.float64)
        known: Bool = np.asarray(np.isfinite(xyz).all(-1))
        return views, Reference(tuple(data["joints"]), np.where(known[..., None], xyz, 0), known)
    except OSError as error:
        raise FormatError(f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{folder / stem}: not a calibration and reference of the expected form ({error})") from error


def match(people: Detections, frame: int, view: View, reference: Reference) -> np.ndarray:
    """Which row of a frame's people is which reference person, int64 (P,); -1 = not found."""
    rows = np.full(len(reference.xyz_m), -1)
    names = [JOINTS_2D.index(name) for name in reference.joints]
    truth = reference.in_view(view)[:, frame]
    known = reference.known[:, frame] & (truth[..., 2] > 0.1)
    if not len(people) or not known.any():
        return rows
    pixels = project(np.where(known[..., None], truth, [0.0, 0.0, 1.0]), view.camera)
    low = np.where(known[..., None], pixels, np.inf).min(1)
    high = np.where(known[..., None], pixels, -np.inf).max(1)
    size = np.maximum((high - low).max(-1), 1.0)
    both = known[:, None] & (people.confidence[None, :, names] > 0)
    distance = np.linalg.norm(pixels[:, None] - people.joints_px[None, :, names], axis=-1)
    share = (distance * both).sum(-1) / np.maximum(both.sum(-1), 1) / size[:, None]
    share = np.where(both.sum(-1) >= 3, share, np.inf)
    who, row = linear_sum_assignment(np.minimum(share, _NEAR))
    good = share[who, row] < _NEAR
    rows[who[good]] = row[good]
    return rows


def against_reference(poses: ViewPoses, view: View, reference: Reference) -> dict[str, Any]:
    """Errors of one view's poses, over the joints that both sides have by name [mm, share].

    Poses are joined at the middle of the hips, or of the shoulders where the reference has no hips.
    ``mpjpe_mm`` is in the camera's axes, ``scaled_mm`` after the best size, ``pa_mm`` after full alignment; each None
    where nobody was found.
    """
    shared = [n for n in reference.joints if n in JOINTS_3D]
    ours = poses.joints_m[..., [JOINTS_3D.index(n) for n in shared], :]
    rows = [reference.joints.index(n) for n in shared]
    truth, weight = reference.in_view(view)[..., rows, :], reference.known[..., rows] * poses.found[..., None]
    weight = weight * (weight.sum(-1, keepdims=True) >= 4)
    usable = reference.known[..., rows].sum(-1) >= 4
    ours, truth = _rooted(ours, weight, shared), _rooted(truth, weight, shared)
    scale = (weight[..., None] * ours * truth).sum((-1, -2)) / np.maximum(
        (weight[..., None] * ours**2).sum((-1, -2)), 1e-9
    )
    figures = {
        "mpjpe_mm": 1e3 * metrics.mpjpe(ours, truth, weight),
        "scaled_mm": 1e3 * metrics.mpjpe(scale[..., None, None] * ours, truth, weight),
        "pa_mm": 1e3 * metrics.pa_mpjpe(ours, truth, weight),
        "pck150": metrics.pck(ours, truth, 0.15, weight),
    }
    share = float((poses.found & usable).sum() / max(usable.sum(), 1))
    return {"people": int(usable.sum()), "found": share, **(figures if share else dict.fromkeys(figures))}


def _rooted(joints: F64, weight: np.ndarray, names: list[str]) -> F64:
    """Joints relative to the middle of the hips, else of the shoulders, else of all that are known."""

    def pair(name: str) -> list[int]:
        return [names.index(f"right_{name}"), names.index(f"left_{name}")]

    total = np.maximum(weight.sum(-1), 1e-9)[..., None]
    root = (weight[..., None] * joints).sum(-2) / total
    for name in ("shoulder", "hip"):
        rows = pair(name)
        there = np.asarray((weight[..., rows] > 0).all(-1))[..., None]
        root = np.where(there, joints[..., rows, :].mean(-2), root)
    return joints - root[..., None, :]


def between_views(first: ViewPoses, second: ViewPoses, first_view: View, second_view: View) -> dict[str, Any]:
    """How far two views agree on the same people, over all 21 joints [mm].

    ``mpjpe_mm`` after turning both into common axes by the calibration; ``pa_mm`` after full alignment.
    """
    both = first.found & second.found
    turn = first_view.rotation @ second_view.rotation.T
    a, b = first.joints_m[both], second.joints_m[both] @ turn.T
    figures = {"mpjpe_mm": 1e3 * metrics.mpjpe(a, b), "pa_mm": 1e3 * metrics.pa_mpjpe(a, b)}
    return {"people": len(a), **(figures if len(a) else dict.fromkeys(figures))}
