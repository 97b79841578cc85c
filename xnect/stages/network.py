"""Stage I: a SelecSLS trunk with a 2D head (heatmaps, affinity fields) and a 3D head (pose encoding), both at stride 8."""

from __future__ import annotations

import json
import os
import typing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import backbone
from xnect.config import NetworkConfig
from xnect.errors import WeightsError, XnectError
from xnect.geometry import fitted_size, frame_from_map, network_size
from xnect.resources import resource
from xnect.skeleton.joints import MAPS
from xnect.structures import U8, PoseMaps

_HEATMAPS = len(MAPS.joints)
_FIELDS = 2 * len(MAPS.limbs)
_ENCODING = 3 * len(MAPS.encoding_joints)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What it takes to build a Stage I network.

    Attributes:
        trunk: Name in ``backbone.names()``.
        width: Factor on the trunk's channels.
        head: Channels of the heads at stride 16; half as many at stride 8.
        encoding: Whether the 3D head is there.
    """

    trunk: str = "selecsls42"
    width: float = 0.5
    head: int = 128
    encoding: bool = False

    def __post_init__(self) -> None:
        """Refuse what no network of ours is (a weights file may say anything); raises WeightsError."""
        kinds = ((self.trunk, str), (self.width, float), (self.head, int), (self.encoding, bool))
        if any(type(value) is not kind for value, kind in kinds):
            raise WeightsError(f"a network is told by trunk, width, head and encoding, not by {self}")
        if self.trunk not in backbone.names() or not 0.05 <= self.width <= 4 or not 16 <= self.head <= 1024:
            raise WeightsError(f"no such network: {self}")


def _conv(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _up(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


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
        self.context = nn.Sequential(_conv(c16, wide, 3), _conv(wide, wide, 3))
        self.up = _up(wide, narrow)
        self.lateral = _conv(c8, narrow, 1)
        self.refine = _conv(2 * narrow, narrow, 3)
        self.maps = nn.Conv2d(narrow, _HEATMAPS + _FIELDS, 1)
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

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Normalised RGB (B, 3, H, W) -> maps (B, 14 + 26, H/8, W/8) and encoding (B, 63, H/8, W/8) or None."""
        f8, f16 = self.trunk(images)
        lateral = self.lateral(f8)
        features = self.refine(torch.cat([self.up(self.context(f16)), lateral], 1))
        encoding = None
        if self.spec.encoding:
            joined = torch.cat([self.up_3d(self.context_3d(f16)), lateral, features], 1)
            encoding = self.encoding(self.refine_3d(joined))
        return self.maps(features), encoding


class MapNetwork(Protocol):
    """Anything that turns a picture into maps (ours, or an adapter to a foreign network)."""

    def __call__(self, image_bgr: U8) -> PoseMaps:
        """A BGR picture uint8 (H, W, 3) -> maps."""
        ...


class TorchNetwork:
    """Stage I run by torch on one device.

    Attributes:
        description: Device, precision and network in words, for logs and the window.
    """

    def __init__(self, net: Stage1, config: NetworkConfig) -> None:
        self._input_size = config.input_size
        self._device, self._precision = _choose(config)
        if config.threads:
            torch.set_num_threads(config.threads)
        self._net = channels_last(net.eval().to(self._device))
        self._mean = torch.tensor(MEAN, device=self._device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(STD, device=self._device).view(1, 3, 1, 1) * 255
        spec = net.spec
        name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"
        self.description = f"{spec.trunk} x{spec.width:g} on {name}, {str(self._precision).removeprefix('torch.')}"

    def __call__(self, image_bgr: U8) -> PoseMaps:
        """A BGR picture uint8 (H, W, 3) -> maps at stride 8 of the network's picture."""
        frame_px = (image_bgr.shape[1], image_bgr.shape[0])
        net_px = network_size(frame_px, self._input_size)
        picture = torch.from_numpy(fit_picture(image_bgr, net_px)).to(self._device)
        images = (picture.permute(2, 0, 1)[None].flip(1).float() - self._mean) / self._std
        images = images.contiguous(memory_format=torch.channels_last)
        enabled = self._precision != torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, dtype=self._precision, enabled=enabled):
            maps, encoding = self._net(images)
        values = maps[0].float().cpu().numpy()
        pafs = values[_HEATMAPS:].reshape(len(MAPS.limbs), 2, *values.shape[1:])
        return PoseMaps(
            heatmaps=values[:_HEATMAPS].copy(),
            pafs=pafs.copy(),
            encoding=None if encoding is None else encoding[0].float().cpu().numpy().copy(),
            frame_from_map=frame_from_map(frame_px, net_px, MAPS.stride),
        )


