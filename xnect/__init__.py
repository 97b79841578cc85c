"""xnect: real-time multi-person 3D motion capture from one ordinary camera.

from xnect import MotionCapture, open_source, load
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xnect.capture import open_source
    from xnect.formats.recording import load
    from xnect.pipeline import MotionCapture

__version__ = "0.1.0"
__all__ = ["MotionCapture", "__version__", "load", "open_source"]

# 16384 x 16384: a few bytes can claim more, and take all memory. OpenCV reads this when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))

_HOMES = {"MotionCapture": "xnect.pipeline", "open_source": "xnect.capture", "load": "xnect.formats.recording"}


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for: torch takes seconds."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
