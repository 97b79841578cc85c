"""The door of the WebSocket server: how many connections there are, and how fast new ones come."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from websockets.asyncio.server import ServerConnection

MOST_CLIENTS = 64
#: Connections that are not clients yet (handshakes, page requests), at most.
MOST_GUESTS = 32
#: New connections: so many at once, and so many a second.
BURST, PER_S = 100.0, 40.0
#: Messages of a client that are put up with (it has nothing to tell us), a second.
MESSAGES_PER_S = 10


class Gate:
    """Counts connections and refuses the ones that are too many, before a byte of theirs is read."""

    def __init__(self) -> None:
        self.open = 0
        self.refused = 0
        self._tokens, self._last_s = BURST, time.monotonic()

    def admit(self) -> bool:
        """Whether one more may come in."""
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._last_s) * PER_S)
        self._last_s = now
        if self._tokens < 1.0 or self.open >= MOST_CLIENTS + MOST_GUESTS:
            self.refused += 1
            return False
        self._tokens -= 1.0
        self.open += 1
        return True


class GuardedConnection(ServerConnection):
    """A connection that passes a gate."""

    def __init__(self, gate: Gate, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = gate
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there: take it, or cut it off at once."""
        self._admitted = self._gate.admit()
        if self._admitted:
            super().connection_made(transport)
        else:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._admitted:
            self._gate.open -= 1
            super().connection_lost(exc)

    @property
    def unsent_bytes(self) -> int:
        """What waits for a slow client."""
        return int(self.transport.get_write_buffer_size())

    def cut(self) -> None:
        """End it without a word: who does not read would not hear one."""
        self.transport.abort()
