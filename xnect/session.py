"""Threads and bounded queues around the pipeline: capture, Stage I, the other stages and writing run side by side."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from xnect.config import PipelineConfig
from xnect.structures import Camera, Frame, FrameResult

if TYPE_CHECKING:
    from xnect.capture.source import Source
    from xnect.pipeline import MotionCapture, Seen

_log = logging.getLogger(__name__)

READ_AHEAD = 2  # decoded frames that wait for the network: one would do, two even out slow key frames
WRITE_BEHIND = 4  # results that wait for the disk: a few, so that one slow write does not stop the network
POLL_S = 0.05  # how soon a stop is noticed
STOP_LIMIT_S = 30.0  # closing writers may have to finish a video

Pipeline = Callable[[Frame], FrameResult]
OnResult = Callable[[Frame, FrameResult], None]


class TwoHalves(Protocol):
    """A pipeline whose first half (``detect``, no memory) may work on the next frames while the second completes one.

    Attributes:
        detectors_at_once: So many threads may be in ``detect``.
    """

    @property
    def detectors_at_once(self) -> int:
        """So many threads may be in ``detect``."""
        ...

    def detect(self, frame: Frame) -> Any:
        """The first half."""
        ...

    def complete(self, seen: Any) -> FrameResult:
        """The second half; called in the order of the frames."""
        ...


class Sink(Protocol):
    """Where results go."""

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take one frame's result; frames come in order."""
        ...

    def close(self) -> None:
        """Finish: after this the files are whole."""
        ...


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What a session did.

    Attributes:
        frames: Frames computed.
        dropped: Frames of a live source that came faster than they were taken.
        skipped: Damaged frames.
        elapsed_s: Time from start to end [s].
        stopped: True where it was stopped before the source ended.
    """

    frames: int
    dropped: int
    skipped: int
    elapsed_s: float
    stopped: bool


class LazyPipeline:
    """The motion capture pipeline, imported and built when it is first asked for something.

    That takes seconds; a wrong source or folder is found out before.
    """

    def __init__(self, config: PipelineConfig, camera: Camera | None = None) -> None:
        self._config = config
        self._camera, self._live = camera, False
        self._built: MotionCapture | None = None

    def build(self, frame_px: tuple[int, int] | None = None) -> MotionCapture:
        """The ``MotionCapture`` behind it; built on the first call, ready for frames of this size [px].

        Raises:
            WeightsError, ConfigError: As its constructor.
        """
        if self._built is None:
            from xnect.pipeline import MotionCapture

            self._built = MotionCapture.from_config(self._config, self._camera)
            self._built.use_camera(self._camera, self._live)
            _log.info("2D joints: %s", self._built.description)
            _log.info("getting ready (the very first run compiles for half a minute)")
            self._built.warm_up(frame_px)
        return self._built

    def __call__(self, frame: Frame) -> FrameResult:
        """The people in one frame."""
        return self.build()(frame)

    @property
    def detectors_at_once(self) -> int:
        """So many threads may be in ``detect`` at once."""
        return self.build().detectors_at_once

    def detect(self, frame: Frame) -> Seen:
        """The first half: people in 2D."""
        return self.build().detect(frame)

    def complete(self, seen: Seen) -> FrameResult:
        """The second half: 3D, identity, skeleton."""
        return self.build().complete(seen)

    def use_camera(self, camera: Camera | None, live: bool = False) -> None:
        """Take the camera of a new source, and forget the people of the old one."""
        self._camera, self._live = camera, live
        if self._built is not None:
            self._built.use_camera(camera, live)


class Session:
    """One source through one pipeline into any number of sinks.

    Files: every frame, in order; reading, computing and writing wait for each other. Live sources: the newest frame
    wins, the source counts what is dropped. An error of any thread ends the session, closes the sinks and is raised
    by ``run`` (or ``join``). A pipeline in two halves has them in threads of their own: while a frame is completed, the
    next ones (as many as the network takes at once) are with Stage I already; results are the same to the last bit.
    """

    def __init__(self, source: Source, pipeline: Pipeline, sinks: Sequence[Sink] = ()) -> None:
        self._source = source
        self._pipeline = pipeline
        # by the type: asking a lazy pipeline itself would build it
        in_two = callable(getattr(type(pipeline), "complete", None))
        self._halves = cast(TwoHalves, pipeline) if in_two else None
        self._sinks = tuple(sinks)
        self._frames: queue.Queue[Frame | None] = queue.Queue(READ_AHEAD)
        self._results: queue.Queue[tuple[Frame, FrameResult] | None] = queue.Queue(WRITE_BEHIND)
        self._seen: queue.Queue[tuple[Frame, Future[Any]] | None] = queue.Queue()  # bounded by _room
        self._room = threading.Semaphore(0)
        self._taking = threading.Lock()
        self._taken = False  # the source has no more frames for Stage I
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._started_s = 0.0
        self._computed = 0
        self._ended = False  # the source came to its end by itself

    @property
    def computed(self) -> int:
        """Frames computed so far."""
        return self._computed

    def run(self, on_result: OnResult | None = None, stop: threading.Event | None = None) -> SessionReport:
        """Work until the source ends, ``stop`` is set, or something fails.

        Args:
            on_result: Called after each frame, in the computing thread; keep it short.
            stop: Set from outside (a signal, a button) to end early; what was computed is still written.

        Raises:
            XnectError: What made it fail; any other exception of a worker as it is.
        """
        self.start(on_result)
        try:
            while any(thread.is_alive() for thread in self._threads):
                if stop is not None and stop.is_set():
                    return self.stop()
                self._threads[-1].join(POLL_S)
        except BaseException:
            self._halt()
            raise
        return self.join()

    def start(self, on_result: OnResult | None = None) -> None:
        """Start the threads and return at once."""
        if self._threads:
            raise RuntimeError("a session runs once; make a new one")
        self._started_s = time.perf_counter()
        jobs: list[tuple[str, Callable[[], None]]] = [("compute", lambda: self._compute(on_result))]
        if self._halves is not None:
            frames = self._all_frames()
            for _ in range(self._halves.detectors_at_once):
                self._room.release()
                jobs.insert(0, ("detect", lambda: self._detect(frames)))
            self._room.release()  # and one that is being completed
        if not self._source.info.live:
            jobs.insert(0, ("read", self._read))
        jobs.append(("write", self._write))
        for name, job in jobs:
            thread = threading.Thread(target=self._guarded, args=(job,), name=f"xnect-{name}", daemon=True)
            self._threads.append(thread)
        for thread in reversed(self._threads):  # takers first: a giver asks whether its taker lives
            thread.start()

    def stop(self, timeout_s: float = STOP_LIMIT_S) -> SessionReport:
        """End early and wait until what was computed is written.

        Raises:
            TimeoutError: The threads did not end in time.
        """
        self._halt()
        return self.join(timeout_s)

    def join(self, timeout_s: float | None = None) -> SessionReport:
        """Wait for the end; raises what made the session fail, or TimeoutError."""
        deadline = None if timeout_s is None else time.perf_counter() + timeout_s
        for thread in self._threads:
            thread.join(None if deadline is None else max(deadline - time.perf_counter(), 0.0))
        hanging = [thread.name for thread in self._threads if thread.is_alive()]
        if self._error is not None:
            raise self._error
        if hanging:
            raise TimeoutError(f"{', '.join(hanging)} did not end within {timeout_s} s")
        elapsed = time.perf_counter() - self._started_s
        return SessionReport(self._computed, self._source.dropped, self._source.skipped, elapsed, not self._ended)

    def _halt(self) -> None:
        self._stop.set()
        self._source.close()

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - a worker's error belongs to the caller, whatever it is
            _log.debug("%s failed", threading.current_thread().name, exc_info=True)
            if self._error is None:
                self._error = error
            self._halt()

    def _put(self, target: queue.Queue[Any], item: Any) -> bool:
        """Put, waiting for room; False when the session is to stop."""
        while not self._stop.is_set():
            try:
                target.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def _read(self) -> None:
        try:
            for frame in self._source:
                if not self._put(self._frames, frame):
                    return
        except BaseException as error:  # noqa: BLE001 - told at the end: what was read before is still computed
            self._error = self._error or error
        finally:
            self._put(self._frames, None)

    def _next_frame(self) -> Frame | None:
        while not self._stop.is_set():
            try:
                return self._frames.get(timeout=POLL_S)
            except queue.Empty:
                continue
        return None

    def _all_frames(self) -> Iterator[Frame]:
        return iter(self._source) if self._source.info.live else iter(self._next_frame, None)

    def _detect(self, frames: Iterator[Frame]) -> None:
        """Stage I of one frame after the other; several threads take turns, and their frames keep their order.

        A frame is taken only when there is room for it: what waits is as fresh as it can be.
        """
        assert self._halves is not None
        while not self._stop.is_set():
            if not self._room.acquire(timeout=POLL_S):
                continue
            with self._taking:
                frame = None if self._taken or self._stop.is_set() else self._take(frames)
                if frame is None:
                    if not self._taken:
                        self._taken = True
                        self._seen.put(None)
                    self._room.release()  # for the other detecting threads, which are to end too
                    return
                found: Future[Any] = Future()
                self._seen.put((frame, found))
            try:
                found.set_result(self._halves.detect(frame))
            except BaseException as error:  # noqa: BLE001 - raised in its turn, after the frames before it
                found.set_exception(error)

    def _take(self, frames: Iterator[Frame]) -> Frame | None:
        try:
            return next(frames, None)
        except BaseException:
            self._taken = True
            self._seen.put(None)
            raise

    def _results_in_order(self) -> Iterator[tuple[Frame, FrameResult]]:
        """Frames and results, whichever way the pipeline works."""
        if self._halves is None:
            for frame in self._all_frames():
                if self._stop.is_set():
                    return
                yield frame, self._pipeline(frame)
            return
        while not self._stop.is_set():
            try:
                item = self._seen.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if item is None:
                return
            frame, found = item
            while not wait([found], POLL_S).done:
                if self._stop.is_set():
                    return
            result = self._halves.complete(found.result())
            self._room.release()
            yield frame, result

    def _compute(self, on_result: OnResult | None) -> None:
        try:
            for frame, result in self._results_in_order():
                self._computed += 1
                self._put_while_written((frame, result))
                if on_result is not None:
                    on_result(frame, result)
            self._ended = not self._stop.is_set()
        finally:
            self._put_while_written(None)

    def _put_while_written(self, item: tuple[Frame, FrameResult] | None) -> None:
        """Give a result to the writer; what is computed gets written even when the session is to stop."""
        while self._threads[-1].is_alive():
            try:
                return self._results.put(item, timeout=POLL_S)
            except queue.Full:
                continue
        return None

    def _write(self) -> None:
        try:
            while (item := self._results.get()) is not None:
                for sink in self._sinks:
                    sink.write(*item)
        except BaseException:
            self._stop.set()
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self._close_sinks()
            raise
        self._close_sinks()

    def _close_sinks(self) -> None:
        first: BaseException | None = None
        for sink in self._sinks:
            try:
                sink.close()
            except BaseException as error:  # noqa: BLE001 - the other sinks must be closed too
                first = first or error
        if first is not None:
            raise first
