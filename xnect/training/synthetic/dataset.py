"""Synthetic pictures without end, for training: drawn on the fly by as many processes as are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
from torch.utils.data import IterableDataset, get_worker_info

from xnect.training.synthetic.sampling import SceneSampler
from xnect.training.synthetic.scene import Studio, draw_scene
from xnect.training.synthetic.shards import Sample, sample_of


class SyntheticPictures(IterableDataset[Sample]):
    """An iterable data set; each worker of a DataLoader draws its own seeds.

    Which worker draws which seed depends on their number only: worker w of n draws ``seed + w``, ``seed + w + n``, ...
    Collate with ``collate_fn=list``; people differ in number from picture to picture.

    Args:
        seed: First seed.
        split: train, val or test.
        size_px: Width and height.
        count: Pictures in all (over all workers), None = without end.
        kind: Sort of scenes, None = all sorts.
        assets: Asset pack, None = beside the checkout.
        motion: Motion pack, None = beside the checkout.
        scale: Samples a pixel and side.
    """

    def __init__(
        self, seed: int = 0, split: str = "train", size_px: tuple[int, int] = (512, 320), count: int | None = None,
        kind: str | None = None, assets: str | None = None, motion: str | None = None, scale: int = 2,
    ) -> None:  # fmt: skip
        super().__init__()
        self._seed, self._split, self._size, self._count, self._kind = seed, split, size_px, count, kind
        self._packs, self._scale = (assets, motion), scale
        self._sampler: SceneSampler | None = None

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        if worker:
            cv2.setNumThreads(1)
        if self._sampler is None:
            self._sampler = SceneSampler(Studio(*self._packs), self._split, self._size)
        number = first
        while self._count is None or number < self._count:
            scene = self._sampler.sample(self._seed + number, 1, self._kind)
            yield sample_of(draw_scene(self._sampler.studio, scene, 0, self._scale), number)
            number += step
