"""Keeps the C libraries that decode pictures (libpng, libjpeg, libtiff, OpenCV) from writing to the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_STDERR = 2


@contextlib.contextmanager
def only_python_speaks() -> Iterator[None]:
    """Meanwhile what is written to ``sys.stderr`` goes where it did, and what C code writes past Python goes nowhere.

    What is wrong with a picture is told by our own errors. For programs, not for libraries: it concerns all threads.
    """
    try:
        kept = os.dup(_STDERR)
    except OSError:  # no standard error at all: nothing to keep quiet
        yield
        return
    before = sys.stderr
    with open(os.devnull, "w") as nowhere, os.fdopen(kept, "w", buffering=1, errors="backslashreplace") as ours:
        if _is_terminal_stream(before):
            before.flush()
            sys.stderr = ours
        os.dup2(nowhere.fileno(), _STDERR)
        try:
            yield
        finally:
            ours.flush()
            os.dup2(ours.fileno(), _STDERR)
            sys.stderr = before


def _is_terminal_stream(stream: object) -> bool:
    """Whether a stream writes to the file descriptor of standard error (and is not caught by a test, say)."""
    try:
        return bool(stream is not None and stream.fileno() == _STDERR)  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
