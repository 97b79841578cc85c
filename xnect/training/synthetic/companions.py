"""Two people who touch: couples of the motion pack, and pairs that hug, shake hands or stand arm in arm."""

from __future__ import annotations

import numpy as np

from xnect.structures import F64
from xnect.training.synthetic.bodies import Pose
from xnect.training.synthetic.gestures import Gestures
from xnect.training.synthetic.motion import Motion
from xnect.training.synthetic.moves import Moves, on_ground
from xnect.training.synthetic.outfits import Stylist
from xnect.training.synthetic.people import Person
from xnect.training.synthetic.retarget import Retarget, turn
from xnect.training.synthetic.scene import Actor, Studio

_KINDS = ("dance", "shoulder", "hands", "hug", "high_five")


class Companions:
    """Draws pairs at random.

    Args:
        studio: What they are made of.
        stylist: Who they are.
        moves: How they stand.
    """

    def __init__(self, studio: Studio, stylist: Stylist, moves: Moves) -> None:
        self._studio, self._stylist, self._moves = studio, stylist, moves

    def pair(self, rng: np.random.Generator, frames: int = 1, kind: str | None = None) -> list[Actor]:
        """Two people about the middle of the world; posed pairs are stills and stay as they are in a sequence."""
        kind = kind or str(rng.choice(_KINDS, p=[0.35, 0.25, 0.12, 0.16, 0.12]))
        people = [self._studio.wardrobe.dressed(self._stylist.looks(rng)) for _ in range(2)]
        couple = self._moves.couple(rng, frames) if kind == "dance" else None
        if couple:
            return self._dancers(people, couple)
        poses = [self._calm(rng, p) for p in people]
        make = {"shoulder": self._shoulder, "hug": self._hug}.get(kind, self._hands)
        done = make(rng, people, poses, 1.0 if kind == "high_five" else 0.0)
        return [Actor(p, [q] * frames) for p, q in zip(people, done, strict=True)]

    def _dancers(self, people: list[Person], couple: tuple[Motion, Motion]) -> list[Actor]:
        space, actors = self._studio.space, []
        middle = (couple[0].joints_m[0, 0] + couple[1].joints_m[0, 0]) / 2 * [1, 0, 1]
        for person, motion in zip(people, couple, strict=True):
            poses = Retarget(space, person.body, motion.offsets_m).poses(motion)
            ground = on_ground(space, person, motion)
            drop = 0.0 if ground is None else float(poses[0].pelvis_m[1] - ground[0].pelvis_m[1])
            # the pack's own places, not those scaled by leg length: who holds hands stays near
            own = [motion.joints_m[k, 0] * [1, 0, 1] - middle for k in range(len(poses))]
            actors.append(
                Actor(
                    person,
                    [
                        Pose(p.rotations, np.array([o[0], p.pelvis_m[1] - drop, o[2]]))
                        for p, o in zip(poses, own, strict=True)
                    ],
                )
            )
        return actors

    def _calm(self, rng: np.random.Generator, person: Person) -> Pose:
        """Standing quietly, facing +z, in the middle of the world."""
        for _ in range(6):
            poses = on_ground(self._studio.space, person, self._moves.standing(rng, 1, calm=1.0))
            if poses is not None and poses[0].rotations[0, 1, 1] > 0.9:
                break
        assert poses is not None
        facing = poses[0].rotations[0] @ np.array([0.0, 0.0, 1.0])
        about = turn("y", -float(np.degrees(np.arctan2(facing[0], facing[2]))))
        return poses[0].turned(about, np.zeros(3))

    def _at(self, person: Person, pose: Pose, name: str) -> F64:
        space = self._studio.space
        return space.at(space.places(person.body, pose), name)

    def _width(self, person: Person) -> float:
        space = self._studio.space
        return abs(float(space.named_place(person.body, "upperarm_l")[0])) + 0.075 * person.body.height_m / 1.7

    def _shoulder(self, rng: np.random.Generator, people: list[Person], poses: list[Pose], _: float) -> list[Pose]:
        """Side by side, an arm round the other's shoulders or waist."""
        apart = (self._width(people[0]) + self._width(people[1])) * rng.uniform(0.96, 1.05)
        stand = []
        for pose, sign in zip(poses, (-1.0, 1.0), strict=True):
            about = turn("y", float(rng.normal(-8 * sign, 6)))
            stand.append(pose.turned(about, np.array([sign * apart / 2, 0.0, 0.0])))
        done = list(stand)
        for k in (0, 1) if rng.random() < 0.6 else (int(rng.integers(2)),):
            other, side = 1 - k, "l" if k == 0 else "r"  # the one on the -x side has the other at the left hand
            sign = 1.0 if k == 0 else -1.0
            if k == 0 or rng.random() < 0.5:
                target = self._at(people[other], stand[other], f"upperarm_{side}") + np.array(
                    [-0.06 * sign, 0.045, -0.05]
                )
            else:
                target = self._at(people[other], stand[other], f"thigh_{side}") + np.array([-0.02 * sign, 0.16, -0.1])
            done[k] = Gestures(self._studio.space, people[k].body).around(stand[k], side, target).pose
        return done

    def _hug(self, rng: np.random.Generator, people: list[Person], poses: list[Pose], _: float) -> list[Pose]:
        """Face to face, breast to breast, arms about the other's back."""
        apart = rng.uniform(0.26, 0.34)
        first = poses[0].turned(np.eye(3), np.array([-0.05, 0.0, -apart / 2]))
        second = poses[1].turned(turn("y", 180.0), np.array([0.05, 0.0, apart / 2]))
        stand, done = [first, second], []
        for k in (0, 1):
            back = self._at(people[1 - k], stand[1 - k], "spine_03")
            chest = stand[1 - k].rotations[self._studio.space.joint("spine_03")]
            pose = stand[k]
            for side, sign in (("l", -1.0), ("r", 1.0)):  # my left hand is on the other's right half
                over = 0.12 if (side == "l") == (k == 0) else -0.08
                target = back + chest @ np.array([0.11 * sign, over, -0.15])
                pose = Gestures(self._studio.space, people[k].body).reach(
                    pose, side, target, (1.2, -0.3, 0.3), (-1.0, 0.1, 0.1)
                )
            done.append(pose)
        return done

    def _hands(self, rng: np.random.Generator, people: list[Person], poses: list[Pose], high: float) -> list[Pose]:
        """Face to face, right hands together, low (a handshake) or high."""
        apart = rng.uniform(0.75, 0.95)
        first = poses[0].turned(np.eye(3), np.array([0.12, 0.0, -apart / 2]))
        second = poses[1].turned(turn("y", 180.0), np.array([-0.12, 0.0, apart / 2]))
        stand, done = [first, second], []
        height = min(p.body.height_m for p in people) * (0.62 + 0.33 * high)
        for k, pose in enumerate(stand):
            sign = -1.0 if k == 0 else 1.0
            target = np.array([0.015 * -sign, height, 0.075 * sign])
            end = (0.0, 1.0, 0.25) if high else (0.0, -0.1, 1.0)
            if high:
                target[1] -= 0.08
            done.append(Gestures(self._studio.space, people[k].body).reach(pose, "r", target, (0.5, -1.0, -0.4), end))
        return done
