"""One frame's way through all stages, as one plain call: no thread, no clock of its own, no drawing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xnect.config import CameraConfig, DetectionConfig, FitConfig, NetworkConfig, PipelineConfig
from xnect.errors import ShapeError, XnectError
from xnect.geometry import camera_from_fov, scaled
from xnect.skeleton.layouts import strongest
from xnect.stages.adaptive import SizeControl, use
from xnect.stages.fit import SkeletonFitter
from xnect.stages.foreign_one_stage import OneStage
from xnect.stages.foreign_top_down import TopDown
from xnect.stages.lifting import Lifter
from xnect.stages.stage_one import Detector2D, MadeUp, NoPictures, StageOne, load_stage_one
from xnect.structures import (
    STATE_NAMES,
    U8,
    Bodies,
    Camera,
    Detections,
    Frame,
    FrameResult,
    Person,
    PoseMaps,
    Tracks,
)
from xnect.tracking.tracker import Tracker

#: Frames without a time of their own are taken to come at this rate [1/s].
_DEFAULT_FPS = 30.0
#: Field of view along the longer side where nothing is known of the camera [degrees].
DEFAULT_FOV_DEG = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the first half of the pipeline found in one frame, for the second half.

    Attributes:
        frame: The frame.
        people: People in 2D.
        maps: Stage I's maps, None with a foreign detector.
        timings_ms: Times of the first half [ms].
        spent_ms: All of it [ms].
    """

    frame: Frame
    people: Detections
    maps: PoseMaps | None
    timings_ms: dict[str, float]
    spent_ms: float


