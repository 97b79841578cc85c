"""The options of ``xnect train stage2`` and what decides a training's result (no torch here: errors should come at once)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xnect.errors import ConfigError, FormatError


@dataclass(frozen=True, slots=True)
class Stage2Recipe:
    """What decides a training's result.

    Attributes:
        steps: Optimiser steps.
        batch: People a step.
        width, blocks: Of the network.
        rate: Highest learning rate; rises over the first 3 %, then falls as a cosine to 1 % of it.
        decay: Weight decay.
        average: Share of the old weights kept a step in the running average that is exported.
        encoding: Share of people who come with an imitated 3D encoding.
        seed: Of everything random.
        part: "all" of the training takes, or "fit" to leave some for tuning.
        detected: Share of people from --detections, where that is given.
        keep: Share of --init that is left in the weights written, 0 to below 1.
    """

    steps: int = 25000
    batch: int = 512
    width: int = 384
    blocks: int = 2
    rate: float = 1.5e-3
    decay: float = 0.01
    average: float = 0.999
    encoding: float = 0.25
    seed: int = 0
    part: str = "all"
    detected: float = 0.3
    keep: float = 0.0


def build_parser(kind: type[argparse.ArgumentParser] = argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser, of a class that tells errors as its user likes them."""
    parser = kind(prog="xnect train stage2", description="Train Stage II on motion capture.", allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv, limits.json and the shards")
    parser.add_argument("--output", type=Path, default=Path("runs/stage2"), help="folder for log, checkpoint, weights")
    parser.add_argument("--init", type=Path, help="begin with these weights (safetensors) instead of random ones")
    parser.add_argument("--detections", type=Path, help="people that Stage I found (python -m xnect.training.detected)")
    parser.add_argument("--resume", action="store_true", help="go on with the training in --output")
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:N]")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the network")
    for name, value in asdict(Stage2Recipe()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"default {value}")
    return parser


def parse(
    argv: Sequence[str] | None, kind: type[argparse.ArgumentParser] = argparse.ArgumentParser
) -> argparse.Namespace:
    """The options; raises ConfigError for what cannot be, FormatError for data that are not there."""
    options = build_parser(kind).parse_args(argv)
    for name in ("steps", "batch", "width", "threads"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--{name} {getattr(options, name)}: 1 or more expected")
    if not (options.data / "index.csv").is_file():
        raise FormatError(f"{options.data} holds no motion pack: index.csv is missing")
    for path in (options.init, options.detections):
        if path is not None and not path.is_file():
            raise FormatError(f"no such file: {path}")
    for name in ("detected", "keep"):
        if not 0 <= getattr(options, name) < 1:
            raise ConfigError(f"--{name} {getattr(options, name):g}: a share from 0 to below 1 expected")
    if options.keep and options.init is None:
        raise ConfigError("--keep needs --init: there is nothing to keep")
    if (options.output / "checkpoint.pt").exists() and not options.resume:
        raise ConfigError(
            f"{options.output} holds a training already: --resume goes on with it, or name another folder"
        )
    return options
