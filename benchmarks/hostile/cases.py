"""From seeds and mutations to cases: which are made for a kind, the same ones for the same number."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Iterator
from hashlib import sha256

from benchmarks.hostile import mutators
from benchmarks.hostile.crafted import CRAFTED
from benchmarks.hostile.mutators import Case
from benchmarks.hostile.seeds import KINDS, Seed

#: Endings that lie are tried on this many of a hundred binary files.
_OTHER_ENDING = 4
_ENDINGS = (".mp4", ".png", ".jpg", ".json", ".toml", ".safetensors", ".csv", ".bin", "")


def shares(count: int, kinds: list[str]) -> dict[str, int]:
    """How many mutations each kind gets of ``count`` in all."""
    total = sum(KINDS[kind][1] for kind in kinds)
    return {kind: max(1, round(count * KINDS[kind][1] / total)) for kind in kinds}


def seeds_of(kind: str) -> list[Seed]:
    """The sound files of a kind."""
    return KINDS[kind][0]()


def crafted_of(kind: str) -> list[Case]:
    """What was made by hand for a kind."""
    return CRAFTED[kind]() if kind in CRAFTED else []


def mutations(kind: str, count: int, seed: int) -> Iterator[Case]:
    """So many cases of a kind by chance; the same for the same seed."""
    found = seeds_of(kind)
    for number in range(count):
        rng = random.Random(f"{seed}/{kind}/{number}")
        yield mutated(rng, kind, found[number % len(found)])


def mutated(rng: random.Random, kind: str, seed: Seed) -> Case:
    """One mutation of a seed."""
    target = rng.choice(seed.targets) if seed.targets else seed.entry
    data = seed.files[target]
    if seed.how == "safetensors":
        how, new = _tensors(rng, data)
    elif seed.how == "zip":
        how, new = _repacked(rng, data)
    elif seed.how == "bytes":
        how, new = mutators.of_bytes(rng, data)
    else:
        how, new = mutators.of_text(rng, data, seed.how == "json")
    files = {**seed.files, target: new}
    entry = seed.entry
    stem = target.rpartition(".")[0]
    if seed.how == "safetensors" and f"{stem}.json" in files:
        card = json.loads(files[f"{stem}.json"])
        files[f"{stem}.json"] = json.dumps({**card, "sha256": sha256(new).hexdigest()}).encode()
    if kind in ("video", "picture", "calibration") and rng.randrange(100) < _OTHER_ENDING:
        entry = stem + rng.choice(_ENDINGS)
        files[entry] = files.pop(target)
        how += f", named {entry}"
    return Case(kind, f"{seed.name}: {how}", files, entry)


def _tensors(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Safetensors with another header, or with numbers that are none."""
    size = struct.unpack("<Q", data[:8])[0]
    header, body = data[8 : 8 + size], data[8 + size :]
    if rng.random() < 0.5:
        how, header = mutators.of_text(rng, header, True)
        length = len(header) if rng.random() < 0.9 else size
        return f"header {how}", struct.pack("<Q", length) + header + body
    if rng.random() < 0.5:
        at = 2 * rng.randrange(len(body) // 2)
        odd = rng.choice((b"\xff\xff", b"\x00\x7c", b"\x00\xfc", b"\x01\x7e", b"\xff\x7b")) * rng.choice((1, 2, 64))
        return "odd numbers", data[: 8 + size] + body[:at] + odd + body[at + len(odd) :]
    how, body = mutators.of_bytes(rng, body)
    return f"tensors {how}", data[: 8 + size] + body


def _repacked(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """An archive whose content is mutated and whose checksums fit again."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    name = rng.choice(list(parts))
    how, parts[name] = mutators.of_text(rng, parts[name], name.endswith(".json")) if not name.endswith(".bin") else mutators.of_bytes(rng, parts[name])  # fmt: skip
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as file:
        for key, value in parts.items():
            file.writestr(key, value)
    return f"{name} {how}", held.getvalue()
