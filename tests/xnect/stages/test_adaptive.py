"""Adaptive input size and looks hold the rate on a slow machine, come back on a quick one, and do not swing."""

import time

import numpy as np
import pytest

from xnect.config import NetworkConfig
from xnect.stages.adaptive import SizeControl
from xnect.stages.looks import pixels


def simulate(control, cost_per_px, frames, fixed_s=0.004, noise=0.1, seed=0):
    """Run frames on a machine of a given speed; time of each frame [s] and level after it."""
    rng = np.random.default_rng(seed)
    times, levels = [], []
    for _ in range(frames):
        w, h = control.size
        spent = (fixed_s + cost_per_px * w * h * pixels(control.looks)) * (1 + noise * rng.standard_normal())
        control.update(spent)
        times.append(spent)
        levels.append(control.level)
    return np.array(times), np.array(levels)


def test_sizes_are_multiples_of_16_and_reach_half_of_each_side():
    control = SizeControl.of(NetworkConfig(target_fps=30, input_size=(512, 320)))
    assert control.ways[:2] == (((512, 320), 2), ((512, 320), 1))
    assert control.ways[-1] == ((256, 160), 1)
    assert all(w % 16 == h % 16 == 0 for (w, h), _ in control.ways)
    assert all(looks == 1 for _, looks in SizeControl.of(NetworkConfig(target_fps=30, looks=1)).ways)
    four = SizeControl.of(NetworkConfig(target_fps=30, looks=4)).ways
    assert [looks for _, looks in four[:4]] == [4, 2, 1, 1]
    assert SizeControl.of(NetworkConfig()) is None


class Timed:
    """A network that sleeps for its pixels, and remembers what it was made ready for."""

    def __init__(self, full_s):
        self.full_s, self.ready = full_s, []
        self.input_size, self.looks = (512, 320), 2

    def prepare(self, frame_px, ways):
        self.ready = list(ways)

    def __call__(self, image):
        time.sleep(self.full_s)


@pytest.mark.parametrize(("full_s", "ways"), [(0.005, 1), (0.018, 2), (0.15, 6)])
def test_live_sources_get_a_rate_unasked_and_as_many_ways_as_the_machine_may_need(full_s, ways):
    control, network = SizeControl.of(NetworkConfig(), live=True), Timed(full_s)
    control.prepare(network, (640, 480))
    assert len(control.ways) == len(network.ready) == ways
    for _ in range(200):  # the machine becomes so much slower that nothing helps: what was made ready is all there is
        control.after_frame(network, 1.0)
    assert (network.input_size, network.looks) == control.ways[-1]
    asked, network = SizeControl.of(NetworkConfig(target_fps=30), live=True), Timed(full_s)
    asked.prepare(network, (640, 480))
    assert len(network.ready) == 6


def test_a_step_down_is_told_once(caplog):
    control = SizeControl((512, 320), 24)
    with caplog.at_level("INFO"):
        for cost in (0.03, 0.005) * 3:
            simulate(control, cost / (512 * 320), 300)
    assert [r.message.split(": ")[1] for r in caplog.records] == ["going on at 512x320, one look a picture"]


def test_a_quick_machine_keeps_the_full_size():
    control = SizeControl((512, 320), 30)
    _, levels = simulate(control, 0.01 / (512 * 320), 300)
    assert (levels == 0).all()


def test_looks_are_the_first_to_go():
    control = SizeControl((512, 320), 30)
    times, levels = simulate(control, 0.02 / (512 * 320), 300)
    assert (levels[-100:] == 1).all()
    assert control.size == (512, 320)
    assert control.looks == 1
    assert np.median(times[100:]) <= 1 / 30


def test_a_busy_machine_gets_a_smaller_size_until_the_rate_holds_and_the_full_one_when_it_is_free_again():
    control = SizeControl((512, 320), 30)
    times, levels = simulate(control, 0.045 / (512 * 320), 300)
    assert np.median(times[100:]) <= 1 / 30
    assert 0 < levels[-1] < len(control.ways) - 1
    assert len(set(levels[100:].tolist())) == 1  # no swinging
    _, levels = simulate(control, 0.008 / (512 * 320), 600)
    assert levels[-1] == 0


def test_one_slow_frame_changes_nothing():
    control = SizeControl((512, 320), 30)
    simulate(control, 0.008 / (512 * 320), 50)
    control.update(0.08)
    simulate(control, 0.008 / (512 * 320), 20)
    assert control.level == 0


def test_a_hopeless_machine_ends_at_the_smallest_size():
    control = SizeControl((512, 320), 60)
    simulate(control, 1.0 / (512 * 320), 200)
    assert (control.size, control.looks) == control.ways[-1]
