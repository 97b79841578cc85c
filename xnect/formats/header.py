"""What a recording says about itself before its first frame: names, units, camera, source, program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xnect.config import PipelineConfig, to_dict
from xnect.errors import FormatError
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import Camera

FORMAT = "xnect-poses"
VERSION = 1
UNITS = {"length": "m", "angle": "rad", "time": "s"}
_AXES = {
    True: "camera space: x right, y down, z forward",
    False: "level: x right, y down, z forward, the floor at y = 0; the camera stands at camera_pose",
}
#: How far a rotation's quaternion may be from length 1.
_UNIT = 0.009


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where the pictures came from.

    Attributes:
        name: File name, camera name or address; never a full path.
        size_px: Width and height [px].
        fps: Nominal rate [1/s], None = unknown.
        duration_s: Length [s], None = unknown or live.
        sha256: Digest of the source file, None = not computed.
    """

    name: str = "unknown"
    size_px: tuple[int, int] = (0, 0)
    fps: float | None = None
    duration_s: float | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class CameraPose:
    """Where the camera stands in the axes of the 3D data; not in their origin once a floor was made level.

    Attributes:
        position_m: Place (3) [m].
        rotation: Unit quaternion w, x, y, z: turns the camera's axes (x right, y down, z forward) into the data's.
    """

    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class RecordingHeader:
    """The first line of ``poses.jsonl``.

    Attributes:
        camera: The camera used for 3D (frames may carry another one later on).
        source: Where the pictures came from.
        fps: Rate of the frames [1/s], above 0.
        program: Name, version, digest of the weights and the like; plain JSON values.
        filtered: Whether the numbers went through the smoothing filters.
        formats: What is written beside the log; ``repair`` rebuilds these.
        angles: Names of the joint angles, in the order of ``Person.angles``.
        bones: Names of the skeleton's joints, in the order of ``Person.offsets``; empty = unknown.
        bone_parents: Parent of each of them, -1 = root.
        camera_pose: Where the camera stands.
        drop_inferred: Tables and marker files leave out what no image evidence backs; a wish, not stored.
    """

    camera: Camera
    source: SourceInfo = field(default_factory=SourceInfo)
    fps: float = 30.0
    program: Mapping[str, Any] = field(default_factory=dict)
    filtered: bool = True
    formats: tuple[str, ...] = ()
    angles: tuple[str, ...] = SKELETON.angle_names
    bones: tuple[str, ...] = SKELETON.joint_names
    bone_parents: tuple[int, ...] = tuple(SKELETON.parents.tolist())
    camera_pose: CameraPose = CameraPose()
    drop_inferred: bool = False

    def __post_init__(self) -> None:
        if not 1e-6 <= self.fps <= 10_000:
            raise FormatError(f"rate {self.fps} frames/s: expected more than 0, at most 10000")
        if len(self.bones) != len(self.bone_parents):
            raise FormatError(f"{len(self.bones)} bones but {len(self.bone_parents)} parents")


def header_of_run(
    version: str, source: SourceInfo, camera: Camera, config: PipelineConfig, rotate: int = 0, mirror: bool = False
) -> RecordingHeader:
    """What a run says about itself: names, camera, source and the settings that made it.

    Args:
        version: Of this program.
        source: Where the pictures come from; rate and length None where they are not known.
        camera: The camera used for 3D.
        config: All settings; kept under ``program.settings``, file names without their folders.
        rotate: How far the pictures were turned clockwise as they were read [degrees].
        mirror: Whether they were flipped as they were read.
    """
    settings = to_dict(config)
    for table, key in (
        ("network", "weights"),
        ("network", "detector"),
        ("network", "boxes"),
        ("camera", "calibration"),
    ):
        if key in settings[table]:
            settings[table][key] = public_name(settings[table][key])  # no full paths in what users pass on
    program: dict[str, Any] = {"name": "xnect", "version": version, "settings": settings}
    if rotate or mirror:
        program["read"] = {"rotate": rotate, "mirror": mirror}
    return RecordingHeader(
        camera=camera,
        source=source,
        fps=source.fps or 30.0,
        program=program,
        filtered=config.filters.enabled and not config.static_images,
    )


def camera_to_json(camera: Camera) -> dict[str, Any]:
    """A camera as plain JSON values; raises FormatError where a number is not finite."""
    if not (np.isfinite(camera.matrix_px).all() and np.isfinite(camera.distortion).all()):
        raise FormatError("the camera has a number that is not finite")
    return {
        "size_px": [int(v) for v in camera.size_px],
        "matrix_px": np.round(camera.matrix_px, 6).tolist(),
        "distortion": np.round(camera.distortion, 9).tolist(),
        "estimated": bool(camera.estimated),
    }


def _is_numbers(value: Any, *shape: int) -> bool:
    """Whether a JSON value is a (nested) list of finite numbers of this shape."""
    if not shape:
        return type(value) in (int, float) and abs(value) < 1e9
    return isinstance(value, list) and len(value) == shape[0] and all(_is_numbers(v, *shape[1:]) for v in value)


def camera_from_json(data: Any) -> Camera:
    """Plain JSON values -> camera; raises FormatError."""
    if not isinstance(data, dict):
        raise FormatError("camera must be an object")
    size, matrix = data.get("size_px"), data.get("matrix_px")
    distortion, estimated = data.get("distortion", [0.0] * 5), data.get("estimated", False)
    if not isinstance(size, list) or len(size) != 2 or not all(type(v) is int and 0 <= v < 10**6 for v in size):
        raise FormatError("camera: size_px must be two whole numbers")
    if not _is_numbers(matrix, 3, 3) or not _is_numbers(distortion, 5) or type(estimated) is not bool:
        raise FormatError("camera: expected matrix_px (3x3 numbers), distortion (5 numbers), estimated (true or false)")
    intrinsics = np.array(matrix, np.float64)
    if intrinsics[0, 0] < 1e-3 or intrinsics[1, 1] < 1e-3:
        raise FormatError("camera: focal lengths must be positive, 0.001 px at least")
    return Camera(intrinsics, (size[0], size[1]), np.array(distortion, np.float64), estimated)


