"""Webcams by OpenCV, found by number or by name."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

import cv2
import numpy as np

from xnect.capture.live import RETRY_S, LiveSource
from xnect.capture.opencv import quiet_log
from xnect.capture.source import AS_IT_IS, ReadOptions
from xnect.errors import SourceError
from xnect.structures import U8

_log = logging.getLogger(__name__)

DEFAULT_RESOLUTION = (1280, 720)
MODES = ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
_FAILURES = 3  # pictures missing in a row before a camera counts as lost
_MJPG_FROM = 1280 * 720  # uncompressed pictures of this size fill a USB 2 bus at 10 fps


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """A camera that is attached.

    Attributes:
        number: Its place in the list, as ``--camera`` takes it.
        name: What its maker calls it; two of a kind are told apart by " #2".
        index: OpenCV's number for it.
        backend: OpenCV's way to it (``cv2.CAP_...``).
    """

    number: int
    name: str
    index: int
    backend: int


def backend() -> int:
    """OpenCV's way to webcams on this system."""
    if sys.platform.startswith("linux"):
        return int(cv2.CAP_V4L2)
    return int(cv2.CAP_DSHOW if sys.platform == "win32" else cv2.CAP_AVFOUNDATION)


def list_cameras() -> list[CameraEntry]:
    """The cameras attached, in the order of their numbers."""
    import cv2_enumerate_cameras

    try:
        with quiet_log():
            found = cv2_enumerate_cameras.enumerate_cameras(backend())
    except (NotImplementedError, OSError) as error:
        _log.debug("cannot list cameras: %s", error)
        return []
    entries: list[CameraEntry] = []
    for info in sorted(found, key=lambda item: item.index):
        same = sum(entry.name.split(" #")[0] == info.name for entry in entries)
        name = info.name if not same else f"{info.name} #{same + 1}"
        number = info.index if sys.platform.startswith("linux") else len(entries)
        entries.append(CameraEntry(number, name, info.index, backend()))
    return entries


def find_camera(wanted: str) -> CameraEntry:
    """The camera with that number or (part of the) name.

    Raises:
        SourceError: There is none; the line lists those that are there.
    """
    entries = list_cameras()
    if wanted.isdigit():
        hits = [e for e in entries if e.number == int(wanted)]
        if not hits and not entries:  # a system that cannot list cameras may still open them
            hits = [CameraEntry(int(wanted), f"camera {wanted}", int(wanted), backend())]
    else:
        hits = [e for e in entries if e.name.casefold() == wanted.casefold()]
        hits = hits or [e for e in entries if wanted.casefold() in e.name.casefold()]
    if hits:
        return hits[0]
    there = "; ".join(f"{e.number}: {e.name}" for e in entries) or "no camera is attached, or none may be used"
    raise SourceError(f"no camera {wanted!r} ({there})")


class Webcam:
    """An opened webcam."""

    def __init__(self, entry: CameraEntry, options: ReadOptions) -> None:
        self.name = entry.name
        with quiet_log():
            self._capture = cv2.VideoCapture(entry.index, entry.backend)
            if self._capture.isOpened():
                self._set_mode(options)
        if not self._capture.isOpened():
            raise SourceError(
                f"cannot open camera {entry.number} ({entry.name}): it is not attached, in use by another program, "
                "or not permitted to this user"
            )
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS) or 0.0)
        self._waiting: U8 | None = self._grab()
        if self._waiting is None:
            self.close()
            raise SourceError(f"camera {entry.number} ({entry.name}) opens but gives no picture")

    def _set_mode(self, options: ReadOptions) -> None:
        width, height = options.resolution or DEFAULT_RESOLUTION
        if width * height >= _MJPG_FROM:  # before the size: some drivers else refuse it
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if options.fps:
            self._capture.set(cv2.CAP_PROP_FPS, options.fps)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        got = self.size_px
        if options.resolution and got != options.resolution:
            _log.warning("%s: %dx%d asked, %dx%d given", self.name, width, height, *got)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the pictures [px]."""
        capture = self._capture
        return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def _grab(self) -> U8 | None:
        for _ in range(_FAILURES):
            good, image = self._capture.read()
            if good and image is not None and image.size:
                if image.ndim == 2:  # infrared cameras
                    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
                return np.array(image[:, :, :3], np.uint8)  # a copy: OpenCV may use its memory again
        return None

    def read(self) -> tuple[U8, float | None]:
        """The next picture; raises SourceError when the camera is lost."""
        image, self._waiting = (self._waiting, None) if self._waiting is not None else (self._grab(), None)
        if image is None:
            raise SourceError("no more pictures come; is the cable in?")
        return image, None

    def close(self) -> None:
        """Free the camera."""
        self._capture.release()


def open_camera(wanted: str | int, options: ReadOptions = AS_IT_IS, retry_s: float | None = RETRY_S) -> LiveSource:
    """A webcam as a live source; when lost it is looked for by its name, wherever it is put back.

    Raises:
        SourceError: There is no such camera, or it cannot be opened.
    """
    entry = find_camera(str(wanted))

    def opener() -> Webcam:
        known = [e for e in list_cameras() if e.name == entry.name]
        return Webcam(known[0] if known else entry, options)

    return LiveSource(opener, entry.name, options, retry_s)


def camera_modes(entry: CameraEntry) -> list[tuple[int, int, float]]:
    """Width, height [px] and rate [Hz] of the usual modes that the camera takes; it is opened for that."""
    with quiet_log():
        capture = cv2.VideoCapture(entry.index, entry.backend)
        try:
            modes = []
            for width, height in MODES:
                if width * height >= _MJPG_FROM:
                    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
                capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
                capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
                size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
                if size == (width, height):
                    modes.append((width, height, float(capture.get(cv2.CAP_PROP_FPS))))
            return modes
        finally:
            capture.release()
