"""A scene: who is in it, how they move, where the camera stands; and the drawing of one of its frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnect.structures import F64, U8
from xnect.training.synthetic.assets import Assets
from xnect.training.synthetic.bodies import BodySpace, Pose
from xnect.training.synthetic.cameras import PlacedCamera
from xnect.training.synthetic.distortion import bend, pinhole_of
from xnect.training.synthetic.effects import Lens, develop
from xnect.training.synthetic.labels import Labels, label, masks
from xnect.training.synthetic.lights import Light
from xnect.training.synthetic.meshes import Mesh
from xnect.training.synthetic.motion import MotionPack
from xnect.training.synthetic.people import Person, Wardrobe, ground_spheres
from xnect.training.synthetic.props import PropStore, placed
from xnect.training.synthetic.render import Background, Drawing, View, draw


class Studio:
    """Everything that scenes are made of, read once.

    Args:
        assets_folder: The asset pack, None = beside the checkout.
        motion_folder: The motion pack, None = beside the checkout.
        max_texture: Longest side of a texture in memory [px].
    """

    def __init__(
        self, assets_folder: str | Path | None = None, motion_folder: str | Path | None = None, max_texture: int = 1024
    ) -> None:
        self.assets = Assets(assets_folder, max_texture)
        self.motion = MotionPack(motion_folder)
        self.space = BodySpace(self.assets)
        self.wardrobe = Wardrobe(self.assets, self.space)
        self.props = PropStore(self.assets)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Something in a hand.

    Attributes:
        mesh: The thing; its origin is in the hand.
        side: "l" or "r".
        rotation: float64 (3, 3): in the axes of the hand, or of the world where ``hangs``.
        hangs: Whether it hangs down whatever the hand does.
    """

    mesh: Mesh
    side: str
    rotation: F64
    hangs: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """One person of a scene.

    Attributes:
        person: The dressed body.
        poses: One a frame.
        held: Things in the hands.
    """

    person: Person
    poses: list[Pose]
    held: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What is drawn, one or more frames.

    Attributes:
        kind: Sort of the scene, for reports.
        actors: The people; their ids are their numbers here.
        things: Furniture.
        cameras: One a frame.
        light: What lights it.
        background: What lies behind.
        lens: What the camera does.
        seed: For the noise.
        fps: Frames a second of a sequence.
    """

    kind: str
    actors: tuple[Actor, ...]
    things: tuple[Mesh, ...]
    cameras: tuple[PlacedCamera, ...]
    light: Light
    background: Background
    lens: Lens
    seed: int
    fps: float = 30.0

    def __len__(self) -> int:
        return len(self.cameras)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A drawn frame.

    Attributes:
        image_bgr: uint8 (H, W, 3).
        labels: Truth; people of whom nothing is in the picture are left out.
        mask: uint8 (H, W), 0 = nobody, k + 1 = row k of the labels.
        kind: Sort of the scene.
    """

    image_bgr: U8
    labels: Labels
    mask: U8
    kind: str


def _held_mesh(studio: Studio, actor: Actor, held: Held, frame: int, places: F64) -> Mesh:
    hand = actor.poses[frame].rotations[studio.space.joint(f"hand_{held.side}")]
    at = (studio.space.at(places, f"knuckle_{held.side}") + studio.space.at(places, f"fingertip_{held.side}")) / 2
    return placed(held.mesh, held.rotation if held.hangs else hand @ held.rotation, at)


def drawing_of(studio: Studio, scene: Scene, frame: int = 0, scale: int = 2) -> tuple[Drawing, Labels]:
    """The linear picture of one frame and the labels of all actors, seen or not."""
    space = studio.space
    places = [space.places(a.person.body, a.poses[frame]) for a in scene.actors]
    meshes = [a.person.posed(space, a.poses[frame], k) for k, a in enumerate(scene.actors)]
    held = [_held_mesh(studio, a, h, frame, p) for a, p in zip(scene.actors, places, strict=True) for h in a.held]
    spheres = np.concatenate([ground_spheres(space, p) for p in places] or [np.zeros((0, 4), np.float32)])
    camera = scene.cameras[frame]
    plain = pinhole_of(camera)
    view = View([*meshes, *held, *scene.things], plain, scene.light, scene.background, spheres)
    drawing = draw(view, studio.assets.heap, scale)
    if plain is not camera:
        drawing = bend(drawing, plain.camera, camera.camera)
    heights = np.array([a.person.body.height_m for a in scene.actors])
    return drawing, label(drawing, camera, space, places, meshes, np.arange(len(meshes)), heights)


def draw_scene(studio: Studio, scene: Scene, frame: int = 0, scale: int = 2) -> Picture:
    """One frame of a scene as the camera gives it, with its labels.

    Args:
        studio: What the scene was made with.
        scene: What to draw.
        frame: Which of its frames.
        scale: Samples a pixel and side.
    """
    drawing, labels = drawing_of(studio, scene, frame, scale)
    kept = np.flatnonzero((labels.area_px >= 1) & (labels.seen > 0).any(1))
    row = np.zeros(len(labels) + 1, np.uint8)
    row[kept + 1] = np.arange(len(kept)) + 1
    image = develop(drawing.image, scene.lens, np.random.default_rng((scene.seed, frame)))
    return Picture(image, labels.rows(kept), row[masks(drawing)], scene.kind)
