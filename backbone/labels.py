"""Class names: the bundled ones of ImageNet-1k, those of a file, or plain numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache as remember
from importlib import resources
from pathlib import Path

from backbone.errors import InputError


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of the classes in the order of the network's output.

    Attributes:
        ids: Short identifiers, as folders of pictures are named: WordNet synsets, or the names themselves.
        names: What people read.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def indices(self, folders: Sequence[str]) -> list[int]:
        """The class of each folder name, matched by identifier or by name.

        Raises:
            InputError: A folder is named like no class; the message tells which.
        """
        known = {name: index for index, name in enumerate(self.names)} | {id_: i for i, id_ in enumerate(self.ids)}
        unknown = [folder for folder in folders if folder not in known]
        if unknown:
            raise InputError(
                f"folder {unknown[0]!r} is named like none of the {len(self)} classes (first: {self.ids[0]!r}, "
                f"{self.names[0]!r})"
            )
        return [known[folder] for folder in folders]


@remember
def imagenet_labels() -> Labels:
    """The 1000 classes of ImageNet-1k: ids are WordNet 3.0 synsets, names the words of the synset."""
    data = json.loads(resources.files("backbone").joinpath("imagenet1k.json").read_text(encoding="utf-8"))
    return Labels(tuple(row[0] for row in data["classes"]), tuple(", ".join(row[1:]) for row in data["classes"]))


def plain_labels(names: Sequence[str]) -> Labels:
    """Labels whose identifiers are the names themselves."""
    return Labels(tuple(names), tuple(names))


def numbered_labels(count: int) -> Labels:
    """Labels for classes that nobody named."""
    return plain_labels([f"class {index}" for index in range(count)])


def read_labels(path: Path) -> Labels:
    """Names from a file: one a line, or a JSON list of names; `id<tab>name` gives identifiers as well.

    Raises:
        InputError: The file cannot be read or holds no names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if path.suffix.lower() == ".json" else [line for line in text.splitlines() if line]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read class names from {path}: {error}") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, str) and row.strip() for row in rows):
        raise InputError(f"{path} holds no class names: need one a line, or a JSON list of texts")
    pairs = [row.split("\t", 1) for row in rows]
    return Labels(tuple(pair[0].strip() for pair in pairs), tuple(pair[-1].strip() for pair in pairs))
