"""Batches of training crops with their targets, drawn where the stores live or ahead of time by another process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from xnect.stages.executors.base import MEAN, STD
from xnect.training.datasets.store import Store
from xnect.training.loop import seed_step
from xnect.training.targets import Targets, draw_targets
from xnect.training.views import Crops, ViewConfig, draw_crops

#: Pictures in which everyone or several people are labelled are drawn so many times as often as others.
RICH_SHARE = 4
#: Peaks are found a little off a joint: the encoding is supervised so far around it [cells].
JITTER_CELLS = 0.6
#: Batches that a drawing process may be ahead.
AHEAD = 4


class _Source:
    """Crops drawn from one store."""

    def __init__(self, store: Store) -> None:
        self._store, self._focal = store, store.focal_people()
        useful = torch.nonzero(self._focal.any(1)).flatten()
        rich = useful[store.complete[useful] | (self._focal[useful].sum(1) > 1)]
        empty = torch.nonzero(~self._focal.any(1) & store.complete).flatten()
        self.pool = torch.cat([useful, *[rich] * (RICH_SHARE - 1), empty])

    def crops(self, count: int, views: ViewConfig) -> Crops:
        rows = self.pool[torch.randint(len(self.pool), (count,), device=self._store.device)]
        return draw_crops(self._store, rows, self.pool, self._focal, views)


@dataclass(frozen=True, slots=True)
class Reads:
    """Places of a batch where the encoding is supervised.

    Attributes:
        picture: int64 (K,), which crop.
        joint: int64 (K,), which of the 14 joints.
        cell: float32 (K, 2), x, y [map cells].
        value: float32 (K, 63), what should stand there.
        weight: float32 (K,).
    """

    picture: Tensor
    joint: Tensor
    cell: Tensor
    value: Tensor
    weight: Tensor


def joined(parts: Sequence[Reads]) -> Reads:
    """The places of several sources as one: what each counts is its weight alone."""
    return Reads(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Reads)))


def encoding_reads(crops: Crops, first: int = 0, stride: int = 8, jitter: float = JITTER_CELLS) -> Reads | None:
    """The joints of a batch that have a 3D truth, read up to ``jitter`` cells off.

    ``first`` is the number of the batch's first crop in a larger one.
    """
    if crops.encoding is None or crops.evidence is None:
        return None
    picture, person, joint = torch.nonzero(crops.evidence > 0, as_tuple=True)
    cell = (crops.joints[picture, person, joint, :2] - (stride - 1) / 2) / stride
    cell = cell + (torch.rand_like(cell) * 2 - 1) * jitter
    return Reads(
        picture + first, joint, cell, crops.encoding[picture, person, joint], crops.evidence[picture, person, joint]
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """What one training step sees.

    Attributes:
        images: float32 (B, 3, S, S), normalised RGB, channels last.
        targets: Maps and weights.
        reads: Places where the encoding is supervised; ``picture`` counts in ``images``.
    """

    images: Tensor
    targets: Targets
    reads: list[Reads]


class Batches:
    """Draws the batch of any step; the same step of the same seed is the same batch.

    Each step draws the size of its crops from ``views``; batches of larger crops are smaller, so that every step has
    about as many pixels as ``batch`` crops of the first size.

    Args:
        store: Photos, or None.
        views: How far crops stray, one entry a size.
        batch: Crops a step, of the first size.
        synthetic: Synthetic pictures, or None.
        share: Share of synthetic crops in every batch where both are given.
        seed: Of all random numbers, together with the step.
    """

    def __init__(
        self, store: Store | None, views: Sequence[ViewConfig], batch: int, synthetic: Store | None = None,
        share: float = 0.3, seed: int = 0,
    ) -> None:  # fmt: skip
        self._views, self._seed = views, seed
        self._sizes = [max(2, round(batch * (views[0].size / view.size) ** 2)) for view in views]
        if store is None or synthetic is None:
            share = 0.0 if synthetic is None else 1.0
        parts = [(store, 1 - share), (synthetic, share)]
        self._sources = [(_Source(s), part) for s, part in parts if s is not None and part > 0]
        self.device = next(s.device for s, _ in parts if s is not None)
        self._mean = torch.tensor(MEAN, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=self.device).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return sum(len(source.pool) for source, _ in self._sources)

    def normalised(self, images: Tensor) -> Tensor:
        """RGB of 0 to 1 -> what the network takes."""
        return (images - self._mean) / self._std

    @torch.no_grad()
    def draw(self, step: int) -> Batch:
        """The batch of a step."""
        seed_step(self._seed, step)
        images: list[Tensor] = []
        targets: list[Targets] = []
        reads: list[Reads] = []
        choice = int(torch.randint(len(self._views), (), device="cpu"))
        size = self._sizes[choice]
        counts = [round(size * part) for _, part in self._sources[1:]]
        for (source, _), count in zip(self._sources, [size - sum(counts), *counts], strict=True):
            if not count:
                continue
            crops = source.crops(count, self._views[choice])
            read = encoding_reads(crops, sum(len(i) for i in images))
            if read is not None:
                reads.append(read)
            targets.append(draw_targets(crops))
            images.append(self.normalised(crops.images))
        whole = Targets(torch.cat([t.maps for t in targets]), torch.cat([t.weight for t in targets]))
        return Batch(torch.cat(images).contiguous(memory_format=torch.channels_last), whole, reads)


class _Following(IterableDataset[Batch]):
    """The batches from a step on."""

    def __init__(self, batches: Batches, step: int) -> None:
        super().__init__()
        self._batches, self._step = batches, step

    def __iter__(self) -> Iterator[Batch]:
        step = self._step
        while True:
            yield self._batches.draw(step)
            step += 1


class Ahead:
    """Batches in order of steps, drawn by another process while the network learns from those before.

    Drawing takes a quarter of a step's processor time. On a GPU it is done there, in the training process.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._next = -1
        self._drawn: Iterator[Batch] = iter(())

    def draw(self, step: int) -> Batch:
        """The batch of a step; quick where it follows the one asked for last."""
        if step != self._next:
            # fork: the child sees the pictures without a copy
            context: Any = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
            loader: DataLoader[Batch] = DataLoader(
                _Following(self._batches, step), batch_size=None, num_workers=1, prefetch_factor=AHEAD,
                multiprocessing_context=context,
            )  # fmt: skip
            self._drawn = iter(loader)
        self._next = step + 1
        return next(self._drawn)