def public_name(name: str) -> str:
    """A source's name as it may be shown to others: no folders of this machine, no password of a stream."""
    scheme, mark, rest = name.partition("://")
    if mark:
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2] or name


def header_to_json(header: RecordingHeader) -> dict[str, Any]:
    """The header as the first line of ``poses.jsonl`` has it."""
    source = header.source
    out: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "units": dict(UNITS),
        "axes": f"{_AXES[header.camera_pose == CameraPose()]}; pixels: x right, y down, centres at integers",
        "joints_2d": list(JOINTS_2D),
        "joints_3d": list(JOINTS_3D),
        "angles": list(header.angles),
        "camera": camera_to_json(header.camera),
        "source": {
            "name": public_name(source.name),
            "size_px": list(source.size_px),
            "fps": source.fps,
            "duration_s": source.duration_s,
            "sha256": source.sha256,
        },
        "fps": header.fps,
        "program": dict(header.program),
        "filtered": header.filtered,
        "formats": list(header.formats),
    }
    if header.camera_pose != CameraPose():
        pose = header.camera_pose
        out["camera_pose"] = {"position": list(pose.position_m), "rotation": list(pose.rotation)}
    if header.bones:
        out["skeleton"] = {"bones": list(header.bones), "parents": list(header.bone_parents)}
    return out


def header_from_json(data: Any) -> RecordingHeader:
    """The first line of ``poses.jsonl`` -> header; raises FormatError with what was expected."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FormatError(f'not a pose recording: the first line must be a header with "format": "{FORMAT}"')
    version = data.get("version")
    if type(version) is not int or version < 1:
        raise FormatError(f"header: version must be a whole number, got {version!r}")
    if version > VERSION:
        raise FormatError(f"recording of version {version}; this program reads up to version {VERSION}")
    if data.get("units") != UNITS:
        raise FormatError(f"header: units must be {UNITS}")
    for key, names in (("joints_2d", JOINTS_2D), ("joints_3d", JOINTS_3D)):
        if data.get(key) != list(names):
            raise FormatError(f"header: {key} must be the {len(names)} names {names[0]} ... {names[-1]}")
    fps: Any = data.get("fps")
    if not _is_numbers(fps):
        raise FormatError("header: fps must be a number")
    bones, parents = _skeleton(data.get("skeleton"))
    program, filtered = data.get("program"), data.get("filtered", True)
    if type(filtered) is not bool:
        raise FormatError("header: filtered must be true or false")
    if not isinstance(program, dict):
        raise FormatError("header: program must be an object")
    return RecordingHeader(
        camera=camera_from_json(data.get("camera")),
        source=_source(data.get("source")),
        fps=float(fps),
        program=program,
        filtered=filtered,
        formats=_names(data.get("formats", []), "formats"),
        angles=_names(data.get("angles"), "angles"),
        bones=bones,
        bone_parents=parents,
        camera_pose=_pose(data.get("camera_pose")),
    )


def _pose(value: Any) -> CameraPose:
    if value is None:
        return CameraPose()
    given: dict[str, Any] = value if isinstance(value, dict) else {}
    position: Any = given.get("position")
    rotation: Any = given.get("rotation")
    if not _is_numbers(position, 3) or not _is_numbers(rotation, 4) or abs(math.hypot(*rotation) - 1) > _UNIT:
        raise FormatError("header: camera_pose must have a position (3 numbers) and a rotation (unit quaternion)")
    x, y, z = map(float, position)
    a, b, c, d = map(float, rotation)
    return CameraPose((x, y, z), (a, b, c, d))


def _names(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or len(set(value)) != len(value):
        raise FormatError(f"header: {key} must be a list of different names")
    if len(value) > 1000:
        raise FormatError(f"header: {key} has {len(value)} names; 1000 at most")
    return tuple(value)


def _skeleton(value: Any) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if value is None:
        return (), ()
    if not isinstance(value, dict):
        raise FormatError("header: skeleton must be an object")
    bones = _names(value.get("bones"), "skeleton.bones")
    parents = value.get("parents")
    if not isinstance(parents, list) or len(parents) != len(bones) or not all(type(p) is int for p in parents):
        raise FormatError("header: skeleton.parents must be one whole number a bone")
    if not all(-1 <= p < len(bones) for p in parents):
        raise FormatError("header: skeleton.parents out of range")
    return bones, tuple(parents)


def _source(value: Any) -> SourceInfo:
    if not isinstance(value, dict):
        raise FormatError("header: source must be an object")

    def number(key: str) -> float | None:
        got = value.get(key)
        if got is None:
            return None
        if not _is_numbers(got):
            raise FormatError(f"header: source.{key} must be a number or null")
        return float(got)

    size = value.get("size_px", [0, 0])
    if not isinstance(size, list) or len(size) != 2 or not all(type(v) is int and 0 <= v < 10**6 for v in size):
        raise FormatError("header: source.size_px must be two whole numbers")
    name, digest = value.get("name", "unknown"), value.get("sha256")
    if not isinstance(name, str) or not (digest is None or isinstance(digest, str)):
        raise FormatError("header: source.name and source.sha256 must be text")
    return SourceInfo(name, (size[0], size[1]), number("fps"), number("duration_s"), digest)
