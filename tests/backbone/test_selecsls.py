"""Networks by name: shapes, taps, widths, dropout, and the errors for what is not there."""

import shutil

import pytest
import torch

import backbone
from backbone import specs
from backbone.errors import BackboneError, UnknownModelError


def test_names_are_the_six_published_networks():
    assert backbone.names() == tuple(f"selecsls{n}" for n in ("42", "42b", "60", "60b", "84", "102"))
    assert set(backbone.names(variants=True)) - set(backbone.names()) == {"selecsls84_3x3"}


@pytest.mark.parametrize("name", backbone.names(variants=True))
def test_each_network_runs_forward_and_backward_at_an_odd_size(name):
    model = backbone.create_model(name, num_classes=3, width=0.25)
    logits = model(torch.randn(2, 3, 75, 101))
    assert logits.shape == (2, 3)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize("name", backbone.names(variants=True))
@pytest.mark.parametrize("width", [1.0, 0.5, 0.37, 1.5, (0.5, 0.75, 1.0), (0.3, 0.6)])
def test_every_row_of_the_table_fits_together_at_any_width(name, width):
    spec = specs.checked(backbone.get_spec(name, width))
    assert list(spec.taps()) == [2, 4, 8, 16, 32, 64]
    assert spec.stem_channels == 32
    if width != 1.0:
        assert all(count % 16 == 0 for block in spec.blocks for count in (block.out_channels, block.widths[0]))
    assert specs.from_dict(specs.to_dict(spec)) == spec


def test_the_scaling_rule():
    half = backbone.get_spec("selecsls60", 0.5)
    assert half.blocks[0].widths == (32, 32, 16, 32, 16, 32)
    assert half.blocks[-1].widths == (144, 144, 72, 144, 72, 208)
    tiny = backbone.get_spec("selecsls60", 0.01)
    assert {block.out_channels for block in tiny.blocks} == {16}


def test_each_level_may_have_a_width_of_its_own():
    whole, mixed = backbone.get_spec("selecsls42"), backbone.get_spec("selecsls42", (0.5, 1.0, 0.25))
    half, quarter = backbone.get_spec("selecsls42", 0.5), backbone.get_spec("selecsls42", 0.25)
    assert mixed.blocks[:2] == half.blocks[:2]
    assert mixed.blocks[2].widths == whole.blocks[2].widths
    assert mixed.blocks[2].in_channels == half.blocks[1].out_channels
    assert mixed.blocks[3] == whole.blocks[3]
    assert [b.widths for b in mixed.blocks[4:]] == [b.widths for b in quarter.blocks[4:]]
    assert mixed.head == quarter.head  # the last factor goes on
    assert backbone.get_spec("selecsls42", (0.5, 0.5, 0.5)) == half
    for wrong in ((), (0.5, 0.0), (float("nan"), 1.0)):
        with pytest.raises(UnknownModelError, match="one for each level"):
            backbone.get_spec("selecsls42", wrong)


def test_features_come_in_the_order_asked_and_only_what_is_needed_is_built():
    model = backbone.create_model("selecsls60", features_only=True, out_strides=(16, 2, 8)).eval()
    assert (model.channels, model.strides) == ([416, 32, 288], [16, 2, 8])
    assert len(model.head) == 0
    with torch.no_grad():
        maps = model(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(1, 416, 4, 6), (1, 32, 32, 48), (1, 288, 8, 12)]
    shallow = backbone.create_model("selecsls60", features_only=True, out_strides=(8,))
    assert len(shallow.features) == 5
    deep = backbone.create_model("selecsls42b", features_only=True, out_strides=(32,))
    assert (len(deep.head), deep.channels) == (2, [1024])


def test_features_and_classifier_are_one_network():
    whole = backbone.create_model("selecsls42", width=0.25, num_classes=0).eval()
    taps = backbone.create_model("selecsls42", width=0.25, features_only=True).eval()
    taps.load_state_dict(whole.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = taps(x)
        torch.testing.assert_close(maps[-1], whole.forward_features(x))
        torch.testing.assert_close(maps[-1].mean(dim=(2, 3)), whole(x))
    assert taps.strides == [2, 4, 8, 16, 32, 64]


def test_the_long_skip_is_the_first_block_of_the_level():
    model = backbone.create_model("selecsls60", features_only=True, width=0.25).eval()
    x, seen = torch.randn(1, 3, 64, 64), {}
    for index, block in enumerate(model.features):
        block.register_forward_hook(lambda m, args, out, index=index: seen.update({index: (args[1], out)}))
    with torch.no_grad():
        model(x)
    for index, first in ((1, 0), (3, 2), (4, 2), (6, 5), (7, 5), (8, 5)):
        assert seen[index][0] is seen[first][1]


def test_dropout_acts_in_training_only():
    model = backbone.create_model("selecsls42", num_classes=5, dropout=0.5, width=0.25)
    x = torch.randn(2, 3, 64, 64)
    features = model.forward_features(x)
    assert not torch.equal(model.forward_head(features), model.forward_head(features))
    model.eval()
    assert torch.equal(model.forward_head(features), model.forward_head(features))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"name": "selecsls61"}, "did you mean selecsls60"),
        ({"name": "selecsls60", "width": 0.0}, "width"),
        ({"name": "selecsls60", "width": float("nan")}, "width"),
        ({"name": "selecsls60", "features_only": True, "out_strides": (8, 12)}, "strides"),
        ({"name": "selecsls60", "features_only": True, "out_strides": ()}, "strides"),
        ({"name": "selecsls60", "num_classes": -1}, "num_classes"),
        ({"name": "selecsls60", "dropout": 1.0}, "dropout"),
    ],
)
def test_what_is_not_there_is_named(arguments, word):
    with pytest.raises(UnknownModelError, match=word) as caught:
        backbone.create_model(**arguments)
    assert isinstance(caught.value, BackboneError)
    assert "\n" not in str(caught.value)


def test_one_graph_for_the_compiler():
    model = backbone.create_model("selecsls42", width=0.125, features_only=True).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")  # one graph, or the compiler raises
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_code_computes_the_same():
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("needs a C++ compiler")
    model = backbone.create_model("selecsls42", width=0.125, num_classes=4).eval()
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("damage", ["channels", "stride", "text", "missing", "widths"])
def test_a_damaged_description_is_refused(damage):
    data = specs.to_dict(backbone.get_spec("selecsls42"))
    blocks = [dict(block) for block in data["blocks"]]
    data["blocks"] = blocks
    if damage == "channels":
        blocks[2]["in_channels"] += 1
    elif damage == "stride":
        blocks[0]["stride"] = 3
    elif damage == "text":
        blocks[0]["widths"] = ["many"] * 6
    elif damage == "missing":
        del blocks[0]["stride"]
    else:
        blocks[0]["widths"] = (64, 64)
    with pytest.raises(ValueError, match=r"."):
        specs.from_dict(data)
