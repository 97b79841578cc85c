"""Shards of drawn pictures on disk: a zip of WebP or JPEG pictures and masks, and one file of labels each."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from xnect.errors import ConfigError, FormatError, OutputError
from xnect.skeleton.joints import COCO_13, JOINTS_2D, JOINTS_3D
from xnect.structures import U8
from xnect.training.synthetic.sampling import SceneSampler
from xnect.training.synthetic.scene import Picture, Studio, draw_scene
from xnect.training.synthetic.splits import check_split

FORMAT, VERSION = "xnect-synthetic", 2
_FIELDS = ("ids", "joints_m", "joints_px", "seen", "seen_3d", "box_px", "area_px", "height_m")


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What is written.

    Attributes:
        count: Pictures in all.
        seed: Picture k of the set is scene ``seed + k // frames``, frame ``k % frames``.
        split: train, val or test.
        size_px: Width and height.
        frames: Frames a scene: 1 = stills.
        shard: Pictures a shard, a multiple of ``frames``.
        quality: Of the packed pictures, 1 to 100.
        webp: WebP, else JPEG.
        scale: Samples a pixel and side.
        kind: Sort of scenes, None = all sorts.
    """

    count: int
    seed: int = 0
    split: str = "train"
    size_px: tuple[int, int] = (512, 320)
    frames: int = 1
    shard: int = 500
    quality: int = 90
    webp: bool = False
    scale: int = 2
    kind: str | None = None

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.count < 1 or self.frames < 1:
            raise ConfigError(f"count {self.count} and frames {self.frames} must be 1 or more")
        if self.shard < 1 or self.shard % self.frames:
            raise ConfigError(f"shard {self.shard} must be a multiple of frames {self.frames}")
        if min(self.size_px) < 64 or not 1 <= self.quality <= 100 or not 1 <= self.scale <= 4:
            raise ConfigError(
                f"size {self.size_px} (from 64), quality {self.quality} (1-100), scale {self.scale} (1-4)"
            )

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.count // self.shard)

    def numbers(self, shard: int) -> range:
        """Numbers of a shard's pictures."""
        return range(shard * self.shard, min(self.count, (shard + 1) * self.shard))


