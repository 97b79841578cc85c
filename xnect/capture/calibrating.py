"""From views of a printed board to the lens of a camera: which views count, what is still missing, the fit, the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from xnect.capture.board import Board, write_whole
from xnect.errors import CalibrationError, OutputError
from xnect.structures import F32, F64, Bool, Camera

LEAST_VIEWS = 8
#: A view is new if its corners moved on average by this share of the board's size.
LEAST_MOVE = 0.12
#: The picture is looked at in so many fields, across and down.
FIELDS = (4, 3)
#: Shares below which the views are refused: of the picture covered; spread of the board's tilt [degrees].
LEAST_COVERED, LEAST_TILT_DEG = 0.5, 8.0
#: Worst error that a lens of our model leaves [px of a picture 1000 px wide].
WORST_ERROR = 2.0


@dataclass(eq=False)
class Views:
    """Views of one board, in pictures of one size.

    Attributes:
        board: The board.
        size_px: Width and height of the pictures, (0, 0) before the first view [px].
        points_px: Corners of each view, float32 (N, 2).
        numbers: Which corners these are, int (N,).
    """

    board: Board
    size_px: tuple[int, int] = (0, 0)
    points_px: list[F32] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.points_px)

    def add(self, points_px: F32, numbers: np.ndarray, size_px: tuple[int, int]) -> bool:
        """Take a view that differs from all others; whether it was taken. Raises CalibrationError (another size)."""
        if self.size_px not in ((0, 0), size_px):
            raise CalibrationError(
                f"pictures of {self.size_px[0]}x{self.size_px[1]} and of {size_px[0]}x{size_px[1]}: one size expected"
            )
        size = max(float(np.ptp(points_px, axis=0).max()), 1.0)
        for others, known in zip(self.points_px, self.numbers, strict=True):
            shared, mine, theirs = np.intersect1d(numbers, known, return_indices=True)
            if len(shared) >= 4:
                moved = np.linalg.norm(points_px[mine] - others[theirs], axis=1).mean()
                if moved < LEAST_MOVE * size:
                    return False
        self.size_px = size_px
        self.points_px.append(points_px)
        self.numbers.append(numbers)
        return True

    def covered(self) -> Bool:
        """Which fields of the picture had corners, bool (3, 4)."""
        out = np.zeros(FIELDS[::-1], bool)
        for points in self.points_px:
            cells = (points / np.array(self.size_px) * FIELDS).astype(int)
            x, y = np.clip(cells, 0, np.array(FIELDS) - 1).T
            out[y, x] = True
        return out

    def advice(self) -> str:
        """What to show next, in a few words; empty where nothing is missing."""
        if not len(self):
            return "hold the board so that all of it is seen"
        covered = self.covered()
        if covered.mean() < LEAST_COVERED or (len(self) >= LEAST_VIEWS // 2 and covered.mean() < 0.8):
            rows, columns = ("top", "middle", "bottom"), ("left", "left of the middle", "right of the middle", "right")
            y, x = np.argwhere(~covered)[0]
            return f"move the board to the {rows[y]}, {columns[x]}"
        if len(self) < LEAST_VIEWS:
            return f"tilt the board to another side ({LEAST_VIEWS - len(self)} more views)"
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """A camera found by calibration.

    Attributes:
        camera: The camera.
        error_px: Root mean square distance of the corners from where the lens puts them [px].
        worst_px: The same of the worst view [px].
        focal_px_sd: Standard deviation of the focal length [px].
        views: How many views.
        covered: Share of the picture's fields that had corners.
        tilt_deg: Spread of the board's tilt against the camera [degrees].
    """

    camera: Camera
    error_px: float
    worst_px: float
    focal_px_sd: float
    views: int
    covered: float
    tilt_deg: float

    @property
    def fov_deg(self) -> float:
        """Field of view along the longer side [degrees]."""
        width, height = self.camera.size_px
        focal = self.camera.matrix_px[0, 0] if width >= height else self.camera.matrix_px[1, 1]
        return math.degrees(2 * math.atan(max(width, height) / 2 / focal))


def solve(views: Views) -> Lens:
    """The lens that explains the views: focal lengths, centre and five coefficients of distortion.

    Raises:
        CalibrationError: Too few views, views too similar, or a result that cannot be; one line says what to do.
    """
    if len(views) < LEAST_VIEWS:
        raise CalibrationError(
            f"{len(views)} different views of the board, at least {LEAST_VIEWS} are needed: "
            "show it near and far, in every corner of the picture, tilted to all sides"
        )
    covered = float(views.covered().mean())
    if covered < LEAST_COVERED:
        raise CalibrationError(
            f"the board was seen in {100 * covered:.0f} % of the picture only, at least {100 * LEAST_COVERED:.0f} % are "
            f"needed: {views.advice()}"
        )
    grid = views.board.points_m
    try:
        error, matrix, distortion, turns, _, spread, _, each = cv2.calibrateCameraExtended(
            [grid[n] for n in views.numbers], [p.reshape(-1, 1, 2) for p in views.points_px], views.size_px,
            np.eye(3), np.zeros(5),
        )  # fmt: skip
    except cv2.error as problem:
        raise CalibrationError("the views do not fit one lens; keep the board flat and hold it still") from problem
    tilt = _tilt_spread(turns)
    if tilt < LEAST_TILT_DEG:
        raise CalibrationError(
            f"the views are too similar: the board's tilt changed by {tilt:.0f} degrees only; tilt it to all sides by 20 to 45"
        )
    given = np.asarray(distortion, np.float64).reshape(-1)[:5]
    camera = Camera(np.array(matrix, np.float64), views.size_px, np.pad(given, (0, 5 - len(given))))
    focal_sd = float(np.asarray(spread).reshape(-1)[0])
    lens = Lens(camera, float(error), float(np.asarray(each).max()), focal_sd, len(views), covered, tilt)
    _check(lens)
    return lens


def _tilt_spread(turns: Sequence[Any]) -> float:
    """How far the normals of the board lie from their mean, root mean square [degrees]."""
    normals = np.array([cv2.Rodrigues(t)[0][:, 2] for t in turns])
    mean = normals.mean(0)
    cosine = normals @ (mean / max(float(np.linalg.norm(mean)), 1e-9))
    return math.degrees(float(np.sqrt(np.mean(np.arccos(np.clip(cosine, -1, 1)) ** 2))))


def _check(lens: Lens) -> None:
    camera, width = lens.camera, max(lens.camera.size_px)
    centre, size = camera.matrix_px[:2, 2], np.array(camera.size_px)
    good = np.isfinite(camera.matrix_px).all() and np.isfinite(camera.distortion).all() and math.isfinite(lens.error_px)
    if not (good and 5 < lens.fov_deg < 160 and (centre > 0.2 * size).all() and (centre < 0.8 * size).all()):
        raise CalibrationError(
            "the views give a lens that cannot be; keep the board flat, and check its size in squares"
        )
    if lens.error_px > WORST_ERROR * width / 1000:
        raise CalibrationError(
            f"corners lie {lens.error_px:.1f} px off on average: keep the board flat and still, or is this a fisheye lens?"
        )
    if lens.focal_px_sd > 0.02 * camera.matrix_px[0, 0]:
        share = 100 * lens.focal_px_sd / float(camera.matrix_px[0, 0])
        raise CalibrationError(
            f"the focal length is known to {share:.0f} % only: more views, nearer and tilted, are needed"
        )


def write_calibration(path: Path, lens: Lens, overwrite: bool = False) -> None:
    """Write the TOML that ``--calibration`` reads, whole or not at all.

    Raises:
        OutputError: It is there and may not be replaced, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")
    camera: F64 = lens.camera.matrix_px
    rows = ",\n".join(f"  [{', '.join(repr(float(v)) for v in row)}]" for row in camera)
    text = (
        f"# Made by xnect calibrate: {lens.views} views, error {lens.error_px:.3f} px, "
        f"field of view {lens.fov_deg:.1f} degrees\n"
        f"camera_matrix = [\n{rows},\n]\n"
        f"distortion_coefficients = [{', '.join(repr(float(v)) for v in lens.camera.distortion)}]\n"
        f"width = {lens.camera.size_px[0]}\nheight = {lens.camera.size_px[1]}\n"
    )
    write_whole(path, text.encode())
