import numpy as np
import pytest

from xnect.tracking.appearance import PARTS, _describe, blend, describe
from xnect.tracking.cues import stature_px


def filmed(scene, walker, **looks):
    shot = scene([walker(lambda t: (0, 0, 4.0), **looks)], miss=0, double=0, false=0, noise=0).shot(0.3)
    return describe(shot.image, shot.detections.joints_px, shot.detections.confidence), shot


def distance(a, b, part):
    k = PARTS.index(part)
    return np.sqrt(max(0.0, 1 - (a[0][0, k] * b[0][0, k]).sum() / 3))


def test_histograms_are_unit_vectors_per_channel(scene, walker):
    (colours, weight), _ = filmed(scene, walker)
    assert (weight > 0.3).all()
    assert np.allclose((colours**2).reshape(1, 6, 3, 8).sum(-1), 1, atol=1e-5)


def test_shirt_and_trousers_are_told_apart(scene, walker):
    red, _ = filmed(scene, walker, shirt=(40, 40, 200))
    green, _ = filmed(scene, walker, shirt=(40, 200, 40))
    assert distance(red, green, "torso") > 0.5
    assert distance(red, green, "thighs") < 0.1


def test_dimmer_light_changes_less_than_another_colour(scene, walker):
    bright, shot = filmed(scene, walker, shirt=(40, 40, 200))
    dim = describe((shot.image * 0.8).astype(np.uint8), shot.detections.joints_px, shot.detections.confidence)
    other, _ = filmed(scene, walker, shirt=(200, 120, 40))
    assert distance(bright, dim, "torso") < 0.6 * distance(bright, other, "torso")


@pytest.mark.parametrize("shift", [5000.0, -5000.0])
def test_outside_the_picture_there_is_no_evidence(scene, walker, shift):
    _, shot = filmed(scene, walker)
    joints = shot.detections.joints_px + np.float32(shift)
    colours, weight = describe(shot.image, joints, shot.detections.confidence)
    assert not weight.any()
    assert not colours.any()


def test_blend_learns_unknown_parts_at_once_and_keeps_hidden_ones(scene, walker):
    (red, _), _ = filmed(scene, walker, shirt=(40, 40, 200))
    (green, _), _ = filmed(scene, walker, shirt=(40, 200, 40))
    red, green = red[0], green[0]
    one, none = np.ones(6, np.float32), np.zeros(6, np.float32)

    def blended(old, old_weight, new, new_weight, rate):
        old, old_weight = old.copy(), old_weight.copy()
        blend(old, old_weight, new, new_weight, rate)
        return old, old_weight

    assert np.allclose(blended(red * 0, none, green, one, 0.0)[0], green)
    kept, weight = blended(red, one, green, none, 0.1)
    assert np.allclose(kept, red)
    assert np.allclose(weight, 1)
    mixed, _ = blended(red, one, green, one, 0.1)
    assert np.allclose(mixed**2, 0.9 * red**2 + 0.1 * green**2, atol=1e-6)


def test_stature_does_not_depend_on_which_half_is_seen(scene, walker):
    shot = scene([walker(lambda t: (0, 0, 4.0))], miss=0, double=0, false=0, noise=0).shot(0.3)
    joints = shot.detections.joints_px
    upper = np.array([[1] * 8 + [0] * 6], np.float32)
    whole = stature_px(joints, np.ones((1, 14), np.float32))[0]
    assert whole == pytest.approx(1.75 * 554 / 4, rel=0.15)
    assert stature_px(joints, upper)[0] == pytest.approx(whole, rel=0.2)
    assert stature_px(joints, 1 - upper)[0] == pytest.approx(whole, rel=0.2)


def test_every_kind_of_array_is_described_alike_without_compiling_again(scene, walker):
    """Decoders give pictures that may not be written to, or whose rows have padding."""
    (colours, _), shot = filmed(scene, walker)
    compiled = len(_describe.signatures)
    padded = np.zeros((shot.image.shape[0], shot.image.shape[1] + 6, 3), np.uint8)
    padded[:, :-6] = shot.image
    locked = shot.image.copy()
    locked.flags.writeable = False
    for image in (padded[:, :-6], locked):
        again, _ = describe(image, shot.detections.joints_px, shot.detections.confidence)
        assert np.array_equal(again, colours)
    assert len(_describe.signatures) == compiled