def fit_picture(image_bgr: U8, net_px: tuple[int, int]) -> U8:
    """The picture at the network's size, aspect kept, at the top left; the rest is black."""
    frame_px = (image_bgr.shape[1], image_bgr.shape[0])
    width, height = fitted_size(frame_px, net_px)
    method = cv2.INTER_AREA if width < frame_px[0] else cv2.INTER_LINEAR
    small = cv2.resize(image_bgr, (width, height), interpolation=method)
    if (width, height) == net_px:
        return small.astype(np.uint8, copy=False)
    out = np.zeros((net_px[1], net_px[0], 3), np.uint8)
    out[:height, :width] = small
    return out


def channels_last(net: Stage1) -> Stage1:
    """The same network with its weights laid out channels last, which is what CPUs and tensor cores like."""
    typing.cast(Any, net).to(memory_format=torch.channels_last)  # an overload that torch's stubs lack
    return net


def _choose(config: NetworkConfig) -> tuple[torch.device, torch.dtype]:
    """Device and number type for "auto" and for what the user named; raises WeightsError for what is not there."""
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise WeightsError(
            f"--device {config.device}: no CUDA device is available to torch {torch.__version__}; use cpu"
        )
    device = torch.device(name)
    if config.precision == "auto":
        if device.type == "cuda":
            return device, torch.float16
        return device, torch.bfloat16 if _fast_bf16() else torch.float32
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if config.precision not in types or (config.precision == "fp16" and device.type == "cpu"):
        raise WeightsError(
            f"--precision {config.precision} cannot be computed on {device.type}; use auto, fp32 or bf16"
        )
    return device, types[config.precision]


def _fast_bf16() -> bool:
    """Whether this processor multiplies bf16 in hardware (AVX-512 BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def default_weights() -> Path:
    """The weights that ship, or those named by XNECT_WEIGHTS; raises WeightsError where there are none."""
    named = os.environ.get("XNECT_WEIGHTS")
    if named:
        return Path(named)
    try:
        return resource("weights/stage1.safetensors")
    except XnectError as error:
        raise WeightsError(f"{error}: --weights FILE or XNECT_WEIGHTS") from error


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
        facts = json.loads(card.read_text(encoding="utf-8"))
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
        net = Stage1(spec)
    except (SafetensorError, ValueError, backbone.BackboneError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file of a Stage I network: {error}") from error
    wanted = net.state_dict()
    for key, value in wanted.items():
        if key not in state or state[key].shape != value.shape:
            raise WeightsError(f"{path} does not fit {asdict(spec)}: {key} is missing or has another shape")
    if not all(bool(torch.isfinite(v).all()) for v in state.values() if v.is_floating_point()):
        raise WeightsError(f"{path} contains values that are not finite")
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


def load_network(weights: str | None = None, config: NetworkConfig | None = None) -> TorchNetwork:
    """Stage I ready to run.

    Args:
        weights: Weights file, None = ``config.weights``, else the ones that ship.
        config: Device, precision, input size.

    Raises:
        WeightsError: No usable weights, or a device or precision that is not there.
    """
    config = config or NetworkConfig()
    named = weights or config.weights
    return TorchNetwork(load_stage1(Path(named) if named else default_weights()), config)
