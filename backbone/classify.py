"""Classification mode: pictures, folders, videos or a camera to the most probable classes."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from backbone import labels as class_names
from backbone import pictures, pretrained, results
from backbone.errors import InputError, WeightsError
from backbone.labels import Labels
from backbone.pictures import Picture
from backbone.preprocess import Preprocessing, normalise, resize_and_crop
from backbone.quiet import only_python_speaks
from backbone.registry import create_model
from backbone.results import Classification, Guess
from backbone.selecsls import Classifier
from backbone.specs import DEFAULT_BACKBONE, get_spec
from backbone.weights import load_model

logger = logging.getLogger(__name__)

WINDOW = "backbone"


def pick_device(name: str) -> torch.device:
    """The device for "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: No such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"no device is called {name!r}: use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"there is no device {name} here; found {torch.cuda.device_count()} GPUs")
    return device


class ImageClassifier:
    """A classifier with everything that its weights demand: preprocessing, class names, device.

    Attributes:
        model: The network, in evaluation mode.
        labels: Names of its classes.
        how: Preprocessing.
        trained: Whether the weights came from training; if not, the classes mean nothing.
    """

    def __init__(
        self, model: Classifier, labels: Labels, how: Preprocessing, device: str = "auto", trained: bool = True
    ) -> None:
        if len(labels) != model.num_classes:
            raise InputError(f"{len(labels)} class names for a network with {model.num_classes} classes")
        self.device = pick_device(device)
        self.model = model.eval().to(self.device)
        self.labels, self.how, self.trained = labels, how, trained

    def probabilities(self, images_rgb: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Probability of every class, float32 (B, classes), for pictures uint8 RGB (H, W, 3) of any size.

        Raises:
            InputError: A picture is no such array.
        """
        return self.probabilities_of_crops(torch.stack([resize_and_crop(image, self.how) for image in images_rgb]))

    def probabilities_of_crops(self, crops: Tensor) -> NDArray[np.float32]:
        """The same for pictures uint8 (B, 3, size, size) that are resized and cropped already."""
        with torch.inference_mode():
            logits = self.model(normalise(crops.to(self.device), self.how))
            found = np.asarray(logits.float().softmax(dim=1).cpu().numpy(), np.float32)
        if not np.isfinite(found).all():
            raise WeightsError(f"{self.model.weights_origin} is damaged: its answers are not finite numbers")
        return found

    def __call__(self, images_rgb: Sequence[NDArray[np.uint8]], topk: int = 5) -> list[tuple[Guess, ...]]:
        """The `topk` most probable classes of each picture, best first."""
        shares = self.probabilities(images_rgb)
        order = np.argsort(-shares, axis=1, kind="stable")[:, :topk]
        return [
            tuple(Guess(int(i), self.labels.ids[i], self.labels.names[i], float(row[i])) for i in best)
            for row, best in zip(shares, order, strict=True)
        ]

    @property
    def describe(self) -> str:
        """One line on the network and its weights; plain about weights that mean nothing."""
        name = self.model.spec.name
        if self.trained:
            return f"{name}, weights: {self.model.weights_origin}"
        return (
            f"{name} has RANDOM weights: the classes mean nothing. Get trained ones with --weights imagenet "
            "(fetches the published CC BY 4.0 weights), or give your own with --weights FILE"
        )


def open_classifier(
    backbone: str | None = None,
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    device: str = "auto",
) -> ImageClassifier:
    """A classifier by network and weights.

    Args:
        backbone: Name of the network; None is that of the weights file, or selecsls60b.
        weights: "imagenet" fetches the published weights, "random" draws them, a path reads a file (ours with its own
            class names and preprocessing, timm's or the authors'); None takes the published ones if they are in the
            cache already, else random ones: nothing is fetched without being asked for.
        labels: File with class names; None are those of the weights file, or of ImageNet for 1000 classes.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        UnknownModelError: No such network.
        WeightsError: The weights cannot be fetched or read, or belong to another network than `backbone`.
        InputError: No such device, or the class names do not fit.
    """
    name = backbone or DEFAULT_BACKBONE
    spec = get_spec(name)
    entry = pretrained.read_manifest().models.get(name)
    how = entry.preprocessing if entry else Preprocessing()
    own_names: list[str] | None = None
    if weights is None and pretrained.cached(name) is not None:
        weights = "imagenet"
    if weights is None or str(weights) in ("random", "imagenet"):
        published = str(weights) == "imagenet"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # random weights should at least be the same ones every time
            model = create_model(name, "imagenet" if published else None)
        trained = published
    else:
        model, info = load_model(weights)
        if backbone is not None and model.spec.name != spec.name:
            raise WeightsError(f"{weights} holds {model.spec.name}, not {backbone}")
        trained = True
        entry = pretrained.read_manifest().models.get(model.spec.name)
        how = entry.preprocessing if entry else how
        if "preprocessing" in info.extra:
            how = Preprocessing.from_dict(info.extra["preprocessing"])
        own_names = info.extra.get("classes")
    return ImageClassifier(model, _labels(labels, own_names, model.num_classes), how, device, trained)


def _labels(path: str | Path | None, own: list[str] | None, count: int) -> Labels:
    if path is not None:
        return class_names.read_labels(Path(path))
    if own is not None:
        return class_names.plain_labels([str(name) for name in own])
    imagenet = class_names.imagenet_labels()
    return imagenet if count == len(imagenet) else class_names.numbered_labels(count)


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """What a classification run does; the defaults are those of the command line.

    Attributes:
        source: A picture, a folder, a video, or a camera by number.
        backbone: See `open_classifier`, like `weights`, `labels` and `device`.
        topk: How many classes to report, at least 1.
        output: File for the results, `.json` or `.csv`; None writes lines to standard output only.
        overwrite: Replace the file if it is there.
        drawings: Folder for pictures with the result drawn on them; None draws none.
        display: Show each picture with its result; None does so for cameras and videos when there is a display.
        batch: Pictures per run of the network.
        every: Take every N-th frame of a stream.
        limit: Stop after so many pictures.
        progress: Draw a progress bar on standard error.
    """

    source: str | Path | int
    backbone: str | None = None
    topk: int = 5
    weights: str | Path | None = None
    labels: str | Path | None = None
    device: str = "auto"
    output: Path | None = None
    overwrite: bool = False
    drawings: Path | None = None
    display: bool | None = None
    batch: int = 16
    every: int = 1
    limit: int | None = None
    progress: bool = True


def run(options: ClassifyOptions) -> int:
    """Classify everything that a source gives and report it; results to standard output, notes to standard error.

    Returns:
        Exit code: 0 all done, 1 nothing could be read, 3 done, but some pictures could not be read.

    Raises:
        BackboneError: The source, the weights or the output cannot be used.
    """
    with only_python_speaks():
        return _run(options)


def _run(options: ClassifyOptions) -> int:
    if min(options.topk, options.batch, options.every) < 1 or (options.limit is not None and options.limit < 1):
        raise InputError("topk, batch, every and limit must be at least 1")
    source = _Source(options)
    found = source.pictures()
    first = list(itertools.islice(found, 1))  # a source that gives nothing should fail before a network is loaded
    if not first:
        return source.exit_code(0)
    classifier = open_classifier(options.backbone, options.weights, options.labels, options.device)
    sys.stderr.write(classifier.describe + "\n")
    about = {
        "model": classifier.model.spec.name,
        "weights": classifier.model.weights_origin,
        "preprocessing": classifier.how.to_dict(),
    }
    show = source.is_stream and _has_display() if options.display is None else options.display
    with contextlib.ExitStack() as stack:
        writer = None
        if options.output is not None:
            writer = stack.enter_context(results.open_writer(options.output, about, options.overwrite))
        bar = stack.enter_context(
            tqdm(total=source.count, unit="picture", disable=None if options.progress else True, leave=False)
        )
        done = 0
        for batch in _batches(itertools.chain(first, found), 1 if show or source.is_camera else options.batch):
            tops = classifier([picture.image_rgb for picture in batch], options.topk)
            for picture, top in zip(batch, tops, strict=True):
                result = Classification(picture.origin, picture.frame, picture.time_s, top)
                tqdm.write(result.text() + ("" if classifier.trained else " (random weights)"), file=sys.stdout)
                if writer is not None:
                    writer.write(result)
                if show or options.drawings is not None:
                    image = results.draw(picture.image_rgb, result, _title(classifier))
                    if options.drawings is not None:
                        results.save_drawing(image, _drawing_path(options.drawings, done, picture))
                    if show and not _show(image, wait=not source.is_stream):
                        return 0
                done += 1
                bar.update()
    return source.exit_code(done)


class _Source:
    """What to classify, found out before the network is loaded, and what could not be read of it."""

    def __init__(self, options: ClassifyOptions) -> None:
        self.faults = 0
        self._limit, self._every = options.limit, options.every
        text = str(options.source)
        self.is_camera = isinstance(options.source, int)
        path = Path(text)
        self._files: list[Path] | None = None
        self._stream: Path | int = int(text) if self.is_camera else path
        if not self.is_camera:
            if path.is_dir():
                self._files = pictures.find_pictures(path)
            elif not path.is_file():
                raise InputError(f"no picture, folder or video at {path}")
            elif path.suffix.lower() in pictures.IMAGE_SUFFIXES:
                self._files = [path]
        self.is_stream = self._files is None
        self.count: int | None = len(self._files) if self._files is not None else None
        if isinstance(self._stream, Path) and self._files is None:
            frames = pictures.frame_count(self._stream)
            self.count = None if frames is None else -(-frames // self._every)
        if self._limit is not None and self.count is not None:
            self.count = min(self.count, self._limit)

    def pictures(self) -> Iterator[Picture]:
        """The pictures, up to the limit."""
        if self._files is None:
            found = pictures.from_stream(self._stream, self._every)
        else:
            found = pictures.from_files(self._files[:: self._every], self._on_fault)
        for index, picture in enumerate(found, 1):
            yield picture
            if index == self._limit:
                return

    def _on_fault(self, error: InputError) -> None:
        if self._files is not None and len(self._files) == 1:  # nothing else to do: the error says it all
            raise error
        self.faults += 1
        logger.warning("left out: %s", error)

    def exit_code(self, done: int) -> int:
        """How the run went, given how many pictures were classified."""
        if self.faults == 0:
            return 0
        sys.stderr.write(f"{self.faults} of {self.faults + done} pictures could not be read\n")
        return 3 if done else 1


def _batches(found: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    batch: list[Picture] = []
    for picture in found:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _title(classifier: ImageClassifier) -> str:
    return classifier.model.spec.name + ("" if classifier.trained else " with RANDOM weights: no meaning")


def _drawing_path(folder: Path, index: int, picture: Picture) -> Path:
    stem = Path(picture.origin).stem if picture.frame is None else f"{Path(picture.origin).stem}_{picture.frame:06d}"
    return folder / f"{index:06d}_{stem}.jpg"


def _has_display() -> bool:
    """Whether a window can open: always on Windows and macOS, elsewhere when a display server is named."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _show(image: NDArray[np.uint8], wait: bool) -> bool:
    """Show a picture; False when the user closed the window or pressed q or Escape."""
    try:
        cv2.imshow(WINDOW, image)
        key = cv2.waitKey(0 if wait else 1) & 0xFF
        return key not in (27, ord("q")) and cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) > 0
    except cv2.error as error:
        raise InputError(f"this OpenCV cannot open a window: {error.err or error}") from error
