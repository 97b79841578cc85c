"""The one training loop: schedule, mixed precision, moving average, checkpoints, log, progress."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from xnect.stages.executors.pytorch import fast_bf16
from xnect.training import checkpoints, stopping


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long and how fast to train.

    Attributes:
        out: Folder for checkpoint, log and curve.
        steps: Length of the run, None = by time.
        minutes: Length of the run where ``steps`` is None.
        learning_rate: At the end of the warm-up; falls to 0 along a half cosine.
        warmup: Steps over which the rate rises from 0.
        weight_decay: Of AdamW.
        ema: Decay of the moving average of the weights.
        save_every_s: Time between checkpoints [s].
        eval_every_s: Time between evaluations [s].
        seed: Every step draws its random numbers from (seed, step), so that a resumed run repeats exactly.
    """

    out: Path
    steps: int | None = None
    minutes: float = 20.0
    learning_rate: float = 1.5e-3
    warmup: int = 300
    weight_decay: float = 1e-4
    ema: float = 0.9995
    save_every_s: float = 120.0
    eval_every_s: float = 600.0
    seed: int = 0


class Average:
    """Exponential moving average of a network's weights and running statistics."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` steps; the memory grows with the steps until it reaches the decay."""
        decay = min(self._decay, (1 + step) / (20 + step))
        pairs = list(zip(self.net.state_dict().values(), net.state_dict().values(), strict=True))
        floats = [(a, b) for a, b in pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
        for mine, new in pairs:
            if not mine.is_floating_point():
                mine.copy_(new)


def seed_step(seed: int, step: int) -> None:
    """Set torch's random numbers to those of a step, so that a resumed run goes on as an unbroken one."""
    torch.manual_seed(seed * 1_000_003 + step)


def mixed_precision(device: torch.device) -> bool:
    """Whether bfloat16 pays: processors without instructions for it take sixteen times as long as in float32."""
    return device.type != "cpu" or fast_bf16()


def learning_rate(config: LoopConfig, step: int, progress: float) -> float:
    """Linear warm-up, then half a cosine over the run's progress (0 to 1)."""
    return (
        config.learning_rate
        * min(1.0, (step + 1) / config.warmup)
        * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))
    )


class Trainer:
    """Trains one network; ``run`` may be interrupted at any step and taken up again by ``resume``."""

    def __init__(
        self, net: nn.Module, loss: Callable[[nn.Module, int], Tensor], config: LoopConfig,
        frozen: Sequence[nn.Module] = (),
    ) -> None:  # fmt: skip
        """Args: the network on its device; the loss of one step, drawn by itself; the schedule; parts not to train."""
        self.net, self.config, self._loss, self._frozen = net, config, loss, frozen
        for part in frozen:
            part.requires_grad_(False)
        self.average = Average(net, config.ema)
        self.optimizer = torch.optim.AdamW(
            net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.step, self.elapsed_s, self.smoothed = 0, 0.0, math.nan
        self._device = next(net.parameters()).device

    @property
    def progress(self) -> float:
        """How much of the run is behind, 0 to 1."""
        if self.config.steps is not None:
            return self.step / max(1, self.config.steps)
        return self.elapsed_s / 60 / self.config.minutes

    def save(self) -> None:
        """Write ``checkpoint.pt``."""
        state = {
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "smoothed": self.smoothed,
            "net": self.net.state_dict(),
            "average": self.average.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        checkpoints.save(self.config.out / "checkpoint.pt", state)

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint stopped; raises WeightsError."""
        state = checkpoints.load(path, self._device)
        self.net.load_state_dict(state["net"])
        self.average.net.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed_s, self.smoothed = state["step"], state["elapsed_s"], state["smoothed"]

    def run(
        self, evaluate: Callable[[nn.Module], dict[str, float]] | None = None, stop_after: int | None = None
    ) -> None:
        """Train to the end of the schedule (or ``stop_after`` steps more), evaluating the average now and then.

        Raises:
            SystemExit: Ctrl-C or SIGTERM came; the step in hand was finished and the checkpoint written.
        """
        with stopping.heard() as stop:
            self._run(evaluate, stop, stop_after)

    def _run(
        self, evaluate: Callable[[nn.Module], dict[str, float]] | None, stop: stopping.Stop, stop_after: int | None
    ) -> None:
        begun, before = time.monotonic(), self.elapsed_s
        saved = evaluated = begun
        last = None if stop_after is None else self.step + stop_after
        bar = tqdm(total=self.config.steps, initial=self.step, unit=" steps", smoothing=0.05)
        try:
            while self.progress < 1 and self.step != last and not stop.code:
                loss = self._one_step()
                now = time.monotonic()
                self.elapsed_s = before + now - begun
                self.smoothed = loss if math.isnan(self.smoothed) else 0.98 * self.smoothed + 0.02 * loss
                bar.update()
                if self.step % 20 == 0:
                    left = "" if self.config.steps else f", {self.config.minutes - self.elapsed_s / 60:.0f} min left"
                    bar.set_postfix_str(f"loss {self.smoothed:.4f}{left}")
                if now - saved > self.config.save_every_s:
                    self.save()
                    saved = now
                if evaluate is not None and not stop.code and now - evaluated > self.config.eval_every_s:
                    self.save()  # that takes minutes, and may be broken off
                    saved = time.monotonic()
                    self.record(evaluate(self.average.net))
                    evaluated = time.monotonic()
                    before -= evaluated - now  # evaluation does not count as training time
        finally:
            bar.close()
            self.save()
        if stop.code:
            tqdm.write(f"stopped after step {self.step}; --resume goes on")
            return
        if evaluate is not None and self.progress >= 1:
            self.record(evaluate(self.average.net))

    def _one_step(self) -> float:
        seed_step(self.config.seed, self.step)
        rate = learning_rate(self.config, self.step, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.net.train()
        for part in self._frozen:
            part.eval()
        loss = self._loss(self.net, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self.average.update(self.net, self.step)
        return float(loss.detach())

    def record(self, figures: dict[str, Any]) -> None:
        """Append a row to ``log.csv`` and draw ``curve.png`` again."""
        row = {"step": self.step, "minutes": round(self.elapsed_s / 60, 2), "loss": round(self.smoothed, 5)}
        row.update({k: round(v, 5) for k, v in figures.items()})
        path = self.config.out / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        tqdm.write("  ".join(f"{k} {v}" for k, v in row.items()))
        draw_curve(path, path.with_name("curve.png"))


def draw_curve(log: Path, picture: Path) -> None:
    """The columns of a ``log.csv`` over training time, as a picture."""
    from matplotlib.figure import Figure

    with log.open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    columns = [k for k in rows[0] if k not in ("step", "minutes", "loss")]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    minutes = [r["minutes"] for r in rows]
    for column in columns:
        axes.plot(minutes, [r[column] for r in rows], marker="o", markersize=3, label=column)
    axes.set_xlabel("training time [min]")
    axes.grid(alpha=0.3)
    if columns:
        axes.legend(loc="upper left")
    right = axes.twinx()
    right.plot(minutes, [r["loss"] for r in rows], color="grey", linestyle="--")
    right.set_ylabel("loss (dashed)")
    figure.savefig(picture, dpi=110)
