"""Accuracy of a classifier on a folder of class folders."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from backbone.classify import ImageClassifier
from backbone.dataset import read_folder
from backbone.errors import InputError
from backbone.labels import Labels
from backbone.pictures import ahead, read_picture
from backbone.preprocess import resize_and_crop

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What a validation found.

    Attributes:
        model: Name of the network.
        weights: Where its weights came from; "random" makes the figures chance.
        pictures: How many were classified.
        unreadable: How many files were left out.
        top1: Share with the right class first [%].
        top5: Share with the right class among the first five [%].
        pictures_per_s: Speed, reading included.
    """

    model: str
    weights: str
    pictures: int
    unreadable: int
    top1: float
    top5: float
    pictures_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON can hold them."""
        return asdict(self)

    def text(self) -> str:
        """The figures in one line."""
        return (
            f"{self.model} ({self.weights}): top-1 {self.top1:.3f} %, top-5 {self.top5:.3f} % of {self.pictures} pictures "
            f"({self.unreadable} unreadable), {self.pictures_per_s:.1f} pictures/s"
        )


def class_of_folders(folders: tuple[str, ...], labels: Labels) -> list[int]:
    """The class of each folder: by identifier or name; else, if there are as many folders as classes, in sorted order.

    Raises:
        InputError: Neither fits.
    """
    try:
        return labels.indices(folders)
    except InputError:
        if len(folders) != len(labels):
            raise
        logger.warning("the folders are not named like the classes: taken in sorted order")
        return list(range(len(folders)))


def validate(classifier: ImageClassifier, folder: Path, batch: int = 32, progress: bool = True) -> Accuracy:
    """Top-1 and top-5 accuracy on `folder/CLASS/picture.jpg`.

    Args:
        classifier: Network, preprocessing and class names.
        folder: Some or all of the classes, as folders named by identifier (`n01440764`) or by name.
        batch: Pictures per run of the network.
        progress: Draw a progress bar on standard error.

    Raises:
        InputError: The folder has another layout, or nothing in it can be read.
    """
    data = read_folder(folder)
    classes = class_of_folders(data.classes, classifier.labels)
    ranks: list[int] = []
    unreadable = 0
    waiting: list[tuple[Tensor, int]] = []
    start = time.perf_counter()

    def load(index: int) -> tuple[Tensor, int] | InputError:
        try:
            crop = resize_and_crop(read_picture(data.paths[index]), classifier.how)
        except InputError as error:
            return error
        return crop, classes[data.targets[index]]

    def flush() -> None:
        shares = classifier.probabilities_of_crops(torch.stack([crop for crop, _ in waiting]))
        truth = np.array([target for _, target in waiting])
        own = shares[np.arange(len(truth)), truth]
        before = np.arange(shares.shape[1]) < truth[:, None]  # equal shares rank by index: no gain from saying nothing
        ranks.extend(((shares > own[:, None]) | ((shares == own[:, None]) & before)).sum(axis=1).tolist())
        waiting.clear()

    for found in tqdm(
        ahead(load, range(len(data))), total=len(data), unit="picture", disable=None if progress else True
    ):
        if isinstance(found, InputError):
            unreadable += 1
            logger.warning("left out: %s", found)
            continue
        waiting.append(found)
        if len(waiting) == batch:
            flush()
    if waiting:
        flush()
    if not ranks:
        raise InputError(f"no picture below {folder} could be read")
    rank = np.array(ranks)
    speed = len(rank) / (time.perf_counter() - start)
    top1, top5 = 100 * float((rank < 1).mean()), 100 * float((rank < 5).mean())
    model = classifier.model
    return Accuracy(model.spec.name, model.weights_origin, len(rank), unreadable, top1, top5, speed)
