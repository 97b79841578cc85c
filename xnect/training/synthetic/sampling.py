"""Random scenes: crowds, desks before a webcam, people on seats, couples; still or as short sequences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from xnect.geometry import camera_from_fov, project
from xnect.structures import F64, Camera
from xnect.training.synthetic.backdrops import Photo
from xnect.training.synthetic.bodies import Pose
from xnect.training.synthetic.cameras import PlacedCamera, look
from xnect.training.synthetic.collision import Box, Capsules, box_of, capsules, overlap
from xnect.training.synthetic.companions import Companions
from xnect.training.synthetic.desks import Desks
from xnect.training.synthetic.distortion import bent_camera, random_distortion
from xnect.training.synthetic.effects import random_lens
from xnect.training.synthetic.gestures import FREE, Gestures
from xnect.training.synthetic.handheld import Things
from xnect.training.synthetic.meshes import Mesh
from xnect.training.synthetic.moves import Moves, heading, on_ground
from xnect.training.synthetic.outfits import Stylist
from xnect.training.synthetic.props import placed
from xnect.training.synthetic.retarget import turn
from xnect.training.synthetic.scene import Actor, Held, Scene, Studio
from xnect.training.synthetic.settings import Setting, Settings
from xnect.training.synthetic.splits import KINDS, check_split

#: Camera kinds: share, height [m], distance of people [m], roll [degrees], height of what it looks at [m].
_CAMERAS = {
    "webcam": (0.3, (0.75, 1.5), (1.1, 3.5), 3.0, (0.9, 1.5)),
    "phone": (0.3, (1.0, 1.75), (1.5, 5.0), 7.0, (0.8, 1.4)),
    "standing": (0.25, (1.4, 1.85), (2.0, 8.0), 2.0, (0.7, 1.3)),
    "surveillance": (0.15, (2.3, 4.2), (2.5, 9.0), 2.0, (0.3, 1.0)),
}
_KIND_SHARE = (0.5, 0.22, 0.14, 0.14)
_PEOPLE_SHARE = (0.2, 0.25, 0.2, 0.13, 0.09, 0.06, 0.04, 0.03)
#: Bodies may be so deep in one another before a scene is refused [m]: clothes are thicker than skin.
TOUCH_M = 0.02
_TRIES = 10
#: Share of the cameras whose lens bends straight lines (a photo behind the people has bent its own already).
_BENT_SHARE = 0.3
#: Joints (of 22) that somebody must have in the picture.
_SHOWN = 9


class SceneSampler:
    """Draws scenes from seeds.

    Args:
        studio: What scenes are made of.
        split: train, val or test: bodies, clips, garments and places of that split alone.
        size_px: Width and height of the pictures.
    """

    def __init__(self, studio: Studio, split: str = "train", size_px: tuple[int, int] = (512, 320)) -> None:
        check_split(split)
        self.studio, self.size_px = studio, size_px
        self.stylist = Stylist(studio.assets, studio.space, split)
        self.moves = Moves(studio.motion, split)
        self.settings = Settings(studio.assets, studio.props, split)
        self._things = Things(studio)
        self._desks = Desks(studio, self.stylist, self.moves, self.settings, self._things)
        self._companions = Companions(studio, self.stylist, self.moves)

    def sample(self, seed: int, frames: int = 1, kind: str | None = None, people: int | None = None) -> Scene:
        """The scene of a seed.

        Args:
            seed: The same seed gives the same scene.
            frames: 1 = a still, more = a sequence at 30 frames a second.
            kind: One of crowd, desk, seated, touching; None = at random.
            people: How many a crowd tries to place (1 to 8), None = at random.
        """
        rng = np.random.default_rng((seed, 1))
        kind = kind or str(rng.choice(KINDS, p=_KIND_SHARE))
        camera = camera_from_fov(self.size_px, float(rng.uniform(35, 90)), estimated=False)
        make = {"desk": self._desk, "seated": self._seated, "touching": self._touching}
        for _ in range(5):
            scene = self._crowd(rng, camera, frames, people) if kind == "crowd" else make[kind](rng, camera, frames)
            if self._shows(scene, headless=rng.random() < 0.1):
                break
        scene = replace(scene, seed=seed, lens=random_lens(rng))
        if isinstance(scene.background, Photo) or rng.random() > _BENT_SHARE:
            return scene
        distortion = random_distortion(rng, camera)
        return replace(scene, cameras=tuple(bent_camera(c, distortion) for c in scene.cameras))

    def _shows(self, scene: Scene, headless: bool) -> bool:
        """Whether a good part of somebody is in the picture of the first frame, and the face unless ``headless``."""
        camera, space = scene.cameras[0], self.studio.space
        for actor in scene.actors:
            joints, nose, _ = space.labels(space.places(actor.person.body, actor.poses[0]))
            inside = _inside(camera, np.concatenate([joints, nose[None]]))
            if inside.sum() >= _SHOWN and (inside[-1] or headless):
                return True
        return False

    def _crowd(self, rng: np.random.Generator, camera: Camera, frames: int, people: int | None = None) -> Scene:
        eye = _RandomCamera(rng, camera)
        actors: list[Actor] = []
        bodies: list[Capsules] = []
        for _ in range(people or int(rng.choice(8, p=_PEOPLE_SHARE)) + 1):
            self._join(rng, eye, frames, actors, bodies)
        self._frame(rng, eye, bodies)
        return self._placed("crowd", rng, eye, actors, bodies, (), frames)

    def _frame(self, rng: np.random.Generator, eye: _RandomCamera, bodies: list[Capsules]) -> None:
        """Turn the camera to the people until a good part of somebody is in the picture."""
        for _ in range(6):
            eye.frame(rng, bodies)
            camera = eye.path(rng, 1, moves=False)[0]
            if any(_inside(camera, b.points()).mean() > 0.6 for b in bodies):
                return

    def _join(
        self, rng: np.random.Generator, eye: _RandomCamera, frames: int, actors: list[Actor], bodies: list[Capsules]
    ) -> None:
        """One more person, if there is a place."""
        actor = self._standing(rng, frames)
        spot = self._spot(rng, eye, actor, actors, bodies) if actor else None
        if actor and spot is not None:
            actors.append(_moved(actor, spot))
            bodies.append(self._capsules(actors[-1], 0))

    def _spot(
        self, rng: np.random.Generator, eye: _RandomCamera, actor: Actor, others: list[Actor], bodies: list[Capsules]
    ) -> F64 | None:
        """A free place (3,) in the picture for somebody, None where there is none."""
        for _ in range(_TRIES):
            spot = eye.spot(rng)
            mine = _shifted(self._capsules(actor, 0), spot)
            if np.linalg.norm(mine.points() - eye.centre_m, axis=1).min() < 0.6:
                continue
            if all(overlap(mine, b) <= TOUCH_M for b in bodies) and not self._collides(actor, spot, others):
                return spot
        return None

    def _collides(self, actor: Actor, spot: F64, others: list[Actor]) -> bool:
        """Whether somebody runs into one of the others later in a sequence; a few frames are looked at."""
        frames = len(actor.poses)
        for k in range(1, frames)[:: max(1, frames // 5)]:
            mine = _shifted(self._capsules(actor, k), spot)
            if any(overlap(mine, self._capsules(other, k)) > TOUCH_M for other in others):
                return True
        return False

    def _standing(self, rng: np.random.Generator, frames: int) -> Actor | None:
        """Somebody dressed and moving in the middle of the world."""
        space = self.studio.space
        person = self.studio.wardrobe.dressed(self.stylist.looks(rng))
        for _ in range(4):
            poses = on_ground(space, person, self.moves.standing(rng, frames))
            if poses is not None:
                break
        else:
            return None
        about = heading(rng, poses[0])
        poses = [p.turned(about, np.zeros(3)) for p in poses]
        held: tuple[Held, ...] = ()
        if rng.random() < 0.18 and frames == 1:
            gesture = Gestures(space, person.body).free(poses[0], str(rng.choice(FREE)), rng)
            poses, held = [gesture.pose], self._things.of(gesture)
        if not held and rng.random() < 0.15:
            held = self._things.carried(rng, person.body, poses[0])
        return Actor(person, poses, held)

    def _touching(self, rng: np.random.Generator, camera: Camera, frames: int) -> Scene:
        eye = _RandomCamera(rng, camera, nearer=0.95)
        pair = self._companions.pair(rng, frames)
        about, spot = turn("y", float(rng.uniform(-180, 180))), eye.spot(rng)
        actors = [Actor(a.person, [p.turned(about, spot) for p in a.poses], a.held) for a in pair]
        bodies = [self._capsules(a, 0) for a in actors]
        for _ in range(int(rng.choice(4, p=[0.5, 0.25, 0.15, 0.1]))):
            self._join(rng, eye, frames, actors, bodies)
        self._frame(rng, eye, bodies)
        return self._placed("touching", rng, eye, actors, bodies, (), frames)

    def _desk(self, rng: np.random.Generator, camera: Camera, frames: int) -> Scene:
        actors, things, boxes, centre, aim = self._desks.webcam(rng, frames)
        eye = _RandomCamera(rng, camera)
        eye.centre_m = centre
        eye.aim(aim, rng.normal(0, [5.0, 2.5]))
        bodies = [self._capsules(a, 0) for a in actors]
        if rng.random() < 0.25:  # somebody stands behind
            actor = self._standing(rng, frames)
            if actor:
                spot = np.array([rng.uniform(-1.2, 1.2), 0.0, -rng.uniform(0.8, 2.2)])
                mine = _shifted(self._capsules(actor, 0), spot)
                if all(overlap(mine, b) <= TOUCH_M for b in bodies) and not any(
                    x.holds(mine.points(), 0.05) for x in boxes
                ):
                    actors.append(_moved(actor, spot))
                    bodies.append(mine)
        return self._placed("desk", rng, eye, actors, bodies, things, frames, boxes)

    def _seated(self, rng: np.random.Generator, camera: Camera, frames: int) -> Scene:
        actors, things, boxes = self._desks.seats(rng, frames)
        eye = _RandomCamera(rng, camera)
        middle = np.mean([a.poses[0].pelvis_m for a in actors], 0)
        side, far = math.radians(float(np.clip(rng.normal(0, 35), -75, 75))), max(1.3, eye.distance(rng) * 0.7)
        eye.centre_m = middle * [1, 0, 1] + [far * math.sin(side), eye.centre_m[1], far * math.cos(side)]
        eye.aim(middle + np.array([0, 0.2, 0]), rng.normal(0, [5.0, 3.0]))
        bodies = [self._capsules(a, 0) for a in actors]
        return self._placed("seated", rng, eye, actors, bodies, things, frames, boxes)

    def _capsules(self, actor: Actor, frame: int) -> Capsules:
        space, body = self.studio.space, actor.person.body
        return capsules(space, space.places(body, actor.poses[frame]), body.height_m)

    def _placed(
        self, kind: str, rng: np.random.Generator, eye: _RandomCamera, actors: list[Actor], bodies: list[Capsules],
        things: tuple[Mesh, ...], frames: int, boxes: list[Box] | None = None,
    ) -> Scene:  # fmt: skip
        """The scene in a room, before a panorama or a photo; with occluders."""
        boxes = list(boxes or [])
        every = [self._capsules(a, k).points() for a in actors for k in range(0, frames, max(1, frames // 6))]
        points = np.concatenate([*every, *[b.points() for b in bodies], eye.centre_m[None]])
        clear = np.concatenate([points, *[b.corners() for b in boxes]])
        if kind == "crowd" and rng.random() < 0.25:
            occluder = self._occluder(rng, eye, points)
            if occluder:
                things = (*things, occluder[0])
                boxes.append(occluder[1])
        where = str(
            rng.choice(
                ["room", "panorama", "photo"],
                p=[0.52, 0.36, 0.12] if kind in ("crowd", "touching") else [0.8, 0.1, 0.1],
            )
        )
        setting = None
        if where == "photo" and frames == 1:
            setting = self._photo(rng, eye, kind, bodies)
        elif where != "room":
            setting = self.settings.panorama(rng, float(np.hypot(points[:, 0], points[:, 2]).max()))
        if setting is None:
            setting = self.settings.room(rng, clear, eye.centre_m, boxes)
        cameras = eye.path(rng, frames, moves=not isinstance(setting.background, Photo))
        return Scene(
            kind,
            tuple(actors),
            (*things, *setting.things),
            cameras,
            setting.light,
            setting.background,
            random_lens(rng),
            0,
        )

    def _photo(self, rng: np.random.Generator, eye: _RandomCamera, kind: str, bodies: list[Capsules]) -> Setting | None:
        """A photo, the camera tilted so that its horizon is the photo's; None where somebody would not stand on its ground."""
        setting, horizon, edge = self.settings.photo(rng, eye.camera, kind != "desk")
        if kind not in ("crowd", "touching"):
            return setting
        focal, middle = eye.camera.matrix_px[1, 1], eye.camera.matrix_px[1, 2]
        before = eye.pitch, eye.roll
        eye.pitch, eye.roll = math.degrees(math.atan2(horizon - middle, focal)), 0.0
        camera = eye.path(rng, 1, moves=False)[0]
        feet = camera.view(np.array([b.points().mean(0) * [1, 0, 1] for b in bodies]).reshape(-1, 3))
        ahead = feet[feet[:, 2] > 0.1]
        if len(ahead) and project(ahead, eye.camera)[:, 1].min() < edge:
            eye.pitch, eye.roll = before
            return None
        return setting

    def _occluder(self, rng: np.random.Generator, eye: _RandomCamera, points: F64) -> tuple[Mesh, Box] | None:
        """Furniture between the camera and the people."""
        row = self.settings.prop(rng)
        mesh = self.studio.props.mesh(row["id"])
        if float(row["height_m"]) > 1.3:
            return None
        place = eye.spot(rng, nearer=0.6)
        turned = turn("y", float(rng.uniform(-180, 180)))
        box = box_of(mesh, turned, place)
        if box.holds(points, 0.1) or box.holds(eye.centre_m[None], 0.4):
            return None
        return placed(mesh, turned, place), box


