"""From what is known of the optics (a calibration file, a focal length, an angle) to the camera of a source."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from xnect.capture.source import ReadOptions
from xnect.config import CameraConfig
from xnect.errors import CalibrationError, ConfigError
from xnect.geometry import camera_from_fov, scaled
from xnect.structures import F64, Camera
from xnect.untrusted import parse_json, read_toml

_log = logging.getLogger(__name__)

DEFAULT_FOV_DEG = 60.0
_MATRIX_KEYS = ("camera_matrix", "K", "cameraMatrix", "camera_Matrix", "matrix", "intrinsic_matrix", "mtx")
_DISTORTION_KEYS = (
    "distortion_coefficients",
    "distortion",
    "distortions",
    "dist",
    "dist_coeffs",
    "dist_coeff",
    "distCoeffs",
    "Distortion_Coefficients",
    "D",
)
_SIZE_KEYS = (("width", "height"), ("image_width", "image_height"), ("image_Width", "image_Height"))
_ASPECT_TOLERANCE = 0.02
#: A calibration larger than this [bytes], or with lists deeper than this, is something else (and OpenCV's parser, which
#: calls itself for each level, would take the program down).
_MOST_BYTES, _MOST_DEPTH = 4 << 20, 64
_XML_TAG = re.compile(r"<(/?)[A-Za-z_][^<>]*?(/?)>")
_BLOCK_DEPTH = re.compile(rf"^(?: {{{4 * _MOST_DEPTH},}}[^\s\d.,+-]|\s*(?:[-?:] +){{{_MOST_DEPTH},}})", re.MULTILINE)
#: Focal length [px] and distortion coefficients beyond these are no lens's.
_FOCAL_PX, _MOST_DISTORTION = (1.0, 1e7), 1e6


def camera_for(options: ReadOptions, native_px: tuple[int, int], name: str) -> Camera:
    """The camera of a source as its frames come out: of their size, turned and flipped as they are.

    Args:
        options: Turn, flip and what is known of the optics.
        native_px: Width and height before turn and flip [px].
        name: File name or camera name; picks among several calibrations in one file.

    Raises:
        CalibrationError: The calibration cannot be read, or was made for pictures of another shape.
    """
    known = options.camera
    if known.calibration is not None:
        camera, is_turned = _fit_size(read_calibration(known.calibration, name), native_px, options)
        if is_turned:
            return mirrored(camera) if options.mirror else camera
    elif known.fx_px is not None:
        camera = _from_focal(native_px, known.fx_px)
    else:
        camera = camera_from_fov(native_px, known.fov_deg or DEFAULT_FOV_DEG, estimated=known.fov_deg is None)
    camera = rotated(camera, options.rotate)
    return mirrored(camera) if options.mirror else camera


def camera_of_size(known: CameraConfig, size_px: tuple[int, int], name: str = "") -> Camera:
    """The camera for pictures of ``size_px`` that are neither turned nor flipped."""
    return camera_for(ReadOptions(camera=known), size_px, name)


def _from_focal(size_px: tuple[int, int], focal_px: float) -> Camera:
    width, height = size_px
    matrix = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]], dtype=np.float64)
    return Camera(matrix, size_px)


def rotated(camera: Camera, degrees: int) -> Camera:
    """The same camera for pictures turned clockwise by 0, 90, 180 or 270 degrees."""
    for _ in range(degrees // 90):
        (fx, _, cx), (_, fy, cy), _ = camera.matrix_px
        width, height = camera.size_px
        k1, k2, p1, p2, k3 = camera.distortion
        matrix = np.array([[fy, 0, height - 1 - cy], [0, fx, cx], [0, 0, 1]], dtype=np.float64)
        camera = Camera(matrix, (height, width), np.array([k1, k2, p2, -p1, k3]), camera.estimated)
    return camera


def mirrored(camera: Camera) -> Camera:
    """The same camera for pictures with left and right flipped."""
    matrix = camera.matrix_px.copy()
    matrix[0, 2] = camera.size_px[0] - 1 - matrix[0, 2]
    return Camera(matrix, camera.size_px, camera.distortion * [1, 1, 1, -1, 1], camera.estimated)


def _fit_size(camera: Camera, native_px: tuple[int, int], options: ReadOptions) -> tuple[Camera, bool]:
    """The camera scaled to the source, and whether it was made for the turned picture already."""

    def same_shape(size: tuple[int, int]) -> bool:
        ours, theirs = camera.size_px[0] / camera.size_px[1], size[0] / size[1]
        return abs(ours / theirs - 1) < _ASPECT_TOLERANCE

    if camera.size_px == (0, 0):
        _log.warning("the calibration does not say its picture size; taken as the source's %dx%d", *native_px)
        camera = Camera(camera.matrix_px.copy(), native_px, camera.distortion.copy())
        _check_centre(camera)
    turned_px = options.turned(native_px)
    if same_shape(native_px):
        return scaled(camera, native_px), False
    if same_shape(turned_px):
        return scaled(camera, turned_px), True
    raise CalibrationError(
        f"the calibration was made for {camera.size_px[0]}x{camera.size_px[1]} pictures, "
        f"the source has {native_px[0]}x{native_px[1]}: another shape of picture"
    )


def _check_centre(camera: Camera) -> None:
    (width, height), centre = camera.size_px, camera.matrix_px[:2, 2]
    if not (0 < centre[0] < width and 0 < centre[1] < height):
        raise CalibrationError(
            f"impossible calibration: the optical centre ({centre[0]:.0f}, {centre[1]:.0f}) px "
            f"lies outside the {width}x{height} picture"
        )


def read_calibration(spec: str, source_name: str = "") -> Camera:
    """The camera in a calibration file; its ``size_px`` is (0, 0) where the file does not say for which pictures.

    Read are OpenCV's YAML, XML and JSON (ROS' camera_info as well), TOML of caliscope, Pose2Sim and anipose, and JSON
    with a table "cameras". Of several cameras the one is taken whose file or name fits the source's.

    Args:
        spec: ``FILE`` or ``FILE:camera``.
        source_name: File name of the video, or the camera's name.

    Raises:
        CalibrationError: One line says what is wrong.
    """
    path, wanted = _split(spec)
    data = _load(path)
    cameras = _find_cameras(data)
    if not cameras:
        raise CalibrationError(f"{path} has no camera matrix (looked for {', '.join(_MATRIX_KEYS[:4])})")
    name = _choose(cameras, wanted, source_name, path)
    label = f"{path}:{name}" if name else str(path)
    return _camera(cameras[name], label)


def _split(spec: str) -> tuple[Path, str]:
    path = Path(spec)
    if not path.exists() and ":" in spec:
        head, _, tail = spec.rpartition(":")
        if Path(head).exists():
            return Path(head), tail
    return path, ""


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CalibrationError(f"no such calibration file: {path}")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CalibrationError(f"{path} is larger than {_MOST_BYTES >> 20} MB: no calibration")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"cannot read calibration {path}: {error}") from error
    try:
        if path.suffix.lower() == ".toml":
            data: Any = read_toml(path)
        elif text.lstrip().startswith("{"):
            data = parse_json(text)
        else:
            data = _read_opencv(text)
    except (ConfigError, ValueError, cv2.error) as error:
        detail = str(error).splitlines()[0] if not isinstance(error, cv2.error) else "not YAML, XML or JSON as OpenCV's"
        raise CalibrationError(f"cannot read calibration {path}: {detail}") from error
    if not isinstance(data, dict):
        raise CalibrationError(f"cannot read calibration {path}: a table was expected")
    return data


def _too_deep(text: str) -> bool:
    """Whether lists, tables or tags lie within one another further than any calibration needs."""
    signs = np.frombuffer(text.encode("utf-8"), np.uint8)
    steps = np.isin(signs, np.frombuffer(b"[{", np.uint8)).astype(np.int64) - np.isin(
        signs, np.frombuffer(b"]}", np.uint8)
    )
    tags = np.array([0 if end else -1 if start else 1 for start, end in _XML_TAG.findall(text)], np.int64)
    deepest = max(int(np.cumsum(s).max(initial=0)) for s in (steps, tags))
    return deepest > _MOST_DEPTH or _BLOCK_DEPTH.search(text) is not None


def _read_opencv(text: str) -> Any:
    if _too_deep(text):
        raise ValueError("nested too deeply")
    if not text.lstrip().startswith(("%YAML", "<")):
        text = "%YAML:1.0\n---\n" + text  # the line that OpenCV insists on and ROS leaves out
    storage = cv2.FileStorage()  # not the constructor that reads: it hides the reason behind a SystemError
    try:
        if not storage.open(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY):
            raise ValueError("not YAML, XML or JSON as OpenCV's")
        return _plain(storage.root())
    finally:
        storage.release()


def _plain(node: cv2.FileNode) -> Any:
    """A node of OpenCV's file storage as dicts, lists, numbers and strings."""
    if node.isMap():
        return {key: _plain(node.getNode(key)) for key in node.keys()}  # noqa: SIM118 - not a mapping
    if node.isSeq():
        return [_plain(node.at(i)) for i in range(node.size())]
    if node.isInt() or node.isReal():
        return node.real()
    return node.string() if node.isString() else None


