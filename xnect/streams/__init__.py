"""Live streams: VMC, plain OSC, WebSocket with a web page, UDP; none of them ever makes the pipeline wait."""

from xnect.streams.hub import Outlet, Packet, Streams
from xnect.streams.opening import open_streams

__all__ = ["Outlet", "Packet", "Streams", "open_streams"]
