"""Who may talk to the WebSocket server: host, origin and token of a request."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from xnect.addresses import is_loopback


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server.

    Attributes:
        loopback: It listens on loopback only: then ``Host`` must name loopback too, or a foreign name that was made to
            point here (DNS rebinding) would let any web page in.
        token: What a client must know, None = nothing.
        origins: Web pages that may connect beside the server's own.
    """

    loopback: bool
    token: str | None = None
    origins: tuple[str, ...] = ()

    def refusal(self, target: str, headers: Mapping[str, str]) -> str:
        """Why a request is refused, "" where it is not.

        Args:
            target: Path with query, as asked for.
            headers: Of the request; a header given twice counts as none.
        """
        host = _header(headers, "Host")
        name = _host_name(host)
        if not name:
            return "no host named"
        if self.loopback and not is_loopback(name):
            return "this server answers to loopback names only"
        origin = _header(headers, "Origin")
        if origin is None and "Origin" in headers:
            return "this web page may not connect"
        if origin is not None and origin.lower() != f"http://{host}".lower() and origin not in self.origins:
            return "this web page may not connect"
        if self.token is not None and not self._knows(target, headers):
            return "the token is missing or wrong: add ?token=... to the address"
        return ""

    def _knows(self, target: str, headers: Mapping[str, str]) -> bool:
        assert self.token is not None
        bearer = _header(headers, "Authorization") or ""
        try:
            asked = parse_qs(urlsplit(target).query, max_num_fields=8).get("token", [])
        except ValueError:
            return False
        offered = [bearer.removeprefix("Bearer "), *asked] if bearer.startswith("Bearer ") else asked
        return any(hmac.compare_digest(text.encode(), self.token.encode()) for text in offered)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    try:
        return headers.get(name)
    except LookupError:  # given twice
        return None


def _host_name(host: str | None) -> str:
    """``name:port`` -> name; "" where it is not one."""
    try:
        parts = urlsplit(f"//{host or ''}")
        _ = parts.port  # raises ValueError for anything but a number
    except ValueError:
        return ""
    return "" if parts.path or parts.query or "@" in parts.netloc else parts.hostname or ""
