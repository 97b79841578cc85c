"""``xnect lift``: 3D skeletons from the 2D joints that another program found."""

from __future__ import annotations

import logging
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnect.apps import signals
from xnect.apps.folders import refuse_source
from xnect.apps.options import BY_NAME, Parser, add_option, checked, dashed, number, size
from xnect.apps.settings import gather
from xnect.config import CameraConfig, RunConfig
from xnect.errors import ConfigError, FormatError
from xnect.structures import Detections, Frame, FrameResult

if TYPE_CHECKING:
    from xnect.capture import Source
    from xnect.formats.keypoints import Keypoints
    from xnect.pipeline import MotionCapture
    from xnect.structures import Camera

_log = logging.getLogger(__name__)

_FPS = 30.0
_OWN = ("keypoints", "images", "video", "size", "fps", "min_score")
_SHARED = (
    "output", "formats", "overwrite", "max-people", "height-cm", "fov", "fx", "calibration", "static-images", "start",
    "end", "log-level", "log-file",
)  # fmt: skip


class JointsPipeline:
    """Takes the 2D joints of a frame by its number; stands where the pipeline stands."""

    def __init__(self, config: RunConfig, keypoints: Keypoints, with_pictures: bool) -> None:
        self._config = config.pipeline
        self._people = dict(zip(keypoints.frames.tolist(), keypoints.people, strict=True))
        self._with_pictures = with_pictures
        self._own_camera = self._camera = known_camera(config, keypoints)
        self._built: MotionCapture | None = None

    def build(self, frame_px: tuple[int, int] | None = None) -> MotionCapture:
        """The ``MotionCapture`` behind it; built on the first call."""
        if self._built is None:
            from xnect.pipeline import MotionCapture

            self._built = MotionCapture.for_joints(self._config, self._camera)
            self._built.warm_up()
        return self._built

    def use_camera(self, camera: Camera | None, live: bool = False) -> None:
        """Take the camera (None = the one that came with the joints), and forget everybody."""
        self._camera = camera or self._own_camera
        if self._built is not None:
            self._built.use_camera(self._camera)

    def __call__(self, frame: Frame) -> FrameResult:
        """The people in one frame."""
        people = self._people.get(frame.index) or Detections.empty()
        return self.build().lift(people, frame, self._with_pictures)


