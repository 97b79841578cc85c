"""SelecSLS, a fast convolutional backbone, as a library of its own."""

from backbone.errors import BackboneError, WeightsError
from backbone.registry import create_model, get_spec, names
from backbone.selecsls import Classifier, FeatureNet
from backbone.specs import ModelSpec
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
