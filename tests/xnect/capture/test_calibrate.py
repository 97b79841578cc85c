"""Boards drawn by known cameras, with distortion, must give the lens back; bad views are refused."""

import functools
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.apps.main import main
from xnect.capture.board import Board, BoardFinder, draw_board, print_board
from xnect.capture.calibrating import LEAST_VIEWS, Views, solve, write_calibration
from xnect.capture.calibration import read_calibration
from xnect.errors import CalibrationError, ConfigError, OutputError
from xnect.geometry import project, unproject
from xnect.structures import Camera

SIZE = (720, 540)
LENS = Camera(
    np.array([[615.0, 0, 366], [0, 609.0, 263], [0, 0, 1]]), SIZE, np.array([-0.21, 0.07, 0.001, -0.0015, 0.0])
)
SQUARE_PX = 40
BOARDS = {"charuco": Board("charuco", (9, 6), 0.03, "4X4_50"), "chessboard": Board("chessboard", (9, 6), 0.03)}


@functools.cache
def rays():
    """The ray of every pixel, twice as fine."""
    fine = np.stack(np.meshgrid(np.arange(2 * SIZE[0]), np.arange(2 * SIZE[1])), -1) / 2 - 0.25
    xy = unproject(fine, LENS)
    return np.concatenate([xy, np.ones((*fine.shape[:2], 1))], -1).astype(np.float32)


