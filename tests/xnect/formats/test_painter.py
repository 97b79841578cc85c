"""What is drawn, judged by its pixels."""

import dataclasses

import numpy as np
import pytest

from xnect.errors import ShapeError
from xnect.formats.painter import PALETTES, PaintOptions, paint, painted, person_colour
from xnect.skeleton.joints import JOINTS_2D
from xnect.structures import FrameResult

BARE = PaintOptions(boxes=False, ids=False, inferred=False)


def canvas(size=(320, 240), grey=0):
    return np.full((size[1], size[0], 3), grey, np.uint8)


def near(image, colour, tolerance=30):
    """Pixels of about this colour."""
    return np.abs(image.astype(int) - colour).max(-1) <= tolerance


def result_of(camera, *people):
    return FrameResult(0, 0.0, tuple(people), {}, camera)


def with_joints(person, **changes):
    """The person with other confidences by joint name."""
    confidence = np.array(person.confidence_2d)
    for name, value in changes.items():
        confidence[JOINTS_2D.index(name)] = value
    joints = np.where(confidence[:, None] > 0, person.joints_2d, 0).astype(np.float32)
    return dataclasses.replace(person, confidence_2d=confidence, joints_2d=joints)


def middle(person, a, b):
    """Pixel half way between two joints."""
    at = (person.joints_2d[JOINTS_2D.index(a)] + person.joints_2d[JOINTS_2D.index(b)]) / 2
    return tuple(np.rint(at).astype(int)[::-1])


def test_right_is_orange_and_left_is_blue(camera, make_person):
    person = make_person(1)
    image = painted(canvas(), result_of(camera, person), dataclasses.replace(BARE, scale=3.0))
    palette = PALETTES["dark"]
    assert palette.right == (0x00, 0x9F, 0xE6)
    assert palette.left == (0xE9, 0xB4, 0x56)
    assert near(image[middle(person, "right_hip", "right_knee")], palette.right).all()
    assert near(image[middle(person, "left_hip", "left_knee")], palette.left).all()


@pytest.mark.parametrize("name", sorted(PALETTES))
def test_every_palette_draws(camera, make_person, name):
    image = painted(canvas(), result_of(camera, make_person(1)), dataclasses.replace(BARE, palette=name))
    assert near(image, PALETTES[name].right).any()
    assert near(image, PALETTES[name].left).any()


def test_low_confidence_is_dashed(camera, make_person):
    sure = make_person(1, z_m=2.0)
    unsure = with_joints(sure, right_knee=0.1, right_ankle=0.1)
    orange = PALETTES["dark"].right
    full, dashed = (near(painted(canvas(), result_of(camera, p), BARE), orange).sum() for p in (sure, unsure))
    assert 0.55 * full < dashed < 0.95 * full


def test_unseen_joints_are_inferred_from_3d_and_hollow(camera, make_person):
    person = with_joints(make_person(1, z_m=3.0), right_ankle=0.0)
    spot = tuple(np.rint(make_person(1, z_m=3.0).joints_2d[JOINTS_2D.index("right_ankle")]).astype(int)[::-1])
    options = dataclasses.replace(BARE, inferred=True, scale=3.0)
    shown = painted(canvas(grey=255), result_of(camera, person), options)
    assert shown[spot].max() < 60  # dark inside
    y, x = spot
    assert near(shown[y - 8 : y + 9, x - 8 : x + 9], PALETTES["dark"].right).any()  # coloured ring
    hidden = painted(canvas(grey=255), result_of(camera, person), dataclasses.replace(BARE, scale=3.0))
    assert (hidden[spot] == 255).all()


def test_boxes_and_numbers_have_the_persons_colour(camera, make_person):
    person = make_person(3, z_m=6.0)
    options = PaintOptions(skeleton=False, ids=False)
    image = painted(canvas(), result_of(camera, person), options)
    x0, y0, _, _ = np.rint(person.box).astype(int)
    assert near(image[y0, x0 + 5], person_colour(3), 5).all()
    numbered = painted(canvas(), result_of(camera, person), dataclasses.replace(options, ids=True, boxes=False))
    assert near(numbered, person_colour(3), 5).sum() > 40
    assert (painted(canvas(), result_of(camera, person), dataclasses.replace(options, boxes=False)) == 0).all()


def test_lines_grow_with_the_picture(camera, make_person):
    from xnect.geometry import scaled

    def share(factor):
        size = 320 * factor, 240 * factor
        big = scaled(camera, size)
        return (painted(canvas(size), result_of(big, make_person(1, camera=big, z_m=2.5)), BARE) > 60).any(-1).mean()

    assert share(4) == pytest.approx(share(2), rel=0.25)


def test_nobody_leaves_the_picture_alone(camera):
    image = canvas(grey=7)
    paint(image, result_of(camera))
    assert (image == 7).all()


def test_people_outside_behind_or_without_numbers(camera, make_person):
    far_away = dataclasses.replace(make_person(1), joints_2d=np.full((14, 2), 9e6, np.float32))
    behind = make_person(2, z_m=-3.0)
    behind = dataclasses.replace(behind, confidence_2d=np.zeros(14, np.float32), box=np.zeros(4, np.float32))
    mad = dataclasses.replace(make_person(3), joints_2d=np.full((14, 2), np.nan, np.float32))
    image = canvas()
    paint(image, result_of(camera, far_away, behind, mad))
    assert image.shape == (240, 320, 3)


def test_pictures_that_cannot_be_drawn_on(camera, make_person):
    sealed = canvas()
    sealed.setflags(write=False)
    result = result_of(camera, make_person(1))
    with pytest.raises(ShapeError, match="sealed"):
        paint(sealed, result)
    assert painted(sealed, result).any()
    with pytest.raises(ShapeError, match="uint8"):
        paint(np.zeros((4, 4), np.uint8), result)
    with pytest.raises(ShapeError, match="palette"):
        PaintOptions(palette="rainbow")
