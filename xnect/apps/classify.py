"""``--classify``: names what pictures, a video or a camera show, by the backbone library."""

from __future__ import annotations

from pathlib import Path

from xnect.config import RunConfig
from xnect.errors import ConfigError, XnectError

RESULT_NAME = "classes.json"


def classify(path: str, config: RunConfig, backbone: str | None, topk: int) -> int:
    """Print the most probable classes of every picture; returns the exit code.

    Args:
        path: Picture, folder or video; "" = the source of the settings.
        config: Source, device, weights, output.
        backbone: Name of the network, None = the best.
        topk: How many classes.

    Raises:
        ConfigError: Nothing is named to classify.
        XnectError: It cannot be read, or the network has no weights.
    """
    from backbone.classify import ClassifyOptions, run
    from backbone.errors import BackboneError

    folder = config.output.directory
    options = ClassifyOptions(
        source=path or _source(config),
        backbone=backbone,
        topk=topk,
        weights=config.pipeline.network.weights,
        device=config.pipeline.network.device,
        output=None if folder is None else Path(folder) / RESULT_NAME,
        overwrite=config.output.overwrite,
        display=None if config.output.display else False,
    )
    try:
        return run(options)
    except BackboneError as error:
        raise XnectError(str(error)) from error


def _source(config: RunConfig) -> str | int:
    source = config.source
    if source.camera is not None:
        from xnect.capture.webcam import find_camera

        return find_camera(source.camera).index
    if source.image_dir is not None:
        return source.image_dir
    if len(source.video) == 1:
        return source.video[0]
    raise ConfigError("--classify needs one picture, folder or video, or one of --camera, --video, --image-dir")
