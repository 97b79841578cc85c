"""The SelecSLS network in torch: the block with its short and long skips, the classifier and the feature extractor."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from backbone.specs import BlockSpec, ModelSpec


class ConvUnit(nn.Sequential):
    """Convolution without bias, batch norm and ReLU; the output size is the input size over `stride`, rounded up.

    A folded unit has a bias in its convolution and nothing in place of the norm.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    @property
    def conv(self) -> nn.Conv2d:
        """The convolution."""
        return cast(nn.Conv2d, self[0])

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch norm; not there in a folded unit."""
        return cast(nn.BatchNorm2d, self[1])


class SelecSLSBlock(nn.Module):
    """Three cascaded branches, concatenated with the level's long skip and merged by a 1x1 convolution."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        a, b1, b2, c1, c2, out = spec.widths
        self.opens_level = spec.skip_channels == 0
        self.conv1 = ConvUnit(spec.in_channels, a, 3, spec.stride)
        self.conv2 = ConvUnit(a, b1, 1, 1)
        self.conv3 = ConvUnit(b1, b2, 3, 1)
        self.conv4 = ConvUnit(b2, c1, 1, 1)
        self.conv5 = ConvUnit(c1, c2, 3, 1)
        self.conv6 = ConvUnit(spec.merge_channels, out, 1, 1)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H / stride, W / stride); `skip` is read unless the block opens a level."""
        a = self.conv1(x)
        b = self.conv3(self.conv2(a))
        c = self.conv5(self.conv4(b))
        parts = [a, b, c] if self.opens_level or skip is None else [a, b, c, skip]
        return self.conv6(torch.cat(parts, dim=1))


class SelecSLS(nn.Module):
    """Common part of classifier and feature extractor: the stem, the blocks and the head, under the published names.

    Attributes:
        spec: The table row that was built.
        weights_origin: "random", or where the weights came from.
    """

    def __init__(self, spec: ModelSpec, units: int | None = None) -> None:
        """Build the first `units` units of `spec` (stem, blocks, head convolutions, counted in order); None: all."""
        super().__init__()
        self.spec = spec
        self.weights_origin = "random"
        wanted = len(spec.units()) if units is None else units
        heads = spec.head[: max(0, wanted - 1 - len(spec.blocks))]
        self.stem = ConvUnit(3, spec.stem_channels, 3, 2)
        self.features = nn.ModuleList(SelecSLSBlock(block) for block in spec.blocks[: wanted - 1])
        self.head = nn.ModuleList(ConvUnit(h.in_channels, h.out_channels, h.kernel, h.stride) for h in heads)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def feature_maps(self, x: Tensor, taps: tuple[int, ...]) -> list[Tensor]:
        """Run the network and return the outputs of the units numbered in `taps` (stem is 0), in that order."""
        kept: dict[int, Tensor] = {}
        skip: Tensor | None = None
        index = 0
        x = self.stem(x)
        if index in taps:
            kept[index] = x
        for block in self.features:
            x = block(x, skip)
            skip = x if block.opens_level else skip
            index += 1
            if index in taps:
                kept[index] = x
        for unit in self.head:
            x = unit(x)
            index += 1
            if index in taps:
                kept[index] = x
        return [kept[index] for index in taps]


class Classifier(SelecSLS):
    """A SelecSLS network that maps pictures to class scores.

    Attributes:
        num_features: Length of the pooled vector.
        num_classes: Length of the output; 0 returns the pooled vector itself.
    """

    def __init__(self, spec: ModelSpec, num_classes: int = 1000, dropout: float = 0.0) -> None:
        super().__init__(spec)
        self.num_features = spec.num_features
        self.num_classes = num_classes
        self.dropout = nn.Dropout(dropout)
        self.fc: nn.Module = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to the last feature map (B, F, H / 64, W / 64)."""
        return self.feature_maps(x, (len(self.features) + len(self.head),))[0]

    def forward_head(self, features: Tensor) -> Tensor:
        """Map the last feature map to scores (B, num_classes): mean over the map, dropout, one linear layer."""
        return self.fc(self.dropout(features.mean(dim=(2, 3))))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB (B, 3, H, W) to unnormalised class scores (B, num_classes)."""
        return self.forward_head(self.forward_features(x))


class FeatureNet(SelecSLS):
    """A SelecSLS network cut after the coarsest map that is asked for; it returns feature maps.

    Attributes:
        strides: Stride of each returned map [px of the input], in the order asked for.
        channels: Channels of each returned map.
    """

    def __init__(self, spec: ModelSpec, out_strides: tuple[int, ...]) -> None:
        wanted = spec.taps_at(out_strides)
        super().__init__(spec, units=max(wanted) + 1)
        self.taps = wanted
        self.strides = list(out_strides)
        self.channels = [spec.units()[index][0] for index in self.taps]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map normalised RGB (B, 3, H, W) to one map (B, channels[i], H / strides[i], W / strides[i]) per stride."""
        return self.feature_maps(x, self.taps)


def norm_free(model: nn.Module) -> bool:
    """Whether a network has no batch norm (any more)."""
    return not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def drop_norms(model: nn.Module) -> None:
    """Replace, in place, each convolution and its batch norm by a convolution with bias; the values are not carried over.

    This makes the shape that folded weights are loaded into; `backbone.fold.fold_batch_norm` computes such weights.
    """
    for unit in conv_units(model).values():
        weight = unit.conv.weight
        unit.conv.bias = nn.Parameter(torch.zeros(len(weight), device=weight.device, dtype=weight.dtype))
        unit[1] = nn.Identity()


def conv_units(model: nn.Module) -> dict[str, ConvUnit]:
    """All convolution units of a network by dotted name, in the order in which they run."""
    return {name: module for name, module in model.named_modules() if isinstance(module, ConvUnit)}
