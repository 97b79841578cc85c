"""Makes a people pack (train13.json and shards) from COCO's own keypoint annotations and a folder of its pictures."""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from xnect.errors import ConfigError, FormatError, OutputError, XnectError
from xnect.structures import U8

#: The 13 joints of a people pack, in order, with their rows among COCO's 17 keypoints.
JOINTS = {
    "nose": 0,
    "right_shoulder": 6, "right_elbow": 8, "right_wrist": 10, "left_shoulder": 5, "left_elbow": 7, "left_wrist": 9,
    "right_hip": 12, "right_knee": 14, "right_ankle": 16, "left_hip": 11, "left_knee": 13, "left_ankle": 15,
}  # fmt: skip
#: Bones for drawing, numbered from 1 as COCO does.
SKELETON = [[1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [2, 5], [2, 8], [5, 11], [8, 11], [8, 9], [9, 10],
            [11, 12], [12, 13]]  # fmt: skip
_ROWS = list(JOINTS.values())
#: COCO's file names: twelve digits, before 2017 with the name of the part in front.
_NAME = re.compile(r"(?:COCO_(?:train|val)2014_)?(\d{12})\.(?:jpe?g|png|webp)", re.IGNORECASE)
#: A resized copy may be enlarged again by so much at most, one way, to get its own shape back.
_STRETCH = 1.125


@dataclass(frozen=True, slots=True)
class PackConfig:
    """How a people pack is made.

    Attributes:
        side: Pictures are scaled down to this longer side [px]; smaller ones keep their size.
        quality: Of the WebP pictures, 1 to 100.
        shard: Pictures a zip file.
        empty_every: Of the pictures without anybody every so many-th is kept, against false alarms; 0 keeps none.
        complete: Everybody in the pictures has an annotation or is in a crowd's box (true of COCO's own files).
        licences: Keep only pictures with these of COCO's licence numbers; None keeps all.
    """

    side: int = 512
    quality: int = 80
    shard: int = 4000
    empty_every: int = 20
    complete: bool = True
    licences: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if self.side < 64 or not 1 <= self.quality <= 100 or self.shard < 1 or self.empty_every < 0:
            raise ConfigError("side from 64, quality 1 to 100, shard from 1 and empty_every from 0 expected")


@dataclass(frozen=True, slots=True)
class _Task:
    image: dict[str, Any]
    annotations: list[dict[str, Any]]
    path: Path


def make_pack(annotations: Iterable[Path], pictures: Iterable[Path], output: Path, config: PackConfig,
              exclude: Iterable[Path] = ()) -> Counter[str]:  # fmt: skip
    """Write a people pack: train13.json with 13 joints a person, and zip shards of WebP pictures.

    Args:
        annotations: COCO keypoint files, as person_keypoints_train2017.json; of a picture in several the first counts.
        pictures: Folders that hold the pictures, however deep; names as in the annotations, or COCO's numbers of
            twelve digits with or without COCO_train2014_ in front. Resized copies get their own shape back.
        output: The folder to make.
        config: Sizes and what to keep.
        exclude: Label files whose pictures are left out (a validation set, packs made before).

    Returns:
        How many pictures, people, joints and so on were written or left out.

    Raises:
        FormatError: A file is no such annotation file, or nothing was found.
        OutputError: ``output`` holds a pack already or cannot be written.
    """
    labels = output / "train13.json"
    if labels.exists():
        raise OutputError(f"{labels} exists already: choose another folder")
    barred = {int(image["id"]) for path in exclude for image in _read(path)["images"]}
    tasks, licences = _tasks(annotations, _find(pictures), barred, config)
    if not tasks:
        raise FormatError("none of the annotated pictures was found in the given folders")
    try:
        output.mkdir(parents=True, exist_ok=True)
        images, people, counts = _write_shards(tasks, output, config)
        data = {
            "info": {"description": "people pack, train", "longest_side": config.side},
            "licenses": licences,
            "categories": [{"id": 1, "name": "person", "keypoints": list(JOINTS), "skeleton": SKELETON}],
            "images": images,
            "annotations": people,
        }
        labels.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or output}: {error.strerror}") from error
    return counts


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
        if not all(isinstance(data[key], list) for key in ("images", "annotations")):
            raise TypeError
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is no COCO annotation file (images and annotations expected)") from error
    return dict(data)


