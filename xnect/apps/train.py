"""``xnect train``: hands over to the trainers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from xnect.apps.options import Parser, dashed
from xnect.errors import ConfigError

STAGES = {
    "stage1": ("xnect.training.stage1", "pictures -> 2D maps and the 3D encoding"),
    "stage2": ("xnect.training.stage2", "2D joints and encoding -> 3D pose"),
}


def main(argv: Sequence[str]) -> int:
    """Train one stage; returns the exit code. Raises ConfigError for an unknown stage."""
    if not argv or argv[0] in ("--help", "-h"):
        lines = "".join(f"  {name:<8}{text}\n" for name, (_, text) in STAGES.items())
        sys.stdout.write(
            f"usage: xnect train STAGE [OPTIONS]\n\n{lines}\nxnect train STAGE --help tells its options.\n"
        )
        return 0 if argv else 2
    if argv[0] not in STAGES:
        raise ConfigError(f"unknown stage {argv[0]!r}: {', '.join(STAGES)}")
    name, words = STAGES[argv[0]][0], dashed(argv[1:])
    importlib.import_module(f"{name}_options").parse(words, Parser)  # what can be refused is, before torch is imported
    return int(importlib.import_module(name).main(words) or 0)
