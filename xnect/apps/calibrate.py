"""``xnect calibrate``: the lens of a camera from views of a printed board, as a file that every command takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xnect.apps.options import Parser, checked, dashed, number, size, whole
from xnect.errors import ConfigError, OutputError, XnectError

#: Views enough for a camera; the program then ends by itself.
VIEWS = 20
#: Of a video or camera a picture is looked at so often [s].
_EVERY_S = 0.4


def build_parser() -> Parser:
    """The parser of ``xnect calibrate``."""
    parser = Parser(
        prog="xnect calibrate",
        description="Find the lens of a camera from views of a printed board.",
        epilog="First print a board (--print-board board.pdf) at 100 %, glue it onto something flat, measure a square.",
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--camera", metavar="N|NAME", help="webcam by number or (part of its) name")
    what.add_argument("--images", metavar="DIR", help="folder of pictures")
    what.add_argument("--video", metavar="FILE", help="video file or address")
    what.add_argument("--print-board", type=Path, metavar="FILE", help="make a board to print, .pdf or .png")
    add = parser.add_argument
    add("--board", choices=("charuco", "chessboard"), default="charuco", help="kind of board (charuco)")
    add(
        "--squares",
        type=checked(size),
        default=(7, 5),
        metavar="AxB",
        help="squares (not corners) across and down (7x5)",
    )
    add("--square-mm", type=checked(number), default=35.0, metavar="MM", help="side of a square as measured (35)")
    add("--markers", default="4X4_50", metavar="NAME", help="markers of a ChArUco board (4X4_50)")
    add("--paper", choices=("a4", "a3", "letter"), default="a4", help="paper of --print-board (a4)")
    add("--views", type=checked(whole), default=VIEWS, metavar="N", help=f"views to gather ({VIEWS})")
    add("--camera-resolution", type=checked(size), metavar="WxH", help="size asked of the camera")
    add("--output", type=Path, default=Path("camera.toml"), metavar="FILE.toml", help="where to write it (camera.toml)")
    add("--overwrite", action="store_true", help="replace the file if it is there")
    add("--no-display", action="store_true", help="no window; the default without a display")
    return parser


def main(argv: Sequence[str]) -> int:
    """Calibrate or print a board. Raises CalibrationError, SourceError, ConfigError, OutputError."""
    options = build_parser().parse_args(dashed(argv))
    from xnect.capture.board import Board, print_board
    from xnect.capture.calibrating import LEAST_VIEWS, solve, write_calibration

    board = Board(options.board, options.squares, options.square_mm / 1000, options.markers)
    if options.print_board is not None:
        print_board(options.print_board, board, options.paper, options.overwrite)
        print(options.print_board)
        print(
            "print at 100 % (no fitting to the page), then measure a square and give it as --square-mm", file=sys.stderr
        )
        return 0
    if options.views < LEAST_VIEWS:
        raise ConfigError(f"--views {options.views}: at least {LEAST_VIEWS} expected")
    if options.output.suffix.lower() != ".toml":
        raise ConfigError(f"--output {options.output}: a name ending in .toml expected")
    if options.output.exists() and not options.overwrite:
        raise OutputError(f"{options.output} exists; --overwrite replaces it")
    views = _gather(options, board)
    lens = solve(views)
    write_calibration(options.output, lens, options.overwrite)
    k = lens.camera.matrix_px
    print(
        f"{lens.views} views, {100 * lens.covered:.0f} % of the picture, tilt {lens.tilt_deg:.0f} degrees",
        file=sys.stderr,
    )
    print(f"reprojection error {lens.error_px:.3f} px (worst view {lens.worst_px:.3f})", file=sys.stderr)
    print(
        f"fx {k[0, 0]:.1f} fy {k[1, 1]:.1f} px (+-{lens.focal_px_sd:.1f}), centre {k[0, 2]:.1f} {k[1, 2]:.1f} px, "
        f"field of view {lens.fov_deg:.1f} degrees",
        file=sys.stderr,
    )
    print(options.output)
    return 0


def _open(options: argparse.Namespace) -> Any:
    from xnect.capture import open_source

    if options.camera is not None:
        return open_source(f"camera:{options.camera}" if not options.camera.isdigit() else int(options.camera),
                           resolution=options.camera_resolution)  # fmt: skip
    if options.images is not None and not Path(options.images).is_dir():
        raise ConfigError(f"--images {options.images}: no such folder")
    return open_source(options.images or options.video)


def _gather(options: argparse.Namespace, board: Any) -> Any:
    """Views from the source until there are enough, it ends, or the user ends it (q, Ctrl-C)."""
    from xnect.capture import opencv
    from xnect.capture.board import BoardFinder
    from xnect.capture.calibrating import Views

    opencv.silence()
    find, views, seen, next_s = BoardFinder(board), Views(board), 0, -1.0
    shown = _window(options)
    told = ""
    with _open(options) as source:
        try:
            for frame in source:
                if options.images is None and frame.timestamp_s < next_s and not shown:
                    continue
                found = None
                if options.images is not None or frame.timestamp_s >= next_s:
                    next_s = frame.timestamp_s + _EVERY_S
                    found = find(frame.image_bgr)
                    seen += found is not None
                    if found is not None and views.add(*found, frame.size_px):
                        told = f"view {len(views)}: {views.advice() or 'enough; more views make it surer'}"
                        print(told, file=sys.stderr)
                enough = len(views) >= options.views and not (views.advice() or options.images)
                if enough or (shown and not shown(frame.image_bgr, views, found, told)):
                    break
        except KeyboardInterrupt:
            print(f"ended by the user after {len(views)} views", file=sys.stderr)
    if not seen:
        across, down = board.squares
        raise XnectError(f"no {board.kind} of {across}x{down} squares was seen (--board, --squares, --markers)")
    return views


def _window(options: argparse.Namespace) -> Callable[..., bool] | None:
    """Draws picture, corners and covered fields; False once q or Escape was pressed. None without a display."""
    from xnect.gui.display import has_display

    if options.no_display or options.images is not None or not has_display():
        return None
    import cv2

    from xnect.apps.calibrate_view import draw

    def show(image: Any, views: Any, found: Any, text: str) -> bool:
        try:
            cv2.imshow("xnect calibrate", draw(image, views, found, text))
            return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
        except cv2.error:  # the headless wheel of OpenCV has no windows
            return True

    return show
