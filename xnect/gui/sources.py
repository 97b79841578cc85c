"""From paths, addresses and the command line to what the engine opens (no Qt)."""

from __future__ import annotations

import re
from pathlib import Path

from xnect.config import SourceConfig
from xnect.errors import SourceError
from xnect.gui.parts import SourceRequest

_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)

#: What the file dialog offers.
FILE_FILTER = (
    "Videos, pictures, recordings (*.mp4 *.mkv *.avi *.mov *.webm *.m4v *.mpg *.mpeg *.ts *.wmv *.gif "
    "*.jpg *.jpeg *.png *.bmp *.webp *.tif *.tiff *.jsonl);;All files (*)"
)


def request_for(text: str) -> SourceRequest:
    """What a dropped path, a typed address or a camera number asks for.

    Raises:
        SourceError: There is no such file.
    """
    text = text.strip()
    if text.startswith("file://"):
        from urllib.parse import unquote, urlparse

        text = unquote(urlparse(text).path)
    if _ADDRESS.match(text):
        return SourceRequest("address", text, title=re.sub(r"//[^@/]*@", "//", text))
    if text.isdigit() and not Path(text).exists():
        return SourceRequest("camera", text)
    path = Path(text).expanduser()
    if not path.exists():
        raise SourceError(f"no such file: {path}")
    if path.suffix.lower() == ".jsonl" or (path.is_dir() and (path / "poses.jsonl").is_file()):
        return SourceRequest("recording", str(path), title=path.parent.name if path.is_file() else path.name)
    return SourceRequest("images" if path.is_dir() else "video", str(path), title=path.name)


def requests_of(config: SourceConfig) -> list[SourceRequest]:
    """The sources of the command line, in their order; empty where none is named."""
    how = {
        "resolution": config.camera_resolution, "rotate": config.rotate, "mirror": config.mirror,
        "fps": config.camera_fps,
        "start_s": config.start_s or 0.0, "end_s": config.end_s,
    }  # fmt: skip
    if config.camera is not None:
        return [SourceRequest("camera", config.camera, **how)]  # type: ignore[arg-type]
    if config.image_dir is not None:
        return [SourceRequest("images", config.image_dir, title=Path(config.image_dir).name, **how)]  # type: ignore[arg-type]
    out = []
    for video in config.video:
        kind = "address" if _ADDRESS.match(video) else "video"
        out.append(SourceRequest(kind, video, title=Path(video).name, **how))  # type: ignore[arg-type]
    return out