def write_shards(
    folder: Path, plan: ShardPlan, assets: str | None = None, motion: str | None = None, workers: int = 1
) -> int:
    """Write what is missing of a set of shards; a run that stopped goes on at the first shard that is not whole.

    Args:
        folder: Where to; made if it is not there.
        plan: What; must be the plan of what is there already.
        assets: Asset pack, None = beside the checkout.
        motion: Motion pack, None = beside the checkout.
        workers: Processes.

    Returns:
        Number of pictures written now.

    Raises:
        OutputError: The folder cannot be written, or holds shards of another plan.
        SourceError: A pack is missing.
    """
    described = json.loads(json.dumps({"format": FORMAT, "version": VERSION} | asdict(plan)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        header = folder / "plan.json"
        if header.exists():
            if json.loads(header.read_text(encoding="utf-8")) != described:
                raise OutputError(f"{folder} holds shards of another plan; give another folder")
        else:
            header.write_text(json.dumps(described) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write into {folder}: {error}") from error
    missing = [k for k in range(plan.shards) if not (folder / f"shard_{k:05d}.npz").exists()]
    total = sum(len(plan.numbers(k)) for k in missing)
    parts = [(k, n) for k in missing for n in _scenes(plan, k)]
    with tqdm(total=total, desc=folder.name, unit="pic", disable=None) as bar:
        for shard, pictures in _by_shard(_drawn(parts, plan, assets, motion, workers), bar):
            _write(folder, shard, plan, pictures)
    return total


def _scenes(plan: ShardPlan, shard: int) -> list[range]:
    """A shard's picture numbers, one range a scene."""
    numbers = plan.numbers(shard)
    return [range(n, min(n + plan.frames, numbers.stop)) for n in range(numbers.start, numbers.stop, plan.frames)]


_worker: dict[str, Any] = {}


def _start(plan: ShardPlan, assets: str | None, motion: str | None) -> None:
    cv2.setNumThreads(1)
    _worker["sampler"] = SceneSampler(Studio(assets, motion), plan.split, plan.size_px)
    _worker["plan"] = plan


def _draw(part: tuple[int, range]) -> tuple[int, list[tuple[int, bytes, bytes, dict[str, np.ndarray]]]]:
    """Draw and pack the pictures of one scene."""
    plan: ShardPlan = _worker["plan"]
    sampler: SceneSampler = _worker["sampler"]
    shard, numbers = part
    scene = sampler.sample(plan.seed + numbers.start // plan.frames, plan.frames, plan.kind)
    out = []
    for n in numbers:
        picture = draw_scene(sampler.studio, scene, n % plan.frames, plan.scale)
        packed = pack(picture.image_bgr, plan.quality, plan.webp)
        mask = cv2.imencode(".png", picture.mask)[1].tobytes()
        out.append((n, packed, mask, _labels(picture)))
    return shard, out


def _labels(picture: Picture) -> dict[str, np.ndarray]:
    labels = picture.labels
    arrays = {name: np.asarray(getattr(labels, name)) for name in _FIELDS}
    return arrays | {"matrix_px": labels.matrix_px, "distortion": labels.distortion, "kind": np.array(picture.kind)}


def _drawn(
    parts: list[tuple[int, range]], plan: ShardPlan, assets: str | None, motion: str | None, workers: int
) -> Any:
    if workers <= 1:
        _start(plan, assets, motion)
        yield from map(_draw, parts)
        return
    # spawned, not forked: the parent may hold threads (OpenCV, a progress bar)
    with multiprocessing.get_context("spawn").Pool(workers, _start, (plan, assets, motion)) as pool:
        yield from pool.imap(_draw, parts, chunksize=4)


def _by_shard(drawn: Any, bar: Any) -> Any:
    """Collect scenes, which come in order, into shards."""
    current = -1
    pictures: list[Any] = []
    for shard, part in drawn:
        if shard != current and pictures:
            yield current, pictures
            pictures = []
        current = shard
        pictures += part
        bar.update(len(part))
    if pictures:
        yield current, pictures


def pack(image_bgr: U8, quality: int, webp: bool) -> bytes:
    """A picture as WebP or JPEG."""
    flag = cv2.IMWRITE_WEBP_QUALITY if webp else cv2.IMWRITE_JPEG_QUALITY
    return cv2.imencode(".webp" if webp else ".jpg", image_bgr, [flag, quality])[1].tobytes()


def _write(
    folder: Path, shard: int, plan: ShardPlan, pictures: list[tuple[int, bytes, bytes, dict[str, np.ndarray]]]
) -> None:
    """Pictures first, labels last and by renaming: a shard with labels is whole."""
    name = folder / f"shard_{shard:05d}"
    ending = "webp" if plan.webp else "jpg"
    counts = [len(labels["ids"]) for *_, labels in pictures]
    arrays = {f: np.concatenate([labels[f] for *_, labels in pictures]) for f in _FIELDS}
    arrays["first"] = np.cumsum([0, *counts])
    arrays["number"] = np.array([n for n, *_ in pictures])
    for f in ("matrix_px", "distortion"):
        arrays[f] = np.stack([labels[f] for *_, labels in pictures])
    arrays["kind"] = np.array([str(labels["kind"]) for *_, labels in pictures])
    try:
        with zipfile.ZipFile(f"{name}.zip.part", "w", zipfile.ZIP_STORED) as archive:
            for n, packed, mask, _ in pictures:
                # a fixed date, so that the same seed gives the same bytes
                archive.writestr(zipfile.ZipInfo(f"{n:08d}.{ending}"), packed)
                archive.writestr(zipfile.ZipInfo(f"{n:08d}.png"), mask)
        os.replace(f"{name}.zip.part", f"{name}.zip")
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        Path(f"{name}.npz.part").write_bytes(buffer.getvalue())
        os.replace(f"{name}.npz.part", f"{name}.npz")
    except OSError as error:
        raise OutputError(f"cannot write {name}.zip: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture with its truth.

    Attributes:
        image_bgr: uint8 (H, W, 3).
        joints_2d: float32 (P, 14, 3), x, y [px] and v: 0 outside the picture, 1 hidden, 2 seen.
        joints_3d: float32 (P, 21, 3), camera space [m].
        seen_3d: uint8 (P, 21), the same as v for the 21 joints.
        matrix_px: float64 (3, 3), intrinsics.
        distortion: float64 (5,), k1, k2, p1, p2, k3 as OpenCV has them.
        box_px: float32 (P, 4), x0, y0, x1, y1, not cut at the edge.
        area_px: float32 (P,), pixels that show the person.
        height_m: float32 (P,).
        ids: int64 (P,), the same person over the frames of a scene.
        mask: uint8 (H, W), 0 = nobody, k + 1 = row k.
        number: Number of the picture in its set.
    """

    image_bgr: U8
    joints_2d: np.ndarray
    joints_3d: np.ndarray
    seen_3d: U8
    matrix_px: np.ndarray
    distortion: np.ndarray
    box_px: np.ndarray
    area_px: np.ndarray
    height_m: np.ndarray
    ids: np.ndarray
    mask: U8
    number: int


def sample_of(picture: Picture, number: int) -> Sample:
    """A drawn picture as a training sample."""
    return _sample(picture.image_bgr, picture.mask, _labels(picture), number)


def _sample(image: U8, mask: U8, labels: dict[str, np.ndarray], number: int) -> Sample:
    flat = np.concatenate([labels["joints_px"], labels["seen"][..., None]], -1).astype(np.float32)
    return Sample(
        image, flat, labels["joints_m"], labels["seen_3d"], labels["matrix_px"], labels["distortion"],
        labels["box_px"], labels["area_px"], labels["height_m"], labels["ids"], mask, number,
    )  # fmt: skip


class Shards:
    """Reads a folder of shards.

    Args:
        folder: As written by ``write_shards``; shards not yet written are left out.

    Raises:
        FormatError: The folder holds no shards.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.plan = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FormatError(f"{folder} holds no synthetic shards: {error}") from error
        if self.plan.get("format") != FORMAT or self.plan.get("version") != VERSION:
            raise FormatError(f"{folder}: format {FORMAT} version {VERSION} expected")
        self._names = sorted(self.folder.glob("shard_*.npz"))
        self._labels: list[dict[str, np.ndarray]] = []
        for name in self._names:
            with np.load(name, allow_pickle=False) as data:
                self._labels.append(dict(data))
        counts = [len(labels["number"]) for labels in self._labels]
        self._first = np.cumsum([0, *counts])
        self._zips: dict[tuple[int, int], zipfile.ZipFile] = {}

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index: int) -> Sample:
        """Picture ``index`` of those that are there; raises IndexError or FormatError."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = int(np.searchsorted(self._first, index, "right")) - 1
        labels, k = self._labels[shard], index - int(self._first[shard])
        rows = slice(int(labels["first"][k]), int(labels["first"][k + 1]))
        own = {f: labels[f][rows] for f in _FIELDS} | {f: labels[f][k] for f in ("matrix_px", "distortion")}
        number = int(labels["number"][k])
        ending = "webp" if self.plan["webp"] else "jpg"
        image = self._read(shard, f"{number:08d}.{ending}", cv2.IMREAD_COLOR)
        return _sample(image, self._read(shard, f"{number:08d}.png", cv2.IMREAD_GRAYSCALE), own, number)

    def _read(self, shard: int, name: str, flag: int) -> U8:
        key = os.getpid(), shard  # a handle may not be shared with a forked worker
        if key not in self._zips:
            self._zips[key] = zipfile.ZipFile(self._names[shard].with_suffix(".zip"))
        try:
            packed = np.frombuffer(self._zips[key].read(name), np.uint8)
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise FormatError(f"{self._names[shard].with_suffix('.zip')}: {name} is missing or damaged") from error
        picture = cv2.imdecode(packed, flag)
        if picture is None:
            raise FormatError(f"{self._names[shard].with_suffix('.zip')}: {name} is no picture")
        return np.asarray(picture, np.uint8)


def coco_annotations(shards: Shards, first_id: int = 20_000_000) -> dict[str, Any]:
    """The labels of a set as COCO keypoints with 13 joints, like the people pack's ``train13.json``.

    Joints outside the picture have v = 0; who shows less than 40 px or less than two joints becomes an ignore box.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    width, height = shards.plan["size_px"]
    for k in range(len(shards)):
        one = shards[k]
        images.append({"id": first_id + one.number, "file_name": f"{one.number:08d}", "width": width, "height": height,
                       "source": "synthetic", "complete": True})  # fmt: skip
        for row in range(len(one.ids)):
            joints = one.joints_2d[row, COCO_13].astype(float)
            joints[joints[:, 2] == 0] = 0
            usable = one.area_px[row] >= 40 and int((joints[:, 2] > 0).sum()) >= 2
            x0, y0, x1, y1 = (float(v) for v in np.clip(one.box_px[row], 0, [width, height, width, height]))
            annotations.append({
                "id": len(annotations) + 1, "image_id": first_id + one.number, "category_id": 1, "iscrowd": 0,
                "bbox": [round(x0, 1), round(y0, 1), round(x1 - x0, 1), round(y1 - y0, 1)],
                "area": float(one.area_px[row]), "keypoints": [round(v, 1) for v in joints.reshape(-1)] if usable else [0] * 39,
                "num_keypoints": int((joints[:, 2] > 0).sum()) if usable else 0, "ignore": int(not usable),
                "source": "synthetic",
            })  # fmt: skip
    names = [JOINTS_2D[k] for k in COCO_13]
    categories = [{"id": 1, "name": "person", "keypoints": names, "joints_3d": list(JOINTS_3D)}]
    return {"images": images, "annotations": annotations, "categories": categories}
