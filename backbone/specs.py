"""The channel tables of every published SelecSLS network, as frozen data: a variant is a row here and nothing else."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from backbone.errors import UnknownModelError

Width = float | tuple[float, ...]
"""One factor on all channels, or one for each level (stride 4, 8, 16); the last one goes on to the end."""

STEM_CHANNELS = 32
"""Output channels of the first convolution in every variant [channels]."""


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """Channels of one SelecSLS block.

    Attributes:
        in_channels: Channels of the running tensor that enters.
        skip_channels: Channels of the level's long skip that joins the merge; 0 in the first block of a level.
        widths: Output channels of the six convolutions, in the order a, b1, b2, c1, c2, merge.
        stride: Stride of convolution a: 2 in the first block of a level, else 1.
    """

    in_channels: int
    skip_channels: int
    widths: tuple[int, int, int, int, int, int]
    stride: int

    @property
    def out_channels(self) -> int:
        """Channels that leave the merge convolution."""
        return self.widths[-1]

    @property
    def merge_channels(self) -> int:
        """Channels that enter the merge convolution: a, b2, c2 and the skip, concatenated in this order."""
        a, _, b2, _, c2, _ = self.widths
        return a + b2 + c2 + self.skip_channels


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One convolution of the classification head: channels in and out, kernel size [px] and stride."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A whole network as data.

    Attributes:
        name: The name that users type.
        blocks: All blocks in order; a block without skip channels opens a level.
        head: Convolutions of the classification head.
        stem_channels: Output channels of the first convolution (3x3, stride 2).
    """

    name: str
    blocks: tuple[BlockSpec, ...]
    head: tuple[HeadSpec, ...]
    stem_channels: int = STEM_CHANNELS

    @property
    def num_features(self) -> int:
        """Length of the pooled vector that the classifier reads."""
        return self.head[-1].out_channels

    def units(self) -> tuple[tuple[int, int], ...]:
        """Output channels and accumulated stride of the stem, every block and every head convolution, in order."""
        stride, found = 2, [(self.stem_channels, 2)]
        for channels, step in [(b.out_channels, b.stride) for b in self.blocks] + [
            (h.out_channels, h.stride) for h in self.head
        ]:
            stride *= step
            found.append((channels, stride))
        return tuple(found)

    def taps(self) -> dict[int, int]:
        """For each stride [px] the index in `units` of the last unit that has it: where features are read."""
        return {stride: index for index, (_, stride) in enumerate(self.units())}

    def taps_at(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """The indices in `units` where features of these strides [px] are read.

        Raises:
            UnknownModelError: A stride that the network does not have, or none at all.
        """
        taps = self.taps()
        if not strides or any(stride not in taps for stride in strides):
            raise UnknownModelError(f"{self.name} has features at strides {sorted(taps)}, not at {list(strides)}")
        return tuple(taps[stride] for stride in strides)


_Row = tuple[int, int, int, int]


def _block(row: _Row) -> BlockSpec:
    """A row (in, skip, k, out) of the published table; the two inner 3x3 convolutions of b and c halve k."""
    in_channels, skip, k, out = row
    return BlockSpec(in_channels, skip, (k, k, k // 2, k, k // 2, out), stride=1 if skip else 2)


def _model(name: str, blocks: tuple[_Row, ...], head: tuple[_Row, ...]) -> ModelSpec:
    return ModelSpec(name, tuple(map(_block, blocks)), tuple(HeadSpec(*row) for row in head))


_LEVELS_42: tuple[_Row, ...] = (
    (32, 0, 64, 64),
    (64, 64, 64, 128),
    (128, 0, 144, 144),
    (144, 144, 144, 288),
    (288, 0, 304, 304),
    (304, 304, 304, 480),
)
_LEVELS_60: tuple[_Row, ...] = (
    (32, 0, 64, 64),
    (64, 64, 64, 128),
    (128, 0, 128, 128),
    (128, 128, 128, 128),
    (128, 128, 128, 288),
    (288, 0, 288, 288),
    *((288, 288, 288, 288),) * 2,
    (288, 288, 288, 416),
)
_LEVELS_84: tuple[_Row, ...] = (
    (32, 0, 64, 64),
    (64, 64, 64, 144),
    (144, 0, 144, 144),
    *((144, 144, 144, 144),) * 3,
    (144, 144, 144, 304),
    (304, 0, 304, 304),
    *((304, 304, 304, 304),) * 4,
    (304, 304, 304, 512),
)
_LEVELS_102: tuple[_Row, ...] = (
    (32, 0, 64, 64),
    *((64, 64, 64, 64),) * 2,
    (64, 64, 64, 128),
    (128, 0, 128, 128),
    *((128, 128, 128, 128),) * 3,
    (128, 128, 128, 288),
    (288, 0, 288, 288),
    *((288, 288, 288, 288),) * 5,
    (288, 288, 288, 480),
)


def _head(in_channels: int, first: int, third: int, last: int, last_kernel: int = 1) -> tuple[_Row, ...]:
    """The four head rows (in, out, kernel, stride); the B variants differ in the widths of the third and the last."""
    return (
        (in_channels, first, 3, 2),
        (first, 1024, 3, 1),
        (1024, third, 3, 2),
        (third, last, last_kernel, 1),
    )


SPECS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _model("selecsls42", _LEVELS_42, _head(480, 960, 1024, 1280)),
        _model("selecsls42b", _LEVELS_42, _head(480, 960, 1280, 1024)),
        _model("selecsls60", _LEVELS_60, _head(416, 756, 1024, 1280)),
        _model("selecsls60b", _LEVELS_60, _head(416, 756, 1280, 1024)),
        _model("selecsls84", _LEVELS_84, _head(512, 960, 1024, 1280)),
        _model("selecsls102", _LEVELS_102, _head(480, 960, 1024, 1280)),
    )
}
"""The six published networks by name."""

VARIANTS: dict[str, ModelSpec] = {
    spec.name: spec for spec in (_model("selecsls84_3x3", _LEVELS_84, _head(512, 960, 1024, 1280, last_kernel=3)),)
}
"""Departures that other libraries made: timm's 84 ends in a 3x3 convolution where the authors have 1x1."""

DEFAULT_BACKBONE = "selecsls60b"
"""The most accurate of the networks with published weights."""


def names(variants: bool = False) -> tuple[str, ...]:
    """The published networks; with `variants` also the departures that other libraries made."""
    return (*SPECS, *VARIANTS) if variants else tuple(SPECS)


def get_spec(name: str, width: Width = 1.0) -> ModelSpec:
    """The table row of a network.

    Args:
        name: One of `names(variants=True)`.
        width: Factor on every block channel, or one for each level, see `scaled`.

    Raises:
        UnknownModelError: No such name, or a width that is not a positive number.
    """
    known = {**SPECS, **VARIANTS}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownModelError(f"unknown network {name!r}: known are {', '.join(known)}{hint}")
    factors = width if isinstance(width, tuple) else (width,)
    if not factors or not all(math.isfinite(factor) and factor > 0 for factor in factors):
        raise UnknownModelError(f"width must be a number above 0, or one for each level, not {width!r}")
    return scaled(known[name], width)


def scaled(spec: ModelSpec, width: Width) -> ModelSpec:
    """The same network with every block and head channel scaled; the stem keeps its channels.

    Args:
        spec: A row of the table.
        width: Factor on every channel count, above 0, or one for each level: the first level costs the most time and
            needs the fewest channels. Counts are rounded to multiples of 16, at least 16; the inner halves of a block
            are half of the rounded k. 1.0 gives `spec` itself.

    Returns:
        A spec whose blocks still fit together, under the same name.
    """
    if width == 1.0:
        return spec
    factors = width if isinstance(width, tuple) else (width,)

    def scale(channels: int, level: int) -> int:
        return max(16, round(channels * factors[min(level, len(factors) - 1)] / 16) * 16)

    blocks: list[BlockSpec] = []
    before, level = spec.stem_channels, -1
    for block in spec.blocks:
        level += not block.skip_channels
        k, out = scale(block.widths[0], level), scale(block.out_channels, level)
        skip = scale(block.skip_channels, level) if block.skip_channels else 0
        blocks.append(BlockSpec(before, skip, (k, k, k // 2, k, k // 2, out), block.stride))
        before = out
    head: list[HeadSpec] = []
    for unit in spec.head:
        head.append(replace(unit, in_channels=before, out_channels=scale(unit.out_channels, level + 1)))
        before = head[-1].out_channels
    return replace(spec, blocks=tuple(blocks), head=tuple(head))


def checked(spec: ModelSpec) -> ModelSpec:
    """The same spec, after checking that its units fit together.

    Raises:
        ValueError: A count is not a whole number of 1 to 65536, a stride or kernel is odd in sense, or a unit takes
            another number of channels than the one before gives.
    """
    before, level = spec.stem_channels, 0
    _check_counts((spec.stem_channels,))
    for index, block in enumerate(spec.blocks):
        _check_counts((block.in_channels, *block.widths))
        level = level if block.skip_channels else block.out_channels
        if block.in_channels != before or block.skip_channels not in (0, level) or block.stride not in (1, 2):
            raise ValueError(f"block {index} does not fit the one before it")
        before = block.out_channels
    for index, unit in enumerate(spec.head):
        _check_counts((unit.in_channels, unit.out_channels))
        if unit.in_channels != before or unit.kernel not in (1, 3) or unit.stride not in (1, 2):
            raise ValueError(f"head convolution {index} does not fit the one before it")
        before = unit.out_channels
    if not spec.blocks or not spec.head or spec.blocks[0].skip_channels:
        raise ValueError("a network needs blocks, the first one opening a level, and a head")
    return spec


def _check_counts(counts: tuple[int, ...]) -> None:
    if not all(isinstance(count, int) and 1 <= count <= 65536 for count in counts):
        raise ValueError(f"channel counts must be whole numbers of 1 to 65536, not {counts}")


def to_dict(spec: ModelSpec) -> dict[str, Any]:
    """The spec as plain lists and numbers, for JSON."""
    return asdict(spec)


def from_dict(data: dict[str, Any]) -> ModelSpec:
    """The spec that `to_dict` wrote.

    Raises:
        ValueError: `data` is not such a record or its units do not fit together.
    """
    try:
        blocks = tuple(
            BlockSpec(b["in_channels"], b["skip_channels"], tuple(b["widths"]), b["stride"]) for b in data["blocks"]
        )
        head = tuple(HeadSpec(h["in_channels"], h["out_channels"], h["kernel"], h["stride"]) for h in data["head"])
        spec = ModelSpec(str(data["name"]), blocks, head, data["stem_channels"])
        if any(len(block.widths) != 6 for block in blocks):
            raise ValueError("a block has six convolutions")
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a network description: {error!r}") from error
    return checked(spec)
