"""Runs source, network and recording beside the window and keeps them apart from it (threads; no Qt).

One thread each for capture (``reader.py``), inference (here) and recording (``recorder.py``); the network is loaded in
a thread of its own. Calls from the window return at once. Events are called in those threads; ``bridge.py`` turns them
into Qt signals.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from xnect.config import PipelineConfig
from xnect.errors import XnectError
from xnect.gui.engine_events import EngineEvents
from xnect.gui.parts import Facts, Parts, Pipeline, RecordingPlan, Source, SourceRequest
from xnect.gui.people import IdMap
from xnect.gui.reader import Packet, Reader, ReaderEvents, Transport
from xnect.gui.recorder import Recorder
from xnect.gui.review import Review
from xnect.gui.state import Rate, Shown, SourceInfo
from xnect.gui.text import tr
from xnect.structures import Camera, FrameResult

_log = logging.getLogger(__name__)

LOADING = "Loading the network… (the very first time takes up to a minute)"
#: Pipeline, commands for it, reader, and the generation whose file has ended.
_Job: TypeAlias = "tuple[Pipeline | None, list[Callable[[Pipeline], None]], Reader | None, int | None]"


class Engine:
    """Source, pipeline and recorder under one roof."""

    def __init__(self, parts: Parts, config: PipelineConfig, events: EngineEvents, ids: IdMap) -> None:
        self._parts = parts
        self._events = events
        self._ids = ids
        self._config = config
        self._cond = threading.Condition()
        self._commands: deque[Callable[[Pipeline], None]] = deque()
        self._pipeline: Pipeline | None = None
        self._replay: Pipeline | None = None
        self._camera: Camera | None = None
        self._open: tuple[SourceRequest, Facts] | None = None
        self._reader: Reader | None = None
        self._old: list[Reader] = []
        self._recorder: Recorder | None = None
        self._epoch: tuple[int, int] | None = None
        self._last: Packet | None = None
        self._previewed: Packet | None = None
        self._generation = 0
        self._at_end: int | None = None
        self._loading = 0
        self._rate = Rate()
        self._transport = Transport()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="xnect-inference", daemon=True)
        self._thread.start()

    # ---- source

    @property
    def generation(self) -> int:
        """Number of the source that is open now; what comes from older ones is stale."""
        return self._generation

    def open(self, request: SourceRequest, plan: RecordingPlan | None = None) -> None:
        """Leave the present source and open another; with a plan, record it from its first frame on."""
        self.stop_recording()
        with self._cond:
            old, self._reader = self._reader, None
            self._generation += 1
            generation = self._generation
            self._last = self._previewed = self._replay = None
        if old is not None:
            old.stop()
            self._old = [r for r in self._old if not r.join(0)] + [old]
        self._events.progress(tr("Opening {name}…").format(name=request.title or request.spec))
        events = ReaderEvents(self._opened, self._ended, self._unopened)
        reader = Reader(request, lambda r: self._parts.open_source(r, self._config), events, generation)
        reader.wake = self._wake
        keep = self._transport
        reader.control(lambda t: t.__dict__.update(playing=True, speed=keep.speed, loop=keep.loop))
        self._transport.playing = True
        with self._cond:
            self._reader = reader
        if plan is not None:
            self.start_recording(plan)
        reader.start()

    def _control(self, change: Callable[[Transport], None]) -> None:
        change(self._transport)
        self._transport.seek_s, self._transport.steps = None, 0
        if self._reader is not None:
            self._reader.control(change)
        self._wake()

    def play(self, playing: bool) -> None:
        """Play or pause a file."""
        self._control(lambda t: setattr(t, "playing", playing))

    def step(self, frames: int) -> None:
        """Show so many further frames of a paused file."""
        self._control(lambda t: setattr(t, "steps", t.steps + frames))

    def seek(self, time_s: float) -> None:
        """Go to a time of a file [s]."""
        self._control(lambda t: setattr(t, "seek_s", max(0.0, time_s)))

    def set_speed(self, speed: float) -> None:
        """Pace of files: 1 = as recorded, 0 = as fast as the network goes."""
        self._control(lambda t: setattr(t, "speed", speed))

    def set_loop(self, loop: bool) -> None:
        """Whether a file starts again at its end."""
        self._control(lambda t: setattr(t, "loop", loop))

    # ---- pipeline

    @property
    def ready(self) -> bool:
        """Whether the network is loaded."""
        return self._pipeline is not None

    def load(self, config: PipelineConfig) -> None:
        """Load the network for these settings; the present one goes on until the new one is ready."""
        with self._cond:
            self._config = config
            self._loading += 1
            ticket = self._loading
        self._events.progress(tr(LOADING))
        threading.Thread(target=self._load, args=(config, ticket), name="xnect-loader", daemon=True).start()

    def _load(self, config: PipelineConfig, ticket: int) -> None:
        try:
            pipeline = self._parts.make_pipeline(config)
        except Exception as error:  # noqa: BLE001 - anything that a driver or a weights file can throw
            text = str(error) if isinstance(error, XnectError) else f"{type(error).__name__}: {error}"
            _log.warning("the network could not be loaded: %s", text)
            if ticket == self._loading and not self._stop:
                details = "" if isinstance(error, XnectError) else traceback.format_exc()
                self._events.failed(tr("The network could not be loaded"), text, details)
                self._events.progress("")
            return
        with self._cond:
            if ticket != self._loading or self._stop:
                return
            self._pipeline = pipeline
            self._epoch = None
            now = self._config
            self._commands.append(lambda p: p.reconfigure(now))
            self._commands.append(self._use_camera)
            self._cond.notify_all()
        self._events.progress("")

    def need_network(self) -> None:
        """Load the network unless that was asked for already."""
        if self._pipeline is None and not self._loading:
            self.load(self._config)

    def configure(self, config: PipelineConfig) -> None:
        """New settings with live effect; another device, size or weights load the network anew."""
        with self._cond:
            old, self._config = self._config, config
        if config.network != old.network or config.static_images != old.static_images:
            if self._loading:
                self.load(config)
            return
        self._command(lambda p: p.reconfigure(config))
        if config.camera.calibration != old.camera.calibration:
            self._command(self._use_camera)

    def _use_camera(self, pipeline: Pipeline) -> None:
        """Tell the pipeline what is measured of the open source's camera (in the inference thread)."""
        if self._open is not None:
            pipeline.use_camera(self._parts.camera_of(self._config, *self._open), self._open[1].live)

    def reset_people(self) -> None:
        """Forget everyone."""
        self._command(lambda p: p.reset())

    def refresh(self) -> None:
        """Show a paused frame again (its recording was mended)."""
        self._command(lambda p: None)

    @property
    def review(self) -> Review | None:
        """The recording under review, None where the source is none."""
        return getattr(self._replay, "review", None)

    def rescale(self) -> None:
        """Measure everyone's bones again."""
        self._command(lambda p: p.rescale())

    def _command(self, command: Callable[[Pipeline], None]) -> None:
        with self._cond:
            self._commands.append(command)
            self._cond.notify_all()

    # ---- recording

    def start_recording(self, plan: RecordingPlan) -> None:
        """Record from the next frame on."""
        reader = self._reader
        self.stop_recording()
        self._recorder = Recorder(
            plan,
            lambda: reader.info if reader is not None else SourceInfo(),
            self._config,
            self._parts,
            self._events.recording,
        )

    def stop_recording(self) -> None:
        """Take no more frames; the files are closed in the recorder's thread."""
        recorder = self._recorder
        if recorder is not None:
            recorder.stop()

    def _end_take_at_jump(self) -> None:
        """A take's time never jumps; a camera that was away for a while keeps its time."""
        live = self._reader is not None and self._reader.info.live
        if not live and self._recorder is not None and self._recorder.begun:
            self.stop_recording()

    @property
    def lost(self) -> str:
        """Why a live source gives no pictures just now; empty = they come."""
        return self._reader.lost if self._reader is not None else ""

    @property
    def recording(self) -> bool:
        """Whether frames are being recorded."""
        return self._recorder is not None and self._recorder.active

    # ---- end

    def close(self, timeout_s: float = 0.8, recording_s: float = 20.0) -> bool:
        """End all threads; a recording is finished first. True where everything ended in time."""
        self.stop_recording()
        with self._cond:
            self._stop = True
            self._cond.notify_all()
        readers = [r for r in [self._reader, *self._old] if r is not None]
        for reader in readers:
            reader.stop()
        until = time.monotonic() + timeout_s
        clean = self._recorder is None or self._recorder.join(recording_s)
        self._thread.join(max(0.05, until - time.monotonic()))
        ended = [r.join(max(0.05, until - time.monotonic())) for r in readers]
        return all(ended) and clean and not self.alive

    @property
    def alive(self) -> bool:
        """Whether the inference thread still runs."""
        return self._thread.is_alive()

    # ---- events of the reader (in its thread)

    def _opened(self, info: SourceInfo, source: Source, generation: int) -> None:
        with self._cond:
            reader = self._reader
            if generation != self._generation or reader is None:
                return
            self._camera = source.camera
            self._open = reader.request, source.info
            self._replay = getattr(source, "replay", None)
            if self._pipeline is not None:
                self._commands.append(self._use_camera)
            loading = self._pipeline is None and self._replay is None
            self._cond.notify_all()
        self._events.progress(tr(LOADING) if loading else "")
        self._events.opened(info, generation)

    def _ended(self, generation: int) -> None:
        with self._cond:  # told by the inference thread, after the last frame went through it
            self._at_end = generation
            self._cond.notify_all()

    def _unopened(self, why: str, generation: int) -> None:
        if generation == self._generation:
            self.stop_recording()
            self._events.progress("")
            self._events.failed(tr("The source cannot be read"), why, "")

    def _wake(self) -> None:
        with self._cond:
            self._cond.notify_all()

    # ---- the inference thread

    def _run(self) -> None:
        while (job := self._next()) is not None:
            pipeline, commands, reader, at_end = job
            if at_end is not None and at_end == self._generation:
                self._transport.playing = False
                self._events.ended()
            if pipeline is None:
                self._preview(reader)
                continue
            try:
                for command in commands:
                    self._obey(command, self._pipeline or pipeline)
                packet = reader.take() if reader is not None else None
                if packet is not None:
                    self._process(pipeline, packet)
                elif commands and self._last is not None and not self._transport.playing:
                    self._process(pipeline, self._last, again=True)
            except Exception as error:  # noqa: BLE001 - a worker's outermost loop: the window must live on
                self._broke(error)

    def _obey(self, command: Callable[[Pipeline], None], pipeline: Pipeline) -> None:
        """A setting that cannot be used is told; the pipeline goes on as it was."""
        try:
            command(pipeline)
        except XnectError as error:
            self._events.failed(tr("That setting cannot be used"), str(error), "")

    def _next(self) -> _Job | None:
        """Wait for something to do; None = the end."""
        with self._cond:
            while (wait_s := self._wait_s()) != 0.0:
                self._cond.wait(wait_s)
            if self._stop:
                return None
            at_end, self._at_end = self._at_end, None
            pipeline = self._replay or self._pipeline
            commands = list(self._commands) if pipeline is not None else []
            if pipeline is not None:
                self._commands.clear()
            return pipeline, commands, self._reader, at_end

    def _wait_s(self) -> float | None:
        """Seconds until there is something to do; 0 = now, None = until somebody calls."""
        if self._stop or self._at_end is not None:
            return 0.0
        reader = self._reader
        if (self._replay or self._pipeline) is None:
            waiting = reader.peek() if reader is not None else None
            return 0.0 if waiting is not None and waiting is not self._previewed else None
        if self._commands:
            return 0.0
        return reader.ready_in() if reader is not None else None

    def _preview(self, reader: Reader | None) -> None:
        """While the network loads: the picture without people; a file waits with its first one."""
        if reader is None:
            return
        packet = reader.take() if reader.info.live else reader.peek()
        self._previewed = packet
        camera = self._camera
        if packet is None or camera is None or packet.generation != self._generation:
            return
        result = FrameResult(packet.frame.index, packet.frame.timestamp_s, (), {}, camera)
        self._events.shown(Shown(packet.frame, result, None, 0.0, 0.0, packet.dropped, packet.generation))

    def _process(self, pipeline: Pipeline, packet: Packet, again: bool = False) -> None:
        if packet.generation != self._generation:
            return
        epoch = (packet.generation, packet.epoch)
        if epoch != self._epoch:
            if self._epoch is not None:
                pipeline.reset()
                self._end_take_at_jump()
            self._epoch = epoch
        result = self._ids.apply(pipeline(packet.frame))
        self._last = packet
        recorder, reader = self._recorder, self._reader
        current = reader is not None and reader.is_current(packet)
        if recorder is not None and recorder.active and not again and current:
            recorder.put(packet.frame, result)
        if self._parts.publish is not None and not again and current:
            self._parts.publish(result)
        now = time.perf_counter()
        latency_ms = 0.0 if again else (now - packet.arrived_s) * 1000
        if packet.generation == self._generation:
            maps, fps = pipeline.last_maps, self._rate.tick(now)
            self._events.shown(Shown(packet.frame, result, maps, latency_ms, fps, packet.dropped, packet.generation))

    def _broke(self, error: Exception) -> None:
        """The pipeline threw: close the recording, drop the pipeline, tell the user."""
        _log.exception("the pipeline broke")
        details = traceback.format_exc()
        self.stop_recording()
        with self._cond:
            self._pipeline = None
            self._commands.clear()
            self._previewed = self._last
        text = str(error) if isinstance(error, XnectError) else f"{type(error).__name__}: {error}"
        self._events.failed(tr("The pose estimation stopped"), text, details)
