"""What a network costs, from its table row alone: parameters, multiply-adds and activations, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from backbone.specs import ModelSpec

CARD_SIZE = (224, 285)
"""Height and width [px] of the picture behind the "FLOPs" on timm's model cards: resized, but not cropped to a square."""


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


def planned_layers(
    spec: ModelSpec, size: tuple[int, int] = (224, 224), num_classes: int = 1000, units: int | None = None
) -> list[Layer]:
    """What `backbone.summary.layers` finds in the network that `spec` describes, in the same order.

    Args:
        spec: A row of the table.
        size: Height and width of the picture [px].
        num_classes: Length of the output; 0 has no linear layer.
        units: Only the first so many units (stem, blocks, head convolutions) and no linear layer, as in a feature extractor.
    """
    wanted = len(spec.units()) if units is None else units
    rows: list[Layer] = []

    def unit(name: str, before: int, channels: int, kernel: int, stride: int, at: tuple[int, int]) -> tuple[int, int]:
        shape = (channels, -(-at[0] // stride), -(-at[1] // stride))
        weights = before * channels * kernel * kernel
        rows.append(Layer(f"{name}.0", shape, weights, weights * shape[1] * shape[2], "Conv2d"))
        rows.append(Layer(f"{name}.1", shape, 2 * channels, 0, "BatchNorm2d"))
        rows.append(Layer(f"{name}.2", shape, 0, 0, "ReLU"))
        return shape[1:]

    at = unit("stem", 3, spec.stem_channels, 3, 2, size)
    for index, block in enumerate(spec.blocks[: wanted - 1]):
        a, b1, b2, c1, c2, out = block.widths
        name = f"features.{index}.conv"
        at = unit(f"{name}1", block.in_channels, a, 3, block.stride, at)
        for number, (before, channels, kernel) in enumerate(
            ((a, b1, 1), (b1, b2, 3), (b2, c1, 1), (c1, c2, 3), (block.merge_channels, out, 1)), start=2
        ):
            unit(f"{name}{number}", before, channels, kernel, 1, at)
    for index, head in enumerate(spec.head[: max(0, wanted - 1 - len(spec.blocks))]):
        at = unit(f"head.{index}", head.in_channels, head.out_channels, head.kernel, head.stride, at)
    if units is None and num_classes:
        macs = spec.num_features * num_classes
        rows.append(Layer("fc", (num_classes,), macs + num_classes, macs, "Linear"))
    return rows


def total(rows: list[Layer]) -> Summary:
    """The sums over the layers of a network."""
    heavy = [row for row in rows if row.kind in ("Conv2d", "Linear")]
    trunk = sum(row.parameters for row in rows if row.name.startswith(("stem", "features")))
    return Summary(
        sum(row.parameters for row in rows), trunk, sum(row.macs for row in rows), sum(row.elements for row in heavy)
    )


def card_flops(spec: ModelSpec) -> int:
    """The "FLOPs" figure of timm's model cards, to be recognised, not to be used: it is 28.7 % above the MACs at 224 x 224.

    Multiply-adds of the convolutions, one per output value of every batch norm and ReLU, and for the pooling of the last
    map one per value plus one division per channel; the linear layer is left out.
    """
    rows = planned_layers(spec, CARD_SIZE)
    convs = sum(row.macs for row in rows if row.kind == "Conv2d")
    cheap = sum(row.elements for row in rows if row.kind in ("BatchNorm2d", "ReLU"))
    last = [row for row in rows if row.kind == "ReLU"][-1]
    return convs + cheap + last.elements + spec.num_features


def table(rows: list[Layer], name: str, size: tuple[int, int]) -> str:
    """The cost of each convolution unit of network `name` and the totals, as aligned text."""
    norms = {row.name.removesuffix(".1"): row.parameters for row in rows if row.kind == "BatchNorm2d"}
    lines = [f"{'layer':<20}{'output':>18}{'parameters':>14}{'MACs':>16}"]
    for row in rows:
        if row.kind in ("Conv2d", "Linear"):
            unit = row.name.removesuffix(".0")
            parameters = row.parameters + norms.get(unit, 0)
            lines.append(f"{unit:<20}{' x '.join(map(str, row.shape)):>18}{parameters:>14,}{row.macs:>16,}")
    sums = total(rows)
    lines.append(f"{name:<20}{f'for {size[1]} x {size[0]} px':>18}{sums.parameters:>14,}{sums.macs:>16,}")
    lines.append(f"{'of it stem + levels':<38}{sums.trunk_parameters:>14,}")
    lines.append(f"{'activations':<38}{sums.activations:>14,}")
    return "\n".join(lines)
