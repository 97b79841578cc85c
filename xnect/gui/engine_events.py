"""What the engine tells: callbacks that are called in its threads (no Qt)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xnect.gui.state import RecordingStatus, Shown, SourceInfo


@dataclass(frozen=True)
class EngineEvents:
    """Called in the engine's threads.

    Attributes:
        shown: A frame is finished.
        opened: A source is open: what it is, and its number.
        ended: A file is at its end.
        failed: Something broke: headline, readable text, details for a report.
        progress: What is being waited for, empty = nothing.
        recording: How the recording stands.
    """

    shown: Callable[[Shown], None]
    opened: Callable[[SourceInfo, int], None]
    ended: Callable[[], None]
    failed: Callable[[str, str, str], None]
    progress: Callable[[str], None]
    recording: Callable[[RecordingStatus], None]
