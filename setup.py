"""Packs assets/ into the wheel as xnect/_assets; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["xnect*", "backbone*"]), "xnect._assets", "xnect._assets.weights"],
    package_dir={"xnect._assets": "assets", "xnect._assets.weights": "assets/weights"},
    package_data={
        "*": ["py.typed", "*.json", "*.csv", "*.html"],
        "xnect._assets": ["demo.*"],
        "xnect._assets.weights": ["*"],
    },
)
