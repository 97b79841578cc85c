"""Training state on disk: written whole or not at all, and read without running code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from xnect.errors import WeightsError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; an older one stays intact until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())  # a power cut must not leave an empty file under the good name
    os.replace(part, path)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; raises WeightsError where it is missing or damaged."""
    try:
        return dict(torch.load(path, map_location=device, weights_only=True))
    except OSError as error:
        raise WeightsError(f"cannot read checkpoint {path}: {error.strerror}") from error
    except Exception as error:
        raise WeightsError(f"{path} is no readable checkpoint: {error}") from error
