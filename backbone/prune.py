"""Implicit filter pruning: channels that training left without a scale are found (a plan) and cut out (applied).

Adaptive optimisers with L2 decay drive many batch-norm scales to zero (Mehta et al., CVPR 2019). Such a channel gives the
same value at every pixel, ReLU(shift), whatever comes in. It can go from its own convolution and from all that read it:
the next unit, the merge of its block, and, through the level's long skip, every later merge of the level. What its
constant value contributed there moves into the readers' norms, so nothing changes but the zero padding's border,
and nothing at all where the constant is zero.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from backbone.errors import BackboneError
from backbone.selecsls import Classifier, ConvUnit, FeatureNet, SelecSLS, conv_units, norm_free
from backbone.specs import ModelSpec
from backbone.summary import summarise

Model = TypeVar("Model", bound=SelecSLS)

_BRANCHES = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6")


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What stays of a network, as data that can be read, stored and changed before it is applied.

    Attributes:
        model: Name of the network that the plan was made for.
        threshold: Channels with a batch-norm scale of at most this size were up for removal.
        channels: Number of channels of every convolution unit before, by dotted name.
        keep: Kept channel indices of every unit, rising, at least one each.
    """

    model: str
    threshold: float
    channels: dict[str, int]
    keep: dict[str, tuple[int, ...]]

    @property
    def removed(self) -> int:
        """How many channels go."""
        return sum(self.channels.values()) - sum(map(len, self.keep.values()))

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, for JSON."""
        return {
            "model": self.model,
            "threshold": self.threshold,
            "channels": self.channels,
            "keep": {name: list(kept) for name, kept in self.keep.items()},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PrunePlan:
        """The plan that `to_dict` wrote.

        Raises:
            BackboneError: Not such a record.
        """
        try:
            keep = {str(name): tuple(int(i) for i in kept) for name, kept in data["keep"].items()}
            return cls(str(data["model"]), float(data["threshold"]), dict(data["channels"]), keep)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BackboneError(f"not a pruning plan: {error!r}") from error


def plan_pruning(model: SelecSLS, threshold: float = 1e-3, multiple: int = 1, protect: Iterable[str] = ()) -> PrunePlan:
    """Choose the channels to keep; the network is only read.

    Args:
        model: A network with batch norm. The maps that a feature extractor returns keep all their channels, so that
            whatever reads them goes on to fit.
        threshold: Largest size of a batch-norm scale that counts as gone, at least 0.
        multiple: Round kept counts up to a multiple of this (hardware likes 8 or 16); the strongest of the channels up
            for removal stay.
        protect: Further units, by dotted name, that keep all channels.

    Raises:
        BackboneError: A folded network (the scales are gone), a negative threshold, or an unknown unit in `protect`.
    """
    if norm_free(model):
        raise BackboneError("a folded network cannot be pruned: prune first, then fold")
    if not threshold >= 0 or multiple < 1:
        raise BackboneError(f"need a threshold >= 0 and a multiple >= 1, not {threshold} and {multiple}")
    units = conv_units(model)
    order = ["stem", *(f"features.{i}.conv6" for i in range(len(model.spec.blocks)))]
    order += [f"head.{i}" for i in range(len(model.spec.head))]
    whole = set(protect) | ({order[tap] for tap in model.taps} if isinstance(model, FeatureNet) else set())
    if whole - set(units):
        raise BackboneError(f"no unit {sorted(whole - set(units))[0]!r} in this network")
    keep: dict[str, tuple[int, ...]] = {}
    for name, unit in units.items():
        scale = unit.norm.weight.detach().abs().cpu()
        count = len(scale) if name in whole else int((scale > threshold).sum())
        count = min(len(scale), -(-max(count, 1) // multiple) * multiple)
        strongest = torch.sort(scale, descending=True, stable=True).indices[:count]
        keep[name] = tuple(int(i) for i in strongest.sort().values)
    return PrunePlan(model.spec.name, threshold, {name: unit.conv.out_channels for name, unit in units.items()}, keep)


def apply_plan(model: Model, plan: PrunePlan) -> Model:
    """A smaller copy of a network with the planned channels only.

    Args:
        model: The network that the plan was made for; it is left as it is.
        plan: From `plan_pruning`, possibly changed.

    Returns:
        A network of the same class, in evaluation mode, whose `spec` tells the new channel counts.

    Raises:
        BackboneError: The plan does not fit the network.
    """
    units = conv_units(model)
    if norm_free(model) or {name: unit.conv.out_channels for name, unit in units.items()} != plan.channels:
        raise BackboneError(f"this plan was made for another network ({plan.model}), or for one before folding")
    if plan.keep.keys() != plan.channels.keys():
        raise BackboneError("the plan must name every unit of the network")
    for name, kept in plan.keep.items():
        if not kept or list(kept) != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= plan.channels[name]:
            raise BackboneError(f"the plan keeps impossible channels of {name}: {kept[:8]}")
    smaller = _rebuild(model, _pruned_spec(model.spec, plan))
    sources = _readers(model.spec, set(units))
    new_units = conv_units(smaller)
    with torch.no_grad():
        for name, unit in units.items():
            _copy_unit(unit, new_units[name], plan.keep[name], *_inputs(units, plan, sources[name]))
        if isinstance(model, Classifier) and isinstance(model.fc, nn.Linear):
            assert isinstance(smaller, Classifier)
            assert isinstance(smaller.fc, nn.Linear)
            inputs, constants = _inputs(units, plan, (_last(units),))
            smaller.fc.weight.copy_(model.fc.weight[:, inputs])
            smaller.fc.bias.copy_(model.fc.bias + model.fc.weight @ constants)
    smaller.weights_origin = f"{model.weights_origin}, pruned at {plan.threshold:g}"
    return smaller


def _last(units: dict[str, ConvUnit]) -> str:
    return list(units)[-1]


def _pruned_spec(spec: ModelSpec, plan: PrunePlan) -> ModelSpec:
    """The channel table after pruning; units that a feature extractor does not have keep their row's counts."""

    def left(name: str, otherwise: int) -> int:
        return len(plan.keep[name]) if name in plan.keep else otherwise

    stem = before = left("stem", spec.stem_channels)
    blocks, level = [], 0
    for index, block in enumerate(spec.blocks):
        a, b1, b2, c1, c2, out = (
            left(f"features.{index}.{branch}", width) for branch, width in zip(_BRANCHES, block.widths, strict=True)
        )
        skip = level if block.skip_channels else 0
        blocks.append(replace(block, in_channels=before, skip_channels=skip, widths=(a, b1, b2, c1, c2, out)))
        before = out
        level = level if block.skip_channels else before
    head = []
    for index, unit in enumerate(spec.head):
        head.append(replace(unit, in_channels=before, out_channels=left(f"head.{index}", unit.out_channels)))
        before = head[-1].out_channels
    return replace(spec, blocks=tuple(blocks), head=tuple(head), stem_channels=stem)


