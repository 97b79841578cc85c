import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.geometry import camera_from_fov, unproject
from xnect.training.synthetic.cameras import look
from xnect.training.synthetic.distortion import bend, bent_camera, pinhole_of, projected, random_distortion
from xnect.training.synthetic.render import Drawing


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_a_bent_picture_shows_things_where_its_lens_puts_them(seed):
    rng = np.random.default_rng(seed)
    camera = look(camera_from_fov((192, 128), float(rng.uniform(35, 90))), np.zeros(3), 0, 0)
    bent = bent_camera(camera, random_distortion(rng, camera.camera))
    wide = pinhole_of(bent)
    # a pinhole picture whose colour is the direction that a pixel looks in
    width, height = wide.camera.size_px
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
    image = np.concatenate([unproject(pixels, wide.camera), np.ones((height, width, 1))], -1).astype(np.float32)
    ident = np.repeat(np.repeat(np.arange(width, dtype=np.int16)[None], height, 0), 2, 0).repeat(2, 1)
    drawing = bend(Drawing(image, np.ones(ident.shape, np.float32), ident, 2), wide.camera, bent.camera)
    assert drawing.image.shape == (128, 192, 3)
    rays = drawing.image.reshape(-1, 3)
    flat = cv2.projectPoints(
        rays, np.zeros(3), np.zeros(3), camera.camera.matrix_px, bent.camera.distortion
    )[0].reshape(128, 192, 2)  # fmt: skip
    assert np.abs(flat - np.stack(np.meshgrid(np.arange(192), np.arange(128)), -1)).max() < 0.15
    columns = drawing.ident[1::2, 1::2]
    assert (
        np.abs(
            columns - (rays[:, 0].reshape(128, 192) * wide.camera.matrix_px[0, 0] + wide.camera.matrix_px[0, 2])
        ).max()
        < 1.1
    )
    inside = rays[::7].astype(np.float64) * rng.uniform(1, 9)
    np.testing.assert_allclose(projected(inside, bent.camera), flat.reshape(-1, 2)[::7], atol=1e-3)


def test_points_far_outside_a_bent_picture_stay_outside():
    camera = camera_from_fov((96, 64), 80)
    bent = bent_camera(look(camera, np.zeros(3), 0, 0), np.array([-0.09, 0.0, 0, 0, 0])).camera
    angle = np.linspace(0, 2 * np.pi, 40)
    last = np.zeros(40)
    for radius in np.linspace(1.3, 30, 25):
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.ones(40)], 1)
        flat = projected(points, bent)
        assert ((flat < 0) | (flat > [95, 63])).any(1).all()
        out = np.linalg.norm(flat - bent.matrix_px[:2, 2], axis=1)
        assert (out > last).all()
        last = out
