"""A trained network carried into a wider one: the same maps at first, all of it learns, and what cannot be is told."""

import json

import pytest
import torch

from xnect.errors import WeightsError
from xnect.stages.network import NetworkSpec, Stage1, load_stage1, save_stage1
from xnect.training import stage1
from xnect.training.widen import widened


def trained(spec):
    """A network whose every tensor is away from its default."""
    torch.manual_seed(3)
    net = Stage1(spec)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.2)
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 1.5)
        net.maps.weight.normal_(std=0.2)
        if spec.surroundings:
            net.surroundings.back.weight.normal_(std=0.2)
    return net.eval()


@pytest.mark.parametrize("trunk", ["selecsls42", "selecsls60"])
@pytest.mark.parametrize(("width", "head"), [((0.1, 0.25, 0.4), 48), (0.25, 32), (0.1, 64)])
def test_a_wider_network_begins_with_the_same_maps(trunk, width, head):
    small = trained(NetworkSpec(trunk, 0.1, 32, encoding=True, surroundings=True))
    large = widened(small, NetworkSpec(trunk, width, head, encoding=True, surroundings=True)).eval()
    assert sum(p.numel() for p in large.parameters()) > sum(p.numel() for p in small.parameters())
    picture = torch.randn(2, 3, 96, 80)
    with torch.no_grad():
        for before, after in zip(small(picture), large(picture), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_new_channels_get_a_gradient_and_then_make_a_difference():
    small = trained(NetworkSpec("selecsls42", 0.1, 32))
    large = widened(small, NetworkSpec("selecsls42", (0.1, 0.25, 0.25), 64))
    picture = torch.randn(2, 3, 64, 64)
    torch.manual_seed(1)
    wanted = torch.randn(2, 40, 8, 8)  # the fields are not told apart here: any loss will do
    rate = torch.optim.SGD(large.parameters(), lr=0.01)
    for _ in range(2):  # what new channels read learns once somebody reads them
        rate.zero_grad()
        ((large(picture)[0] - wanted) ** 2).mean().backward()
        rate.step()
    new_read = large.refine[0].weight[:16, 16:32]  # old channels reading new ones: zero at first
    assert new_read.abs().max() > 0
    new_own = large.get_parameter("context.1.0.weight").grad[32:]
    assert new_own.abs().max() > 0


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec("selecsls60", 0.2, 32, encoding=True),
        NetworkSpec("selecsls42", 0.2, 16, encoding=True),
        NetworkSpec("selecsls42", (0.2, 0.2, 0.1), 32, encoding=True),
        NetworkSpec("selecsls42", 0.2, 32),
    ],
)
def test_another_narrower_or_lesser_network_is_refused(spec):
    with pytest.raises(WeightsError, match="cannot start"):
        widened(Stage1(NetworkSpec("selecsls42", 0.2, 32, encoding=True)), spec)


def test_the_trainer_widens_what_it_starts_from(tmp_path):
    save_stage1(trained(NetworkSpec("selecsls42", 0.1, 32)), tmp_path / "w.safetensors", {})
    (tmp_path / "train13.json").write_text("{}")
    given = ["--data", str(tmp_path), "--output", str(tmp_path), "--init", str(tmp_path / "w.safetensors")]
    assert stage1.build(stage1.parse(given)).spec == NetworkSpec("selecsls42", 0.1, 32)
    wide = stage1.build(stage1.parse([*given, "--width", "0.1", "0.2", "0.2", "--head", "48"]))
    assert wide.spec == NetworkSpec("selecsls42", (0.1, 0.2, 0.2), 48)
    assert stage1.build(stage1.parse(given[:4])).spec == NetworkSpec()


def test_widths_of_levels_survive_the_file_and_nonsense_in_the_card_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_stage1(Stage1(NetworkSpec("selecsls42", (0.1, 0.2, 0.1), 16)), path, {})
    assert load_stage1(path).spec == NetworkSpec("selecsls42", (0.1, 0.2, 0.1), 16)
    assert str(load_stage1(path).spec) == "selecsls42 x0.1-0.2-0.1"
    card = json.loads(path.with_suffix(".json").read_text())
    for width in ([], [0.1] * 4, [0.1, 99.0, 0.1], [0.1, "x", 0.1], ["0.1"], None, True, "0.1", [[0.1]], 1e400):
        card["network"]["width"] = width
        path.with_suffix(".json").write_text(json.dumps(card))
        with pytest.raises(WeightsError):
            load_stage1(path)