class MotionCapture:
    """Frames in, people out.

    The same frames give the same results, whatever runs beside. Only identity, skeleton fit and filters remember
    earlier frames; ``reset`` makes them forget.
    """

    def __init__(
        self,
        device: str = "auto",
        precision: str = "auto",
        weights: str | Path | None = None,
        input_size: tuple[int, int] = (512, 320),
        max_people: int = 10,
        camera: Camera | None = None,
        height_m: float | None = None,
        static_images: bool = False,
        *,
        config: PipelineConfig | None = None,
        detector: Detector2D | None = None,
    ) -> None:
        """Load the networks.

        Args:
            device: "auto", "cpu", "cuda" or "cuda:N".
            precision: "auto", "fp32", "bf16", "fp16" or "int8".
            weights: Stage I's weights file, None = the one that ships.
            input_size: Width and height of the network's picture [px], multiples of 16; a frame of another shape gets
                its own shape at this area.
            max_people: The best so many people of a frame are kept.
            camera: Intrinsics; None = those of ``config.camera``, else a field of view of 60 degrees.
            height_m: Body height for metric scale [m], None = an average adult's.
            static_images: Every picture stands alone: no ids over time, no filters, no warm start.
            config: All settings at once; then the arguments above (but camera) must be left alone.
            detector: 2D joints from elsewhere instead of our own Stage I.

        Raises:
            WeightsError: No usable weights, or a device or precision that is not there.
            ConfigError: A setting out of range.
        """
        if config is None:
            config = PipelineConfig(
                network=NetworkConfig(device, precision, None if weights is None else str(weights), input_size),
                detection=DetectionConfig(max_people=max_people),
                fit=FitConfig(height_m=height_m),
                static_images=static_images,
            )
        self._given_camera = camera
        self._camera: Camera | None = None
        self._given_detector = detector is not None
        self._detector = detector if detector is not None else load_stage_one(config)
        self._lifter = Lifter()
        self._index = -1
        self._live = False
        self._size_control: SizeControl | None = None
        self._controlled: tuple[NetworkConfig, bool] | None = None
        self._apply(config)

    @classmethod
    def for_joints(cls, config: PipelineConfig, camera: Camera | None = None) -> MotionCapture:
        """Without any network for pictures: for ``lift`` alone."""
        return cls(config=config, camera=camera, detector=NoPictures())

    @classmethod
    def from_config(
        cls, config: PipelineConfig, camera: Camera | None = None, detector: Detector2D | None = None
    ) -> MotionCapture:
        """The same from a settings object."""
        return cls(config=config, camera=camera, detector=detector)

    def _apply(self, config: PipelineConfig) -> None:
        self.config = config
        self._control_size()
        self._tracker = Tracker(config.tracking)
        self._fitter = SkeletonFitter(config.fit, config.filters)
        if isinstance(self._detector, StageOne | OneStage | TopDown):
            self._detector.config = config.detection
        self._camera = None

    def _control_size(self) -> None:
        """Let the network's picture follow the time there is, or stay as the settings say."""
        network = self.config.network
        if self._controlled == (network, self._live):
            return  # other settings changed: what was learnt of this machine stays
        self._controlled = network, self._live
        before, self._size_control = self._size_control, SizeControl.of(network, self._live)
        if before is not None and isinstance(self._detector, StageOne):
            use(self._detector.network, network.input_size, network.looks)

    @property
    def last_maps(self) -> PoseMaps | None:
        """Stage I's maps of the last frame, None before the first and with a foreign detector."""
        return self._detector.last_maps if isinstance(self._detector, StageOne) else None

    @property
    def description(self) -> str:
        """What finds the 2D joints: network, device, precision."""
        return str(getattr(self._detector, "description", type(self._detector).__name__))

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take new settings from the next frame on; the network is loaded again only where its settings changed.

        Raises:
            WeightsError: As the constructor; then the old settings stay.
        """
        if config == self.config:
            return
        ours = isinstance(self._detector, StageOne) or not self._given_detector
        if ours and config.network != self.config.network:
            self._detector = load_stage_one(config)
        old, tracker, fitter = self.config, self._tracker, self._fitter
        self._apply(config)
        if config.static_images == old.static_images:  # what is not touched remembers people and body sizes
            if config.tracking == old.tracking:
                self._tracker = tracker
            if (config.fit, config.filters, config.camera) == (old.fit, old.filters, old.camera):
                self._fitter = fitter

    def reset(self) -> None:
        """Forget people and filters, as before a new source."""
        self._tracker.reset()
        self._fitter.reset()
        self._index = -1
        self._camera = None

    def use_camera(self, camera: Camera | None, live: bool = False) -> None:
        """Go on with another camera; people and filters are forgotten.

        Args:
            camera: None = the one of the settings.
            live: Its frames do not wait: looks and input size give way where they would take too long.
        """
        self._given_camera = camera
        if live != self._live:
            self._live = live
            self._control_size()
        self.reset()

    def warm_up(self, frame_px: tuple[int, int] | None = None) -> None:
        """Run every stage on made-up people, so that nothing is compiled between the first two frames.

        Stages are compiled when they are first used and kept on disk: seconds the first time, nothing after that. The
        network is made ready for one size of frames, and with a target rate at all sizes that it may step to: a camera
        does not wait.

        Args:
            frame_px: Width and height of the frames to come [px], None = unknown.
        """
        trial = MotionCapture.from_config(self.config, None, MadeUp())
        blank = np.zeros((180, 320, 3), np.uint8)
        for _ in range(4):
            trial(blank)
        if frame_px is not None:
            blank = np.zeros((frame_px[1], frame_px[0], 3), np.uint8)
            if self._size_control is not None and isinstance(self._detector, StageOne):
                self._size_control.prepare(self._detector.network, frame_px)
        if isinstance(self._detector, StageOne | OneStage | TopDown):
            self._detector(blank)

    def rescale(self) -> None:
        """Measure everybody's bone lengths anew from the next frames."""
        self._fitter.rescale()

    @property
    def detectors_at_once(self) -> int:
        """So many threads may be in ``detect`` at once; one with a foreign detector, which may remember frames."""
        return int(getattr(self._detector.network, "streams", 1)) if isinstance(self._detector, StageOne) else 1

    def detect(self, frame: Frame) -> Seen:
        """The first half: 2D joints of one frame. ``complete`` must get the results in the order of the frames.

        Raises:
            ShapeError, XnectError: As ``__call__``.
        """
        _check(frame)
        start = time.perf_counter()
        maps = None
        if isinstance(self._detector, StageOne):
            if self._size_control is not None:
                self._size_control.prepare(self._detector.network, frame.size_px)
            people, maps, timings = self._detector.detect(frame.image_bgr, not self.config.static_images)
        else:
            people = self._detector(frame.image_bgr)
            spent = (time.perf_counter() - start) * 1e3
            timings = dict(getattr(self._detector, "timings_ms", {})) or {"detection": spent}
        return Seen(frame, people, maps, timings, (time.perf_counter() - start) * 1e3)

    def complete(self, seen: Seen) -> FrameResult:
        """The second half: 3D, identity and skeleton of the people that ``detect`` found."""
        start, timings = time.perf_counter(), dict(seen.timings_ms)
        result = self._follow(seen.people, seen.frame, seen.frame.image_bgr, timings)
        timings["total"] = seen.spent_ms + (time.perf_counter() - start) * 1e3
        if isinstance(self._detector, StageOne):
            self._detector.last_maps, self._detector.timings_ms = seen.maps, seen.timings_ms
            if self._size_control is not None:
                self._size_control.after_frame(self._detector.network, timings["total"] / 1e3)
        return result

    def __call__(self, frame: Frame | U8, timestamp: float | None = None) -> FrameResult:
        """Find everybody in one frame.

        Args:
            frame: A ``Frame``, or a BGR picture uint8 (H, W, 3) as OpenCV gives it.
            timestamp: Capture time [s] of a bare picture; None = 1/30 s after the last one.

        Raises:
            ShapeError: Not such a picture, or an empty one.
            XnectError: The time is not a finite number.
        """
        return self.complete(self.detect(self._as_frame(frame, timestamp)))

    def lift(self, people: Detections, frame: Frame, with_picture: bool = True) -> FrameResult:
        """The same for 2D joints that were found before: identity, Stages II and III.

        Args:
            people: 2D joints in pixels of the frame; the strongest ``max_people`` with enough joints and score are taken.
            frame: Number, time and size; the picture itself serves to tell people apart by their clothes.
            with_picture: False where the frame is blank.

        Raises:
            ShapeError, XnectError: As ``__call__``.
        """
        _check(frame)
        start, timings = time.perf_counter(), dict[str, float]()
        limits = self.config.detection
        people = strongest(people, limits.min_joints, limits.min_score, limits.max_people)
        result = self._follow(people, frame, frame.image_bgr if with_picture else None, timings)
        timings["total"] = (time.perf_counter() - start) * 1e3
        return result

    def _follow(self, people: Detections, frame: Frame, image: U8 | None, timings: dict[str, float]) -> FrameResult:
        """Everything after the 2D joints; adds its times."""
        clock = time.perf_counter()
        camera = self._camera_for(frame.size_px)
        people = without_guesses(people)
        if self.config.static_images:
            self._tracker.reset()
            self._fitter.reset()
        poses = self._lifter(people, camera)
        timings["lifting"], clock = _since(clock)
        tracks = self._tracker(people, poses, image, frame.timestamp_s)
        timings["identity"], clock = _since(clock)
        bodies = self._fitter(tracks, people, poses, camera, frame.timestamp_s)
        timings["fit"], clock = _since(clock)
        self._index = frame.index
        return FrameResult(frame.index, frame.timestamp_s, as_people(tracks, people, bodies), timings, camera)

    def _as_frame(self, frame: Frame | U8, timestamp: float | None) -> Frame:
        if not isinstance(frame, Frame):
            image = np.ascontiguousarray(frame)
            when = (self._index + 1) / _DEFAULT_FPS if timestamp is None else float(timestamp)
            frame = Frame(self._index + 1, when, image.view() if image is frame else image)
        return frame

    def _camera_for(self, size_px: tuple[int, int]) -> Camera:
        if self._camera is None or self._camera.size_px != size_px:
            if self._given_camera is not None:
                self._camera = scaled(self._given_camera, size_px)
            else:
                self._camera = _configured_camera(self.config.camera, size_px)
        return self._camera