def _find(folders: Iterable[Path]) -> dict[str, Path]:
    """Where each picture is: by its file name and, for COCO's names, by its number."""
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FormatError(f"{folder} is no folder")
        for path in sorted(folder.rglob("*")):
            match = _NAME.fullmatch(path.name)
            for key in [path.name, *([str(int(match[1]))] if match else [])]:
                found.setdefault(key, path)
    return found


def _tasks(
    files: Iterable[Path], places: dict[str, Path], barred: set[int], config: PackConfig
) -> tuple[list[_Task], list[dict[str, Any]]]:
    """The pictures to write in order of their numbers, and the licences they name."""
    tasks: dict[int, _Task] = {}
    licences: dict[int, dict[str, Any]] = {}
    for file in files:
        data = _read(file)
        people: dict[int, list[dict[str, Any]]] = {}
        for annotation in data["annotations"]:
            if len(annotation.get("keypoints", ())) != 51:
                raise FormatError(f"{file}: 17 keypoints a person expected: COCO's person_keypoints files have them")
            people.setdefault(annotation["image_id"], []).append(annotation)
        licences = {entry["id"]: entry for entry in data.get("licenses", [])} | licences
        for image in data["images"]:
            number = int(image["id"])
            path = places.get(Path(image["file_name"]).name) or places.get(str(number))
            unwanted = config.licences is not None and image.get("license") not in config.licences
            if path is not None and number not in barred | tasks.keys() and not unwanted:
                tasks[number] = _Task(image, people.get(number, []), path)
    kept, empty = [], 0
    for number in sorted(tasks):
        annotations = tasks[number].annotations
        empty += not annotations
        usable = any(_joints(a)[:, 2].any() for a in annotations)
        if usable or (not annotations and config.empty_every and empty % config.empty_every == 0):
            kept.append(tasks[number])
    return kept, list(licences.values())


def _joints(annotation: dict[str, Any]) -> np.ndarray:
    return np.asarray(annotation["keypoints"], float).reshape(17, 3)[_ROWS]


def _write_shards(
    tasks: Sequence[_Task], output: Path, config: PackConfig
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Counter[str]]:
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(4) as pool, tqdm(total=len(tasks), desc="pictures", unit="") as bar:
        for number, part in enumerate(_groups(tasks, config.shard)):
            shard = output / f"train_{number:03d}.zip"
            with zipfile.ZipFile(shard, "w") as archive:  # stored: WebP does not get smaller
                for task, made in _made(pool, part, config):
                    bar.update()
                    if made is None:
                        counts["pictures that cannot be decoded"] += 1
                        continue
                    packed, scale, size = made
                    image = _image(task, shard.name, scale, size, config)
                    archive.writestr(image["file_name"], packed)
                    images.append(image)
                    here = [_person(a, scale, size) for a in task.annotations]
                    people += [{"id": len(people) + k, "image_id": image["id"], **p} for k, p in enumerate(here, 1)]
                    _count(counts, here)
    return images, people, counts


def _groups(tasks: Sequence[_Task], size: int) -> Iterator[Sequence[_Task]]:
    for first in range(0, len(tasks), size):
        yield tasks[first : first + size]


def _made(
    pool: ThreadPoolExecutor, tasks: Sequence[_Task], config: PackConfig
) -> Iterator[tuple[_Task, tuple[bytes, tuple[float, float], tuple[int, int]] | None]]:
    """The packed pictures in order, a few at a time, so that memory does not grow with the set."""
    for group in _groups(tasks, 64):
        yield from zip(group, pool.map(lambda task: _pack(task, config), group), strict=True)


def _pack(task: _Task, config: PackConfig) -> tuple[bytes, tuple[float, float], tuple[int, int]] | None:
    """One picture as WebP, its scale (x, y) against the annotated size, and its size."""
    # COCO's labels are in the pixels as stored: a turn noted in EXIF must not be carried out
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(task.path.read_bytes() or b"\0", np.uint8), flags)
    if pixels is None:
        return None
    given = pixels.shape[1], pixels.shape[0]
    original = int(task.image.get("width") or given[0]), int(task.image.get("height") or given[1])
    longest = min(config.side, max(original), round(max(given) * (_STRETCH if given != original else 1)))
    factor = longest / max(original)
    size = max(1, round(original[0] * factor)), max(1, round(original[1] * factor))
    smaller = size[0] * size[1] < given[0] * given[1]
    resized: U8 = pixels.astype(np.uint8, copy=False)
    if size != given:
        resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)  # type: ignore[assignment]
    packed = cv2.imencode(".webp", resized, [cv2.IMWRITE_WEBP_QUALITY, config.quality])[1].tobytes()
    return packed, (size[0] / original[0], size[1] / original[1]), size


