"""Training of Stage II: ``python -m xnect.training.stage2 --data MOTION_FOLDER``.

One batch per step, made on the fly from the step's own seed, so that a run taken up again is the same run.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sys
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from xnect.errors import ConfigError, WeightsError
from xnect.stages.lifting import LiftingWeights, load_weights
from xnect.training import checkpoints, stopping
from xnect.training.detected import read
from xnect.training.lifting_data import Imitation, LiftingBatch, detected_batch, joined, make_batch
from xnect.training.lifting_model import LiftingNet, export, lifting_loss, placed, take_over
from xnect.training.lifting_poses import PoseSampler
from xnect.training.loop import mixed_precision
from xnect.training.stage2_options import Stage2Recipe, build_parser

#: The running average moves every so many steps, since it costs a tenth of a step.
AVERAGE_EVERY = 4
CREDIT = (
    "Trained on motion of the CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu, created with funding from NSF "
    "EIA-0196217) and of UI-PRMD (Vakanski et al. 2018, ODC-PDDL 1.0)."
)

SYNTHETIC = " Then on what Stage I finds in synthetic pictures of xnect synth (credits in docs/synthetic.md)."


class Stage2Trainer:
    """A training that can be stopped after any step and taken up again exactly there."""

    def __init__(
        self, recipe: Stage2Recipe, data: Path, device: str = "cpu", init: Path | None = None,
        detections: Path | None = None,
    ) -> None:  # fmt: skip
        """Read the motion and what was detected, and build the network, from exported weights where some are given.

        Raises:
            SourceError: ``data`` is not a motion folder.
            FormatError: ``detections`` is no such file.
            WeightsError: ``init`` cannot be used.
        """
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.step = recipe, torch.device(device), 0
        self.sampler = PoseSampler(data, "train", recipe.part)
        self.imitation = Imitation(encoding=recipe.encoding)
        self.detected = None if detections is None else read(detections)
        self.before: LiftingWeights | None = None
        net = LiftingNet(recipe.width, recipe.blocks)
        if init is not None:
            self.before = load_weights(init)
            take_over(net, self.before.layers, torch.from_numpy(self.batch(recipe.steps).inputs))
        self.net = net.to(self.device)
        self._bf16 = mixed_precision(self.device)
        self.averaged = LiftingNet(recipe.width, recipe.blocks).to(self.device).eval()
        self.averaged.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.AdamW(self.net.parameters(), recipe.rate, weight_decay=recipe.decay, fused=True)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = max(1, round(0.03 * self.recipe.steps))
        if step < warm:
            return self.recipe.rate * (step + 1) / warm
        done = (step - warm) / max(1, self.recipe.steps - warm)
        return self.recipe.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2)

    def batch(self, step: int) -> LiftingBatch:
        """The people of a step; the same whenever it is asked for."""
        rng, count = np.random.default_rng((self.recipe.seed, step)), self.recipe.batch
        if self.detected is None:
            return make_batch(self.sampler, rng, count, self.imitation)
        real = round(self.recipe.detected * count)
        drawn = make_batch(self.sampler, rng, count - real, self.imitation)
        return joined([drawn, detected_batch(self.detected, rng, real, self.imitation.focal_error)])

    def batches(self) -> Generator[LiftingBatch, None, None]:
        """Batches from the present step on; the next is made while the present one is learnt."""
        with ThreadPoolExecutor(1) as worker:
            upcoming: Future[LiftingBatch] = worker.submit(self.batch, self.step)
            for step in range(self.step, self.recipe.steps):
                ready = upcoming.result()
                if step + 1 < self.recipe.steps:
                    upcoming = worker.submit(self.batch, step + 1)
                yield ready

    def learn(self, batch: LiftingBatch) -> tuple[float, float]:
        """One optimiser step; returns the loss and the mean joint error [m]."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.net.train()
        inputs = torch.from_numpy(batch.inputs).to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16):
            outputs = self.net(inputs)
        joints, root = (torch.from_numpy(a).to(self.device) for a in (batch.joints_m, batch.root))
        loss, error = lifting_loss(outputs.float(), inputs, joints, root)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self._average()
        return float(loss.detach()), float(error)

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step)) ** AVERAGE_EVERY
        for mean, now in zip(self.averaged.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)

    @torch.no_grad()
    def validate(self, batch: LiftingBatch) -> float:
        """Mean joint error of the averaged network on people of whom something is seen [mm]."""
        inputs = torch.from_numpy(batch.inputs)
        points = placed(self.averaged(inputs.to(self.device)).float().cpu(), inputs)
        error = (points - torch.from_numpy(batch.joints_m))[:, :21].norm(dim=-1).mean(1)
        return 1000 * float(error[torch.from_numpy((batch.frame.weight > 0).any(1))].mean())

    def save(self, path: Path) -> None:
        """Write a checkpoint (in one go: a run killed while writing leaves the old one)."""
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        checkpoints.save(path, state)

    def resume(self, path: Path) -> None:
        """Take up a checkpoint.

        Raises:
            WeightsError: It cannot be read, or belongs to another recipe.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            raise WeightsError(f"cannot read checkpoint {path}: {error}") from error
        if state["recipe"] != asdict(self.recipe):
            other = [k for k, v in asdict(self.recipe).items() if state["recipe"].get(k) != v]
            raise WeightsError(f"checkpoint {path} belongs to another recipe: {', '.join(other)} differ")
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def train(
    recipe: Stage2Recipe, data: Path, output: Path, *, resume: bool = False, device: str = "cpu",
    init: Path | None = None, detections: Path | None = None,
) -> Path:  # fmt: skip
    """Train, log and export.

    Writes ``log.csv``, ``checkpoint.pt`` and ``stage2.safetensors`` with its JSON into ``output``.

    Returns:
        The weights file.

    Raises:
        XnectError: Data or checkpoint cannot be used.
        SystemExit: Ctrl-C or SIGTERM came; the checkpoint was written.
    """
    trainer = Stage2Trainer(recipe, data, device, init, detections)
    output.mkdir(parents=True, exist_ok=True)
    checkpoint, log = output / "checkpoint.pt", output / "log.csv"
    if checkpoint.exists():
        if not resume:
            raise ConfigError(f"{output} holds a training already: --resume goes on with it, or name another folder")
        trainer.resume(checkpoint)
    # Without encoding, as long as Stage I has none to give: that is what the figure should tell.
    held_out = make_batch(PoseSampler(data, "train", "tune"), np.random.default_rng(12345), 8192, Imitation())
    every = max(1, recipe.steps // 40)
    started, error_mm = time.perf_counter(), float("nan")
    bar = tqdm(total=recipe.steps, initial=trainer.step, desc="stage2", unit="step", file=sys.stderr)
    with stopping.heard() as stop, contextlib.closing(trainer.batches()) as batches:
        for batch in batches:
            loss, error = trainer.learn(batch)
            error_mm = error * 1000 if math.isnan(error_mm) else 0.98 * error_mm + 0.02 * error * 1000
            bar.update()
            if trainer.step % every == 0 or trainer.step == recipe.steps:
                tuned = trainer.validate(held_out)
                bar.set_postfix(mm=f"{error_mm:.1f}", held_out=f"{tuned:.1f}")
                _log(log, trainer, loss, error_mm, tuned, time.perf_counter() - started)
                trainer.save(checkpoint)
            if stop.code:
                trainer.save(checkpoint)
                bar.write(f"stopped after step {trainer.step}; --resume goes on")
                break
    bar.close()
    weights = output / "stage2.safetensors"
    before = () if trainer.before is None else trainer.before.layers
    export(trainer.averaged, weights, _card(trainer, recipe), before, recipe.keep)
    return weights


def _log(path: Path, trainer: Stage2Trainer, loss: float, error_mm: float, tuned: float, seconds: float) -> None:
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "rate", "loss", "train_mm", "held_out_mm", "seconds"])
        row = [trainer.step, f"{trainer.rate(trainer.step):.3e}", f"{loss:.5f}", f"{error_mm:.2f}", f"{tuned:.2f}"]
        writer.writerow([*row, f"{seconds:.1f}"])


def _card(trainer: Stage2Trainer, recipe: Stage2Recipe) -> dict[str, Any]:
    return {
        "encoding": recipe.encoding > 0 or (trainer.detected is not None and trainer.detected.encoding is not None),
        "training": {**asdict(recipe), "step": trainer.step, "samples": trainer.step * recipe.batch},
        **({} if trainer.before is None else {"began_with": trainer.before.card.get("training")}),
        "data": CREDIT if trainer.detected is None else CREDIT + SYNTHETIC,
        "licence": "CC-BY-4.0",
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code. Raises XnectError for what the user can mend."""
    options = vars(build_parser().parse_args(arguments))
    torch.set_num_threads(options.pop("threads"))
    data, output = options.pop("data"), options.pop("output")
    given = {k: options.pop(k) for k in ("resume", "device", "init", "detections")}
    weights = train(Stage2Recipe(**options), data, output, **given)
    sys.stderr.write(json.dumps({"weights": str(weights)}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
