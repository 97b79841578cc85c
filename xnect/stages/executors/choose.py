"""From the settings to a network that runs: the fastest executor that is installed and works, or the one asked for."""

from __future__ import annotations

import ctypes.util
import importlib.util
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from xnect.config import NetworkConfig
from xnect.errors import WeightsError, XnectError
from xnect.stages.executors import package
from xnect.stages.executors.base import (
    Executor,
    PictureNetwork,
    default_weights,
    network_pictures,
    thread_count,
)
from xnect.stages.refinement import load_refiner

_log = logging.getLogger(__name__)

#: One core computes a frame in about 11 ms, and what follows takes 4 ms: more pictures at once would only wait.
_MOST_STREAMS = 4
_MOST_COMMON = (16, 9)


def load_network(weights: str | None = None, config: NetworkConfig | None = None) -> PictureNetwork:
    """Stage I ready to run, by the executor that the settings name or, for "auto", by the fastest.

    Args:
        weights: Weights file, None = ``config.weights``, else the ones that ship.
        config: Device, precision, executor, threads, mode, input size.

    Raises:
        WeightsError: No usable weights, or a device, precision or executor that is not there.
    """
    config = config or NetworkConfig()
    named = weights or config.weights
    path = Path(named) if named else default_weights()
    card = path.with_suffix(".json")
    if not card.is_file():
        raise WeightsError(f"cannot read weights {path}: {card.name}, which describes them, is not beside them")
    refiner = load_refiner(path)
    return PictureNetwork(_executor(path, config), config.input_size, config.looks, refiner)


def _executor(weights: Path, config: NetworkConfig) -> Executor:
    tries = _candidates(weights, config)
    for number, attempt in enumerate(tries):
        try:
            executor = attempt()
            executor.prepare(*network_pictures(_MOST_COMMON, config.input_size, config.looks)[0])
        except (XnectError, RuntimeError, ImportError) as error:
            if number == len(tries) - 1:
                raise error if isinstance(error, XnectError) else WeightsError(_one_line(error)) from error
            _log.info("%s; trying the next fastest way", _one_line(error))
        else:
            return executor
    raise AssertionError("there is always torch to try")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _candidates(weights: Path, config: NetworkConfig) -> list[Callable[[], Executor]]:
    """What may run these settings, fastest first (docs/speed.md has the figures).

    Raises:
        WeightsError: Nothing may.
    """
    if config.device.startswith("cuda") or (config.device == "auto" and config.executor != "openvino" and _has_card()):
        if config.executor == "openvino":
            raise WeightsError(
                f"--executor openvino computes on the processor, not on {config.device}; use --device cpu"
            )
        return [partial(_torch, weights, config)]
    if config.precision == "fp16":
        raise WeightsError("--precision fp16 cannot be computed on cpu; use auto, int8, bf16 or fp32")
    slow: list[Callable[[], Executor]] = [partial(_torch, weights, config)]
    if config.executor == "torch":
        return slow
    quick = [partial(_openvino, weights, config, precision) for precision in _precisions(weights, config)]
    if config.executor == "openvino" or config.precision == "int8":
        return list(quick)
    return [*quick, *slow]


def _precisions(weights: Path, config: NetworkConfig) -> list[str]:
    """Number types for OpenVINO, fastest first; empty where OpenVINO is not there and need not be."""
    if config.precision != "auto":
        return [config.precision]
    if importlib.util.find_spec("openvino") is None:
        return ["fp32"] if config.executor == "openvino" else []
    from xnect.stages.executors.openvino_cpu import capabilities

    can = capabilities()
    ready = "INT8" in can and package.find(weights, package.digest(weights), "int8") is not None
    if "INT8" in can and not ready and package.beside(weights, "int8").is_file():
        _log.info("%s was made from other weights: going on without int8", package.beside(weights, "int8").name)
    return [*(["int8"] if ready else []), *(["bf16"] if "BF16" in can else []), "fp32"]


def _openvino(weights: Path, config: NetworkConfig, precision: str) -> Executor:
    from xnect.stages.executors.convert import openvino
    from xnect.stages.executors.openvino_cpu import OpenVinoExecutor, capabilities

    openvino()
    if precision == "bf16" and "BF16" not in capabilities():
        raise WeightsError("--precision bf16: this processor does not compute in bf16; use auto, int8 or fp32")
    threads = thread_count(config.threads)
    streams = min(threads, _MOST_STREAMS) if config.mode == "throughput" else 1
    source = int8_package(weights) if precision == "int8" else float_package(weights)
    return OpenVinoExecutor(source, precision, threads, streams)


def _torch(weights: Path, config: NetworkConfig) -> Executor:
    from xnect.stages.executors.pytorch import torch_executor
    from xnect.stages.network import load_stage1

    return torch_executor(load_stage1(weights), config)


def _has_card() -> bool:
    """Whether torch can use an NVIDIA card; torch, which takes seconds to import, is asked only where a driver is."""
    driver = "nvcuda" if sys.platform == "win32" else "cuda"
    if "torch" not in sys.modules and ctypes.util.find_library(driver) is None:
        return False
    import torch

    return torch.cuda.is_available()


def float_package(weights: Path) -> package.Package:
    """The weights in OpenVINO's form: from beside them, from the cache, or converted now and kept there.

    Raises:
        WeightsError: Not usable weights, or OpenVINO is not installed.
    """
    from xnect.stages.executors import convert

    digest = package.digest(weights)
    found = package.find(weights, digest, "float")
    if found is None:
        _log.info("converting the network for OpenVINO (once for these weights)")
        found = convert.float_package(weights, digest)
        keep(found, package.cache_file(digest, "float"))
    return found


def int8_package(weights: Path) -> package.Package:
    """The weights in eight bits: from beside them, from the cache, or made now from the bundled clip and kept there.

    Raises:
        WeightsError: Not usable weights, or OpenVINO or NNCF is not installed.
        SourceError: The bundled clip is missing.
    """
    digest = package.digest(weights)
    found = package.find(weights, digest, "int8")
    if found is None:
        from xnect.stages.executors.quantise import clip_pictures, quantised

        pictures = clip_pictures()
        source = float_package(weights)
        _log.info("making the int8 network from %d frames (once for these weights)", len(pictures))
        found = quantised(source, pictures, "the bundled clip")
        keep(found, package.cache_file(digest, "int8"))
    return found


def keep(made: package.Package, path: Path) -> None:
    """Save to the cache; a full or read-only disk costs time at the next start and nothing else."""
    try:
        package.save(made, path)
    except OSError as error:
        _log.warning("cannot keep the network in %s (%s): it is made again next time", path, error.strerror)
