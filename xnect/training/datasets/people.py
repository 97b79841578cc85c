"""Photos with 2D joints in COCO's layout: a JSON of labels with 13 joints and zip shards (or folders) of pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from xnect.errors import FormatError
from xnect.structures import U8
from xnect.training.datasets.store import MAX_PEOPLE, Store
from xnect.untrusted import open_zip, parse_json

#: Pictures whose id is a multiple of this are held out for tuning (COCO pictures only).
HELD_OUT_EVERY = 10
#: Ids from here on are LSP-extended pictures: one labelled person each, never held out.
LSP_IDS = 10_000_000


def is_held_out(image_id: int) -> bool:
    """Whether a picture is kept for tuning and never trained on."""
    return image_id < LSP_IDS and image_id % HELD_OUT_EVERY == 0


def joints_14(annotation: dict[str, Any]) -> np.ndarray:
    """The 14 joints of an annotation, float32 (14, 3): x, y, labelled.

    The neck is the annotation's own where the source marks one, else the middle of the shoulders; a nose that was only
    guessed stands in where none is labelled.
    """
    given = np.asarray(annotation["keypoints"], np.float32).reshape(13, 3)
    nose = given[:1].copy()
    if not nose[0, 2] and annotation.get("nose_guess"):
        nose[0] = annotation["nose_guess"]
    neck = np.zeros((1, 3), np.float32)
    if given[1, 2] and given[4, 2]:
        neck[0] = (given[1] + given[4]) / 2
    joints = np.concatenate([nose, neck, given[1:]])
    joints[:, 2] = joints[:, 2] > 0
    return joints


class Shards:
    """Finds pictures by file name in zip files and folders."""

    def __init__(self, places: list[Path]) -> None:
        self._where: dict[str, tuple[Path, str]] = {}
        self._zips: dict[Path, zipfile.ZipFile] = {}
        for place in places:
            if place.is_dir():
                self._where.update({p.name: (p, "") for p in place.rglob("*") if p.is_file()})
                continue
            try:
                self._zips[place] = open_zip(place)
            except (OSError, ValueError) as error:
                raise FormatError(f"{place} is no readable zip file: {error}") from error
            self._where.update({Path(n).name: (place, n) for n in self._zips[place].namelist()})

    def __contains__(self, name: str) -> bool:
        return Path(name).name in self._where

    def read(self, name: str) -> bytes:
        """The file's bytes."""
        place, inner = self._where[Path(name).name]
        return self._zips[place].read(inner) if inner else place.read_bytes()


def load_labels(path: Path) -> dict[str, Any]:
    """A COCO-style JSON with 13 joints; raises FormatError where it is something else."""
    try:
        data = parse_json(path.read_bytes())
        _ = data["images"], data["annotations"]
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is no COCO-style label file") from error
    return dict(data)


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture of a people pack with its labels.

    Attributes:
        image: The entry of the label file's ``images``.
        people: Its entries of ``annotations``.
        shards: Where its pixels are.
    """

    image: dict[str, Any]
    people: list[dict[str, Any]]
    shards: Shards

    def pixels(self) -> U8:
        """The picture, uint8 (H, W, 3) BGR; raises FormatError where it cannot be decoded."""
        pixels = cv2.imdecode(np.frombuffer(self.shards.read(self.image["file_name"]), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise FormatError(f"{self.image['file_name']} cannot be decoded")
        return pixels.astype(np.uint8, copy=False)


def labelled_pictures(folders: Path | Sequence[Path]) -> list[LabelledPicture]:
    """The pictures of one or several people packs, in order; of a number that several hold, the first pack's.

    Raises:
        FormatError: Labels or shards cannot be read.
    """
    found: list[LabelledPicture] = []
    taken: set[int] = set()
    for folder in [folders] if isinstance(folders, Path) else folders:
        data = load_labels(folder / "train13.json")
        shards = Shards(sorted(folder.glob("train_*.zip")) or [folder])
        people: dict[int, list[dict[str, Any]]] = {}
        for annotation in data["annotations"]:
            people.setdefault(annotation["image_id"], []).append(annotation)
        images = [i for i in data["images"] if i["file_name"] in shards and i["id"] not in taken]
        taken.update(i["id"] for i in images)
        found += [LabelledPicture(i, people.get(i["id"], []), shards) for i in images]
    return found


def load_people(
    folders: Path | Sequence[Path], side: int = 288, held_out: bool = False, limit: int | None = None
) -> Store:
    """People packs (folders with train13.json and its shards) as tensors on the CPU.

    Args:
        folders: Where the labels and shards lie: one folder or several. A picture that several hold is taken once.
        side: The longer side of each picture is brought to this [px].
        held_out: The part for tuning instead of the part for training.
        limit: Only so many pictures, spread over the set (for trials).

    Raises:
        FormatError: Labels or shards cannot be read, or no picture was found.
    """
    pictures = [p for p in labelled_pictures(folders) if is_held_out(p.image["id"]) == held_out]
    if limit:
        pictures = pictures[:: max(1, len(pictures) // limit)][:limit]
    if not pictures:
        names = folders if isinstance(folders, Path) else ", ".join(map(str, folders))
        raise FormatError(f"no labelled picture found in {names}")
    store = empty_store(len(pictures), side)

    def decode(row: int) -> None:
        pixels = pictures[row].pixels()
        scale = side / max(pixels.shape[:2])
        size = [max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))]
        resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        store.pictures[row, :, : size[1], : size[0]] = torch.from_numpy(resized[..., ::-1].copy()).permute(2, 0, 1)
        _fill_labels(store, row, pictures[row].image, pictures[row].people, scale, size)

    with ThreadPoolExecutor(4) as pool:
        list(tqdm(pool.map(decode, range(len(pictures))), total=len(pictures), desc="pictures", unit=""))
    return store


def empty_store(count: int, side: int) -> Store:
    """A store of black pictures without people, to be filled."""
    return Store(
        pictures=torch.zeros(count, 3, side, side, dtype=torch.uint8),
        size=torch.zeros(count, 2),
        joints=torch.zeros(count, MAX_PEOPLE, 14, 3),
        boxes=torch.zeros(count, MAX_PEOPLE, 4),
        ignore=torch.zeros(count, MAX_PEOPLE, dtype=torch.bool),
        complete=torch.zeros(count, dtype=torch.bool),
        ids=torch.zeros(count, dtype=torch.int64),
    )


def _fill_labels(
    store: Store, row: int, image: dict[str, Any], people: list[dict[str, Any]], scale: float, size: list[int]
) -> None:
    store.size[row] = torch.tensor(size)
    store.complete[row] = bool(image.get("complete", True))
    store.ids[row] = image["id"]
    people = sorted(people, key=lambda a: -a["bbox"][2] * a["bbox"][3])[:MAX_PEOPLE]
    for k, annotation in enumerate(people):
        store.boxes[row, k] = torch.tensor(annotation["bbox"]) * scale
        store.ignore[row, k] = bool(annotation.get("ignore") or annotation.get("iscrowd"))
        if not store.ignore[row, k]:
            joints = joints_14(annotation)
            joints[:, :2] = (joints[:, :2] * scale) * joints[:, 2:]
            store.joints[row, k] = torch.from_numpy(joints)
