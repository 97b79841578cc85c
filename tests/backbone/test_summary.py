"""Costs of the networks against the published figures."""

import collections
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import backbone
from backbone.cli import main
from backbone.costs import card_flops, planned_layers, table
from backbone.summary import layers, summarise

# parameters, stem and levels, MACs at 224 x 224, activations in millions as timm's results table rounds them
PUBLISHED = {
    "selecsls42": (30_354_952, 5_322_912, 2_934_431_744, 4.62),
    "selecsls42b": (32_458_248, 5_322_912, 2_971_924_480, 4.62),
    "selecsls60": (30_670_768, 8_835_936, 3_581_005_952, 5.52),
    "selecsls60b": (32_774_064, 8_835_936, 3_618_498_688, 5.52),
    "selecsls84": (40_468_840, 15_160_320, 5_721_156_608, None),
    "selecsls84_3x3": (50_954_600, 15_160_320, 5_888_928_768, 7.57),
    "selecsls102": (40_456_200, 15_424_160, 6_001_891_328, None),
}
CARDS = {  # "FLOPs" and "File Size" of timm's model cards
    "selecsls42b": (3_824_022_528, 129_948_954),
    "selecsls60": (4_610_472_600, 122_839_714),
    "selecsls60b": (4_657_653_144, 131_252_898),
}


class Scale:
    """A file that only weighs what is written to it."""

    def __init__(self):
        self.weight = 0

    def write(self, data):
        self.weight += len(data)
        return len(data)

    def flush(self):
        pass


@pytest.mark.parametrize("name", backbone.names(variants=True))
def test_published_sizes_and_costs(name):
    parameters, trunk, macs, activations = PUBLISHED[name]
    with torch.device("meta"):
        model = backbone.create_model(name)
    found = summarise(model)
    assert (found.parameters, found.trunk_parameters, found.macs) == (parameters, trunk, macs)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    if activations is not None:
        assert found.activations / 1e6 == pytest.approx(activations, abs=0.005)


@pytest.mark.parametrize("name", CARDS)
def test_model_card_figures(name):
    model = backbone.create_model(name)
    flops, size = CARDS[name]
    assert card_flops(model.spec) == flops
    scale = Scale()
    state = collections.OrderedDict((key, torch.zeros_like(value)) for key, value in model.state_dict().items())
    torch.save(state, scale, _use_new_zipfile_serialization=False)
    assert scale.weight == size


def test_trunk_of_the_pose_network():
    trunk = backbone.create_model("selecsls60", features_only=True, out_strides=(16,))
    found = summarise(trunk, (320, 512))
    assert found.parameters == 8_835_936
    assert found.macs / 1e9 == pytest.approx(9.56, abs=0.005)


def test_layers_name_shapes_and_leave_the_model_alone():
    model = backbone.create_model("selecsls42b", num_classes=10)
    rows = {row.name: row for row in layers(model, (64, 96))}
    assert rows["stem.0"].shape == (32, 32, 48)
    assert rows["stem.0"].macs == 32 * 3 * 9 * 32 * 48
    assert rows["fc"].shape == (10,)
    assert rows["fc"].macs == 10240
    assert model.stem.conv.weight.device.type == "cpu"
    assert not model.stem.conv._forward_hooks


def test_table_shows_every_unit_and_the_totals():
    text = table(planned_layers(backbone.get_spec("selecsls60b")), "selecsls60b", (224, 224))
    assert "32,774,064" in text
    assert "3,618,498,688" in text
    assert "features.8.conv6" in text
    assert len(text.splitlines()) == 1 + 59 + 1 + 3  # head line, convolutions, linear layer, totals


@pytest.mark.parametrize("name", backbone.names(variants=True))
@pytest.mark.parametrize(("size", "width"), [((224, 224), 1.0), ((97, 130), 0.5)])
def test_the_table_row_costs_what_the_built_network_costs(name, size, width):
    spec = backbone.get_spec(name, width)
    with torch.device("meta"):
        model = backbone.create_model(name, num_classes=7, width=width)
        trunk = backbone.create_model(name, features_only=True, out_strides=(4, 16), width=width)
    assert planned_layers(spec, size, 7) == layers(model, size)
    assert planned_layers(spec, size, units=max(spec.taps_at((4, 16))) + 1) == layers(trunk, size)


def test_the_command_measures_names_and_files(tmp_path, capsys):
    path = tmp_path / "small.safetensors"
    backbone.save_model(backbone.create_model("selecsls42", num_classes=1000, width=0.25), path)
    assert main(["summary", "selecsls42", "--width", "0.25"]) == 0
    by_name = capsys.readouterr().out
    assert main(["summary", "--weights", str(path)]) == 0
    assert capsys.readouterr().out == by_name
    assert main(["summary", "selecsls60", "--strides", "16", "--size", "512x320", "--json"]) == 0
    assert '"parameters": 8835936' in capsys.readouterr().out
    assert main(["summary", "selecsls60", "--strides", "5"]) == 1
    assert "not at [5]" in capsys.readouterr().err


def test_help_and_summary_come_without_torch():
    code = "import sys; from backbone.cli import main; main(['summary']); assert 'torch' not in sys.modules"
    root, environment = Path(__file__).parents[2], {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "4,657,653,144" in done.stdout
