"""Learns the mistakes of a trained Stage I: python -m xnect.training.refiner --data PEOPLE [MORE] --weights FILE.

Stage I runs over labelled pictures (those held out are left aside); of everybody whom it finds, the small network of
``stages/refinement.py`` learns to move the joints to their labels, and to tell people who agree with their labels from those
who do not, and from things that are nobody. The result lies beside the weights.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from xnect.config import DetectionConfig, NetworkConfig
from xnect.errors import FormatError
from xnect.evaluation.coco import MOST_PEOPLE
from xnect.geometry import apply_affine
from xnect.skeleton.joints import COCO_13, FLIP_2D, JOINTS_2D, OKS_SIGMAS_13
from xnect.stages.association import associate
from xnect.stages.executors.base import default_weights
from xnect.stages.executors.package import digest
from xnect.stages.refinement import INPUTS, OUTPUTS, STEP, WINDOW, beside, person_inputs, windows
from xnect.structures import F32, F64, U8, PoseMaps
from xnect.training.datasets.people import LSP_IDS, LabelledPicture, is_held_out, joints_14, labelled_pictures

#: COCO's spread of each joint in shares of the root of a person's area; the neck's is taken as the shoulders'.
_SPREAD: F64 = 2 * np.insert(OKS_SIGMAS_13, 1, OKS_SIGMAS_13[1])
#: Whoever is found agrees with a label to this similarity (OKS) at least.
_LEAST_OKS = 0.3
#: One in so many of the LSP-extended pictures, which all look alike: one athlete who fills the picture.
_LSP_EVERY = 3
#: A view is a part of the picture, at least this share of its sides.
_LEAST_PART = 0.6
_HIDDEN, _DROPOUT, _BATCH, _RATE, _DECAY = 256, 0.3, 128, 2e-3, 0.1
#: Neurons and dropout of the part that sees windows.
_NEAR, _NEAR_DROPOUT = 64, 0.1
#: Weight of the score's loss beside that of the fourteen joints.
_SCORE_WEIGHT = 4.0
#: Whoever lies by this share of its joints in a box that says nothing is left aside.
_MOST_IGNORED = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """People found and their labels; all places in cells of the map.

    Attributes:
        joints: float32 (N, 14, 3), as ``Refiner`` takes them.
        labels: float32 (N, 14, 3): x, y, labelled; none labelled = nobody is there.
        area: Root of the labelled area, float32 (N,); 1 where nobody is.
        map_px: Width and height of the map, float32 (N, 2).
        windows: float32 (N, 14, ``WINDOW``) of ``windows``.
    """

    joints: F32
    labels: F32
    area: F32
    map_px: F32
    windows: F32

    def mirrored(self) -> Found:
        """The same people in a mirror."""
        side = self.map_px[:, :1] - 1

        def flip(points: F32) -> F32:
            out = points[:, FLIP_2D].copy()
            out[..., 0] = side - out[..., 0]
            return out

        rows = self.windows[:, FLIP_2D].reshape(-1, math.isqrt(WINDOW))  # rows of all windows
        seen = np.ascontiguousarray(rows[:, ::-1]).reshape(self.windows.shape)
        return Found(flip(self.joints), flip(self.labels), self.area, self.map_px, seen)

    def inputs(self) -> tuple[F32, F32]:
        """As ``person_inputs``, for maps of several sizes."""
        parts = [person_inputs(j[None], (int(w), int(h))) for j, (w, h) in zip(self.joints, self.map_px, strict=True)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def similarity(joints: F32, labels: F32, area: float) -> float:
    """OKS of joints (14, 2 or 3) with labels (14, 3), over those that are labelled; 0 where none is."""
    known = labels[:, 2] > 0
    if not known.any():
        return 0.0
    far = ((joints[:, :2] - labels[:, :2]) ** 2).sum(1) / (2 * (_SPREAD * max(area, 1e-6)) ** 2)
    return float(np.exp(-far[known]).mean())


def chosen(folders: Sequence[Path]) -> list[LabelledPicture]:
    """The pictures to learn from, by shape: nothing held out, and few of those with a single athlete."""
    known = [p for p in labelled_pictures(list(folders)) if not is_held_out(p.image["id"])]
    known = [p for p in known if p.image["id"] < LSP_IDS or p.image["id"] % _LSP_EVERY == 0]
    # pictures of a shape after each other: the network is compiled anew for each
    return sorted(known, key=lambda p: p.image["width"] / p.image["height"])


def unlabelled(joints: F32, picture: LabelledPicture, from_map: F32 | F64) -> bool:
    """Whether what was found (cells) is nobody, as far as the labels tell; False where they do not."""
    if not picture.image.get("complete", True) or picture.image["id"] >= LSP_IDS:
        return False
    seen = apply_affine(joints[joints[:, 2] > 0, :2], from_map)
    boxes = np.array([p["bbox"] for p in picture.people if "bbox" in p], np.float64).reshape(-1, 4)
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    return not (((seen >= low) & (seen <= high)).all(2).mean(1) > _MOST_IGNORED).any() if len(seen) else False


def view(pixels: U8, rng: np.random.Generator | None) -> tuple[U8, F64]:
    """A picture whole (no ``rng``), or a part of its shape cut out at random; and where that begins, (2,) [px]."""
    if rng is None:
        return pixels, np.zeros(2)
    whole = np.array(pixels.shape[1::-1])
    part = np.maximum(np.round(rng.uniform(_LEAST_PART, 1) * whole).astype(int), 1)
    x, y = rng.integers(0, whole - part + 1)
    return np.ascontiguousarray(pixels[y : y + part[1], x : x + part[0]]), np.array([x, y], np.float64)


def collect(
    network: Callable[[U8], PoseMaps], pictures: Sequence[LabelledPicture], views: int = 1, seed: int = 0
) -> Found:
    """Everybody found who is labelled or surely nobody, in each picture and in ``views`` - 1 random parts of it.

    Raises:
        FormatError: Nobody was found who is labelled.
    """
    config = DetectionConfig(max_people=MOST_PEOPLE, min_score=0.02)
    rows: list[tuple[F32, F32, float, tuple[int, int], F32]] = []
    rng = np.random.default_rng(seed)
    for picture, n in tqdm(list(itertools.product(pictures, range(views))), unit="view", disable=None):
        pixels, corner = view(picture.pixels(), rng if n else None)
        maps = network(pixels)
        place = maps.frame_from_map.copy()
        place[:, 2] += corner
        maps = replace(maps, frame_from_map=place)
        people = associate(maps, config)
        linear = np.linalg.inv(place[:, :2])
        into = np.concatenate([linear, (-linear @ place[:, 2])[:, None]], 1)
        scale = math.sqrt(abs(np.linalg.det(linear)))
        labels = []
        for person in picture.people:
            if len(person.get("keypoints", ())) == 3 * len(COCO_13) and person.get("area", 0) > 0:
                given = joints_14(person)
                inside = (given[:, :2] >= corner) & (given[:, :2] < corner + pixels.shape[1::-1])
                given[:, 2] *= inside.all(1)
                labels.append((np.concatenate([apply_affine(given[:, :2], into), given[:, 2:]], 1), person["area"]))
        for k in range(len(people)):  # best first
            joints = np.concatenate([apply_affine(people.joints_px[k], into), people.confidence[k][:, None]], 1)
            likeness = [similarity(joints, given, scale * math.sqrt(area)) for given, area in labels]
            if likeness and max(likeness) > _LEAST_OKS:
                given, area = labels.pop(int(np.argmax(likeness)))
                size = scale * math.sqrt(area)
            elif unlabelled(joints, picture, maps.frame_from_map):
                given, size = np.zeros_like(joints), 1.0
            else:
                continue
            map_px, one = maps.heatmaps.shape[:0:-1], joints[None].astype(np.float32)
            near = windows(maps.heatmaps, one, person_inputs(one, map_px)[1])[0]
            rows.append((joints, given, size, map_px, near))
    if not any(row[1][:, 2].any() for row in rows):
        raise FormatError("nobody was found who is labelled")
    return Found(*(np.array(part, np.float32) for part in zip(*rows, strict=True)))


class Network(nn.Module):
    """What ``Refiner`` computes, to be learnt; a fresh one corrects nothing yet."""

    def __init__(self) -> None:
        super().__init__()
        self.person = nn.ModuleList([nn.Linear(INPUTS, _HIDDEN), nn.Linear(_HIDDEN, _HIDDEN)])
        self.whole = nn.Linear(_HIDDEN, OUTPUTS)
        self.by_window = nn.Linear(WINDOW, _NEAR, bias=False)
        self.by_joint = nn.Parameter(torch.zeros(len(JOINTS_2D), _NEAR))
        self.by_person = nn.Linear(_HIDDEN, _NEAR, bias=False)
        last_of_joint = nn.Linear(_NEAR, 3)
        self.joint = nn.ModuleList([nn.Linear(_NEAR, _NEAR), last_of_joint])
        for last in (self.whole, last_of_joint):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, inputs: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, ``INPUTS``) and windows (B, 14, ``WINDOW``) -> shifts (B, 14, 2) and scores (B,)."""
        state = inputs
        for layer in self.person:
            state = F.dropout(layer(state).relu(), _DROPOUT, self.training)
        near = self.by_window(seen) + self.by_joint + self.by_person(state)[:, None]
        for layer in self.joint:
            near = layer(F.dropout(near.relu(), _NEAR_DROPOUT, self.training))
        whole = self.whole(state)
        shift = whole[:, :-1].view(-1, len(JOINTS_2D), 2) + near[..., :2]
        return STEP * shift, torch.sigmoid(whole[:, -1] + near[..., 2].mean(1))

    def tensors(self) -> dict[str, Tensor]:
        """As a refiner's file has them."""
        layers: dict[str, nn.Linear] = {"whole": self.whole}
        layers |= {f"{part}{k}": layer for part in ("person", "joint") for k, layer in enumerate(getattr(self, part))}
        out = {f"{name}.matrix": layer.weight.T for name, layer in layers.items()}
        out |= {f"{name}.bias": layer.bias for name, layer in layers.items()}
        out |= {"window.window": self.by_window.weight.T, "window.joint": self.by_joint}
        out |= {"window.person": self.by_person.weight.T}
        return {name: part.detach().contiguous() for name, part in out.items()}


