"""Trains Stage I's 2D part on photos with labelled joints (``xnect train stage1``)."""

from __future__ import annotations

import argparse
import copy
import datetime
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from xnect.config import NetworkConfig
from xnect.errors import ConfigError
from xnect.stages.network import MEAN, STD, NetworkSpec, Stage1, TorchNetwork, channels_last, load_stage1, save_stage1
from xnect.training.datasets.people import load_people
from xnect.training.datasets.store import Store
from xnect.training.held_out import HeldOut
from xnect.training.loop import LoopConfig, Trainer
from xnect.training.soft_maps import attach_soft_maps
from xnect.training.targets import draw_targets
from xnect.training.views import ViewConfig, draw_crops

#: Pictures in which everyone or several people are labelled are drawn so many times as often as others.
RICH_SHARE = 4
#: Scale of the loss, so that it is of order one.
LOSS_SCALE = 40.0


class MapLoss:
    """The loss of one training step: draws crops and targets on the store's device and compares the maps.

    Weighted mean squared error over heatmaps and affinity fields (Cao et al. 2017; weights in ``targets``). Each step
    draws the size of its crops from ``views``; batches of larger crops are smaller, so that every step has about as
    many pixels as ``batch`` crops of the first size.
    """

    def __init__(self, store: Store, views: Sequence[ViewConfig], batch: int, bf16: bool) -> None:
        self._store, self._views, self._bf16 = store, views, bf16
        self._batches = [max(2, round(batch * (views[0].size / view.size) ** 2)) for view in views]
        self._focal = store.focal_people()
        useful = torch.nonzero(self._focal.any(1)).flatten()
        rich = useful[store.complete[useful] | (self._focal[useful].sum(1) > 1)]
        empty = torch.nonzero(~self._focal.any(1) & store.complete).flatten()
        self._pool = torch.cat([useful, *[rich] * (RICH_SHARE - 1), empty])
        self._mean = torch.tensor(MEAN, device=store.device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=store.device).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return len(self._pool)

    def __call__(self, net: nn.Module, step: int) -> Tensor:
        """Loss of one batch; random numbers come from torch's own generators."""
        device = self._store.device
        with torch.no_grad():
            choice = int(torch.randint(len(self._views), (), device="cpu"))
            rows = self._pool[torch.randint(len(self._pool), (self._batches[choice],), device=device)]
            crops = draw_crops(self._store, rows, self._pool, self._focal, self._views[choice])
            targets = draw_targets(crops)
            images = ((crops.images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._bf16):
            maps, _ = net(images)
        return ((maps.float() - targets.maps) ** 2 * targets.weight).mean() * LOSS_SCALE


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The options of ``xnect train stage1``."""
    parser = argparse.ArgumentParser(prog="xnect train stage1", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, help="folders with train13.json and its picture shards")
    add("--out", type=Path, required=True, help="folder for checkpoint, log, curve and weights")
    add("--network", default="selecsls42", help="trunk, see `python -m backbone summary`")
    add("--width", type=float, default=0.5, help="factor on the trunk's channels")
    add("--head", type=int, default=128, help="channels of the heads")
    add("--init", type=Path, help="start from these weights (safetensors) instead of random ones")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add("--minutes", type=float, default=60.0, help="length of the run where --steps is not given")
    add("--steps", type=int, help="length of the run in steps")
    add("--batch", type=int, default=32, help="crops a step, of the first size")
    add("--size", type=int, nargs="+", default=[256], help="sides of the training crops [px]; each step draws one")
    add("--side", type=int, default=288, help="side at which pictures are kept in memory [px]")
    add("--lr", type=float, default=1.5e-3)
    add("--warmup", type=int, default=300)
    add("--soft-maps", type=Path, nargs="+", help="a teacher's maps made by `python -m xnect.training.soft_maps`")
    add("--eval-every", type=float, default=15.0, help="minutes between evaluations on held-out pictures")
    add("--limit", type=int, help="only so many pictures (for trials)")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--threads", type=int, default=0, help="CPU threads, 0 = all")
    add("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    for size in options.size:
        if size % 16 or size < 64:
            raise ConfigError(f"--size {size}: a multiple of 16, at least 64, expected")
    return options


def write_weights(net: nn.Module, options: argparse.Namespace, trainer: Trainer, figures: dict[str, float]) -> None:
    """``stage1.safetensors`` and its card in the run's folder."""
    assert isinstance(net, Stage1)
    facts = {
        "training": {
            "data": ["COCO 2017 keypoints (CC BY 4.0 annotations)", "LSP-extended (Johnson and Everingham 2011)"],
            "teacher": "human-pose-estimation-0001 (Open Model Zoo, Apache-2.0), maps only"
            if options.soft_maps
            else None,
            "steps": trainer.step,
            "crop_px": options.size,
            "date": datetime.date.today().isoformat(),
        },
        "held_out": {k: round(v, 4) for k, v in figures.items()},
        "licence": "CC BY 4.0",
    }
    save_stage1(net, options.out / "stage1.safetensors", facts)


def main(argv: list[str] | None = None) -> int:
    """Train, and write ``stage1.safetensors`` at every evaluation and at the end."""
    options = parse(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    name = options.device if options.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    store = load_people(options.data, options.side, limit=options.limit)
    if options.soft_maps:
        store = attach_soft_maps(store, options.soft_maps)
    store = store.to(device)
    spec = NetworkSpec(options.network, options.width, options.head)
    net = load_stage1(options.init) if options.init else Stage1(spec)
    net = channels_last(net.to(device))
    loss = MapLoss(store, [ViewConfig.of_size(size) for size in options.size], options.batch, bf16=True)
    config = LoopConfig(
        out=options.out, steps=options.steps, minutes=options.minutes, learning_rate=options.lr, warmup=options.warmup,
        seed=options.seed, eval_every_s=options.eval_every * 60,
    )  # fmt: skip
    trainer = Trainer(net, loss, config)
    if options.resume:
        trainer.resume(options.out / "checkpoint.pt")
    held_out = HeldOut(options.data, limit=options.limit)

    def evaluate(average: nn.Module) -> dict[str, float]:
        assert isinstance(average, Stage1)
        figures = held_out(TorchNetwork(copy.deepcopy(average), NetworkConfig(device=name)))
        write_weights(average, options, trainer, figures)
        return figures

    trainer.run(evaluate)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
