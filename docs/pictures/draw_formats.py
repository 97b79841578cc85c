"""Draws formats.png: the skeleton with its joints, and the axes of the file formats. python docs/pictures/draw_formats.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from xnect.formats.axes import OPENSIM, Y_UP, Z_UP
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON

COLOURS = {"right": "#E69F00", "left": "#0072B2", "": "#666666"}
FACING = np.diag([1.0, -1.0, -1.0])  # rest axes -> camera axes, for somebody who looks into the camera
#: Where a name stands beside its joint [points], where it would cover another one.
NUDGES = {"neck": (-8, 14), "pelvis": (0, 13), "ankle": (10, 5), "toe": (10, -6), "wrist": (10, 5), "hand": (10, -6)}
DISTANCE_M, PELVIS_M = 3.2, 0.35  # how far away the person stands, how far below the camera the pelvis is
SYSTEMS = (
    ("camera space: JSON lines, CSV, Parquet, NPZ [m]", np.eye(3)),
    ("BVH, GLB [m]", Y_UP),
    ("C3D [mm], Blender after import [m]", Z_UP),
    ("TRC, OpenSim's ground [m]", OPENSIM),
)


def colour(name: str) -> str:
    """Orange for the right, blue for the left, grey for the middle."""
    return COLOURS.get(name.partition("_")[0], COLOURS[""])


def posed() -> np.ndarray:
    """All joints of a person who stands with the arms a little off the body, camera space (J, 3) [m]."""
    angles = np.zeros((1, len(SKELETON.angle_names)))
    for side in ("right", "left"):
        angles[0, SKELETON.angle_names.index(f"{side}_shoulder_elevation")] = -0.9
    root = np.array([[0.0, PELVIS_M, DISTANCE_M]])
    return SKELETON.forward(root, FACING[None], angles, SKELETON.rest_offsets_m)[0][0]


def draw_skeleton(axes: Any, joints: np.ndarray) -> None:
    """From the front, as the camera sees it, with the 21 joints numbered."""
    for child, parent in enumerate(SKELETON.parents.tolist()):
        if parent >= 0:
            x, y, _ = joints[[parent, child]].T
            axes.plot(x, -y, color=colour(SKELETON.joint_names[child]), linewidth=5, alpha=0.6, solid_capstyle="round")
    for number, (name, row) in enumerate(zip(JOINTS_3D, SKELETON.index_21.tolist(), strict=True)):
        x, y, _ = joints[row]
        across, above = NUDGES.get(name, NUDGES.get(name.partition("_")[2], (10, 0)))
        across = -across if name.startswith("right") else across
        axes.plot(x, -y, "o", color=colour(name), markersize=8, markeredgecolor="white")
        side = {-1: "right", 0: "center", 1: "left"}[int(np.sign(across))]
        place = {"xytext": (across, above), "textcoords": "offset points"}
        axes.annotate(f"{number} {name}", (x, -y), **place, ha=side, va="center", fontsize=8)
    axes.set_aspect("equal")
    axes.set_xlim(-1.0, 1.0)
    axes.axis("off")
    axes.set_title("the 21 joints; right orange, left blue (the person's own)", fontsize=10)


def draw_axes(axes: Any, joints: np.ndarray, title: str, system: np.ndarray) -> None:
    """Camera, person and the axes of one system from aside; plotted right, forward, up."""

    def shown(points: np.ndarray) -> np.ndarray:
        return np.asarray(points)[..., [0, 2, 1]] * (1, 1, -1)

    for child, parent in enumerate(SKELETON.parents.tolist()):
        if parent >= 0:
            axes.plot(*shown(joints[[parent, child]]).T, color=colour(SKELETON.joint_names[child]), linewidth=2.5)
    corners = 0.5 * np.array([(-0.6, -0.4, 1), (0.6, -0.4, 1), (0.6, 0.4, 1), (-0.6, 0.4, 1), (-0.6, -0.4, 1)])
    axes.plot(*shown(corners).T, color="#999999", linewidth=1)
    for corner in corners[:4]:
        axes.plot(*shown(np.stack([np.zeros(3), corner])).T, color="#999999", linewidth=1)
    for name, direction, paint in zip("xyz", system, ("#D55E00", "#009E73", "#CC79A7"), strict=True):
        tip = shown(direction)
        axes.quiver(0, 0, 0, *tip, color=paint, linewidth=2.5, arrow_length_ratio=0.15)
        axes.text(*(1.15 * tip), name, color=paint, fontsize=13, weight="bold", ha="center", va="center")
    low, high = np.array([-1.2, -1.1, -1.5]), np.array([1.2, 3.6, 1.1])
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_zlim(low[2], high[2])
    axes.set_box_aspect(high - low, zoom=1.42)
    axes.view_init(elev=18, azim=-42)
    axes.axis("off")
    axes.set_title(title, fontsize=10)


def main() -> None:
    """Draw the picture beside this file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    joints = posed()
    figure = pyplot.figure(figsize=(13, 7))
    draw_skeleton(figure.add_axes((0.0, 0.0, 0.42, 0.94)), joints)
    for place, (title, system) in enumerate(SYSTEMS):
        box = (0.4 + 0.3 * (place % 2), 0.48 - 0.48 * (place // 2), 0.3, 0.46)
        draw_axes(figure.add_axes(box, projection="3d"), joints, title, system)
    figure.savefig(Path(__file__).with_name("formats.png"), dpi=90)


if __name__ == "__main__":
    main()
