import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.geometry import camera_from_fov, project
from xnect.training.synthetic.cameras import look, look_at
from xnect.training.synthetic.collision import Box, Capsules, overlap, segment_distance
from xnect.training.synthetic.ik import bend
from xnect.training.synthetic.lights import Light, exposed, harmonics, split_light, turned_light
from xnect.training.synthetic.retarget import halfway, least_rotation, turn

seeds = st.integers(0, 2**32 - 1)


def sphere(count=4000):
    k = np.arange(count) + 0.5
    height, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(angle), height, flat * np.sin(angle)], 1)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_camera_sees_what_it_looks_at_in_its_middle(seed):
    rng = np.random.default_rng(seed)
    centre, target = rng.uniform(-3, 3, (2, 3))
    camera = look_at(camera_from_fov((320, 200), 60), centre, target)
    assert np.allclose(camera.camera_from_world @ camera.camera_from_world.T, np.eye(3))
    assert np.allclose(project(camera.view(target), camera.camera), [159.5, 99.5], atol=1e-6)


def test_camera_axes_are_right_down_forward():
    camera = look(camera_from_fov((320, 200), 60), np.array([0, 1.5, 0]), 0, 0)
    assert np.allclose(camera.view(np.array([1.0, 2.5, -3.0])), [1, -1, 3])
    assert project(look(camera.camera, np.zeros(3), 10, 0).view(np.array([0, 0, -1.0])), camera.camera)[0] > 159.5


def test_rays_and_sample_grids_belong_to_the_same_pinhole():
    camera = look(camera_from_fov((320, 200), 70), np.array([0.3, 1.5, 2]), 20, -10, 3)
    point = camera.centre_m + 2.5 * camera.rays @ [17.0, 60.0, 1.0]
    assert np.allclose(project(camera.view(point), camera.camera), [17, 60])
    fx, _, cx, _ = camera.samples(2)
    x = camera.view(point)
    assert fx * x[0] / x[2] + cx == pytest.approx((17 + 0.5) * 2 - 0.5)


def test_harmonics_are_orthonormal():
    values = harmonics(sphere())
    assert np.allclose(values.T @ values * 4 * np.pi / len(values), np.eye(9), atol=0.01)


def test_the_direct_source_taken_out_and_put_back_gives_the_same_light():
    sh = np.zeros((9, 3))
    sh[0], sh[1], sh[3] = 3.0, 1.0, 0.4
    light = split_light(sh, np.array([0.2, 1.0, 0.3]), 0.3, 0.02)
    normals = sphere()
    whole = harmonics(normals) @ light.ambient + np.maximum(normals @ light.direction, 0)[:, None] * light.sun
    assert np.allclose(whole.mean(0), (harmonics(normals) @ sh).mean(0), rtol=0.01)
    assert np.abs(whole - harmonics(normals) @ sh).max() < 0.12 * light.sun.max()  # what bands 0 to 2 cannot hold


def test_exposure_sets_the_lightness_and_turning_turns_it():
    light = exposed(Light(np.eye(9, 3, dtype=np.float32) + 1, np.full(3, 0.5, np.float32), np.array([0, 1.0, 0])), 0.8)
    again = exposed(light, 0.8)
    assert np.allclose(light.sun, again.sun, rtol=2e-3)  # dark sides are lifted to a floor
    turned, normals = turned_light(light, turn("y", 70.0)), sphere(50)
    assert np.allclose(
        harmonics(normals @ turn("y", 70.0).T) @ turned.ambient, harmonics(normals) @ light.ambient, atol=1e-4
    )


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_least_rotation_and_halfway_are_rotations_that_do_what_they_say(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3))
    r = least_rotation(a, b)
    assert np.allclose(r @ r.T, np.eye(3))
    assert np.linalg.det(r) == pytest.approx(1)
    assert np.allclose(r @ a / np.linalg.norm(a), b / np.linalg.norm(b))
    assert np.allclose(halfway(np.eye(3)[None], turn("x", 40.0)[None])[0], turn("x", 20.0))


def test_least_rotation_of_opposite_directions():
    r = least_rotation(np.array([0, 1.0, 0]), np.array([0, -1.0, 0]))
    assert np.allclose(r @ [0, 1, 0], [0, -1, 0])
    assert np.linalg.det(r) == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_two_bones_reach_every_place_within_their_reach(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(0.2, 0.5, 2)
    origin, pole = rng.normal(size=(2, 3))
    line = rng.normal(size=3)
    target = origin + line / np.linalg.norm(line) * rng.uniform(
        1.05 * abs(first - second) + 0.01, 0.99 * (first + second)
    )
    a, b = bend(origin, target, first, second, pole)
    assert np.allclose(origin + first * a + second * b, target, atol=1e-6)
    side = pole - (pole @ line) * line / (line @ line)
    assert first * a @ side > 0


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_segment_distance_is_the_least_of_many_points(seed):
    p, u, q, v = np.random.default_rng(seed).normal(size=(4, 3))
    s = np.linspace(0, 1, 60)
    grid = np.linalg.norm((p + s[:, None] * u)[:, None] - (q + s[:, None] * v)[None], axis=-1).min()
    found = float(segment_distance(p, u, q, v))
    assert found <= grid + 1e-9
    assert found > grid - 0.08


def test_bodies_overlap_by_their_capsules():
    rod = Capsules(np.array([[[0, 0, 0], [0, 1, 0]]], float), np.array([0.1]))
    other = Capsules(np.array([[[0.15, 0.5, -1], [0.15, 0.5, 1]]], float), np.array([0.1]))
    assert overlap(rod, other) == pytest.approx(0.05)
    assert overlap(rod, Capsules(other.ends_m + np.array([1, 0, 0]), other.radius_m)) == 0


def test_boxes_hold_points_and_meet():
    box = Box(np.zeros(3), np.array([1, 0.5, 0.2]), turn("y", 90.0))
    assert box.holds(np.array([[0, 0, 0.9]]))
    assert not box.holds(np.array([[0.9, 0, 0]]))
    assert box.holds(np.array([[0.25, 0, 0]]), 0.1)
    assert box.meets(Box(np.array([0, 0, 1.5]), np.full(3, 0.6), np.eye(3)))
    assert not box.meets(Box(np.array([2.0, 0, 0]), np.full(3, 0.6), np.eye(3)))
    assert np.allclose(np.abs(box.corners()).max(0), [0.2, 0.5, 1])