def photograph(board, turn, shift, noise=2.0):
    """What the camera sees of the board: each ray meets the board's plane; the finer picture is averaged."""
    along = rays() @ turn.astype(np.float32)
    origin = -turn.T @ shift
    spot = origin + along * (-origin[2] / along[..., 2])[..., None]
    art = cv2.copyMakeBorder(draw_board(board, SQUARE_PX), *[SQUARE_PX] * 4, cv2.BORDER_CONSTANT, value=255)
    cell = SQUARE_PX / board.square_m
    place = (spot[..., :2] * cell + SQUARE_PX - 0.5).astype(np.float32)
    seen = cv2.remap(
        art, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=110
    )
    grey = cv2.resize(seen, SIZE, interpolation=cv2.INTER_AREA).astype(float)
    grey += np.random.default_rng(0).normal(0, noise, grey.shape)
    return cv2.cvtColor(np.clip(grey, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def stances(board, count=12, seed=0, tilt=0.55):
    """Where the board is held: all over the picture, tilted to all sides."""
    rng = np.random.default_rng(seed)
    across, down = np.array(board.squares) * board.square_m
    for k in range(count):
        angle = 2.4 * k
        turn = Rotation.from_rotvec([tilt * np.cos(angle), tilt * np.sin(angle), rng.uniform(-0.3, 0.3)]).as_matrix()
        whole = board.kind == "chessboard"  # must be seen from edge to edge
        far = rng.uniform(0.46, 0.52) if whole else rng.uniform(0.36, 0.5)
        aside = np.array([0.11, 0.08]) if whole else np.array([0.16, 0.11])
        middle = np.array([*(aside * [k % 3 - 1, k // 3 % 3 - 1]), far])
        yield turn, middle - turn @ np.array([across / 2, down / 2, 0])


@pytest.fixture(scope="module", params=["charuco", "chessboard"])
def album(request):
    board = BOARDS[request.param]
    return board, [photograph(board, *stance) for stance in stances(board)]


def gather(board, pictures):
    views, find = Views(board), BoardFinder(board)
    for picture in pictures:
        found = find(picture)
        if found is not None:
            views.add(*found, SIZE)
    return views


def test_a_known_lens_comes_back_within_half_a_percent(album, tmp_path):
    board, pictures = album
    lens = solve(gather(board, pictures))
    truth = LENS.matrix_px
    assert np.abs(lens.camera.matrix_px[[0, 1], [0, 1]] / truth[[0, 1], [0, 1]] - 1).max() < 0.005
    assert np.abs(lens.camera.matrix_px[:2, 2] - truth[:2, 2]).max() < 0.005 * SIZE[0]
    assert lens.error_px < 0.3
    y, x = np.mgrid[45:500:65, 45:700:65]
    flat = unproject(np.stack([x, y], -1).astype(float), LENS)
    again = project(np.concatenate([flat, np.ones((*flat.shape[:2], 1))], -1), lens.camera)
    assert np.linalg.norm(again - np.stack([x, y], -1), axis=-1).max() < 3  # distortion and all
    write_calibration(tmp_path / "lens.toml", lens)
    back = read_calibration(str(tmp_path / "lens.toml"))
    assert np.array_equal(back.matrix_px, lens.camera.matrix_px)
    assert np.array_equal(back.distortion, lens.camera.distortion)
    assert back.size_px == SIZE
    with pytest.raises(OutputError, match="exists"):
        write_calibration(tmp_path / "lens.toml", lens)


def test_corners_are_where_the_camera_puts_them(album):
    board, pictures = album
    for picture, (turn, shift) in list(zip(pictures, stances(board), strict=True))[:4]:
        found = BoardFinder(board)(picture)
        if found is None:
            continue
        points, numbers = found
        inner = board.points_m[numbers] + np.array([board.square_m, board.square_m, 0])
        truth = project(inner @ turn.T + shift, LENS)
        off = np.linalg.norm(points - truth, axis=1)
        if board.kind == "chessboard":  # may be numbered from the other end
            off = np.minimum(off, np.linalg.norm(points[::-1] - truth, axis=1))
        assert np.median(off) < 0.25


def corners_of(board, stance, camera=LENS):
    turn, shift = stance
    return project(board.points_m @ turn.T + shift, camera).astype(np.float32)


def test_too_few_and_too_similar_views_are_refused():
    board = BOARDS["charuco"]
    numbers = np.arange(board.corners)
    places = list(stances(board, 20))
    few = Views(board)
    for place in places[:5]:
        assert few.add(corners_of(board, place), numbers, SIZE)
    assert not few.add(corners_of(board, places[0]) + 1, numbers, SIZE)  # hardly moved: no new view
    with pytest.raises(CalibrationError, match="5 different views"):
        solve(few)
    flat = Views(board)
    for x in np.linspace(-0.2, 0.2, 4):
        for y in (-0.12, 0, 0.12):
            flat.add(corners_of(board, (np.eye(3), np.array([x - 0.13, y - 0.09, 0.6]))), numbers, SIZE)
    with pytest.raises(CalibrationError, match="too similar"):
        solve(flat)
    corner = Views(board)
    for turn, _ in stances(board, 40, tilt=0.9):
        corner.add(corners_of(board, (turn, np.array([-0.6, -0.45, 1.2]))), numbers, SIZE)
    assert len(corner) >= LEAST_VIEWS
    with pytest.raises(CalibrationError, match="% of the picture"):
        solve(corner)
    with pytest.raises(CalibrationError, match="one size"):
        few.add(corners_of(board, places[7]), numbers, (640, 480))
    rng, wild = np.random.default_rng(0), Views(board)
    for place in places:
        wild.add(corners_of(board, place) + rng.normal(0, 12, (board.corners, 2)).astype(np.float32), numbers, SIZE)
    with pytest.raises(CalibrationError):
        solve(wild)


def test_the_advice_leads_to_the_whole_picture():
    board = BOARDS["charuco"]
    views = Views(board)
    assert "all of it is seen" in views.advice()
    views.add(np.array([[30.0, 30], [150, 30], [30, 120], [150, 120]], np.float32), np.array([0, 7, 24, 31]), SIZE)
    assert "top, left of the middle" in views.advice()


def test_boards_that_cannot_work_are_refused():
    for bad in (
        {"squares": (2, 5)}, {"square_m": 5.0}, {"kind": "chessboard", "squares": (7, 5)},
        {"squares": (20, 20)}, {"dictionary": "9X9"},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            Board(**bad)


def test_printed_boards_have_their_true_size(tmp_path):
    board = Board("charuco", (7, 5), 0.035)
    print_board(tmp_path / "b.png", board)
    data = (tmp_path / "b.png").read_bytes()
    place = data.index(b"pHYs")
    across, down, unit = struct.unpack(">IIB", data[place + 4 : place + 13])
    assert struct.unpack(">I", data[place + 13 : place + 17])[0] == zlib.crc32(data[place : place + 13])
    assert (across, unit) == (down, 1)
    page = cv2.imread(str(tmp_path / "b.png"))
    assert page.shape[1] / across == pytest.approx(0.297, abs=1e-3)
    points, numbers = BoardFinder(board)(page)
    assert len(numbers) == board.corners
    row = points[np.argsort(numbers)][:6]
    assert np.diff(row[:, 0]) / across == pytest.approx(0.035, rel=2e-3)
    print_board(tmp_path / "b.pdf", board)
    text = (tmp_path / "b.pdf").read_bytes()
    width, _, _, height = (float(v) for v in re.search(rb"q ([\d.]+) (0) (0) ([\d.]+)", text).groups())
    assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx((245, 175), abs=0.01)
    with pytest.raises(OutputError, match="exists"):
        print_board(tmp_path / "b.pdf", board)
    with pytest.raises(ConfigError, match="does not fit"):
        print_board(tmp_path / "c.pdf", Board("charuco", (9, 6), 0.06))
    with pytest.raises(ConfigError, match="pdf"):
        print_board(tmp_path / "c.jpg", board)


def test_the_command(album, tmp_path, monkeypatch, capsys):
    board, pictures = album
    monkeypatch.chdir(tmp_path)
    (tmp_path / "views").mkdir()
    for k, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / "views" / f"{k}.png"), picture)
    words = ["calibrate", "--images", "views", "--board", board.kind, "--squares", "9x6", "--square-mm", "30"]
    assert main([*words, "--output", "cam.toml"]) == 0
    text = capsys.readouterr()
    assert text.out == "cam.toml\n"
    assert "reprojection error 0." in text.err
    assert "view 8: " in text.err
    camera = read_calibration("cam.toml")
    assert camera.matrix_px[0, 0] == pytest.approx(615, rel=0.005)
    assert main([*words, "--output", "cam.toml"]) == 1
    assert "exists" in capsys.readouterr().err


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    cv2.imwrite(str(tmp_path / "none" / "a.png"), np.full((240, 320, 3), 99, np.uint8))
    for words, code, told in (
        (["--images", "none"], 1, "no charuco of 7x5 squares was seen"),
        (["--images", "absent"], 2, "no such folder"),
        (["--images", "none", "--views", "3"], 2, "at least 8"),
        (["--images", "none", "--output", "a.yml"], 2, ".toml"),
        (["--print-board", "b.pdf", "--square-mm", "80"], 2, "does not fit"),
    ):
        assert main(["calibrate", *words]) == code
        text = capsys.readouterr().err
        assert told in text
        assert text.count("\n") == 1
    assert not list(tmp_path.glob("*.toml"))
    assert main(["calibrate", "--print-board", "b.pdf"]) == 0
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_a_video_is_looked_through_now_and_then(album, tmp_path, monkeypatch, capsys):
    board, pictures = album
    if board.kind == "chessboard":
        pytest.skip("once is enough")
    import av

    monkeypatch.chdir(tmp_path)
    with av.open("film.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=2, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode())
    words = ["calibrate", "--video", "film.mp4", "--squares", "9x6", "--square-mm", "30", "--no-display"]
    assert main(words) == 0
    assert read_calibration("camera.toml").matrix_px[0, 0] == pytest.approx(615, rel=0.005)
