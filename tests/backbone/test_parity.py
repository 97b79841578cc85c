"""The networks are the published ones: against a record of timm's outputs, and against timm itself where it imports."""

import json

import numpy as np
import pytest
import torch

import backbone
from tests.backbone import parity


@pytest.fixture(scope="module")
def record():
    with np.load(parity.RECORD) as file:
        return dict(file)


def ours(name, state):
    with torch.device("meta"):
        model = backbone.create_model(name)
    model.load_state_dict(state, assign=True)
    return model


@pytest.mark.parametrize("name", parity.NAMES)
def test_state_names_shapes_and_every_feature_match_the_record(record, name):
    facts = json.loads(str(record["facts"]))[name]
    with torch.device("meta"):
        model = backbone.create_model(parity.NAMES[name])
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert shapes == {key: tuple(shape) for key, shape in facts["shapes"].items()}
    model.load_state_dict(parity.seeded_state(shapes), assign=True)
    found = parity.fingerprints(model)
    expected = {key.removeprefix(f"{name}/"): value for key, value in record.items() if key.startswith(f"{name}/")}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-9 * np.abs(value).max(), err_msg=key)
    with torch.no_grad():
        logits = model.float()(parity.picture().float())[0].numpy()
    reference = expected["logits"]
    assert np.abs(logits - reference).max() <= 1e-5 * np.abs(reference).max()
    assert len(np.unique(np.argsort(reference))) == 1000
    assert reference.std() > 0.1, "the record would not tell networks apart"


@pytest.mark.parametrize("name", parity.NAMES)
def test_feature_taps_are_those_of_timm(record, name):
    taps = json.loads(str(record["facts"]))[name]["taps"]
    spec = backbone.get_spec(parity.NAMES[name])
    units = ["stem.2"]  # timm names the ReLU of the stem
    units += [f"features.{index}" for index in range(len(spec.blocks))]
    units += [f"head.{index}" for index in range(len(spec.head))]
    assert {tap["reduction"]: tap["module"] for tap in taps} == {s: units[i] for s, i in spec.taps().items()}
    assert [tap["num_chs"] for tap in taps] == [spec.units()[spec.taps()[tap["reduction"]]][0] for tap in taps]


@pytest.mark.parametrize("name", ["selecsls42", *parity.NAMES])
def test_live_parity_with_timm(name):
    timm = pytest.importorskip("timm", reason="timm (or its torchvision) is not installed", exc_type=ImportError)
    theirs = timm.create_model(name, pretrained=False)
    state = parity.seeded_state({key: tuple(value.shape) for key, value in theirs.state_dict().items()})
    theirs.load_state_dict(state)
    mine = ours(parity.NAMES.get(name, name), state).eval()
    features = backbone.create_model(parity.NAMES.get(name, name), features_only=True)
    features.load_state_dict({key: state[key] for key in features.state_dict()})
    x = torch.rand(2, 3, 224, 224) * 2 - 1
    taps = [info["module"] for info in theirs.feature_info]
    seen = {}
    for tap in taps:
        theirs.get_submodule(tap).register_forward_hook(lambda m, i, o, tap=tap: seen.update({tap: o}))
    with torch.no_grad():
        expected = theirs.eval()(x)
        got = mine(x)
        maps = features.eval()(x)
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
    for tap, found in zip(taps, maps, strict=True):
        reference = seen[tap][0] if isinstance(seen[tap], (list, tuple)) else seen[tap]
        assert (found - reference).abs().max() <= 1e-5 * reference.abs().max(), tap
