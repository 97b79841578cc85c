"""The real factories behind ``Parts``: capture, pipeline and writers of this program (no Qt)."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from xnect.config import PipelineConfig
from xnect.errors import OutputError
from xnect.gui.parts import CameraChoice, Parts, Pipeline, RecordingPlan, Sink, Source, SourceRequest
from xnect.gui.state import SourceInfo
from xnect.structures import U8, Camera, Frame, FrameResult, PoseMaps

if TYPE_CHECKING:
    from xnect.pipeline import Detector2D, MotionCapture


def take_folder(plan: RecordingPlan, title: str, now: datetime) -> Path:
    """The folder of a new take: the plan's own, or a fresh one below it named after source and time."""
    if plan.exact:
        return plan.folder
    word = re.sub(r"[^\w-]+", "_", Path(title).stem if "." in title else title).strip("_")[:60] or "take"
    return plan.folder / f"{word}_{now:%Y-%m-%d_%H%M%S}"


def open_source(request: SourceRequest, config: PipelineConfig) -> Source:
    """Open what was asked for; raises SourceError, FormatError."""
    if request.kind == "recording":
        from xnect.gui.review_source import open_review

        return open_review(request)
    from xnect.capture import open_source as open_frames

    spec = request.spec
    if request.kind == "camera" and not spec.isdigit():
        spec = f"camera:{spec}"
    return open_frames(
        spec, rotate=request.rotate, start_s=request.start_s, end_s=request.end_s, resolution=request.resolution,
        fps=request.fps, camera=config.camera,
    )  # fmt: skip


def warm_up(config: PipelineConfig, network: Detector2D) -> None:
    """Run everything once on a made-up picture with two people in it.

    Some stages are compiled when they are first used (and kept on disk); that belongs behind the progress note, not
    between the first two pictures.
    """
    import numpy as np

    from xnect.pipeline import MotionCapture
    from xnect.structures import Detections

    picture = np.zeros((180, 320, 3), np.uint8)
    standing = np.array(
        [(0, -60), (0, -48), (-14, -46), (-18, -25), (-19, -6), (14, -46), (18, -25), (19, -6),
         (-8, 0), (-9, 32), (-9, 62), (8, 0), (9, 32), (9, 62)], np.float32,
    )  # fmt: skip

    class _MadeUp:
        step = 0

        def __call__(self, image_bgr: U8) -> Detections:
            self.step += 1
            joints = np.stack(
                [standing + np.array([110.0 + 3 * self.step, 90]), standing + np.array([210.0 - 3 * self.step, 95])]
            )
            seen, score = np.full((2, 14), 0.8, np.float32), np.full(2, 0.8, np.float32)
            return Detections(joints.astype(np.float32), seen, score)

    network(picture)
    trial = MotionCapture.from_config(config, None, _MadeUp())
    for _ in range(4):
        trial(picture)


class LivePipeline:
    """The motion capture behind the window; another camera only changes the stages after the network."""

    def __init__(self, config: PipelineConfig, camera: Camera | None) -> None:
        """Load the network; raises WeightsError, ConfigError."""
        from xnect.pipeline import load_stage_one

        self._config = config
        self._detector = load_stage_one(config)
        warm_up(config, self._detector)
        self._capture = self._make(camera)

    def _make(self, camera: Camera | None) -> MotionCapture:
        from xnect.pipeline import MotionCapture

        return MotionCapture.from_config(self._config, camera, self._detector)

    @property
    def last_maps(self) -> PoseMaps | None:
        """Stage I's maps of the last frame."""
        return self._capture.last_maps

    @property
    def description(self) -> str:
        """Network, device and precision."""
        return self._capture.description

    def __call__(self, frame: Frame) -> FrameResult:
        """The people of one frame."""
        return self._capture(frame)

    def reset(self) -> None:
        """Forget people and filters."""
        self._capture.reset()

    def rescale(self) -> None:
        """Measure everyone's bones again."""
        self._capture.rescale()

    def reconfigure(self, config: PipelineConfig) -> None:
        """New settings from the next frame on."""
        self._config = config
        self._capture.reconfigure(config)

    def use_camera(self, camera: Camera) -> None:
        """Another camera: identities and bodies start anew."""
        self._capture = self._make(camera)


def make_pipeline(config: PipelineConfig, camera: Camera | None) -> Pipeline:
    """Load the network; raises WeightsError, ConfigError."""
    return LivePipeline(config, camera)


def use_camera(pipeline: Pipeline, config: PipelineConfig, camera: Camera) -> None:
    """Another source, or other settings of the camera: work out its optics and tell the pipeline.

    Raises:
        CalibrationError: The calibration cannot be read, or was made for pictures of another shape.
    """
    from xnect.capture.calibration import camera_of_size

    if isinstance(pipeline, LivePipeline):
        pipeline.use_camera(camera_of_size(config.camera, camera.size_px))


def open_sink(plan: RecordingPlan, source: SourceInfo, frame: Frame, result: FrameResult) -> tuple[Sink, Path]:
    """Start a recording; raises OutputError."""
    from xnect import __version__
    from xnect.formats.header import RecordingHeader
    from xnect.formats.header import SourceInfo as HeaderSource
    from xnect.formats.writer import open_writers
    from xnect.skeleton.kinematics import SKELETON

    folder = take_folder(plan, source.title, datetime.now())
    header = RecordingHeader(
        angles=SKELETON.angle_names,
        camera=result.camera,
        source=HeaderSource(source.title or "unknown", frame.size_px, source.fps or None, source.duration_s),
        fps=source.fps if source.fps > 0 else 30.0,
        program={"name": "xnect", "version": __version__},
        bones=SKELETON.joint_names,
        bone_parents=tuple(int(p) for p in SKELETON.parents),
    )
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
    return Parts(open_source, make_pipeline, use_camera, open_sink, list_cameras, angle_names)
