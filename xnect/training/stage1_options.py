"""The options of ``xnect train stage1``, checked before anything that takes seconds is imported (no torch here)."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from xnect.errors import ConfigError, FormatError


def build_parser(kind: type[argparse.ArgumentParser] = argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser, of a class that tells errors as its user likes them."""
    parser = kind(
        prog="xnect train stage1",
        description="Trains Stage I on photos with labelled joints and on synthetic pictures.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", type=Path, nargs="+", help="folders with train13.json and its picture shards")
    add("--synthetic", type=Path, help="folder of `xnect synth write`: beside the photos, or instead of them")
    add(
        "--synthetic-share",
        type=float,
        default=0.3,
        help="share of synthetic crops beside photos; 1 = photos only judge",
    )
    add("--encoding", action="store_true", help="train the 3D encoding too, from the synthetic pictures")
    add("--lifting", type=Path, help="Stage II's weights: what they make of the photos' labels is a weak 3D truth too")
    add("--output", type=Path, required=True, help="folder for checkpoint, log, curve and weights")
    add("--network", default="selecsls42", help="trunk, see `python -m backbone summary`")
    add("--width", type=float, nargs="+", help="factor on the trunk's channels, or one a level (default 0.5)")
    add("--head", type=int, help="channels of the heads (default 128)")
    add("--surroundings", action="store_true", help="the heads also see the wider surroundings, from stride 32")
    add(
        "--init", type=Path, help="start from these weights (safetensors), widened where --width or --head ask for more"
    )
    add("--resume", action="store_true", help="go on from the checkpoint in --output")
    add("--minutes", type=float, default=60.0, help="length of the run where --steps is not given")
    add("--steps", type=int, help="length of the run in steps")
    add("--batch", type=int, default=32, help="crops a step, of the first size")
    add("--size", type=int, nargs="+", default=[256], help="sides of the training crops [px]; each step draws one")
    add("--side", type=int, default=288, help="side at which pictures are kept in memory [px]")
    add("--lr", type=float, default=1.5e-3)
    add("--warmup", type=int, default=300)
    add("--soft-maps", type=Path, nargs="+", help="a teacher's maps made by `python -m xnect.training.soft_maps`")
    add("--eval-every", type=float, default=15.0, help="minutes between evaluations on held-out pictures")
    add("--limit", type=int, help="only so many pictures (for trials)")
    add("--device", default="auto", help="auto, cpu or cuda")
    add(
        "--freeze",
        type=int,
        default=0,
        help="leave the stem and so many blocks of the trunk as they are (with --init): most of the time goes there",
    )
    add("--ahead", action="store_true", help="draw crops in a process of its own (CPU only: a GPU draws them itself)")
    add("--compile", action="store_true", help="torch.compile: faster steps after a minute or two for each --size")
    add("--threads", type=int, default=0, help="CPU threads, 0 = all")
    add("--seed", type=int, default=0)
    return parser


def parse(
    argv: Sequence[str] | None, kind: type[argparse.ArgumentParser] = argparse.ArgumentParser
) -> argparse.Namespace:
    """The options of ``xnect train stage1``; raises ConfigError for what cannot be, FormatError for data that are not there."""
    options = build_parser(kind).parse_args(argv)
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    for size in options.size:
        if size % 16 or size < 64:
            raise ConfigError(f"--size {size}: a multiple of 16, at least 64, expected")
    if options.data is None and options.synthetic is None:
        raise ConfigError("nothing to train on: give --data, --synthetic or both")
    if not 0 <= options.synthetic_share <= 1:
        raise ConfigError(f"--synthetic-share {options.synthetic_share:g}: 0 to 1 expected")
    if options.encoding and options.synthetic is None:
        raise ConfigError("--encoding needs --synthetic: photos have no 3D truth")
    if options.lifting is not None and not (options.encoding and options.data is not None):
        raise ConfigError("--lifting needs --encoding and --data: it gives photos a 3D truth")
    if options.freeze and options.init is None and not options.resume:
        raise ConfigError("--freeze needs --init: random weights are nothing to keep")
    if options.compile and not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        raise ConfigError("--compile needs a C++ compiler, and none is on the path")
    _check_numbers(options)
    _check_paths(options)


def _check_numbers(options: argparse.Namespace) -> None:
    for name, least in (("steps", 1), ("batch", 1), ("side", 64), ("limit", 1), ("head", 16)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name} {value}: {least} or more expected")
    if not (0 < options.lr < 10 and 0 < options.minutes < 1e6 and 0 < options.eval_every < 1e6):
        raise ConfigError("--lr, --minutes and --eval-every must be positive numbers")


def _check_paths(options: argparse.Namespace) -> None:
    for folder in options.data or ():
        if not (folder / "train13.json").is_file():
            raise FormatError(f"{folder} holds no people pack: train13.json is missing")
    if options.synthetic is not None and not (options.synthetic / "plan.json").is_file():
        raise FormatError(f"{options.synthetic} holds no synthetic shards: plan.json is missing (xnect synth write)")
    single = [path for path in (options.init, options.lifting) if path is not None]
    for path in [*single, *(options.soft_maps or [])]:
        if not path.exists():
            raise FormatError(f"no such file: {path}")
