"""What a source of frames is: the protocol, its facts, and the turn and flip that every source shares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from xnect.config import CameraConfig
from xnect.structures import U8, Camera, Frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Facts about a source, known once it is open.

    Attributes:
        name: Short name for folders and titles ("walk" for clips/walk.mp4, the camera's name for a camera).
        uri: What was opened: a path, an address or a camera's name.
        size_px: Width and height of the frames as they come out, turned and all [px].
        fps: Mean number of frames a second, 0 where it cannot be told [Hz].
        frame_count: How many frames will come, None = unknown or endless. An estimate for files without an index.
        duration_s: Length of what will come, None = unknown or endless [s].
        live: True where time does not wait: cameras and addresses. Frames that come too fast are dropped.
    """

    name: str
    uri: str
    size_px: tuple[int, int]
    fps: float
    frame_count: int | None = None
    duration_s: float | None = None
    live: bool = False


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a source is read; the same for every kind.

    Attributes:
        rotate: Clockwise turn: 0, 90, 180 or 270 [degrees].
        mirror: Flip left and right, after the turn.
        start_s: Frames before this time are left out [s].
        end_s: Frames from this time on are left out, None = read to the end [s].
        resolution: Width and height asked of a camera [px].
        fps: Pace asked of a camera, or of an image folder (None = 30) [Hz].
        camera: What is known of the optics.
    """

    rotate: int = 0
    mirror: bool = False
    start_s: float = 0.0
    end_s: float | None = None
    resolution: tuple[int, int] | None = None
    fps: float | None = None
    camera: CameraConfig = field(default_factory=CameraConfig)

    def turned(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Size of a picture after the turn [px]."""
        return size_px if self.rotate in (0, 180) else (size_px[1], size_px[0])

    def apply(self, image: U8) -> U8:
        """The picture turned and flipped, in memory of its own where it changed."""
        if not self.rotate and not self.mirror:
            return image
        turned = np.rot90(image, -self.rotate // 90)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirror else turned)

    def expected(self, duration_s: float | None, frames: int | None) -> tuple[float | None, int | None]:
        """Length [s] and frame count of the part between start and end, from those of the whole."""
        if duration_s is None or duration_s <= 0:
            return None, frames
        stop = duration_s if self.end_s is None else min(self.end_s, duration_s)
        part = max(stop - self.start_s, 0.0)
        return part, None if frames is None else min(frames, max(round(frames * part / duration_s), 1))


AS_IT_IS = ReadOptions()


class Source(Protocol):
    """Frames in the order of time; usable in ``with`` and in ``for``, more than once where it is not live."""

    @property
    def info(self) -> SourceInfo:
        """Name, size, pace and length."""
        ...

    @property
    def camera(self) -> Camera:
        """The best known camera for frames of ``info.size_px``; ``estimated`` where it is a guess."""
        ...

    @property
    def dropped(self) -> int:
        """Frames thrown away since they came faster than they were taken (live sources only)."""
        ...

    @property
    def skipped(self) -> int:
        """Damaged frames or pictures that could not be read."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; raises SourceError when the source breaks for good."""
        ...

    def close(self) -> None:
        """End the iteration and free the device; may be called from any thread, any number of times."""
        ...

    def __enter__(self) -> Self:
        """The source itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        ...


class SourceBase:
    """What the kinds of sources share: facts, counters, ``with``."""

    def __init__(self, info: SourceInfo, camera: Camera) -> None:
        self._info = info
        self._camera = camera
        self.dropped = 0
        self.skipped = 0

    @property
    def info(self) -> SourceInfo:
        """Name, size, pace and length."""
        return self._info

    @property
    def camera(self) -> Camera:
        """The best known camera for frames of ``info.size_px``."""
        return self._camera

    def close(self) -> None:
        """End the iteration; may be called from any thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
