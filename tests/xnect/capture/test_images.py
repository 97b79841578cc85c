"""Folders of pictures: order, orientation, odd names, bad pictures."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.capture import open_source
from xnect.capture.images import natural_key
from xnect.errors import SourceError


def save(path, level, size=(40, 30), ending=".png", corner=False):
    image = np.full((size[1], size[0], 3), level, np.uint8)
    if corner:
        image[: size[1] // 3, : size[0] // 3] = 255
    good, data = cv2.imencode(ending, image)
    assert good
    path.write_bytes(data.tobytes())
    return path


def test_natural_order_non_ascii_names_and_times(tmp_path):
    folder = tmp_path / "Bilder ü 图片"
    folder.mkdir()
    for number in (10, 9, 1, 100):
        save(folder / f"bild {number}é.png", number)
    (folder / "notes.txt").write_text("no picture")
    (folder / "._bild 2.png").write_bytes(b"what macOS leaves behind")
    source = open_source(folder, fps=10)
    frames = list(source)
    assert [int(f.image_bgr[0, 0, 0]) for f in frames] == [1, 9, 10, 100]
    assert [f.timestamp_s for f in frames] == [0, 0.1, 0.2, 0.3]
    assert (source.info.name, source.info.frame_count, source.info.fps) == (folder.name, 4, 10)
    assert not source.info.live


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp", ".tif", ".ppm", ".gif"])
def test_formats(tmp_path, ending):
    save(tmp_path / f"a{ending}", 120, ending=ending)
    (frame,) = open_source(tmp_path / f"a{ending}")
    assert abs(int(frame.image_bgr[5, 5, 1]) - 120) < 15  # GIF has few colours


def test_grey_deep_and_transparent_pictures_become_bgr(tmp_path):
    for name, image in {
        "a_grey.png": np.full((20, 20), 90, np.uint8),
        "b_deep.png": np.full((20, 20, 3), 90 * 256, np.uint16),
        "c_clear.png": np.full((20, 20, 4), 90, np.uint8),
    }.items():
        (tmp_path / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    for frame in open_source(tmp_path):
        assert frame.image_bgr.shape == (20, 20, 3)
        assert abs(int(frame.image_bgr[3, 3, 2]) - 90) <= 1


def with_exif_orientation(jpeg, value):
    """A JPEG with an EXIF block that says how it is to be turned."""
    tiff = b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, value, 0, 0)
    exif = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.mark.parametrize(
    ("orientation", "spot", "size"), [(1, (3, 3), (40, 30)), (6, (3, 26), (30, 40)), (3, (26, 36), (40, 30))]
)
def test_exif_orientation(tmp_path, orientation, spot, size):
    path = save(tmp_path / "phone.jpg", 40, ending=".jpg", corner=True)
    path.write_bytes(with_exif_orientation(path.read_bytes(), orientation))
    source = open_source(path)
    (frame,) = source
    assert frame.size_px == source.info.size_px == size
    assert frame.image_bgr[spot].min() > 200


def test_bad_pictures_are_left_out_with_a_line(tmp_path, caplog, capfd):
    for number in range(6):
        save(tmp_path / f"{number}.jpg", 40 * number, ending=".jpg")
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "3.jpg").write_bytes((tmp_path / "3.jpg").read_bytes()[:200])
    (tmp_path / "4.jpg").write_text("hello")
    source = open_source(tmp_path)
    assert [f.index for f in source] == [0, 2, 5]
    assert source.skipped == 3
    assert sum("left out" in line for line in caplog.messages) == 3
    assert capfd.readouterr().err == ""  # neither OpenCV nor libjpeg speak for themselves


def test_noise_of_c_libraries_is_kept_off_standard_error(tmp_path, capfd):
    path = save(tmp_path / "a.png", 10, size=(80, 80))
    data = bytearray(path.read_bytes())
    data[60:70] = bytes(10)
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError):
        open_source(path)
    assert capfd.readouterr().err == ""


def test_sizes_may_differ(tmp_path, caplog):
    for number, size in enumerate([(40, 30), (30, 40), (20, 20)]):
        save(tmp_path / f"{number}.png", 9, size)
    assert [f.size_px for f in open_source(tmp_path)] == [(40, 30), (30, 40), (20, 20)]
    assert sum("differ in size" in line for line in caplog.messages) == 1


def test_part(tmp_path):
    for number in range(10):
        save(tmp_path / f"{number}.png", number)
    source = open_source(tmp_path, fps=10, start_s=0.3, end_s=0.6)
    assert [f.index for f in source] == [3, 4, 5]
    assert source.info.frame_count == 3


def test_no_pictures(tmp_path):
    with pytest.raises(SourceError, match="no pictures"):
        open_source(tmp_path)
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match="none of the 1 pictures"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match="no such file"):
        open_source(tmp_path / "missing.png")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=8, unique=True), st.text("abü_- ", max_size=5))
def test_natural_key_sorts_numbers_as_numbers(numbers, stem):
    names = [f"{stem}{number}.png" for number in numbers]
    assert sorted(names, key=natural_key) == [f"{stem}{number}.png" for number in sorted(numbers)]