def _rebuild(model: Model, spec: ModelSpec) -> Model:
    """An empty network of the same class for another channel table, on the same device."""
    new: SelecSLS
    if isinstance(model, Classifier):
        new = Classifier(spec, model.num_classes, model.dropout.p)
    elif isinstance(model, FeatureNet):
        new = FeatureNet(spec, tuple(model.strides))
    else:
        raise BackboneError(f"cannot rebuild a {type(model).__name__}")
    return cast(Model, new.to(next(model.parameters()).device).eval())


def _readers(spec: ModelSpec, present: set[str]) -> dict[str, tuple[str, ...]]:
    """For each unit the units whose outputs it reads, in the order of its input channels; none for the stem."""
    reads: dict[str, tuple[str, ...]] = {"stem": ()}
    before, level = "stem", ""
    for index, block in enumerate(spec.blocks):
        a, b1, b2, c1, c2, merge = (f"features.{index}.{branch}" for branch in _BRANCHES)
        reads |= {a: (before,), b1: (a,), b2: (b1,), c1: (b2,), c2: (c1,)}
        reads[merge] = (a, b2, c2, level) if block.skip_channels else (a, b2, c2)
        level = level if block.skip_channels else merge
        before = merge
    for index in range(len(spec.head)):
        reads[f"head.{index}"] = (before,)
        before = f"head.{index}"
    return {name: sources for name, sources in reads.items() if name in present}


