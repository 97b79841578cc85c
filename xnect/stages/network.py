"""Stage I: a SelecSLS trunk with a 2D head (heatmaps, affinity fields) and a 3D head (pose encoding), both at stride 8."""

from __future__ import annotations

import copy
import itertools
import json
import os
import typing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import backbone
from xnect.config import NetworkConfig
from xnect.errors import WeightsError
from xnect.skeleton.joints import MAPS
from xnect.stages.executors.base import FIELDS, HEATMAPS, MEAN, STD, PictureNetwork
from xnect.untrusted import parse_json

_ENCODING = 3 * len(MAPS.encoding_joints)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What it takes to build a Stage I network.

    Attributes:
        trunk: Name in ``backbone.names()``.
        width: Factor on the trunk's channels, or one for each level (strides 4, 8 and 16).
        head: Channels of the heads at stride 16; half as many at stride 8.
        encoding: Whether the 3D head is there.
        surroundings: Whether the heads see the wider surroundings too, from stride 32.
    """

    trunk: str = "selecsls42"
    width: float | tuple[float, ...] = 0.5
    head: int = 128
    encoding: bool = False
    surroundings: bool = False

    def __post_init__(self) -> None:
        """Refuse what no network of ours is (a weights file may say anything); raises WeightsError."""
        if isinstance(self.width, list):  # as JSON has it
            object.__setattr__(self, "width", tuple(self.width))
        kinds = (
            (self.trunk, str), (self.head, int), (self.encoding, bool), (self.surroundings, bool),
            *((factor, float) for factor in self.widths),
        )  # fmt: skip
        if any(type(value) is not kind for value, kind in kinds):
            raise WeightsError(f"a network is told by trunk, width, head, encoding and surroundings, not by {self!r}")
        sizes = 1 <= len(self.widths) <= 3 and all(0.05 <= factor <= 4 for factor in self.widths)
        if self.trunk not in backbone.names() or not sizes or not 16 <= self.head <= 1024:
            raise WeightsError(f"no such network: {self!r}")

    @property
    def widths(self) -> tuple[float, ...]:
        """The factor, or the factors of the levels."""
        return self.width if isinstance(self.width, tuple) else (self.width,)

    def __str__(self) -> str:
        """For example "selecsls42 x0.5-0.75-0.75"."""
        return f"{self.trunk} x{'-'.join(f'{factor:g}' for factor in self.widths)}"


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding=kernel // 2 * dilation, dilation=dilation, bias=False
        ),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _up(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class _Surroundings(nn.Module):
    """Features at stride 16 plus what lies far around them.

    A joint of somebody who fills the picture is told by parts of the body that lie 200 px away, where the heads on the
    trunk alone end to see. At stride 32 three convolutions see twice as far, for 4 % more multiply-adds. The way back
    starts at zero, so weights trained without this part stay what they are.
    """

    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.far = nn.Sequential(
            _conv(channels, wide, 3, stride=2), _conv(wide, wide, 3, dilation=2), _conv(wide, wide, 3, dilation=4)
        )
        self.back = nn.Conv2d(wide, channels, 1)

    def forward(self, f16: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        far = F.interpolate(self.back(self.far(f16)), scale_factor=2.0, mode="nearest")
        return f16 + far[:, :, : f16.shape[2], : f16.shape[3]]


class Stage1(nn.Module):
    """Pictures -> maps (method.md section 2; the widths of the heads and the link to stride 8 are ours).

    The 2D head sees context at stride 16, is brought to stride 8 and joined there with the trunk's own features of that
    stride, which keep small people apart. The 3D head has its own context and reads the 2D head's last features too.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.trunk = backbone.create_model(spec.trunk, features_only=True, out_strides=(8, 16), width=spec.width)
        c8, c16 = self.trunk.channels
        wide, narrow = spec.head, spec.head // 2
        if spec.surroundings:
            self.surroundings = _Surroundings(c16, wide)
        self.context = nn.Sequential(_conv(c16, wide, 3), _conv(wide, wide, 3))
        self.up = _up(wide, narrow)
        self.lateral = _conv(c8, narrow, 1)
        self.refine = _conv(2 * narrow, narrow, 3)
        self.maps = nn.Conv2d(narrow, HEATMAPS + FIELDS, 1)
        if spec.encoding:
            self.context_3d = nn.Sequential(_conv(c16, wide, 1), _conv(wide, wide, 3))
            self.up_3d = _up(wide, narrow)
            self.refine_3d = nn.Sequential(_conv(3 * narrow, wide, 1), _conv(wide, wide, 3))
            self.encoding = nn.Conv2d(wide, _ENCODING, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for last in (self.maps, *([self.encoding] if spec.encoding else [])):
            nn.init.normal_(last.weight, std=0.01)
            nn.init.constant_(last.get_parameter("bias"), 0.0)
        if spec.surroundings:
            nn.init.zeros_(self.surroundings.back.weight)
            nn.init.zeros_(self.surroundings.back.get_parameter("bias"))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Normalised RGB (B, 3, H, W) -> maps (B, 14 + 26, H/8, W/8) and encoding (B, 63, H/8, W/8) or None."""
        f8, f16 = self.trunk(images)
        if self.spec.surroundings:
            f16 = self.surroundings(f16)
        lateral = self.lateral(f8)
        features = self.refine(torch.cat([self.up(self.context(f16)), lateral], 1))
        encoding = None
        if self.spec.encoding:
            joined = torch.cat([self.up_3d(self.context_3d(f16)), lateral, features], 1)
            encoding = self.encoding(self.refine_3d(joined))
        return self.maps(features), encoding


class FromPictures(nn.Module):
    """The network with its normalisation in front: what executors run and what is exported."""

    def __init__(self, net: Stage1) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(STD).view(1, 3, 1, 1) * 255), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """BGR uint8 (B, H, W, 3) -> maps (B, 14 + 26, H/8, W/8), and the encoding where the network has one."""
        mean, scale = self.get_buffer("mean"), self.get_buffer("scale")
        images = pictures.permute(0, 3, 1, 2).flip(1).to(mean.dtype)
        maps, encoding = self.net((images - mean) * scale)
        return maps if encoding is None else (maps, encoding)


class TorchNetwork(PictureNetwork):
    """Stage I run by torch on one device, as a ``MapNetwork``."""

    def __init__(self, net: Stage1, config: NetworkConfig) -> None:
        """Take over the network; raises WeightsError for a device or precision that is not there."""
        from xnect.stages.executors.pytorch import torch_executor

        super().__init__(torch_executor(net, config), config.input_size, config.looks)


def channels_last(net: Stage1) -> Stage1:
    """The same network with its weights laid out channels last, which is what CPUs and tensor cores like."""
    typing.cast(Any, net).to(memory_format=torch.channels_last)  # an overload that torch's stubs lack
    return net


def folded(net: Stage1) -> Stage1:
    """A copy in evaluation mode whose batch norms are folded into the convolutions before them; the same function."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    out = copy.deepcopy(net).eval()
    for block in out.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for i, (first, norm) in enumerate(itertools.pairwise(list(block))):
            if isinstance(first, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                block[i] = fuse_conv_bn_eval(first, norm, transpose=isinstance(first, nn.ConvTranspose2d))
                block[i + 1] = nn.Identity()
    return out


def load_stage1(path: Path) -> Stage1:
    """The network of a weights file (safetensors, with a JSON of the same name beside it).

    Raises:
        WeightsError: Missing, damaged, or made for another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    card = path.with_suffix(".json")
    try:
        data = path.read_bytes()
        facts = parse_json(card.read_bytes())
        spec = NetworkSpec(**facts["network"])
        digest = facts.get("sha256")
    except OSError as error:
        raise WeightsError(f"cannot read weights {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{card} does not describe a Stage I network") from error
    if digest is not None and sha256(data).hexdigest() != digest:
        raise WeightsError(f"{path} is damaged or was changed: its checksum is not the one in {card.name}")
    try:
        state = load(data)
        with torch.device("meta"):  # names and shapes only: a card may ask for a network that no memory holds
            net = Stage1(spec)
    except (SafetensorError, ValueError, KeyError, RuntimeError, backbone.BackboneError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file of a Stage I network: {error}") from error
    wanted = net.state_dict()
    for key, value in wanted.items():
        if key not in state or state[key].shape != value.shape:
            raise WeightsError(f"{path} does not fit {asdict(spec)}: {key} is missing or has another shape")
    if extra := sorted(state.keys() - wanted.keys()):
        raise WeightsError(f"{path} does not fit {asdict(spec)}: {extra[0]} has no place in it")
    if not all(bool(torch.isfinite(v).all()) for v in state.values() if v.is_floating_point()):
        raise WeightsError(f"{path} contains values that are not finite")
    net = net.to_empty(device="cpu")  # all of it is in the file: there are no buffers that are not saved
    net.load_state_dict({k: state[k].to(v.dtype) for k, v in wanted.items()})
    return net


def save_stage1(net: Stage1, path: Path, facts: dict[str, Any]) -> None:
    """Write weights (fp16) and the JSON that describes them (architecture, channels, normalisation, ``facts``)."""
    from safetensors.torch import save

    state = {k: v.detach().cpu() for k, v in net.state_dict().items()}
    state = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    data = save(state)
    card = {
        "network": asdict(net.spec),
        "joints": list(MAPS.joints),
        "limbs": [list(limb) for limb in MAPS.limbs],
        "encoding_joints": list(MAPS.encoding_joints) if net.spec.encoding else [],
        "stride": MAPS.stride,
        "input": {"channels": "RGB", "mean": list(MEAN), "std": list(STD), "range": "0 to 1"},
        **facts,
        "sha256": sha256(data).hexdigest(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, content in ((path, data), (path.with_suffix(".json"), json.dumps(card, indent=1).encode())):
        part = file.with_name(file.name + ".part")
        part.write_bytes(content)
        os.replace(part, file)
