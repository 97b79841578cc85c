"""Folding and pruning leave the function as it was, and say what they saved."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import backbone
from backbone.errors import BackboneError
from backbone.fold import fold_batch_norm
from backbone.prune import PrunePlan, apply_plan, compare, plan_pruning
from backbone.selecsls import conv_units
from backbone.summary import summarise
from tests.backbone.parity import seeded_state


def lively(name="selecsls60b", width=0.125, **options):
    """A network with every entry away from its default."""
    model = backbone.create_model(name, width=width, **options)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(seeded_state(shapes))
    return model.eval()


def kill(model, share, seed, shift=-0.1, scale=0.0):
    """Set the scale of a random share of all channels to `scale` and their shift to `shift`; return how many."""
    random, killed = torch.Generator().manual_seed(seed), 0
    for unit in conv_units(model).values():
        dead = torch.rand(unit.conv.out_channels, generator=random) < share
        with torch.no_grad():
            unit.norm.weight[dead] = scale
            unit.norm.bias[dead] = shift
        killed += int(dead.sum())
    return killed


def outputs(model, x):
    with torch.no_grad():
        found = model(x)
    return found if isinstance(found, list) else [found]


def assert_same(first, second, x, tolerance=1e-5):
    for a, b in zip(outputs(first, x), outputs(second, x), strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * a.abs().max()


X = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["selecsls42b", "selecsls60", "selecsls102"])
@pytest.mark.parametrize("features_only", [False, True])
def test_folding_changes_nothing(name, features_only):
    model = lively(name, features_only=features_only)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold_batch_norm(model)
    assert_same(model, folded, X)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    with pytest.raises(BackboneError, match="folded already"):
        fold_batch_norm(folded)


@settings(max_examples=4, deadline=None)
@given(
    share=st.floats(0.0, 0.9),
    seed=st.integers(0, 10**6),
    name=st.sampled_from(backbone.names()),
    features=st.sampled_from([None, (8, 16), (4, 64, 2), (16,)]),
)
def test_removing_dead_channels_changes_nothing(share, seed, name, features):
    model = lively(name, **({} if features is None else {"features_only": True, "out_strides": features}))
    killed = kill(model, share, seed)
    plan = plan_pruning(model)
    smaller = apply_plan(model, plan)
    assert_same(model, smaller, X)
    assert plan.removed <= killed
    if features is None:
        whole = [k for k, kept in plan.keep.items() if len(kept) == 1]
        assert plan.removed >= killed - len(whole)
    assert summarise(smaller).parameters <= summarise(model).parameters
    assert_same(smaller, fold_batch_norm(smaller), X)


def test_every_reader_of_a_channel_loses_it():
    model = lively("selecsls60", width=1.0, features_only=True, out_strides=(16,))
    units = conv_units(model)
    with torch.no_grad():  # the output of the first block of level 3 feeds block 6 and the merges of blocks 6, 7 and 8
        units["features.5.conv6"].norm.weight[:100] = 0
        units["features.5.conv6"].norm.bias[:100] = -1
    smaller = conv_units(apply_plan(model, plan_pruning(model)))
    assert smaller["features.5.conv6"].conv.weight.shape == (188, 576, 1, 1)
    assert smaller["features.6.conv1"].conv.weight.shape == (288, 188, 3, 3)
    for block in (6, 7, 8):
        assert smaller[f"features.{block}.conv6"].conv.in_channels == 576 + 188
    assert smaller["features.7.conv1"].conv.in_channels == 288
    assert_same(model, apply_plan(model, plan_pruning(model)), X)


def test_constant_channels_move_into_their_readers():
    model = lively(features_only=True, out_strides=(4,), width=0.5)
    assert kill(model, 0.3, seed=3, shift=0.5) > 100
    smaller = apply_plan(model, plan_pruning(model))
    assert summarise(smaller).parameters < 0.8 * summarise(model).parameters
    x = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    (before,), (after,) = outputs(model, x), outputs(smaller, x)
    inner = (..., slice(10, -10), slice(10, -10))  # away from the border, where zero padding is not the constant
    assert (before[inner] - after[inner]).abs().max() <= 1e-5 * before.abs().max()
    # behind 1x1 convolutions alone there is no border
    exact = lively()
    with torch.no_grad():
        for block in (0, 3, 7):
            conv_units(exact)[f"features.{block}.conv1"].norm.weight[:7] = 0
        for name in ("features.2.conv3", "features.4.conv5", "head.3"):
            conv_units(exact)[name].norm.weight[2:5] = 0
            conv_units(exact)[name].norm.bias[2:5] = 0.7
    assert_same(exact, apply_plan(exact, plan_pruning(exact)), X)


def test_returned_maps_and_protected_units_keep_their_channels():
    model = lively(features_only=True, out_strides=(8, 16))
    kill(model, 0.5, seed=4)
    plan = plan_pruning(model, protect=["features.0.conv2"])
    smaller = apply_plan(model, plan)
    assert smaller.channels == model.channels
    assert len(plan.keep["features.0.conv2"]) == model.spec.blocks[0].widths[1]
    assert_same(model, smaller, X)


def test_the_trunk_of_the_pose_network_prunes_under_its_heads():
    network = pytest.importorskip("xnect.stages.network")
    spec = network.NetworkSpec("selecsls42", width=0.25, head=32, encoding=True)
    pose = network.Stage1(spec).eval()
    pose.trunk.load_state_dict(
        seeded_state({key: tuple(value.shape) for key, value in pose.trunk.state_dict().items()})
    )
    kill(pose.trunk, 0.5, seed=10)
    with torch.no_grad():
        before = pose(X)
        plan = plan_pruning(pose.trunk)
        pose.trunk = apply_plan(pose.trunk, plan)
        after = pose(X)
    assert plan.removed > 100
    for a, b in zip(before, after, strict=True):
        assert (a - b).abs().max() <= 1e-5 * a.abs().max()


def test_a_unit_never_vanishes_and_counts_can_be_rounded():
    model = lively()
    kill(model, 1.1, seed=5)
    plan = plan_pruning(model)
    assert {len(kept) for kept in plan.keep.values()} == {1}
    assert_same(model, apply_plan(model, plan), X)
    rounded = plan_pruning(model, multiple=8)
    assert {len(kept) % 8 for kept in rounded.keep.values()} == {0}
    assert_same(model, apply_plan(model, rounded), X)


def test_a_plan_is_data():
    model = lively()
    kill(model, 0.4, seed=6)
    plan = plan_pruning(model, threshold=1e-3)
    again = PrunePlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    assert_same(apply_plan(model, plan), apply_plan(model, again), X)
    changed = {**plan.keep, "stem": tuple(range(model.spec.stem_channels))}
    richer = apply_plan(model, PrunePlan(plan.model, plan.threshold, plan.channels, changed))
    assert richer.spec.stem_channels == 32


def test_plans_that_do_not_fit_are_refused():
    model = lively()
    plan = plan_pruning(model)
    with pytest.raises(BackboneError, match="another network"):
        apply_plan(lively("selecsls42"), plan)
    with pytest.raises(BackboneError, match="prune first"):
        plan_pruning(fold_batch_norm(model))
    with pytest.raises(BackboneError, match="threshold"):
        plan_pruning(model, threshold=-1.0)
    with pytest.raises(BackboneError, match=r"no unit 'stern'"):
        plan_pruning(model, protect=["stern"])
    for kept in ((), (1, 1), (2, 1), (0, 99)):
        with pytest.raises(BackboneError, match="impossible"):
            apply_plan(model, PrunePlan("x", 0.0, plan.channels, {**plan.keep, "stem": kept}))
    with pytest.raises(BackboneError, match="every unit"):
        apply_plan(model, PrunePlan("x", 0.0, plan.channels, {"stem": (1,)}))
    with pytest.raises(BackboneError, match="not a pruning plan"):
        PrunePlan.from_dict({"keep": 3})


def test_the_report_tells_what_was_saved():
    model = lively()
    kill(model, 0.5, seed=7)
    smaller = apply_plan(model, plan_pruning(model))
    report = compare(model, smaller, (64, 64), repeats=2)
    assert report.channels[1] == report.channels[0] - plan_pruning(model).removed
    assert report.parameters == (summarise(model).parameters, summarise(smaller).parameters)
    assert min(report.time_ms) > 0
    assert "saved" in report.text()


def test_a_pruned_network_still_learns():
    model = lively(num_classes=4)
    kill(model, 0.5, seed=8)
    smaller = apply_plan(model, plan_pruning(model)).train()
    smaller(X).square().sum().backward()
    assert all(p.grad is not None for p in smaller.parameters())


def test_pruned_and_folded_networks_survive_a_file(tmp_path):
    model = lively(num_classes=4)
    kill(model, 0.5, seed=9)
    smaller = apply_plan(model, plan_pruning(model))
    for index, made in enumerate((smaller, fold_batch_norm(smaller), fold_batch_norm(model))):
        path = tmp_path / f"{index}.safetensors"
        backbone.save_model(made, path, {"classes": ["a", "b", "c", "d"]})
        loaded, info = backbone.load_model(path)
        assert_same(made, loaded.eval(), X, tolerance=0)
        assert info.extra["classes"] == ["a", "b", "c", "d"]
        with pytest.raises(backbone.WeightsError, match="load_model"):
            backbone.create_model("selecsls60b", path, width=0.125, num_classes=4)
