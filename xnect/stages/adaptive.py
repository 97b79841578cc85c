"""Live capture on a machine that is busy with other things: looks and size give way until the rate holds again."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from xnect.config import NetworkConfig
from xnect.stages.looks import LOOKS, pixels

_log = logging.getLogger(__name__)

#: What a live source gets where no rate is asked for: below it movement is seen to stutter.
LIVE_FPS = 24.0
#: Without being asked for a rate, as many ways are made ready as a machine needs that becomes so many times slower.
_SLOWER = 3.0
#: Sides of the smaller pictures, as shares of the largest; a step changes the cost by about a third.
_LADDER = (1.0, 0.85, 0.7, 0.6, 0.5)
#: Weight of the newest frame in the mean time of a frame.
_NEWEST = 0.15
#: A step up is tried where it would need less than this share of the time there is.
_ROOM = 0.75
#: Frames to wait after a step down and before a step up, so that one slow frame, or one quick one, moves nothing.
_AFTER_DOWN, _BEFORE_UP = 10, 60


class SizeControl:
    """Chooses the network's input size, and how often it looks at a picture, by how long frames take.

    Attributes:
        ways: What there is to choose from, best first: input size [px] and number of looks.
        level: Which of them is used now.
    """

    def __init__(self, largest: tuple[int, int], target_fps: float, looks: int = 2, asked: bool = True) -> None:
        found = (tuple(max(64, round(side * share / 16) * 16) for side in largest) for share in _LADDER)
        sizes = list(dict.fromkeys((w, h) for w, h in found))
        full = tuple((sizes[0], count) for count in sorted(LOOKS, reverse=True) if 1 < count <= looks)
        self.ways = (*full, *((size, 1) for size in sizes))
        self.level = 0
        self._target_s, self._asked = 1 / target_fps, asked
        self._lowest = 0
        self._mean_s: float | None = None
        self._steady = 0
        self._prepared: tuple[int, int] | None = None

    @staticmethod
    def of(config: NetworkConfig, live: bool = False) -> SizeControl | None:
        """What the settings ask for, and live sources need; None where the size is fixed."""
        if config.target_fps is None and not live:
            return None
        asked = config.target_fps is not None
        return SizeControl(config.input_size, config.target_fps or LIVE_FPS, config.looks, asked)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height to use for the next frame [px]."""
        return self.ways[self.level][0]

    @property
    def looks(self) -> int:
        """How often the next frame is looked at."""
        return self.ways[self.level][1]

    def _cost(self, level: int) -> float:
        """Pixels that the network looks at."""
        (width, height), looks = self.ways[level]
        return width * height * pixels(looks)

    def update(self, spent_s: float) -> None:
        """Learn how long the last frame took, and step where that is called for [s]."""
        self._mean_s = spent_s if self._mean_s is None else self._mean_s + _NEWEST * (spent_s - self._mean_s)
        self._steady += 1
        if self._mean_s > self._target_s:
            if self.level + 1 < len(self.ways) and self._steady >= _AFTER_DOWN:
                self._step(1)
        elif self.level and self._steady >= _BEFORE_UP:
            above = self._mean_s * self._cost(self.level - 1) / self._cost(self.level)
            if above < _ROOM * self._target_s:
                self._step(-1)

    def _step(self, by: int) -> None:
        before = self._cost(self.level)
        self.level += by
        share = self._cost(self.level) / before
        if self.level > self._lowest:  # told once, not each time that it comes and goes
            self._lowest = self.level
            _log.info(
                "a frame takes %.0f ms, %.0f are there: going on at %dx%d, %s a picture",
                1e3 * (self._mean_s or 0), 1e3 * self._target_s, *self.size, "one look" if self.looks == 1 else f"{self.looks} looks",
            )  # fmt: skip
        self._mean_s = None if self._mean_s is None else self._mean_s * share
        self._steady = 0

    def prepare(self, network: Any, frame_px: tuple[int, int]) -> None:
        """Have the ways compiled for frames of this size before the first of them: a step must not cost a second.

        Where a rate was asked for, all of them; else those that this machine may need, since each costs a while.
        """
        if self._prepared == frame_px:
            return
        self._prepared = frame_px
        if not hasattr(network, "prepare"):
            return
        if not self._asked:
            network.prepare(frame_px, self.ways[:1])
            spent_s = _time_of(network, frame_px)
            enough = [n for n in range(len(self.ways)) if _SLOWER * spent_s * self._share(n) <= self._target_s]
            self.ways = self.ways[: 1 + enough[0]] if enough else self.ways
            self.level = min(self.level, len(self.ways) - 1)
        network.prepare(frame_px, self.ways)

    def _share(self, level: int) -> float:
        """Time of a frame as a share of that with the best way."""
        return self._cost(level) / self._cost(0)

    def after_frame(self, network: Any, spent_s: float) -> None:
        """``update``, and hand the size to a network that takes one."""
        self.update(spent_s)
        use(network, self.size, self.looks)


def use(network: Any, size: tuple[int, int], looks: int) -> None:
    """Hand input size and number of looks to a network that takes them."""
    if hasattr(network, "input_size"):
        network.input_size, network.looks = size, looks


def _time_of(network: Any, frame_px: tuple[int, int]) -> float:
    """How long the network takes for a blank frame [s], the median of five."""
    blank = np.zeros((frame_px[1], frame_px[0], 3), np.uint8)
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        network(blank)
        spent.append(time.perf_counter() - start)
    return float(np.median(spent))
