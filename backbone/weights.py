"""State dicts in and out of files: both containers, both key layouts, and a clear word about what does not fit."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache as remember
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from backbone import specs
from backbone.errors import WeightsError
from backbone.selecsls import Classifier, FeatureNet, SelecSLS, drop_norms, norm_free
from backbone.specs import ModelSpec

logger = logging.getLogger(__name__)

StateDict = dict[str, Tensor]

UNREADABLE = (
    safetensors.SafetensorError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    ImportError,
    MemoryError,
)
"""What the two readers raise on files that are cut, flipped or something else altogether (found by trying)."""

_METADATA_KEY = "backbone"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a weights file of ours says about its network; files of others say nothing.

    Attributes:
        spec: The network that the tensors belong to.
        num_classes: Length of the classifier's output.
        folded: Whether batch norm is folded into the convolutions.
        extra: Anything else, as JSON can hold it: class names, preprocessing, training record.
    """

    spec: ModelSpec
    num_classes: int
    folded: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def read_weights(path: str | Path) -> tuple[StateDict, ModelInfo | None]:
    """Read a `.safetensors` or torch file (either container) without running code from it.

    Args:
        path: The file; its content decides, not its name.

    Returns:
        Tensors by name in the `fc` layout, on the CPU; and the description, when the file carries one.

    Raises:
        WeightsError: No such file, not a state dict, damaged, or with values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    info: ModelInfo | None = None
    try:
        if _is_safetensors(path):
            with safetensors.safe_open(path, framework="pt") as file:
                info = _parse_info(file.metadata())
                found: object = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # remarks on odd pickles: what cannot be read is told by the error
                found = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise WeightsError(f"{path} cannot be read as weights (damaged, or no weights file): {reason}") from error
    state = canonical(found, str(path))
    broken = [key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise WeightsError(f"{path} is damaged: {broken[0]} has values that are not finite")
    return state, info


def _is_safetensors(path: Path) -> bool:
    """Whether the file starts with a header length and an opening brace, as no torch container does."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] < path.stat().st_size


def _parse_info(metadata: Mapping[str, str] | None) -> ModelInfo | None:
    if not metadata or _METADATA_KEY not in metadata:
        return None
    data = json.loads(metadata[_METADATA_KEY])
    num_classes = data["num_classes"]
    if not isinstance(num_classes, int) or not 0 <= num_classes <= 1_000_000:
        raise ValueError(f"num_classes is {num_classes!r}")
    return ModelInfo(specs.from_dict(data["spec"]), num_classes, bool(data["folded"]), dict(data.get("extra") or {}))