def _image(
    task: _Task, shard: str, scale: tuple[float, float], size: tuple[int, int], config: PackConfig
) -> dict[str, Any]:
    number = int(task.image["id"])
    image = {
        "id": number, "file_name": f"coco_{number:012d}.webp", "width": size[0], "height": size[1],
        "source": "coco", "complete": config.complete, "zip": shard,
        "original_size": [round(size[0] / scale[0]), round(size[1] / scale[1])],
    }  # fmt: skip
    if "license" in task.image:
        image["license"] = task.image["license"]
    return image


def _person(annotation: dict[str, Any], scale: tuple[float, float], size: tuple[int, int]) -> dict[str, Any]:
    """One annotation in the pixels of the packed picture; people and crowds without joints become ignore boxes."""
    joints = _joints(annotation) * [*scale, 1.0]
    outside = (joints[:, :2] < 0).any(1) | (joints[:, :2] >= size).any(1)
    joints[outside | (joints[:, 2] == 0)] = 0
    x, y, width, height = (float(v) for v in annotation["bbox"])
    area = float(annotation.get("area") or 0.53 * width * height)  # a person fills 0.53 of its box on average
    crowd = int(bool(annotation.get("iscrowd")))
    known = 0 if crowd else int((joints[:, 2] > 0).sum())
    joints[:] = joints if known else 0
    person: dict[str, Any] = {
        "category_id": 1,
        "bbox": [round(v, 1) for v in (x * scale[0], y * scale[1], width * scale[0], height * scale[1])],
        "area": round(area * scale[0] * scale[1], 1), "iscrowd": crowd, "num_keypoints": known, "source": "coco",
        "keypoints": [v for px, py, seen in joints.tolist() for v in (round(px, 1), round(py, 1), int(seen))],
    }  # fmt: skip
    if not known:
        person["ignore"] = 1
    return person


def _count(counts: Counter[str], people: list[dict[str, Any]]) -> None:
    labelled = [p for p in people if not p.get("ignore")]
    counts["pictures"] += 1
    counts["pictures with people"] += bool(labelled)
    counts["pictures with several people"] += len(labelled) > 1
    counts["people"] += len(labelled)
    counts["joints"] += sum(p["num_keypoints"] for p in labelled)
    counts["ignore boxes"] += len(people) - len(labelled)


def main(argv: list[str] | None = None) -> int:
    """Make a people pack from COCO's annotations and pictures."""
    parser = argparse.ArgumentParser(prog="python -m xnect.training.datasets.coco", description=__doc__)
    add, default = parser.add_argument, PackConfig()
    add("--annotations", type=Path, nargs="+", required=True, help="person_keypoints_train2017.json (one or several)")
    add("--pictures", type=Path, nargs="+", required=True, help="folders with the pictures, however deep")
    add("--output", type=Path, required=True, help="the folder to make")
    add("--exclude", type=Path, nargs="+", default=[], help="label files whose pictures are left out")
    add("--side", type=int, default=default.side, help="longer side of the packed pictures [px]")
    add("--quality", type=int, default=default.quality, help="of the WebP pictures, 1 to 100")
    add("--shard", type=int, default=default.shard, help="pictures a zip file")
    add("--empty-every", type=int, default=default.empty_every,
        help="of the pictures without anybody every so many-th is kept, 0: none")  # fmt: skip
    add("--licences", help="only pictures with these of COCO's licence numbers, as 4,5,6,7,8")
    add("--partial", action="store_true", help="the annotations leave people out: learn nothing outside their boxes")
    options = parser.parse_args(argv)
    try:
        numbers = frozenset(int(n) for n in options.licences.split(",")) if options.licences else None
    except ValueError as error:
        raise ConfigError(f"--licences {options.licences}: numbers with commas between them expected") from error
    config = PackConfig(
        options.side, options.quality, options.shard, options.empty_every, not options.partial, numbers
    )  # fmt: skip
    counts = make_pack(options.annotations, options.pictures, options.output, config, options.exclude)
    sys.stdout.write("".join(f"{counts[name]:>9} {name}\n" for name in counts))
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except XnectError as problem:
        raise SystemExit(f"error: {problem}") from problem
