"""The bundled demo clip: three people in a living room, drawn from CC0 assets alone, with its truth."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from xnect.errors import SourceError
from xnect.geometry import camera_from_fov
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D
from xnect.structures import U8
from xnect.training.synthetic.assets import Assets
from xnect.training.synthetic.backdrops import Panel, Room
from xnect.training.synthetic.bodies import BodySpace, Pose
from xnect.training.synthetic.cameras import PlacedCamera, look
from xnect.training.synthetic.effects import Lens, develop
from xnect.training.synthetic.labels import Labels, label
from xnect.training.synthetic.lights import Light, exposed, split_light
from xnect.training.synthetic.meshes import Mesh
from xnect.training.synthetic.motion import MOTION_CREDIT, MotionPack
from xnect.training.synthetic.people import Looks, Person, Wardrobe, Wear, ground_spheres
from xnect.training.synthetic.props import PropStore, placed
from xnect.training.synthetic.render import View, draw
from xnect.training.synthetic.retarget import Retarget, turn

SIZE_PX = (960, 540)
FPS = 30
FRAMES = 228
FOV_DEG = 60.0
_DARK, _BROWN, _BLOND = (0.13, 0.1, 0.08), (0.3, 0.2, 0.12), (0.62, 0.47, 0.29)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does what.

    Attributes:
        body: Number of the named body.
        skin: File in skins/.
        wears: (garment, tint or None) from head to foot.
        clip: Clip of the motion pack, from frame ``first``.
        first: See ``clip``.
        enters: Frame of the video at which the clip starts; the person stays ``frames`` frames.
        frames: See ``enters``.
        yaw_deg: How the clip is turned about the vertical.
        start_m: x and z of the pelvis at the first frame.
    """

    body: int
    skin: str
    wears: tuple[tuple[str, tuple[float, float, float] | None], ...]
    clip: str
    first: int
    enters: int
    frames: int
    yaw_deg: float
    start_m: tuple[float, float]


ACTORS = (
    Actor(
        38, "young_caucasian_male.webp",
        (("male_casual06_jeans", None), ("male_casual06_tee", (0.75, 0.72, 0.66)), ("shoes05", None),
         ("hair_short02", _BROWN), ("eyes", None), ("eyebrow001", _BROWN)),
        "cmu_14_14", 4, 0, FRAMES, 8.0, (-0.95, 0.05),
    ),
    Actor(
        31, "young_african_female.webp",
        (("female_sport01_leggings", (0.16, 0.17, 0.2)), ("female_casual01_tee", (0.2, 0.45, 0.5)), ("shoes06", None),
         ("hair_ponytail01", _DARK), ("eyes", None), ("eyebrow005", _DARK)),
        "cmu_14_24", 168, 0, FRAMES, -28.0, (0.95, -0.1),
    ),
    Actor(
        40, "middleage_caucasian_male.webp",
        (("male_casual04_jeans", (0.42, 0.38, 0.3)), ("male_casual03_shirt", (0.35, 0.45, 0.62)), ("shoes03", None),
         ("hair_short01", _DARK), ("eyes", None), ("eyebrow009", _DARK)),
        "cmu_07_05", 0, 62, 128, 96.0, (-2.35, 0.95),
    ),
)  # fmt: skip

#: Furniture: (prop, x, z, yaw, height of its base).
_FURNITURE = (
    ("cc0_couch2", -0.35, -1.4, 0.0, 0.0), ("cc0_bookcase", 2.35, -2.0, 0.0, 0.0), ("cc0_bedsidetable2", 1.55, -1.95, 0.0, 0.0),
    ("cc0_littleplant", 1.55, -1.95, 0.0, 0.454), ("cc0_armchair2", -2.5, -1.3, 40.0, 0.0),
)  # fmt: skip


