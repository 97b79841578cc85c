"""Printed boards for calibration: what they look like, printing at true scale, finding them in pictures."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from xnect.errors import ConfigError, OutputError
from xnect.structures import F32, U8

#: Paper sizes, portrait [mm].
PAPERS_MM = {"a4": (210.0, 297.0), "a3": (297.0, 420.0), "letter": (215.9, 279.4)}
_DPI = 300
_MARGIN_MM = 8.0
#: Pictures are looked through at most this large; corners are refined in the whole picture [px].
_SEARCH_PX = 1600


@dataclass(frozen=True, slots=True)
class Board:
    """A chessboard, or a ChArUco board (a chessboard with markers, which may be partly hidden).

    Attributes:
        kind: "chessboard" or "charuco".
        squares: Squares across and down.
        square_m: Side of a square [m].
        dictionary: Markers of a ChArUco board, OpenCV's name without DICT_.
    """

    kind: str = "charuco"
    squares: tuple[int, int] = (7, 5)
    square_m: float = 0.035
    dictionary: str = "4X4_50"

    def __post_init__(self) -> None:
        across, down = self.squares
        if not (3 <= across <= 40 and 3 <= down <= 40):
            raise ConfigError(f"board of {across}x{down} squares: 3 to 40 each way expected")
        if not 1e-3 <= self.square_m <= 1:
            raise ConfigError(f"squares of {1e3 * self.square_m:g} mm: 1 to 1000 expected")
        if self.kind == "charuco":
            _markers(self)
        elif (across + down) % 2 == 0:
            raise ConfigError(
                f"a chessboard of {across}x{down} squares looks the same upside down: one number even, one odd expected"
            )

    @property
    def corners(self) -> int:
        """How many inner corners it has."""
        return (self.squares[0] - 1) * (self.squares[1] - 1)

    @property
    def points_m(self) -> F32:
        """Inner corners on the board, float32 (corners, 3), z = 0 [m]; row by row."""
        across, down = self.squares[0] - 1, self.squares[1] - 1
        y, x = np.mgrid[:down, :across].reshape(2, -1)
        return np.stack([x, y, np.zeros_like(x)], 1).astype(np.float32) * np.float32(self.square_m)


def _markers(board: Board) -> Any:
    """OpenCV's own description of a ChArUco board; raises ConfigError where there are too few markers."""
    name = f"DICT_{board.dictionary.upper().removeprefix('DICT_')}"
    number = getattr(cv2.aruco, name, None)
    if number is None:
        raise ConfigError(f"no markers {board.dictionary!r}: 4X4_50, 5X5_100, 6X6_250, APRILTAG_36h11 and the like")
    dictionary = cv2.aruco.getPredefinedDictionary(number)
    have, needed = len(dictionary.bytesList), board.squares[0] * board.squares[1] // 2
    if have < needed:
        raise ConfigError(f"markers {board.dictionary} are {have}, the board needs {needed}; take a larger set")
    return cv2.aruco.CharucoBoard(board.squares, board.square_m, 0.75 * board.square_m, dictionary)


def draw_board(board: Board, square_px: int) -> U8:
    """The board without a margin, uint8 (H, W), squares of so many pixels."""
    across, down = board.squares
    if board.kind == "charuco":
        image = _markers(board).generateImage((across * square_px, down * square_px), marginSize=0, borderBits=1)
        return np.asarray(image, np.uint8)
    y, x = np.mgrid[: down * square_px, : across * square_px] // square_px
    return np.where((x + y) % 2 == 0, 0, 255).astype(np.uint8)


