"""``xnect evaluate``: figures of merit on the user's own data, as Markdown, JSON and PNG."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xnect.apps.options import Parser, checked, dashed, number, size, whole
from xnect.errors import ConfigError, OutputError

LICENCES = {
    "coco": "COCO's labels are CC BY 4.0; its pictures belong to their makers (Flickr).",
    "mupots": "MuPoTS-3D is for non-commercial use; whether you may use it is yours to check with its makers.",
    "mpi-inf-3dhp": "MPI-INF-3DHP is for non-commercial use; whether you may use it is yours to check with its makers.",
}


def _joint_list(text: str) -> tuple[int, ...]:
    """``0`` or ``8,11`` -> joint numbers; ``none`` -> ()."""
    return () if text.lower() == "none" else tuple(whole(part) for part in text.split(","))


def _pictures(commands: Any, out: Parser) -> None:
    coco = commands.add_parser("coco", parents=[out], help="2D joints on pictures with COCO keypoint labels")
    coco.add_argument("labels", metavar="LABELS", help="COCO keypoint JSON, 17 or 13 joints")
    coco.add_argument("pictures", metavar="PICTURES", help="folder or zip with the pictures")
    coco.add_argument("--weights", metavar="FILE", help="Stage I's weights (default: those that ship)")
    coco.add_argument("--input-size", type=checked(size), metavar="WxH", help="picture size of the network")
    coco.add_argument("--device", metavar="NAME", default="auto", help="auto, cpu, cuda or cuda:N")
    coco.add_argument("--threads", type=checked(whole), metavar="N", default=0, help="CPU threads, 0 = all")
    coco.add_argument("--limit", type=checked(whole), metavar="N", help="only the first N pictures")
    coco.add_argument("--results", metavar="FILE", help="judge this COCO results JSON (13 joints) and run no network")
    coco.set_defaults(protocol="coco", parser=coco)


def _poses(commands: Any, out: Parser) -> None:
    for name, text in (
        ("mupots", "MuPoTS-3D: 3DPCK and AUC, of all people and of those found"),
        ("mpi-inf-3dhp", "MPI-INF-3DHP's test set: 3DPCK, AUC, MPJPE"),
    ):
        one = commands.add_parser(name, parents=[out], help=text, epilog=LICENCES[name])
        one.add_argument("truth", metavar="DATA", help="folder with TS1, TS2, ... as downloaded")
        one.add_argument("found", metavar="RECORDINGS", help="folder with TS1/poses.jsonl or TS1.jsonl, ...")
        one.set_defaults(protocol=name, parser=one)
    pair = commands.add_parser("h36m", parents=[out], help="MPJPE and PA-MPJPE of pairs of NPZ, NPY or CSV files")
    pair.add_argument("truth", metavar="TRUTH", help="poses x joints x 3")
    pair.add_argument("found", metavar="FOUND", help="the same number of poses and joints")
    pair.add_argument("--root", type=checked(_joint_list), default=(0,), metavar="J", help="joint at the origin, or the middle of J,J; none (default 0)")  # fmt: skip
    pair.add_argument("--unit", choices=("m", "mm"), default="m", help="unit of both files (default m)")
    pair.set_defaults(protocol="h36m", parser=pair)


def build_parser() -> Parser:
    """The parser of ``xnect evaluate``."""
    parser = Parser(prog="xnect evaluate", description="Figures of merit on your own data.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="PROTOCOL", dest="command")
    out = Parser(add_help=False)
    out.add_argument("--json", type=Path, metavar="FILE", help="write the figures, with machine, date and commit")
    out.add_argument("--plots", type=Path, metavar="DIR", help="write plots as PNG (needs matplotlib)")
    out.add_argument("--overwrite", action="store_true", help="replace files that are there")
    _pictures(commands, out)
    _poses(commands, out)
    tracking = commands.add_parser("tracking", parents=[out], help="IDF1, id switches, MOTA (needs motmetrics)")
    tracking.add_argument("truth", metavar="TRUTH", help="MOTChallenge text, or a recording")
    tracking.add_argument("found", metavar="FOUND", help="a recording, or MOTChallenge text")
    tracking.add_argument("--overlap", type=checked(number), default=0.5, metavar="SHARE", help="least overlap of boxes that match (0.5)")  # fmt: skip
    tracking.set_defaults(protocol="tracking", parser=tracking)
    quality = commands.add_parser("quality", parents=[out], help="label-free quality of recordings")
    quality.add_argument("recordings", metavar="RECORDING", nargs="+", help="poses.jsonl, or the folder it lies in")
    quality.add_argument("--tilt", type=checked(number), default=0.0, metavar="DEG", help="how far the camera looked down (0), for foot skating")  # fmt: skip
    quality.set_defaults(protocol="quality", parser=quality)
    return parser


def main(argv: Sequence[str]) -> int:
    """Judge, print, write. Raises FormatError, ConfigError, OutputError, XnectError."""
    options = build_parser().parse_args(dashed(argv))
    _check(options)
    from xnect.evaluation.protocols import PROTOCOLS

    report = PROTOCOLS[options.protocol](options)
    from xnect.evaluation.report import provenance, provenance_line, write_json

    print(f"{report.text}\n\n{provenance_line(provenance())}")
    if options.protocol in LICENCES:
        print(LICENCES[options.protocol])
    if options.json is not None:
        write_json(options.json, {"protocol": options.protocol, **report.figures})
        print(f"written: {options.json}")
    if options.plots is not None:
        for path in report.draw(options.plots):
            print(f"written: {path}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """What can be refused before hours of work; raises ConfigError, OutputError, XnectError."""
    if options.json is not None and options.json.exists() and not options.overwrite:
        raise OutputError(f"{options.json} exists; --overwrite replaces it")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise OutputError(f"no such folder: {options.json.absolute().parent}")
    if options.plots is not None:
        from xnect.evaluation.poses import need

        need("matplotlib")
        if options.plots.is_dir() and os.listdir(options.plots) and not options.overwrite:
            raise OutputError(f"{options.plots} is not empty; --overwrite replaces plots in it")
    if not 0 < getattr(options, "overlap", 0.5) <= 1:
        raise ConfigError(f"--overlap {options.overlap:g}: above 0 and at most 1 expected")
    if not abs(getattr(options, "tilt", 0.0)) <= 90:
        raise ConfigError(f"--tilt {options.tilt:g}: -90 to 90 degrees expected")
    if (getattr(options, "limit", None) or 1) < 1:
        raise ConfigError(f"--limit {options.limit}: at least 1 expected")
