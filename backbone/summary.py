"""What a network costs: parameters, multiply-adds and activations, layer by layer, without computing anything."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backbone.selecsls import Classifier, SelecSLS, conv_units


@dataclass(frozen=True, slots=True)
class Layer:
    """Cost of one layer for one picture.

    Attributes:
        name: Dotted name in the state dict.
        shape: Shape of the output without the batch: (channels, height, width), or (channels,).
        parameters: Trained numbers, batch norm included.
        macs: Multiply-adds of convolutions and linear layers; norms and activations are not counted.
        kind: Class name of the layer.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    kind: str

    @property
    def elements(self) -> int:
        """Numbers in the output."""
        total = 1
        for length in self.shape:
            total *= length
        return total


def layers(model: nn.Module, size: tuple[int, int] = (224, 224)) -> list[Layer]:
    """Cost of every convolution, batch norm, ReLU and linear layer, in running order.

    Args:
        model: Any network of this package, or any other that is made of such layers.
        size: Height and width of the picture [px].
    """
    ghost = copy.deepcopy(model).to("meta").eval()
    found: list[Layer] = []

    def hook(name: str, module: nn.Module) -> None:
        def record(_: nn.Module, __: object, output: Tensor) -> None:
            shape = tuple(output.shape[1:])
            parameters = sum(p.numel() for p in module.parameters())
            found.append(Layer(name, shape, parameters, _macs(module, shape), type(module).__name__))

        module.register_forward_hook(record)

    for name, module in ghost.named_modules():
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Linear)):
            hook(name, module)
    with torch.no_grad():
        ghost(torch.empty(1, 3, *size, device="meta"))
    return found


def _macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    if isinstance(module, nn.Conv2d):
        per_value = module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
        return per_value * shape[0] * shape[1] * shape[2]
    return module.in_features * module.out_features if isinstance(module, nn.Linear) else 0


@dataclass(frozen=True, slots=True)
class Summary:
    """Cost of a whole network for one picture.

    Attributes:
        parameters: Trained numbers.
        trunk_parameters: Those of stem and blocks, without head and classifier.
        macs: Multiply-adds of convolutions and linear layers.
        activations: Output values of convolutions and linear layers.
    """

    parameters: int
    trunk_parameters: int
    macs: int
    activations: int


def summarise(model: SelecSLS, size: tuple[int, int] = (224, 224)) -> Summary:
    """Cost of a network for one picture of height and width `size` [px]."""
    rows = layers(model, size)
    heavy = [row for row in rows if row.kind in ("Conv2d", "Linear")]
    trunk = sum(row.parameters for row in rows if row.name.startswith(("stem", "features")))
    return Summary(
        sum(row.parameters for row in rows), trunk, sum(row.macs for row in rows), sum(row.elements for row in heavy)
    )


CARD_SIZE = (224, 285)
"""Height and width [px] of the picture behind the "FLOPs" on timm's model cards: resized, but not cropped to a square."""


def card_flops(model: Classifier) -> int:
    """The "FLOPs" figure of timm's model cards, to be recognised, not to be used: it is 28.7 % above the MACs at 224 x 224.

    Multiply-adds of the convolutions, one per output value of every batch norm and ReLU, and for the pooling of the last
    map one per value plus one division per channel; the linear layer is left out.
    """
    rows = layers(model, CARD_SIZE)
    convs = sum(row.macs for row in rows if row.kind == "Conv2d")
    cheap = sum(row.elements for row in rows if row.kind in ("BatchNorm2d", "ReLU"))
    last = [row for row in rows if row.kind == "ReLU"][-1]
    return convs + cheap + last.elements + model.num_features


def table(model: SelecSLS, size: tuple[int, int] = (224, 224)) -> str:
    """The cost of each convolution unit and the totals, as aligned text."""
    rows = [row for row in layers(model, size) if row.kind in ("Conv2d", "Linear", "BatchNorm2d")]
    units = {f"{name}.0": name for name in conv_units(model)}
    norms = {row.name.removesuffix(".1"): row.parameters for row in rows if row.kind == "BatchNorm2d"}
    lines = [f"{'layer':<20}{'output':>18}{'parameters':>14}{'MACs':>16}"]
    for row in rows:
        if row.kind != "BatchNorm2d":
            name = units.get(row.name, row.name)
            parameters = row.parameters + norms.get(name, 0)
            lines.append(f"{name:<20}{' x '.join(map(str, row.shape)):>18}{parameters:>14,}{row.macs:>16,}")
    total = summarise(model, size)
    lines.append(f"{model.spec.name:<20}{f'for {size[1]} x {size[0]} px':>18}{total.parameters:>14,}{total.macs:>16,}")
    lines.append(f"{'of it stem + levels':<38}{total.trunk_parameters:>14,}")
    lines.append(f"{'activations':<38}{total.activations:>14,}")
    return "\n".join(lines)
