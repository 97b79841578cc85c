"""Settings of every stage: frozen, with defaults, checked where they are made, as nested dicts and back."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from xnect.addresses import parse_address
from xnect.errors import ConfigError

FORMAT_NAMES = ("jsonl", "overlay", "openpose", "coco", "csv", "npz", "parquet", "bvh", "c3d", "trc", "glb", "scene")
LOG_LEVELS = ("debug", "info", "warning", "error")
#: More people than a recording's frame may hold cannot be asked for.
MOST_PEOPLE = 1000


def _check(ok: bool, what: str) -> None:
    if not ok:
        raise ConfigError(what)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Stage I.

    Attributes:
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16", "fp16" or "int8".
        weights: Weights file, None = the one that ships.
        input_size: Width and height [px], multiples of 16; the frame's shape is kept at this area.
        threads: CPU threads, 0 = all.
        detector: ONNX file of another network for the 2D joints, None = our own.
        boxes: ONNX file of a network that finds people, for a detector that sees one at a time.
        executor: "auto", "openvino" or "torch".
        mode: "latency" (all threads on one picture), "throughput" (several pictures at once), "auto" (by the source).
        target_fps: Looks and input size (to half of each side at most) give way so that this rate holds [Hz]; None =
            24 for live sources, and for others nothing gives way.
        looks: How often the network looks at each picture, the mean counts: 1 = once; 2 = at its mirror image, too (flip
            test); 4 = at four sizes, two of them mirrored, which is the most accurate and takes 2.7 times as long as 2.
    """

    device: str = "auto"
    precision: str = "auto"
    weights: str | None = None
    input_size: tuple[int, int] = (512, 320)
    threads: int = 0
    detector: str | None = None
    boxes: str | None = None
    executor: str = "auto"
    mode: str = "auto"
    target_fps: float | None = None
    looks: int = 2

    def __post_init__(self) -> None:
        w, h = self.input_size
        _check(
            w % 16 == 0 and h % 16 == 0 and w >= 64 and h >= 64,
            f"input size {w}x{h}: both must be multiples of 16, at least 64",
        )
        _check(w <= 4096 and h <= 4096, f"input size {w}x{h}: at most 4096x4096")
        _check(self.precision in ("auto", "fp32", "bf16", "fp16", "int8"), f"unknown precision {self.precision!r}")
        device = self.device
        _check(
            device in ("auto", "cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdigit()),
            f"unknown device {device!r}: auto, cpu, cuda or cuda:N",
        )
        _check(0 <= self.threads <= 1024, f"threads {self.threads}: 0 (all) to 1024 expected")
        _check(
            self.detector is None or self.weights is None, "weights are those of our own network: leave out detector"
        )
        _check(self.executor in ("auto", "openvino", "torch"), f"unknown executor {self.executor!r}")
        _check(self.mode in ("auto", "latency", "throughput"), f"unknown mode {self.mode!r}")
        _check(self.looks in (1, 2, 4), f"looks {self.looks}: 1, 2 or 4 expected")
        _check(self.target_fps is None or 1 <= self.target_fps <= 240, f"target fps {self.target_fps}: 1 to 240")


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """Peaks and association.

    Attributes:
        peak_threshold: Least height of a heatmap peak, 0 to 1.
        weak_threshold: Least height of a peak that continues a person whom stronger ones began, 0 to 1.
        limb_threshold: Least mean affinity along a limb, 0 to 1.
        min_joints: People with fewer joints are dropped.
        min_score: People with a lower mean height of their peaks are dropped; where the network has a refiner, the mean
            height counts times twice the similarity with a true person that it expects.
        follow_score: The same for somebody who is followed already; from ``min_score`` on it makes no difference.
        max_people: The best-scored so many are kept.
        max_peaks: Candidates kept per joint type.
    """

    peak_threshold: float = 0.25
    weak_threshold: float = 0.1
    limb_threshold: float = 0.2
    min_joints: int = 3
    min_score: float = 0.2
    follow_score: float = 0.1
    max_people: int = 10
    max_peaks: int = 64

    def __post_init__(self) -> None:
        _check(0 < self.peak_threshold < 1, "peak_threshold must lie between 0 and 1")
        _check(0 < self.weak_threshold < 1, "weak_threshold must lie between 0 and 1")
        _check(0 <= self.limb_threshold <= 1, "limb_threshold must lie between 0 and 1")
        _check(0 <= self.min_joints <= 14, f"min_joints {self.min_joints}: 0 to 14 expected")
        _check(0 <= self.min_score <= 1, "min_score must lie between 0 and 1")
        _check(0 <= self.follow_score <= 1, "follow_score must lie between 0 and 1")
        _check(1 <= self.max_people <= MOST_PEOPLE, f"max_people {self.max_people}: 1 to {MOST_PEOPLE} expected")
        _check(1 <= self.max_peaks <= 10_000, f"max_peaks {self.max_peaks}: 1 to 10000 expected")


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """Identity over time.

    Attributes:
        keep_s: A lost person's id is kept so long [s] (30 frames of a 30 fps source).
        confirm_frames: A person counts as tracked after so many frames.
        appearance: Whether clothes' colours help to tell people apart.
        max_cost: Pairs of a known person and a detection that differ more than this are never joined, 0 to 1.
        duplicate_similarity: Detections whose joints agree more than this are one person, 0 to 1.
    """

    keep_s: float = 1.0
    confirm_frames: int = 3
    appearance: bool = True
    max_cost: float = 0.7
    duplicate_similarity: float = 0.6

    def __post_init__(self) -> None:
        _check(0 <= self.keep_s <= 3600, f"keep_s {self.keep_s}: 0 to 3600 seconds expected")
        _check(1 <= self.confirm_frames <= 10_000, f"confirm_frames {self.confirm_frames}: 1 to 10000 expected")
        _check(0 < self.max_cost <= 1, f"max_cost {self.max_cost}: above 0, at most 1 expected")
        _check(0 < self.duplicate_similarity <= 1, f"duplicate_similarity {self.duplicate_similarity}: 0 to 1 expected")


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Stage III.

    Attributes:
        height_m: Body height for metric scale [m], None = an average adult's.
        iterations: Gauss-Newton steps a frame.
        bone_frames: Bone lengths are measured over so many confident frames of a person, then fixed; 0 = an average
            adult's.
        smoothness: How strongly a person is expected to go on as before, 0 = not at all, 1 = as tuned.
    """

    height_m: float | None = None
    iterations: int = 3
    bone_frames: int = 60
    smoothness: float = 1.0

    def __post_init__(self) -> None:
        _check(1 <= self.iterations <= 100, f"iterations {self.iterations}: 1 to 100 expected")
        _check(0 <= self.bone_frames <= 1000, f"bone_frames {self.bone_frames}: 0 to 1000 expected")
        _check(0 <= self.smoothness <= 100, f"smoothness {self.smoothness}: 0 to 100 expected")
        _check(
            self.height_m is None or 0.4 <= self.height_m <= 2.6, f"body height {self.height_m} m: 0.4 to 2.6 expected"
        )


@dataclass(frozen=True, slots=True)
class FilterConfig:
    """1-euro filters (Casiez et al. 2012).

    Attributes:
        enabled: False = no smoothing at all.
        min_cutoff_2d, beta_2d: For 2D joints [Hz], [Hz per m/s in the plane through the person].
        min_cutoff_3d, beta_3d: For the fitted body [Hz], [Hz per m/s or rad/s].
        derivative_cutoff: For the speed estimate [Hz].
    """

    enabled: bool = True
    min_cutoff_2d: float = 10.0
    beta_2d: float = 40.0
    min_cutoff_3d: float = 1.2
    beta_3d: float = 6.0
    derivative_cutoff: float = 1.5

    def __post_init__(self) -> None:
        cutoffs = (self.min_cutoff_2d, self.min_cutoff_3d, self.derivative_cutoff)
        _check(all(0 < value <= 1e6 for value in cutoffs), "filter cut-offs must be positive, at most 1000000 Hz")
        _check(all(0 <= beta <= 1e6 for beta in (self.beta_2d, self.beta_3d)), "filter betas: 0 to 1000000 expected")


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """What is known of the camera; the first that is given wins: calibration, fx, fov.

    Attributes:
        calibration: File with intrinsics (JSON, YAML of OpenCV or TOML), None = unknown.
        fx_px: Focal length [px of the frame].
        fov_deg: Field of view along the longer side [degrees].
    """

    calibration: str | None = None
    fx_px: float | None = None
    fov_deg: float | None = None

    def __post_init__(self) -> None:
        _check(
            self.fov_deg is None or 5 <= self.fov_deg <= 170, f"field of view {self.fov_deg} degrees: 5 to 170 expected"
        )
        _check(self.fx_px is None or 1 <= self.fx_px <= 1e6, f"focal length {self.fx_px} px: 1 to 1000000 expected")


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Everything that decides what comes out of given frames."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    filters: FilterConfig = field(default_factory=FilterConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    static_images: bool = False


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Where pictures come from and how they are read; at most one of camera, video and image_dir is given.

    Attributes:
        camera: Number or (part of the) name of a webcam.
        video: Video files or addresses, read one after the other.
        image_dir: Folder of pictures.
        camera_resolution: Width and height asked of the camera [px], None = at least 1280x720.
        camera_fps: Pictures a second asked of the camera, or the pace of an image folder (None = 30) [Hz].
        rotate: Clockwise turn of each picture: 0, 90, 180 or 270 [degrees].
        mirror: Flip left and right (after the turn).
        start_s: Frames before this time are left out [s].
        end_s: Frames from this time on are left out [s].
    """

    camera: str | None = None
    video: tuple[str, ...] = ()
    image_dir: str | None = None
    camera_resolution: tuple[int, int] | None = None
    camera_fps: float | None = None
    rotate: int = 0
    mirror: bool = False
    start_s: float | None = None
    end_s: float | None = None

    def __post_init__(self) -> None:
        given = sum([self.camera is not None, bool(self.video), self.image_dir is not None])
        _check(given <= 1, "camera, video and image_dir exclude one another: give one of them")
        _check(self.rotate in (0, 90, 180, 270), f"rotate {self.rotate}: 0, 90, 180 or 270 expected")
        width, height = self.camera_resolution or (16, 16)
        _check(16 <= width <= 16384 and 16 <= height <= 16384, f"camera resolution {width}x{height}: 16 to 16384 px")
        _check(
            self.camera_fps is None or 0 < self.camera_fps <= 1000, f"camera fps {self.camera_fps}: 0 to 1000 expected"
        )
        _check(self.start_s is None or 0 <= self.start_s <= 1e9, f"start {self.start_s} s: 0 to 1e9 expected")
        _check(
            self.end_s is None or math.isfinite(self.end_s),
            f"end {self.end_s} s: a finite number expected",
        )
        _check(
            self.end_s is None or self.end_s > (self.start_s or 0.0),
            f"end {self.end_s} s must come after start {self.start_s or 0.0} s",
        )


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """What is written, and whether a window opens.

    Attributes:
        directory: Folder of the results, None = none is written (or the default folder when there is no window).
        formats: Names of formats; jsonl is always written.
        overwrite: Results of an earlier run may be replaced.
        resume: A run that stopped goes on.
        display: A window opens where there is a display.
    """

    directory: str | None = None
    formats: tuple[str, ...] = ("jsonl", "overlay", "bvh")
    overwrite: bool = False
    resume: bool = False
    display: bool = True

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMAT_NAMES]
        _check(not unknown, f"unknown format {', '.join(unknown)}: {', '.join(FORMAT_NAMES)}")
        _check(self.directory != "", "the output folder has no name; . is the current folder")
        _check(not (self.overwrite and self.resume), "overwrite and resume exclude one another")


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Live streams; addresses as ``HOST:PORT``, none = that stream is off.

    Attributes:
        vmc: Receivers of VMC; the first person at PORT, the next at PORT + 2, ...
        osc: Receivers of plain OSC.
        udp: Receivers of JSON lines, one datagram a frame.
        websocket: Where the WebSocket server and its page listen; other than loopback needs a token.
        token: What a client of the WebSocket server must know, None = one is made where it is needed.
        origins: Web pages (``http://host:port``) that may connect beside our own.
        pace: Files are captured at their own pace ("source") or as fast as possible ("fast").
    """

    vmc: tuple[str, ...] = ()
    osc: tuple[str, ...] = ()
    udp: tuple[str, ...] = ()
    websocket: str | None = None
    token: str | None = None
    origins: tuple[str, ...] = ()
    pace: str = "source"

    def __post_init__(self) -> None:
        listening = () if self.websocket is None else (self.websocket,)
        for text in (*self.vmc, *self.osc, *self.udp, *listening):
            try:
                port = parse_address(text, 1).port
            except ValueError as error:
                raise ConfigError(f"stream address {error}") from error
            _check(port > 0 or text in listening, f"stream address {text!r}: a receiver's port is above 0")
        token = self.token
        _check(token is None or (8 <= len(token) <= 128 and token.isascii() and token.isprintable() and " " not in token),
               "the stream's token needs 8 to 128 plain characters without spaces")  # fmt: skip
        _check(self.pace in ("source", "fast"), f"unknown pace {self.pace!r}: source or fast")

    @property
    def any(self) -> bool:
        """Whether anything is streamed."""
        return bool(self.vmc or self.osc or self.udp or self.websocket is not None)


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is told while running.

    Attributes:
        level: "debug", "info", "warning" or "error".
        file: File that gets the log as well, None = standard error only.
    """

    level: str = "info"
    file: str | None = None

    def __post_init__(self) -> None:
        _check(self.level in LOG_LEVELS, f"unknown log level {self.level!r}: {', '.join(LOG_LEVELS)}")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One run of the program: source, pipeline, output, streams, log; ``ray``: the cluster that shares out the videos."""

    source: SourceConfig = field(default_factory=SourceConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    log: LogConfig = field(default_factory=LogConfig)
    seed: int = 0
    ray: str | None = None

    def __post_init__(self) -> None:
        _check(0 <= self.seed < 2**32, f"seed {self.seed}: 0 to {2**32 - 1} expected")


def to_dict(config: Any) -> dict[str, Any]:
    """A settings object as nested dicts without None values, ready for TOML or JSON."""
    out: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            out[f.name] = to_dict(value)
        elif value is not None:
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def from_dict(cls: type[Any], data: dict[str, Any], where: str = "") -> Any:
    """Nested dicts -> settings object; raises ConfigError that names an unknown key's neighbours or a wrong type."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in data.items():
        name = key.replace("-", "_")
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise ConfigError(f"unknown setting {where}{key}" + (f"; did you mean {where}{near[0]}?" if near else ""))
        values[name] = _convert(hints[name], value, f"{where}{name}")
    return cls(**values)


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a table")
        return from_dict(typing.cast(type, kind), value, where + ".")
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if len(parts) == 2 and parts[1] is Ellipsis:
            if not isinstance(value, list | tuple):
                raise ConfigError(f"{where} must be a list")
            return tuple(_convert(parts[0], v, where) for v in value)
        if not isinstance(value, list | tuple) or len(value) != len(parts):
            raise ConfigError(f"{where} must be a list of {len(parts)}")
        return tuple(_convert(p, v, where) for p, v in zip(parts, value, strict=True))
    return _plain(kind, value, where)


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:  # neither NaN nor infinity nor a whole number that no float can hold
            raise ConfigError(f"{where} must be a finite number")
        return float(value)
    if type(value) is not kind or (kind is int and not abs(value) < 2**63):
        raise ConfigError(f"{where} must be {kind.__name__}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
