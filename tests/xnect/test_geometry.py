"""Cameras and the maps between frame, network and map pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect import geometry
from xnect.structures import Camera


def test_frame_from_map_agrees_with_resizing():
    # a bright blob in the frame must land in the cell that maps back onto it
    frame, net = (960, 540), geometry.network_size((960, 540), (512, 320))
    to_frame = geometry.frame_from_map(frame, net, 8)
    for x, y in ((120, 100), (500, 300), (840, 420)):
        rows, columns = np.mgrid[:540, :960]
        image = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 20**2))
        small = cv2.resize(image, geometry.fitted_size(frame, net), interpolation=cv2.INTER_AREA)
        padded = np.zeros((net[1], net[0]))
        padded[: small.shape[0], : small.shape[1]] = small
        cells = padded.reshape(net[1] // 8, 8, net[0] // 8, 8).mean((1, 3))
        rows, columns = np.mgrid[: cells.shape[0], : cells.shape[1]]
        centre = np.array([(cells * columns).sum(), (cells * rows).sum()]) / cells.sum()
        assert np.abs(geometry.apply_affine(centre, to_frame) - [x, y]).max() < 0.1


@pytest.mark.parametrize("frame", [(640, 480), (1920, 1080), (544, 960), (100, 1000), (64, 64), (2, 2)])
def test_network_size(frame):
    width, height = geometry.network_size(frame, (512, 320))
    assert width % 16 == 0
    assert height % 16 == 0
    scale = geometry.net_from_frame(frame, (width, height))[0, 0]
    assert frame[0] * scale <= width + 1e-6
    assert frame[1] * scale <= height + 1e-6
    if 0.4 < frame[0] / frame[1] < 2.5:
        assert 0.85 < width * height / (512 * 320) < 1.15


def test_projection_is_opencv_s():
    rng = np.random.default_rng(1)
    matrix = np.array([[800.0, 0, 330], [0, 790, 250], [0, 0, 1]])
    distortion = np.array([0.12, -0.2, 0.003, -0.002, 0.05])
    camera = Camera(matrix, (640, 480), distortion)
    points = rng.uniform([-1, -1, 2], [1, 1, 6], (40, 3))
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, distortion)[0][:, 0]
    pixels = geometry.project(points, camera)
    np.testing.assert_allclose(pixels, expected, atol=1e-9)
    np.testing.assert_allclose(geometry.unproject(pixels, camera), points[:, :2] / points[:, 2:], atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2))
def test_ray_rotation_turns_the_axis_onto_the_ray(x, y):
    rotation = geometry.ray_rotation(np.array([x, y]))
    ray = np.array([x, y, 1]) / np.sqrt(x * x + y * y + 1)
    np.testing.assert_allclose(rotation @ [0, 0, 1], ray, atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_scaling_a_camera_keeps_pixel_centres():
    camera = geometry.camera_from_fov((640, 480), 60)
    half = geometry.scaled(camera, (320, 240))
    point = np.array([0.3, -0.2, 2.0])
    pixel = geometry.project(point, camera)
    np.testing.assert_allclose(geometry.project(point, half), (pixel + 0.5) / 2 - 0.5)


def test_quaternions_round_trip():
    from scipy.spatial.transform import Rotation

    matrices = Rotation.random(50, rng=np.random.default_rng(0)).as_matrix()
    quaternions = geometry.quaternion_from_matrix(matrices)
    assert (quaternions[:, 0] >= 0).all()
    np.testing.assert_allclose(geometry.matrix_from_quaternion(quaternions), matrices, atol=1e-12)


@pytest.mark.parametrize(
    "distortion", [[-3.0, 0, 0, 0, 0], [0, 0, 0.4, 0.3, 0], [50.0, -900.0, 0, 0, 1e4], [-0.9, 0.2, 0, 0, -0.4]]
)
def test_unprojecting_is_finite_where_a_lens_model_runs_away(distortion):
    from xnect.geometry import unproject
    from xnect.structures import Camera

    camera = Camera(np.array([[200.0, 0, 640], [0, 200.0, 360], [0, 0, 1]]), (1280, 720), np.array(distortion, float))
    pixels = np.stack(np.meshgrid(np.linspace(-500, 1800, 60), np.linspace(-500, 1200, 40)), -1)
    assert np.isfinite(unproject(pixels, camera)).all()
