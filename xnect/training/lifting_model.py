"""Stage II's network while it is trained, its loss, and its export into the weights that the run time reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from xnect.codec.encoding import REFERENCE_HEIGHT_M
from xnect.errors import WeightsError
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D, PARENTS_3D
from xnect.stages.lifting_frame import ERRORS, GATES, INPUTS, LONGEST_REACH_M, OUTPUTS, POINTS, ROOT, SIGHT_OF_POINT

_PARENTS = PARENTS_3D.tolist()


class LiftingLayer(nn.Module):
    """Linear, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, value: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return torch.relu(self.norm(self.linear(value)))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one linear layer that does the same at run time."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None  # batch norm that keeps statistics
        assert variance is not None
        gain = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        return self.linear.weight * gain[:, None], self.norm.bias - mean * gain

    @torch.no_grad()
    def unfold(self, weight: Tensor, bias: Tensor, inputs: Tensor) -> None:
        """Take over a folded layer: the batch norm gets the statistics of ``inputs`` (B, n) and undoes itself."""
        self.linear.weight.copy_(weight)
        before = self.linear(inputs)
        variance, mean = torch.var_mean(before, 0, correction=0)
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(variance)
        self.norm.weight.copy_(torch.sqrt(variance + self.norm.eps))
        self.norm.bias.copy_(bias + mean)


class LiftingNet(nn.Module):
    """A residual perceptron: a layer, blocks of two layers with a skip, a last linear layer."""

    def __init__(self, width: int = 384, blocks: int = 2) -> None:
        super().__init__()
        self.first = LiftingLayer(INPUTS, width)
        self.middle = nn.ModuleList(
            nn.Sequential(LiftingLayer(width, width), LiftingLayer(width, width)) for _ in range(blocks)
        )
        self.last = nn.Linear(width, OUTPUTS)
        self.width, self.blocks = width, blocks

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, INPUTS) -> (B, OUTPUTS)."""
        state = self.first(inputs)
        for block in self.middle:
            state = state + block(state)
        return self.last(state)


def placed(outputs: Tensor, inputs: Tensor) -> Tensor:
    """``lifting_frame.place_points`` with gradients: (B, OUTPUTS), (B, INPUTS) -> (B, 22, 3) [m]."""
    source = torch.from_numpy(SIGHT_OF_POINT).to(outputs.device)
    points = outputs[:, POINTS].reshape(-1, 22, 3)
    joints = inputs[:, :56].reshape(-1, 14, 4)[:, source.clamp(min=0)]
    size_m = outputs[:, 68].clamp(-4, 4).exp()[:, None, None]
    extent = (inputs[:, 56] - 2.0).exp()[:, None, None]
    plane = joints[..., :2]
    share = joints[..., 3] * (source >= 0) * torch.sigmoid(outputs[:, GATES])
    sight = size_m * (plane - outputs[:, None, 66:68]) + points[..., 2:] * plane * extent
    sight = sight.clamp(-LONGEST_REACH_M, LONGEST_REACH_M)
    return torch.cat([points[..., :2] + share[..., None] * sight, points[..., 2:]], -1)


def lifting_loss(outputs: Tensor, inputs: Tensor, joints_m: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Training loss and mean joint error.

    Mean distance of joints relative to the pelvis, half as much of bones relative to their parents, the root's guess,
    and the likelihood of the error under a Laplace law whose scale is predicted (without pull on the joints). Joints of
    which nothing is seen count half: what cannot be known should not drown what can.

    Args:
        outputs: (B, OUTPUTS).
        inputs: (B, INPUTS), what they were computed from.
        joints_m: (B, 22, 3) [m]; NaN where not known.
        root: (B, 3), see ``root_prior``.

    Returns:
        The loss, and the mean error of the 21 joints [m].
    """
    points = placed(outputs, inputs)
    joints_m = torch.where(joints_m.isnan(), points.detach(), joints_m)  # what is not known pulls nothing
    error = (points - joints_m).square().sum(-1).add(1e-6).sqrt()
    body, true_body = points[:, :21], joints_m[:, :21]
    bones = (body - body[:, _PARENTS]) - (true_body - true_body[:, _PARENTS])
    bone_error = bones.square().sum(-1).add(1e-6).sqrt()
    log_scale = outputs[:, ERRORS].clamp(-6, 2)
    likelihood = error[:, :21].detach() * torch.exp(-log_scale) + log_scale
    seen = inputs[:, :56].reshape(-1, 14, 4)[..., 3]
    known = (seen.sum(1) > 0).to(outputs.dtype)[:, None]
    weight = 0.5 + 0.5 * seen[:, np.maximum(SIGHT_OF_POINT, 0).tolist()]
    root_error = (outputs[:, ROOT] - root).abs() * known
    loss = (weight * error).mean() + 0.5 * (weight[:, :21] * bone_error).mean()
    loss = loss + 0.1 * root_error.mean() + 0.01 * likelihood.mean()
    return loss, error[:, :21].mean().detach()


