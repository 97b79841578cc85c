"""Where frames come from: video files, cameras, addresses, folders of pictures."""

from xnect.capture.opening import open_configured, open_source
from xnect.capture.source import ReadOptions, Source, SourceInfo

__all__ = ["ReadOptions", "Source", "SourceInfo", "open_configured", "open_source"]
