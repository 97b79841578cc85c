"""Log lines on standard error and in a file that cannot fill the disk."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from pathlib import Path

from xnect.errors import OutputError, one_line

_BYTES, _FILES = 2_000_000, 5


class _Line(logging.Formatter):
    """``2026-01-31T12:00:00.123Z INFO capture.video: ...``; tracebacks only where they are asked for."""

    converter = time.gmtime  # type: ignore[assignment]

    def __init__(self, traceback: bool, short: bool) -> None:
        super().__init__("%(message)s" if short else "%(asctime)s.%(msecs)03dZ %(levelname)s %(part)s: %(message)s")
        self.datefmt = "%Y-%m-%dT%H:%M:%S"
        self._traceback = traceback
        self._short = short

    def format(self, record: logging.LogRecord) -> str:
        """One line (with a traceback below it on debug level)."""
        record.part = record.name.removeprefix("xnect.")
        if not self._traceback:
            record = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        text = super().format(record)
        if "\n" not in text or not (self._traceback and record.exc_info):
            text = one_line(text)  # names of files and what strangers send may hold anything
        if self._short and record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        return text


class _AboveBar(logging.StreamHandler):
    """Writes above a running progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line."""
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # noqa: BLE001 - a log must not break the program
            self.handleError(record)


def set_up(level: str, file: str | None = None) -> None:
    """Send the package's log to standard error, and to a file.

    On standard error lines are short unless the level is debug; the file has times and places.

    Raises:
        OutputError: The file cannot be written.
    """
    root = logging.getLogger("xnect")
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    debug = level == "debug"
    screen = _AboveBar()
    screen.setFormatter(_Line(traceback=debug, short=not debug))
    handlers: list[logging.Handler] = [screen]
    if file is not None:
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = logging.handlers.RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write the log {path}: {error.strerror or error}") from error
        kept.setFormatter(_Line(traceback=True, short=False))
        handlers.append(kept)
    root.setLevel(level.upper())
    root.propagate = False
    for handler in handlers:
        root.addHandler(handler)
