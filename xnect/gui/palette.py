"""Colours of sides, people and stages; safe for colour-blind eyes, no Qt.

Left and right always mean the person's own side. Right is orange, left blue, the middle white (or dark grey on
light ground); people come from a cycle that skips both, so that a box is never taken for a side.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D

Rgb: TypeAlias = tuple[int, int, int]

#: Name of a palette -> colours of right, left, middle.
PALETTES: dict[str, tuple[Rgb, Rgb, Rgb]] = {
    "XNect": ((230, 159, 0), (86, 180, 233), (240, 240, 240)),
    "XNect on light": ((213, 120, 0), (0, 114, 178), (70, 70, 70)),
    "OpenPose": ((255, 170, 0), (0, 200, 60), (255, 0, 85)),
    "MMPose": ((255, 128, 0), (0, 255, 0), (51, 153, 255)),
    "MediaPipe": ((0, 217, 231), (255, 138, 0), (255, 255, 255)),
}

#: Colours of people (Okabe and Ito's set without the two side colours, then lighter tones).
PEOPLE: tuple[Rgb, ...] = (
    (0, 178, 130),
    (204, 121, 167),
    (240, 228, 66),
    (190, 100, 60),
    (150, 150, 235),
    (120, 200, 80),
    (235, 150, 190),
    (110, 205, 205),
    (200, 175, 120),
    (170, 120, 210),
)

#: Colours of the pipeline's stages in the timing strip, in their order; further stages go round again.
STAGES: tuple[Rgb, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (150, 150, 150),
)


def person_rgb(person_id: int) -> Rgb:
    """The colour of a person; the same id always has the same colour."""
    return PEOPLE[person_id % len(PEOPLE)]


def _sides(names: tuple[str, ...]) -> np.ndarray:
    return np.array([0 if n.startswith("right_") else 1 if n.startswith("left_") else 2 for n in names])


#: Side of each joint: 0 right, 1 left, 2 middle.
SIDE_2D = _sides(JOINTS_2D)
SIDE_3D = _sides(JOINTS_3D)


def joint_rgb(palette: str, sides: np.ndarray) -> np.ndarray:
    """Colours uint8 (J, 3) of joints whose sides are given; an unknown palette is taken as the first."""
    table = PALETTES.get(palette, PALETTES["XNect"])
    return np.array(table, np.uint8)[sides]


def limb_side(first: int, second: int) -> int:
    """Side of a limb: that of its outer joint (a shoulder line takes the shoulder's side)."""
    return int(SIDE_2D[second]) if SIDE_2D[second] != 2 else int(SIDE_2D[first])
