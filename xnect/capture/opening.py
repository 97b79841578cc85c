"""From what the user names (a number, a file, a folder, an address) to an open source."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any

from xnect.capture.images import ImageSource, is_picture
from xnect.capture.live import RETRY_S
from xnect.capture.network import is_address, open_address
from xnect.capture.source import ReadOptions, Source
from xnect.capture.synthetic import SyntheticSource, is_synthetic
from xnect.capture.video import VideoSource
from xnect.capture.webcam import open_camera
from xnect.config import CameraConfig, SourceConfig
from xnect.errors import ConfigError

_OPTION_NAMES = tuple(f.name for f in dataclasses.fields(ReadOptions))


def open_source(spec: str | int | Path, *, retry_s: float | None = RETRY_S, **options: Any) -> Source:
    """Open a source of frames.

    Args:
        spec: A video file, a folder of pictures, one picture, an address (``http://``, ``rtsp://``, ...), the number
            of a camera, ``camera:NAME``, or ``synthetic[:WxH][@FPS][:FRAMES]`` for a moving test picture.
        retry_s: A lost camera or address is tried again so often [s]; None = its loss raises SourceError.
        **options: Fields of ``ReadOptions``: rotate, mirror, start_s, end_s, resolution, fps, camera.

    Raises:
        SourceError: It cannot be opened; one line says why.
        CalibrationError: The calibration in ``camera`` cannot be used.
        ConfigError: There is no such option.
    """
    unknown = next((name for name in options if name not in _OPTION_NAMES), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, _OPTION_NAMES, n=1) or [", ".join(_OPTION_NAMES)]
        raise ConfigError(f"open_source has no option {unknown!r}; did you mean {near[0]}?")
    how = ReadOptions(**options)
    text = str(spec)
    if text.isdigit() and not Path(text).exists():
        return open_camera(text, how, retry_s)
    if text.startswith("camera:"):
        return open_camera(text.removeprefix("camera:"), how, retry_s)
    if is_synthetic(text):
        return SyntheticSource.parse(text, how)
    if is_address(text):
        return open_address(text, how, retry_s)
    path = Path(spec) if isinstance(spec, Path) else Path(text)
    if path.is_dir() or is_picture(path):
        return ImageSource(path, how)
    return VideoSource(path, how)


def read_options(config: SourceConfig, camera: CameraConfig) -> ReadOptions:
    """How a source is read, from the settings."""
    return ReadOptions(
        rotate=config.rotate,
        mirror=config.mirror,
        start_s=config.start_s or 0.0,
        end_s=config.end_s,
        resolution=config.camera_resolution,
        fps=config.camera_fps,
        camera=camera,
    )


def open_configured(config: SourceConfig, camera: CameraConfig, video: str | None = None) -> Source:
    """Open the one source that the settings name; of several videos, ``video`` is the one.

    Raises:
        SourceError, CalibrationError: As ``open_source``.
        ConfigError: No source is named.
    """
    how = read_options(config, camera)
    if video is None and config.video:
        video = config.video[0]
    if video is not None:
        if is_synthetic(video):
            return SyntheticSource.parse(video, how)
        return open_address(video, how) if is_address(video) else VideoSource(video, how)
    if config.camera is not None:
        return open_camera(config.camera, how)
    if config.image_dir is not None:
        return ImageSource(config.image_dir, how)
    raise ConfigError("no source is named: camera, video or image_dir")
