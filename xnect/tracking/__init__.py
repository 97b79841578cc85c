"""Identity over time: who of this frame's people is who of the last."""

from xnect.tracking.tracker import Tracker

__all__ = ["Tracker"]
