"""Keypoints in JSON: OpenPose's folders of frames, COCO's results and annotations."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from xnect.errors import FormatError
from xnect.formats.keypoints import MAX_FRAME, Keypoints
from xnect.skeleton.layouts import LAYOUTS, detections_from
from xnect.structures import F64, I64, Detections
from xnect.untrusted import parse_json

_NUMBER = re.compile(r"(\d+)(?!.*\d)")
#: OpenPose can write shares of the picture; so small a span of all joints means that [px].
_SHARES_PX = 2.0
_MAX_SIZE_PX = 100_000
_MAX_BYTES = 2 << 30


def load_text(path: Path) -> Any:
    """A JSON file as values (NaN allowed); raises FormatError."""
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > _MAX_BYTES):
            raise FormatError(f"{path.name} is no file, or larger than {_MAX_BYTES >> 30} GB")
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FormatError(f"cannot read {path.name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path.name} is not text in UTF-8") from error
    except ValueError as error:
        raise FormatError(f"{path.name} is not JSON: {' '.join(str(error).split())[:80]}") from None


def triplets(value: Any, where: str) -> F64:
    """A flat list x, y, confidence, ... as (K, 3); raises FormatError."""
    if not isinstance(value, list) or not all(type(v) in (int, float) for v in value):
        raise FormatError(f"{where} must be a list of numbers")
    if len(value) % 3 or len(value) // 3 not in LAYOUTS:
        known = ", ".join(str(3 * n) for n in sorted(LAYOUTS))
        raise FormatError(f"{where} has {len(value)} numbers; three a keypoint expected: {known}")
    try:
        return np.array(value, np.float64).reshape(-1, 3)
    except OverflowError:
        raise FormatError(f"{where} has a number too large") from None


def read_json(path: Path, images: Path | None) -> Keypoints:
    """One JSON file: COCO's results, COCO's annotations, or one frame of OpenPose; raises FormatError."""
    data = load_text(path)
    if isinstance(data, dict) and "people" in data and "annotations" not in data:
        return _openpose([path], [data])
    if isinstance(data, list):
        entries, listed = data, None
    elif isinstance(data, dict) and isinstance(data.get("annotations"), list):
        entries, listed = data["annotations"], data.get("images")
    else:
        raise FormatError(f"{path.name} is neither COCO keypoint results, COCO annotations nor OpenPose's JSON")
    if images is not None:
        told = load_text(images)
        listed = told.get("images") if isinstance(told, dict) else told
        if not isinstance(listed, list):
            raise FormatError(f"{images.name} has no list of images")
    return _coco(path, entries, None if listed is None else _images(listed, (images or path).name))


def read_openpose(folder: Path) -> Keypoints:
    """A folder of ``*_keypoints.json``, one a frame; raises FormatError."""
    paths = sorted(folder.glob("*_keypoints.json"))
    if not folder.is_dir():
        raise FormatError(f"no such folder: {folder}")
    if not paths:
        raise FormatError(f"no file in {folder.name} ends in _keypoints.json, as OpenPose's do")
    return _openpose(paths, [load_text(path) for path in paths])


def _openpose(paths: list[Path], frames: list[Any]) -> Keypoints:
    stems = [path.name.removesuffix(".json").removesuffix("_keypoints") for path in paths]
    found = [_NUMBER.search(stem) for stem in stems]
    numbers = [int(match[1]) if match and len(match[1]) < 16 else -1 for match in found]
    if len(set(numbers)) != len(numbers) or min(numbers) < 0:
        numbers = list(range(len(paths)))
    order = np.argsort(numbers, kind="stable")
    people = [_openpose_frame(path.name, data) for path, data in zip(paths, frames, strict=True)]
    _refuse_shares(people, paths[0].name)
    name = stems[0][: found[0].start()].rstrip("_-. ") if found[0] else stems[0]
    return Keypoints(
        name or paths[0].parent.name or "keypoints",
        np.array(numbers, np.int64)[order],
        tuple(people[k] for k in order),
    )


def _openpose_frame(name: str, data: Any) -> Detections:
    persons = data.get("people") if isinstance(data, dict) else None
    if not isinstance(persons, list):
        raise FormatError(f"{name}: an object with a list people expected, as OpenPose writes it")
    rows: dict[int, list[F64]] = defaultdict(list)
    for person in persons:
        key = next((k for k in ("pose_keypoints_2d", "pose_keypoints") if isinstance(person, dict) and k in person), "")
        if not key:
            raise FormatError(f"{name}: a person without pose_keypoints_2d")
        if person[key]:
            points = triplets(person[key], f"{name}: {key}")
            rows[len(points)].append(points)
    return _joined(rows, None)


def _joined(rows: dict[int, list[F64]], scores: dict[int, list[float]] | None) -> Detections:
    """People of one frame, whatever keypoint sets they are told in."""
    parts = []
    for count, points in rows.items():
        stack = np.stack(points)
        own = None if scores is None else np.array(scores[count])
        parts.append(detections_from(stack[..., :2], stack[..., 2], LAYOUTS[count], own))
    if not parts:
        return Detections.empty()
    return Detections(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("joints_px", "confidence", "score")))


def _refuse_shares(people: list[Detections], name: str) -> None:
    """OpenPose's ``--keypoint_scale`` 3 and 4 write shares of a picture whose size the files do not tell."""
    seen = [p.joints_px[p.confidence > 0] for p in people]
    points = np.concatenate(seen) if seen else np.zeros((0, 2))
    if len(points) >= 3 and np.abs(points).max() <= _SHARES_PX:
        raise FormatError(f"{name}: joints in shares of the picture, pixels expected (OpenPose: --keypoint_scale 0)")


