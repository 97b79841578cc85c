"""Files that appear whole or not at all, reach the disk in time, and folders that one program at a time writes to."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnect.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows, which lets nobody remove or replace a file that another program has open
    fcntl = None  # type: ignore[assignment]

SYNC_S = 1.0  # a power cut costs at most so much
#: What file systems say that know no such thing (network drives, folders on Windows).
_NOT_KNOWN = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOLCK)

_claims: dict[tuple[int, int], tuple[int, int]] = {}  # device and number of a folder -> handle, how many hold it
_claiming = threading.Lock()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes that name in one step once the block ends well, power cut or not."""
    part = path.with_name(f"{path.stem}.part{path.suffix}")  # some libraries insist on the ending
    try:
        yield part
        settle(part)
        part.replace(path)
        settle(path.parent)
    finally:
        part.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk; raises OSError where the disk fails."""
    try:
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except OSError as error:
        if error.errno in _NOT_KNOWN:
            return
        raise
    try:
        _sync(handle)
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_KNOWN:
            raise


class Syncer:
    """Has a growing file put on the disk once a second, in a thread of its own: a slow disk makes nobody wait."""

    def __init__(self, path: Path, every_s: float = SYNC_S) -> None:
        """Args: a file that exists; how often [s]."""
        self._path, self._every_s = path, every_s
        self._end = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="xnect-sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            settle(self._path.parent)  # its name, too
            while not self._end.wait(self._every_s):
                settle(self._path)
        except OSError as error:
            self._error = error

    def check(self) -> None:
        """Raise the OSError of a disk that failed since."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End, once everything is on the disk; raises OSError."""
        self._end.set()
        self._thread.join()
        self.check()
        settle(self._path)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Nobody else writes to the folder inside; ends by itself when the program is killed.

    Claims of one program may lie within each other. File systems that know no locks are taken as they are.

    Raises:
        OutputError: Another program writes there.
    """
    key = _claim(folder)
    try:
        yield
    finally:
        if key is not None:
            _release(key)


def _claim(folder: Path) -> tuple[int, int] | None:
    if fcntl is None:
        return None
    with _claiming, contextlib.ExitStack() as undo:
        handle = os.open(folder, os.O_RDONLY)
        undo.callback(os.close, handle)
        about = os.fstat(handle)
        key = about.st_dev, about.st_ino
        if key in _claims:
            first, count = _claims[key]
            _claims[key] = first, count + 1
            return key
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another program is writing to {folder}; wait for its end, or name another folder"
            ) from None
        except OSError:
            return None
        undo.pop_all()
        _claims[key] = handle, 1
        return key


def _release(key: tuple[int, int]) -> None:
    with _claiming:
        handle, count = _claims.pop(key)
        if count > 1:
            _claims[key] = handle, count - 1
        else:
            os.close(handle)