class DemoScene:
    """Everything of the demo clip, ready to be drawn frame by frame.

    Args:
        assets_folder: The asset pack, None = beside the checkout.
        motion_folder: The motion pack, None = beside the checkout.
    """

    def __init__(self, assets_folder: str | Path | None = None, motion_folder: str | Path | None = None) -> None:
        self.assets, self.motions = Assets(assets_folder), MotionPack(motion_folder)
        self.space = BodySpace(self.assets)
        self._wardrobe, self._store = Wardrobe(self.assets, self.space), PropStore(self.assets)
        self.camera: PlacedCamera = look(
            camera_from_fov(SIZE_PX, FOV_DEG, estimated=False), np.array([0.1, 1.35, 4.35]), 0, -7.5
        )
        self.light = _light()
        self.room = self._room()
        self.furniture = [
            placed(self._store.mesh(name), turn("y", yaw), np.array([x, y, z])) for name, x, z, yaw, y in _FURNITURE
        ]
        self.people = [self._person(a) for a in ACTORS]
        self.poses = [self._poses(a, p) for a, p in zip(ACTORS, self.people, strict=True)]
        self._check_licences()

    def frame(self, index: int) -> tuple[U8, Labels]:
        """Picture (BGR) and labels of one frame; ids are 1, 2, 3."""
        present = [k for k, a in enumerate(ACTORS) if a.enters <= index < a.enters + a.frames]
        meshes: list[Mesh] = []
        places = []
        for row, k in enumerate(present):
            pose = self.poses[k][index - ACTORS[k].enters]
            meshes.append(self.people[k].posed(self.space, pose, row))
            places.append(self.space.places(self.people[k].body, pose))
        spheres = np.concatenate([ground_spheres(self.space, p) for p in places])
        drawing = draw(View(meshes + self.furniture, self.camera, self.light, self.room, spheres), self.assets.heap, 3)
        heights = np.array([self.people[k].body.height_m for k in present])
        labels = label(drawing, self.camera, self.space, places, meshes, np.array(present) + 1, heights)
        lens = Lens(exposure=1.0, contrast=0.2, saturation=0.95, blur_px=0.45, noise=0.006)
        return develop(drawing.image, lens, np.random.default_rng(index)), labels

    def _person(self, actor: Actor) -> Person:
        rows = {r["id"]: r for r in self.assets.clothes}
        wears = tuple(Wear(name, rows[name]["texture"], tint) for name, tint in actor.wears)
        return self._wardrobe.dressed(Looks(self.space.coefficients[actor.body], actor.body, actor.skin, wears))

    def _poses(self, actor: Actor, person: Person) -> list[Pose]:
        motion = self.motions.load(actor.clip, np.arange(actor.first, actor.first + actor.frames))
        poses = Retarget(self.space, person.body, motion.offsets_m).poses(motion)
        about = turn("y", actor.yaw_deg)
        shift = np.array([actor.start_m[0], 0, actor.start_m[1]]) - about @ (poses[0].pelvis_m * [1, 0, 1])
        poses = [p.turned(about, shift) for p in poses]
        lowest = [float(person.posed(self.space, p, 0).vertices_m[:, 1].min()) for p in poses[::4]]
        drop = np.array([0.0, float(np.percentile(lowest, 30)), 0.0])
        return [replace(p, pelvis_m=p.pelvis_m - drop) for p in poses]

    def _room(self) -> Room:
        tile = self.assets.tile
        wall, floor, ceiling = tile(155), tile(299), tile(104)
        tints = np.ones((6, 3), np.float32)
        tints[[0, 1, 4, 5]] = [0.9, 0.88, 0.83]
        tints[2] = [1.5, 1.4, 1.3]
        view = self.assets.crop("panoramas", "hilly_terrain_01.webp", (0.25, 0.36, 0.45, 0.58))
        print_ = self.assets.crop("panoramas", "lebombo.webp", (0.6, 0.36, 0.85, 0.58))
        panels = (
            Panel(4, (-3.0, -1.75, 1.0, 2.25), view, 1.0, 0.06),
            Panel(4, (-0.75, 0.25, 1.35, 2.0), print_, 0.0, 0.03),
            Panel(1, (-0.6, 0.3, 0.0, 2.05), self.assets.heap.colour(np.array([0.85, 0.83, 0.8])), 0.0, 0.07),
        )
        repeat = np.array([0.6, 0.6, 0.7, 0.5, 0.6, 0.6], np.float32)
        low, high = np.array([-3.4, 0.0, -2.2]), np.array([3.4, 2.65, 5.2])
        return Room(low, high, (wall, wall, floor, ceiling, wall, wall), tints, repeat, panels)

    def _check_licences(self) -> None:
        lists = {"clothes": "id", "props": "id", "skins": "file", "panoramas": "backdrop"}
        for part, name, _ in self.credits():
            rows = {r[lists[part]]: r for r in getattr(self.assets, part)} if part in lists else {}
            if part in lists and not rows[name]["licence"].startswith("CC0"):
                raise SourceError(f"{part}/{name} is not CC0: it may not be in the bundled clip")

    def credits(self) -> list[tuple[str, str, str]]:
        """What the clip shows: (part of the pack, item, author)."""
        rows = {r["id"]: r for r in [*self.assets.clothes, *self.assets.props]}
        skins = {r["file"]: r for r in self.assets.skins}
        worn = sorted({w for a in ACTORS for w, _ in a.wears})
        return (
            [("clothes", w, rows[w]["author"]) for w in worn]
            + [("skins", s, skins[s]["author"]) for s in sorted({a.skin for a in ACTORS})]
            + [("props", n, rows[n]["author"]) for n in sorted({f[0] for f in _FURNITURE})]
            + [("panoramas", n, "Poly Haven") for n in ("hilly_terrain_01.webp", "lebombo.webp")]
            + [("bodies", "bodies", "MakeHuman team"), ("rooms/tiles", "104, 155, 299", "ambientCG (Lennart Demes)")]
        )


