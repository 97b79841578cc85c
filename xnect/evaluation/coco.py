"""COCO keypoint accuracy of any detector of people, on pictures in a folder or a zip with labels of 13 or 17 joints."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import cv2
import numpy as np

from xnect.capture.opencv import quiet
from xnect.errors import FormatError, XnectError
from xnect.skeleton.joints import COCO_13, OKS_SIGMAS_13
from xnect.skeleton.layouts import COCO_13_OF_17
from xnect.structures import U8, Detections
from xnect.untrusted import open_zip, parse_json, read_member

#: COCO's own limit of people a picture.
MOST_PEOPLE = 20
#: Largest picture in an archive [bytes].
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class CocoFigures:
    """COCO's keypoint figures, each 0 to 1 (-1 where no person of that size is labelled).

    Attributes:
        ap: Average precision over OKS 0.50 to 0.95.
        ap50: At OKS 0.50.
        ap75: At OKS 0.75.
        ap_medium: Of people of 32^2 to 96^2 px.
        ap_large: Of larger people.
        ar: Average recall over OKS 0.50 to 0.95.
        pictures: How many pictures.
        people: How many labelled people.
    """

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    pictures: int
    people: int

    def as_dict(self) -> dict[str, float | int]:
        """The figures by name."""
        return asdict(self)


class CocoSet:
    """Labels in COCO's keypoint format with our 13 joints or COCO's own 17, and their pictures.

    Attributes:
        truth: The labels, as their JSON holds them; eyes and ears are left out.
    """

    def __init__(self, labels: str | Path, pictures: str | Path, limit: int | None = None) -> None:
        """Read the labels.

        Args:
            labels: JSON file.
            pictures: Folder or zip with the pictures by their ``file_name``.
            limit: Only the first so many pictures.

        Raises:
            FormatError: The labels are not such JSON, or the pictures are not there.
        """
        try:
            self.truth: dict[str, Any] = parse_json(Path(labels).read_bytes())
            images, people = list(self.truth["images"]), list(self.truth["annotations"])
        except OSError as error:
            raise FormatError(f"cannot read {labels}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{labels} is not COCO JSON with images and annotations") from error
        self._pictures = Path(pictures)
        if not self._pictures.exists():
            raise FormatError(f"no pictures at {pictures}: a folder or a zip expected")
        images = images[:limit]
        try:
            kept = {i["id"] for i in images if _inside(i["file_name"])}
            people = [_with_13_joints(a) for a in people if a["image_id"] in kept]
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{labels}: an entry lacks {error}") from error
        except FormatError as error:
            raise FormatError(f"{labels}: {error}") from None
        self.truth = {**self.truth, "images": images, "annotations": people}

    def __len__(self) -> int:
        return len(self.truth["images"])

    def __iter__(self) -> Iterator[tuple[int, U8]]:
        """Number and BGR pixels of each picture; raises FormatError where one is missing or damaged."""
        with contextlib.ExitStack() as stack:
            try:
                shard = None if self._pictures.is_dir() else stack.enter_context(open_zip(self._pictures))
            except (OSError, ValueError) as error:
                raise FormatError(f"cannot read {self._pictures}: {error}") from error
            for image in self.truth["images"]:
                name = image["file_name"]
                try:
                    data = (
                        (self._pictures / name).read_bytes() if shard is None else read_member(shard, name, _MOST_BYTES)
                    )
                except (OSError, KeyError) as error:
                    raise FormatError(f"{self._pictures} has no picture {name}") from error
                except ValueError as error:
                    raise FormatError(f"{self._pictures}: {error}") from error
                yield int(image["id"]), _decoded(data, name)


def _decoded(data: bytes, name: str) -> U8:
    try:
        with quiet():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # no bytes at all, or a header that lies
        pixels = None
    if pixels is None:
        raise FormatError(f"{name} cannot be decoded")
    return pixels.astype(np.uint8, copy=False)


def _inside(name: Any) -> bool:
    """True; raises FormatError where a picture's name is none, or leads out of the folder of the pictures."""
    if (
        not isinstance(name, str)
        or not name
        or PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).is_absolute()
    ):
        raise FormatError(f"file_name {str(name)[:80]!r} is not the name of a picture")
    if ".." in name.replace("\\", "/").split("/") or "\0" in name:
        raise FormatError(f"file_name {name[:80]!r} leads out of the folder of the pictures")
    return True


def _with_13_joints(annotation: dict[str, Any]) -> dict[str, Any]:
    """A label with 13 joints; raises FormatError for another number than 0, 13 or 17, KeyError where a part lacks."""
    points = annotation.get("keypoints", ())
    out = {"iscrowd": 0, **annotation}
    if len(points) == 3 * len(COCO_13):
        out.setdefault("num_keypoints", sum(v > 0 for v in points[2::3]))
    elif len(points) == 51:
        chosen = [points[3 * row : 3 * row + 3] for row in COCO_13_OF_17]
        out["num_keypoints"] = sum(point[2] > 0 for point in chosen)
        out["keypoints"] = [value for point in chosen for value in point]
    elif not points:
        out |= {"keypoints": [0] * 39, "num_keypoints": 0}
    else:
        raise FormatError(f"annotation {annotation.get('id')} has {len(points) // 3} joints, not 13 or 17")
    for part in ("id", "category_id", "area", "bbox"):  # what pycocotools cannot do without
        out[part]
    return out


