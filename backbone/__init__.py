"""SelecSLS, a fast convolutional backbone, as a library of its own."""

from backbone.errors import BackboneError, WeightsError
from backbone.registry import create_model, get_spec, names
from backbone.selecsls import Classifier, FeatureNet
from backbone.specs import ModelSpec

__all__ = [
    "BackboneError",
    "Classifier",
    "FeatureNet",
    "ModelSpec",
    "WeightsError",
    "create_model",
    "get_spec",
    "names",
]
