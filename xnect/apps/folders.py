"""Where results go: one folder a source, nothing overwritten unasked."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from xnect.errors import OutputError

DEFAULT_FOLDER = Path("xnect-output")
LOG_NAME = "poses.jsonl"


def safe_name(name: str) -> str:
    """A name that every file system takes: no separators, no control signs, not too long, never empty."""
    cleaned = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", name).strip(" .")
    while len(cleaned.encode()) > 120:
        cleaned = cleaned[:-1]
    reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", cleaned)
    return f"_{cleaned}" if reserved or not cleaned else cleaned


def sub_folders(names: Iterable[str]) -> list[str]:
    """One folder name for each source; equal ones are numbered, whatever the case of their letters."""
    taken: set[str] = set()
    out = []
    for name in names:
        base = safe_name(name)
        folder, count = base, 1
        while folder.casefold() in taken:
            count += 1
            folder = f"{base}-{count}"
        taken.add(folder.casefold())
        out.append(folder)
    return out


def results_in(folder: Path) -> list[Path]:
    """Files of an earlier run in a folder."""
    from xnect.formats.registry import FORMATS

    patterns = [pattern for entry in FORMATS.values() for pattern in entry.files]
    return sorted({path for pattern in patterns for path in folder.glob(pattern)}) if folder.is_dir() else []


def fresh(name: str, root: Path = DEFAULT_FOLDER) -> Path:
    """A folder below the default one that holds no results yet: ``demo``, ``demo-2``, ..."""
    base = root / safe_name(name)
    folder, count = base, 1
    while results_in(folder):
        count += 1
        folder = base.with_name(f"{base.name}-{count}")
    return folder


def refuse_results(folder: Path) -> None:
    """Raise OutputError where there are results of an earlier run, or something that is no folder."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder")
    present = results_in(folder)
    if present:
        raise OutputError(
            f"{present[0]} is there already; --overwrite replaces it, --resume goes on, or give another --output"
        )


def refuse_source(folder: Path, source: str | Path) -> None:
    """Raise OutputError where the new results would replace what they are made from."""
    home = Path(source).resolve()
    home = home / LOG_NAME if home.is_dir() and home == folder.resolve() else home
    if any(path.resolve() == home for path in results_in(folder)):
        raise OutputError(f"{source} is what is read, and would be replaced by the results; give another --output")


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make the folder and keep other programs from writing there meanwhile.

    Raises:
        OutputError: Another program writes there already, or it cannot be made.
    """
    from xnect.formats import files

    with contextlib.ExitStack() as claim:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            claim.enter_context(files.claimed(folder))
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
        yield


def prepare(folder: Path) -> None:
    """Make the folder; results of an earlier run are removed, other files stay.

    Raises:
        OutputError: The folder cannot be made or written.
    """
    present = results_in(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in present:
            path.unlink()
        for inside in {path.parent for path in present} - {folder}:
            if not any(inside.iterdir()):
                inside.rmdir()
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error


def check_space(folder: Path, least_bytes: int = 50_000_000) -> None:
    """Raise OutputError where the disk is as good as full."""
    free = shutil.disk_usage(folder).free
    if free < least_bytes:
        raise OutputError(f"the disk of {folder} is full ({free // 1_000_000} MB free)")
