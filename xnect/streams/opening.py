"""From settings to running streams."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from xnect.addresses import parse_address
from xnect.config import StreamConfig
from xnect.errors import StreamError
from xnect.streams.hub import Outlet, Streams

_log = logging.getLogger(__name__)


def open_streams(config: StreamConfig | None = None, people: int = 10, **settings: object) -> Streams:
    """Open everything that the settings ask for; close it by ``Streams.close`` or ``with``.

    Args:
        config: The settings; None = made of ``settings``.
        people: Avatars at most (VMC).
        settings: Fields of ``StreamConfig``: ``open_streams(vmc=("127.0.0.1:39539",), websocket="127.0.0.1:8765")``.

    Raises:
        StreamError: A port is taken, a host unknown, a package missing; nothing stays open.
        ConfigError: An address or another setting is wrong.
    """
    config = config or StreamConfig(**settings)  # type: ignore[arg-type]
    outlets: list[Outlet] = []
    try:
        for outlet in _outlets(config, people):
            outlets.append(outlet)
            _log.info("streaming %s", outlet.description)
    except StreamError:
        for outlet in outlets:
            outlet.close()
        raise
    return Streams(outlets)


def _outlets(config: StreamConfig, people: int) -> Iterable[Outlet]:
    if config.websocket is not None:  # first: the one whose port can be taken
        try:
            from xnect.streams.websocket import WebSocketOutlet
        except ImportError as error:
            raise StreamError("the WebSocket server needs websockets: pip install 'xnect[streams]'") from error

        yield WebSocketOutlet(parse_address(config.websocket, 0), config.token, config.origins)
    if config.vmc:
        from xnect.streams.vmc import VmcOutlet

        yield VmcOutlet([parse_address(text, 0) for text in config.vmc], people)
    if config.osc:
        from xnect.streams.osc import OscOutlet

        yield OscOutlet([parse_address(text, 0) for text in config.osc])
    if config.udp:
        from xnect.streams.udp import UdpOutlet

        yield UdpOutlet([parse_address(text, 0) for text in config.udp])
