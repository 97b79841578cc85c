"""The arithmetic of the assistant, against cameras whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from xnect.errors import CalibrationError
from xnect.geometry import camera_from_fov
from xnect.gui import assist


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
