"""Sending datagrams without ever waiting for anybody."""

from __future__ import annotations

import socket
from typing import Any

from xnect.addresses import Address
from xnect.errors import StreamError


class Sender:
    """One receiver's socket; a datagram that cannot leave at once is dropped."""

    def __init__(self, address: Address) -> None:
        """Find the receiver. Raises StreamError where its name is unknown."""
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise StreamError(f"cannot stream to {address}: {error.strerror or error}") from error
        family, kind, protocol, _, target = found[0]
        self._target: tuple[Any, ...] = target
        self.address = address
        self.failed = 0
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        if family == socket.AF_INET and address.host.endswith(".255"):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def send(self, data: bytes, port_step: int = 0) -> None:
        """Send to the receiver's port, or so many ports above it."""
        host, port, *rest = self._target
        try:
            self._socket.sendto(data, (host, int(port) + port_step, *rest))
        except OSError:  # nobody there, buffer full, network down: the next frame may do better
            self.failed += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
