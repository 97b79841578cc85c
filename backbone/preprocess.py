"""Pictures to network input, exactly as the published weights were trained and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backbone.errors import InputError

MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's red, green and blue, of values in [0, 1]."""
STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue, of values in [0, 1]."""
LONGEST_RATIO = 64
"""Longest side over shortest side of a picture that is still accepted: beyond it the resized picture would not fit."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes network input.

    Attributes:
        size_px: Side of the square that the network sees [px].
        crop: The short side is resized to `size_px / crop` before the centre is cut out, 0 to 1.
        interpolation: "bicubic" or "bilinear", with antialiasing (as Pillow resizes).
        mean: Subtracted from red, green, blue in [0, 1].
        std: Divides the difference.
    """

    size_px: int = 224
    crop: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    def __post_init__(self) -> None:
        if self.size_px < 1 or not 0 < self.crop <= 1 or self.interpolation not in ("bicubic", "bilinear"):
            raise InputError(f"impossible preprocessing: {self}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocessing:
        """The settings that `to_dict` wrote.

        Raises:
            InputError: Unknown or impossible settings.
        """
        try:
            known = {**data, "mean": tuple(data.get("mean", MEAN)), "std": tuple(data.get("std", STD))}
            return cls(**known)
        except (TypeError, AttributeError) as error:
            raise InputError(f"not preprocessing settings: {data!r}") from error


def resize_and_crop(image_rgb: NDArray[np.uint8], how: Preprocessing) -> Tensor:
    """Resize the short side and cut out the centre.

    Args:
        image_rgb: uint8 (H, W, 3).
        how: Size, crop and interpolation.

    Returns:
        uint8 (3, size, size).

    Raises:
        InputError: Not such an array, or a strip more than 64 times as long as it is wide.
    """
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or 0 in image_rgb.shape:
        raise InputError(f"need an RGB picture as uint8 (H, W, 3), not {image_rgb.dtype} {image_rgb.shape}")
    height, width = image_rgb.shape[:2]
    short, long = min(height, width), max(height, width)
    if long > LONGEST_RATIO * short:
        raise InputError(f"a picture of {width} x {height} px is too narrow a strip to classify")
    target = int(how.size_px / how.crop)
    resized_long = int(target * long / short)
    size = (target, resized_long) if height <= width else (resized_long, target)
    planes = torch.from_numpy(np.ascontiguousarray(image_rgb)).permute(2, 0, 1)[None]
    if size != (height, width):
        planes = F.interpolate(planes, size=size, mode=how.interpolation, antialias=True, align_corners=False)
    top = round((size[0] - how.size_px) / 2.0)
    left = round((size[1] - how.size_px) / 2.0)
    return planes[0, :, top : top + how.size_px, left : left + how.size_px]


def normalise(pictures: Tensor, how: Preprocessing) -> Tensor:
    """Map uint8 RGB (B, 3, H, W) to float32 of about zero mean and unit variance."""
    mean = torch.tensor(how.mean, device=pictures.device).view(1, 3, 1, 1)
    std = torch.tensor(how.std, device=pictures.device).view(1, 3, 1, 1)
    return (pictures.float() / 255.0 - mean) / std


def prepare(images_rgb: Sequence[NDArray[np.uint8]], how: Preprocessing) -> Tensor:
    """Network input for pictures of any size.

    Args:
        images_rgb: uint8 (H, W, 3) each.
        how: The preprocessing of the weights in use.

    Returns:
        float32 (B, 3, size, size).

    Raises:
        InputError: See `resize_and_crop`.
    """
    return normalise(torch.stack([resize_and_crop(image, how) for image in images_rgb]), how)
