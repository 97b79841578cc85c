"""Random pieces of motion capture for standing people, and postures for the upper bodies of seated ones."""

from __future__ import annotations

import numpy as np

from xnect.structures import F32, F64
from xnect.training.synthetic.bodies import BodySpace, Pose, skin_vertices
from xnect.training.synthetic.motion import Motion, MotionPack
from xnect.training.synthetic.people import Person
from xnect.training.synthetic.retarget import Retarget, turn

#: How often each category of the pack is drawn; climbing and sitting need things that are not there.
_SHARE = {
    "walk": 0.15, "gesture_everyday": 0.1, "signals_gesture": 0.09, "dance": 0.12, "exercise": 0.06,
    "exercise_arms": 0.1, "exercise_legs": 0.07, "wash_reach": 0.09, "martial_arts": 0.05, "run": 0.05,
    "basketball": 0.04, "soccer": 0.02, "jump": 0.03, "acrobatics": 0.015, "pantomime_animal": 0.015,
}  # fmt: skip
_CALM = ("gesture_everyday", "signals_gesture", "exercise_arms", "wash_reach")
#: A body is set on the ground when its lowest point is nearer to it than that, else it is jumping [m].
_JUMP_M = 0.12
_FLIES_M = 0.25
#: A still whose weight lies so far beside what touches the ground looks like a fall [m]: refused.
_TOPPLES_M = 0.3
#: What is so near to the lowest point touches the ground [m].
_SOLE_M = 0.06


class Moves:
    """Draws motion at random.

    Args:
        pack: The motion pack.
        split: train, val or test.
    """

    def __init__(self, pack: MotionPack, split: str) -> None:
        self._pack = pack
        self._rows: dict[str, list[dict[str, str]]] = {}
        for row in pack.rows:
            if row["split"] == split:
                self._rows.setdefault(row["category"], []).append(row)
        self._names = [c for c in _SHARE if c in self._rows]
        share = np.array([_SHARE[c] for c in self._names])
        self._share = share / share.sum()

    def standing(self, rng: np.random.Generator, frames: int = 1, calm: float = 0.2) -> Motion:
        """Somebody on the feet: a piece of ``frames`` frames; with probability ``calm`` the quiet start of a clip."""
        if frames == 1 and rng.random() < calm:
            row = self._row(rng, str(rng.choice([c for c in _CALM if c in self._rows])), 1)
            start = int(rng.integers(min(6, int(row["frames"]))))
        else:
            row = self._row(rng, str(rng.choice(self._names, p=self._share)), frames)
            start = int(rng.integers(max(1, int(row["frames"]) - frames + 1)))
        return self._piece(rng, row, start, frames)

    def upright(self, rng: np.random.Generator, frames: int = 1) -> Motion:
        """A piece whose pelvis stays upright: for the upper body of seated people."""
        for _ in range(8):
            row = self._row(rng, str(rng.choice([c for c in _CALM if c in self._rows])), frames)
            motion = self._piece(rng, row, int(rng.integers(max(1, int(row["frames"]) - frames + 1))), frames)
            if motion.rotations[:, :3, 1, 1].min() > 0.93:
                return motion
        return motion

    def couple(self, rng: np.random.Generator, frames: int = 1) -> tuple[Motion, Motion] | None:
        """The same moments of two people who dance together; None where the split has none."""
        pairs: dict[str, list[dict[str, str]]] = {}
        for row in self._rows.get("dance_couple", []):
            if row["pair"]:
                pairs.setdefault(row["pair"], []).append(row)
        spans = []
        for two in (p for p in pairs.values() if len(p) >= 2):
            for i, a in enumerate(two):
                for b in two[i + 1 :]:
                    first = max(int(a["start"]), int(b["start"]))
                    last = min(int(r["start"]) + int(r["frames"]) for r in (a, b))
                    if a["subject"] != b["subject"] and last - first >= frames:
                        spans.append((a, b, first, last))
        if not spans:
            return None
        a, b, first, last = spans[int(rng.integers(len(spans)))]
        start = int(rng.integers(first, last - frames + 1))
        one, other = (self._pack.load(r["clip"], start - int(r["start"]) + np.arange(frames)) for r in (a, b))
        return one, other

    def _row(self, rng: np.random.Generator, category: str, frames: int) -> dict[str, str]:
        rows = [r for r in self._rows[category] if int(r["frames"]) >= frames] or self._rows[category]
        return rows[int(rng.integers(len(rows)))]

    def _piece(self, rng: np.random.Generator, row: dict[str, str], start: int, frames: int) -> Motion:
        last = int(row["frames"]) - 1
        index = np.arange(start, start + frames)
        index = np.where(index > last, np.maximum(2 * last - index, 0), index)  # too short: back again
        motion = self._pack.load(row["clip"], index)
        return motion.mirrored() if rng.random() < 0.5 else motion


def _vertices(space: BodySpace, person: Person, pose: Pose) -> F32:
    """Every third vertex of a posed, dressed body (N, 3)."""
    rest, out = person.rest.vertices_m[::3], np.empty((len(person.bone[::3]), 3), np.float32)
    skin_vertices(rest, person.bone[::3], person.bone_weight[::3], space.transforms(person.body, pose), out)
    return out


def lowest_m(space: BodySpace, person: Person, pose: Pose) -> float:
    """Height of the lowest point of a posed, dressed body [m]; every third vertex is looked at."""
    return float(_vertices(space, person, pose)[:, 1].min())


def beside_m(vertices_m: np.ndarray) -> float:
    """How far the middle of a body (N, 3) lies beside the box around what touches the ground, seen from above [m]."""
    flat = vertices_m[:, [0, 2]]
    touching = flat[vertices_m[:, 1] < vertices_m[:, 1].min() + _SOLE_M]
    middle = flat.mean(0)
    return float(np.linalg.norm(np.maximum(0.0, np.maximum(touching.min(0) - middle, middle - touching.max(0)))))


def on_ground(space: BodySpace, person: Person, motion: Motion) -> list[Pose] | None:
    """The motion on a body, in the middle of the world and on the ground y = 0; None where it hangs in the air or falls."""
    poses = Retarget(space, person.body, motion.offsets_m).poses(motion)
    step = max(1, len(poses) // 6)
    looked = [_vertices(space, person, p) for p in poses[::step]]
    lowest = np.array([v[:, 1].min() for v in looked])
    gap = float(np.sort(lowest)[len(lowest) // 5])
    if gap > _FLIES_M or gap < -0.4 or (len(poses) == 1 and beside_m(looked[0]) > _TOPPLES_M):
        return None
    middle = poses[len(poses) // 2].pelvis_m * [1, 0, 1]
    drop = gap if gap < _JUMP_M or len(poses) > 1 else 0.0
    return [Pose(p.rotations, p.pelvis_m - middle - [0, drop, 0]) for p in poses]


def heading(rng: np.random.Generator, pose: Pose, towards_camera: float = 0.55) -> F64:
    """A turn about the vertical (3, 3): often so that the body faces +z, within 60 degrees, else anywhere."""
    if rng.random() > towards_camera:
        return turn("y", float(rng.uniform(-180, 180)))
    facing = pose.rotations[0] @ np.array([0.0, 0.0, 1.0])
    return turn("y", float(np.clip(rng.normal(0, 30), -60, 60) - np.degrees(np.arctan2(facing[0], facing[2]))))
