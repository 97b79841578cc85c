"""``xnect view``: a recording in the window."""

from __future__ import annotations

from collections.abc import Sequence

from xnect.apps.options import Parser, dashed
from xnect.config import RunConfig
from xnect.errors import XnectError


def main(argv: Sequence[str]) -> int:
    """Open the window on a recording; returns its exit code. Raises SourceError, or XnectError without a window."""
    parser = Parser(prog="xnect view", description="Look at a recording.", allow_abbrev=False)
    parser.add_argument("recording", metavar="PATH", help="poses.jsonl, or the folder it lies in")
    options = parser.parse_args(dashed(argv))
    from xnect.apps.display import missing_parts
    from xnect.gui.display import NO_DISPLAY, has_display

    if not has_display():
        raise XnectError(NO_DISPLAY)
    missing = missing_parts()
    if missing:
        raise XnectError(missing)
    from xnect.gui.app import main as window
    from xnect.gui.sources import request_for

    return int(window(RunConfig(), [request_for(options.recording)]))