def print_board(path: Path, board: Board, paper: str = "a4", overwrite: bool = False) -> None:
    """A page (PDF, or PNG of 300 dots an inch that knows its size) with the board in true size.

    Raises:
        ConfigError: The board does not fit on the paper, or the file is neither PDF nor PNG.
        OutputError: The file is there, or cannot be written.
    """
    if path.suffix.lower() not in (".pdf", ".png"):
        raise ConfigError(f"{path}: .pdf or .png expected")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")
    page_mm = PAPERS_MM[paper]
    wide_mm, high_mm = (1e3 * board.square_m * n for n in board.squares)
    if wide_mm > high_mm:
        page_mm = page_mm[::-1]
    if wide_mm > page_mm[0] - 2 * _MARGIN_MM or high_mm > page_mm[1] - 2 * _MARGIN_MM:
        raise ConfigError(
            f"a board of {wide_mm:.0f} x {high_mm:.0f} mm does not fit on {paper.upper()}; take smaller squares or --paper a3"
        )
    art = draw_board(board, max(round(1e3 * board.square_m / 25.4 * _DPI), 8))
    write_whole(path, (_pdf if path.suffix.lower() == ".pdf" else _png)(art, page_mm, (wide_mm, high_mm)))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all; raises OutputError."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _pdf(art: U8, page_mm: tuple[float, float], size_mm: tuple[float, float]) -> bytes:
    """One page with a grey picture in the middle; lengths of PDF are 1/72 inch."""
    (page_w, page_h), (width, height) = ([v / 25.4 * 72 for v in pair] for pair in (page_mm, size_mm))
    place = f"q {width:.4f} 0 0 {height:.4f} {(page_w - width) / 2:.4f} {(page_h - height) / 2:.4f} cm /B Do Q".encode()
    pixels = zlib.compress(art.tobytes(), 9)
    picture = (
        f"<</Type/XObject/Subtype/Image/Width {art.shape[1]}/Height {art.shape[0]}/ColorSpace/DeviceGray"
        f"/BitsPerComponent 8/Filter/FlateDecode/Length {len(pixels)}>>"
    )
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {page_w:.4f} {page_h:.4f}]"
        "/Resources<</XObject<</B 5 0 R>>>>/Contents 4 0 R>>".encode(),
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(place), place),
        picture.encode() + b"\nstream\n" + pixels + b"\nendstream",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    tail = f"xref\n0 {len(parts) + 1}\n0000000000 65535 f \n{table}trailer\n<</Size {len(parts) + 1}/Root 1 0 R>>\n"
    return out + f"{tail}startxref\n{len(out)}\n%%EOF\n".encode()


def _png(art: U8, page_mm: tuple[float, float], size_mm: tuple[float, float]) -> bytes:
    """The page as PNG whose density fits, so that printing at 100 % gives the true size."""
    density = art.shape[1] / size_mm[0]  # dots a mm
    width, height = (round(v * density) for v in page_mm)
    page = np.full((height, width), 255, np.uint8)
    top, left = (height - art.shape[0]) // 2, (width - art.shape[1]) // 2
    page[top : top + art.shape[0], left : left + art.shape[1]] = art
    data = cv2.imencode(".png", page)[1].tobytes()
    body = b"pHYs" + struct.pack(">IIB", round(1e3 * density), round(1e3 * density), 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]  # right after the header, which takes 33 bytes


class BoardFinder:
    """Finds one kind of board in pictures."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._charuco = cv2.aruco.CharucoDetector(_markers(board)) if board.kind == "charuco" else None

    def __call__(self, image_bgr: U8) -> tuple[F32, np.ndarray] | None:
        """Corners float32 (N, 2) [px] with their numbers int (N,), None where there is no board (or too little of it)."""
        grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
        scale = min(1.0, _SEARCH_PX / max(grey.shape))
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        search = np.asarray(small, np.uint8)
        found = self._markers(search) if self._charuco is not None else self._chess(search)
        if found is None:
            return None
        points = ((found[0] + 0.5) / scale - 0.5).astype(np.float32).reshape(-1, 1, 2)
        reach = self._reach(points, found[1], grey.shape)
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 0.002)
        refined = cv2.cornerSubPix(grey, points, (reach, reach), (-1, -1), stop)
        return np.asarray(refined, np.float32).reshape(-1, 2), found[1]

    def _reach(self, points: np.ndarray, numbers: np.ndarray, shape: tuple[int, ...]) -> int:
        """Half the window of refinement: well inside a square, so that no marker or other corner is in it [px]."""
        flat, across = points.reshape(-1, 2), self._board.squares[0] - 1
        near = np.abs(numbers[:, None] - numbers[None])
        same_row = numbers[:, None] // across == numbers[None] // across
        pairs = ((near == 1) & same_row) | (near == across)
        apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)[pairs]
        side = float(apart.min()) if len(apart) else max(shape) / 50
        return int(np.clip(0.12 * side if self._charuco is not None else 0.3 * side, 2, 15))

    def _markers(self, grey: U8) -> tuple[np.ndarray, np.ndarray] | None:
        assert self._charuco is not None
        corners, numbers, _, _ = self._charuco.detectBoard(grey)
        if numbers is None or len(numbers) < 8:
            return None
        numbers = np.asarray(numbers).reshape(-1)
        across = self._board.squares[0] - 1
        if len(np.unique(numbers // across)) < 2 or len(np.unique(numbers % across)) < 2:
            return None  # all on one line: tells nothing
        return np.asarray(corners, np.float32).reshape(-1, 2), numbers

    def _chess(self, grey: U8) -> tuple[np.ndarray, np.ndarray] | None:
        size = (self._board.squares[0] - 1, self._board.squares[1] - 1)
        flags = cv2.CALIB_CB_FAST_CHECK + cv2.CALIB_CB_ADAPTIVE_THRESH + cv2.CALIB_CB_NORMALIZE_IMAGE
        there, corners = cv2.findChessboardCorners(grey, size, None, flags)
        if not there:
            return None
        return np.asarray(corners, np.float32).reshape(-1, 2), np.arange(self._board.corners)
