"""Pictures sorted into folders by class, as ImageNet is: `DIR/CLASS/picture.jpg`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from backbone.augment import Augmentation, augment
from backbone.errors import InputError
from backbone.pictures import IMAGE_SUFFIXES, read_picture
from backbone.preprocess import Preprocessing, normalise, resize_and_crop

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderDataset:
    """The files of a data set and their classes.

    Attributes:
        classes: Folder names, sorted.
        paths: All pictures.
        targets: Index into `classes` of each picture.
    """

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    targets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)


def read_folder(root: Path) -> FolderDataset:
    """List a folder of class folders; sub-folders of a class belong to it.

    Raises:
        InputError: No such folder, no class folders, or a class without pictures.
    """
    if not root.is_dir():
        raise InputError(f"no folder at {root}")
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not classes:
        raise InputError(f"{root} has no class folders: need {root}/CLASS/picture.jpg")
    paths: list[Path] = []
    targets: list[int] = []
    for index, name in enumerate(classes):
        found = sorted(path for path in (root / name).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise InputError(f"class folder {root / name} has no pictures")
        paths += found
        targets += [index] * len(found)
    return FolderDataset(classes, tuple(paths), tuple(targets))


def split(folder: Path, seed: int = 0) -> tuple[FolderDataset, FolderDataset]:
    """Training and held-out pictures: `train/` and `val/` of a folder, else a random tenth of its classes is held out.

    Raises:
        InputError: The folder has another layout, the two parts have other classes, or nothing is left to hold out.
    """
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        train, held_out = read_folder(folder / "train"), read_folder(folder / "val")
        if train.classes != held_out.classes:
            odd = sorted(set(train.classes) ^ set(held_out.classes))
            raise InputError(f"train and val have other classes: {odd[0]!r} is in one of them only")
        return train, held_out
    whole = read_folder(folder)
    order = np.random.default_rng(seed).permutation(len(whole))
    count = len(whole) // 10
    if count == 0:
        raise InputError(f"{len(whole)} pictures are too few to hold some out: give train/ and val/ folders")

    def part(indices: np.ndarray) -> FolderDataset:
        chosen = sorted(int(i) for i in indices)
        paths = tuple(whole.paths[i] for i in chosen)
        return FolderDataset(whole.classes, paths, tuple(whole.targets[i] for i in chosen))

    return part(order[count:]), part(order[:count])


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pictures as network input: augmented when `how` is an `Augmentation`, else resized and cropped."""

    def __init__(self, data: FolderDataset, how: Augmentation | Preprocessing, seed: int = 0) -> None:
        self._data, self._how, self._seed = data, how, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Input (3, size, size) and class; an unreadable picture is replaced by the next one, with a warning."""
        for step in range(len(self._data)):
            place = (index + step) % len(self._data)
            try:
                image = read_picture(self._data.paths[place])
            except InputError as error:
                logger.warning("left out: %s", error)
                continue
            if isinstance(self._how, Preprocessing):
                return normalise(resize_and_crop(image, self._how)[None], self._how)[0], self._data.targets[place]
            random = np.random.default_rng((self._seed, self.epoch, index))
            return torch.from_numpy(augment(image, self._how, random)), self._data.targets[place]
        raise InputError("none of the pictures can be read")
