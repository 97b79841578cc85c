from dataclasses import replace

import cv2
import numpy as np
import pytest

from xnect.geometry import camera_from_fov
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D
from xnect.training.synthetic.cameras import look
from xnect.training.synthetic.distortion import bent_camera, random_distortion
from xnect.training.synthetic.labels import HIDDEN, OUTSIDE, SEEN, visibility
from xnect.training.synthetic.moves import lowest_m
from xnect.training.synthetic.render import Drawing
from xnect.training.synthetic.scene import draw_scene, drawing_of
from xnect.training.synthetic.splits import KINDS


def wall(depth, ident):
    inv = np.zeros((32, 48), np.float32)
    who = np.full((32, 48), -1, np.int16)
    inv[:, :24], who[:, :24] = 1 / depth, ident
    return Drawing(np.zeros((16, 24, 3), np.float32), inv, who, 2)


def test_own_surface_hides_beyond_the_slack_and_others_at_once():
    camera = look(camera_from_fov((24, 16), 60), np.zeros(3), 0, 0)
    points = np.array([[-0.3, 0, 2.1], [-0.3, 0, 2.3], [0.5, 0, 2.0], [-0.3, 0, 1.9], [9, 0, 2], [0, 0, -1]])
    slack = np.full(6, 0.15)
    assert visibility(wall(2.0, 3), camera, points, 3, slack).tolist() == [SEEN, HIDDEN, SEEN, SEEN, OUTSIDE, OUTSIDE]
    assert visibility(wall(2.0, 5), camera, points, 3, slack).tolist() == [HIDDEN, HIDDEN, SEEN, SEEN, OUTSIDE, OUTSIDE]


@pytest.mark.shared
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bent", [False, True])
def test_2d_labels_are_the_3d_labels_seen_through_the_lens(sampler, kind, bent):
    scene = sampler.sample(3, kind=kind)
    distortion = random_distortion(np.random.default_rng(5), scene.cameras[0].camera) if bent else np.zeros(5)
    scene = replace(scene, cameras=tuple(bent_camera(c, distortion) for c in scene.cameras))
    drawing, labels = drawing_of(sampler.studio, scene, scale=1)
    assert len(labels) == len(scene.actors) > 0
    body = np.array([k for k in range(14) if JOINTS_3D[JOINT_3D_OF_2D[k]] not in ("head", "neck")])
    for k in range(len(labels)):
        points = labels.joints_m[k, JOINT_3D_OF_2D[body]].astype(np.float64)
        if points[:, 2].min() < 0.05:
            continue
        points = points[(labels.seen[k, body] > 0)]  # far outside the picture a lens' polynomial means nothing
        if not len(points):
            continue
        shown = body[labels.seen[k, body] > 0]
        flat = cv2.projectPoints(points, np.zeros(3), np.zeros(3), labels.matrix_px, labels.distortion)[0][:, 0]
        assert np.abs(flat - labels.joints_px[k, shown]).max() < 0.01
        if labels.seen[k, 1]:
            shoulders = labels.joints_m[k, [2, 5]].mean(0).astype(np.float64)
            neck = cv2.projectPoints(shoulders[None], np.zeros(3), np.zeros(3), labels.matrix_px, labels.distortion)[0]
            assert np.abs(neck[0, 0] - labels.joints_px[k, 1]).max() < 0.01
    assert drawing.inv_depth.max() < 1 / 0.04


def first_hit(triangles, owner, ray):
    """Depth and owner of the first of many triangles on a ray from the origin (ray has z = 1)."""
    a, e, g = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    h = np.cross(ray, g)
    det = (e * h).sum(1)
    good = np.abs(det) > 1e-14
    det = np.where(good, det, 1.0)
    u = -(a * h).sum(1) / det
    q = np.cross(-a, e)
    v = q @ ray / det
    t = (g * q).sum(1) / det
    hit = good & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0.05)
    if not hit.any():
        return np.inf, -2
    k = np.flatnonzero(hit)[t[hit].argmin()]
    return t[k], owner[k]


@pytest.mark.shared
def test_visibility_agrees_with_a_ray_caster(sampler):
    """Rays from the camera to every joint against all triangles: no z-buffer, no pixels."""
    agree = total = 0
    for seed in (1, 5):
        scene = sampler.sample(seed, kind="crowd")
        camera, space = scene.cameras[0], sampler.studio.space
        _, labels = drawing_of(sampler.studio, scene, scale=4)
        meshes = [a.person.posed(space, a.poses[0], k) for k, a in enumerate(scene.actors)]
        triangles = np.concatenate([camera.view(m.vertices_m)[m.faces] for m in [*meshes, *scene.things]])
        owner = np.concatenate([np.full(len(m.faces), m.ident) for m in [*meshes, *scene.things]])
        for k in range(len(labels)):
            for j in range(21):
                point = labels.joints_m[k, j].astype(np.float64)
                if labels.seen_3d[k, j] == OUTSIDE:
                    continue
                depth, who = first_hit(triangles, owner, point / point[2])
                slack = 0.2 if JOINTS_3D[j] in ("pelvis", "spine", "right_hip", "left_hip") else 0.12
                free = point[2] - depth < (slack if who == k else 0.01)
                total += 1
                agree += free == (labels.seen_3d[k, j] == SEEN)
    assert total > 30
    assert agree / total > 0.97  # hair has holes, and clothes are drawn up to 2 cm in front of their place


@pytest.mark.shared
def test_people_stand_on_the_ground_and_do_not_fly(sampler):
    for seed in range(6):
        for actor in sampler.sample(seed, kind="crowd").actors:
            assert -0.01 < lowest_m(sampler.studio.space, actor.person, actor.poses[0]) < 0.27


@pytest.mark.shared
def test_masks_and_boxes_hold_the_people(sampler):
    picture = draw_scene(sampler.studio, sampler.sample(21, kind="crowd"), scale=2)
    labels = picture.labels
    assert picture.mask.max() == len(labels)
    for k in range(len(labels)):
        y, x = np.nonzero(picture.mask == k + 1)
        x0, y0, x1, y1 = labels.box_px[k]
        assert x.min() >= x0 - 2.5
        assert x.max() <= x1 + 2.5
        assert y.min() >= y0 - 2.5
        assert y.max() <= y1 + 2.5
        assert len(x) == pytest.approx(labels.area_px[k], rel=0.15, abs=12)
