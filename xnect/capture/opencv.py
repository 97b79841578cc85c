"""OpenCV and the C libraries inside it kept from writing to standard error."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

import cv2

_log = logging.getLogger(__name__)

_NOISE = re.compile(
    rb"^(\[ ?(ERROR|WARN|INFO|DEBUG) ?:|Corrupt JPEG|Premature end of JPEG|lib(png|jpeg|tiff|webp)|Invalid SOS|"
    rb"Warning: (unknown JFIF|thumbnail)|Unknown Adobe|Inconsistent progression|Caution: quant|Invalid component ID|"
    rb"Unsupported marker|Bogus |JPEG |OpenCV\(|> |'|must be|\s*$|TIFF|\[swscaler|\[mjpeg)",
    re.IGNORECASE,
)
_lock = threading.Lock()


def silence() -> None:
    """Turn OpenCV's log off for the whole process; for programs, which print lines of their own."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")  # else cameras take minutes on Windows
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@contextlib.contextmanager
def quiet_log() -> Iterator[None]:
    """Turn OpenCV's log off meanwhile."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV and the C libraries inside it (libjpeg, libpng) from writing to standard error meanwhile.

    These libraries write to the file descriptor, past Python. What other threads write there in the same moment is
    passed on afterwards; so only for work that is short.
    """
    with _lock, quiet_log():
        try:
            kept = os.dup(2)
        except OSError:  # no standard error at all (pythonw): nothing to keep quiet
            yield
            return
        yield from _diverted(kept)


def _diverted(kept: int) -> Iterator[None]:
    with contextlib.closing(tempfile.TemporaryFile()) as hold:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(hold.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            hold.seek(0)
            lines = hold.read().splitlines(keepends=True)
            noise = [line for line in lines if _NOISE.match(line)]
            if noise:
                _log.debug("kept quiet: %s", noise[0].decode(errors="replace").strip())
            if len(noise) < len(lines):
                os.write(2, b"".join(line for line in lines if not _NOISE.match(line)))
