"""Pictures are prepared as published: against Pillow, and against arithmetic."""

import numpy as np
import pytest
import torch

from backbone.errors import InputError
from backbone.preprocess import MEAN, STD, Preprocessing, normalise, prepare, resize_and_crop

SIZES = [(480, 640), (375, 500), (500, 375), (300, 100), (224, 256), (100, 77), (256, 256), (1500, 1000)]


def smooth(height, width):
    cv2 = pytest.importorskip("cv2")
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.0)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES)
def test_resizing_and_cropping_is_that_of_pillow(size, interpolation):
    pil = pytest.importorskip("PIL.Image")
    image = smooth(*size)
    height, width = size
    target = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    resized = pil.fromarray(image).resize(target, getattr(pil.Resampling, interpolation.upper()))
    left, top = round((resized.width - 224) / 2), round((resized.height - 224) / 2)
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224))).astype(int)
    found = resize_and_crop(image, Preprocessing(interpolation=interpolation)).permute(1, 2, 0).numpy()
    difference = np.abs(found - expected)
    assert difference.max() <= 2  # both round to whole values, Pillow after each of its two passes
    assert (difference > 1).mean() < 1e-3
    assert difference.mean() < 0.3


def test_the_crop_is_the_centre_and_a_fitting_picture_is_left_alone():
    image = np.zeros((256, 400, 3), np.uint8)
    image[:, 200:] = 255
    crop = resize_and_crop(image, Preprocessing())
    assert crop.shape == (3, 224, 224)
    assert crop[:, :, :112].max() == 0
    assert crop[:, :, 112:].min() == 255


def test_values_have_the_published_mean_and_deviation():
    colour = np.array([10, 100, 250], np.uint8)
    ready = prepare([np.tile(colour, (30, 40, 1))], Preprocessing(size_px=32))
    assert ready.shape == (1, 3, 32, 32)
    assert ready.dtype == torch.float32
    np.testing.assert_allclose(ready[0, :, 5, 7], (colour / 255 - MEAN) / np.array(STD), rtol=1e-5)
    again = normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8), Preprocessing())
    np.testing.assert_allclose(again.ravel(), (1 - np.array(MEAN)) / STD, rtol=1e-5)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((1, 65, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(image):
    with pytest.raises(InputError, match="picture"):
        resize_and_crop(image, Preprocessing())


def test_settings_survive_json_and_impossible_ones_are_refused():
    how = Preprocessing(96, 1.0, "bilinear")
    assert Preprocessing.from_dict(how.to_dict()) == how
    for bad in ({"size_px": 0}, {"crop": 1.5}, {"interpolation": "guess"}, {"colour": 1}, {"size_px": "big"}, 7):
        with pytest.raises(InputError):
            Preprocessing.from_dict(bad)
