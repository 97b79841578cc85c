"""The synthetic source: same pictures every time, real time where it is live."""

import time

import numpy as np
import pytest

from xnect.capture import open_source
from xnect.capture.synthetic import SyntheticSource
from xnect.errors import ConfigError, SourceError


def test_specification_and_repeatability():
    source = open_source("synthetic:64x48@10:7")
    first, second = list(source), list(source)
    assert [f.timestamp_s for f in first] == [i / 10 for i in range(7)]
    assert first[0].size_px == source.info.size_px == (64, 48)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.image_bgr, b.image_bgr)
    assert not np.array_equal(first[0].image_bgr, first[3].image_bgr)


def test_part_turn_and_flip():
    source = open_source("synthetic:64x48@10:20", start_s=0.5, end_s=1.0, rotate=90, mirror=True)
    frames = list(source)
    assert [f.index for f in frames] == [5, 6, 7, 8, 9]
    assert frames[0].size_px == source.info.size_px == (48, 64)


def test_live_drops_what_is_not_taken():
    source = SyntheticSource((32, 24), fps=200, frames=60, live=True)
    seen = []
    for frame in source:
        seen.append(frame.index)
        time.sleep(0.03)
    assert len(seen) < 30
    assert seen[-1] - len(seen) < source.dropped + 1 <= 60


@pytest.mark.parametrize("spec", ["synthetic:64x", "synthetic:axb", "synthetic@x"])
def test_wrong_specifications(spec):
    with pytest.raises(SourceError, match="expected synthetic"):
        open_source(spec)


def test_unknown_options_are_named():
    with pytest.raises(ConfigError, match="did you mean rotate"):
        open_source("synthetic", rotat=90)
