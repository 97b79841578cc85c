"""Inverse kinematics: arms and legs that reach a place, and bodies that sit."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from xnect.structures import F64
from xnect.training.synthetic.bodies import Body, BodySpace, Pose
from xnect.training.synthetic.retarget import least_rotation, turn

_ARM, _LEG = ("upperarm", "lowerarm", "hand", "knuckle"), ("thigh", "calf", "foot", "toe")


@njit(cache=True)
def unit(v: F64) -> F64:
    """A vector (3,) of length one."""
    return v / max(1e-9, math.sqrt((v * v).sum()))


@njit(cache=True)
def cross(a: F64, b: F64) -> F64:
    """Cross product of two vectors (3,)."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


@njit(cache=True)
def bend(origin: F64, target: F64, first_m: float, second_m: float, pole: F64) -> tuple[F64, F64]:
    """Directions of two bones from ``origin`` whose end reaches ``target`` (or comes as near as it can).

    Args:
        origin: Place of the first joint (3,).
        target: Where the end has to be (3,).
        first_m: Length of the first bone, and ``second_m`` of the second one.
        second_m: See ``first_m``.
        pole: The middle joint bends towards this direction (3,).

    Returns:
        Unit directions of the first and the second bone.
    """
    line = target - origin
    least, most = abs(first_m - second_m) * 1.02 + 1e-6, (first_m + second_m) * 0.999
    reach = min(max(math.sqrt((line * line).sum()), least), most)
    along = unit(line)
    side = unit(pole - (pole * along).sum() * along)
    cosine = (first_m**2 + reach**2 - second_m**2) / (2 * first_m * reach)
    first = cosine * along + math.sqrt(max(0.0, 1 - cosine**2)) * side
    return first, unit(reach * along - first_m * first)


@njit(cache=True)
def _turned(direction: F64, normal: F64, rest: F64, rest_normal: F64) -> F64:
    """The rotation (3, 3) that takes ``rest`` to ``direction`` and ``rest_normal`` as near as it can to ``normal``."""
    out = np.zeros((3, 3))
    x, a = unit(direction), unit(rest)
    z, c = unit(normal - (normal * x).sum() * x), unit(rest_normal - (rest_normal * a).sum() * a)
    y, b = cross(z, x), cross(c, a)
    for i in range(3):
        for j in range(3):
            out[i, j] = x[i] * a[j] + y[i] * b[j] + z[i] * c[j]
    return out


class Limbs:
    """Sets the limbs of one body.

    Args:
        space: The rig.
        body: Whose limbs.
    """

    def __init__(self, space: BodySpace, body: Body) -> None:
        self._space, self._body = space, body

    def _rest(self, name: str) -> F64:
        return self._space.named_place(self._body, name)

    def length(self, first: str, second: str) -> float:
        """Distance of two joints at rest [m]."""
        return float(np.linalg.norm(self._rest(first) - self._rest(second)))

    def reach(self, pose: Pose, limb: str, side: str, target: F64, pole: F64, end: F64 | None = None) -> Pose:
        """The pose with the wrist or ankle of one limb at ``target``.

        Args:
            pose: Start; everything but the limb stays.
            limb: "arm" or "leg".
            side: "l" or "r".
            target: World place of the wrist or ankle (3,).
            pole: Elbow or knee bends towards this direction (3,).
            end: Direction in which hand or foot points, None = hands follow the forearm, feet stay as they were.
        """
        chain = [f"{p}_{side}" for p in (_ARM if limb == "arm" else _LEG)]
        rows = [self._space.joint(n) for n in chain[:3]]
        rest = [self._rest(n) for n in chain]
        upper, lower = rest[1] - rest[0], rest[2] - rest[1]
        hinge = cross(upper, lower) if limb == "arm" else np.array([1.0, 0.0, 0.0])
        origin = self._space.places(self._body, pose)[rows[0]]
        first, second = bend(origin, target, float(np.linalg.norm(upper)), float(np.linalg.norm(lower)), pole)
        normal = cross(first, second)
        if np.linalg.norm(normal) < 1e-3:
            normal = cross(first, -pole)
        rotations = pose.rotations.copy()
        rotations[rows[0]] = _turned(first, normal, upper, hinge)
        rotations[rows[1]] = _turned(second, normal, lower, hinge)
        if limb == "arm":
            rotations[rows[2]] = rotations[rows[1]]
        if end is not None:
            bone = rest[3] - rest[2]
            rotations[rows[2]] = least_rotation(rotations[rows[2]] @ bone, end) @ rotations[rows[2]]
        if limb == "leg":
            rotations[self._space.joint(f"toe_{side}")] = rotations[rows[2]]
        return Pose(rotations, pose.pelvis_m)

    def seated(self, pose: Pose, seat_m: float, rng: np.random.Generator) -> Pose:
        """The upper body of an upright pose on a seat, feet on the floor, facing +z at the origin.

        Args:
            pose: Any pose with an upright pelvis.
            seat_m: Height of the seat.
            rng: For the posture.
        """
        space = self._space
        rotations = pose.rotations.copy()
        facing = rotations[0] @ np.array([0.0, 0.0, 1.0])
        rotations = turn("y", -float(np.degrees(np.arctan2(facing[0], facing[2])))) @ rotations
        lean = float(rng.normal(2, 7))
        pelvis = turn("x", lean - 6)
        trunk = turn("x", lean) @ rotations[0].T  # the pelvis' own tilt goes; what the trunk does over it stays
        legs = {space.joint(f"{p}_{s}") for p in _LEG for s in "lr"}
        upper = [k for k in range(len(rotations)) if k not in legs and k != 0]
        rotations[upper] = trunk @ rotations[upper]
        rotations[0] = pelvis
        scale = self._body.height_m / 1.7
        out = Pose(rotations, np.array([0.0, seat_m + 0.095 * scale, 0.0]))
        spread, forward = rng.uniform(0.04, 0.16) * scale, rng.uniform(-0.06, 0.14) * scale
        for side, sign in (("l", 1.0), ("r", -1.0)):
            hip = space.at(space.places(self._body, out), f"thigh_{side}")
            thigh = self.length(f"thigh_{side}", f"calf_{side}")
            turned = turn("y", sign * float(rng.uniform(-2, 22)))
            rotations = out.rotations.copy()
            rotations[space.joint(f"foot_{side}")] = rotations[space.joint(f"toe_{side}")] = turned
            out = Pose(rotations, out.pelvis_m)
            ankle = np.array(
                [hip[0] + sign * spread, 0.085 * scale, hip[2] + 0.97 * thigh + forward + rng.normal(0, 0.03)]
            )
            out = self.reach(out, "leg", side, ankle, np.array([0.15 * sign, 1.0, 0.6]))
        return out
