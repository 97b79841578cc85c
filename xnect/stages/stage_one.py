"""The 2D half of the pipeline: our own Stage I, or whatever detector the settings ask for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import numpy as np

from xnect.config import DetectionConfig, PipelineConfig
from xnect.errors import ConfigError, XnectError
from xnect.stages.association import associate
from xnect.stages.foreign_maps import MapsNetwork
from xnect.stages.refinement import Refiner
from xnect.structures import U8, Detections, PoseMaps

if TYPE_CHECKING:
    from collections.abc import Callable


class Detector2D(Protocol):
    """Finds people's 2D joints in a picture: our own Stage I, or anybody else's network behind an adapter."""

    def __call__(self, image_bgr: U8) -> Detections:
        """A BGR picture uint8 (H, W, 3) -> people, joints in its pixels."""
        ...


class StageOne:
    """Our own Stage I as a ``Detector2D``: network, then association.

    Attributes:
        last_maps: The maps of the last picture, for those who want to see inside; None before the first.
        description: Network, device and precision in words.
    """

    def __init__(
        self, network: Callable[[U8], PoseMaps], config: DetectionConfig, description: str = "",
        refiner: Refiner | None = None,
    ) -> None:  # fmt: skip
        self.network, self.config, self.description, self._refiner = network, config, description, refiner
        self.last_maps: PoseMaps | None = None
        self.timings_ms: dict[str, float] = {}

    def __call__(self, image_bgr: U8) -> Detections:
        """People of one picture."""
        people, self.last_maps, self.timings_ms = self.detect(image_bgr, follow=False)
        return people

    def detect(self, image_bgr: U8, follow: bool = True) -> tuple[Detections, PoseMaps, dict[str, float]]:
        """People, maps and times of one picture; nothing is remembered, so several threads may call at once.

        ``follow``: whether those come along, too, who are enough only to go on with somebody followed.
        """
        start = time.perf_counter()
        maps = self.network(image_bgr)
        middle = time.perf_counter()
        people = associate(maps, self.config, self._refiner, follow)
        end = time.perf_counter()
        return people, maps, {"network": (middle - start) * 1e3, "association": (end - middle) * 1e3}


class NoPictures:
    """Stands for the 2D part where joints come from elsewhere."""

    description = "2D joints from elsewhere"

    def __call__(self, image_bgr: U8) -> Detections:
        """Refuse; raises XnectError."""
        raise XnectError("this MotionCapture takes 2D joints (lift), not pictures")


class MadeUp:
    """Two people who walk towards each other, for ``warm_up``."""

    _STANDING = np.array([
        (0, -60), (0, -48), (-14, -46), (-18, -25), (-19, -6), (14, -46), (18, -25), (19, -6),
        (-8, 0), (-9, 32), (-9, 62), (8, 0), (9, 32), (9, 62),
    ], np.float32)  # fmt: skip

    def __init__(self) -> None:
        self._step = 0

    def __call__(self, image_bgr: U8) -> Detections:
        """The two, a step further."""
        self._step += 3
        places = np.array([(110 + self._step, 90), (210 - self._step, 95)], np.float32)
        seen = np.full((2, 14), 0.8, np.float32)
        encoding = np.zeros((2, 14, 63), np.float32)  # so that its way through Stage II is compiled, too
        return Detections(self._STANDING + places[:, None], seen, np.full(2, 0.8, np.float32), encoding)


def load_stage_one(config: PipelineConfig) -> Detector2D:
    """The 2D part that the settings ask for: our own Stage I, or the user's network; raises WeightsError, ConfigError."""
    if config.network.detector is not None:
        from xnect.stages.foreign import load_detector

        found = load_detector(config.network, config.detection)
        return found if not isinstance(found, MapsNetwork) else StageOne(found, config.detection, found.description)
    if config.network.boxes is not None:
        raise ConfigError("--boxes goes with a --detector for joints")
    from xnect.stages.executors.choose import load_network

    network = load_network(None, config.network)
    return StageOne(network, config.detection, network.description, network.refiner)
