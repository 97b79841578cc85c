"""The arithmetic of the assistant, against cameras whose truth is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from xnect.errors import CalibrationError
from xnect.geometry import camera_from_fov, project
from xnect.gui import assist
from xnect.structures import Camera

SIZE = (640, 480)


def board_views(camera: Camera, pattern, count=10, seed=0):
    """Corners of a chessboard held before a camera in different ways."""
    random = np.random.default_rng(seed)
    grid = np.zeros((pattern[0] * pattern[1], 3))
    grid[:, :2] = (np.mgrid[: pattern[0], : pattern[1]].T.reshape(-1, 2) - (np.array(pattern) - 1) / 2) * 0.03
    views = []
    while len(views) < count:
        rotation, _ = cv2.Rodrigues(random.uniform(-0.6, 0.6, 3))
        points = grid @ rotation.T + [random.uniform(-0.12, 0.12), random.uniform(-0.1, 0.1), random.uniform(0.4, 0.9)]
        pixels = project(points, camera)
        if pixels.min() > 5 and (pixels < np.array(SIZE) - 5).all():
            views.append(pixels.astype(np.float32))
    return views


def test_a_lens_is_found_from_boards_and_written(tmp_path):
    truth = camera_from_fov(SIZE, 68)
    truth = Camera(truth.matrix_px.copy(), SIZE, np.array([-0.12, 0.05, 0.001, -0.0005, 0]))
    camera, error = assist.calibrate(board_views(truth, (9, 6)), (9, 6), SIZE)
    assert error < 0.05
    np.testing.assert_allclose(camera.matrix_px, truth.matrix_px, rtol=0.01, atol=1.5)
    np.testing.assert_allclose(camera.distortion[:2], truth.distortion[:2], atol=0.03)
    path = tmp_path / "new" / "camera.toml"
    assist.save_camera(path, camera)
    from xnect.capture.calibration import read_calibration

    again = read_calibration(str(path))
    np.testing.assert_allclose(again.matrix_px, camera.matrix_px)
    np.testing.assert_allclose(again.distortion, camera.distortion)
    assert again.size_px == SIZE


def test_few_or_false_boards_are_refused():
    truth = camera_from_fov(SIZE, 68)
    views = board_views(truth, (9, 6))
    with pytest.raises(CalibrationError, match="at least 6"):
        assist.calibrate(views[:3], (9, 6), SIZE)
    noise = [np.random.default_rng(i).uniform(0, 480, (54, 2)).astype(np.float32) for i in range(8)]
    with pytest.raises(CalibrationError):
        assist.calibrate(noise, (9, 6), SIZE)


def test_a_drawn_board_is_found_to_a_fraction_of_a_pixel():
    square, pattern = 40, (7, 5)
    image = np.full((420, 560, 3), 230, np.uint8)
    for i in range(pattern[0] + 1):
        for j in range(pattern[1] + 1):
            if (i + j) % 2 == 0:
                image[70 + j * square : 70 + (j + 1) * square, 90 + i * square : 90 + (i + 1) * square] = 20
    corners = assist.find_board(image, pattern)
    assert corners is not None
    truth = np.mgrid[: pattern[0], : pattern[1]].T.reshape(-1, 2) * square + np.array([90 + square, 70 + square]) - 0.5
    ours = corners[np.lexsort((np.round(corners[:, 0]), np.round(corners[:, 1] / square)))]
    np.testing.assert_allclose(ours, truth[np.lexsort((truth[:, 0], truth[:, 1]))], atol=0.2)
    assert assist.find_board(np.zeros((100, 100, 3), np.uint8), pattern) is None
    assert not assist.differs(corners + 2, [corners])
    assert assist.differs(corners + 80, [corners])


def test_field_of_view_from_a_person(result_at):
    camera = camera_from_fov((640, 360), 74)
    result = result_at(0, 0.0, camera, 1)
    sizes = [assist.standing_px(result.people[0])] * 10
    assert sizes[0] is not None
    true_m = np.linalg.norm(result.people[0].joints_3d[16] - result.people[0].joints_3d[[10, 13]].mean(0))
    fov = assist.fov_from_person(sizes, (640, 360), true_m / assist.NOSE_TO_ANKLE, 3.2)
    assert fov == pytest.approx(74, abs=4)
    with pytest.raises(CalibrationError, match="head to feet"):
        assist.fov_from_person([], (640, 360), 1.8, 3)
    with pytest.raises(CalibrationError, match="check the numbers"):
        assist.fov_from_person(sizes, (640, 360), 1.8, 300)


def test_who_is_cut_off_is_not_measured(result_at):
    person = result_at(0, 0.0, camera_from_fov((640, 360)), 2).people[1]
    assert assist.standing_px(person) is None


@pytest.mark.parametrize(("pitch", "roll", "height"), [(0, 0, 1.0), (20, 0, 2.2), (-5, 8, 0.7), (35, -6, 3.0)])
def test_the_floor_is_found_among_noise(pitch, roll, height):
    random = np.random.default_rng(1)
    p, r = np.radians([pitch, roll])
    down = np.array([0.0, 1, 0])
    tip = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    lean = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    camera_from_level = lean @ tip
    feet = np.stack([random.uniform(-1.5, 1.5, 120), np.full(120, height), random.uniform(2, 6, 120)], 1)
    feet += random.normal(0, 0.015, feet.shape)
    feet[:25, 1] -= random.uniform(0.2, 0.9, 25)  # raised feet and wrong depths
    floor = assist.fit_floor(feet @ camera_from_level.T)
    assert floor.height_m == pytest.approx(height, abs=0.05)
    assert floor.pitch_deg == pytest.approx(pitch, abs=1.2)
    assert floor.roll_deg == pytest.approx(roll, abs=1.2)
    np.testing.assert_allclose(floor.normal, -camera_from_level @ down, atol=0.03)


def test_feet_that_tell_no_floor_are_refused():
    with pytest.raises(CalibrationError, match="too few"):
        assist.fit_floor(np.zeros((5, 3)))
    line = np.stack([np.linspace(-1, 1, 60), np.full(60, 1.0), np.full(60, 3.0)], 1)
    line += np.random.default_rng(0).normal(0, 0.004, line.shape)
    with pytest.raises(CalibrationError):
        assist.fit_floor(line)
