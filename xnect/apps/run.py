"""``xnect run``: from the options to a window, or to recordings without one."""

from __future__ import annotations

import contextlib
import logging
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from xnect.apps import folders, signals
from xnect.apps.options import build_parser, dashed
from xnect.apps.progress import Progress
from xnect.apps.settings import Settings, gather, show
from xnect.config import RunConfig
from xnect.errors import ConfigError, OutputError, SourceError, WeightsError, XnectError
from xnect.resources import resource
from xnect.session import LazyPipeline, Pipeline, Session, SessionReport, Sink
from xnect.structures import Frame, FrameResult

if TYPE_CHECKING:
    from xnect.capture.source import Source, SourceInfo
    from xnect.formats.header import RecordingHeader
    from xnect.streams import Streams
    from xnect.structures import Camera

_log = logging.getLogger(__name__)

DEMO_CLIP = "demo.mp4"
VIDEO_ENDINGS = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".mts",
        ".m2ts",
        ".ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked on the command line.

    Attributes:
        settings: The settings and where they come from.
        list_cameras: Only show the cameras.
        print_config: Only show the settings.
        classify: Path to classify, "" = the source; None = not asked.
        backbone: Network for it.
        topk: How many answers.
    """

    settings: Settings
    list_cameras: bool = False
    print_config: bool = False
    classify: str | None = None
    backbone: str | None = None
    topk: int = 5


def parse(argv: Sequence[str], prog: str = "xnect run") -> Request:
    """The command line as a request; wrong usage exits with 2, as argparse does.

    Raises:
        ConfigError: A settings file is wrong, or a value is out of range.
    """
    given: dict[str, Any] = vars(build_parser(prog).parse_args(dashed(argv)))
    names = ("list_cameras", "print_config", "classify", "backbone", "topk")
    actions: dict[str, Any] = {name: given.pop(name) for name in names if name in given}
    config_file = given.pop("config", None)
    return Request(gather({name.replace("_", "-"): value for name, value in given.items()}, config_file), **actions)


def main(argv: Sequence[str], prog: str = "xnect run") -> int:
    """Run; returns the exit code. Raises XnectError for what the user can mend."""
    request = parse(argv, prog)
    config = request.settings.config
    if request.print_config:
        sys.stdout.write(show(request.settings))
        return 0
    from xnect.apps import logs

    logs.set_up(config.log.level, config.log.file)
    if not request.list_cameras and request.classify is None:
        check_paths(config)
    from xnect.capture import opencv

    opencv.silence()
    random.seed(config.seed)
    np.random.seed(config.seed)  # noqa: NPY002 - whatever a library draws from the old global generator
    if request.list_cameras:
        from xnect.apps.cameras import print_cameras

        return print_cameras()
    if request.classify is not None:
        from xnect.apps.classify import classify

        return classify(request.classify, config, request.backbone, request.topk)
    config = with_source(config)
    if config.ray is not None:
        from xnect.apps.cluster import run_on_ray

        return run_on_ray(config)
    if config.output.display and can_show():
        return open_window(config)
    return run_headless(config)


def with_source(config: RunConfig) -> RunConfig:
    """The settings with the bundled clip as the source where none is named, and patterns in names filled in.

    Raises:
        SourceError: The clip is not there.
    """
    source = config.source
    if source.camera is None and not source.video and source.image_dir is None:
        return replace(config, source=replace(source, video=(str(demo_clip()),)))
    videos = tuple(found for name in source.video for found in _expand(name))
    if config.pipeline.network.target_fps is not None and videos and not any("://" in name for name in videos):
        raise ConfigError("--target-fps is for cameras and addresses: files wait for the network")
    return replace(config, source=replace(source, video=videos))


def _expand(name: str) -> list[str]:
    """``clips/*.mp4`` (for shells that do not fill in patterns) and folders -> the videos, in natural order."""
    path = Path(name)
    if path.is_dir():
        inside = [str(p) for p in path.iterdir() if p.suffix.lower() in VIDEO_ENDINGS and not p.name.startswith(".")]
        if not inside:
            raise SourceError(f"no videos in the folder {name} (for pictures there is --image-dir)")
        return sorted(inside, key=_natural)
    if not any(sign in path.name for sign in "*?[") or path.exists() or "://" in name:
        return [name]
    found = sorted((str(p) for p in path.parent.glob(path.name) if p.is_file()), key=_natural)
    if not found:
        raise SourceError(f"no file fits {name}")
    return found


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """``take9`` before ``take10``."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def check_paths(config: RunConfig) -> None:
    """Refuse paths that are not there before anything that takes seconds is imported.

    Raises:
        SourceError, WeightsError: The first path that is missing.
    """
    source, weights = config.source, config.pipeline.network.weights
    if source.image_dir is not None and not Path(source.image_dir).exists():
        raise SourceError(f"no such folder: {source.image_dir}")
    if weights is not None and not Path(weights).is_file():
        raise WeightsError(f"cannot read weights {weights}: no such file")
    if len(source.video) == 1:  # of several, the others are still worth doing
        name = source.video[0]
        plain = "://" not in name and not name.startswith("synthetic") and not any(sign in name for sign in "*?[")
        if plain and not Path(name).exists():
            raise SourceError(f"no such file: {name}")


def demo_clip() -> Path:
    """The clip that comes with the program; raises SourceError where it is missing."""
    try:
        return resource(DEMO_CLIP)
    except XnectError as error:
        raise SourceError(
            f"no source given, and the bundled clip assets/{DEMO_CLIP} is missing; give --video, --camera or --image-dir"
        ) from error


def can_show() -> bool:
    """Whether a window can be opened; one line says why where that is not plain."""
    from xnect.apps.display import missing_parts
    from xnect.gui.display import has_display

    if not has_display():
        _log.info("no display: going on without a window")
        return False
    missing = missing_parts()
    if missing:
        _log.warning("no window: %s; going on without one", missing)
        return False
    return True


def open_window(config: RunConfig) -> int:
    """The window; returns its exit code."""
    from xnect.gui.app import main as window

    return int(window(config))


def _open_streams(config: RunConfig) -> Streams:
    """The live streams that are asked for; raises StreamError."""
    from xnect.streams import open_streams

    return open_streams(config.stream, config.pipeline.detection.max_people)


def run_headless(config: RunConfig, pipeline: LazyPipeline | None = None) -> int:
    """Record without a window, one source after the other; returns the exit code.

    Args:
        config: The settings, with a source.
        pipeline: What finds the people; None = our own.

    Raises:
        XnectError: The only source, or the output, fails.
    """
    pipeline = pipeline or LazyPipeline(with_mode(config).pipeline)
    videos: list[str | None] = list(config.source.video) or [None]
    names = _names(config, videos)
    failed = 0
    with signals.caught() as stop, _open_streams(config) as streams:
        run = _Run(config, pipeline, stop, streams)
        for video, target in zip(videos, names, strict=True):
            try:
                with stop.taken():
                    _one(run, lambda video=video: _open(config, video), target)  # type: ignore[misc]
            except (SourceError, OutputError) as error:
                if len(videos) == 1:
                    raise
                failed += 1
                _log.error("%s", error)
            if stop.code:
                return stop.tell()
    if failed:
        raise SourceError(f"{failed} of {len(videos)} videos failed")
    return 0


def with_mode(config: RunConfig) -> RunConfig:
    """The settings with mode "auto" decided: throughput where all that is read is files, which can be read ahead."""
    network = config.pipeline.network
    if network.mode != "auto":
        return config
    files = bool(config.source.video) and not any("://" in name for name in config.source.video)
    network = replace(network, mode="throughput" if files or config.source.image_dir is not None else "latency")
    return replace(config, pipeline=replace(config.pipeline, network=network))


def _names(config: RunConfig, videos: Sequence[str | None]) -> list[Path | None]:
    """The output folder of each video; None = chosen when the source's name is known."""
    base = None if config.output.directory is None else Path(config.output.directory)
    if len(videos) == 1:
        return [base]
    if base is None and not (config.output.overwrite or config.output.resume):
        return [None] * len(videos)
    names = folders.sub_folders(Path(str(video)).stem for video in videos)
    return [(base or folders.DEFAULT_FOLDER) / name for name in names]


def _open(config: RunConfig, video: str | None) -> Source:
    from xnect.capture import open_configured

    return open_configured(config.source, config.pipeline.camera, video)


class Buildable(Protocol):
    """A pipeline that is made ready when the source is known (``LazyPipeline``)."""

    def build(self, frame_px: tuple[int, int] | None = None) -> object:
        """Load what it needs, ready for frames of this size [px]; raises WeightsError, ConfigError."""
        ...

    def use_camera(self, camera: Camera | None, live: bool = False) -> None:
        """Take the camera of a source, live or not, and forget the people of the one before."""
        ...

    def __call__(self, frame: Frame) -> FrameResult:
        """The people in one frame."""
        ...


def record(
    config: RunConfig,
    open_one: Callable[[], Source],
    target: Path | None,
    stop: signals.Stop,
    pipeline: Buildable,
) -> None:
    """One source through a pipeline into a folder, and into the live streams that are asked for.

    Args:
        config: The settings.
        open_one: Opens the source.
        target: The folder; None = one named after the source.
        stop: Ends it early.
        pipeline: What finds the people.

    Raises:
        XnectError: The source or the output fails.
    """
    with _open_streams(config) as streams:
        _one(_Run(config, pipeline, stop, streams), open_one, target)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all sources of one run share."""

    config: RunConfig
    pipeline: Buildable
    stop: signals.Stop
    streams: Streams

    @property
    def streams_only(self) -> bool:
        """Whether nothing is recorded: a stream was asked for, and no folder."""
        output = self.config.output
        return bool(self.streams) and output.directory is None and not (output.overwrite or output.resume)


def _one(run: _Run, open_one: Callable[[], Source], target: Path | None) -> None:
    """One source: recorded, streamed, or both."""
    from xnect.apps import recording

    config = run.config
    with open_one() as source:
        _log.debug("loading the network")
        if run.streams_only:
            _get_ready(run, source)
            with run.stop.while_recording("stopped"):  # a signal ends the session instead of the program
                header = recording.recording_header(source.info, source.camera, config)
                _log.info("%s: %s, streaming only (--output DIR records too)", source.info.name, _pace(source.info))
                _session(run, source, run.pipeline, header, ())
            return
        folder = target or _default_folder(config, source.info.name)
        if _record(run, source, folder):
            with contextlib.suppress(BrokenPipeError):
                print(folder, flush=True)


def _get_ready(run: _Run, source: Source) -> None:
    # Without a calibration the pipeline works the camera out itself, for pictures that differ in size as well.
    run.pipeline.use_camera(source.camera if run.config.pipeline.camera.calibration else None, source.info.live)
    run.pipeline.build(source.info.size_px)


def _record(run: _Run, source: Source, folder: Path) -> bool:
    """One source through the pipeline into its folder; False where it is there already."""
    from xnect.apps import recording
    from xnect.formats.writer import open_writers

    config, info = run.config, source.info
    if config.output.resume:
        if info.live:
            raise ConfigError("--resume goes on with files; a camera's or an address's past is gone")
        if recording.is_complete(folder, config, info):
            _log.info("%s: complete already", folder)
            return False
    refuses = not (config.output.resume or config.output.overwrite)
    if refuses:
        folders.refuse_results(folder)
    folders.refuse_source(folder, info.uri)
    _get_ready(run, source)  # before the folder is touched: without weights nothing is to be left behind
    with run.stop.while_recording(), folders.claimed(folder):
        if refuses:  # somebody may have been quicker
            folders.refuse_results(folder)
        earlier = recording.set_aside(folder) if config.output.resume else None
        folders.prepare(folder)
        folders.check_space(folder)
        process = recording.Resumed(run.pipeline, earlier) if earlier is not None else run.pipeline
        header = recording.recording_header(info, source.camera, config)
        _log.info("%s: %dx%d, %s -> %s", info.name, *info.size_px, _pace(info), folder)
        sink = recording.WithLog(open_writers(folder, config.output.formats, header))
        report = _session(run, source, process, header, [sink])
    if earlier is not None and not report.stopped:
        recording.done_with(folder)
    return True


def _session(
    run: _Run, source: Source, process: Pipeline, header: RecordingHeader, sinks: Sequence[Sink]
) -> SessionReport:
    """All frames of one source, told when they are through."""
    from xnect.streams.pace import Paced

    info = source.info
    run.streams.describe(header)
    if run.streams and not info.live and run.config.stream.pace == "source":
        process = Paced(process, run.stop.event)
    with Progress(source, info.name, quiet=run.config.log.level in ("warning", "error")) as progress:

        def on_result(frame: Frame, result: FrameResult) -> None:
            run.streams.send(result)
            progress(frame, result)

        report = Session(source, process, sinks).run(on_result, run.stop.event)
    rate = report.frames / report.elapsed_s if report.elapsed_s else 0.0
    lost = ((report.dropped, "dropped"), (report.skipped, "damaged"), (run.streams.dropped, "not streamed"))
    extras = [f"{count} {what}" for count, what in lost if count]
    _log.info("%s: %d frames, %.1f fps%s", info.name, report.frames, rate, "".join(f", {e}" for e in extras))
    return report


def _default_folder(config: RunConfig, name: str) -> Path:
    if config.output.overwrite or config.output.resume:
        return folders.DEFAULT_FOLDER / folders.safe_name(name)
    return folders.fresh(name)


def _pace(info: SourceInfo) -> str:
    rate = f"{info.fps:.4g} fps" if info.fps else ""
    return ", ".join(part for part in (rate, "live" if info.live else "") if part) or "unknown rate"
