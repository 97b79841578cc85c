"""Tables of results as Markdown, and the same as JSON with machine, date and commit."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xnect
from xnect.errors import OutputError

#: A cell of a table; None = not measured.
Cell = str | float | int | None


def provenance() -> dict[str, Any]:
    """Where and when a figure was measured: machine, processor, cores, system, Python, date, commit."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _commit() -> str:
    """Short hash of the checkout's commit, with + where files differ from it; "unknown" outside a checkout."""
    place = Path(xnect.__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=place, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], digits: int = 1) -> str:
    """A Markdown table; numbers to the right with ``digits`` decimals, None as a dash.

    Raises:
        ValueError: A row is not as long as the head.
    """
    texts = [[_text(cell, digits) for cell in row] for row in rows]
    for row in texts:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(columns)} columns")
    numeric = [all(not isinstance(row[k], str) for row in rows) and bool(rows) for k in range(len(columns))]
    widths = [max(len(text) for text in [columns[k], "---", *(row[k] for row in texts)]) for k in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric)) + " |"

    rule = "| " + " | ".join("-" * (w - 1) + ":" if n else "-" * w for w, n in zip(widths, numeric)) + " |"
    return "\n".join([line(columns), rule, *(line(row) for row in texts)])


def _text(cell: Cell, digits: int) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.{digits}f}"
    return str(cell).replace("|", "\\|")


def provenance_line(about: Mapping[str, Any]) -> str:
    """One line for below a table."""
    return f"{about['processor']}, {about['cores']} cores, {about['date']}, commit {about['commit']}"


def write_json(path: str | Path, results: Mapping[str, Any]) -> None:
    """Write results with their provenance.

    Raises:
        OutputError: The file cannot be written, or a figure is not a number.
    """
    try:
        text = json.dumps({**results, "measured": provenance()}, indent=2, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    except ValueError as error:
        raise OutputError(f"results for {path} hold something that is not a number") from error