def _inputs(units: dict[str, ConvUnit], plan: PrunePlan, sources: tuple[str, ...]) -> tuple[list[int], Tensor]:
    """Kept input channels of a reader of `sources`, and the constant value of each input channel (0 for kept ones)."""
    device = next(iter(units.values())).conv.weight.device
    if not sources:
        return [0, 1, 2], torch.zeros(3, device=device)
    kept: list[int] = []
    constants: list[Tensor] = []
    start = 0
    for source in sources:
        kept += [start + index for index in plan.keep[source]]
        values = units[source].norm.bias.detach().clamp(min=0).clone()
        values[list(plan.keep[source])] = 0
        constants.append(values)
        start += plan.channels[source]
    return kept, torch.cat(constants)


def _copy_unit(old: ConvUnit, new: ConvUnit, keep: tuple[int, ...], inputs: list[int], constants: Tensor) -> None:
    """Copy the kept part of a unit; the removed inputs' constant contribution moves into the running mean."""
    rows = list(keep)
    new.conv.weight.copy_(old.conv.weight[rows][:, inputs])
    for key in ("weight", "bias", "running_mean", "running_var"):
        getattr(new.norm, key).copy_(getattr(old.norm, key)[rows])
    assert new.norm.running_mean is not None
    new.norm.running_mean.sub_((old.conv.weight.sum(dim=(2, 3)) @ constants)[rows])
    assert new.norm.num_batches_tracked is not None
    assert old.norm.num_batches_tracked is not None
    new.norm.num_batches_tracked.copy_(old.norm.num_batches_tracked)


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What pruning gained.

    Attributes:
        channels: Channels of all convolution units, before and after.
        parameters: Trained numbers, before and after.
        macs: Multiply-adds for one picture, before and after.
        time_ms: Median time of one picture through the network [ms], before and after.
    """

    channels: tuple[int, int]
    parameters: tuple[int, int]
    macs: tuple[int, int]
    time_ms: tuple[float, float]

    def text(self) -> str:
        """The report as aligned lines."""
        rows = [
            ("channels", f"{self.channels[0]:,}", f"{self.channels[1]:,}", self.channels),
            ("parameters", f"{self.parameters[0]:,}", f"{self.parameters[1]:,}", self.parameters),
            ("MACs", f"{self.macs[0]:,}", f"{self.macs[1]:,}", self.macs),
            ("time [ms]", f"{self.time_ms[0]:.1f}", f"{self.time_ms[1]:.1f}", self.time_ms),
        ]
        lines = [f"{'':<12}{'before':>16}{'after':>16}{'saved':>9}"]
        lines += [f"{n:<12}{b:>16}{a:>16}{100 * (1 - v[1] / v[0]):>8.1f}%" for n, b, a, v in rows]
        return "\n".join(lines)


def compare(before: SelecSLS, after: SelecSLS, size: tuple[int, int] = (224, 224), repeats: int = 10) -> PruneReport:
    """Measure two networks on one picture of height and width `size` [px]; runs alternate, so that load hits both."""
    costs = [summarise(model, size) for model in (before, after)]
    channels = [sum(unit.conv.out_channels for unit in conv_units(model).values()) for model in (before, after)]
    times: tuple[list[float], list[float]] = ([], [])
    device = next(before.parameters()).device
    x = torch.zeros(1, 3, *size, device=device)
    modes = before.training, after.training
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for model, record in zip((before.eval(), after.eval()), times, strict=True):
                start = time.perf_counter()
                model(x)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                record.append(1e3 * (time.perf_counter() - start))
    before.train(modes[0])
    after.train(modes[1])
    return PruneReport(
        (channels[0], channels[1]),
        (costs[0].parameters, costs[1].parameters),
        (costs[0].macs, costs[1].macs),
        (statistics.median(times[0][1:]), statistics.median(times[1][1:])),
    )
