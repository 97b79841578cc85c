"""``xnect repair``: makes recordings whole that a crash left torn."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from xnect.apps.options import Parser, dashed

LOSS = 3


def main(argv: Sequence[str]) -> int:
    """Mend each folder; returns 0 where all is saved, 3 where something was lost. Raises FormatError, OutputError."""
    parser = Parser(
        prog="xnect repair",
        description="Make an output folder whole after a crash: cut what is torn, finish the video, make what is missing.",
        epilog="Exit code 3: done, but something was lost; the lines say what.",
        allow_abbrev=False,
    )
    parser.add_argument("directory", nargs="+", metavar="DIR", help="output folder of a run (holds poses.jsonl)")
    options = parser.parse_args(dashed(argv))
    from xnect.formats.repair import repair

    code = 0
    for directory in options.directory:
        report = repair(directory)
        print(f"{directory}: {str(report).splitlines()[0]}")
        for what in report.lost:
            print(f"{directory}: lost: {what}", file=sys.stderr)
            code = LOSS
    return code
