"""SelecSLS, a fast convolutional backbone, as a library of its own."""

import os
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

# 16384 x 16384: a few bytes can claim more, and take all memory. OpenCV reads this when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))

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