def _check(frame: Frame) -> None:
    """Refuse a time or a picture that no stage can use; raises XnectError, ShapeError."""
    if not math.isfinite(frame.timestamp_s):
        raise XnectError(f"frame {frame.index}: the time {frame.timestamp_s} is not a finite number")
    if min(frame.size_px) < 2:
        raise ShapeError(f"a picture of {frame.size_px[0]}x{frame.size_px[1]} px is too small")


def _since(clock: float) -> tuple[float, float]:
    now = time.perf_counter()
    return (now - clock) * 1e3, now


def _configured_camera(config: CameraConfig, size_px: tuple[int, int]) -> Camera:
    if config.fx_px is not None:
        fov = 2 * math.degrees(math.atan(max(size_px) / 2 / config.fx_px))
        return camera_from_fov(size_px, fov, estimated=False)
    return camera_from_fov(size_px, config.fov_deg or DEFAULT_FOV_DEG, estimated=config.fov_deg is None)


def without_guesses(people: Detections) -> Detections:
    """The same people, with 0 in place of what was guessed (or left over) where a joint was not seen."""
    joints = np.where(people.confidence[..., None] > 0, people.joints_px, np.float32(0))
    return replace(people, joints_px=joints)


def as_people(tracks: Tracks, people: Detections, bodies: Bodies) -> tuple[Person, ...]:
    """Everyone seen in this frame as ``Person`` objects, ascending by id."""
    seen = people.confidence > 0
    low = np.where(seen[..., None], people.joints_px, np.inf).min(1, initial=np.inf)
    high = np.where(seen[..., None], people.joints_px, -np.inf).max(1, initial=-np.inf)
    boxes = np.concatenate([low, high], 1).astype(np.float32)
    return tuple(
        Person(
            id=int(tracks.ids[t]),
            joints_2d=people.joints_px[r],
            confidence_2d=people.confidence[r],
            joints_3d=bodies.joints_m[t],
            inferred=bodies.inferred[t],
            angles=bodies.angles_rad[t],
            root=(bodies.root_position_m[t], bodies.root_rotation[t]),
            box=boxes[r],
            score=float(people.score[r]),
            state=STATE_NAMES[tracks.state[t]],
            offsets=bodies.offsets_m[t],
        )
        for t, r in enumerate(tracks.row.tolist())
        if r >= 0
    )
