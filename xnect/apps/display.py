"""Whether the parts of the window are installed, asked without importing Qt."""

from __future__ import annotations

import importlib.util

_NEEDED = {"PyQt5": "PyQt5", "pyqtgraph": "pyqtgraph", "OpenGL": "PyOpenGL"}


def missing_parts() -> str:
    """What the window lacks, with the remedy, in a few words; empty where nothing is missing."""
    lacking = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed (pip install 'xnect[gui]')"
    package = importlib.util.find_spec("xnect.gui")
    if package is None or importlib.util.find_spec("xnect.gui.app") is None:
        return "this installation comes without the window (xnect.gui)"
    return ""
