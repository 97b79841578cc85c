"""JSON over UDP: each datagram one line of ``poses.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence

from xnect.addresses import Address
from xnect.streams.hub import Packet
from xnect.streams.sockets import Sender

#: The header is sent again so often, for receivers who come late [s].
HEADER_EVERY_S = 1.0
#: Largest datagram (65,507 bytes is what UDP over IPv4 can carry).
MOST_BYTES = 65_000


class UdpOutlet:
    """Sends every frame's line to every receiver."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        """Open the sockets. Raises StreamError for an unknown host."""
        self._senders = [Sender(address) for address in addresses]
        self._header: bytes | None = None
        self._header_s = 0.0

    @property
    def description(self) -> str:
        """Where it goes, in words."""
        return "JSON over UDP to " + ", ".join(str(sender.address) for sender in self._senders)

    def send(self, packet: Packet, now_s: float) -> None:
        """Send one frame, in several lines of the same frame number where it is too large for one datagram."""
        header = packet.header
        if header is not self._header or now_s - self._header_s >= HEADER_EVERY_S:
            self._header, self._header_s = header, now_s
            self._out(header)
        for line in packet.lines(MOST_BYTES):
            self._out(line)

    def _out(self, line: bytes) -> None:
        for sender in self._senders:
            sender.send(line)

    def tick(self, now_s: float) -> None:
        """Nothing to do while no frames come."""

    def close(self) -> None:
        """Close the sockets."""
        for sender in self._senders:
            sender.close()
