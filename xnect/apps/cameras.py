"""``--list-cameras``: names and modes."""

from __future__ import annotations

import sys


def print_cameras() -> int:
    """Print a line a camera to standard output; returns the exit code (1 where there is none)."""
    from xnect.capture.webcam import camera_modes, list_cameras

    entries = list_cameras()
    if not entries:
        print(
            "no camera found: is it plugged in, and may this user use it (Linux: group video; "
            "Windows and macOS: privacy settings of the camera)?",
            file=sys.stderr,
        )
        return 1
    for entry in entries:
        modes = ", ".join(f"{width}x{height}@{fps:g}" for width, height, fps in camera_modes(entry))
        print(f"{entry.number}: {entry.name}  {modes or '(in use, or gives no mode)'}")
    return 0
