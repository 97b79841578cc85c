"""Arm poses that the motion pack lacks: phone, keyboard, face, hips, folded arms, an arm round a shoulder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.structures import F64
from xnect.training.synthetic.bodies import Body, BodySpace, Pose
from xnect.training.synthetic.ik import Limbs

#: Gestures that need no desk.
FREE = ("phone_ear", "phone_front", "face", "hip", "folded", "wave", "mug")


@dataclass(frozen=True, slots=True)
class Gesture:
    """A pose with what the hand holds.

    Attributes:
        pose: The whole body.
        holds: "phone", "mug" or "".
        side: Hand that holds it, "l" or "r".
    """

    pose: Pose
    holds: str = ""
    side: str = "r"


class Gestures:
    """Arm poses of one body.

    Args:
        space: The rig.
        body: Whose arms.
    """

    def __init__(self, space: BodySpace, body: Body) -> None:
        self._space, self._body = space, body
        self._limbs = Limbs(space, body)
        self._scale = body.height_m / 1.7

    def _chest(self, pose: Pose) -> F64:
        return pose.rotations[self._space.joint("spine_03")]

    def reach(
        self,
        pose: Pose,
        side: str,
        target: F64,
        pole: tuple[float, float, float],
        end: tuple[float, float, float] | None,
    ) -> Pose:
        """The wrist to a world place; ``pole`` and ``end`` in the chest's axes with x outwards."""
        chest, sign = self._chest(pose), 1.0 if side == "l" else -1.0
        out = np.array([sign, 1.0, 1.0])
        tip = None if end is None else chest @ (np.array(end) * out)
        return self._limbs.reach(pose, "arm", side, target, chest @ (np.array(pole) * out), tip)

    def free(self, pose: Pose, kind: str, rng: np.random.Generator) -> Gesture:
        """One of ``FREE`` with random details."""
        side = str(rng.choice(["l", "r"]))
        places = self._space.places(self._body, pose)
        at = lambda n: self._space.at(places, n)  # noqa: E731
        chest, head = self._chest(pose), pose.rotations[self._space.joint("head")]
        sign, s = (1.0 if side == "l" else -1.0), self._scale
        jitter = rng.normal(0, 0.015, 3)
        if kind == "phone_ear":
            target = at(f"ear_{side}") + head @ (np.array([0.05 * sign, -0.13, 0.04]) * s)
            return Gesture(self.reach(pose, side, target, (0.7, -1, 0.2), (-0.1, 1, -0.1)), "phone", side)
        if kind == "phone_front":
            target = at("spine_03") + chest @ (np.array([0.07 * sign, 0.06, rng.uniform(0.26, 0.34)]) * s) + jitter
            return Gesture(self.reach(pose, side, target, (0.6, -1, -0.3), (-0.4, 0.5, 0.7)), "phone", side)
        if kind == "face":
            target = at("chin") + head @ (np.array([0.05 * sign, -0.1, 0.05]) * s) + jitter
            return Gesture(self.reach(pose, side, target, (0.5, -1, 0.3), (-0.3, 1, -0.15)), "", side)
        if kind == "mug":
            target = at("chin") + head @ (np.array([0.1 * sign, -0.12, 0.14]) * s) + jitter
            return Gesture(self.reach(pose, side, target, (0.7, -1, 0.1), (-0.8, 0.3, 0.4)), "mug", side)
        if kind == "hip":
            for one, sgn in (("l", 1.0), ("r", -1.0)) if rng.random() < 0.5 else ((side, sign),):
                hip = at(f"thigh_{one}") + pose.rotations[0] @ (np.array([0.1 * sgn, 0.13, -0.02]) * s)
                pose = self.reach(pose, one, hip, (1, 0.1, -0.5), (-0.5, -0.6, 0.4))
            return Gesture(pose)
        if kind == "folded":
            for one, sgn, up in (("l", 1.0, 0.0), ("r", -1.0, 0.035)):
                target = at("spine_03") + chest @ (np.array([-0.09 * sgn, 0.0 + up, 0.185 + up]) * s)
                pose = self.reach(pose, one, target, (0.6, -1, 0.1), (-1, 0.15, 0.1))
            return Gesture(pose)
        up = rng.uniform(0.05, 0.35)
        target = at(f"upperarm_{side}") + chest @ (np.array([rng.uniform(0.15, 0.4) * sign, up, 0.2]) * s)
        return Gesture(self.reach(pose, side, target, (0.6, -1, -0.3), (0.1, 1, 0.15)), "", side)

    def typing(self, pose: Pose, desk_m: float, forward_m: float, rng: np.random.Generator) -> Gesture:
        """Both hands on a keyboard at world height ``desk_m`` and z ``forward_m``; sometimes one at the mouse."""
        apart = rng.uniform(0.07, 0.13)
        for side, sign in (("l", 1.0), ("r", -1.0)):
            x, z = sign * apart, forward_m + rng.normal(0, 0.015)
            if side == "r" and rng.random() < 0.35:
                x, z = -rng.uniform(0.22, 0.34), forward_m + rng.uniform(0, 0.06)
            target = np.array([x, desk_m + 0.065 * self._scale, z])
            pose = self.reach(pose, side, target, (0.8, -0.8, -0.6), (-0.1, -0.12, 1))
        return Gesture(pose)

    def rested(self, pose: Pose, side: str, target: F64) -> Gesture:
        """One hand on something in front (a desk, a thigh)."""
        return Gesture(self.reach(pose, side, target, (0.9, -0.8, -0.5), (-0.35, -0.15, 0.9)))

    def at(self, pose: Pose, name: str) -> F64:
        """One posed joint or point (3,)."""
        return self._space.at(self._space.places(self._body, pose), name)

    def on_thigh(self, pose: Pose, side: str, share: float) -> Gesture:
        """A seated body's hand on its thigh, ``share`` of the way to the knee."""
        hip, knee = self.at(pose, f"thigh_{side}"), self.at(pose, f"calf_{side}")
        return self.rested(pose, side, hip + share * (knee - hip) + [0.0, 0.11 * self._scale, 0.0])

    def around(self, pose: Pose, side: str, target: F64) -> Gesture:
        """One arm to a place of somebody else: a shoulder, a back, a hand."""
        return Gesture(self.reach(pose, side, target, (0.8, -0.6, 0.1), None))
