"""BVH, one file a person: Y up, T-pose at rest, faces +z, metres, angles in degrees about z, x, y."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from xnect.formats.bones import BONE_NAMES, CHILDREN
from xnect.formats.files import replacing
from xnect.formats.motion import Motion, motion_of
from xnect.formats.recording import Recording
from xnect.structures import F64

FOLDER = "bvh"
#: Length of the last bone where the skeleton has no end point for it (toes) [m]; readers dislike length 0.
_TIP_M = 0.05


def write_bvh(recording: Recording, directory: Path, scale: float = 1.0) -> list[Path]:
    """``bvh/person_<id>.bvh`` for everyone, each with a JSON beside it that tells start, gaps and units.

    Args:
        recording: What was recorded.
        directory: The output folder.
        scale: Units a metre: 1 = metres, 100 = centimetres (MotionBuilder, Unreal).
    """
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    made = []
    for person_id in recording.ids:
        motion = motion_of(recording, person_id)
        path = folder / f"person_{person_id}.bvh"
        with replacing(path) as part:
            part.write_text(bvh_text(motion, scale), encoding="ascii", newline="\n")
        story = motion.story(recording) | {
            "units_per_metre": scale,
            "axes": "y up; a person who faces the camera faces +z, left at +x; the camera stands in the origin",
            "rotation": "degrees, R = Rz Rx Ry",
        }
        side = path.with_suffix(".json")
        with replacing(side) as part:
            part.write_text(json.dumps(story, indent=1) + "\n", encoding="utf-8")
        made += [path, side]
    return made


def bvh_text(motion: Motion, scale: float = 1.0) -> str:
    """The whole file of one person."""
    lines = ["HIERARCHY"]
    order: list[int] = []
    _hierarchy(lines, order, motion.offsets * scale, 0, 0)
    euler = euler_zxy(motion.local[:, order])
    values = np.concatenate([motion.root_position * scale, np.degrees(euler).reshape(len(motion), -1)], 1)
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1 / motion.fps:.9f}"]
    table = np.round(values, 5) + 0.0
    lines += [" ".join(f"{v:.5f}" for v in row) for row in table.tolist()]
    return "\n".join(lines) + "\n"


def _hierarchy(lines: list[str], order: list[int], offsets: F64, joint: int, depth: int) -> None:
    """Add a joint and all below it; ``order`` gets the joints in the order of their channels."""
    tab = "\t" * depth
    order.append(joint)
    # The root's place is in its channels alone: readers differ on whether they add the offset to it.
    x, y, z = (0.0, 0.0, 0.0) if depth == 0 else offsets[joint] + 0.0
    channels = (
        "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
        if depth == 0
        else "3 Zrotation Xrotation Yrotation"
    )
    lines += [f"{tab}{'JOINT' if depth else 'ROOT'} {BONE_NAMES[joint]}", f"{tab}{{"]
    lines += [f"{tab}\tOFFSET {x:.6f} {y:.6f} {z:.6f}", f"{tab}\tCHANNELS {channels}"]
    inner = [c for c in CHILDREN[joint] if BONE_NAMES[c]]
    for child in inner:
        _hierarchy(lines, order, offsets, child, depth + 1)
    if not inner:
        ends = CHILDREN[joint]
        end = offsets[ends[0]] if ends else _TIP_M * offsets[joint] / max(float(np.linalg.norm(offsets[joint])), 1e-9)
        if not np.abs(end).any():
            end = np.array([0.0, _TIP_M, 0.0])
        x, y, z = end + 0.0
        lines += [f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {x:.6f} {y:.6f} {z:.6f}", f"{tab}\t}}"]
    lines.append(f"{tab}}}")


def euler_zxy(rotations: F64) -> F64:
    """Angles z, x, y (T, K, 3) [rad] of R = Rz Rx Ry (T, K, 3, 3), each continuous over time.

    Two sets of angles mean the same rotation; the one nearer to the frame before is taken, and whole turns are added
    where that avoids a jump, so that programs which interpolate between frames see no spin.
    """
    x = np.arcsin(np.clip(rotations[..., 2, 1], -1, 1))
    z = np.arctan2(-rotations[..., 0, 1], rotations[..., 1, 1])
    y = np.arctan2(-rotations[..., 2, 0], rotations[..., 2, 2])
    # Straight up or down only z + y or z - y is known: all of it goes to z.
    locked = np.abs(rotations[..., 2, 1]) > 1 - 1e-12
    z = np.where(locked, np.arctan2(rotations[..., 1, 0], rotations[..., 0, 0]), z)
    y = np.where(locked, 0.0, y)
    first = np.stack([z, x, y], -1)
    second = np.stack([z + np.pi, np.pi - x, y + np.pi], -1)
    out = first.copy()
    for t in range(1, len(out)):  # each frame depends on the one before; joints go together
        options = np.stack([first[t], second[t]])
        options -= 2 * np.pi * np.round((options - out[t - 1]) / (2 * np.pi))
        better = np.abs(options[1] - out[t - 1]).sum(-1) < np.abs(options[0] - out[t - 1]).sum(-1)
        out[t] = np.where(better[:, None], options[1], options[0])
    return out
