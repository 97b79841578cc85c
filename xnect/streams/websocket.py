"""WebSocket server: every frame as JSON to any number of clients, and a page that shows the skeletons in 3D."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import cache, partial
from http import HTTPStatus
from importlib import resources
from urllib.parse import quote

from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from xnect.addresses import Address
from xnect.errors import StreamError
from xnect.streams.access import Access
from xnect.streams.gate import MESSAGES_PER_S, MOST_CLIENTS, Gate, GuardedConnection
from xnect.streams.hub import CLOSE_S, Packet

_log = logging.getLogger(__name__)
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.CRITICAL + 1)  # what strangers do wrong is no news to us

STREAM_PATH = "/stream"
#: A client with more than this unsent gets no new frames, ...
SKIP_BYTES = 1 << 16
#: ... and is cut off when that lasts so long [s].
PATIENCE_S = 2.0
#: What the kernel may hold back for a client; without a bound a stalled one is noticed after megabytes only.
KERNEL_BYTES = 1 << 17
#: Largest message taken from a client (it has nothing to tell us) and frames that may wait for the network thread.
MOST_INCOMING_BYTES, QUEUE = 4096, 4
_PAUSE_S = 0.25  # for closing words at the end


@cache
def page() -> tuple[bytes, str]:
    """The web page and its content security policy: its own script and style, its own server, nothing else."""
    html = resources.files("xnect.streams").joinpath("page.html").read_bytes()

    def digests(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>".encode(), html, re.S)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(part).digest()).decode()}'" for part in parts)

    policy = (
        f"default-src 'none'; script-src {digests('script')}; style-src {digests('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy


class WebSocketOutlet:
    """The server, in a thread of its own.

    Attributes:
        address: Where it listens.
        dropped: Clients cut off because they did not read.
    """

    def __init__(self, address: Address, token: str | None = None, origins: Sequence[str] = ()) -> None:
        """Listen. Other addresses than loopback always need a token; one is made where none is given.

        Raises:
            StreamError: The port is taken, or the address is not one of this machine's.
        """
        if token is None and not address.loopback:
            token = secrets.token_urlsafe(12)
        self._socket = _listen(address)
        self.address = Address(address.host, self._socket.getsockname()[1])
        self._access = Access(address.loopback, token, tuple(origins))
        self._gate = Gate()
        self.dropped = 0
        self._clients: dict[GuardedConnection, float] = {}  # since when it has been too slow, 0 = it is not
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque(maxlen=QUEUE)
        self._woken = False
        self._header: bytes | None = None
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="xnect-websocket", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the web page, with the token where one is needed."""
        anywhere = self.address.host in ("0.0.0.0", "::")
        place = Address(socket.gethostname() if anywhere else self.address.host, self.address.port)
        token = f"?token={quote(self._access.token, safe='')}" if self._access.token is not None else ""
        return f"http://{place}/{token}"

    @property
    def description(self) -> str:
        """Where it is, in words."""
        note = (
            "" if self.address.loopback else " (open to the network: whoever knows the token sees everybody's motion)"
        )
        return f"over WebSocket, page at {self.url}{note}"

    @property
    def clients(self) -> int:
        """Clients that are connected."""
        return len(self._clients)

    def send(self, packet: Packet, now_s: float) -> None:
        """Hand one frame to the network thread; costs nothing while nobody is connected."""
        if packet.header is not self._header:
            self._header = packet.header
            self._put(packet.header)
        if self._clients:
            self._put(packet.line)

    def tick(self, now_s: float) -> None:
        """Nothing to do while no frames come."""

    def close(self) -> None:
        """Say good-bye to all clients and end the thread, within a second."""
        with self._lock:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(CLOSE_S)

    def _put(self, text: bytes) -> None:
        with self._lock:
            self._waiting.append(text)
            if self._woken or self._loop.is_closed():
                return
            self._woken = True
            self._loop.call_soon_threadsafe(self._pass_on)

    # ---- in the network thread

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:  # noqa: BLE001 - a worker's outermost border: the other streams go on
            _log.exception("the WebSocket server broke")
        finally:
            with self._lock:
                _cancel_all(self._loop)
                self._loop.close()
            self._socket.close()

    async def _serve(self) -> None:
        server = await serve(
            self._client,  # type: ignore[arg-type]
            sock=self._socket,
            process_request=self._answer,
            create_connection=partial(GuardedConnection, self._gate),  # type: ignore[arg-type]
            compression=None,  # costs more time than loopback and local networks save
            open_timeout=3.0,
            ping_interval=5.0,
            ping_timeout=10.0,
            close_timeout=_PAUSE_S,
            max_size=MOST_INCOMING_BYTES,
            max_queue=4,
            server_header=None,
            logger=_library_log,
        )
        await self._end.wait()
        server.close(code=1001, reason="the capture has ended")
        await asyncio.wait([asyncio.ensure_future(server.wait_closed())], timeout=_PAUSE_S)
        for client in list(self._clients):
            client.cut()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse, send the page, or (None) go on with the WebSocket handshake."""
        refusal = self._access.refusal(request.path, request.headers)
        if refusal:
            return connection.respond(HTTPStatus.FORBIDDEN, refusal + "\n")
        path = request.path.partition("?")[0]
        upgrade = "upgrade" in request.headers
        if path == "/" and not upgrade:
            html, policy = page()
            headers = Headers({
                "Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(html)), "Connection": "close",
                "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-store",
            })  # fmt: skip
            return Response(200, "OK", headers, html)
        if path not in ("/", STREAM_PATH):
            return connection.respond(HTTPStatus.NOT_FOUND, f"the page is at /, the stream at {STREAM_PATH}\n")
        if len(self._clients) >= MOST_CLIENTS:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def _client(self, connection: GuardedConnection) -> None:
        """One client from its handshake to its end; what it says is not listened to, and not for long."""
        self._clients[connection] = 0.0
        try:
            if self._header is not None:
                broadcast([connection], self._header, text=True)
            started, messages = time.monotonic(), 0
            async for _ in connection:
                messages += 1
                now = time.monotonic()
                if now - started > 1.0:
                    started, messages = now, 1
                if messages > MESSAGES_PER_S:
                    await connection.close(1008, "too many messages")
                    return
        except ConnectionClosed:
            pass
        finally:
            self._clients.pop(connection, None)

    def _pass_on(self) -> None:
        """Send what waits to everyone who keeps up."""
        with self._lock:
            texts, self._woken = list(self._waiting), False
            self._waiting.clear()
        now = time.monotonic()
        ready = []
        for client, slow_s in list(self._clients.items()):
            if client.unsent_bytes <= SKIP_BYTES:
                self._clients[client] = 0.0
                ready.append(client)
            elif not slow_s:
                self._clients[client] = now
            elif now - slow_s > PATIENCE_S:
                self.dropped += 1
                del self._clients[client]
                client.cut()
                _log.info("a WebSocket client that does not read was cut off")
        for text in texts:
            broadcast(ready, text, text=True)


def _listen(address: Address) -> socket.socket:
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        found = socket.create_server((address.host, address.port), family=family, backlog=128)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # create_server adds to it
        raise StreamError(f"cannot listen at {address}: {why} (--websocket takes another port)") from error
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    return found


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=0.2))
