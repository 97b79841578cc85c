"""``xnect validate``: checks recordings against the format, line by line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from xnect.apps.options import Parser, dashed


def main(argv: Sequence[str]) -> int:
    """Check each; returns 0 where all are good, else 1. Raises FormatError for a file that cannot be read."""
    parser = Parser(
        prog="xnect validate",
        description="Check poses.jsonl against version 1 of the format: every line, every number.",
        epilog="Exit code 1: something is wrong; the lines on standard error say what and where.",
        allow_abbrev=False,
    )
    parser.add_argument("recording", nargs="+", metavar="PATH", help="poses.jsonl, or the folder it lies in")
    options = parser.parse_args(dashed(argv))
    from xnect.formats.recording import validate

    code = 0
    for path in options.recording:
        check = validate(path)
        if not check.problems:
            print(f"{path}: good, {check.frames} frames, {check.rows} people in them")
            continue
        code = 1
        for problem in check.problems:
            print(problem, file=sys.stderr)
        if check.more:
            print(f"{path}: and {check.more} more", file=sys.stderr)
    return code
