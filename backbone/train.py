"""The classification trainer: cosine annealing, augmentation, label smoothing, weight averaging, mixed precision, torchrun."""

from __future__ import annotations

import csv
import logging
import math
import os
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler
from tqdm import tqdm

from backbone.augment import Augmentation
from backbone.dataset import FolderDataset, Pictures, split
from backbone.errors import BackboneError, InputError, WeightsError
from backbone.preprocess import Preprocessing
from backbone.ranks import Ranks, joined
from backbone.recipe import TrainConfig, WeightAverage, learning_rate, make_optimizer
from backbone.registry import create_model
from backbone.selecsls import Classifier
from backbone.weights import UNREADABLE, save_model

logger = logging.getLogger(__name__)

CPU_HALF_MIN_PX = 33
"""Smallest input that may train in bfloat16 on a CPU.

Below, the last 3x3 convolution of stride 2 gets a map one pixel wide, and there oneDNN's bfloat16 kernel (torch 2.13) returns
memory that it never wrote as the gradient of the outer kernel columns: often harmless, sometimes 1e24 or NaN.
`MALLOC_PERTURB_=128` shows it in every run. Float32 is right at that size.
"""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures of one epoch: mean loss, then accuracy of the network and of its average on held-out pictures [%]."""

    number: int
    lr: float
    loss: float
    top1: float
    ema_top1: float
    ema_top5: float
    seconds: float


class Trainer:
    """One training run of one process; `run` drives it from the first (or the resumed) epoch to the last."""

    def __init__(self, config: TrainConfig, ranks: Ranks) -> None:
        torch.manual_seed(config.seed)
        self.config, self.ranks = config, ranks
        train, held_out = split(config.data, config.seed)
        self.classes = train.classes
        self.preprocessing = Preprocessing(config.size_px)
        how = Augmentation(
            config.size_px, (config.smallest_area, 1.0), mirror=config.mirror, jitter=config.jitter, erase=config.erase
        )
        self.pictures = Pictures(train, how, config.seed)
        mine = slice(ranks.rank, None, ranks.world)
        share = FolderDataset(held_out.classes, held_out.paths[mine], held_out.targets[mine])
        self.held_out = Pictures(share, self.preprocessing)
        if len(train) < config.batch * ranks.world:
            raise InputError(f"{len(train)} training pictures do not fill one batch of {config.batch * ranks.world}")
        self.sampler: DistributedSampler[tuple[Tensor, int]] | None = None
        if ranks.world > 1:
            self.sampler = DistributedSampler(self.pictures, seed=config.seed, drop_last=True)
        self.model = create_model(
            config.backbone, config.weights, len(train.classes), width=config.width, dropout=config.dropout
        ).to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = WeightAverage(self.model, config.ema)
        self.optimizer = make_optimizer(self.model, config)
        cuda = ranks.device.type == "cuda"
        self.half = torch.float16 if cuda else torch.bfloat16
        self.mixed = config.amp and (cuda or config.size_px >= CPU_HALF_MIN_PX)
        if config.amp and not self.mixed:
            logger.warning("training in float32: bfloat16 on the CPU needs pictures of at least %d px", CPU_HALF_MIN_PX)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=self.mixed and cuda)
        self.first_epoch, self.best = 0, -1.0

    def run(self) -> list[Epoch]:
        """Train to the end.

        Raises:
            BackboneError: The loss is no number any more, or nothing can be written.
        """
        if self.config.resume:
            self._resume()
        parallel = self.model if self.ranks.world == 1 else DistributedDataParallel(self.model)
        history = []
        for number in range(self.first_epoch, self.config.epochs):
            start = time.perf_counter()
            loss, lr = self._one_epoch(parallel, number)
            top1, _ = self._accuracy(self.model)
            ema_top1, ema_top5 = self._accuracy(self.average.model)
            figures = Epoch(number + 1, lr, loss, top1, ema_top1, ema_top5, time.perf_counter() - start)
            history.append(figures)
            if self.ranks.leads:
                self._record(figures)
                logger.info("epoch %d: loss %.4f, top-1 %.2f %%, averaged %.2f %%", number + 1, loss, top1, ema_top1)
        return history

    def _loader(self, number: int) -> DataLoader[tuple[Tensor, int]]:
        self.pictures.epoch = number
        if self.sampler is not None:
            self.sampler.set_epoch(number)
        order = torch.Generator().manual_seed(self.config.seed * 1_000_003 + number)
        return DataLoader(
            self.pictures,
            self.config.batch,
            sampler=self.sampler or RandomSampler(self.pictures, generator=order),
            num_workers=self.config.workers,
            drop_last=True,
            pin_memory=self.ranks.device.type == "cuda",
        )

    def _one_epoch(self, parallel: nn.Module, number: int) -> tuple[float, float]:
        """One pass over the data; mean loss and last learning rate."""
        config, device = self.config, self.ranks.device
        parallel.train()
        loader = self._loader(number)
        losses, lr = 0.0, 0.0
        bar = tqdm(
            loader, f"epoch {number + 1}", disable=None if config.progress and self.ranks.leads else True, leave=False
        )
        for step, (pictures, targets) in enumerate(bar):
            lr = learning_rate(config, number + step / len(loader), config.batch * self.ranks.world)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            pictures = pictures.to(device, memory_format=torch.channels_last, non_blocking=True)
            with torch.autocast(device.type, self.half, enabled=self.mixed):
                logits = parallel(pictures)
                loss = F.cross_entropy(logits, targets.to(device), label_smoothing=config.smoothing)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise BackboneError(f"the loss is {value} in epoch {number + 1}: try a lower --lr")
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.average.update(self.model)
            losses += value
            bar.set_postfix(loss=f"{value:.3f}")
        total = self.ranks.total(torch.tensor([losses, len(loader)], dtype=torch.float64))
        return float(total[0] / total[1]), lr

    def _accuracy(self, model: Classifier) -> tuple[float, float]:
        """Top-1 and top-5 on the held-out pictures of all processes [%]."""
        counts = torch.zeros(3, dtype=torch.float64)
        model.eval()
        loader = DataLoader(self.held_out, self.config.batch, num_workers=self.config.workers)
        with torch.inference_mode():
            for pictures, targets in loader:
                logits = model(pictures.to(self.ranks.device)).float().cpu()
                best = logits.topk(min(5, logits.shape[1])).indices == targets[:, None]
                counts += torch.tensor([len(targets), float(best[:, 0].sum()), float(best.any(dim=1).sum())])
        number, first, among = self.ranks.total(counts).tolist()
        return 100 * first / number, 100 * among / number

    def _record(self, figures: Epoch) -> None:
        """Append to the log, write the checkpoint, and the weights if they are the best so far."""
        folder = self.config.output
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = folder / "log.csv"
            fresh = figures.number == 1 or not log.exists()
            with log.open("w" if fresh else "a", newline="", encoding="utf-8") as file:
                rows = csv.DictWriter(file, list(asdict(figures)))
                if fresh:
                    rows.writeheader()
                rows.writerow({k: round(v, 6) for k, v in asdict(figures).items()})
            if figures.ema_top1 > self.best:
                self.best = figures.ema_top1
                extra = {
                    "classes": list(self.classes),
                    "preprocessing": self.preprocessing.to_dict(),
                    "training": self.config.record(),
                    "figures": {"epoch": figures.number, "top1": figures.ema_top1, "top5": figures.ema_top5},
                }
                save_model(self.average.model, folder / "best.safetensors", extra)
            partial = folder / "last.pt.part"
            torch.save(self._checkpoint(figures.number), partial)
            os.replace(partial, folder / "last.pt")
        except OSError as error:
            raise BackboneError(f"cannot write to {folder}: {error.strerror or error}") from error

    def _checkpoint(self, epochs: int) -> dict[str, Any]:
        return {
            "epochs": epochs,
            "best": self.best,
            "config": self.config.record(),
            "classes": list(self.classes),
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "average_steps": self.average.steps,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def _resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        path = self.config.output / "last.pt"
        if not path.is_file():
            return
        try:
            found = torch.load(path, map_location=self.ranks.device, weights_only=True)
            made_with, classes = found["config"], found["classes"]
        except UNREADABLE as error:
            raise WeightsError(f"{path} is no checkpoint to go on from (damaged?)") from error
        mine = self.config.record()
        for key in ("backbone", "width", "optimizer", "epochs", "size_px", "seed"):
            if made_with[key] != mine[key]:
                raise WeightsError(f"{path} was made with {key} {made_with[key]}, not {mine[key]}")
        if classes != list(self.classes):
            raise WeightsError(f"{path} was made for other classes")
        self.model.load_state_dict(found["model"])
        self.average.model.load_state_dict(found["average"])
        self.average.steps = found["average_steps"]
        self.optimizer.load_state_dict(found["optimizer"])
        self.scaler.load_state_dict(found["scaler"])
        self.first_epoch, self.best = found["epochs"], found["best"]


def train(config: TrainConfig) -> list[Epoch]:
    """Train a classifier; under torchrun all processes call this and work together.

    Returns:
        Figures of each epoch of this run.

    Raises:
        BackboneError: The data, the settings or the weights cannot be used, or the training diverged.
    """
    with joined(config.device) as ranks:
        return Trainer(config, ranks).run()
