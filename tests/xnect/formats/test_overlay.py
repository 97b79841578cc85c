"""The overlay video as a player sees it: every frame, at its time, of the right size."""

import dataclasses
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from xnect.formats.writer import open_writers
from xnect.geometry import camera_from_fov
from xnect.structures import Frame, FrameResult


def record(directory, header, frames, fps=25.0):
    with open_writers(directory, ["overlay"], dataclasses.replace(header, fps=fps)) as writers:
        for frame, result in frames:
            writers.write(frame, result)
    return read(directory / "overlay.mp4")


def read(path):
    """Size, exact times, length, rate and pictures of a video."""
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        decoded = list(video.decode(stream))
        times = [Fraction(f.pts) * f.time_base for f in decoded]
        pictures = [f.to_ndarray(format="rgb24") for f in decoded]
        return (stream.width, stream.height), times, stream.duration * stream.time_base, stream.average_rate, pictures


def test_rate_length_and_count_of_an_ntsc_clip(tmp_path, header, make_frames):
    size, times, length, rate, pictures = record(
        tmp_path, header, make_frames(50, fps=30000 / 1001, start_s=7.5), 30000 / 1001
    )
    assert size == (320, 240)
    assert len(pictures) == 50
    assert rate == Fraction(30000, 1001)
    assert length == pytest.approx(50 * 1001 / 30000, abs=1e-4)
    np.testing.assert_allclose([float(t) for t in times], np.arange(50) * 1001 / 30000, atol=2e-5)
    assert not (tmp_path / "overlay.mkv").exists()


def test_uneven_times_are_kept(tmp_path, header, make_frames):
    rng = np.random.default_rng(5)
    stamps = np.cumsum(rng.uniform(0.01, 0.3, 40))
    frames = [
        (dataclasses.replace(f, timestamp_s=float(t)), dataclasses.replace(r, timestamp_s=float(t)))
        for (f, r), t in zip(make_frames(40), stamps, strict=True)
    ]
    _, times, length, _, _ = record(tmp_path, header, frames)
    np.testing.assert_allclose([float(t) for t in times], stamps - stamps[0], atol=2e-5)
    assert length == pytest.approx(stamps[-1] - stamps[0] + 1 / 25, abs=1e-3)


def test_a_clock_that_stands_still_loses_no_frame(tmp_path, header, make_frames):
    frames = [(dataclasses.replace(f, timestamp_s=1.0), r) for f, r in make_frames(5)]
    _, times, _, _, pictures = record(tmp_path, header, frames)
    assert len(pictures) == 5
    assert all(b > a for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("size", [(321, 241), (640, 2), (1, 1), (17, 200)])
def test_odd_sizes(tmp_path, header, size):
    rng = np.random.default_rng(1)
    image = np.repeat(np.repeat(rng.integers(0, 255, (1, 1, 3), np.uint8), size[1], 0), size[0], 1)
    camera = camera_from_fov(size)
    frames = [(Frame(i, i / 25, image.copy()), FrameResult(i, i / 25, (), {}, camera)) for i in range(3)]
    got, times, _, _, pictures = record(tmp_path, header, frames)
    assert len(times) == 3
    assert got == tuple(max(16, s + s % 2) for s in size)
    if min(size) >= 16:  # no dark seam where the picture was made even
        np.testing.assert_allclose(pictures[0].reshape(-1, 3).mean(0), image[0, 0, ::-1], atol=6)
        assert np.ptp(pictures[0].astype(int), axis=(0, 1)).max() <= 6


def test_pictures_of_changing_size_are_fitted(tmp_path, header):
    frames = []
    for i, (w, h) in enumerate([(320, 240), (640, 480), (200, 100), (240, 640)]):
        image = np.full((h, w, 3), 200, np.uint8)
        frames.append((Frame(i, i / 25, image), FrameResult(i, i / 25, (), {}, camera_from_fov((w, h)))))
    size, _, _, _, pictures = record(tmp_path, header, frames)
    assert size == (320, 240)
    light = [(p.mean(-1) > 120).mean() for p in pictures]
    assert light == pytest.approx([1, 1, 200 * 100 / (320 * 240), 90 * 240 / (320 * 240)], abs=0.02)


def test_people_are_in_the_picture(tmp_path, header, make_frames):
    *_, with_people = record(tmp_path / "a", header, make_frames(3))
    *_, without = record(tmp_path / "b", header, make_frames(3, ids=lambda i: ()))
    changed = np.abs(with_people[1].astype(int) - without[1]).max(-1) > 40
    assert 0.005 < changed.mean() < 0.3


def test_the_given_picture_is_not_drawn_on(tmp_path, header, make_frames):
    frames = list(make_frames(2))
    before = frames[0][0].image_bgr.copy()
    record(tmp_path, header, frames)
    np.testing.assert_array_equal(frames[0][0].image_bgr, before)


def test_no_frame_no_video(tmp_path, header):
    open_writers(tmp_path, ["overlay"], header).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["poses.jsonl"]
