"""``xnect convert``: a recording in another format."""

from __future__ import annotations

from collections.abc import Sequence

from xnect.apps.options import Parser, checked, dashed, number
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
    parser.add_argument(
        "--drop-inferred", action="store_true", help="leave out joints that nothing in the picture backs"
    )
    tidy = parser.add_argument_group("clean-up, in this order")
    tidy.add_argument("--fill-gaps", type=checked(number), metavar="S", help="fill gaps up to so many seconds")
    tidy.add_argument("--butterworth", type=checked(number), metavar="HZ", help="zero-lag low-pass filter, order 4")
    tidy.add_argument("--foot-lock", action="store_true", help="hold feet that stand in their place")
    tidy.add_argument("--floor", action="store_true", help="turn all so that the floor is level, at height 0")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    options = parser.parse_args(dashed(argv))
    if not 1e-3 <= options.bvh_scale <= 1e4:
        raise ConfigError(f"--bvh-scale {options.bvh_scale}: 0.001 to 10000 expected")
    from xnect.formats.cleanup import CleanUp
    from xnect.formats.convert import convert

    clean_up = CleanUp(options.fill_gaps, options.butterworth, options.foot_lock, options.floor)
    made = convert(
        options.source, options.target, options.format, options.person, options.overwrite, options.bvh_scale,
        clean_up=clean_up, drop_inferred=options.drop_inferred,
    )  # fmt: skip
    for path in made:
        print(path)
    return 0
