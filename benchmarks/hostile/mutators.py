"""Seeded mutations of bytes and of text: what storage, networks and malice do to files."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: Values that take the place of a number or word in a text file.
NASTY = (
    "NaN", "-NaN", "Infinity", "-Infinity", "inf", "1e400", "-1e400", "1e308", "-1e308", "1e-320", "1" * 400, "-1", "0", "-0.0",
    "9223372036854775808", "18446744073709551616", "2147483648", "true", "null", '"text"', '""', "[]", "{}", "[[[]]]", '"\\u0000"',
    '"\\ud800"', "'", "0x10", "1_000", "１２", "\x00", "\x1b[31m", "1.2.3", "--1", "1e", "2026-11-22", "[1, 2", "\u202e", "é",
)  # fmt: skip
_TOKEN = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\"[^\"\n]{0,40}\"|true|false|null")
#: A mutated text is no longer than this.
_MOST = 4 << 20


@dataclass(frozen=True)
class Case:
    """One set of files to be loaded.

    Attributes:
        kind: Which loader.
        name: Seed and mutation in words.
        files: Name -> content, below a folder made for the case.
        entry: The file to be named to the loader; "" = the folder.
        must_refuse: To be read without complaint would be a finding too (what an attacker wants).
    """

    kind: str
    name: str
    files: Mapping[str, bytes]
    entry: str = ""
    must_refuse: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


def _place(rng: random.Random, data: bytes) -> int:
    """A place in the file; beginnings and ends, where the tables are, are met more often."""
    if rng.random() < 0.4:
        return rng.randrange(min(len(data), 256))
    if rng.random() < 0.2:
        return len(data) - 1 - rng.randrange(min(len(data), 256))
    return rng.randrange(len(data))


def flip(rng: random.Random, data: bytes) -> bytes:
    """Bits turned over."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 10, 60))):
        out[_place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(out)


def truncate(rng: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: _place(rng, data)]


def insert(rng: random.Random, data: bytes) -> bytes:
    """Bytes put in between."""
    at = _place(rng, data)
    return data[:at] + rng.randbytes(rng.choice((1, 4, 37, 1024))) + data[at:]


def delete(rng: random.Random, data: bytes) -> bytes:
    """A piece is missing."""
    at = _place(rng, data)
    return data[:at] + data[at + rng.choice((1, 4, 37, 1024)) :]


def duplicate(rng: random.Random, data: bytes) -> bytes:
    """A piece stands there twice."""
    at, size = _place(rng, data), rng.choice((1, 16, 300, 4096))
    return data[: at + size] + data[at : at + size] * rng.choice((1, 1, 5)) + data[at + size :]


def exchange(rng: random.Random, data: bytes) -> bytes:
    """Two pieces change places."""
    size = max(1, min(len(data) // 3, rng.choice((4, 64, 2048))))
    a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def blank(rng: random.Random, data: bytes) -> bytes:
    """A block of zeros or ones, as a bad sector leaves it."""
    at, size = _place(rng, data), rng.choice((4, 64, 512, 4096))
    return data[:at] + rng.choice((b"\0", b"\xff")) * min(size, len(data) - at) + data[at + size :]


def extreme(rng: random.Random, data: bytes) -> bytes:
    """A number in the file becomes the largest, least or an odd one."""
    at = _place(rng, data)
    word = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\0\0\0\0"))
    word = word * rng.choice((1, 1, 2))
    return data[:at] + word + data[at + len(word) :]


def empty(rng: random.Random, data: bytes) -> bytes:
    """Nothing at all."""
    return b""


def noise(rng: random.Random, data: bytes) -> bytes:
    """The beginning is right, all else is noise."""
    keep = rng.choice((0, 8, 64, 512))
    return data[:keep] + rng.randbytes(min(len(data), 20_000))


BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flip, flip, flip, truncate, insert, delete, duplicate, exchange, blank, extreme, extreme, empty, noise,
)  # fmt: skip


def swap_token(rng: random.Random, text: str) -> str:
    """Numbers or words become nasty ones."""
    for _ in range(rng.choice((1, 1, 2, 8))):
        found = list(_TOKEN.finditer(text))
        if not found:
            return text + rng.choice(NASTY)
        token = rng.choice(found)
        text = text[: token.start()] + rng.choice(NASTY) + text[token.end() :]
    return text


def lines(rng: random.Random, text: str) -> str:
    """Lines doubled, lost, out of order, or without an end."""
    rows = text.splitlines(keepends=True)
    k = rng.randrange(len(rows))
    how = rng.randrange(5)
    if how == 0:
        rows.insert(k, rows[rng.randrange(len(rows))])
    elif how == 1:
        del rows[k]
    elif how == 2:
        rng.shuffle(rows)
    elif how == 3:
        rows[k] = rows[k][: rng.randrange(len(rows[k]) + 1)]
    else:
        rows.insert(k, rng.choice(NASTY) + "\n")
    return "".join(rows)


def nest(rng: random.Random, text: str) -> str:
    """A value becomes a hundred thousand brackets."""
    found = list(_TOKEN.finditer(text))
    at = rng.choice(found) if found else None
    open_, close = rng.choice((("[", "]"), ('{"a":', "}"), ("{a = ", "}")))
    deep = open_ * 100_000 + "1" + close * rng.choice((0, 100_000))
    return deep if at is None else text[: at.start()] + deep + text[at.end() :]


def long_text(rng: random.Random, text: str) -> str:
    """A number or word becomes a very long one."""
    found = list(_TOKEN.finditer(text))
    if not found:
        return text
    at = rng.choice(found)
    return text[: at.start()] + rng.choice(("9", '"' + "x" * 9 + '"', "1,")) * 100_000 + text[at.end() :]


def encode(rng: random.Random, text: str) -> str:
    """Signs that are no text, or in another alphabet."""
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(("\ufeff", "\x00", "\r", "\u2028", "\U0001f600", "\x1b]0;x\x07")) + text[at:]


TEXT: tuple[Callable[[random.Random, str], str], ...] = (
    swap_token,
    swap_token,
    swap_token,
    lines,
    nest,
    long_text,
    encode,
)


def tree(rng: random.Random, text: str) -> str:
    """JSON in which one value is missing, doubled, renamed or of another type."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return swap_token(rng, text)
    spot = data
    holder, key = None, None
    for _ in range(rng.randrange(1, 7)):
        if not isinstance(spot, dict | list) or not spot:
            break
        holder, key = spot, rng.choice(list(spot) if isinstance(spot, dict) else range(len(spot)))
        spot = holder[key]
    if holder is None:
        return rng.choice(NASTY)
    marks = []
    how = rng.randrange(5)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder.insert(key, spot)
    elif how == 1:
        holder[str(key)[:-1]] = holder.pop(key)
    elif how == 2:
        holder[key] = rng.choice(([spot] * 3, {"a": spot}, str(spot)[:200], [], None, True, -1, 10**30, 0.5, []))
    else:
        marks.append(rng.choice(NASTY))
        holder[key] = "\x02mark\x02"
    out = json.dumps(data)
    for mark in marks:
        out = out.replace(json.dumps("\x02mark\x02"), mark)
    return out


def of_bytes(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """One mutation of a binary file, and its name."""
    if not data:
        return "insert", rng.randbytes(9)
    how = rng.choice(BYTES)
    return how.__name__, how(rng, data)


def of_text(rng: random.Random, data: bytes, is_json: bool = False) -> tuple[str, bytes]:
    """One mutation of a text file (a quarter of them on its bytes), and its name."""
    if rng.random() < 0.25 or not data:
        return of_bytes(rng, data)
    how = tree if is_json and rng.random() < 0.5 else rng.choice(TEXT)
    return how.__name__, how(rng, data.decode("utf-8", "replace"))[:_MOST].encode("utf-8", "replace")
