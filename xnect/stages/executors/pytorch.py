"""Stage I by torch: fp32 or bf16 on processors, fp16 with CUDA graphs on NVIDIA's cards."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xnect.config import NetworkConfig
from xnect.errors import WeightsError
from xnect.stages.executors.base import thread_count, try_out
from xnect.stages.network import FromPictures, Stage1, channels_last, folded
from xnect.structures import F32, U8

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Picture sizes whose graphs are kept on the card; a stream has one, or four, adaptive live capture a handful more.
_MOST_GRAPHS = 12


def torch_executor(net: Stage1, config: NetworkConfig) -> TorchExecutor | CudaExecutor:
    """Stage I on the device and with the number type that the settings name.

    Raises:
        WeightsError: A device or precision that is not there; one line says what is.
    """
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        return CudaExecutor(net, _cuda_device(name), _precision(config.precision, "cuda"))
    return TorchExecutor(net, _precision(config.precision, "cpu"), config.threads)


def _cuda_device(name: str) -> torch.device:
    if not torch.cuda.is_available():
        raise WeightsError(f"--device {name}: no CUDA device is available to torch {torch.__version__}; use cpu")
    device = torch.device(name)
    if (device.index or 0) >= torch.cuda.device_count():
        raise WeightsError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    return device


def _precision(asked: str, device: str) -> str:
    if asked == "auto":
        return "fp16" if device == "cuda" else "bf16" if fast_bf16() else "fp32"
    if asked not in _TYPES or (asked == "fp16" and device == "cpu"):
        known = "auto, fp32 or bf16" if device == "cpu" else "auto, fp32, bf16 or fp16"
        more = "; int8 needs OpenVINO: pip install 'xnect[openvino]'" if asked == "int8" and device == "cpu" else ""
        raise WeightsError(f"--precision {asked} cannot be computed by torch on {device}; use {known}{more}")
    return asked


def fast_bf16() -> bool:
    """Whether this processor multiplies bf16 in hardware (AVX-512 BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _words(net: Stage1, device: str, precision: str) -> str:
    return f"{net.spec} by torch on {device}, {precision}"


class TorchExecutor:
    """Stage I by torch on the processor; batch norms folded, channels last.

    Attributes:
        description: Network, device and precision in words.
        streams: One picture at a time, by all threads.
    """

    streams = 1

    def __init__(self, net: Stage1, precision: str, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(thread_count(threads))
        self._type = _TYPES[precision]
        self._net = FromPictures(channels_last(folded(net)))
        self.description = _words(net, "cpu", precision)

    def __call__(self, pictures: U8) -> tuple[F32, F32 | None]:
        """Maps and encoding of pictures of one size; see ``Executor``."""
        with torch.inference_mode(), torch.autocast("cpu", dtype=self._type, enabled=self._type != torch.float32):
            out = self._net(_tensor(pictures))
        maps, encoding = out if isinstance(out, tuple) else (out, None)
        return _numpy(maps), None if encoding is None else _numpy(encoding)

    def prepare(self, net_px: tuple[int, int], count: int = 1) -> None:
        """Run once: oneDNN lays out the weights for a size when it first meets it."""
        try_out(self, net_px, count)


def _tensor(pictures: U8) -> Tensor:
    """The same memory as a tensor; a copy where it may not be written (torch has no tensors that are read only)."""
    return torch.from_numpy(pictures if pictures.flags.writeable else pictures.copy())


def _numpy(tensor: Tensor) -> F32:
    """As contiguous float32 in memory of its own."""
    return np.ascontiguousarray(tensor.float().numpy(), np.float32)


class CudaExecutor:
    """Stage I on one card: weights in half precision, channels last, each picture size recorded once as a CUDA graph.

    A graph replays all kernels of a frame with one launch; at this network's size the launches would otherwise take
    longer than the arithmetic. Pictures and maps go through pinned memory.

    Attributes:
        description: Network, device and precision in words.
        streams: One picture at a time.
    """

    streams = 1

    def __init__(self, net: Stage1, device: torch.device, precision: str) -> None:
        self._device = device
        inner = FromPictures(channels_last(folded(net))).to(device, _TYPES[precision])
        self._net: nn.Module = inner
        self._graphs: dict[tuple[int, ...], _Recorded] = {}
        self._lock = threading.Lock()
        self.description = _words(net, torch.cuda.get_device_name(device), precision)

    def __call__(self, pictures: U8) -> tuple[F32, F32 | None]:
        """Maps and encoding of pictures of one size; see ``Executor``."""
        shape = pictures.shape
        with self._lock:
            if shape not in self._graphs:
                while len(self._graphs) >= _MOST_GRAPHS:
                    self._graphs.pop(next(iter(self._graphs)))
                self._graphs[shape] = _Recorded(self._net, self._device, shape)
            return self._graphs[shape](pictures)

    def prepare(self, net_px: tuple[int, int], count: int = 1) -> None:
        """Record the graph of a picture size."""
        try_out(self, net_px, count)


class _Recorded:
    """The network recorded for one shape of pictures, with its buffers on both sides."""

    def __init__(self, net: nn.Module, device: torch.device, shape: tuple[int, ...]) -> None:
        self._device = device
        self._pinned = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self._pictures = self._pinned.to(device)
        side: Any = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.inference_mode(), torch.cuda.device(device), torch.cuda.stream(side):
            for _ in range(3):  # libraries choose their kernels and take their memory before anything is recorded
                self._run(net)
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.device(device), torch.cuda.graph(self._graph):
            self._outputs = self._run(net)
        self._host = [torch.empty(o.shape, dtype=o.dtype, pin_memory=True) for o in self._outputs]

    def _run(self, net: nn.Module) -> list[Tensor]:
        out = net(self._pictures)
        return [o.float().contiguous() for o in (out if isinstance(out, tuple) else (out,))]

    def __call__(self, pictures: U8) -> tuple[F32, F32 | None]:
        with torch.inference_mode(), torch.cuda.device(self._device):
            self._pinned.copy_(_tensor(pictures))
            self._pictures.copy_(self._pinned, non_blocking=True)
            self._graph.replay()
            for host, output in zip(self._host, self._outputs, strict=True):
                host.copy_(output, non_blocking=True)
            torch.cuda.current_stream(self._device).synchronize()
        arrays = [host.numpy().copy() for host in self._host]
        return arrays[0], arrays[1] if len(arrays) > 1 else None
