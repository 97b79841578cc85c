"""Whether a window can be opened here, and the cure for the plug-in clash between opencv-python and PyQt5 (no Qt)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping

#: opencv-python's Linux wheel points these at its own Qt; PyQt5 then aborts when QApplication is made.
CV2_QT_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")

NO_DISPLAY = (
    "no display found (neither DISPLAY nor WAYLAND_DISPLAY is set), so the window cannot open; "
    "use --no-display --output DIR to run without it"
)


def has_display(environment: Mapping[str, str] | None = None, platform: str | None = None) -> bool:
    """Whether Qt can open a window; asked before Qt is imported, since Qt aborts the process where it can't."""
    env = os.environ if environment is None else environment
    if (platform or sys.platform).startswith(("win", "darwin", "cygwin")):
        return True
    if env.get("QT_QPA_PLATFORM", "").split(":")[0] in ("offscreen", "minimal", "vnc", "linuxfb", "eglfs"):
        return True
    return bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def mend_qt_paths(environment: MutableMapping[str, str] | None = None) -> list[str]:
    """Drop the Qt folders that ``import cv2`` put into the environment; child processes inherit the cure.

    cv2 is imported here first, so that it can't set them later. A folder set by the user that does not belong to cv2
    stays.

    Returns:
        Names of the variables that were dropped.
    """
    import cv2

    env = os.environ if environment is None else environment
    home = os.path.dirname(os.path.abspath(cv2.__file__))
    dropped = []
    for name in CV2_QT_VARIABLES:
        if name in env and os.path.abspath(env[name]).startswith(home):
            del env[name]
            dropped.append(name)
    return dropped
