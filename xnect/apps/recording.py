"""What a run writes: the header of a recording, and going on where an earlier run stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

import xnect.formats.header as headers
import xnect.formats.recording as recording
from xnect import __version__
from xnect.apps.folders import LOG_NAME
from xnect.capture import SourceInfo
from xnect.config import PipelineConfig, RunConfig, to_dict
from xnect.errors import FormatError, OutputError
from xnect.formats.registry import chosen
from xnect.formats.writer import Writers
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import Camera, Frame, FrameResult, Person

_log = logging.getLogger(__name__)

KEPT_NAME = "poses.before-resume.jsonl"
WARM_UP_S = 2.0  # so much of what is recorded is computed again, so that identities and filters have settled
_SAME_PX = 0.35  # two skeletons nearer than this part of their box are one person


def recording_header(info: SourceInfo, camera: Camera, config: PipelineConfig) -> headers.RecordingHeader:
    """The first line of a recording: names, camera, source and the settings that made it."""
    settings = to_dict(config)
    for table, key in (
        ("network", "weights"),
        ("network", "detector"),
        ("network", "boxes"),
        ("camera", "calibration"),
    ):
        if key in settings[table]:
            settings[table][key] = Path(settings[table][key]).name  # no full paths in what users pass on
    source = headers.SourceInfo(Path(info.uri).name, info.size_px, info.fps or None, info.duration_s)
    return headers.RecordingHeader(
        angles=SKELETON.angle_names,
        camera=camera,
        source=source,
        fps=info.fps or 30.0,
        program={"name": "xnect", "version": __version__, "settings": settings},
        bones=SKELETON.joint_names,
        bone_parents=tuple(int(parent) for parent in SKELETON.parents),
        filtered=config.filters.enabled and not config.static_images,
    )


def is_complete(folder: Path, config: RunConfig, info: SourceInfo) -> bool:
    """Whether an earlier run came to the end of its source and wrote all that is asked now."""
    if not (folder / LOG_NAME).is_file() or (folder / KEPT_NAME).exists() or info.duration_s is None:
        return False
    try:
        found = recording.load(folder / LOG_NAME)
    except FormatError:
        return False
    end_s = (config.source.start_s or 0.0) + info.duration_s
    if not len(found) or found.torn_lines or found.times_s[-1] < end_s - 1.5 / (info.fps or 30.0):
        return False
    asked = chosen(config.output.formats)
    there = [any(path.suffix != ".mkv" for pattern in f.files for path in folder.glob(pattern)) for f in asked]
    return all(there) or (
        not found.ids and (folder / LOG_NAME).is_file() and set(config.output.formats) <= set(found.header.formats)
    )


def set_aside(folder: Path) -> recording.Recording | None:
    """The recording of the run that stopped, moved out of the new one's way; None where there is none.

    It is kept as ``poses.before-resume.jsonl`` until the new run has written more than it holds, so that a run that is
    stopped again loses nothing.
    """
    longest: tuple[int, Path, recording.Recording] | None = None
    for path in (folder / LOG_NAME, folder / KEPT_NAME):
        if not path.is_file():
            continue
        try:
            found = recording.load(path)
        except FormatError as error:
            _log.warning("%s cannot be gone on with: %s", path, error)
            continue
        if longest is None or len(found) > longest[0]:
            longest = (len(found), path, found)
    if longest is None:
        return None
    if longest[1].name != KEPT_NAME:
        longest[1].replace(folder / KEPT_NAME)
    return longest[2]


class WithLog:
    """Writers of a run that ends when its log can no longer be written: a full disk must not be found out at the end.

    Any other format may fail; that is told at the close.
    """

    def __init__(self, writers: Writers) -> None:
        self._writers = writers

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Hand on one frame; raises OutputError where the log is broken."""
        self._writers.write(frame, result)
        if "jsonl" in self._writers.failures:
            raise OutputError(f"cannot go on writing to {self._writers.directory}: {self._writers.failures['jsonl']}")

    def close(self) -> None:
        """Finish all files; raises OutputError where one could not be written."""
        self._writers.close()


def done_with(folder: Path) -> None:
    """The new run holds everything: what was set aside may go."""
    (folder / KEPT_NAME).unlink(missing_ok=True)


class Resumed:
    """A pipeline that answers with what is recorded, and computes from there on.

    The last seconds of what is recorded are computed as well, unseen: tracking and filters are warm when the recording
    ends, and people keep their numbers.
    """

    def __init__(self, pipeline: Callable[[Frame], FrameResult], recorded: recording.Recording) -> None:
        self._pipeline = pipeline
        self._recorded = {result.index: result for result in recorded.results()}
        self._last_s = float(recorded.times_s[-1]) if len(recorded) else -np.inf
        self._ids: dict[int, int] = {}
        self._next = max(recorded.ids, default=0) + 1

    def __call__(self, frame: Frame) -> FrameResult:
        """The result of one frame, from the recording or computed."""
        known = self._recorded.pop(frame.index, None)
        if known is not None:
            if frame.timestamp_s >= self._last_s - WARM_UP_S:
                self._match(self._pipeline(frame).people, known.people)
            return known
        result = self._pipeline(frame)
        people = tuple(self._renamed(person) for person in result.people)
        people = tuple(sorted(people, key=lambda person: person.id))
        return FrameResult(result.index, result.timestamp_s, people, result.timings_ms, result.camera)

    def _match(self, new: tuple[Person, ...], old: tuple[Person, ...]) -> None:
        """Learn which number of the new run is which of the recording, from where the joints lie."""
        if not new or not old:
            return
        cost = np.array([[_distance(a, b) for b in old] for a in new])
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            if cost[i, j] < _SAME_PX:
                others = [key for key, value in self._ids.items() if value == old[j].id]
                for key in others:
                    del self._ids[key]
                self._ids[new[i].id] = old[j].id

    def _renamed(self, person: Person) -> Person:
        if person.id not in self._ids:
            self._ids[person.id] = self._next
            self._next += 1
        return Person(
            self._ids[person.id],
            *(getattr(person, name) for name in Person.__slots__ if name != "id"),
        )


def _distance(a: Person, b: Person) -> float:
    """Median distance of the joints that both have, in parts of the box; large where there are none."""
    both = (a.confidence_2d > 0) & (b.confidence_2d > 0)
    if not both.any():
        return 1e6
    size = float(np.hypot(b.box[2] - b.box[0], b.box[3] - b.box[1])) or 1.0
    return float(np.median(np.linalg.norm(a.joints_2d[both] - b.joints_2d[both], axis=1))) / size
