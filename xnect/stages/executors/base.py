"""What every executor of Stage I shares: the interface, the picture that goes in, the maps that come out (no torch)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from xnect.errors import WeightsError, XnectError
from xnect.geometry import fitted_size, frame_from_map, network_size
from xnect.resources import resource
from xnect.skeleton.joints import MAPS
from xnect.stages.looks import LOOKS, Merged, mean_encoding, mean_maps, with_mirrored
from xnect.stages.refinement import Refiner
from xnect.structures import F32, U8, PoseMaps

HEATMAPS = len(MAPS.joints)
FIELDS = 2 * len(MAPS.limbs)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Device and number type in words, as logs and tables show them.
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


class Executor(Protocol):
    """Computes the network for pictures that have its size already; normalisation happens inside.

    Attributes:
        description: Network, device and precision in words.
        streams: So many threads may call at once; more wait.
    """

    description: str
    streams: int

    def __call__(self, pictures: U8) -> tuple[F32, F32 | None]:
        """BGR pictures uint8 (N, H, W, 3), sides multiples of 16, contiguous -> maps and encoding.

        Returns:
            Heatmaps and fields float32 (N, 14 + 26, H/8, W/8), encoding float32 (N, 63, H/8, W/8) or None; both are the
            caller's to keep.
        """
        ...

    def prepare(self, net_px: tuple[int, int], count: int = 1) -> None:
        """Get ready for so many pictures at a time of this width and height [px]: the first is as quick as the rest."""
        ...


def try_out(executor: Executor, net_px: tuple[int, int], count: int = 1) -> None:
    """Run an executor once on grey pictures; raises WeightsError where its numbers are not finite."""
    found = executor(np.full((count, net_px[1], net_px[0], 3), 128, np.uint8))
    if not all(np.isfinite(part).all() for part in found if part is not None):
        raise WeightsError("the network gives numbers that are not finite: its weights are damaged")


class MapNetwork(Protocol):
    """Anything that turns a picture into maps (ours, or an adapter to a foreign network)."""

    def __call__(self, image_bgr: U8) -> PoseMaps:
        """A BGR picture uint8 (H, W, 3) -> maps."""
        ...


class PictureNetwork:
    """An executor behind the one resize that fits frames of any size to it: Stage I as a ``MapNetwork``.

    Attributes:
        executor: What computes.
        input_size: Width and height whose area the network's pictures have [px]; may change between frames.
        looks: How often each picture is looked at: 1, 2 or 4 times (``xnect/stages/looks.py``); may change between frames.
        refiner: What is known of the mistakes of its weights; None = nothing.
    """

    def __init__(
        self, executor: Executor, input_size: tuple[int, int], looks: int = 2, refiner: Refiner | None = None
    ) -> None:
        self.executor, self.input_size, self.looks, self.refiner = executor, input_size, looks, refiner

    @property
    def description(self) -> str:
        """Network, device and precision in words."""
        return self.executor.description

    @property
    def streams(self) -> int:
        """So many threads may call at once."""
        return self.executor.streams

    def __call__(self, image_bgr: U8) -> PoseMaps:
        """A BGR picture uint8 (H, W, 3) -> maps at stride 8 of the network's picture."""
        frame_px = (image_bgr.shape[1], image_bgr.shape[0])
        size, looks = self.input_size, self.looks
        sizes = [net_px for net_px, _ in network_pictures(frame_px, size, looks)]
        grid = frame_from_map(frame_px, sizes[0], MAPS.stride)
        if len(sizes) == 1:
            picture, mirrored = fit_picture(image_bgr, sizes[0]), looks == 2
            both, encodings = self.executor(with_mirrored(picture) if mirrored else picture[None])
            values = mean_maps(both) if mirrored else both[0]
            encoding = None if encodings is None else mean_encoding(encodings) if mirrored else encodings[0]
        else:
            values, encoding = self._merged(image_bgr, sizes, looks)
        fields = values[HEATMAPS:].reshape(len(MAPS.limbs), 2, *values.shape[1:])
        return PoseMaps(values[:HEATMAPS], fields, encoding, grid)

    def _merged(self, image_bgr: U8, sizes: list[tuple[int, int]], looks: int) -> tuple[F32, F32 | None]:
        """The mean over pictures of several sizes, one after the other."""
        merged, frame_px = Merged(len(sizes)), (image_bgr.shape[1], image_bgr.shape[0])
        for net_px, (_, mirrored) in zip(sizes, LOOKS[looks], strict=True):
            picture = fit_picture(image_bgr, net_px)
            maps, encodings = self.executor(np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)[None])
            encoding = None if encodings is None else encodings[0]
            merged.add(maps[0], encoding, frame_from_map(frame_px, net_px, MAPS.stride), mirrored)
        assert merged.maps is not None
        return merged.maps, merged.encoding

    def prepare(self, frame_px: tuple[int, int], ways: Iterable[tuple[tuple[int, int], int]]) -> None:
        """Get ready for frames of one size at several input sizes [px] and numbers of looks."""
        for size, looks in ways:
            for net_px, count in network_pictures(frame_px, size, looks):
                self.executor.prepare(net_px, count)


def network_pictures(
    frame_px: tuple[int, int], input_size: tuple[int, int], looks: int
) -> list[tuple[tuple[int, int], int]]:
    """The pictures that the network gets of a frame: width and height [px], and how many of that size at once."""
    if looks <= 2:
        return [(network_size(frame_px, input_size), looks)]
    scaled = [(round(input_size[0] * scale), round(input_size[1] * scale)) for scale, _ in LOOKS[looks]]
    return [(network_size(frame_px, size), 1) for size in scaled]


def fit_picture(image_bgr: U8, net_px: tuple[int, int]) -> U8:
    """The picture at the network's size, aspect kept, at the top left; the rest is black."""
    frame_px = (image_bgr.shape[1], image_bgr.shape[0])
    small = shrunk(image_bgr, fitted_size(frame_px, net_px))
    height, width = small.shape[:2]
    if (width, height) == net_px:
        return np.ascontiguousarray(small)
    out = np.zeros((net_px[1], net_px[0], 3), np.uint8)
    out[:height, :width] = small
    return out


def shrunk(image: U8, size_px: tuple[int, int]) -> U8:
    """A picture at another size, without aliasing.

    OpenCV's mean over areas takes 4 to 7 ms for a frame of 1280x720 unless the sides are halved exactly (0.7 ms); so
    they are halved while the picture stays larger than asked, and the last step, by less than two, is linear.
    """
    while image.shape[1] >= 2 * size_px[0] and image.shape[0] >= 2 * size_px[1]:
        if image.shape[0] % 2 or image.shape[1] % 2:
            return cv2.resize(image, size_px, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if (image.shape[1], image.shape[0]) == size_px:
        return image
    return cv2.resize(image, size_px, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def default_weights() -> Path:
    """The weights that ship, or those named by XNECT_WEIGHTS; raises WeightsError where there are none."""
    named = os.environ.get("XNECT_WEIGHTS")
    if named:
        return Path(named)
    try:
        return resource("weights/stage1.safetensors")
    except XnectError as error:
        raise WeightsError(f"{error}: --weights FILE or XNECT_WEIGHTS") from error


def thread_count(asked: int) -> int:
    """How many threads a network gets: what is asked, else OMP_NUM_THREADS, else every core this process may use."""
    if asked:
        return asked
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named):
        return int(named)
    here = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(here(0)) if here is not None else os.cpu_count() or 1