def learn(found: Found, epochs: int, seed: int = 0) -> dict[str, Tensor]:
    """A refiner's tensors, trained on people as they are and mirrored.

    The loss is 1 - OKS of the joints, summed over them, and the squared error of the score, which stands for that OKS.
    """
    torch.manual_seed(seed)
    both = [found, found.mirrored()]
    inputs, size = (torch.from_numpy(np.concatenate(part)) for part in zip(*(f.inputs() for f in both), strict=True))
    joints, labels, area, seen = (
        torch.from_numpy(np.concatenate([getattr(f, name) for f in both]))
        for name in ("joints", "labels", "area", "windows")
    )
    wanted = (labels[..., :2] - joints[..., :2]) / size[:, None, None]
    spread = torch.from_numpy(_SPREAD).float() * (area / size)[:, None]
    known = (labels[..., 2] > 0).float()
    mean, deviation = inputs.mean(0), inputs.std(0) + 1e-3
    net = Network()
    rate = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(rate, epochs)
    bar = tqdm(range(epochs), unit="epoch", disable=None)
    for _ in bar:
        total = 0.0
        for rows in torch.randperm(len(inputs)).split(_BATCH):
            shift, score = net((inputs[rows] - mean) / deviation, seen[rows])
            far = ((shift - wanted[rows]) ** 2).sum(-1) / (2 * spread[rows] ** 2)
            near, labelled = torch.exp(-far), known[rows]
            missed = ((1 - near) * labelled).sum(1).mean()
            reached = (near.detach() * labelled).sum(1) / labelled.sum(1).clamp(min=1)
            loss = missed + _SCORE_WEIGHT * ((score - reached) ** 2).mean()
            rate.zero_grad()
            loss.backward()
            rate.step()
            total += float(missed.detach()) * len(rows)
        plan.step()
        bar.set_postfix_str(f"joints missed {total / len(inputs):.3f}")
    tensors = net.tensors()
    matrix = tensors["person0.matrix"] / deviation[:, None]  # the normalisation becomes part of the first layer
    return tensors | {"person0.matrix": matrix, "person0.bias": tensors["person0.bias"] - mean @ matrix}


