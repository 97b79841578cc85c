import numpy as np
import pytest

from xnect.training.synthetic.effects import Lens, develop, random_lens


@pytest.fixture
def ramp():
    return np.ascontiguousarray(np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], (48, 64, 3)))


def test_a_plain_lens_is_gamma_two_up_to_the_highlights(ramp):
    out = develop(ramp, Lens(contrast=0.0), np.random.default_rng(0))
    dark = ramp[0, :, 0] < 0.69
    assert np.abs(out[0, dark, 0] - 255 * np.sqrt(ramp[0, dark, 0])).max() < 1.01
    assert (np.diff(out[0, :, 0].astype(int)) >= 0).all()


def test_red_is_the_last_channel_and_white_balance_moves_it(ramp):
    out = develop(ramp, Lens(white=(0.5, 1.0, 1.0)), np.random.default_rng(0))
    assert out[..., 2].mean() < out[..., 0].mean() - 10


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(ramp):
    for seed in range(8):
        lens = random_lens(np.random.default_rng(seed))
        one, two = (develop(ramp, lens, np.random.default_rng(4)) for _ in range(2))
        assert one.tobytes() == two.tobytes()
    noisy = Lens(noise=0.02)
    a, b = (develop(ramp, noisy, np.random.default_rng(s)) for s in (1, 2))
    assert a.tobytes() != b.tobytes()


def test_saturation_zero_is_grey_and_a_vignette_darkens_corners():
    image = np.zeros((40, 60, 3), np.float32)
    image[:] = [0.6, 0.3, 0.1]
    grey = develop(image, Lens(saturation=0.0), np.random.default_rng(0))
    assert np.ptp(grey[0, 0].astype(int)) <= 1
    dark = develop(image, Lens(vignette=0.5), np.random.default_rng(0))
    assert dark[0, 0].sum() < dark[20, 30].sum()