def _light() -> Light:
    """A bright room: lamps above, a window's side."""
    sh = np.zeros((9, 3))
    sh[0], sh[1], sh[2], sh[3] = 3.3, 0.35, 0.5, -0.25
    light = split_light(sh * [1.02, 1.0, 0.96], np.array([0.3, 1.0, 0.45]), 0.0, 0.07)
    sun = np.array([0.45, 0.44, 0.41], np.float32)
    return exposed(Light(light.ambient, sun, light.direction, light.softness_m), 0.92)


def write_demo(folder: Path, assets: str | Path | None = None, motion: str | Path | None = None) -> None:
    """Write demo.mp4, demo.truth.npz and demo.json into a folder; raises OutputError or SourceError."""
    import av

    from xnect.errors import OutputError

    scene = DemoScene(assets, motion)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        container = av.open(str(folder / "demo.mp4"), "w", options={"movflags": "+faststart"})
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error}") from error
    stream = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "slow"})
    stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "yuv420p"
    stream.codec_context.time_base = Fraction(1, FPS)
    truth = _Truth(len(ACTORS))
    for index in tqdm(range(FRAMES), desc="demo", unit="frame"):
        picture, labels = scene.frame(index)
        truth.add(labels)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
    container.mux(stream.encode(None))
    container.close()
    heights = np.array([p.body.height_m for p in scene.people], np.float32)
    arrays: dict[str, Any] = dict(
        **truth.arrays(), matrix_px=scene.camera.camera.matrix_px, size_px=np.array(SIZE_PX),
        fps=np.float64(FPS), height_m=heights, joints_2d=np.array(JOINTS_2D), joints_3d=np.array(JOINTS_3D),
    )  # fmt: skip
    np.savez_compressed(folder / "demo.truth.npz", **arrays)
    (folder / "demo.json").write_text(json.dumps(_description(scene), indent=1) + "\n", encoding="utf-8")


class _Truth:
    """Labels of all frames as arrays with a fixed row a person; rows of absent people are 0."""

    def __init__(self, people: int) -> None:
        self._people = people
        self._frames: list[Labels] = []

    def add(self, labels: Labels) -> None:
        self._frames.append(labels)

    def arrays(self) -> dict[str, np.ndarray]:
        count = len(self._frames), self._people
        out = {
            "present": np.zeros(count, np.bool_),
            "joints_m": np.zeros((*count, 21, 3), np.float32),
            "joints_px": np.zeros((*count, 14, 2), np.float32),
            "seen": np.zeros((*count, 14), np.uint8),
            "seen_3d": np.zeros((*count, 21), np.uint8),
            "box_px": np.zeros((*count, 4), np.float32),
        }
        for k, labels in enumerate(self._frames):
            rows = labels.ids - 1
            out["present"][k, rows] = True
            for name in ("joints_m", "joints_px", "seen", "seen_3d", "box_px"):
                out[name][k, rows] = getattr(labels, name)
        return out | {"ids": np.arange(1, self._people + 1)}


def _description(scene: DemoScene) -> dict[str, object]:
    return {
        "video": "demo.mp4",
        "truth": "demo.truth.npz",
        "licence": "CC0-1.0 (the drawn pictures; every drawn asset is CC0)",
        "made_by": "xnect synth demo --output assets",
        "size_px": list(SIZE_PX),
        "fps": FPS,
        "frames": FRAMES,
        "camera": {
            "fov_deg": FOV_DEG,
            "matrix_px": scene.camera.camera.matrix_px.tolist(),
            "distortion": [0, 0, 0, 0, 0],
        },
        "people": [
            {
                "id": k + 1,
                "height_m": round(p.body.height_m, 3),
                "clip": a.clip,
                "frames": [a.enters, a.enters + a.frames],
            }
            for k, (a, p) in enumerate(zip(ACTORS, scene.people, strict=True))
        ],
        "motion_credit": MOTION_CREDIT,
        "assets": [{"part": p, "item": i, "author": a, "licence": "CC0-1.0"} for p, i, a in scene.credits()],
    }
