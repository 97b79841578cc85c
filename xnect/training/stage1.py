"""Trains Stage I on photos with labelled joints and on synthetic pictures (``xnect train stage1``)."""

from __future__ import annotations

import argparse
import copy
import datetime

import torch
from torch import nn

from xnect.config import NetworkConfig
from xnect.stages.lifting import Lifter
from xnect.stages.network import NetworkSpec, Stage1, TorchNetwork, channels_last, load_stage1, save_stage1
from xnect.training.batches import Ahead, Batches
from xnect.training.datasets.people import load_people
from xnect.training.datasets.store import Store
from xnect.training.held_out import HeldOut
from xnect.training.lifted import attach_lifted
from xnect.training.loop import LoopConfig, Trainer, mixed_precision
from xnect.training.map_loss import MapLoss
from xnect.training.soft_maps import attach_soft_maps
from xnect.training.stage1_options import parse
from xnect.training.views import ViewConfig
from xnect.training.widen import widened

_PHOTOS = ["COCO 2017 keypoints (CC BY 4.0 annotations)", "LSP-extended (Johnson and Everingham 2011)"]
_SYNTHETIC = ["synthetic pictures of xnect synth (credits in docs/synthetic.md)"]


def trains_on_photos(options: argparse.Namespace) -> bool:
    """Whether photos are drawn; beside synthetic pictures alone they may still serve as the judge."""
    return options.data is not None and not (options.synthetic is not None and options.synthetic_share == 1)


def read_stores(options: argparse.Namespace) -> tuple[Store | None, Store | None]:
    """The photos and the synthetic pictures to draw crops from, on the CPU; None where none are drawn."""
    photos = synthetic = None
    if trains_on_photos(options):
        photos = load_people(options.data, options.side, limit=options.limit)
        if options.soft_maps:
            photos = attach_soft_maps(photos, options.soft_maps)
        if options.lifting:
            photos = attach_lifted(photos, Lifter(options.lifting))
    if options.synthetic and (options.synthetic_share > 0 or photos is None):
        from xnect.training.datasets.synthetic import load_synthetic  # brings the whole engine with it

        synthetic = load_synthetic(options.synthetic, options.side, limit=options.limit)
    return photos, synthetic


def build(options: argparse.Namespace) -> Stage1:
    """The network to train: random, or from --init; parts and channels that the file lacks start at random."""
    known = load_stage1(options.init) if options.init else None
    old = known.spec if known else NetworkSpec(options.network)
    spec = NetworkSpec(
        old.trunk,
        old.width if options.width is None else options.width[0] if len(options.width) == 1 else tuple(options.width),
        options.head or old.head,
        old.encoding or options.encoding,
        old.surroundings or options.surroundings,
    )
    return Stage1(spec) if known is None else widened(known, spec)


def write_weights(net: nn.Module, options: argparse.Namespace, trainer: Trainer, figures: dict[str, float]) -> None:
    """``stage1.safetensors`` and its card in the run's folder."""
    assert isinstance(net, Stage1)
    facts = {
        "training": {
            "data": [*(_PHOTOS if trains_on_photos(options) else []), *(_SYNTHETIC if options.synthetic else [])],
            "weak_3d": "Stage II on the photos' labels" if options.lifting else None,
            "synthetic_share": options.synthetic_share if options.synthetic and trains_on_photos(options) else None,
            "teacher": "human-pose-estimation-0001 (Open Model Zoo, Apache-2.0), maps only"
            if options.soft_maps and trains_on_photos(options)
            else None,
            "steps": trainer.step,
            "crop_px": options.size,
            "date": datetime.date.today().isoformat(),
        },
        "held_out": {k: round(v, 4) for k, v in figures.items()},
        "licence": "CC BY 4.0",
    }
    save_stage1(net, options.output / "stage1.safetensors", facts)


def main(argv: list[str] | None = None) -> int:
    """Train, and write ``stage1.safetensors`` at every evaluation and at the end."""
    options = parse(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    name = options.device if options.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    torch.manual_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    photos, synthetic = (None if s is None else s.to(device) for s in read_stores(options))
    net = channels_last(build(options).to(device))
    views = [ViewConfig.of_size(size) for size in options.size]
    batches = Batches(photos, views, options.batch, synthetic, options.synthetic_share, options.seed)
    ahead = options.ahead and device.type == "cpu"
    loss = MapLoss(Ahead(batches) if ahead else batches, mixed_precision(device), compiled=options.compile)
    config = LoopConfig(
        out=options.output, steps=options.steps, minutes=options.minutes, learning_rate=options.lr, warmup=options.warmup,
        seed=options.seed, eval_every_s=options.eval_every * 60,
    )  # fmt: skip
    frozen = [net.trunk.stem, *net.trunk.features[: options.freeze]] if options.freeze else []
    trainer = Trainer(net, loss, config, frozen)
    if options.resume:
        trainer.resume(options.output / "checkpoint.pt")
    held_out = HeldOut(options.data, limit=options.limit) if options.data else None

    def evaluate(average: nn.Module) -> dict[str, float]:
        assert isinstance(average, Stage1)
        figures = held_out(TorchNetwork(copy.deepcopy(average), NetworkConfig(device=name))) if held_out else {}
        write_weights(average, options, trainer, figures)
        return figures

    trainer.run(evaluate)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