def canonical(found: object, origin: str) -> StateDict:
    """Undo wrappers and prefixes and bring the authors' `classifier.0` to `fc`.

    Args:
        found: What the reader gave: a state dict, or a checkpoint that holds one.
        origin: Name of the file, for the message.

    Raises:
        WeightsError: `found` is not a mapping of names to tensors.
    """
    for key in ("state_dict_ema", "state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"{origin} holds no state dict (names with tensors)")
    state: StateDict = {}
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise WeightsError(f"{origin} holds no state dict: {key!r} is not a name with a plain tensor")
        name = key.removeprefix("module.").removeprefix("_orig_mod.")
        state[name.replace("classifier.0.", "fc.", 1) if name.startswith("classifier.0.") else name] = value
    return state


def to_authors_layout(state: Mapping[str, Tensor]) -> StateDict:
    """The same tensors under the names of the authors' files: `classifier.0` in place of `fc`."""
    return {key.replace("fc.", "classifier.0.", 1) if key.startswith("fc.") else key: v for key, v in state.items()}


def _blank(spec: ModelSpec, num_classes: int, folded: bool = False) -> Classifier:
    """The classifier without memory behind its tensors: names and shapes only."""
    with torch.device("meta"):
        model = Classifier(spec, num_classes)
        if folded:
            drop_norms(model)
    return model


@remember
def _shapes(spec: ModelSpec, folded: bool = False) -> dict[str, torch.Size]:
    """Shape of every entry of a whole network, its last layer for one class."""
    return {key: value.shape for key, value in _blank(spec, 1, folded).state_dict().items()}


def identify(state: Mapping[str, Tensor]) -> ModelSpec | None:
    """The table row that a state dict belongs to, by names and shapes; None when it is none of them."""
    for spec in (*specs.SPECS.values(), *specs.VARIANTS.values()):
        wanted = {key: shape for key, shape in _shapes(spec).items() if not key.startswith("fc.") and not _counter(key)}
        if all(key in state and state[key].shape == shape for key, shape in wanted.items()):
            return spec
    return None


def _counter(key: str) -> bool:
    """Whether this entry only counts batches: files made before torch 0.4.1 lack it and nothing needs it."""
    return key.endswith("num_batches_tracked")


def load_state(model: SelecSLS, state: StateDict, origin: str) -> None:
    """Copy a state dict into a network; a feature extractor takes what it has of the whole network.

    A classifier for another number of classes keeps its random last layer, and a warning says so.

    Raises:
        WeightsError: Entries are missing, have another shape, or belong to no such network.
    """
    wanted = model.state_dict()
    if isinstance(model, Classifier) and "fc.weight" in wanted and "fc.weight" in state:
        given = state["fc.weight"].shape[0]
        if given != model.num_classes:
            logger.warning("%s is for %d classes: the last layer of %d stays random", origin, given, model.num_classes)
            state = {**state, "fc.weight": wanted["fc.weight"], "fc.bias": wanted["fc.bias"]}
    _refuse_misfit(model, state, origin)
    model.load_state_dict({key: state[key] if key in state else torch.zeros_like(wanted[key]) for key in wanted})
    model.weights_origin = origin


def _refuse_misfit(model: SelecSLS, state: Mapping[str, Tensor], origin: str) -> None:
    """Compare names and shapes; raises WeightsError that tells what is missing, other or unknown."""
    wanted = model.state_dict()
    known = _shapes(model.spec, norm_free(model))
    missing = [key for key in wanted if key not in state and not _counter(key)]
    other = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    unknown = [key for key in state if key not in known and key not in wanted]
    if missing or other or unknown:
        fits = identify(state)
        parts = [
            f"{len(keys)} {word} (first: {keys[0]})"
            for keys, word in ((missing, "missing"), (other, "of other shape"), (unknown, "unknown"))
            if keys
        ]
        hint = f"; it fits {fits.name}" if fits is not None and fits.name != model.spec.name else ""
        raise WeightsError(f"{origin} does not fit {model.spec.name}: tensors {', '.join(parts)}{hint}")


def load_model(path: str | Path) -> tuple[Classifier, ModelInfo]:
    """Build the classifier that a file holds: by its description, else by its shapes.

    This is the way to files with pruned, folded or narrowed networks, which no table row describes.

    Raises:
        WeightsError: See `read_weights`; or the tensors are those of no known network.
    """
    state, info = read_weights(path)
    if info is None:
        spec = identify(state)
        if spec is None or "fc.weight" not in state:
            raise WeightsError(f"{path} holds no SelecSLS classifier: known are {', '.join(specs.SPECS)}")
        info = ModelInfo(spec, int(state["fc.weight"].shape[0]))
    model = _blank(info.spec, info.num_classes, info.folded)
    if "fc.weight" in state and state["fc.weight"].shape[0] != info.num_classes:
        raise WeightsError(f"{path} says {info.num_classes} classes, its last layer has {state['fc.weight'].shape[0]}")
    _refuse_misfit(model, state, str(path))  # before memory is taken for what the file only claims
    model = model.to_empty(device="cpu")
    load_state(model, state, str(path))
    return model, info


def save_model(model: SelecSLS, path: str | Path, extra: dict[str, Any] | None = None) -> None:
    """Write a network as safetensors, with a description that `load_model` builds it from.

    Args:
        model: A classifier, or a feature extractor (whose part of the tensors is written).
        path: The file to write; it appears whole or not at all.
        extra: Further facts for the description, as JSON can hold them.

    Raises:
        WeightsError: The file cannot be written.
    """
    path = Path(path)
    record = {
        "version": 1,
        "spec": specs.to_dict(model.spec),
        "num_classes": model.num_classes if isinstance(model, Classifier) else 0,
        "strides": model.strides if isinstance(model, FeatureNet) else None,
        "folded": norm_free(model),
        "extra": extra or {},
    }
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(state, partial, {"format": "pt", _METADATA_KEY: json.dumps(record)})
        os.replace(partial, path)
    except (OSError, safetensors.SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise WeightsError(f"cannot write {path}: {error}") from error
