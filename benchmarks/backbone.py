"""Measures the backbone: `speed` beside ResNet-50, and `learn`, whether the trainer and the pruning do what they claim.

python benchmarks/backbone.py speed --device cpu --engine torch --output speed.json
python benchmarks/backbone.py learn --output learn.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a checkout, without installing

from backbone.classify import ImageClassifier
from backbone.export import OPSET
from backbone.fold import fold_batch_norm
from backbone.labels import plain_labels
from backbone.preprocess import Preprocessing
from backbone.prune import apply_plan, compare, plan_pruning
from backbone.recipe import TrainConfig
from backbone.registry import create_model
from backbone.train import train
from backbone.validate import validate
from backbone.weights import load_model, save_model

BASE = "resnet50"


class Bottleneck(nn.Module):
    """The residual unit of ResNet-50, version 1.5: the stride is in the 3x3 convolution."""

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(True))
        self.second = nn.Sequential(
            nn.Conv2d(inner, inner, 3, stride, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(True)
        )
        self.third = nn.Sequential(nn.Conv2d(inner, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner))
        self.short = nn.Identity()
        if stride > 1 or channels != 4 * inner:
            self.short = nn.Sequential(nn.Conv2d(channels, 4 * inner, 1, stride, bias=False), nn.BatchNorm2d(4 * inner))

    def forward(self, x: Tensor) -> Tensor:
        """Add the unit's function to its input."""
        return torch.relu_(self.third(self.second(self.first(x))) + self.short(x))


def resnet50() -> nn.Module:
    """ResNet-50 by its published table: 25,557,032 parameters, 4.09 G multiply-adds at 224 x 224."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True)]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for level, (inner, units) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for unit in range(units):
            layers.append(Bottleneck(channels, inner, 2 if unit == 0 and level > 0 else 1))
            channels = 4 * inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def make(name: str) -> nn.Module:
    """A network by name; a trailing `+fold` folds its batch norms."""
    plain, _, fold = name.partition("+")
    model = resnet50() if plain == BASE else create_model(plain)
    return fold_batch_norm(model) if fold else model.eval()


def torch_runner(model: nn.Module, x: Tensor, args: argparse.Namespace) -> Callable[[], None]:
    """A call that runs the network once in torch and waits for the end."""
    device = torch.device(args.device)
    model, x = model.to(device), x.to(device)
    if args.half:
        model, x = model.half(), x.half()
    if device.type == "cuda":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if args.compile:
        model = torch.compile(model)

    def run() -> None:
        with torch.inference_mode():
            model(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def openvino_runner(model: nn.Module, x: Tensor, args: argparse.Namespace) -> Callable[[], None]:
    """A call that runs the network once in OpenVINO on the CPU, in float32."""
    import warnings

    import openvino as ov

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(model, (x,), str(path), opset_version=OPSET, dynamo=False)
        hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": args.threads}
        compiled = ov.Core().compile_model(ov.Core().read_model(path), "CPU", hints)
    request, array = compiled.create_infer_request(), x.numpy()
    return lambda: request.infer([array], share_inputs=True) and None


def machine(args: argparse.Namespace) -> dict[str, object]:
    """Where and when this was measured."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = found[0] if found else name
    if args.device.startswith("cuda"):
        name = torch.cuda.get_device_name(args.device)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "device": name,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
    }


