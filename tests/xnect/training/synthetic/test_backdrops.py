"""Backdrops leave alone what people cover: their colours are added to the picture afterwards."""

from types import SimpleNamespace

import numpy as np

from xnect.training.synthetic.backdrops import Photo
from xnect.training.synthetic.render import Shadows


def test_a_photo_stays_behind_people():
    """It shone through them where all of a pixel's samples saw a person."""
    rng = np.random.default_rng(0)
    picture = rng.uniform(0.2, 1, (16, 24, 3)).astype(np.float32)
    unseen = rng.random((16, 24)) < 0.5
    rays = np.array([[0.1, 0, -1.2], [0, -0.1, 2.0], [0, 0, 1.0]])
    nothing = np.full((2, 2), -1e9, np.float32)
    shadows = Shadows(np.zeros((3, 4), np.float32), nothing, 1.0, 0.03, np.ones((2, 2), np.float32), np.zeros(2), 1.0)
    camera = SimpleNamespace(rays=rays.astype(np.float32), centre_m=np.array([0, 1.5, 0], np.float32))
    light = SimpleNamespace(
        ambient=np.full((9, 3), 0.3, np.float32),
        direction=np.array([0, 1.0, 0], np.float32),
        sun=np.zeros(3, np.float32),
    )
    image = np.zeros_like(picture)
    Photo(picture).paint(image, unseen, camera, light, shadows, None)
    assert (image[~unseen] == 0).all()
    np.testing.assert_allclose(image[unseen], picture[unseen], rtol=0.02)