def folded(net: LiftingNet) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (out, in) and bias of every layer with batch norm folded in, float32."""
    modules = [module for module in net.modules() if isinstance(module, LiftingLayer)]
    layers = [module.folded() for module in modules] + [(net.last.weight, net.last.bias)]
    return [(w.detach().float().cpu().numpy(), b.detach().float().cpu().numpy()) for w, b in layers]


@torch.no_grad()
def take_over(net: LiftingNet, layers: Sequence[tuple[np.ndarray, np.ndarray]], inputs: Tensor) -> None:
    """Begin with exported layers (weight (in, out) and bias, ``lifting.load_weights``); ``inputs`` (B, INPUTS) show what comes.

    Raises:
        WeightsError: They are of another size.
    """
    parts = [(torch.from_numpy(weight.T.copy()), torch.from_numpy(bias.copy())) for weight, bias in layers]
    if len(parts) != 2 * net.blocks + 2 or parts[0][0].shape[0] != net.width:
        raise WeightsError(f"weights are not those of {net.blocks} blocks of width {net.width}")
    net.eval()
    first, *middle, (weight, bias) = parts
    net.first.unfold(*first, inputs)
    state = net.first(inputs)
    for k, block in enumerate(net.middle):
        assert isinstance(block, nn.Sequential)
        one, two = (layer for layer in block if isinstance(layer, LiftingLayer))
        one.unfold(*middle[2 * k], state)
        two.unfold(*middle[2 * k + 1], one(state))
        state = state + block(state)
    net.last.weight.copy_(weight)
    net.last.bias.copy_(bias)


def export(
    net: LiftingNet, path: Path, card: dict[str, Any], before: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    keep: float = 0.0,
) -> None:  # fmt: skip
    """Write fp16 safetensors and the JSON beside them; ``card`` adds to the JSON (training, figures, licence).

    Of ``before``, the layers (weight (in, out) and bias) that the training began with, a share ``keep`` is left in the
    weights: the mean of a network and what it was tuned to does better away from what it was tuned on (Wortsman et al.,
    "Robust fine-tuning of zero-shot models", CVPR 2022).
    """
    layers = folded(net)
    if keep:
        layers = [
            ((1 - keep) * w + keep * w0.T, (1 - keep) * b + keep * b0)
            for (w, b), (w0, b0) in zip(layers, before, strict=True)
        ]
    tensors = {}
    for k, (weight, bias) in enumerate(layers):
        tensors[f"layer{k}.weight"], tensors[f"layer{k}.bias"] = weight.astype(np.float16), bias.astype(np.float16)
    data = save(tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    content = {
        "format": "xnect-stage2",
        "version": 1,
        "width": net.width,
        "blocks": net.blocks,
        "inputs": INPUTS,
        "outputs": OUTPUTS,
        "joints_2d": list(JOINTS_2D),
        "joints_3d": list(JOINTS_3D),
        "reference_height_m": REFERENCE_HEIGHT_M,
        **card,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
