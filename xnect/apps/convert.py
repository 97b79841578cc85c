"""``xnect convert``: a recording in another format."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xnect.apps.options import Parser, dashed
from xnect.config import FORMAT_NAMES
from xnect.errors import ConfigError


def main(argv: Sequence[str]) -> int:
    """Convert, and print the files made. Raises FormatError, OutputError, ConfigError."""
    parser = Parser(prog="xnect convert", description="Write a recording in another format.", allow_abbrev=False)
    parser.add_argument("source", metavar="SOURCE", help="poses.jsonl, or the folder it lies in")
    parser.add_argument("target", metavar="TARGET", help="file (its ending tells the format), or a folder")
    parser.add_argument("--format", metavar="NAME", choices=FORMAT_NAMES, help=f"one of {', '.join(FORMAT_NAMES)}")
    parser.add_argument("--person", type=int, metavar="ID", help="only this person")
    parser.add_argument("--bvh-scale", type=float, default=1.0, metavar="N", help="units a metre in BVH: 1 or 100")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    options = parser.parse_args(dashed(argv))
    if not (math.isfinite(options.bvh_scale) and options.bvh_scale > 0):
        raise ConfigError(f"--bvh-scale {options.bvh_scale}: a positive number expected")
    from xnect.formats.convert import convert

    made = convert(options.source, options.target, options.format, options.person, options.overwrite, options.bvh_scale)
    for path in made:
        print(path)
    return 0
