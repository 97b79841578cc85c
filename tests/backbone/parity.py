"""Makes and reads the record of timm's SelecSLS networks that ours are compared with.

Run `python -m tests.backbone.parity` from the checkout's root, where timm can be imported, to write the record anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

RECORD = Path(__file__).parent / "timm_parity.npz"
NAMES = {
    "selecsls42b": "selecsls42b",
    "selecsls60": "selecsls60",
    "selecsls60b": "selecsls60b",
    "selecsls84": "selecsls84_3x3",
}
"""Names of timm and of ours: timm's 84 ends in a 3x3 convolution."""
SAMPLES = 16


def seeded(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform float64 values in [0, 1) that depend on `key` alone: raw bits of PCG64, the same in every numpy."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    bits = np.random.PCG64(seed).random_raw(int(np.prod(shape, dtype=np.int64)))
    return ((bits >> np.uint64(11)) * 2.0**-53).reshape(shape)


def seeded_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A state dict with every kind of entry away from its default, scaled so that activations stay of order one."""
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
            continue
        values = seeded(key, shape)
        if key.endswith(("running_var", "1.weight")):
            values = 0.5 + values
        elif len(shape) > 1:
            values = (2 * values - 1) * np.sqrt(6.0 / np.prod(shape[1:]))
        else:
            values = 0.4 * values - 0.2
        state[key] = torch.from_numpy(values.astype(np.float32))
    return state


def picture() -> Tensor:
    """The input (1, 3, 64, 96) of all comparisons, about zero mean and unit variance."""
    return torch.from_numpy(3.4 * seeded("picture", (1, 3, 64, 96)) - 1.7)


def fingerprints(model: nn.Module) -> dict[str, np.ndarray]:
    """Run a network on `picture` in float64.

    Returns:
        The logits under "logits" and, for every convolution unit by its dotted name, `SAMPLES` values of its output at
        fixed places, then the output's mean and mean square.
    """
    found: dict[str, np.ndarray] = {}

    def hook(name: str):
        def record(_: nn.Module, __: object, output: Tensor) -> None:
            flat = output.detach().flatten()
            places = torch.linspace(0, flat.numel() - 1, SAMPLES).long()
            found[name] = torch.cat((flat[places], flat.mean()[None], flat.square().mean()[None])).numpy().copy()

        return record

    units = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[0], nn.Conv2d)
    }
    handles = [module.register_forward_hook(hook(name)) for name, module in units.items()]
    model.double().eval()
    with torch.no_grad():
        found["logits"] = model(picture()).numpy()[0]
    for handle in handles:
        handle.remove()
    return found


def main() -> None:
    """Write the record from timm's own networks."""
    import timm

    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, object] = {"timm": timm.__version__, "torch": torch.__version__}
    for name in NAMES:
        model = timm.create_model(name, pretrained=False)
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        model.load_state_dict(seeded_state(shapes))
        arrays |= {f"{name}/{key}": value for key, value in fingerprints(model).items()}
        facts[name] = {"shapes": shapes, "taps": list(model.feature_info)}
    np.savez_compressed(RECORD, facts=np.array(json.dumps(facts)), **arrays)


if __name__ == "__main__":
    main()
