"""Eight-bit networks by post-training quantisation (NNCF), calibrated on pictures; no labels, no training."""

from __future__ import annotations

import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from xnect.errors import SourceError, WeightsError, XnectError
from xnect.geometry import network_size
from xnect.resources import resource
from xnect.stages.executors.base import fit_picture
from xnect.stages.executors.convert import as_model, as_package
from xnect.stages.executors.package import Package
from xnect.structures import U8

_log = logging.getLogger(__name__)

#: More pictures change the ranges of the activations by less than the rounding.
PICTURES = 240
_KINDS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_SIZE = (512, 320)


def quantised(
    source: Package, pictures: list[U8], origin: str, input_size: tuple[int, int] = _SIZE, advance: bool = True
) -> Package:
    """The same network with 8-bit weights and activations.

    Args:
        source: The float network.
        pictures: BGR pictures of any size, of the kind the network is to see.
        origin: Where they are from, in words, for the card.
        input_size: Width and height whose area the network sees them at [px].
        advance: Whether a progress bar is shown.

    Raises:
        WeightsError: NNCF is not installed.
        SourceError: No pictures.
    """
    if not pictures:
        raise SourceError("quantisation needs pictures to calibrate on; give a folder with --pictures")
    nncf = _nncf(advance)
    chosen = pictures[:: max(1, len(pictures) // PICTURES)][:PICTURES]
    inputs = [fit_picture(p, network_size((p.shape[1], p.shape[0]), input_size))[None] for p in chosen]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nncf.quantize(
            as_model(source), nncf.Dataset(inputs), subset_size=len(inputs), preset=nncf.QuantizationPreset.MIXED,
            fast_bias_correction=True,
        )  # fmt: skip
    made_by = f"{source.card.get('made_by', '')}, nncf {nncf.__version__}".lstrip(", ")
    card = {**source.card, "precision": "int8", "calibration": f"{len(inputs)} pictures: {origin}", "made_by": made_by}
    return as_package(model, card)


def _nncf(advance: bool):  # type: ignore[no-untyped-def] # a module
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import nncf
    except ImportError as error:
        raise WeightsError(
            "there is no int8 network for these weights, and making one needs NNCF: pip install 'xnect[int8]'"
        ) from error
    nncf.set_log_level(logging.ERROR)
    if not advance:
        from nncf.common.logging import track_progress

        track_progress.track = lambda sequence, *args, **options: sequence
    return nncf


def clip_pictures() -> list[U8]:
    """Every tenth frame of the bundled clip, upright and turned on its side; empty where the clip is missing."""
    try:
        path = resource("demo.mp4")
    except XnectError:
        return []
    capture = cv2.VideoCapture(str(path))
    out: list[U8] = []
    while True:
        good, image = capture.read()
        if not good:
            capture.release()
            return out[::10]
        out.append(np.asarray(image, np.uint8))


def folder_pictures(place: Path, wanted: Callable[[str], bool] = lambda name: True, most: int = PICTURES) -> list[U8]:
    """Pictures of a folder, of a zip file, or of all zip files in a folder, spread evenly over their names.

    Args:
        place: Folder or zip file.
        wanted: Which file names (without extension) are taken.
        most: At most so many.

    Raises:
        SourceError: Nothing there that can be read as a picture.
    """
    try:
        names = sorted(_names(place, wanted))
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"cannot read pictures in {place}: {error}") from error
    chosen = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).astype(int))]
    out = []
    for home, name in chosen:
        data = zipfile.ZipFile(home).read(name) if home.suffix == ".zip" else (home / name).read_bytes()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is not None:
            out.append(np.asarray(picture, np.uint8))
    if not out:
        raise SourceError(f"no pictures in {place}")
    return out


def _names(place: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[Path, str]]:
    homes = [place] if place.suffix == ".zip" else [place, *sorted(place.glob("train*.zip"))]
    for home in homes:
        if home.suffix == ".zip":
            with zipfile.ZipFile(home) as file:
                members = file.namelist()
        else:
            members = [p.name for p in home.iterdir()]
        for name in members:
            path = Path(name)
            if path.suffix.lower() in _KINDS and wanted(path.stem):
                yield home, name
