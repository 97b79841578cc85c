"""`python -m backbone`: classify, summary, validate, train, prune and export from the command line.

What needs torch is imported by the command that needs it, so that help, usage errors and the summary come at once.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbone import costs
from backbone.errors import BackboneError, InputError
from backbone.recipe import LEARNING_RATES, TrainConfig
from backbone.specs import DEFAULT_BACKBONE, get_spec, names

if TYPE_CHECKING:
    from backbone.prune import PrunePlan
    from backbone.selecsls import SelecSLS

Subparsers = Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Words after the program's name; None takes those of this process.

    Returns:
        Exit code: 0 done, 1 failed (one line on standard error says why), 3 done but something was left out,
        130 interrupted. Wrong usage leaves through `SystemExit` with 2.
    """
    parser = make_parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(level=given.log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr)
    command: Callable[[argparse.Namespace], int] = given.run
    try:
        return command(given)
    except BackboneError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; every sub-parser sets `run`."""
    parser = argparse.ArgumentParser(
        "python -m backbone", description="SelecSLS networks: use, measure, train, shrink."
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_classify, _add_summary, _add_validate, _add_train, _add_prune, _add_export):
        add(commands)
    return parser


def _size(text: str) -> tuple[int, int]:
    """`224` or `512x320` (width x height) as height and width [px]."""
    try:
        numbers = [int(word) for word in text.lower().split("x")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(1 <= number <= 8192 for number in numbers):
        raise argparse.ArgumentTypeError(f"need a size such as 224 or 512x320, not {text!r}")
    return numbers[-1], numbers[0]


def _add_network(parser: argparse.ArgumentParser, weights: str) -> None:
    known = ", ".join(names(variants=True))
    parser.add_argument("--backbone", help=f"network: {known}; default: that of the weights, or {DEFAULT_BACKBONE}")
    parser.add_argument("--weights", help=weights)


def _add_classify(commands: Subparsers) -> None:
    parser = commands.add_parser("classify", help="most probable classes of pictures, a video or a camera")
    parser.add_argument("source", nargs="?", help="picture, folder or video")
    parser.add_argument("--camera", type=int, metavar="N", help="camera by number instead")
    _add_network(parser, "imagenet, random, or a file; default: imagenet if it was fetched before, else random")
    parser.add_argument("--topk", type=int, default=5)
    parser.add_argument("--labels", type=Path, help="class names: one a line (id<tab>name), or a JSON list")
    parser.add_argument("--output", type=Path, help="also write results to a .json or .csv file")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")
    parser.add_argument("--drawings", type=Path, metavar="DIR", help="write pictures with the result drawn on them")
    parser.add_argument("--display", action=argparse.BooleanOptionalAction, help="show results in a window")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th picture or frame")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N pictures")
    parser.add_argument("--no-progress", dest="progress", action="store_false")
    parser.set_defaults(run=_classify)


def _classify(given: argparse.Namespace) -> int:
    from backbone.classify import ClassifyOptions, run

    if (given.source is None) == (given.camera is None):
        raise InputError("give one source: a picture, folder or video, or --camera N")
    source = given.source if given.camera is None else given.camera
    taken = {f.name: getattr(given, f.name) for f in fields(ClassifyOptions) if f.name != "source"}
    return run(ClassifyOptions(source=source, **taken))


def _add_summary(commands: Subparsers) -> None:
    parser = commands.add_parser("summary", help="parameters and multiply-adds")
    parser.add_argument("backbone", nargs="?", help="network; default: one line for each")
    parser.add_argument("--weights", type=Path, help="a file of pruned, folded or narrowed weights instead")
    parser.add_argument("--size", type=_size, default=(224, 224), metavar="WxH")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--strides", type=int, nargs="+", help="as feature extractor with maps at these strides")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_summary)


def _summary(given: argparse.Namespace) -> int:
    if given.weights is not None:
        from backbone.summary import layers
        from backbone.weights import load_model

        model = load_model(given.weights)[0]
        return _print_one(layers(model, given.size), model.spec.name, given)
    if given.backbone is not None:
        spec = get_spec(given.backbone, given.width)
        units = max(spec.taps_at(tuple(given.strides))) + 1 if given.strides else None
        return _print_one(costs.planned_layers(spec, given.size, units=units), spec.name, given)
    rows = []
    for name in names(variants=True):
        spec = get_spec(name, given.width)
        cost = costs.total(costs.planned_layers(spec, given.size))
        rows.append((name, cost.parameters, cost.trunk_parameters, cost.macs, cost.activations, costs.card_flops(spec)))
    keys = ("network", "parameters", "stem+levels", "MACs", "activations", "card FLOPs")
    if given.json:
        sys.stdout.write(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1) + "\n")
        return 0
    sys.stdout.write(f"{keys[0]:<16}" + "".join(f"{key:>16}" for key in keys[1:]) + "\n")
    for name, *numbers in rows:
        sys.stdout.write(f"{name:<16}" + "".join(f"{number:>16,}" for number in numbers) + "\n")
    return 0


def _print_one(rows: list[costs.Layer], name: str, given: argparse.Namespace) -> int:
    if given.json:
        cost = costs.total(rows)
        record = {"network": name, "parameters": cost.parameters, "macs": cost.macs}
        sys.stdout.write(json.dumps({**record, "activations": cost.activations}) + "\n")
    else:
        sys.stdout.write(costs.table(rows, name, given.size) + "\n")
    return 0


def _add_validate(commands: Subparsers) -> None:
    parser = commands.add_parser("validate", help="top-1 and top-5 on DIR/CLASS/picture.jpg")
    parser.add_argument("folder", type=Path, metavar="DIR")
    _add_network(parser, "imagenet, random, or a file; default: imagenet if it was fetched before, else random")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-progress", dest="progress", action="store_false")
    parser.set_defaults(run=_validate)


def _validate(given: argparse.Namespace) -> int:
    from backbone.classify import open_classifier
    from backbone.validate import validate

    classifier = open_classifier(given.backbone, given.weights, given.labels, given.device)
    sys.stderr.write(classifier.describe + "\n")
    found = validate(classifier, given.folder, given.batch, given.progress)
    sys.stdout.write((json.dumps(found.to_dict()) if given.json else found.text()) + "\n")
    return 3 if found.unreadable else 0


def _add_train(commands: Subparsers) -> None:
    parser = commands.add_parser(
        "train", help="train a classifier; works under torchrun", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DIR", help="with train/CLASS and val/CLASS, or CLASS folders")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", help="start from imagenet or a file")
    parser.add_argument("--optimizer", choices=tuple(LEARNING_RATES), default="sgd")
    helps = {
        "backbone": "network",
        "width": "factor on all channels",
        "epochs": "passes over the data",
        "batch": "pictures a step and process",
        "size_px": "side of the input",
        "lr": "peak learning rate; default by optimizer and batch",
        "decay": "weight decay",
        "warmup": "epochs of linear rise",
        "smoothing": "label smoothing",
        "ema": "decay of the weight average, 0: none",
        "dropout": "on the pooled features",
        "jitter": "colour jitter",
        "erase": "probability of random erasing",
        "smallest_area": "smallest share of the picture kept by cropping",
        "mirror": "probability of mirroring",
        "workers": "reading processes",
        "seed": "of everything random",
        "device": "auto, cpu, cuda, cuda:N",
    }
    for field in fields(TrainConfig):
        if field.name in helps:
            kind = float if field.default is None else type(field.default)
            parser.add_argument(
                "--" + field.name.replace("_", "-"), type=kind, default=field.default, help=helps[field.name]
            )
    parser.add_argument("--decay-norms", action="store_true", help="decay norms too: for filter sparsity")
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument("--resume", action="store_true", help="go on from last.pt in the output folder")
    parser.add_argument("--no-progress", dest="progress", action="store_false")
    parser.set_defaults(run=_train)


def _train(given: argparse.Namespace) -> int:
    from backbone.train import train

    config = TrainConfig(**{field.name: getattr(given, field.name) for field in fields(TrainConfig)})
    if not given.resume and (config.output / "last.pt").exists():
        raise InputError(f"{config.output} holds a run already: --resume goes on with it")
    history = train(config)
    if history:
        last = history[-1]
        sys.stdout.write(f"epoch {last.number}: loss {last.loss:.4f}, averaged top-1 {last.ema_top1:.2f} %\n")
    return 0


def _add_prune(commands: Subparsers) -> None:
    parser = commands.add_parser("prune", help="remove filters without scale, fold batch norms")
    parser.add_argument("weights", type=Path, metavar="FILE")
    parser.add_argument("--output", type=Path, metavar="FILE", help="safetensors to write; default: only report")
    parser.add_argument("--threshold", type=float, default=1e-3, help="largest batch-norm scale that counts as gone")
    parser.add_argument("--multiple", type=int, default=1, help="round kept channels up to a multiple of this")
    parser.add_argument("--plan", type=Path, metavar="JSON", help="write the plan here, or with --apply read it")
    parser.add_argument("--apply", action="store_true", help="apply the plan in --plan instead of making one")
    parser.add_argument("--fold", action="store_true", help="fold batch norms after pruning")
    parser.add_argument("--size", type=_size, default=(224, 224), metavar="WxH", help="for the report")
    parser.add_argument("--repeats", type=int, default=10, help="timed runs for the report")
    parser.set_defaults(run=_prune)


def _prune(given: argparse.Namespace) -> int:
    if given.apply and given.plan is None:
        raise InputError("--apply needs --plan FILE")
    from backbone.fold import fold_batch_norm
    from backbone.prune import apply_plan, compare, plan_pruning
    from backbone.weights import load_model, save_model

    model, info = load_model(given.weights)
    plan = _read_plan(given.plan) if given.apply else plan_pruning(model, given.threshold, given.multiple)
    smaller = apply_plan(model, plan)
    if given.plan is not None and not given.apply:
        _write_text(given.plan, json.dumps(plan.to_dict()))
    if given.fold:
        smaller = fold_batch_norm(smaller)
    sys.stdout.write(compare(model, smaller, given.size, max(1, given.repeats)).text() + "\n")
    if given.output is not None:
        save_model(smaller, given.output, {**info.extra, "pruned": {"threshold": plan.threshold}})
    return 0


def _read_plan(path: Path) -> PrunePlan:
    from backbone.prune import PrunePlan

    try:
        return PrunePlan.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read a plan from {path}: {error}") from error


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _add_export(commands: Subparsers) -> None:
    parser = commands.add_parser("export", help="ONNX (.onnx) or OpenVINO (.xml), compared with the original")
    parser.add_argument("output", type=Path, metavar="FILE")
    _add_network(parser, "imagenet, random, or a file; default: random")
    parser.add_argument("--size", type=_size, default=(224, 224), metavar="WxH")
    parser.add_argument("--dynamic-size", action="store_true", help="let height and width vary")
    parser.add_argument(
        "--strides", type=int, nargs="+", help="export feature maps at these strides instead of classes"
    )
    parser.add_argument("--fold", action="store_true", help="fold batch norms first")
    parser.add_argument("--half", action="store_true", help="OpenVINO: store float16")
    parser.set_defaults(run=_export)


def _export(given: argparse.Namespace) -> int:
    from backbone.export import export_onnx, export_openvino
    from backbone.fold import fold_batch_norm
    from backbone.selecsls import norm_free

    model = _network(given)
    if given.fold and not norm_free(model):
        model = fold_batch_norm(model)
    suffix = given.output.suffix.lower()
    if suffix == ".onnx":
        report = export_onnx(model, given.output, given.size, given.dynamic_size)
    elif suffix == ".xml":
        report = export_openvino(model, given.output, given.size, given.dynamic_size, given.half)
    else:
        raise InputError(f"exports end in .onnx or .xml, not {given.output.name!r}")
    sys.stdout.write(
        f"{report.path}: {report.size_bytes:,} bytes, outputs {', '.join(report.outputs)}, "
        f"largest relative difference {report.difference:.1e}, weights: {model.weights_origin}\n"
    )
    return 0


def _network(given: argparse.Namespace) -> SelecSLS:
    """The network to export: by name, or with everything that a file says about it."""
    from backbone.registry import create_model
    from backbone.weights import load_model, read_weights

    name = given.backbone or DEFAULT_BACKBONE
    strides = tuple(given.strides) if given.strides else None
    published = given.weights is None or given.weights in ("random", "imagenet")
    weights = None if given.weights in (None, "random") else given.weights
    if strides is not None:
        if not published and given.backbone is None:
            info = read_weights(given.weights)[1]
            name = info.spec.name if info else name
        return create_model(name, weights, features_only=True, out_strides=strides)
    if published:
        return create_model(name, weights)
    model = load_model(given.weights)[0]
    if given.backbone not in (None, model.spec.name):
        raise InputError(f"{given.weights} holds {model.spec.name}, not {given.backbone}")
    return model
