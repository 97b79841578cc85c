"""Stage I by OpenVINO on the processor: fp32, bf16 or int8, one stream for latency or several for throughput."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from typing import Any

from xnect.errors import WeightsError
from xnect.stages.executors.base import try_out
from xnect.stages.executors.convert import as_model, core
from xnect.stages.executors.package import Package
from xnect.structures import F32, U8

#: Picture sizes that stay compiled: a stream has one, adaptive live capture a handful.
_MOST_SIZES = 8
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


def capabilities() -> frozenset[str]:
    """Number types that OpenVINO computes fast on this processor, as ``FP32``, ``BF16``, ``INT8``; raises WeightsError."""
    return frozenset(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


class OpenVinoExecutor:
    """Stage I by OpenVINO. Each picture size is compiled once, when it first comes.

    Attributes:
        description: Network, device and precision in words.
        streams: So many pictures are computed at once, each by its share of the threads.
    """

    def __init__(self, source: Package, precision: str, threads: int, streams: int = 1) -> None:
        """Take over a converted network.

        Args:
            source: The network; a quantised one for int8.
            precision: "fp32", "bf16" or "int8".
            threads: Threads of all streams together.
            streams: Pictures computed at once.
        """
        self._source, self._threads = source, max(threads, streams)
        self._hint = _HINTS[precision]
        if precision == "int8" and "BF16" in capabilities():
            self._hint = "bf16"  # for the few layers that stay in floating point
        self.streams = streams
        self._ready: OrderedDict[tuple[int, int], _Compiled] = OrderedDict()
        self._lock = threading.Lock()
        self.description = f"{source.description} by OpenVINO on cpu, {precision}"

    def __call__(self, picture: U8) -> tuple[F32, F32 | None]:
        """Maps and encoding of one picture; see ``Executor``."""
        return self._compiled((picture.shape[1], picture.shape[0]))(picture)

    def prepare(self, net_px: tuple[int, int]) -> None:
        """Compile for a picture size and run once."""
        try_out(self, net_px)

    def _compiled(self, size_px: tuple[int, int]) -> _Compiled:
        with self._lock:
            if size_px not in self._ready:
                while len(self._ready) >= _MOST_SIZES:
                    self._ready.popitem(last=False)
                self._ready[size_px] = self._compile(size_px)
            self._ready.move_to_end(size_px)
            return self._ready[size_px]

    def _compile(self, size_px: tuple[int, int]) -> _Compiled:
        settings = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": self.streams,
            # Pinned threads of several programs, or of several videos at a time, would all sit on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = core().compile_model(as_model(self._source, size_px), "CPU", settings)
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1]
            raise WeightsError(f"OpenVINO cannot compile the network for {size_px[0]}x{size_px[1]}: {last}") from error
        return _Compiled(model, self.streams)


class _Compiled:
    """The network for one picture size; as many requests as streams take turns."""

    def __init__(self, model: Any, streams: int) -> None:
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(streams):
            self._requests.put(model.create_infer_request())
        self._has_encoding = len(model.outputs) > 1

    def __call__(self, picture: U8) -> tuple[F32, F32 | None]:
        request = self._requests.get()
        try:
            request.infer([picture[None]], share_inputs=True, share_outputs=True)
            maps = request.get_output_tensor(0).data[0].copy()
            encoding = request.get_output_tensor(1).data[0].copy() if self._has_encoding else None
        finally:
            self._requests.put(request)
        return maps, encoding
