"""From what the user names (a number, a file, a folder, an address) to an open source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xnect.capture.source import ReadOptions, Source
from xnect.capture.video import VideoSource
from xnect.config import CameraConfig, SourceConfig
from xnect.errors import ConfigError


def open_source(spec: str | int | Path, **options: Any) -> Source:
    """Open a source of frames.

    Args:
        spec: A video file, a folder of pictures, one picture, an address (``http://``, ``rtsp://``, ...), the number
            of a camera, ``camera:NAME``, or ``synthetic`` for a moving test picture.
        **options: Fields of ``ReadOptions``: rotate, mirror, start_s, end_s, resolution, fps, camera.

    Raises:
        SourceError: It cannot be opened; one line says why.
    """
    return VideoSource(spec if isinstance(spec, Path) else str(spec), ReadOptions(**options))


def read_options(config: SourceConfig, camera: CameraConfig) -> ReadOptions:
    """How a source is read, from the settings."""
    return ReadOptions(
        config.rotate,
        config.mirror,
        config.start_s or 0.0,
        config.end_s,
        config.camera_resolution,
        config.camera_fps,
        camera,
    )


def open_configured(config: SourceConfig, camera: CameraConfig, video: str | None = None) -> Source:
    """Open what the settings name; of several videos, ``video`` is the one."""
    options = read_options(config, camera)
    if video is None and config.video:
        video = config.video[0]
    if video is None:
        raise ConfigError("no source given")
    return VideoSource(video, options)
