"""``xnect synth``: checks the options, then hands over to the drawing engine, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Sequence

from xnect.apps.options import Parser, dashed
from xnect.training.synthetic.options import parse


def main(argv: Sequence[str]) -> int:
    """Draw; returns the exit code. Raises XnectError."""
    options = parse(dashed(argv), Parser)
    from xnect.training.synthetic.cli import run

    return run(options)
