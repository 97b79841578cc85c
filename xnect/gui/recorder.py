"""The recording thread of the window: frames and results go to the writers, nothing is dropped (no Qt)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from xnect.config import PipelineConfig
from xnect.errors import XnectError
from xnect.gui.parts import Parts, RecordingPlan, Sink
from xnect.gui.state import RecordingStatus, SourceInfo
from xnect.gui.text import tr
from xnect.structures import Frame, FrameResult

_log = logging.getLogger(__name__)

#: Results that may wait for the disk; when full, the network waits (nothing recorded is ever dropped).
QUEUE = 16


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    try:
        for path in folder.rglob("*"):
            if path.is_file():
                total += path.stat().st_size
    except OSError:
        pass
    return total


def only_person(result: FrameResult, person_id: int | None) -> FrameResult:
    """The result with just one person (None = everyone)."""
    if person_id is None:
        return result
    people = tuple(p for p in result.people if p.id == person_id)
    return FrameResult(result.index, result.timestamp_s, people, result.timings_ms, result.camera)


class Recorder:
    """One take, from the first frame to the closed files."""

    def __init__(
        self,
        plan: RecordingPlan,
        source: Callable[[], SourceInfo],
        config: PipelineConfig,
        parts: Parts,
        tell: Callable[[RecordingStatus], None],
    ) -> None:
        self._plan, self._source, self._config = plan, source, config
        self._parts = parts
        self._tell = tell
        self._queue: queue.Queue[tuple[Frame, FrameResult] | None] = queue.Queue(QUEUE)
        self._done = threading.Event()
        self._stopping = self._begun = False
        self._status = RecordingStatus("recording", folder=str(plan.folder))
        self._first_s: float | None = None
        self._sized_s = 0.0
        self._thread = threading.Thread(target=self._run, name="xnect-recorder", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether frames are still taken."""
        return not self._stopping and not self._done.is_set()

    @property
    def begun(self) -> bool:
        """Whether a frame was taken."""
        return self._begun

    def put(self, frame: Frame, result: FrameResult) -> None:
        """Hand over one frame; waits while the disk is behind."""
        self._begun = True
        while self.active:
            try:
                self._queue.put((frame, result), timeout=0.1)
                return
            except queue.Full:
                continue

    def stop(self) -> None:
        """No more frames; what waits is written and the files are closed in the thread."""
        if self._stopping:
            return
        self._stopping = True
        while not self._done.is_set():
            try:
                self._queue.put(None, timeout=0.05)
                return
            except queue.Full:
                continue

    def join(self, timeout_s: float) -> bool:
        """Wait until all files are closed."""
        return self._done.wait(timeout_s)

    # ---- in the thread

    def _run(self) -> None:
        sink: Sink | None = None
        error = ""
        try:
            while (item := self._queue.get()) is not None:
                frame, result = item
                result = only_person(result, self._plan.only)
                if sink is None:
                    sink, folder = self._parts.open_sink(self._plan, self._source(), self._config, frame, result)
                    self._status = RecordingStatus("recording", folder=str(folder))
                sink.write(frame, result)
                self._progress(frame)
                if self._plan.limit_s and self._status.elapsed_s >= self._plan.limit_s:
                    self._stopping = True
                    break
        except XnectError as problem:
            error = str(problem)
        except OSError as problem:
            error = tr("The recording stopped: {why}").format(why=problem.strerror or problem)
        except Exception as problem:  # noqa: BLE001 - a worker's outermost loop: the window must live on
            _log.exception("the recording broke")
            error = tr("The recording stopped: {why}").format(why=f"{type(problem).__name__}: {problem}")
        self._finish(sink, error)

    def _finish(self, sink: Sink | None, error: str) -> None:
        self._publish("finishing", error)
        try:
            if sink is not None:
                sink.close()
        except Exception as problem:  # noqa: BLE001 - as above
            _log.exception("closing the recording failed")
            error = error or tr("The recording could not be finished: {why}").format(why=problem)
        self._publish("idle", error)
        self._done.set()

    def _progress(self, frame: Frame) -> None:
        if self._first_s is None:
            self._first_s = frame.timestamp_s
        status = self._status
        size, now = status.size_bytes, time.monotonic()
        if now - self._sized_s > 1.0:
            size, self._sized_s = folder_size(Path(status.folder)), now
        elapsed = frame.timestamp_s - self._first_s
        self._status = RecordingStatus("recording", 0.0, elapsed, status.frames + 1, size, status.folder)
        self._tell(self._status)

    def _publish(self, phase: str, error: str) -> None:
        s = self._status
        size = folder_size(Path(s.folder)) if phase == "idle" and s.frames else s.size_bytes
        self._status = RecordingStatus(phase, 0.0, s.elapsed_s, s.frames, size, s.folder, error)
        self._tell(self._status)
