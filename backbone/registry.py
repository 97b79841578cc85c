"""Networks by name: the one door through which models are made."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from backbone import pretrained
from backbone.errors import UnknownModelError, WeightsError
from backbone.selecsls import Classifier, FeatureNet
from backbone.specs import ModelSpec, Width, get_spec
from backbone.weights import StateDict, load_state, read_weights

Weights = str | Path | None


@overload
def create_model(
    name: str,
    weights: Weights = ...,
    num_classes: int = ...,
    features_only: Literal[False] = ...,
    out_strides: tuple[int, ...] = ...,
    width: Width = ...,
    dropout: float = ...,
) -> Classifier: ...


@overload
def create_model(
    name: str,
    weights: Weights = ...,
    num_classes: int = ...,
    *,
    features_only: Literal[True],
    out_strides: tuple[int, ...] = ...,
    width: Width = ...,
    dropout: float = ...,
) -> FeatureNet: ...


def create_model(
    name: str,
    weights: Weights = None,
    num_classes: int = 1000,
    features_only: bool = False,
    out_strides: tuple[int, ...] = (2, 4, 8, 16, 32, 64),
    width: Width = 1.0,
    dropout: float = 0.0,
) -> Classifier | FeatureNet:
    """Build a SelecSLS network.

    Args:
        name: One of `names(variants=True)`.
        weights: None for random weights, "imagenet" for the published ones (fetched once into the cache), or the path
            of a `.safetensors` or `.pth` file.
        num_classes: Length of the classifier's output; 0 returns the pooled features. With weights for another number
            of classes everything but the last layer is loaded.
        features_only: Return feature maps instead of class scores; only the units that are needed are built.
        out_strides: Strides of the feature maps [px], a subset of (2, 4, 8, 16, 32, 64) in the order wanted.
        width: Factor on every block channel, or one for each level (stride 4, 8, 16); rounded to multiples of 16.
        dropout: Probability of dropping a pooled feature while training, 0 to 1.

    Returns:
        A `Classifier` or, with `features_only`, a `FeatureNet`; in training mode as every fresh torch module.

    Raises:
        UnknownModelError: No such name, stride or width.
        WeightsError: The weights cannot be fetched, are damaged or belong to another network.
    """
    spec = get_spec(name, width)
    if not features_only and (num_classes < 0 or not 0.0 <= dropout < 1.0):
        raise UnknownModelError(f"need num_classes >= 0 and 0 <= dropout < 1, not {num_classes} and {dropout}")
    found = None if weights is None else _read(spec, weights, width)
    model = FeatureNet(spec, tuple(out_strides)) if features_only else Classifier(spec, num_classes, dropout)
    if found is not None:
        load_state(model, *found)
    return model


def _read(spec: ModelSpec, weights: str | Path, width: Width) -> tuple[StateDict, str]:
    """The tensors for a network, of a file or the published ones, and where they came from."""
    if str(weights) == "imagenet":
        if width != 1.0:
            raise WeightsError(f"the published weights are for width 1.0, not {width}")
        path = pretrained.fetch(spec.name)
        origin = f"imagenet ({path.name}, {pretrained.read_manifest().license})"
    else:
        path, origin = Path(weights), str(weights)
    state, info = read_weights(path)
    if info is not None and (info.folded or info.spec != spec):
        kind = "folded " if info.folded else ""
        raise WeightsError(f"{path} holds a {kind}{info.spec.name} of its own shape: open it with backbone.load_model")
    return state, origin