def save(tensors: dict[str, Tensor], path: Path, weights_sha256: str) -> None:
    """Write a refiner's file."""
    from safetensors.torch import save_file

    save_file(tensors, path, {"weights_sha256": weights_sha256, "licence": "CC BY 4.0"})


def main(argv: Sequence[str] | None = None) -> int:
    """Collect, learn, write."""
    parser = argparse.ArgumentParser(prog="python -m xnect.training.refiner", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with train13.json and shards")
    parser.add_argument("--weights", type=Path, help="Stage I's weights (default: those that ship)")
    parser.add_argument("--output", type=Path, help="default: beside the weights")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--views", type=int, default=1, help="looks at each picture: whole, and at random parts of it")
    parser.add_argument("--limit", type=int, help="only so many pictures, spread over all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    from xnect.stages.executors.choose import load_network

    weights = options.weights or default_weights()
    pictures = chosen(options.data)
    if options.limit is not None and options.limit < len(pictures):
        pictures = [pictures[int(k)] for k in np.linspace(0, len(pictures) - 1, options.limit)]
    found = collect(load_network(str(weights), NetworkConfig(device="cpu")), pictures, options.views, options.seed)
    tensors = learn(found, options.epochs, options.seed)
    save(tensors, options.output or beside(weights), digest(weights))
    nobody = int((~(found.labels[..., 2] > 0).any(1)).sum())
    tqdm.write(f"{len(found.joints) - nobody} people and {nobody} who are none, and mirrored")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
