"""Whether a window can be opened here, asked without importing Qt: Qt ends the process where it can't."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping

_NEEDED = {"PyQt5": "PyQt5", "pyqtgraph": "pyqtgraph", "OpenGL": "PyOpenGL"}


def has_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether there is a screen, or Qt has been told to do without."""
    if platform.startswith(("win", "darwin", "cygwin")):
        return True
    if environment.get("QT_QPA_PLATFORM", "").split(":")[0] in ("offscreen", "minimal", "vnc", "linuxfb", "eglfs"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def missing_parts() -> str:
    """What the window lacks, with the remedy, in a few words; empty where nothing is missing."""
    lacking = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed (pip install 'xnect[gui]')"
    package = importlib.util.find_spec("xnect.gui")
    if package is None or importlib.util.find_spec("xnect.gui.app") is None:
        return "this installation comes without the window (xnect.gui)"
    return ""
