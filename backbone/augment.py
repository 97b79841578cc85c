"""Random changes to training pictures: crop, mirror, colour and erased patches; each drawn from a seed of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backbone.errors import InputError
from backbone.preprocess import MEAN, STD

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_GREY = np.array((0.299, 0.587, 0.114), np.float32)
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much training pictures are changed.

    Attributes:
        size_px: Side of the square that comes out [px].
        area: Smallest and largest share of the picture's area that is cut out.
        ratio: Smallest and largest width over height of the cut.
        mirror: Probability of mirroring left and right.
        jitter: Largest relative change of brightness, contrast and saturation, 0 to 1.
        erase: Probability of replacing a patch by noise.
    """

    size_px: int = 224
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    mirror: float = 0.5
    jitter: float = 0.4
    erase: float = 0.25

    def __post_init__(self) -> None:
        shares = (*self.area, self.mirror, self.jitter, self.erase)
        if self.size_px < 8 or not all(0 <= share <= 1 for share in shares) or not 0 < self.ratio[0] <= self.ratio[1]:
            raise InputError(f"impossible augmentation: {self}")


def augment(image_rgb: Image, how: Augmentation, random: np.random.Generator) -> Floats:
    """A random view of a picture as network input.

    Args:
        image_rgb: uint8 (H, W, 3).
        how: Kinds and strengths of changes.
        random: Source of chance.

    Returns:
        float32 (3, size, size), normalised as for the published weights.
    """
    view = random_crop(image_rgb, how, random)
    if random.random() < how.mirror:
        view = view[:, ::-1]
    values = jitter(np.asarray(view, np.float32) / np.float32(255), how.jitter, random)
    normal = (values - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    planes = np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32)
    if random.random() < how.erase:
        erase(planes, random)
    return planes


def random_crop(image_rgb: Image, how: Augmentation, random: np.random.Generator) -> Image:
    """Cut out a random rectangle and resize it to (size, size, 3); the centre when no rectangle fits."""
    height, width = image_rgb.shape[:2]
    for _ in range(_TRIES):
        area = height * width * random.uniform(*how.area)
        ratio = math.exp(random.uniform(math.log(how.ratio[0]), math.log(how.ratio[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
            break
    else:
        h = w = min(height, width)
        top, left = (height - h) // 2, (width - w) // 2
    cut = image_rgb[top : top + h, left : left + w]
    shrinks = max(h, w) > how.size_px
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, (how.size_px, how.size_px), interpolation=interpolation), np.uint8)


def jitter(values: Floats, strength: float, random: np.random.Generator) -> Floats:
    """Change brightness, contrast and saturation by random factors of 1 +- `strength`, in random order.

    Args:
        values: float32 (H, W, 3) in [0, 1].
        strength: Largest relative change; 0 changes nothing.
        random: Source of chance.

    Returns:
        float32 (H, W, 3) in [0, 1].
    """
    if strength == 0:
        return values
    for kind in random.permutation(3):
        factor = np.float32(random.uniform(1 - strength, 1 + strength))
        grey = values @ _GREY
        towards = (np.float32(0), grey.mean(), grey[..., None])[kind]
        values = np.clip(towards + factor * (values - towards), 0, 1)
    return values


def erase(planes: Floats, random: np.random.Generator) -> None:
    """Replace, in place, a random rectangle of 2 % to 33 % of float32 (3, H, W) by normal noise."""
    _, height, width = planes.shape
    for _ in range(_TRIES):
        area = height * width * random.uniform(0.02, 1 / 3)
        ratio = math.exp(random.uniform(math.log(0.3), math.log(1 / 0.3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w < width and 0 < h < height:
            top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
            planes[:, top : top + h, left : left + w] = random.standard_normal((3, h, w), np.float32)
            return
