"""Video files: true times, right numbers, right pixels, and one clear line for whatever is no video."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from xnect.capture import open_source
from xnect.errors import SourceError

FPS = 25


def level(index):
    """Grey level of a frame, far enough apart to survive compression."""
    return 20 + (index * 9) % 200


def write(path, count=30, size=(64, 48), pts=None, codec="libx264", options=None, container=None, start=0):
    """A video whose frame i is grey of level(i) with a bright top left corner."""
    options = {"crf": "10", "g": "10", "bf": "2"} if options is None else options
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = {"mjpeg": "yuvj420p", "ffv1": "yuv444p"}.get(codec, "yuv420p")
        stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(count):
            image = np.full((size[1], size[0], 3), level(i), np.uint8)
            image[: size[1] // 3, : size[0] // 3] = (255, 255, 255)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = start + (round(i * 1000 / FPS) if pts is None else pts[i])
            frame.time_base = Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write(tmp_path_factory.mktemp("video") / "clip.mp4")


def levels(frames):
    return [int(np.median(frame.image_bgr[-8:])) for frame in frames]


def test_all_frames_in_order_with_their_times(clip):
    source = open_source(clip)
    frames = list(source)
    assert [f.index for f in frames] == list(range(30))
    np.testing.assert_allclose([f.timestamp_s for f in frames], np.arange(30) / FPS, atol=1e-6)
    np.testing.assert_allclose(levels(frames), [level(i) for i in range(30)], atol=5)
    assert frames[0].image_bgr.dtype == np.uint8
    info = source.info
    assert (info.name, info.size_px, info.frame_count, info.live) == ("clip", (64, 48), 30, False)
    assert info.fps == pytest.approx(FPS, rel=1e-3)
    assert info.duration_s == pytest.approx(30 / FPS, rel=0.05)
    assert source.camera.size_px == (64, 48)
    assert source.camera.estimated


def test_it_can_be_read_twice(clip):
    source = open_source(str(clip))
    assert levels(source) == levels(source)


def test_closing_ends_the_iteration(clip):
    source = open_source(clip)
    for frame in source:
        if frame.index == 3:
            source.close()
    assert frame.index == 3


def test_a_part_keeps_numbers_and_times(clip):
    whole = {f.index: f for f in open_source(clip)}
    source = open_source(clip, start_s=0.5, end_s=0.8)
    part = list(source)
    assert [f.index for f in part] == [i for i in range(30) if 0.5 <= i / FPS < 0.8]
    assert source.info.frame_count == pytest.approx(len(part), abs=1)
    for frame in part:
        np.testing.assert_array_equal(frame.image_bgr, whole[frame.index].image_bgr)
        assert frame.timestamp_s == whole[frame.index].timestamp_s


def test_variable_rate_keeps_its_pace(tmp_path):
    pts = [0, 40, 50, 300, 301, 900, 2000]
    path = write(tmp_path / "vfr.mkv", count=len(pts), pts=pts, options={"bf": "0", "crf": "10"})
    frames = list(open_source(path))
    np.testing.assert_allclose([f.timestamp_s for f in frames], np.array(pts) / 1000, atol=1e-6)
    late = list(open_source(path, start_s=0.3))
    assert [f.index for f in late] == [3, 4, 5, 6]


def test_times_count_from_the_start_of_the_stream(tmp_path):
    path = write(tmp_path / "late.ts", start=5000)
    times = [f.timestamp_s for f in open_source(path)]
    assert times[0] == pytest.approx(0.0, abs=1e-3)
    assert times[10] == pytest.approx(10 / FPS, abs=2e-3)


@pytest.mark.parametrize("size", [(63, 47), (50, 35), (33, 64)])
def test_odd_sizes(tmp_path, size):
    path = write(tmp_path / "odd.mkv", count=3, size=size, codec="ffv1", options={})
    frame = next(iter(open_source(path)))
    assert frame.size_px == size
    assert frame.image_bgr[2, 2].min() > 240
    assert abs(int(frame.image_bgr[-3, -3, 0]) - level(0)) < 5


def corner(image):
    """Which corner is bright."""
    height, width = image.shape[:2]
    spots = {
        "top left": image[4, 4],
        "top right": image[4, width - 5],
        "bottom left": image[height - 5, 4],
        "bottom right": image[height - 5, width - 5],
    }
    return max(spots, key=lambda name: int(spots[name].min()))


@pytest.mark.parametrize(
    ("mark", "expected"), [(90, "bottom left"), (180, "bottom right"), (270, "top right"), (0, "top left")]
)
def test_the_rotation_mark_of_phones_is_obeyed(clip, tmp_path, mark, expected):
    path = tmp_path / "marked.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    path.write_bytes(_with_matrix(path.read_bytes(), mark))
    source = open_source(path)
    frame = next(iter(source))
    assert frame.size_px == source.info.size_px == ((48, 64) if mark in (90, 270) else (64, 48))
    assert corner(frame.image_bgr) == expected  # OpenCV's reader is the judge below
    capture = cv2.VideoCapture(str(path))
    _, image = capture.read()
    capture.release()
    assert corner(image) == expected


def _with_matrix(data, degrees):
    """An MP4 whose track is marked as turned counter-clockwise by so many degrees (FFmpeg's sense)."""
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    unit = b"".join(int(v).to_bytes(4, "big", signed=True) for v in (one, 0, 0, 0, one, 0, 0, 0, 1 << 30))
    values = (cos * one, -sin * one, 0, sin * one, cos * one, 0, 0, 0, 1 << 30)
    turned = b"".join(int(v).to_bytes(4, "big", signed=True) for v in values)
    at = data.index(unit, data.index(b"tkhd"))
    return data[:at] + turned + data[at + len(unit) :]


@pytest.mark.parametrize(
    ("rotate", "mirror", "expected"),
    [
        (0, True, "top right"),
        (90, False, "top right"),
        (90, True, "top left"),
        (180, False, "bottom right"),
        (270, False, "bottom left"),
    ],
)
def test_rotate_and_mirror(clip, rotate, mirror, expected):
    source = open_source(clip, rotate=rotate, mirror=mirror)
    frame = next(iter(source))
    assert corner(frame.image_bgr) == expected
    assert frame.size_px == source.info.size_px == source.camera.size_px


def test_damaged_frames_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "torn.mkv", count=40, codec="mjpeg", options={})
    data = bytearray(path.read_bytes())
    starts = [i for i in range(len(data) - 3) if data[i : i + 3] == b"\xff\xd8\xff"]
    with av.open(str(path)) as whole:  # how large a frame is depends on the encoder's threads
        sizes = [packet.size for packet in whole.demux(video=0)]
    for number in (7, 20):
        data[starts[number] : starts[number] + sizes[number]] = bytes(sizes[number])
    path.write_bytes(bytes(data))
    source = open_source(path)
    frames = list(source)
    assert source.skipped == 2
    assert [f.index for f in frames] == [i for i in range(40) if i not in (7, 20)]
    np.testing.assert_allclose(levels(frames), [level(f.index) for f in frames], atol=5)
    assert (np.diff([f.timestamp_s for f in frames]) > 0).all()


