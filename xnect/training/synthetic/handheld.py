"""Things in hands: phones and mugs made here, bags and balls of the pack."""

from __future__ import annotations

import numpy as np

from xnect.training.synthetic.bodies import Body, Pose
from xnect.training.synthetic.gestures import Gesture
from xnect.training.synthetic.meshes import Material, Mesh
from xnect.training.synthetic.props import placed
from xnect.training.synthetic.retarget import turn
from xnect.training.synthetic.scene import Held, Studio

#: Bags of the pack with a handle on top; the height of what hangs below the hand [m] comes from the mesh.
_BAGS = ("cc0_handbag", "cc0_briefcase")


def block(size_m: tuple[float, float, float], texture: int) -> Mesh:
    """A box (8 corners, 12 faces) about the origin."""
    corners = (
        np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
        * np.array(size_m, np.float32)
        / 2
    )
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))], np.int32)
    own = corners[faces.reshape(-1)].astype(np.float32)  # corners of their own for each face: flat shading
    index = np.arange(36, dtype=np.int32).reshape(12, 3)
    return Mesh(own, index, np.zeros((36, 2), np.float32), index, (Material(texture),), np.zeros(12, np.int32))


def tube(radius_m: float, height_m: float, texture: int) -> Mesh:
    """A closed cylinder about the origin, upright."""
    angle = np.linspace(0, 2 * np.pi, 13)[:-1]
    ring = np.stack([radius_m * np.cos(angle), np.zeros(12), radius_m * np.sin(angle)], 1)
    half = np.array([0, height_m / 2, 0])
    vertices = np.concatenate([ring - half, ring + half, [-half], [half]]).astype(np.float32)
    k = np.arange(12)
    n = (k + 1) % 12
    sides = np.concatenate([np.stack([k, n, n + 12], 1), np.stack([k, n + 12, k + 12], 1)])
    ends = np.concatenate([np.stack([k, n, np.full(12, 24)], 1), np.stack([k + 12, n + 12, np.full(12, 25)], 1)])
    faces = np.concatenate([sides, ends]).astype(np.int32)
    return Mesh(
        vertices,
        faces,
        np.zeros((1, 2), np.float32),
        np.zeros_like(faces),
        (Material(texture),),
        np.zeros(len(faces), np.int32),
    )


class Things:
    """What people hold.

    Args:
        studio: Where textures and bags come from.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        colour = studio.assets.heap.colour
        self._phone = block((0.074, 0.15, 0.009), colour(np.array([0.08, 0.08, 0.1])))
        self._mug = tube(0.04, 0.095, colour(np.array([0.85, 0.85, 0.82])))

    def of(self, gesture: Gesture) -> tuple[Held, ...]:
        """What a gesture's hand holds."""
        if gesture.holds == "phone":
            return (Held(self._phone, gesture.side, turn("z", 45.0 if gesture.side == "r" else -45.0)),)
        if gesture.holds == "mug":
            return (Held(self._mug, gesture.side, np.eye(3), hangs=True),)
        return ()

    def carried(self, rng: np.random.Generator, body: Body, pose: Pose) -> tuple[Held, ...]:
        """A bag in a hand that hangs down beside the thigh; nothing where both hands do something else."""
        space = self._studio.space
        places = space.places(body, pose)
        for side in rng.permutation(["l", "r"]):
            arm = space.at(places, f"hand_{side}") - space.at(places, f"upperarm_{side}")
            if arm[1] < -0.9 * np.linalg.norm(arm) and space.at(places, f"hand_{side}")[1] > 0.55:
                name = str(rng.choice(_BAGS))
                mesh = self._studio.props.mesh(name)
                facing = pose.rotations[0] @ np.array([0.0, 0.0, 1.0])
                yaw = float(np.degrees(np.arctan2(facing[0], facing[2]))) + 90
                hung = placed(mesh, np.eye(3), np.array([0, -float(mesh.vertices_m[:, 1].max()) + 0.02, 0]))
                return (Held(hung, str(side), turn("y", yaw), hangs=True),)
        return ()
