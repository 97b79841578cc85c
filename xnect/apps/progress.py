"""A progress bar on standard error: frames, frames a second, time left."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from xnect.structures import Frame, FrameResult

if TYPE_CHECKING:
    from xnect.capture import Source

_LINE_EVERY_S = 10.0


class Progress:
    """Shows how a run gets on; on a terminal as a bar, else as a line now and then."""

    def __init__(self, source: Source, name: str, quiet: bool = False) -> None:
        self._source = source
        self._name = name
        self._quiet = quiet
        self._bar: Any = None
        self._frames = 0
        self._told_s = self._started_s = time.perf_counter()

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._source.info.frame_count,
                desc=self._name,
                unit=" frames",
                file=sys.stderr,
                dynamic_ncols=True,
                leave=False,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, frame: Frame, result: FrameResult) -> None:
        """Count a frame."""
        self._frames += 1
        if self._bar is not None:
            self._bar.update(1)
            if self._source.info.live:
                self._bar.set_postfix(people=len(result.people), dropped=self._source.dropped, refresh=False)
            else:
                self._bar.set_postfix(people=len(result.people), refresh=False)
            return
        now = time.perf_counter()
        if not self._quiet and now - self._told_s >= _LINE_EVERY_S:
            self._told_s = now
            self._tell(now - self._started_s)

    def _tell(self, elapsed_s: float) -> None:
        rate = self._frames / elapsed_s
        total = self._source.info.frame_count
        left = "" if total is None or not rate else f" of {total}, {max(total - self._frames, 0) / rate:.0f} s left"
        print(f"{self._name}: {self._frames}{left} ({rate:.1f} fps)", file=sys.stderr, flush=True)
