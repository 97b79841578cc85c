"""Calibration files of several makers, and cameras that follow turn, flip and size."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.capture import open_source
from xnect.capture.calibration import camera_of_size, mirrored, read_calibration, rotated
from xnect.capture.source import ReadOptions
from xnect.config import CameraConfig
from xnect.errors import CalibrationError
from xnect.geometry import project
from xnect.structures import Camera

K = np.array([[900.0, 0, 650], [0, 910.0, 350], [0, 0, 1]])
D = np.array([0.1, -0.2, 0.003, -0.002, 0.05])
SHARED = Path(__file__).parents[4] / "shared" / "videos"


def opencv_file(path, size=True, distortion_key="distortion_coefficients", matrix_key="camera_matrix"):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    if size:
        storage.write("image_width", 1280)
        storage.write("image_height", 720)
    storage.write(matrix_key, K)
    storage.write(distortion_key, D.reshape(1, 5))
    storage.release()
    return path


def check(camera, size=(1280, 720)):
    np.testing.assert_allclose(camera.matrix_px, K, rtol=1e-9)
    np.testing.assert_allclose(camera.distortion, D, rtol=1e-9)
    assert camera.size_px == size
    assert not camera.estimated


@pytest.mark.parametrize("ending", [".yml", ".yaml", ".xml", ".json"])
def test_files_of_opencv(tmp_path, ending):
    check(read_calibration(str(opencv_file(tmp_path / f"cam{ending}"))))


def test_other_names_of_keys_and_no_size(tmp_path):
    path = opencv_file(tmp_path / "a.yml", size=False, matrix_key="K", distortion_key="dist")
    check(read_calibration(str(path)), (0, 0))
    check(camera_of_size(CameraConfig(calibration=str(path)), (1280, 720)))


def test_camera_info_of_ros(tmp_path):
    path = tmp_path / "ros.yaml"
    numbers = ", ".join(str(v) for v in K.reshape(-1))
    path.write_text(
        "image_width: 1280\nimage_height: 720\ncamera_name: head\n"
        f"camera_matrix:\n  rows: 3\n  cols: 3\n  data: [{numbers}]\n"
        "distortion_model: plumb_bob\n"
        f"distortion_coefficients:\n  rows: 1\n  cols: 5\n  data: [{', '.join(str(v) for v in D)}]\n"
    )
    check(read_calibration(str(path)))


def test_toml_of_caliscope_and_of_pose2sim(tmp_path):
    body = f"matrix = {K.tolist()}\ndistortions = {D.tolist()}\n"
    caliscope = tmp_path / "caliscope.toml"
    caliscope.write_text(
        "".join(f"[cameras.{i}]\ncam_id = {i}\nsize = [1280, 720]\n{body}" for i in range(2))
        + "[charuco]\ncolumns = 4\n"
    )
    check(read_calibration(f"{caliscope}:1"))
    pose2sim = tmp_path / "Calib.toml"
    pose2sim.write_text(f'[cam_01]\nname = "cam_01"\nsize = [1280.0, 720.0]\n{body}[metadata]\nadjusted = false\n')
    check(read_calibration(str(pose2sim)))
    with pytest.raises(CalibrationError, match="several cameras"):
        read_calibration(str(caliscope))
    with pytest.raises(CalibrationError, match=r"no camera '7': 0, 1"):
        read_calibration(f"{caliscope}:7")


def own_file(path):
    cameras = {
        name: {"file": f"desk_{name}.mp4", "width": 1280, "height": 720, "K": (K + i).tolist(), "dist": D.tolist()}
        for i, name in enumerate(["cam2", "cam3"])
    }
    for i, camera in enumerate(cameras.values()):
        camera["K"] = [[900.0 + i, 0, 650], [0, 910.0, 350], [0, 0, 1]]
    path.write_text(json.dumps({"units": "metre", "cameras": cameras}))
    return str(path)


def test_the_camera_of_several_is_chosen_by_the_video(tmp_path):
    path = own_file(tmp_path / "desk.calib.json")
    assert read_calibration(path, "desk_cam3.mp4").matrix_px[0, 0] == 901
    assert read_calibration(path, "another take, CAM2, cut.mp4").matrix_px[0, 0] == 900
    assert read_calibration(path + ":cam3", "desk_cam2.mp4").matrix_px[0, 0] == 901
    with pytest.raises(CalibrationError, match="say which"):
        read_calibration(path, "garden.mp4")


@pytest.mark.shared
def test_the_shared_files_agree_with_those_they_were_made_from():
    if not SHARED.exists():
        pytest.skip("no shared clips beside the checkout")
    ours = camera_of_size(
        CameraConfig(calibration=str(SHARED / "desk_half_body.calib.json")), (960, 540), "desk_half_body_cam3.mp4"
    )
    theirs = camera_of_size(CameraConfig(calibration=f"{SHARED / 'desk_half_body.calib.original.toml'}:3"), (960, 540))
    np.testing.assert_allclose(ours.matrix_px, theirs.matrix_px, atol=0.2)
    np.testing.assert_allclose(ours.distortion, theirs.distortion, atol=1e-6)


def test_it_is_scaled_to_the_source(tmp_path):
    path = own_file(tmp_path / "a.json")
    camera = camera_of_size(CameraConfig(calibration=path + ":cam2"), (640, 360))
    assert camera.size_px == (640, 360)
    assert camera.matrix_px[0, 0] == 450
    assert camera.matrix_px[0, 2] == pytest.approx(650.5 / 2 - 0.5)  # pixel centres lie at integers
    with pytest.raises(CalibrationError, match="1280x720 pictures, the source has 640x480"):
        camera_of_size(CameraConfig(calibration=path + ":cam2"), (640, 480))


def test_a_calibration_of_the_turned_picture_is_not_turned_again(tmp_path):
    path = own_file(tmp_path / "a.json") + ":cam2"
    landscape = open_source("synthetic:640x360", rotate=90, camera=CameraConfig(calibration=path)).camera
    assert landscape.size_px == (360, 640)
    assert landscape.matrix_px[0, 0] == pytest.approx(455)  # fy of the landscape picture
    portrait = open_source("synthetic:360x640", rotate=90, camera=CameraConfig(calibration=path)).camera
    assert portrait.size_px == (640, 360)
    assert portrait.matrix_px[0, 0] == pytest.approx(450)


def test_what_wins_and_what_is_guessed():
    known = open_source("synthetic:640x360", camera=CameraConfig(fx_px=500.0, fov_deg=90)).camera
    assert known.matrix_px[0, 0] == 500
    assert not known.estimated
    angle = open_source("synthetic:640x360", camera=CameraConfig(fov_deg=90)).camera
    assert angle.matrix_px[0, 0] == pytest.approx(320)
    assert not angle.estimated
    guess = open_source("synthetic:360x640").camera
    assert guess.matrix_px[0, 0] == pytest.approx(320 / np.tan(np.pi / 6))
    assert guess.estimated


POINTS = st.lists(st.tuples(st.floats(-0.5, 0.5), st.floats(-0.4, 0.4), st.floats(1, 5)), min_size=1, max_size=5).map(
    np.array
)


@settings(max_examples=40, deadline=None)
@given(POINTS, st.sampled_from([0, 90, 180, 270]), st.booleans())
def test_turned_and_flipped_cameras_see_turned_and_flipped_pictures(points, degrees, mirror):
    """Turning the scene about the axis and projecting gives the pixel that the turned picture has there."""
    camera = Camera(K.copy(), (1280, 720), D.copy())
    x, y = project(points, camera).T
    width, height = camera.size_px
    for _ in range(degrees // 90):
        x, y, width, height = height - 1 - y, x, height, width
        points = points[:, [1, 0, 2]] * [-1, 1, 1]
    other = rotated(camera, degrees)
    if mirror:
        x, points, other = width - 1 - x, points * [-1, 1, 1], mirrored(other)
    np.testing.assert_allclose(project(points, other), np.stack([x, y], 1), atol=1e-6)
    assert other.size_px == (width, height)


def test_turn_and_flip_of_pictures_follow_the_same_rule():
    image = np.zeros((6, 9, 3), np.uint8)
    image[1, 2] = 255
    turned = ReadOptions(rotate=90, mirror=True).apply(image)
    assert tuple(np.argwhere(turned[..., 0])[0]) == (2, 6 - 1 - (6 - 1 - 1))


BAD = {
    "missing": (None, "no such calibration file"),
    "empty": ("", "cannot read|no camera matrix"),
    "text": ("Dear reader,\n\tthis is a letter: no numbers [in it\n", "cannot read|no camera matrix"),
    "binary": (b"\xff\xfe\x00\x01" * 20, "cannot read"),
    "json": ('{"K": [[1, 0', "cannot read"),
    "list": ("[1, 2, 3]", "cannot read|no camera matrix"),
    "no matrix": ('{"width": 3}', "no camera matrix"),
    "wrong size": ('{"K": [[1, 2], [3, 4]]}', "3x3"),
    "words": ('{"K": "a matrix"}', "not a list of numbers"),
    "not finite": ('{"K": [[1e999, 0, 5], [0, 1, 5], [0, 0, 1]]}', "not finite"),
    "negative": ('{"K": [[-900, 0, 5], [0, 900, 5], [0, 0, 1]]}', "positive"),
    "transposed": ('{"K": [[900, 0, 0], [0, 900, 0], [640, 360, 1]]}', "not a camera matrix"),
    "centre": ('{"K": [[900, 0, 5000], [0, 900, 5], [0, 0, 1]], "width": 640, "height": 360}', "outside"),
    "size": ('{"K": [[900, 0, 320], [0, 900, 180], [0, 0, 1]], "size": [640]}', "two positive"),
    "fisheye": ('{"K": [[900, 0, 320], [0, 900, 180], [0, 0, 1]], "distortion_model": "equidistant"}', "fisheye"),
    "rational": (
        '{"K": [[900, 0, 320], [0, 900, 180], [0, 0, 1]], "D": [0, 0, 0, 0, 0, 0.5, 0.1, 0.2]}',
        "8 coefficients",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_in_one_line(tmp_path, capfd, name):
    content, words = BAD[name]
    path = tmp_path / "cam.yml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CalibrationError, match=words) as caught:
        read_calibration(str(path))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".yml", ".json", ".xml", ".toml"]))
def test_whatever_stands_in_the_file_only_our_error_comes_out(tmp_path_factory, data, ending):
    path = tmp_path_factory.getbasetemp() / f"fuzz{ending}"
    path.write_bytes(data)
    with pytest.raises(CalibrationError):
        read_calibration(str(path))
