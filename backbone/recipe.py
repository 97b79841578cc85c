"""How a classifier is trained, as settings: schedule, optimizer and weight average follow from them."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbone.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from backbone.selecsls import Classifier

LEARNING_RATES = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}
"""Default peak learning rates for a batch of 256; they are scaled with the batch."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides how a training runs; stored with what it makes.

    Attributes:
        data: Folder with `train/CLASS/` and `val/CLASS/`, or with `CLASS/` alone (then a tenth is held out).
        output: Folder for `best.safetensors`, `last.pt` and `log.csv`.
        backbone: Network of the table.
        width: Factor on its channels.
        weights: Weights to start from: "imagenet" or a path; None starts from random ones.
        epochs: Passes over the data.
        batch: Pictures a step and process.
        size_px: Side of the network's input [px].
        optimizer: "sgd" (Nesterov), "adam" (L2 decay: leaves filters that can be pruned) or "adamw".
        lr: Peak learning rate; None is `LEARNING_RATES`, scaled with the batch over all processes.
        decay: Weight decay.
        decay_norms: Decay batch-norm scales and shifts too, as implicit filter sparsity needs.
        warmup: Epochs of linear rise before the cosine.
        smoothing: Label smoothing, 0 to 1.
        ema: Decay of the weight average a step; 0 averages nothing.
        dropout: On the pooled features.
        jitter: Colour jitter, 0 to 1.
        erase: Probability of random erasing.
        smallest_area: Smallest share of the picture that random cropping keeps.
        mirror: Probability of mirroring; 0 where left and right differ in meaning.
        amp: Mixed precision: float16 on CUDA, bfloat16 on a CPU (there only for pictures of more than 32 px).
        workers: Processes that read pictures; 0 reads in the training process.
        seed: Of everything random.
        device: "auto", "cpu", "cuda" or "cuda:N".
        resume: Go on from `last.pt` if it is there.
        progress: Draw progress bars on standard error.
    """

    data: Path
    output: Path
    backbone: str = "selecsls60b"
    width: float = 1.0
    weights: str | None = None
    epochs: int = 100
    batch: int = 64
    size_px: int = 224
    optimizer: str = "sgd"
    lr: float | None = None
    decay: float = 1e-4
    decay_norms: bool = False
    warmup: float = 3.0
    smoothing: float = 0.1
    ema: float = 0.9999
    dropout: float = 0.0
    jitter: float = 0.4
    erase: float = 0.25
    smallest_area: float = 0.08
    mirror: float = 0.5
    amp: bool = False
    workers: int = 2
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        shares = (self.smoothing, self.ema, self.dropout, self.jitter, self.erase, self.smallest_area, self.mirror)
        if self.optimizer not in LEARNING_RATES:
            raise InputError(f"no optimizer {self.optimizer!r}: use {', '.join(LEARNING_RATES)}")
        if min(self.epochs, self.batch) < 1 or self.size_px < 32 or self.workers < 0 or self.decay < 0:
            raise InputError("need epochs and batch of at least 1, pictures of at least 32 px, no negative counts")
        if not all(0 <= share <= 1 for share in shares) or not (self.lr is None or self.lr > 0):
            raise InputError("shares and probabilities run from 0 to 1, the learning rate is above 0")

    def record(self) -> dict[str, Any]:
        """The settings as JSON can hold them, without paths of this machine."""
        return {
            key: value for key, value in asdict(self).items() if key not in ("data", "output", "progress", "resume")
        }


def learning_rate(config: TrainConfig, epoch: float, batch: int) -> float:
    """Linear rise over `warmup` epochs, then half a cosine down to zero; `epoch` may be a fraction, `batch` is the total."""
    peak = LEARNING_RATES[config.optimizer] * batch / 256 if config.lr is None else config.lr
    warmup = min(config.warmup, config.epochs / 2)
    if epoch < warmup:
        return peak * (epoch + 1e-3) / (warmup + 1e-3)
    return peak * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (config.epochs - warmup)))


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer, with decay on convolutions and the linear layer, and on norms where asked for."""
    import torch

    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.decay},
        {"params": vectors, "weight_decay": config.decay if config.decay_norms else 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    return (torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW)(groups, lr=1e-3)


class WeightAverage:
    """Exponential moving average of all weights and statistics; it warms up, so that short runs profit too."""

    def __init__(self, model: Classifier, decay: float) -> None:
        self.model = copy.deepcopy(model).eval()
        self._decay = decay
        self.steps = 0

    def update(self, model: Classifier) -> None:
        """Move the average towards the weights after a step."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps)) if self._decay else 0.0
        # state_dict gives tensors without history, so that nothing here is recorded for gradients
        for own, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(new, 1 - decay)
            else:
                own.copy_(new)