def as_results(image_id: int, people: Detections, most: int = MOST_PEOPLE) -> list[dict[str, Any]]:
    """People of one picture as COCO results with 13 joints, the best ``most`` by score.

    COCO judges a guess for every joint. Where a detector gives none (0, 0) for one that it did not see, the mean of those
    that it saw stands in.
    """
    rows = []
    for k in np.argsort(-people.score, kind="stable")[:most]:
        joints = people.joints_px[k].astype(np.float64)
        seen = people.confidence[k] > 0
        if not seen.any():
            continue
        joints[~seen & (joints == 0).all(1)] = joints[seen].mean(0)
        points = np.concatenate([joints[COCO_13], people.confidence[k, COCO_13, None]], 1)
        rows.append(
            {
                "image_id": image_id,
                "category_id": 1,
                "keypoints": points.round(3).ravel().tolist(),
                "score": float(people.score[k]),
            }
        )
    return rows


def _matched(truth: dict[str, Any], found: list[dict[str, Any]]) -> Any:
    """Pycocotools' evaluation after its matching of results to labels."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise XnectError("pycocotools is needed for this: pip install pycocotools") from error
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(found), "keypoints")
        run.params.kpt_oks_sigmas = OKS_SIGMAS_13
        run.evaluate()
    return run


def bootstrap(
    truth: dict[str, Any], found: list[dict[str, Any]], draws: int = 500, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """How far figures of so few pictures may be off: intervals of AP, AP50 and AR under resampling of the pictures.

    Percentile bootstrap (Efron 1979): pictures are drawn with replacement, their matches are pooled again.

    Args:
        truth: Labels with 13 joints.
        found: Results with 13 joints, at least one.
        draws: Resampled sets.
        seed: Of the draws.
        level: Share of the draws that lie in the interval.

    Returns:
        Lower and upper end of each figure (0 to 1).

    Raises:
        XnectError: pycocotools is not installed.
    """
    run = _matched(truth, found)
    everyone = run.params.areaRng[:1]  # one size of people is enough, and a third of the work
    count = len(run.params.imgIds)
    matches = run.evalImgs[:count]  # ordered by size of people, then picture
    for params in (run.params, run._paramsEval):
        params.areaRng, params.areaRngLbl = everyone, ["all"]
    rng = np.random.default_rng(seed)
    figures = np.zeros((draws, 3))
    with contextlib.redirect_stdout(io.StringIO()):
        for row in figures:
            run.evalImgs = [matches[k] for k in rng.integers(0, count, count)]
            run.accumulate()
            precision, recall = run.eval["precision"], run.eval["recall"]
            row[:] = [_mean_known(precision), _mean_known(precision[0]), _mean_known(recall)]
    ends = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(ends[0, k]), float(ends[1, k])) for k, name in enumerate(("ap", "ap50", "ar"))}


def _mean_known(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(known.mean()) if len(known) else -1.0


def judge_results(truth: dict[str, Any], found: list[dict[str, Any]]) -> CocoFigures:
    """COCO's figures of results with 13 joints.

    Raises:
        XnectError: pycocotools is not installed.
    """
    size = {
        "pictures": len(truth["images"]),
        "people": sum(a.get("num_keypoints", 0) > 0 for a in truth["annotations"]),
    }
    if not found:
        return CocoFigures(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, **size)
    run = _matched(truth, found)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        run.accumulate()
        run.summarize()
    ap, ap50, ap75, medium, large, ar = (float(v) for v in run.stats[:6])
    return CocoFigures(ap, ap50, ap75, medium, large, ar, **size)


def evaluate(
    detect: Callable[[U8], Detections],
    pictures: CocoSet,
    progress: Callable[[Iterable[tuple[int, U8]]], Iterable[tuple[int, U8]]] | None = None,
) -> CocoFigures:
    """COCO's figures of a detector: people of all sizes, at most 20 a picture.

    Args:
        detect: A BGR picture -> people, joints in its pixels.
        pictures: The set.
        progress: Wraps the pictures, for a progress bar.

    Raises:
        FormatError: A picture is missing or damaged.
        XnectError: pycocotools is not installed.
    """
    return judge_results(pictures.truth, results_of(detect, pictures, progress))


def results_of(
    detect: Callable[[U8], Detections],
    pictures: CocoSet,
    progress: Callable[[Iterable[tuple[int, U8]]], Iterable[tuple[int, U8]]] | None = None,
) -> list[dict[str, Any]]:
    """A detector's COCO results on a set, at most 20 people a picture; as ``evaluate``, which judges them."""
    found: list[dict[str, Any]] = []
    for number, image in progress(pictures) if progress else pictures:
        found += as_results(number, detect(image))
    return found
