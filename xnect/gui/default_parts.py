"""The real factories behind ``Parts``: capture, pipeline and writers of this program (no Qt)."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from xnect.config import PipelineConfig
from xnect.errors import OutputError
from xnect.gui.parts import CameraChoice, Facts, Parts, Pipeline, RecordingPlan, Sink, Source, SourceRequest
from xnect.gui.state import SourceInfo
from xnect.structures import Camera, Frame, FrameResult

#: Seconds between two attempts to find a lost camera.
RETRY_S = 2.0


def take_folder(plan: RecordingPlan, title: str, now: datetime) -> Path:
    """The folder of a new take: the plan's own, or a fresh one below it named after source and time."""
    if plan.exact:
        return plan.folder
    word = re.sub(r"[^\w-]+", "_", Path(title).stem if "." in title else title).strip("_")[:60] or "take"
    return plan.folder / f"{word}_{now:%Y-%m-%d_%H%M%S}"


def open_source(request: SourceRequest, config: PipelineConfig) -> Source:
    """Open what was asked for; raises SourceError, FormatError.

    A camera that is lost later on is looked for by the source itself, by its name and for ever: the take keeps its clock
    and everyone's number. What its ``lost`` says is shown meanwhile.
    """
    if request.kind == "recording":
        from xnect.gui.review_source import open_review

        return open_review(request)
    from xnect.capture import open_source as open_frames

    spec = request.spec
    if request.kind == "camera" and not spec.isdigit():
        spec = f"camera:{spec}"
    return open_frames(
        spec, rotate=request.rotate, mirror=request.mirror, start_s=request.start_s, end_s=request.end_s, resolution=request.resolution,
        fps=request.fps, camera=config.camera, retry_s=RETRY_S,
    )  # fmt: skip


def make_pipeline(config: PipelineConfig) -> Pipeline:
    """Load the network and make all stages ready; raises WeightsError, ConfigError."""
    from xnect.pipeline import MotionCapture

    capture = MotionCapture.from_config(config)
    capture.warm_up()  # some stages are compiled at their first use: that belongs behind the progress note
    return capture


def camera_of(config: PipelineConfig, request: SourceRequest, facts: Facts) -> Camera | None:
    """The measured camera of an open source, turned and flipped as its pictures are; None where none was measured.

    Raises:
        CalibrationError: The calibration cannot be read, or was made for pictures of another shape.
    """
    if config.camera.calibration is None or request.kind == "recording":
        return None
    from xnect.capture import ReadOptions
    from xnect.capture.calibration import camera_for

    how = ReadOptions(rotate=request.rotate, mirror=request.mirror, camera=config.camera)
    name = Path(request.spec).name if request.kind == "video" else facts.name
    return camera_for(how, how.turned(facts.size_px), name)


def open_sink(
    plan: RecordingPlan, source: SourceInfo, config: PipelineConfig, frame: Frame, result: FrameResult
) -> tuple[Sink, Path]:
    """Start a recording; raises OutputError."""
    import xnect.formats.header as headers
    from xnect import __version__
    from xnect.formats.writer import open_writers

    folder = take_folder(plan, source.title, datetime.now())
    told = headers.SourceInfo(source.title or "unknown", frame.size_px, source.fps or None, source.duration_s)
    header = headers.header_of_run(__version__, told, result.camera, config, source.rotate, source.mirror)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
    return open_writers(folder, plan.formats, header, overwrite=plan.overwrite), folder


def list_cameras() -> list[CameraChoice]:
    """Cameras that are attached, by name."""
    from xnect.capture.webcam import list_cameras as attached

    return [CameraChoice(entry.name, entry.name) for entry in attached()]


def angle_names() -> tuple[str, ...]:
    """Names of ``Person.angles``."""
    from xnect.skeleton.kinematics import SKELETON

    return SKELETON.angle_names


def default_parts() -> Parts:
    """What the window uses unless a test hands in something else."""
    return Parts(open_source, make_pipeline, camera_of, open_sink, list_cameras, angle_names)
