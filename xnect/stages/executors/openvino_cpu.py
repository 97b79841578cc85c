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

#: Picture sizes that stay compiled: a stream has one, or four, adaptive live capture a handful more.
_MOST_SIZES = 12
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
        self._ready: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()
        self._lock = threading.Lock()
        self.description = f"{source.description} by OpenVINO on cpu, {precision}"

    def __call__(self, pictures: U8) -> tuple[F32, F32 | None]:
        """Maps and encoding of pictures of one size; see ``Executor``."""
        return self._compiled(pictures.shape)(pictures)

    def prepare(self, net_px: tuple[int, int], count: int = 1) -> None:
        """Compile for a picture size and run once."""
        try_out(self, net_px, count)

    def _compiled(self, shape: tuple[int, ...]) -> _Compiled:
        with self._lock:
            if shape not in self._ready:
                while len(self._ready) >= _MOST_SIZES:
                    self._ready.popitem(last=False)
                self._ready[shape] = self._compile(shape)
            self._ready.move_to_end(shape)
            return self._ready[shape]

    def _compile(self, shape: tuple[int, ...]) -> _Compiled:
        settings = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": self.streams,
            # Pinned threads of several programs, or of several videos at a time, would all sit on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = core().compile_model(as_model(self._source, shape), "CPU", settings)
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1]
            raise WeightsError(f"OpenVINO cannot compile the network for {shape[2]}x{shape[1]}: {last}") from error
        return _Compiled(model, self.streams)


class _Compiled:
    """The network for one shape of pictures; as many requests as streams take turns."""

    def __init__(self, model: Any, streams: int) -> None:
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(streams):
            self._requests.put(model.create_infer_request())
        self._has_encoding = len(model.outputs) > 1

    def __call__(self, pictures: U8) -> tuple[F32, F32 | None]:
        request = self._requests.get()
        try:
            request.infer([pictures], share_inputs=True, share_outputs=True)
            maps = request.get_output_tensor(0).data.copy()
            encoding = request.get_output_tensor(1).data.copy() if self._has_encoding else None
        finally:
            self._requests.put(request)
        return maps, encoding
