"""SelecSLS, a fast convolutional backbone, as a library of its own."""

from importlib import import_module
from typing import TYPE_CHECKING

from backbone.errors import BackboneError, WeightsError
from backbone.specs import ModelSpec, get_spec, names

if TYPE_CHECKING:
    from backbone.registry import create_model
    from backbone.selecsls import Classifier, FeatureNet
    from backbone.weights import load_model, save_model

__all__ = [
    "BackboneError",
    "Classifier",
    "FeatureNet",
    "ModelSpec",
    "WeightsError",
    "create_model",
    "get_spec",
    "load_model",
    "names",
    "save_model",
]

_NEED_TORCH = {
    "create_model": "backbone.registry",
    "Classifier": "backbone.selecsls",
    "FeatureNet": "backbone.selecsls",
    "load_model": "backbone.weights",
    "save_model": "backbone.weights",
}


def __getattr__(name: str) -> object:
    """Load what needs torch when it is asked for: torch takes seconds, and help texts and tables do without."""
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEED_TORCH[name]), name)