def speed(args: argparse.Namespace) -> dict[str, object]:
    """Median time of a forward pass; the networks take turns, so that other load hits all alike."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    models = {name: make(name) for name in (BASE, *args.networks)}
    runner = openvino_runner if args.engine == "openvino" else torch_runner
    rows: dict[str, dict[str, float]] = {name: {} for name in models}
    ratios: dict[str, dict[str, float]] = {name: {} for name in models}
    for size in args.sizes:
        for batch in args.batches:
            x, key = torch.randn(batch, 3, size, size), f"{size} b{batch}"
            times: dict[str, list[float]] = {name: [] for name in models}
            runs = {name: runner(model, x, args) for name, model in models.items()}
            for run in runs.values():
                run()
            start = time.perf_counter()
            while len(times[BASE]) < args.repeats or time.perf_counter() - start < args.seconds:
                for name, run in runs.items():
                    begin = clock()
                    run()
                    times[name].append(1e3 * (clock() - begin))
            for name, found in times.items():
                rows[name][key] = statistics.median(found)
                # a ratio for each turn, then their median: neighbours in time saw the same load
                ratios[name][key] = statistics.median(b / own for b, own in zip(times[BASE], found, strict=True))
            print(f"{key}: " + ", ".join(f"{n} {r[key]:.1f} ms" for n, r in rows.items()), file=sys.stderr)
    keys = list(rows[BASE])
    print(f"| network | {' | '.join(keys)} |\n|---|{'---|' * len(keys)}")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[key]:.1f} ms ({ratios[name][key]:.2f})" for key in keys) + " |")
    setting = {
        "engine": args.engine,
        "threads": args.threads,
        "clock": args.clock,
        "half": args.half,
        "compile": args.compile,
    }
    return {**machine(args), **setting, "median_ms": rows, "resnet50_over_network": ratios}


SHAPES = ("cross", "disc", "ring", "square", "star", "triangle")


def draw_shape(kind: str, size: int, random: np.random.Generator) -> np.ndarray:
    """A picture uint8 (size, size, 3) of one shape at a random place, size, turn and colour before an uneven ground."""
    bright = bool(random.integers(2))
    ground = random.uniform(150 * bright, 100 + 150 * bright, 3) + random.uniform(-25, 25, (4, 4, 3))
    image = cv2.resize(ground.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    radius = size * random.uniform(0.25, 0.4)
    centre = random.uniform(radius, size - radius, 2)
    turn, corners = random.uniform(0, 2 * np.pi), {"square": 4, "triangle": 3, "star": 10, "cross": 12}.get(kind, 48)
    angle = turn + np.arange(corners) * 2 * np.pi / corners
    reach = np.full(corners, radius)
    if kind == "star":
        reach[1::2] *= 0.42
    elif kind == "cross":
        angle = turn + np.array([[q - 0.33, q, q + 0.33] for q in np.arange(4) * np.pi / 2]).ravel()
        reach = np.tile([radius, radius * 0.95, radius], 4)
        inner = turn + np.arange(4) * np.pi / 2 + np.pi / 4
        angle = np.concatenate([angle.reshape(4, 3), inner[:, None]], axis=1).ravel()
        reach = np.concatenate([reach.reshape(4, 3), np.full((4, 1), radius * 0.45)], axis=1).ravel()
    points = (centre + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)) * 16
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 255, cv2.LINE_AA, 4)
    if kind == "ring":
        cv2.circle(mask, tuple(int(c * 16) for c in centre), int(radius * 0.55 * 16), 0, -1, cv2.LINE_AA, 4)
    share = mask[..., None].astype(np.float32) / 255
    image = image * (1 - share) + random.uniform(150 * (not bright), 100 + 150 * (not bright), 3) * share
    return np.clip(image + random.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def write_shapes(folder: Path, each: int, size: int, seed: int, kinds: tuple[str, ...] = SHAPES) -> None:
    """Write `each` pictures of every shape as `folder/SHAPE/NUMBER.png`."""
    random = np.random.default_rng(seed)
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for index in range(each):
            cv2.imwrite(str(folder / kind / f"{index:04d}.png"), draw_shape(kind, size, random))


def learn(args: argparse.Namespace) -> dict[str, object]:
    """Train on generated shapes with SGD and with Adam and L2 decay; prune, fold and validate what came of it."""
    torch.set_num_threads(args.threads)
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_shapes(root / "data" / "train", args.each, 64, seed=1)
        write_shapes(root / "data" / "val", args.each // 4, 64, seed=2)
        for optimizer in args.optimizers:
            decay, norms = (1e-4, False) if optimizer == "sgd" else (args.sparse_decay, True)
            config = TrainConfig(
                root / "data", root / optimizer, "selecsls42", width=0.125, epochs=args.epochs, batch=32, size_px=64,
                optimizer=optimizer, lr=0.05 if optimizer == "sgd" else 1e-2, decay=decay, decay_norms=norms, warmup=1,
                ema=0.99, erase=0.1, jitter=0.2, smallest_area=0.7, workers=0, device=args.device, progress=False,
            )  # fmt: skip
            start = time.perf_counter()
            history = train(config)
            seconds = time.perf_counter() - start
            print(f"{optimizer}: {[round(h.ema_top1, 1) for h in history]} in {seconds:.0f} s", flush=True)
            model, info = load_model(root / optimizer / "best.safetensors")
            smaller = apply_plan(model, plan_pruning(model, args.threshold))
            report = compare(model.eval(), smaller, (64, 64))
            save_model(fold_batch_norm(smaller), root / "small.safetensors", info.extra)
            tiny, tiny_info = load_model(root / "small.safetensors")
            how = Preprocessing.from_dict(tiny_info.extra["preprocessing"])
            scores = [
                validate(ImageClassifier(m, plain_labels(SHAPES), how, args.device), root / "data" / "val", 32, False)
                for m in (model, tiny)
            ]
            print(report.text())
            print(f"top-1 before {scores[0].top1:.2f} %, pruned and folded {scores[1].top1:.2f} %\n")
            found[optimizer] = {
                "top1": [h.ema_top1 for h in history],
                "channels": report.channels,
                "parameters": report.parameters,
                "macs": report.macs,
                "time_ms": report.time_ms,
                "top1_before_and_after": [score.top1 for score in scores],
            }
    return {**machine(args), "chance_top1": 100 / len(SHAPES), **found}


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, help="also write JSON here")
    kinds = parser.add_subparsers(required=True)
    fast = kinds.add_parser("speed")
    fast.add_argument(
        "--networks", nargs="*", default=["selecsls42b", "selecsls60", "selecsls60b", "selecsls60+fold", "selecsls84"]
    )
    fast.add_argument("--engine", choices=("torch", "openvino"), default="torch")
    fast.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a shared machine, with one thread"
    )
    fast.add_argument("--half", action="store_true", help="float16, for GPUs")
    fast.add_argument("--compile", action="store_true")
    fast.add_argument("--sizes", type=int, nargs="+", default=[224, 400, 512])
    fast.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    fast.add_argument("--repeats", type=int, default=5, help="turns at least")
    fast.add_argument("--seconds", type=float, default=2.0, help="time per cell at least")
    fast.set_defaults(run=speed)
    small = kinds.add_parser("learn")
    small.add_argument("--each", type=int, default=150, help="training pictures of each shape")
    small.add_argument("--epochs", type=int, default=40)
    small.add_argument("--optimizers", nargs="+", default=["sgd", "adam"], help="sgd, adam, adamw")
    small.add_argument("--sparse-decay", type=float, default=1e-2, help="L2 of the Adam run")
    small.add_argument("--threshold", type=float, default=1e-3)
    small.set_defaults(run=learn)
    args = parser.parse_args()
    result = args.run(args)
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