class _RandomCamera:
    """A camera that looks along -z over the world's origin, and places in front of it."""

    def __init__(self, rng: np.random.Generator, camera: Camera, nearer: float = 1.0) -> None:
        self.camera = camera
        names = list(_CAMERAS)
        kind = str(rng.choice(names, p=[_CAMERAS[n][0] for n in names]))
        _, heights, distances, roll, targets = _CAMERAS[kind]
        self.centre_m = np.array([0.0, rng.uniform(*heights), 0.0])
        self._near, self._far = math.log(distances[0] * nearer), math.log(distances[1] * nearer)
        self.roll = float(rng.normal(0, roll))
        far = math.exp((self._near + self._far) / 2)
        self.yaw = 0.0
        self.pitch = math.degrees(math.atan2(rng.uniform(*targets) - self.centre_m[1], far)) + float(rng.normal(0, 4))

    @property
    def _half(self) -> float:
        """Tangent of half the field of view across."""
        return self.camera.size_px[0] / 2 / self.camera.matrix_px[0, 0]

    def distance(self, rng: np.random.Generator) -> float:
        """A random distance of somebody [m]."""
        return math.exp(rng.uniform(self._near, self._far))

    def spot(self, rng: np.random.Generator, nearer: float = 1.0) -> F64:
        """A random place on the ground that the camera sees, or nearly (3,)."""
        far = self.distance(rng) * nearer
        return np.array([far * self._half * rng.uniform(-0.9, 0.9), 0.0, -far])

    def aim(self, target_m: F64, off_deg: np.ndarray) -> None:
        """Look at a place, ``off_deg`` (2,) beside it."""
        d = target_m - self.centre_m
        self.yaw = math.degrees(math.atan2(-d[0], -d[2])) + float(off_deg[0])
        self.pitch = math.degrees(math.atan2(d[1], math.hypot(d[0], d[2]))) + float(off_deg[1])

    def frame(self, rng: np.random.Generator, bodies: list[Capsules]) -> None:
        """Turn to the people: to about the middle of them, at the height of somebody's body."""
        if not bodies:
            return
        middles = np.array([b.ends_m.mean((0, 1)) for b in bodies]) - self.centre_m
        bearing = np.degrees(np.arctan2(-middles[:, 0], -middles[:, 2]))
        half = math.degrees(math.atan(self._half))
        self.yaw = float(np.median(bearing) + rng.normal(0, 0.3) * half)
        chosen = bodies[int(rng.integers(len(bodies)))].points()
        target = rng.uniform(chosen[:, 1].mean() * 0.7, chosen[:, 1].max() * 0.95)
        far = float(np.linalg.norm((chosen.mean(0) - self.centre_m)[[0, 2]]))
        self.pitch = math.degrees(math.atan2(target - self.centre_m[1], far)) + float(rng.normal(0, 3))

    def path(self, rng: np.random.Generator, frames: int, moves: bool) -> tuple[PlacedCamera, ...]:
        """The camera of each frame: on a stand, or (half of the sequences) in a hand that shakes and pans."""
        angles = np.array([self.yaw, self.pitch, self.roll])
        if frames == 1 or not moves or rng.random() < 0.5:
            return (look(self.camera, self.centre_m, *angles),) * frames
        time = np.arange(frames)[:, None] / 30.0
        pan = rng.normal(0, [4, 1, 0.3]) * time
        wave = sum(
            rng.normal(0, 0.35, 3) * np.sin(2 * np.pi * f * time + rng.uniform(0, 6.28, 3)) for f in (0.4, 1.1, 2.3)
        )
        walk = rng.normal(0, [0.12, 0.02, 0.12]) * time
        return tuple(look(self.camera, self.centre_m + w, *(angles + a)) for w, a in zip(walk, pan + wave, strict=True))


def _inside(camera: PlacedCamera, points_m: F64) -> np.ndarray:
    """Which world points (N, 3) are in the picture, off its edge."""
    points = camera.view(points_m)
    ahead = points[:, 2] > 0.2
    flat = project(np.where(ahead[:, None], points, [0.0, 0.0, 1.0]), camera.camera) / camera.camera.size_px
    return ahead & ((flat > 0.02) & (flat < 0.98)).all(1)


def _moved(actor: Actor, spot: F64) -> Actor:
    shift = [Pose(p.rotations, p.pelvis_m + spot) for p in actor.poses]
    return Actor(actor.person, shift, actor.held)


def _shifted(body: Capsules, spot: F64) -> Capsules:
    return Capsules(body.ends_m + spot, body.radius_m)
