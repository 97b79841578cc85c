"""Live capture on a machine that is busy with other things: flip test and size give way until the rate holds again."""

from __future__ import annotations

from typing import Any

from xnect.config import NetworkConfig

#: Sides of the smaller pictures, as shares of the largest; a step changes the cost by about a third.
_LADDER = (1.0, 0.85, 0.7, 0.6, 0.5)
#: Weight of the newest frame in the mean time of a frame.
_NEWEST = 0.15
#: A step up is tried where it would need less than this share of the time there is.
_ROOM = 0.75
#: Frames to wait after a step down and before a step up, so that one slow frame, or one quick one, moves nothing.
_AFTER_DOWN, _BEFORE_UP = 10, 60


class SizeControl:
    """Chooses the network's input size, and whether it looks at the mirrored picture, by how long frames take.

    Attributes:
        ways: What there is to choose from, best first: input size [px], and whether the flip test is made.
        level: Which of them is used now.
    """

    def __init__(self, largest: tuple[int, int], target_fps: float, flip: bool = True) -> None:
        found = (tuple(max(64, round(side * share / 16) * 16) for side in largest) for share in _LADDER)
        sizes = list(dict.fromkeys((w, h) for w, h in found))
        self.ways = (*([(sizes[0], True)] if flip else []), *((size, False) for size in sizes))
        self.level = 0
        self._target_s = 1 / target_fps
        self._mean_s: float | None = None
        self._steady = 0
        self._prepared: tuple[int, int] | None = None

    @staticmethod
    def of(config: NetworkConfig) -> SizeControl | None:
        """What the settings ask for; None where the size is fixed."""
        return None if config.target_fps is None else SizeControl(config.input_size, config.target_fps, config.flip)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height to use for the next frame [px]."""
        return self.ways[self.level][0]

    @property
    def flip(self) -> bool:
        """Whether the flip test is made for the next frame."""
        return self.ways[self.level][1]

    def _cost(self, level: int) -> int:
        """Pixels that the network looks at."""
        (width, height), flip = self.ways[level]
        return width * height * (2 if flip else 1)

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
        self._mean_s = None if self._mean_s is None else self._mean_s * share
        self._steady = 0

    def prepare(self, network: Any, frame_px: tuple[int, int]) -> None:
        """Have every way compiled for frames of this size before the first of them: a step must not cost a second."""
        if self._prepared != frame_px:
            self._prepared = frame_px
            if hasattr(network, "prepare"):
                network.prepare(frame_px, self.ways)

    def after_frame(self, network: Any, spent_s: float) -> None:
        """``update``, and hand the size to a network that takes one."""
        self.update(spent_s)
        if hasattr(network, "input_size"):
            network.input_size, network.flip = self.size, self.flip
