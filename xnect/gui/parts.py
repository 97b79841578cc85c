"""The seam between the window and the rest of xnect: what it needs of sources, pipeline and writers (no Qt).

Everything heavy is imported inside the functions, in the thread that calls them, so that the window opens first.
Tests hand in parts of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from xnect.config import PipelineConfig
from xnect.gui.state import SourceInfo
from xnect.structures import Camera, Frame, FrameResult, PoseMaps


@dataclass(frozen=True)
class SourceRequest:
    """What the user wants to see.

    Attributes:
        kind: "camera", "video" (file), "address", "images" or "recording".
        spec: Camera number or name, path or URL.
        resolution: Width and height asked of a camera [px], None = its own choice.
        rotate: Clockwise turn, 0, 90, 180 or 270 [degrees].
        mirror: The pictures are flipped as they are read (a source that is mirrored already); the mirrored view is
            another matter.
        fps: Pace asked of a camera [1/s].
        start_s, end_s: Part of a file [s].
        title: What to call it, empty = told by the source.
        beside: For a recording: the video that it was made from, empty = looked for.
        memo: Shared by all openings of one request (a recording under review keeps its repairs while seeking).
    """

    kind: str
    spec: str
    resolution: tuple[int, int] | None = None
    rotate: int = 0
    mirror: bool = False
    fps: float | None = None
    start_s: float = 0.0
    end_s: float | None = None
    title: str = ""
    beside: str = ""
    memo: dict[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def live(self) -> bool:
        """Whether frames come whether or not we are ready."""
        return self.kind in ("camera", "address")

    def at(self, start_s: float) -> SourceRequest:
        """The same source from another point in time on."""
        return replace(self, start_s=max(0.0, start_s))


class Facts(Protocol):
    """What a source says about itself."""

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height [px]."""
        ...

    @property
    def fps(self) -> float:
        """Nominal rate, 0 = unknown."""
        ...

    @property
    def duration_s(self) -> float | None:
        """Length from the start asked for, None = unknown or endless."""
        ...

    @property
    def live(self) -> bool:
        """Whether time does not wait."""
        ...


class Source(Protocol):
    """Frames in the order of time."""

    @property
    def info(self) -> Facts:
        """What it is."""
        ...

    @property
    def camera(self) -> Camera:
        """Best known intrinsics."""
        ...

    @property
    def dropped(self) -> int:
        """Frames thrown away since they came too fast."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Frames; raises SourceError where the source breaks."""
        ...

    def close(self) -> None:
        """End the iteration; from any thread."""
        ...


class Pipeline(Protocol):
    """Frames in, people out."""

    @property
    def last_maps(self) -> PoseMaps | None:
        """Stage I's output for the last frame."""
        ...

    def __call__(self, frame: Frame) -> FrameResult:
        """Find everyone."""
        ...

    def reset(self) -> None:
        """Forget people and filters."""
        ...

    def rescale(self) -> None:
        """Measure everyone's bones again."""
        ...

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take new settings."""
        ...

    def use_camera(self, camera: Camera | None, live: bool = False) -> None:
        """Go on with another camera (None = that of the settings), live or not; people are forgotten."""
        ...


class Sink(Protocol):
    """An open recording."""

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Append one frame."""
        ...

    def close(self) -> None:
        """Finish all files."""
        ...


@dataclass(frozen=True)
class RecordingPlan:
    """What to record.

    Attributes:
        folder: Where the take's folder is made, or the take's folder itself.
        formats: Names of formats; jsonl is always written.
        only: The one person to record, None = everyone.
        exact: ``folder`` is the take's own folder.
        overwrite: An older take in an exact folder may be replaced.
        limit_s: Ends by itself after so long, 0 = when stopped [s].
    """

    folder: Path
    formats: tuple[str, ...]
    only: int | None = None
    exact: bool = False
    overwrite: bool = False
    limit_s: float = 0.0


@dataclass(frozen=True)
class CameraChoice:
    """One camera of the list.

    Attributes:
        spec: What opens it.
        name: What the user reads.
        modes: Resolutions that it is known to offer [px].
    """

    spec: str
    name: str
    modes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Parts:
    """The factories that the engine calls, each in its own thread.

    Attributes:
        open_source: Opens what was asked for; raises SourceError.
        make_pipeline: Loads the network for these settings; raises WeightsError.
        camera_of: The measured camera of an open source, None = that of the settings; raises CalibrationError.
        open_sink: Starts a recording in a folder of its own, which it returns beside the sink; raises OutputError.
        list_cameras: Names of what is attached.
        angle_names: Names of ``Person.angles``.
        publish: Gets every new result, for live streams; must return at once. None = nobody listens.
    """

    open_source: Callable[[SourceRequest, PipelineConfig], Source]
    make_pipeline: Callable[[PipelineConfig], Pipeline]
    camera_of: Callable[[PipelineConfig, SourceRequest, Facts], Camera | None]
    open_sink: Callable[[RecordingPlan, SourceInfo, PipelineConfig, Frame, FrameResult], tuple[Sink, Path]]
    list_cameras: Callable[[], list[CameraChoice]]
    angle_names: Callable[[], tuple[str, ...]]
    publish: Callable[[FrameResult], None] | None = None