def build_parser() -> Parser:
    """The parser of ``xnect lift``."""
    parser = Parser(
        prog="xnect lift",
        description="3D skeletons from 2D joints that another program found: identity, 3D pose and skeleton fit.",
        argument_default=SUPPRESS,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("keypoints", metavar="KEYPOINTS", help="folder of OpenPose JSON, COCO results (.json), .csv, or poses.jsonl")
    add("--images", metavar="FILE", help="COCO's list of pictures, for sizes and order of a results file")
    add("--video", metavar="PATH", help="the film: size, times, colours of clothes, and pictures for the overlay")
    add("--size", metavar="WxH", type=checked(size), help="size of the pictures that the joints were found in")
    add("--fps", metavar="HZ", type=checked(number), help="frames a second (30 where nothing tells)")
    add("--min-score", metavar="N", type=checked(number), help="people less sure than this are left out (0.15)")
    for name in _SHARED:
        add_option(parser, BY_NAME[name])
    add("--config", metavar="FILE", help="settings file (TOML); the command line wins")
    return parser


def main(argv: Sequence[str]) -> int:
    """Lift, and print the folder made; returns the exit code. Raises XnectError."""
    given: dict[str, Any] = vars(build_parser().parse_args(dashed(argv)))
    own = {name: given.pop(name, None) for name in _OWN}
    config_file = given.pop("config", None)
    settings = gather({name.replace("_", "-"): value for name, value in given.items()}, config_file)
    config = _with_own(settings.config, own, "output.formats" in settings.origins)
    from xnect.apps import logs
    from xnect.apps.run import record
    from xnect.formats.keypoints import load_keypoints

    logs.set_up(config.log.level, config.log.file)
    keypoints = load_keypoints(own["keypoints"], own["images"])
    if not len(keypoints):
        raise FormatError(f"{Path(own['keypoints']).name} holds no frames")
    source = _film(config, own["video"]) if own["video"] else blank_source(config, keypoints, own["size"], own["fps"])
    target = None if config.output.directory is None else Path(config.output.directory)
    if target is not None:
        refuse_source(target, own["keypoints"])
    pipeline = JointsPipeline(config, keypoints, bool(own["video"]))
    with signals.caught() as stop:
        with stop.taken():
            record(config, lambda: source, target, stop, pipeline)
        return stop.tell() if stop.code else 0


def _with_own(config: RunConfig, own: dict[str, Any], formats_given: bool) -> RunConfig:
    """The settings with the command's own options; raises ConfigError."""
    for name, low, high in (("fps", 1e-3, 1000.0), ("min_score", 0.0, 1.0)):
        value = own[name]
        if value is not None and not low <= value <= high:
            raise ConfigError(f"--{name.replace('_', '-')} {value:g}: {low:g} to {high:g} expected")
    if own["size"] is not None and not all(2 <= side <= 100_000 for side in own["size"]):
        raise ConfigError(f"--size {own['size'][0]}x{own['size'][1]}: 2 to 100000 px expected")
    if own["video"] is not None and (own["fps"] or own["size"]):
        raise ConfigError("--video tells size and rate: --size and --fps go without it only")
    detection = config.pipeline.detection
    if own["min_score"] is not None:
        detection = replace(detection, min_score=own["min_score"])
    output = config.output
    if not formats_given and own["video"] is None:
        output = replace(output, formats=tuple(name for name in output.formats if name != "overlay"))
    return replace(config, pipeline=replace(config.pipeline, detection=detection), output=output)


def known_camera(config: RunConfig, keypoints: Keypoints) -> Camera | None:
    """The camera that came with the joints, where no option tells another."""
    return keypoints.camera if config.pipeline.camera == CameraConfig() else None


def _film(config: RunConfig, video: str) -> Source:
    from xnect.capture import open_source

    part = config.source
    return open_source(video, start_s=part.start_s or 0.0, end_s=part.end_s, camera=config.pipeline.camera)


def blank_source(config: RunConfig, keypoints: Keypoints, size_px: tuple[int, int] | None, fps: float | None) -> Source:
    """Frames without pictures, at the times and of the sizes that are known; raises ConfigError where none is."""
    from xnect.capture.blank import BlankSource
    from xnect.capture.source import ReadOptions

    sizes = keypoints.sizes_px
    if size_px is None and sizes is None:
        size_px = _calibrated_size(config, keypoints.name)
    if size_px is not None:
        sizes = np.tile(np.array(size_px, np.int64), (len(keypoints), 1))
    if sizes is None or sizes.min() < 2:
        raise ConfigError("the size of the pictures is not known: give --size WxH (or --video, --images)")
    rate = fps or keypoints.fps
    times = keypoints.times_s if fps is None else None
    if rate is None and times is not None and len(times) > 1 and times[-1] > times[0]:
        rate = float(np.clip(1 / np.median(np.diff(times)[np.diff(times) > 0]), 1e-3, 1000))
    if rate is None:
        _log.info("nothing tells the rate: %g frames a second are taken (--fps)", _FPS)
        rate = _FPS
    if times is None:
        times = keypoints.frames / rate
    options = ReadOptions(
        start_s=config.source.start_s or 0.0, end_s=config.source.end_s, camera=config.pipeline.camera
    )
    camera = known_camera(config, keypoints) if size_px is None else None
    return BlankSource(keypoints.name, keypoints.frames, times, sizes, rate, options, camera)


def _calibrated_size(config: RunConfig, name: str) -> tuple[int, int] | None:
    from xnect.capture.calibration import read_calibration

    if config.pipeline.camera.calibration is None:
        return None
    found = read_calibration(config.pipeline.camera.calibration, name).size_px
    return found if min(found) > 1 else None
