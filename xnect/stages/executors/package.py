"""Converted networks as one file each: model, weights and a card that names the weights it was made from."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from xnect.errors import WeightsError
from xnect.untrusted import open_zip, parse_json, read_member

_MODEL, _WEIGHTS, _CARD = "model.xml", "model.bin", "card.json"
#: Raised when what is inside changes in a way that older programs or files do not fit.
VERSION = 1
#: Largest card and largest graph or weights that are taken [bytes].
_MOST_CARD, _MOST_BYTES = 1 << 20, 512 << 20
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the same network gives the same bytes


@dataclass(frozen=True, slots=True)
class Package:
    """A network in OpenVINO's form, in memory.

    Attributes:
        model: The graph (XML), input uint8 (1, H, W, 3) BGR of any size.
        weights: The constants.
        card: ``version``, ``weights_sha256`` of the file it was made from, ``precision``, ``description``, and how it
            was made.
    """

    model: bytes
    weights: bytes
    card: dict[str, Any]

    @property
    def description(self) -> str:
        """The network in words."""
        return str(self.card.get("description", "network"))


def digest(path: Path) -> str:
    """SHA-256 of a weights file; raises WeightsError where it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror}") from error


def save(package: Package, path: Path) -> None:
    """Write a package; it appears under its name only when it is whole.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    card = json.dumps({**package.card, "version": VERSION}, indent=1, sort_keys=True).encode()
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in ((_MODEL, package.model), (_WEIGHTS, package.weights), (_CARD, card)):
                file.writestr(zipfile.ZipInfo(name, _FIXED_TIME), data, zipfile.ZIP_DEFLATED)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path, weights_sha256: str) -> Package | None:
    """A package if it is there, whole, and made from these weights; else None."""
    try:
        with open_zip(path) as file:
            card = parse_json(read_member(file, _CARD, _MOST_CARD))
            if card.get("version") != VERSION or card.get("weights_sha256") != weights_sha256:
                return None
            return Package(read_member(file, _MODEL, _MOST_BYTES), read_member(file, _WEIGHTS, _MOST_BYTES), card)
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def cache_file(weights_sha256: str, kind: str) -> Path:
    """Where the package of a kind ("float", "int8") made from these weights is kept between runs."""
    import platformdirs

    return platformdirs.user_cache_path("xnect") / "networks" / f"stage1-{weights_sha256[:16]}.{kind}.zip"


def beside(weights: Path, kind: str) -> Path:
    """Where a package that ships with its weights lies: ``stage1.int8.zip`` beside ``stage1.safetensors``."""
    return weights.with_name(f"{weights.stem}.{kind}.zip")


def find(weights: Path, weights_sha256: str, kind: str) -> Package | None:
    """The package of a kind for these weights, from beside them or from the cache; None where there is none."""
    for path in (beside(weights, kind), cache_file(weights_sha256, kind)):
        package = load(path, weights_sha256)
        if package is not None:
            return package
    return None
