"""What a network in hand costs (also a pruned or folded one), layer by layer, without computing anything."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from backbone.costs import Layer, Summary, total


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


def summarise(model: nn.Module, size: tuple[int, int] = (224, 224)) -> Summary:
    """Cost of a network for one picture of height and width `size` [px]."""
    return total(layers(model, size))