def test_a_file_cut_short_gives_what_is_there(tmp_path):
    path = write(tmp_path / "whole.mp4", count=60, container={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    frames = list(open_source(cut))
    assert 10 < len(frames) < 60
    whole = len(frames) - 3  # at the cut a frame may be there whose neighbours are not
    assert [f.index for f in frames[:whole]] == list(range(whole))
    assert (np.diff([f.index for f in frames]) > 0).all()
    np.testing.assert_allclose(levels(frames[:10]), [level(i) for i in range(10)], atol=5)


def make_empty(path):
    path.write_bytes(b"")


def make_text(path):
    path.write_text("This is a letter, not a video.\n" * 200)


def make_torn(path):
    """An MP4 whose index, which stands at the end, is cut off."""
    write(path, count=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def make_sound(path):
    with av.open(str(path), "w", format="wav") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        out.mux(stream.encode(frame))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (make_empty, "empty"),
        (make_text, "cannot read"),
        (make_torn, "cannot read"),
        (make_sound, "no video"),
        (lambda path: path.mkdir(), "no pictures"),
    ],
    ids=["missing", "empty", "text", "torn", "sound", "folder"],
)
def test_what_is_no_video_is_told_in_one_line(tmp_path, capfd, make, words):
    path = tmp_path / "näme.mp4"
    make(path)
    with pytest.raises(SourceError, match=words) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert capfd.readouterr() == ("", "")
