"""The options of ``xnect synth``, checked before the drawing engine is imported: wrong ones are told at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from xnect.errors import ConfigError, OutputError, SourceError
from xnect.training.synthetic.splits import KINDS, SPLITS

_CHECKOUT = Path(__file__).resolve().parents[3]
#: Data packs: the file by which each is known.
PACKS = {"synth": "bodies.npz", "motion": "index.csv"}
_MOST_SIDE, _MOST_PICTURES = 4096, 100_000_000


def find_folder(given: str | Path | None, name: str, needs: str) -> Path:
    """The folder of a data pack.

    Args:
        given: Folder chosen by the user, None = beside the checkout (``../shared/data/NAME``).
        name: ``synth`` or ``motion``.
        needs: A file that must be inside.

    Raises:
        SourceError: The folder does not hold the pack.
    """
    folder = Path(given) if given is not None else _CHECKOUT.parent / "shared" / "data" / name
    if not (folder / needs).is_file():
        raise SourceError(f"no {name} pack in {folder}: {needs} is missing (see docs/synthetic.md for how to get one)")
    return folder


def build_parser(kind: type[argparse.ArgumentParser] = argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser, of a class that tells errors as its user likes them."""
    parser = kind(
        prog="xnect synth",
        description="Contact sheets, shards of labelled pictures and the bundled demo clip.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="preview | write | demo", dest="command")
    common = kind(add_help=False)
    common.add_argument("--assets", help="asset pack (default: ../shared/data/synth beside the checkout)")
    common.add_argument("--motion", help="motion pack (default: ../shared/data/motion beside the checkout)")
    scenes = kind(add_help=False)
    scenes.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    scenes.add_argument("--split", choices=SPLITS, default="train", help="whose bodies, clips, garments and rooms")
    scenes.add_argument("--kind", choices=KINDS, help="one sort of scenes (default: all)")
    scenes.add_argument("--size", type=_size, default=(512, 320), metavar="WxH", help="picture size (default 512x320)")
    scenes.add_argument("--scale", type=int, default=2, help="samples a pixel and side (default 2)")

    preview = commands.add_parser("preview", parents=[common, scenes], help="a contact sheet with joints drawn")
    preview.add_argument("--output", type=Path, required=True, metavar="SHEET.jpg")
    preview.add_argument("--count", type=int, default=24, help="pictures on the sheet (default 24)")
    preview.add_argument("--columns", type=int, default=4)
    preview.add_argument("--plain", action="store_true", help="do not draw the joints")

    write = commands.add_parser(
        "write", parents=[common, scenes], help="shards of pictures with labels; goes on where it stopped"
    )
    write.add_argument("--output", type=Path, required=True, metavar="DIR")
    write.add_argument("--count", type=int, required=True, help="pictures in all")
    write.add_argument("--frames", type=int, default=1, help="frames a scene: more than 1 = sequences with ids")
    write.add_argument("--shard", type=int, default=500, help="pictures a shard (default 500)")
    write.add_argument("--quality", type=int, default=90, help="of the packed pictures (default 90)")
    write.add_argument("--webp", action="store_true", help="WebP instead of JPEG")
    write.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    write.add_argument("--coco", action="store_true", help="also write coco13.json, COCO keypoints with 13 joints")

    demo = commands.add_parser("demo", parents=[common], help="the bundled demo clip and its truth")
    demo.add_argument("--output", type=Path, required=True, metavar="DIR")
    return parser


def parse(
    argv: Sequence[str] | None, kind: type[argparse.ArgumentParser] = argparse.ArgumentParser
) -> argparse.Namespace:
    """The options; raises ConfigError, OutputError or SourceError for what cannot be done with them."""
    options = build_parser(kind).parse_args(argv)
    for name, least, most in (
        ("count", 1, _MOST_PICTURES), ("frames", 1, 10_000), ("shard", 1, 100_000), ("quality", 1, 100),
        ("workers", 1, 1024), ("scale", 1, 8), ("columns", 1, 1000), ("seed", 0, 2**32 - 1),
    ):  # fmt: skip
        value = getattr(options, name, least)
        if not least <= value <= most:
            raise ConfigError(f"--{name} {value}: {least} to {most} expected")
    width, height = getattr(options, "size", (64, 64))
    if not (16 <= width <= _MOST_SIDE and 16 <= height <= _MOST_SIDE):
        raise ConfigError(f"--size {width}x{height}: 16 to {_MOST_SIDE} px expected")
    if options.command == "preview":
        _check_sheet(options.output)
    find_folder(options.assets, "synth", PACKS["synth"])
    find_folder(options.motion, "motion", PACKS["motion"])
    return options


def _check_sheet(path: Path) -> None:
    """Refuse a sheet that cannot be written, before pictures are drawn for minutes."""
    if not path.absolute().parent.is_dir():
        raise OutputError(f"cannot write {path}: no such folder {path.absolute().parent}")
    if path.is_dir() or path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"):
        raise OutputError(f"cannot write {path}: a picture's name expected, as sheet.jpg")


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(v) for v in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: WxH expected, for example 512x320") from None
    return width, height
