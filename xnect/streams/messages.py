"""OSC bundles whose numbers are filled in anew for every frame; python-osc lays out the bytes once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xnect.errors import StreamError

#: Most bytes of a bundle: VMC's rule is 1,500; 1,452 passes any Ethernet in one piece, over IPv6 too.
MOST_BYTES = 1452


def osc_library() -> Any:
    """python-osc's builders; raises StreamError where it is not installed."""
    try:
        from pythonosc import osc_bundle_builder, osc_message_builder
    except ImportError as error:
        raise StreamError("OSC and VMC need python-osc: pip install 'xnect[streams]'") from error
    return osc_message_builder, osc_bundle_builder


def message(address: str, *values: float | int | str) -> bytes:
    """One OSC message; floats, whole numbers and text by their Python type."""
    builders, _ = osc_library()
    builder = builders.OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value, {float: "f", int: "i", str: "s"}[type(value)])
    return bytes(builder.build().dgram)


def bundle(messages: Sequence[bytes]) -> bytes:
    """Messages as one bundle to be obeyed at once."""
    return _HEAD + b"".join(len(part).to_bytes(4, "big") + part for part in messages)


_HEAD = b"#bundle\0" + (1).to_bytes(8, "big")


class Template:
    """Messages of the same form, each ending with K floats, spread over as few bundles as their size allows."""

    def __init__(self, starts: Sequence[tuple[str, tuple[int | str, ...]]], floats: int) -> None:
        """Lay out the bytes.

        Args:
            starts: Address and leading values of each message.
            floats: How many floats end each message.
        """
        self._bundles: list[bytearray] = []
        self._places: list[np.ndarray] = []
        parts: list[bytes] = []
        for address, values in starts:
            part = message(address, *values, *[0.0] * floats)
            if parts and len(_HEAD) + sum(4 + len(p) for p in (*parts, part)) > MOST_BYTES:
                self._finish(parts, floats)
                parts = []
            parts.append(part)
        self._finish(parts, floats)

    def _finish(self, parts: list[bytes], floats: int) -> None:
        ends = len(_HEAD) + np.cumsum([4 + len(part) for part in parts])
        self._bundles.append(bytearray(bundle(parts)))
        self._places.append(ends[:, None] + np.arange(-4 * floats, 0))

    def filled(self, values: np.ndarray) -> list[bytes]:
        """The bundles with these numbers, (messages, K), filled in."""
        raw = np.ascontiguousarray(values, dtype=">f4").view(np.uint8)
        out, done = [], 0
        for data, places in zip(self._bundles, self._places, strict=True):
            np.frombuffer(data, np.uint8)[places] = raw[done : done + len(places)]
            out.append(bytes(data))
            done += len(places)
        return out
