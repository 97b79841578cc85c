"""Walking people with known identities, drawn and seen through a camera, with what a detector gets wrong."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from xnect.geometry import camera_from_fov, project
from xnect.skeleton.joints import JOINT_3D_OF_2D, LIMBS
from xnect.structures import Detections, Poses

CAMERA = camera_from_fov((640, 360), 60.0)
FOCAL_PX = CAMERA.matrix_px[0, 0]
HEIGHT_M = 1.75
#: An upright body, 21 joints, relative to the pelvis [m], facing the camera (its right at the picture's left).
REST = np.array(
    [
        [0, -0.83, 0], [0, -0.55, 0], [-0.19, -0.53, 0], [-0.22, -0.25, 0], [-0.23, 0.0, 0],
        [0.19, -0.53, 0], [0.22, -0.25, 0], [0.23, 0.0, 0], [-0.1, 0.02, 0], [-0.1, 0.45, 0], [-0.1, 0.86, 0],
        [0.1, 0.02, 0], [0.1, 0.45, 0], [0.1, 0.86, 0], [0, 0, 0], [0, -0.3, 0], [0, -0.67, 0],
        [-0.23, 0.08, 0], [0.23, 0.08, 0], [-0.1, 0.9, -0.12], [0.1, 0.9, -0.12],
    ]
)  # fmt: skip


def body(phase: float, heading: float, size: float) -> np.ndarray:
    """A walking body, (21, 3), relative to the pelvis [m]."""
    joints = REST.copy()
    swing = 0.22 * np.sin(phase)
    for rows, reach in (((9,), 0.5), ((10, 19), 1.0)):
        joints[list(rows), 2] += swing * reach
    for rows, reach in (((12,), 0.5), ((13, 20), 1.0)):
        joints[list(rows), 2] -= swing * reach
    for rows, reach in (((3,), 0.4), ((4, 17), 0.9)):
        joints[list(rows), 2] -= swing * reach
    for rows, reach in (((6,), 0.4), ((7, 18), 0.9)):
        joints[list(rows), 2] += swing * reach
    c, s = np.cos(heading), np.sin(heading)
    return size * joints @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


@dataclass
class Walker:
    """One person: where the pelvis is at a time, size and colours (BGR) of shirt, trousers and skin."""

    path: object
    size: float = 1.0
    shirt: tuple = (200, 60, 60)
    trousers: tuple = (60, 50, 40)
    heading: float = 0.3
    skin: tuple = (140, 170, 210)


@dataclass
class Shot:
    """One frame: what the detector says, the picture, and whose each detection is (-1 = nobody's)."""

    time_s: float
    image: np.ndarray
    detections: Detections
    poses: Poses
    owner: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray


class Scene:
    """Films walkers. Joints behind somebody else are hidden, as the drawn picture says."""

    def __init__(self, walkers, fps=30.0, seconds=4.0, seed=0, noise=0.012, miss=0.03, double=0.02, false=0.02):
        self.walkers, self.fps, self.seconds = walkers, fps, seconds
        self.rng = np.random.default_rng(seed)
        self.noise, self.miss, self.double, self.false = noise, miss, double, false

    def times(self):
        return np.arange(int(self.seconds * self.fps)) / self.fps

    def shots(self):
        return [self.shot(t) for t in self.times()]

    def shot(self, t):
        root = np.array([w.path(t) for w in self.walkers], float)
        bodies = np.array([body(2 * np.pi * 0.9 * t + i, w.heading, w.size) for i, w in enumerate(self.walkers)])
        pixels = project(bodies[:, JOINT_3D_OF_2D] + root[:, None], CAMERA)
        image, owner_map = self.draw(pixels, root[:, 2])
        column, row = np.rint(pixels).astype(int).transpose(2, 0, 1)
        inside = (column >= 0) & (row >= 0) & (column < 640) & (row < 360)
        at = owner_map[row.clip(0, 359), column.clip(0, 639)]
        seen = inside & (at == np.arange(1, len(self.walkers) + 1)[:, None])
        visible = seen.sum(1) >= 4
        rows = [(i, seen[i]) for i in np.flatnonzero(visible) if self.rng.random() > self.miss]
        rows += [(i, s & (self.rng.random(14) < 0.7)) for i, s in rows if self.rng.random() < self.double]
        detections, poses, owner = self.detect(pixels, bodies, root, rows)
        boxes = np.concatenate([pixels.min(1), np.ptp(pixels, 1)], -1)
        return Shot(float(t), image, detections, poses, owner, visible, boxes)

    def draw(self, pixels, depth):
        image = np.full((360, 640, 3), (150, 150, 140), np.uint8)
        image[::40] = (120, 125, 120)
        owner = np.zeros((360, 640), np.uint8)
        for i in np.argsort(-depth):
            w, p = self.walkers[i], np.rint(pixels[i] * 16).astype(int)
            thick = max(3, int(0.09 * FOCAL_PX / depth[i]))
            for canvas, colours in ((image, (w.shirt, w.trousers, w.skin)), (owner, (int(i) + 1,) * 3)):
                cv2.fillConvexPoly(canvas, p[[2, 5, 11, 8]], colours[0], shift=4)
                for k, (a, b) in enumerate(LIMBS):
                    colour = colours[2] if k == 0 else colours[0] if k < 7 or a == 1 else colours[1]
                    cv2.line(canvas, tuple(map(int, p[a])), tuple(map(int, p[b])), colour, thick, shift=4)
        return image, owner

    def detect(self, pixels, bodies, root, rows):
        rng, people = self.rng, len(rows)
        false = int(rng.random() < self.false)
        joints = np.zeros((people + false, 14, 2))
        seen = np.zeros((people + false, 14), bool)
        pose = np.zeros((people + false, 21, 3))
        place = np.zeros((people + false, 3))
        for k, (i, s) in enumerate(rows):
            stature = HEIGHT_M * FOCAL_PX / root[i, 2]
            joints[k] = pixels[i] + rng.normal(0, self.noise * stature, (14, 2))
            seen[k] = s & (rng.random(14) > 0.03)
            pose[k] = (bodies[i] + rng.normal(0, 0.04, (21, 3))) * rng.normal(1, 0.05)
            place[k] = root[i] * rng.normal(1, 0.06)
        if false:
            joints[-1] = rng.uniform((0, 0), (640, 360)) + rng.normal(0, 20, (14, 2))
            seen[-1] = rng.random(14) < 0.3
            place[-1] = (0, 0, 5)
        keep = seen.sum(1) >= 3
        joints, seen, pose, place = joints[keep], seen[keep], pose[keep], place[keep]
        order = rng.permutation(len(joints))
        owner = np.array([i for i, _ in rows] + [-1] * false, int)[keep][order]
        joints, seen, pose, place = joints[order], seen[order], pose[order], place[order]
        trust = np.zeros((len(joints), 21), np.float32)
        trust[:, JOINT_3D_OF_2D] = seen
        confidence = np.where(seen, rng.uniform(0.4, 0.9, seen.shape), 0).astype(np.float32)
        detections = Detections(
            np.where(seen[..., None], joints, 0).astype(np.float32), confidence, confidence.mean(1).astype(np.float32)
        )
        poses = Poses(pose.astype(np.float32), place.astype(np.float32), trust, trust == 0)
        return detections, poses, owner


@pytest.fixture(scope="session")
def scene():
    """The class that films walkers."""
    return Scene


@pytest.fixture(scope="session")
def walker():
    """The class of one walker."""
    return Walker


@pytest.fixture(scope="session")
def judge():
    """Scores a tracker's ids on shots with py-motmetrics."""
    motmetrics = pytest.importorskip("motmetrics")

    def run(tracker, shots, colours=True, with_3d=True):
        book = motmetrics.MOTAccumulator(auto_id=True)
        for shot in shots:
            poses = shot.poses
            if not with_3d:
                people = len(poses)
                blind = (np.zeros((people, 21, 3)), np.zeros((people, 3)), np.zeros((people, 21)))
                poses = Poses(*(a.astype(np.float32) for a in blind), np.ones((people, 21), bool))
            tracks = tracker(shot.detections, poses, shot.image if colours else None, shot.time_s)
            truth = np.flatnonzero(shot.visible)
            here = tracks.row >= 0
            distance = np.full((len(truth), int(here.sum())), np.nan)
            for k, row in enumerate(tracks.row[here]):
                distance[truth == shot.owner[row], k] = 0
            book.update(truth, tracks.ids[here], distance)
        names = ["idf1", "num_switches", "mota", "num_unique_objects", "num_detections"]
        return motmetrics.metrics.create().compute(book, metrics=names).iloc[0]

    return run
