"""Files that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes that name in one step once the block ends well."""
    part = path.with_name(f"{path.stem}.part{path.suffix}")  # some libraries insist on the ending
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
