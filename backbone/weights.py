"""State dicts from files into networks: both containers, both key layouts, and a clear word about what does not fit."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from backbone.errors import WeightsError

StateDict = dict[str, Tensor]


def read_state_dict(path: Path) -> StateDict:
    """Read a `.safetensors` or torch file without running code from it; keys come back in the `fc` layout.

    Raises:
        WeightsError: No such file, not a state dict, or damaged.
    """
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        if path.suffix == ".safetensors":
            found = safetensors.torch.load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (
        safetensors.SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
    ) as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}") from error
    return canonical(found, str(path))


def canonical(found: object, origin: str) -> StateDict:
    """Undo wrappers and prefixes and bring the authors' `classifier.0` to `fc`.

    Raises:
        WeightsError: `found` is not a mapping of names to tensors.
    """
    for key in ("state_dict_ema", "state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"{origin} holds no state dict (names with tensors)")
    clean = {str(key).removeprefix("module."): value for key, value in found.items()}
    return {
        key.replace("classifier.0.", "fc.", 1) if key.startswith("classifier.0.") else key: v
        for key, v in clean.items()
    }


def load_weights(model: nn.Module, weights: str | Path) -> None:
    """Load a weights file into a network.

    Raises:
        WeightsError: See `read_state_dict`; or the tensors do not fit.
    """
    state = read_state_dict(Path(weights))
    wanted = model.state_dict()
    missing = [k for k in wanted if k not in state]
    wrong = [k for k in wanted if k in state and wanted[k].shape != state[k].shape]
    if missing or wrong:
        raise WeightsError(f"{weights} does not fit: missing {missing[:3]}, other shape {wrong[:3]}")
    model.load_state_dict({k: state[k] for k in wanted})
