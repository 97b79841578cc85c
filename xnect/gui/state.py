"""What the window shows: view options, the newest frame, people, history, timings, playback, recording (no Qt)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from xnect.gui.history import History
from xnect.gui.people import IdMap, People
from xnect.gui.review import Review
from xnect.skeleton.joints import JOINTS_3D
from xnect.structures import F64, Frame, FrameResult, PoseMaps

#: Only people as sure as this tell where the floor is.
FLOOR_SCORE = 0.25
_FEET = [JOINTS_3D.index(n) for n in ("right_ankle", "left_ankle", "right_toe", "left_toe")]


@dataclass(frozen=True)
class SourceInfo:
    """The open source, in words and numbers.

    Attributes:
        title: What a user calls it.
        live: Camera or address: can't be paused at the source, newest frame wins.
        size_px: Width and height, (0, 0) = not known yet [px].
        fps: Nominal rate, 0 = not known [1/s].
        duration_s: Length of a file, None = not known or endless [s].
        rotate, mirror: How the pictures are turned clockwise [degrees] and flipped as they are read.
    """

    title: str = ""
    live: bool = False
    size_px: tuple[int, int] = (0, 0)
    fps: float = 0.0
    duration_s: float | None = None
    rotate: int = 0
    mirror: bool = False


@dataclass(frozen=True)
class Shown:
    """One finished frame on its way to the screen.

    Attributes:
        frame: The picture.
        result: What was found in it.
        maps: Stage I's output, None where it is not at hand.
        latency_ms: From the picture's arrival to its result [ms].
        fps: Frames finished a second, smoothed; 0 = not known yet [1/s].
        dropped: Frames that a live source brought and that were never processed, since it was opened.
        generation: Number of the opened source that it came from.
    """

    frame: Frame
    result: FrameResult
    maps: PoseMaps | None = None
    latency_ms: float = 0.0
    fps: float = 0.0
    dropped: int = 0
    generation: int = 0


@dataclass
class ViewOptions:
    """How things are drawn; nothing here changes what is computed or recorded."""

    skeleton: bool = True
    boxes: bool = True
    heatmaps: bool = False
    pafs: bool = False
    map_joint: int = -1
    picture: bool = True
    ids: bool = True
    grid: bool = True
    angle_text: bool = False
    confidence: bool = True
    mirror: bool = False
    trails: bool = True
    frustum: bool = True
    bodies: bool = True
    palette: str = "XNect"
    theme: str = "dark"
    trail_s: float = 3.0
    plot_s: float = 10.0


@dataclass
class Playback:
    """The transport bar."""

    playing: bool = True
    position_s: float = 0.0
    speed: float = 1.0
    loop: bool = False
    ended: bool = False


@dataclass(frozen=True)
class RecordingStatus:
    """The recording bar.

    Attributes:
        phase: "idle", "countdown", "recording", "finishing".
        countdown_s: Seconds until it starts.
        elapsed_s: Length so far [s].
        frames: Frames written.
        size_bytes: Bytes on disk.
        folder: Where it goes.
        error: Why it stopped, empty = well.
    """

    phase: str = "idle"
    countdown_s: float = 0.0
    elapsed_s: float = 0.0
    frames: int = 0
    size_bytes: int = 0
    folder: str = ""
    error: str = ""


@dataclass(frozen=True)
class StreamStatus:
    """The live streams.

    Attributes:
        on: Frames are streamed.
        busy: They are just being started or stopped.
        where: Each stream in words.
        error: Why they could not be started, empty = well.
    """

    on: bool = False
    busy: bool = False
    where: tuple[str, ...] = ()
    error: str = ""


@dataclass
class Timings:
    """Smoothed times per stage, frame rate and latency."""

    stages_ms: dict[str, float] = field(default_factory=dict)
    fps: float = 0.0
    latency_ms: float = 0.0
    dropped: int = 0

    def advance(self, shown: Shown, weight: float = 0.15) -> None:
        """Take in one frame."""
        for name, ms in shown.result.timings_ms.items():
            old = self.stages_ms.get(name, ms)
            self.stages_ms[name] = old + weight * (ms - old)
        for name in [n for n in self.stages_ms if n not in shown.result.timings_ms]:
            del self.stages_ms[name]
        self.fps = shown.fps
        self.latency_ms += (shown.latency_ms - self.latency_ms) * (weight if self.latency_ms else 1.0)
        self.dropped = shown.dropped


class Rate:
    """Frames a second, smoothed; a pause starts anew."""

    def __init__(self, weight: float = 0.15) -> None:
        self._weight = weight
        self._last_s: float | None = None
        self._gap_s = 0.0

    def tick(self, now_s: float) -> float:
        """A frame is finished; returns the rate, 0 = not known yet."""
        if self._last_s is not None:
            gap = now_s - self._last_s
            if gap > 2:
                self._gap_s = 0.0
            else:
                self._gap_s += (gap - self._gap_s) * (self._weight if self._gap_s else 1.0)
        self._last_s = now_s
        return 1 / self._gap_s if self._gap_s > 0 else 0.0


class WindowState:
    """Everything that the views read; one object, changed by the main window only."""

    def __init__(self, angle_names: tuple[str, ...] = ()) -> None:
        self.options = ViewOptions()
        self.source = SourceInfo()
        self.playback = Playback()
        self.recording = RecordingStatus()
        self.streaming = StreamStatus()
        self.timings = Timings()
        self.people = People()
        self.ids = IdMap()
        self.history = History()
        self.angle_names = angle_names
        self.shown: Shown | None = None
        self.selected: int | None = None
        self.follow: int | None = None
        self.review: Review | None = None
        self.floor_y_m = 1.0
        self.level: F64 = np.eye(3)
        self.floor_measured = False
        self._feet_y_m: deque[float] = deque(maxlen=300)
        self._fresh_feet = 0
        self._guessed = False

    def take_in(self, shown: Shown) -> None:
        """A finished frame (with the user's ids already in it) goes into people, plots and timings."""
        self.timings.advance(shown)
        self.people.advance(shown.result, self.review is None)
        for gone, kept in self.ids.merged():  # a frame from before the merge may have brought the old id back
            self.people.merge(gone, kept)
        if self.review is None:
            self.history.append(shown.result)
        self._see_floor(shown.result)
        if self.selected is not None and self.selected not in self.people.entries:
            self.selected = None
        if self.follow is not None and self.follow not in self.people.entries:
            self.follow = None

    def show(self, shown: Shown) -> None:
        """The frame that the views show from now on."""
        self.shown = shown
        self.playback.position_s = shown.result.timestamp_s

    def set_floor(self, normal: F64, height_m: float) -> None:
        """The floor is known: a unit vector upwards in camera axes, and the camera's height above it [m]."""
        up = np.asarray(normal, np.float64)
        forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
        forward /= np.linalg.norm(forward)
        self.level = np.stack([np.cross(-up, forward), -up, forward])
        self.floor_y_m = height_m
        self.floor_measured = True

    def set_source(self, info: SourceInfo) -> None:
        """A new source is open: people and history of the old one go."""
        self.source = info
        self.playback.ended = False
        self.playback.position_s = 0.0
        self.timings = Timings()
        self.shown = None
        self.review = None
        self.level, self.floor_measured = np.eye(3), False
        self.forget_people()

    def set_review(self, review: Review) -> None:
        """A recording is open: people and plots are known for its whole length."""
        names = {i: e.name for i, e in self.people.entries.items() if e.name}
        hidden = {i for i, e in self.people.entries.items() if e.hidden}
        self.review = review
        self.angle_names = review.recording.header.angles
        if review.floor is not None:
            self.set_floor(*review.floor)
        self.people.entries.clear()
        self.history = History(max(1800, len(review.times_s) + 1), float("inf"))
        for position in range(len(review.times_s)):
            result = review.result_at(position)
            self.people.advance(result)
            self.history.append(result)
        for entry in self.people.entries.values():
            entry.name, entry.hidden, entry.present = names.get(entry.id, ""), entry.id in hidden, False

    def forget_people(self) -> None:
        """Empty list, plots, trails and hand-made corrections."""
        self.people.clear()
        self.ids.clear()
        self.history.clear()
        self.selected = self.follow = None
        self._feet_y_m.clear()
        self._guessed = False

    def merge(self, gone: int, kept: int) -> None:
        """The user says that two ids are one person."""
        if gone == kept:
            return
        self.ids.merge(gone, kept)
        self.people.merge(gone, kept)
        if self.selected == gone:
            self.selected = kept

    def swap(self, a: int, b: int) -> None:
        """The user says that two people carry each other's id."""
        if a != b:
            self.ids.swap(a, b)

    def visible_people(self) -> list:
        """The newest frame's people that are to be drawn."""
        if self.shown is None:
            return []
        return [p for p in self.shown.result.people if self.people.shown(p.id)]

    def _see_floor(self, result: FrameResult) -> None:
        """The ground grid lies under most of the lowest feet of late (camera-space y, level camera assumed)."""
        if self.floor_measured:
            return
        if not self._feet_y_m and result.people:  # nobody's feet were seen yet: where they must be
            lowest = [float(p.joints_3d[_FEET, 1].max()) + 0.02 for p in result.people]
            self.floor_y_m += (0.2 if self._guessed else 1.0) * (float(np.median(lowest)) - self.floor_y_m)
            self._guessed = True
        for person in result.people:
            if person.score >= FLOOR_SCORE and not person.inferred[_FEET[:2]].any():
                self._feet_y_m.append(float(person.joints_3d[_FEET, 1].max()) + 0.02)
                self._fresh_feet += 1
        if self._fresh_feet and (self._fresh_feet >= 15 or len(self._feet_y_m) < 15):
            self.floor_y_m = float(np.percentile(self._feet_y_m, 80))
            self._fresh_feet = 0
