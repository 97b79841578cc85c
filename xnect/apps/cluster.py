"""``xnect run --ray``: the same job, one video a task, on a Ray cluster or on a local Ray."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xnect
from xnect.apps import folders
from xnect.config import PipelineConfig, RunConfig
from xnect.errors import ConfigError, SourceError, XnectError

_log = logging.getLogger(__name__)


def jobs(config: RunConfig) -> list[RunConfig]:
    """One run for each video, each with its own output folder as in a plain run.

    All paths are absolute: a worker's own folder is another one, though all machines see the same disk.

    Raises:
        ConfigError: The source is not a set of files.
    """
    videos = config.source.video
    if not videos or any("://" in name for name in videos):
        raise ConfigError("--ray shares out video files; cameras and addresses are for one machine")
    base = Path(config.output.directory) if config.output.directory else folders.DEFAULT_FOLDER
    alone = len(videos) == 1 and config.output.directory is not None
    names = [""] if alone else folders.sub_folders(Path(name).stem for name in videos)
    pipeline = _with_absolute_paths(config.pipeline)
    out = []
    for video, name in zip(videos, names, strict=True):
        source = replace(config.source, video=(str(Path(video).resolve()),))
        output = replace(config.output, directory=str((base / name).resolve()), display=False)
        out.append(replace(config, source=source, output=output, pipeline=pipeline, ray=None))
    return out


def _with_absolute_paths(pipeline: PipelineConfig) -> PipelineConfig:
    """The settings with every file they name by its absolute path."""
    network, camera = pipeline.network, pipeline.camera
    network = replace(
        network,
        weights=_absolute(network.weights),
        detector=_absolute(network.detector),
        boxes=_absolute(network.boxes),
    )
    return replace(pipeline, network=network, camera=replace(camera, calibration=_absolute(camera.calibration)))


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


def run_on_ray(config: RunConfig) -> int:
    """Record all videos; returns the exit code.

    Raises:
        ConfigError: Ray is not installed, cannot be reached, or the source is not a set of files.
        SourceError: Some videos failed; each is told.
    """
    tasks = jobs(config)
    ray = _connect(config)
    try:
        threads = config.pipeline.network.threads or 1
        remote = ray.remote(num_cpus=threads, max_retries=1)(_one)
        waiting = {remote.remote(_with_threads(task, threads)): task for task in tasks}
        return _collect(ray, waiting)
    finally:
        ray.shutdown()


def _connect(config: RunConfig) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray needs the package ray: pip install 'xnect[cluster]'") from error
    address = None if config.ray == "local" else config.ray
    quiet: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False, "configure_logging": False}
    try:
        if address is None:
            with _importable():
                ray.init(include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises bare Exceptions, for a node that starts too slowly among others
        what = "Ray does not start on this machine" if address is None else f"no Ray cluster at {address}"
        raise ConfigError(f"{what}: {' '.join(str(error).split())[:200]}") from error
    return ray


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    """The workers of a local Ray inherit the environment: let them find this very package, installed or not."""
    before = os.environ.get("PYTHONPATH")
    home = str(Path(xnect.__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([home, *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _with_threads(config: RunConfig, threads: int) -> RunConfig:
    network = replace(config.pipeline.network, threads=threads)
    return replace(config, pipeline=replace(config.pipeline, network=network))


def _one(config: RunConfig) -> tuple[str, str]:
    """One video, in a worker process: its folder, and what went wrong ("" = nothing)."""
    from xnect.apps.run import run_headless

    try:
        run_headless(config)
    except (XnectError, OSError) as error:
        return str(config.output.directory), " ".join(str(error).split())
    return str(config.output.directory), ""


def _collect(ray: Any, waiting: dict[Any, RunConfig]) -> int:
    """Wait for all, telling each as it ends."""
    total, failed = len(waiting), 0
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        video = waiting.pop(done).source.video[0]
        try:
            folder, fault = ray.get(done)
        except ray.exceptions.RayError as error:
            folder, fault = "", str(error).strip().splitlines()[-1]
        failed += bool(fault)
        count = f"{total - len(waiting)} of {total}"
        if fault:
            _log.error("%s: %s: %s", count, video, fault)
        else:
            _log.info("%s: %s -> %s", count, video, folder)
            print(folder, flush=True)
    if failed:
        raise SourceError(f"{failed} of {total} videos failed")
    return 0


__all__: Sequence[str] = ["jobs", "run_on_ray"]