def _first(data: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((data[key] for key in keys if data.get(key) is not None), None)


def _find_cameras(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> the table with its numbers; the name is empty where the file holds just one."""
    if _first(data, _MATRIX_KEYS) is not None:
        return {"": data}
    inside = data.get("cameras", data)
    if isinstance(inside, list):
        inside = {str(item.get("name", i)): item for i, item in enumerate(inside) if isinstance(item, dict)}
    if not isinstance(inside, dict):
        return {}
    tables = {name: item for name, item in inside.items() if isinstance(item, dict)}
    return {
        str(item.get("name", name)): item for name, item in tables.items() if _first(item, _MATRIX_KEYS) is not None
    }


def _choose(cameras: dict[str, dict[str, Any]], wanted: str, source_name: str, path: Path) -> str:
    if wanted:
        hits = [n for n, item in cameras.items() if wanted in (n, str(item.get("cam_id", n)))]
        if not hits:
            raise CalibrationError(f"{path} has no camera {wanted!r}: {', '.join(cameras)}")
        return hits[0]
    if len(cameras) == 1:
        return next(iter(cameras))
    by_file = [n for n, item in cameras.items() if item.get("file") == source_name]
    by_name = sorted((n for n in cameras if n and n.lower() in source_name.lower()), key=len)
    if not by_file + by_name or (not by_file and by_name[-1].isdigit()):
        raise CalibrationError(f"{path} has several cameras, say which: {path}:NAME with {', '.join(cameras)}")
    return by_file[0] if by_file else by_name[-1]


def _array(value: Any, what: str, label: str) -> F64:
    """Numbers of a list, of rows, or of a table with rows, cols and data."""
    if isinstance(value, dict):
        value = value.get("data")
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{label}: {what} is not a list of numbers") from error
    if not np.isfinite(array).all():
        raise CalibrationError(f"{label}: {what} has numbers that are not finite")
    return array


def _camera(data: Mapping[str, Any], label: str) -> Camera:
    matrix = _array(_first(data, _MATRIX_KEYS), "the camera matrix", label)
    if matrix.size != 9:
        raise CalibrationError(f"{label}: the camera matrix needs 3x3 numbers, it has {matrix.size}")
    matrix = matrix.reshape(3, 3)
    if abs(matrix[2, 2] - 1) > 1e-6 or np.abs(matrix[[1, 2, 2], [0, 0, 1]]).max() > 1e-9:
        raise CalibrationError(f"{label}: not a camera matrix (fx 0 cx / 0 fy cy / 0 0 1 expected)")
    if not (_FOCAL_PX[0] <= min(matrix[0, 0], matrix[1, 1]) <= max(matrix[0, 0], matrix[1, 1]) <= _FOCAL_PX[1]):
        low, high = _FOCAL_PX
        raise CalibrationError(f"{label}: the focal lengths must be positive numbers of pixels, {low:g} to {high:g}")
    matrix = matrix.copy()
    matrix[0, 1] = 0.0  # skew: none in any camera built today, and our model has none
    camera = Camera(matrix, _size(data, label), _distortion(data, label))
    if camera.size_px != (0, 0):
        _check_centre(camera)
    return camera


def _distortion(data: Mapping[str, Any], label: str) -> F64:
    model = str(data.get("distortion_model", data.get("model", ""))).lower()
    if data.get("fisheye") is True or data.get("fisheye") == 1.0 or model in ("equidistant", "fisheye"):
        raise CalibrationError(f"{label}: fisheye lenses are not supported; undistort the video first")
    value = _first(data, _DISTORTION_KEYS)
    given = np.zeros(0) if value is None else _array(value, "the distortion", label).reshape(-1)
    if given[5:].any():
        raise CalibrationError(f"{label}: the distortion has {given.size} coefficients; five are supported")
    if np.abs(given).max(initial=0.0) > _MOST_DISTORTION:
        raise CalibrationError(
            f"{label}: the distortion coefficients are beyond {_MOST_DISTORTION:g}, as no lens has them"
        )
    out = np.zeros(5)
    out[: min(given.size, 5)] = given[:5]
    return out


def _size(data: Mapping[str, Any], label: str) -> tuple[int, int]:
    pairs: list[tuple[Any, ...]] = [(data[w], data[h]) for w, h in _SIZE_KEYS if data.get(w) and data.get(h)]
    size = _first(data, ("size", "image_size", "resolution", "img_size"))
    if size is not None:
        pairs.append(tuple(_array(size, "the picture size", label).reshape(-1).tolist()))
    if not pairs:
        return 0, 0
    if len(pairs[0]) != 2 or not all(isinstance(v, int | float) and 1 <= v <= 65536 for v in pairs[0]):
        raise CalibrationError(f"{label}: the picture size must be two positive numbers")
    return int(pairs[0][0]), int(pairs[0][1])