def _images(listed: Any, name: str) -> dict[Any, tuple[int, tuple[int, int] | None]]:
    """Image id -> position in the film and size; the order is that of the ids."""
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise FormatError(f"{name}: images must be a list of objects")
    ids = [entry.get("id") for entry in listed]
    if len(set(map(_key, ids))) != len(ids):
        raise FormatError(f"{name}: an image id stands twice")
    if not all(type(i) is int for i in ids):
        raise FormatError(f"{name}: image ids must be whole numbers")
    places = {number: place for place, number in enumerate(sorted(ids))}
    return {entry["id"]: (places[entry["id"]], _size(entry, name)) for entry in listed}


def _key(value: Any) -> Any:
    return value if isinstance(value, int | str) else repr(value)


def _size(entry: dict[str, Any], name: str) -> tuple[int, int] | None:
    size = entry.get("width"), entry.get("height")
    if size == (None, None):
        return None
    width, height = size
    if type(width) is not int or type(height) is not int or not (0 < width <= _MAX_SIZE_PX >= height > 0):
        raise FormatError(f"{name}: width and height of an image must be whole numbers of pixels")
    return width, height


def _coco(path: Path, entries: list[Any], images: dict[Any, tuple[int, tuple[int, int] | None]] | None) -> Keypoints:
    """COCO's results (a score a person) or annotations (no score; visibility 1 and 2 count as seen)."""
    rows: dict[int, dict[int, list[F64]]] = defaultdict(lambda: defaultdict(list))
    scores: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    scored = True
    for position, entry in enumerate(entries):
        where = f"{path.name}, entry {position}"
        if not isinstance(entry, dict) or "image_id" not in entry:
            raise FormatError(f"{where}: an object with image_id, keypoints and score expected")
        if "keypoints" not in entry or entry.get("iscrowd") == 1:
            continue  # boxes and crowds among annotations
        frame = _frame_of(entry["image_id"], images, where)
        points = triplets(entry["keypoints"], f"{where}: keypoints")
        score = entry.get("score")
        if score is not None and (type(score) not in (int, float) or not abs(score) < 1e9):
            raise FormatError(f"{where}: score must be a finite number")
        scored &= score is not None
        if not (points[:, 2] > 0).any():  # programs that leave the third number alone
            points[:, 2] = (points[:, :2] > 0).all(1)
        rows[frame][len(points)].append(points)
        scores[frame][len(points)].append(float(score or 0))
    if not rows and images is None:
        raise FormatError(f"{path.name}: no entry with keypoints")
    frames = sorted(rows) if images is None else list(range(len(images)))
    people = [_joined(rows.get(n, {}), scores[n] if scored else None) for n in frames]
    _refuse_shares(people, path.name)
    return Keypoints(path.stem, np.array(frames, np.int64), tuple(people), sizes_px=_sizes(images))


def _sizes(images: dict[Any, tuple[int, tuple[int, int] | None]] | None) -> I64 | None:
    if not images:
        return None
    told = [size for _, size in sorted(images.values(), key=lambda v: v[0])]
    return None if None in told else np.array(told, np.int64)


def _frame_of(image_id: Any, images: dict[Any, tuple[int, tuple[int, int] | None]] | None, where: str) -> int:
    """The frame's number: its place in the list of pictures, else the id itself or the number in a file's name."""
    if images is not None:
        if not isinstance(image_id, int | str) or image_id not in images:
            raise FormatError(f"{where}: image_id {str(image_id)[:40]!r} is not in the list of images")
        return images[image_id][0]
    if isinstance(image_id, str):
        match = _NUMBER.search(Path(image_id).stem)
        image_id = int(match[1]) if match and len(match[1]) < 16 else None
    if type(image_id) is not int or not 0 <= image_id <= MAX_FRAME:
        raise FormatError(f"{where}: image_id must be a frame's number, or a file name that ends in one")
    return image_id
