"""Network addresses as users write them: a port, a host, or both; loopback unless a host is named."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is sent, or listens.

    Attributes:
        host: Name, IPv4 or IPv6 address without brackets.
        port: 0 to 65535; 0 = any free one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """``HOST:PORT``, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine is reached."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, judged as a parsed address (``127.evil.example`` is none)."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: str, default_port: int) -> Address:
    """``8765``, ``host``, ``host:8765``, ``[::1]:8765`` or nothing -> an address.

    Raises:
        ValueError: It is none of these; the message says what was expected.
    """
    text = text.strip()
    host, port = text, ""
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: [IPv6]:PORT expected")
        port = rest[1:]
    elif text.isascii() and text.isdigit():
        host, port = "", text
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port:
            raise ValueError(f"{text!r}: a port expected after the colon")
    if port and not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise ValueError(f"{text!r}: a port is a number up to 65535")
    return Address(_host(host, text) if host else LOOPBACK, int(port) if port else default_port)


def _host(host: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if not _NAME.fullmatch(host) or host.replace(".", "").isdigit():  # 1.2.3 and 256.1.1.1 are typing errors
            raise ValueError(f"{text!r}: PORT, HOST or HOST:PORT expected") from None
        return host
