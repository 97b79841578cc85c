"""Seated people: half bodies at a desk before a webcam, and people on chairs, stools and sofas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xnect.structures import F64
from xnect.training.synthetic.bodies import Pose
from xnect.training.synthetic.collision import Box, Capsules, box_of, capsules, overlap
from xnect.training.synthetic.gestures import Gesture, Gestures
from xnect.training.synthetic.handheld import Things, block
from xnect.training.synthetic.ik import Limbs
from xnect.training.synthetic.meshes import Mesh
from xnect.training.synthetic.moves import Moves
from xnect.training.synthetic.outfits import Stylist
from xnect.training.synthetic.people import Person
from xnect.training.synthetic.props import placed
from xnect.training.synthetic.retarget import Retarget, turn
from xnect.training.synthetic.scene import Actor, Studio
from xnect.training.synthetic.settings import Settings

#: Props with a plain top, to sit at.
_DESKS = ("by_simpledesk", "by_officetable", "cc0_table", "cc0_oaktable", "by_table", "cc0_tablewithtablecloth")
_TABLE_THINGS = ("by_laptop", "by_book", "cc0_littleplant", "cc0_beerglass", "cc0_speaker2")


class Desks:
    """Draws seated people at random.

    Args:
        studio: What they are made of.
        stylist: Who they are.
        moves: What their upper bodies do.
        settings: Which seats there are.
        things: What they hold.
    """

    def __init__(self, studio: Studio, stylist: Stylist, moves: Moves, settings: Settings, things: Things) -> None:
        self._studio, self._stylist, self._moves, self._settings, self._things = (
            studio,
            stylist,
            moves,
            settings,
            things,
        )

    def webcam(
        self, rng: np.random.Generator, frames: int
    ) -> tuple[list[Actor], tuple[Mesh, ...], list[Box], F64, F64]:
        """One or two people at a desk, facing +z.

        Returns:
            The people, the furniture, its boxes, the webcam's place and the place it looks at.
        """
        count = 1 if rng.random() < 0.8 else 2
        desk = self._studio.props.mesh(str(rng.choice(_DESKS)))
        top = float(desk.vertices_m[:, 1].max())
        edge = float(rng.uniform(0.2, 0.34))  # from the pelvis to the desk's near edge
        meshes, boxes, sitters = [], [], []
        for k in range(count):
            x = 0.0 if count == 1 else (k - 0.5) * rng.uniform(0.7, 0.9)
            mesh, box, seat = self._seat_mesh(rng, np.array([x, 0.0, -0.05]), 0.0, top - 0.24)
            meshes.append(mesh)
            boxes.append(box)
            person = self._studio.wardrobe.dressed(self._stylist.looks(rng, seated=True))
            sitters.append((person, self._seated(rng, person, seat, frames), np.array([x, 0.0, 0.0])))
        # a desk that the knees do not fit under stands on longer legs
        knees = max(self._knees_m(person, pose) for person, poses, _ in sitters for pose in poses)
        raised = max(top, knees + 0.05)
        desk = replace(desk, vertices_m=desk.vertices_m * np.array([1, raised / top, 1], np.float32))
        top, depth = raised, float(np.ptp(desk.vertices_m[:, 2]))
        turned = turn("y", float(rng.choice([0.0, 180.0])))
        place = np.array([rng.normal(0, 0.15), 0.0, edge + depth / 2])
        meshes.append(placed(desk, turned, place))
        boxes.append(box_of(desk, turned, place))
        actors = [self._busy(rng, person, poses, spot, (top, edge)) for person, poses, spot in sitters]
        meshes += self._on_desk(rng, top, place, depth)
        face = self._studio.space.places(actors[0].person.body, actors[0].poses[0])
        nose = self._studio.space.at(face, "nose")
        away = float(rng.uniform(0.42, 1.0)) + (0.25 if count == 2 else 0.0)
        height = float(np.clip(top + rng.uniform(0.12, 0.6), top + 0.1, 1.6))
        centre = np.array([nose[0] * 0.5 + rng.normal(0, 0.12), height, max(nose[2], 0.1) + away])
        aim = np.array([0.0 if count == 2 else nose[0], nose[1] - rng.uniform(0.0, 0.3), nose[2]])
        return actors, tuple(meshes), boxes, centre, aim

    def seats(self, rng: np.random.Generator, frames: int) -> tuple[list[Actor], tuple[Mesh, ...], list[Box]]:
        """One to four people on seats in a loose row, facing about +z; no two touch.

        Returns:
            The people, the furniture and its boxes.
        """
        actors: list[Actor] = []
        meshes: list[Mesh] = []
        boxes: list[Box] = []
        bodies: list[Capsules] = []
        space = self._studio.space
        x = 0.0
        for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.3, 0.35, 0.2, 0.15]))):
            yaw = float(rng.normal(0, 25))
            about = turn("y", yaw)
            mesh, box, seat = self._seat_mesh(rng, np.array([x, 0.0, rng.uniform(-0.5, 0.5)]), yaw)
            if any(box.meets(b) for b in boxes):
                x += 0.4
                continue
            person = self._studio.wardrobe.dressed(self._stylist.looks(rng, seated=True))
            spot = box.centre_m * [1, 0, 1] + about @ np.array([0.0, 0.0, 0.05])
            actor = self._busy(rng, person, self._seated(rng, person, seat, frames), np.zeros(3), None)
            actor = Actor(person, [p.turned(about, spot) for p in actor.poses], actor.held)
            mine = capsules(space, space.places(person.body, actor.poses[0]), person.body.height_m)
            if all(overlap(mine, b) <= 0.02 for b in bodies) and not any(b.holds(mine.points(), 0.03) for b in boxes):
                actors.append(actor)
                bodies.append(mine)
                meshes.append(mesh)
                boxes.append(box)
            x += float(rng.uniform(0.75, 1.3))
        return actors, tuple(meshes), boxes

    def _seat_mesh(
        self, rng: np.random.Generator, place: F64, yaw: float, highest_m: float = 0.6
    ) -> tuple[Mesh, Box, float]:
        """Something to sit on: mesh, box and the height of its seat."""
        row = self._settings.seat(rng, highest_m)
        mesh = self._studio.props.mesh(row["id"])
        turned = turn("y", yaw)
        return placed(mesh, turned, place), box_of(mesh, turned, place), float(row["seat_height_m"])

    def _seated(self, rng: np.random.Generator, person: Person, seat_m: float, frames: int) -> list[Pose]:
        """Somebody who sits at the origin, facing +z, with the motion capture's own upper body."""
        space, body = self._studio.space, person.body
        motion = self._moves.upright(rng, frames)
        limbs = Limbs(space, body)
        posture = int(rng.integers(1 << 30))
        poses = [
            limbs.seated(p, seat_m, np.random.default_rng(posture))
            for p in Retarget(space, body, motion.offsets_m).poses(motion)
        ]
        sink = self._above_seat(person, poses[0]) - seat_m
        return [Pose(p.rotations, p.pelvis_m - [0, sink, 0]) for p in poses]

    def _knees_m(self, person: Person, pose: Pose) -> float:
        """Height of the top of the higher knee [m]."""
        space = self._studio.space
        places = space.places(person.body, pose)
        return max(float(space.at(places, f"calf_{s}")[1]) for s in "lr") + 0.08 * person.body.height_m / 1.7

    def _busy(
        self,
        rng: np.random.Generator,
        person: Person,
        poses: list[Pose],
        spot: F64,
        desk: tuple[float, float] | None,
    ) -> Actor:
        """A seated person's arms get something to do; ``desk``: its height and the distance of its near edge."""
        gestures = Gestures(self._studio.space, person.body)
        gesture = self._gesture(rng, gestures, poses[0], desk)
        if gesture and len(poses) == 1:
            poses = [gesture.pose]
        poses = [self._hands_clear(gestures, p, desk) for p in poses]
        held = self._things.of(gesture) if gesture and len(poses) == 1 else ()
        return Actor(person, [Pose(p.rotations, p.pelvis_m + spot) for p in poses], held)

    def _above_seat(self, person: Person, pose: Pose) -> float:
        """Height of the lowest point of the buttocks and thighs near the pelvis [m]."""
        vertices = person.posed(self._studio.space, pose, 0).vertices_m
        near = np.hypot(vertices[:, 0] - pose.pelvis_m[0], vertices[:, 2] - pose.pelvis_m[2]) < 0.16
        below = near & (vertices[:, 1] < pose.pelvis_m[1]) & (vertices[:, 1] > pose.pelvis_m[1] - 0.3)
        return float(np.percentile(vertices[below, 1], 8)) if below.any() else float(pose.pelvis_m[1] - 0.1)

    def _gesture(
        self, rng: np.random.Generator, gestures: Gestures, pose: Pose, desk: tuple[float, float] | None
    ) -> Gesture | None:
        """What the arms do beside the motion capture's own; None = leave them."""
        if desk is None:
            kind = str(rng.choice(["none", "lap", "phone_front", "phone_ear", "face", "folded", "mug"],
                                  p=[0.3, 0.3, 0.12, 0.06, 0.08, 0.08, 0.06]))  # fmt: skip
        else:
            kind = str(rng.choice(["none", "typing", "rest", "phone_ear", "phone_front", "face", "folded", "mug", "wave"],
                                  p=[0.24, 0.26, 0.1, 0.08, 0.06, 0.1, 0.05, 0.06, 0.05]))  # fmt: skip
        if kind == "none":
            return None
        if kind == "typing" and desk:
            return gestures.typing(pose, desk[0], desk[1] + float(rng.uniform(0.02, 0.12)), rng)
        if kind == "rest" and desk:
            for side, sign in (("l", 1.0), ("r", -1.0)):
                target = np.array([sign * rng.uniform(0.0, 0.22), desk[0] + 0.05, desk[1] + rng.uniform(0.04, 0.16)])
                pose = gestures.rested(pose, side, target).pose
            return Gesture(pose)
        if kind == "lap":
            for side in "lr":
                pose = gestures.on_thigh(pose, side, float(rng.uniform(0.45, 0.8))).pose
            return Gesture(pose)
        return gestures.free(pose, kind, rng)

    def _hands_clear(self, gestures: Gestures, pose: Pose, desk: tuple[float, float] | None) -> Pose:
        """Hands that hang where the seat or the desk is are laid on the thighs or on the desk."""
        for side, sign in (("l", 1.0), ("r", -1.0)):
            wrist, knuckle = gestures.at(pose, f"hand_{side}"), gestures.at(pose, f"fingertip_{side}")
            if desk and min(wrist[1], knuckle[1]) < desk[0] + 0.03 and max(wrist[2], knuckle[2]) > desk[1] - 0.12:
                target = np.array(
                    [
                        wrist[0] if wrist[0] * sign > -0.1 else 0.0,
                        desk[0] + 0.055,
                        max(desk[1] + 0.03, min(wrist[2], desk[1] + 0.2)),
                    ]
                )
                pose = gestures.rested(pose, side, target).pose
            elif knuckle[1] < gestures.at(pose, f"thigh_{side}")[1] + 0.06:
                pose = gestures.on_thigh(pose, side, 0.6).pose
        return pose

    def _on_desk(self, rng: np.random.Generator, top: float, place: F64, depth: float) -> list[Mesh]:
        """A keyboard and things that stand on the desk."""
        out = []
        near = place[2] - depth / 2
        if rng.random() < 0.5:
            keyboard = block(
                (0.42, 0.02, 0.13), self._studio.assets.heap.colour(np.full(3, rng.choice([0.1, 0.3, 0.85])))
            )
            out.append(placed(keyboard, np.eye(3), np.array([0.0, top + 0.01, near + 0.17])))
        for _ in range(int(rng.integers(0, 4))):
            mesh = self._studio.props.mesh(str(rng.choice(_TABLE_THINGS)))
            spot = np.array(
                [rng.choice([-1, 1]) * rng.uniform(0.3, 0.6), top, near + rng.uniform(0.15, max(0.2, depth - 0.15))]
            )
            out.append(placed(mesh, turn("y", float(rng.uniform(-180, 180))), spot))
        return out
