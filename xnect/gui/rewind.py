"""The last finished frames, so that stepping back is instant and keeps everyone's id (no Qt)."""

from __future__ import annotations

from collections import deque

from xnect.gui.state import Shown

#: Pictures kept, in bytes: some seconds of a small picture, a fraction of one of 4K.
BUDGET = 160_000_000
MOST = 600


class Rewind:
    """A short memory with a cursor; at the head, new frames are shown as they come.

    Attributes:
        pinned: The cursor stays on its frame while new ones come (a frozen live view).
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._frames: deque[Shown] = deque()
        self._bytes = 0
        self._behind = 0
        self.pinned = False

    def clear(self) -> None:
        """Forget all."""
        self._frames.clear()
        self._bytes = self._behind = 0

    @property
    def at_head(self) -> bool:
        """Whether the newest frame is the one shown."""
        return self._behind == 0

    def to_head(self) -> Shown | None:
        """Go to the newest frame."""
        self._behind = 0
        return self._frames[-1] if self._frames else None

    def push(self, shown: Shown) -> None:
        """A new frame is finished; time that runs backwards (seek, loop) forgets all before."""
        if self._frames:
            last = self._frames[-1]
            if shown.generation != last.generation or shown.result.timestamp_s < last.result.timestamp_s:
                self.clear()
            elif shown.result.timestamp_s == last.result.timestamp_s:  # the same frame with new settings
                self._bytes -= self._frames.pop().frame.image_bgr.nbytes
        self._frames.append(shown)
        self._bytes += shown.frame.image_bgr.nbytes
        if (self._behind or self.pinned) and len(self._frames) > 1:
            self._behind += 1
        while len(self._frames) > 1 and (self._bytes > self._budget or len(self._frames) > MOST):
            self._bytes -= self._frames.popleft().frame.image_bgr.nbytes
        self._behind = min(self._behind, len(self._frames) - 1)

    def step(self, frames: int) -> tuple[Shown | None, int]:
        """Move the cursor.

        Returns:
            The frame there (None where there is none at all), and how many steps were left over beyond the memory.
        """
        if not self._frames:
            return None, frames
        wanted = self._behind - frames
        self._behind = max(0, min(len(self._frames) - 1, wanted))
        return self._frames[-1 - self._behind], self._behind - wanted
