"""Which bodies, garments, clips, surfaces and backdrops belong to training, and which it never sees."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from xnect.errors import ConfigError

SPLITS = ("train", "val", "test")
#: Sorts of scenes.
KINDS = ("crowd", "desk", "seated", "touching")


def check_split(split: str) -> str:
    """The split's name; raises ConfigError."""
    if split not in SPLITS:
        raise ConfigError(f"no split {split!r}: one of {', '.join(SPLITS)} expected")
    return split


def of_split(items: list[Any], names: list[str], split: str) -> list[Any]:
    """Items of a split by a hash of their names: a tenth each to val and test, the rest to train."""
    place = {8: "val", 9: "test"}
    return [
        item for item, name in zip(items, names, strict=True) if place.get(crc32(name.encode()) % 10, "train") == split
    ]


def held_apart(items: list[dict[str, str]], key: str, group: tuple[str, ...], split: str) -> list[dict[str, str]]:
    """Rows of a list: within each group of three or more a quarter is kept from training, for val and test alike.

    Smaller groups are shared by all splits: a body cannot go without trousers.
    """
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in items:
        groups.setdefault(tuple(row[g] for g in group), []).append(row)
    out = []
    for rows in groups.values():
        rows = sorted(rows, key=lambda r: crc32(r[key].encode()))
        held = max(1, len(rows) // 4) if len(rows) >= 3 else 0
        if not held:
            out += rows
        else:
            out += rows[held:] if split == "train" else rows[:held]
    return sorted(out, key=lambda r: r[key])
