"""Points of view and the contents of the 3D view, without a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.geometry import camera_from_fov
from xnect.gui import scene_model
from xnect.gui.map_overlay import affinity_rgba, heatmap_rgba, map_rect
from xnect.gui.orbit import PRESETS, Orbit, frustum, ground_grid, scene_from_camera
from xnect.gui.palette import PALETTES, joint_rgb, limb_side, person_rgb
from xnect.gui.state import Shown, WindowState
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D
from xnect.structures import Frame, PoseMaps

CAMERA = camera_from_fov((640, 360))


@pytest.fixture
def state(result_at):
    made = WindowState()
    for i in range(20):
        result = result_at(i, i / 30, CAMERA)
        shown = Shown(Frame(i, i / 30, np.zeros((36, 64, 3), np.uint8)), result)
        made.take_in(shown)
        made.show(shown)
    return made


def test_scene_axes_are_right_handed_and_upright():
    x, y, z = scene_from_camera(np.eye(3))
    np.testing.assert_array_equal(np.cross(x, y), z)
    assert scene_from_camera(np.array([0, -1, 0]))[2] == 1, "up in the picture is up in the scene"


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(0.5, 50))
@settings(max_examples=40, deadline=None)
def test_the_point_looked_at_is_in_the_middle(azimuth, elevation, distance):
    orbit = Orbit(np.array([1.0, 2.0, 0.5]), distance, azimuth, elevation)
    axes = orbit.axes()
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    xy, depth = orbit.project(orbit.center[None], (400, 300))
    np.testing.assert_allclose(xy[0], [200, 150], atol=1e-6)
    assert depth[0] == pytest.approx(distance)


def test_from_the_front_one_sees_what_the_camera_sees():
    orbit = Orbit()
    orbit.preset("front")
    xy, _ = orbit.project(scene_from_camera(np.array([[1.0, 0, 3], [0, -1, 3], [0, 0, 3]])), (400, 300))
    assert xy[0, 0] > xy[2, 0], "right stays right"
    assert xy[1, 1] < xy[2, 1], "up stays up"


def test_from_above_far_is_up():
    orbit = Orbit()
    orbit.preset("top")
    xy, _ = orbit.project(scene_from_camera(np.array([[0, 0, 2.0], [0, 0, 5.0], [1, 0, 2.0]])), (400, 300))
    assert xy[1, 1] < xy[0, 1]
    assert xy[2, 0] > xy[0, 0]


def test_turning_stops_at_the_poles_and_zoom_has_limits():
    orbit = Orbit()
    orbit.turn(720, 500)
    assert orbit.elevation < 90
    assert -180 <= orbit.azimuth <= 180
    for _ in range(200):
        orbit.zoom(0.5)
    assert orbit.distance >= 0.2
    assert set(PRESETS) == {"perspective", "front", "side", "top"}


def test_the_grid_lies_on_the_floor_and_the_frustum_holds_the_picture():
    grid = ground_grid((0.2, 3.9), -1.1, 5)
    assert (grid[..., 2] == -1.1).all()
    assert (grid[..., :2] == np.round(grid[..., :2])).all()
    lines = frustum(CAMERA.matrix_px, CAMERA.size_px, 1.0)
    corner = lines[0, 1]
    assert corner[1] == pytest.approx(1.0)
    assert abs(corner[0]) == pytest.approx(320 / CAMERA.matrix_px[0, 0])
    assert lines[..., 2].max() > 0 > lines[..., 2].min()


def test_bones_join_the_joints_and_inferred_ones_are_dull(state):
    scene = scene_model.build(state)
    assert scene.joints.shape == (2 * 21, 3)
    assert scene.bones.shape == (2 * 20, 2, 3)
    person = state.visible_people()[0]
    np.testing.assert_allclose(scene.joints[:21], scene_from_camera(person.joints_3d), atol=1e-6)
    knee = [tuple(b) for b in scene_model.BONES].index((9, 10))
    bright, dull = scene.bone_rgba[knee, :3], scene.bone_rgba[20 + knee, :3]
    assert np.ptp(bright) > np.ptp(dull)
    assert len(scene.labels) == 2
    assert len(scene.trails) > 10


def test_mirror_flips_the_scene_and_options_empty_it(state):
    plain = scene_model.build(state)
    state.options.mirror = True
    mirrored = scene_model.build(state)
    np.testing.assert_allclose(mirrored.joints, plain.joints * [-1, 1, 1])
    state.options.ids = state.options.trails = state.options.frustum = False
    bare = scene_model.build(state)
    assert not bare.labels
    assert not len(bare.trails)
    assert not len(bare.frustum)
    state.people.entries[1].hidden = state.people.entries[2].hidden = True
    assert not len(scene_model.build(state).joints)


def test_octahedra_close_around_their_bones():
    bones = np.array([[[0, 0, 0], [0, 0, 1.0]], [[1, 0, 0], [1, 0.3, 0]]])
    faces, colours = scene_model.bone_mesh(bones, np.ones((2, 4)))
    assert faces.shape == (16, 3, 3)
    assert colours.shape == (16, 4)
    volume = np.einsum("fi,fi->f", faces[:, 0], np.cross(faces[:, 1], faces[:, 2])).reshape(2, 8).sum(1) / 6
    assert (volume > 0).all(), "faces look outwards"
    assert colours[:, :3].min() >= 0
    assert colours.max() <= 1
    assert np.isfinite(scene_model.bone_mesh(np.zeros((1, 2, 3)), np.ones((1, 4)))[0]).all()


def test_a_measured_floor_levels_the_scene(state):
    tilt = np.radians(20)
    up = np.array([0, -np.cos(tilt), -np.sin(tilt)])  # the camera looks down
    state.set_floor(up, 1.4)
    on_floor = np.array([0.3, 0, 3.0])
    on_floor[1] = (1.4 + up[2] * on_floor[2]) / np.cos(tilt)
    assert on_floor @ up == pytest.approx(-1.4)
    assert scene_from_camera(state.level @ on_floor)[2] == pytest.approx(-1.4)
    np.testing.assert_allclose(state.level @ state.level.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(state.level) == pytest.approx(1)
    assert scene_model.build(state).floor_z == pytest.approx(-1.4)


def test_follow_needs_somebody_seen(state):
    assert scene_model.follow_point(state) is None
    state.follow = 2
    expected = scene_from_camera(state.visible_people()[1].joints_3d[14])
    np.testing.assert_allclose(scene_model.follow_point(state), expected, atol=1e-6)


def test_maps_are_drawn_where_they_are():
    heat = np.zeros((14, 9, 16), np.float32)
    heat[3, 4, 7] = 1
    pafs = np.zeros((13, 2, 9, 16), np.float32)
    pafs[2, 0, 4, 7] = 1
    affine = np.array([[10.0, 0, 4.5], [0, 10.0, 4.5]])
    maps = PoseMaps(heat, pafs, None, affine)
    assert map_rect(maps) == (0, 0, 160, 90)
    for rgba in (heatmap_rgba(maps), heatmap_rgba(maps, 3), affinity_rgba(maps), affinity_rgba(maps, 2)):
        assert rgba.shape == (9, 16, 4)
        assert rgba[4, 7, 3] > 200
        assert rgba[..., 3].astype(int).sum() == rgba[4, 7, 3]
    assert heatmap_rgba(maps, 2)[..., 3].max() == 0


def test_directions_have_their_own_hues():
    pafs = np.zeros((13, 2, 1, 4), np.float32)
    pafs[0, :, 0] = np.array([[1, 0, -1, 0], [0, 1, 0, -1]])
    maps = PoseMaps(np.zeros((14, 1, 4), np.float32), pafs, None, np.array([[8.0, 0, 3.5], [0, 8.0, 3.5]]))
    colours = {tuple(c[:3]) for c in affinity_rgba(maps)[0].tolist()}
    assert len(colours) == 4


def test_sides_keep_their_colours():
    rgb = joint_rgb("XNect", np.array([0, 1, 2]))
    assert tuple(rgb[0]) == (230, 159, 0)
    assert tuple(rgb[1]) == (86, 180, 233)
    assert tuple(joint_rgb("no such", np.array([0]))[0]) == (230, 159, 0)
    names = [JOINTS_2D[j] for j in range(14)]
    assert limb_side(names.index("neck"), names.index("left_hip")) == 1
    assert limb_side(names.index("right_knee"), names.index("right_ankle")) == 0
    assert all(len(set(p)) == 3 for p in PALETTES.values())
    assert person_rgb(3) == person_rgb(3)
    assert len({person_rgb(i) for i in range(10)}) == 10
    assert len(JOINTS_3D) == 21


@pytest.mark.gui
def test_drawing_keeps_to_its_share():
    from xnect.gui import drawing

    crowd = [1.0]
    budget = drawing.Budget(0.2, lambda: crowd[0])
    assert budget.interval_s == drawing.FASTEST_S
    for _ in range(100):
        budget.spent(0.02)
    assert budget.interval_s == pytest.approx(0.1, rel=0.01)
    crowd[0] = 2.0
    assert budget.interval_s == pytest.approx(0.2, rel=0.01), "where others want the core, drawing gives way"
    crowd[0] = 50.0
    assert budget.interval_s == pytest.approx(3 * drawing.SLOWEST_S)
    crowd[0] = 1.0
    for _ in range(100):
        budget.spent(5.0)
    assert budget.interval_s == drawing.SLOWEST_S


@pytest.mark.gui
def test_drawing_takes_more_of_what_is_idle():
    """With a camera the pipeline waits for frames: the window may draw as often as it likes then."""
    from xnect.gui import drawing

    budget = drawing.Budget(0.14, lambda: 1.0)
    for _ in range(100):
        budget.spent(0.01, idle=0.1)
    assert budget.share == 0.14
    saturated = budget.interval_s
    for _ in range(100):
        budget.spent(0.01, idle=1.3)
    assert budget.share == drawing.MOST_OF_ONE_CORE
    assert budget.interval_s < 0.6 * saturated
    for _ in range(100):
        budget.spent(0.01, idle=-0.5)  # clocks differ by a little
    assert budget.interval_s == pytest.approx(saturated, rel=0.01)
