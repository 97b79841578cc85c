"""Files in, networks out: every container and layout that is published, and a clear word for everything else."""

import contextlib
import io
import json
import pickle
import struct

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import backbone
from backbone import weights
from backbone.errors import WeightsError
from tests.backbone.parity import seeded_state

NAME, WIDTH, CLASSES = "selecsls42b", 0.125, 7
OPTIONS = {"width": WIDTH, "num_classes": CLASSES}


@pytest.fixture(scope="module")
def state():
    model = backbone.create_model(NAME, **OPTIONS)
    return seeded_state({key: tuple(value.shape) for key, value in model.state_dict().items()})


def old_container(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def new_container(state, path):
    torch.save(state, path)


def tensors_only(state, path):
    safetensors.torch.save_file(state, path)


WRITERS = [(old_container, "weights.pth"), (new_container, "weights.pth"), (tensors_only, "model.safetensors")]


@pytest.mark.parametrize("layout", ["timm", "authors"])
@pytest.mark.parametrize(("writer", "file_name"), WRITERS)
def test_every_container_and_layout_loads(tmp_path, state, writer, file_name, layout):
    given_state = weights.to_authors_layout(state) if layout == "authors" else state
    assert ("classifier.0.weight" in given_state) == (layout == "authors")
    path = tmp_path / file_name
    writer(given_state, path)
    model = backbone.create_model(NAME, path, **OPTIONS)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert model.weights_origin == str(path)
    # the content decides, not the name
    odd = path.rename(tmp_path / "weights.bin")
    assert torch.equal(backbone.create_model(NAME, odd, **OPTIONS).fc.weight, state["fc.weight"])


@pytest.mark.parametrize("wrapper", ["state_dict", "state_dict_ema", "model"])
def test_checkpoints_and_parallel_prefixes_are_unwrapped(tmp_path, state, wrapper):
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 3, wrapper: {f"module.{key}": value for key, value in state.items()}}, path)
    assert torch.equal(backbone.create_model(NAME, path, **OPTIONS).fc.weight, state["fc.weight"])


def test_half_precision_and_files_without_batch_counters_load(tmp_path, state):
    path = tmp_path / "half.safetensors"
    halves = {key: value.half() for key, value in state.items() if not key.endswith("num_batches_tracked")}
    safetensors.torch.save_file(halves, path)
    model = backbone.create_model(NAME, path, **OPTIONS)
    assert model.fc.weight.dtype == torch.float32
    torch.testing.assert_close(model.fc.weight, state["fc.weight"], rtol=1e-3, atol=1e-3)


def test_a_feature_extractor_takes_its_part(tmp_path, state):
    path = tmp_path / "weights.pth"
    new_container(state, path)
    model = backbone.create_model(NAME, path, width=WIDTH, features_only=True, out_strides=(8,))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_another_number_of_classes_keeps_the_last_layer_random_and_says_so(tmp_path, state, caplog):
    path = tmp_path / "weights.pth"
    new_container(state, path)
    model = backbone.create_model(NAME, path, width=WIDTH, num_classes=3)
    assert model.fc.weight.shape[0] == 3
    assert torch.equal(model.stem.conv.weight, state["stem.0.weight"])
    assert "stays random" in caplog.text
    bare = backbone.create_model(NAME, path, width=WIDTH, num_classes=0)
    assert torch.equal(bare.stem.conv.weight, state["stem.0.weight"])


def test_full_size_files_are_recognised_by_shape(tmp_path):
    for name in backbone.names(variants=True):
        with torch.device("meta"):
            model = backbone.create_model(name, num_classes=3)
        assert weights.identify(model.state_dict()).name == name
    path = tmp_path / "theirs.pth"
    with torch.device("meta"):
        shapes = backbone.create_model("selecsls60b", num_classes=3).state_dict()
    state = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in shapes.items()}
    torch.save(weights.to_authors_layout(state), path)
    with pytest.raises(WeightsError, match="it fits selecsls60b"):
        backbone.create_model("selecsls60", path, width=0.125)
    model, info = backbone.load_model(path)
    assert (info.spec.name, model.num_classes) == ("selecsls60b", 3)
    torch.save({key: value for key, value in state.items() if not key.startswith("fc.")}, path)
    with pytest.raises(WeightsError, match="no SelecSLS classifier"):
        backbone.load_model(path)


def test_what_does_not_fit_is_told_in_one_line(tmp_path, state):
    path = tmp_path / "weights.pth"
    cases = {
        "1 missing": {key: value for key, value in state.items() if key != "stem.0.weight"},
        "1 unknown": {**state, "stem.9.weight": torch.zeros(1)},
        "1 of other shape": {**state, "stem.0.weight": torch.zeros(2, 3, 3, 3)},
    }
    for word, broken in cases.items():
        new_container(broken, path)
        with pytest.raises(WeightsError, match=word) as caught:
            backbone.create_model(NAME, path, **OPTIONS)
        assert "\n" not in str(caught.value)
    for other in ({}, [1, 2], {"a": 3}, {1: torch.zeros(1)}, torch.zeros(3)):
        torch.save(other, path)
        with pytest.raises(WeightsError, match="no state dict"):
            backbone.create_model(NAME, path, **OPTIONS)


def test_values_that_are_not_finite_are_damage(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    broken = {**state, "fc.bias": state["fc.bias"].clone()}
    broken["fc.bias"][3] = float("nan")
    tensors_only(broken, path)
    with pytest.raises(WeightsError, match=r"fc\.bias has values that are not finite"):
        backbone.create_model(NAME, path, **OPTIONS)


class Bomb:
    """Code that a careless reader would run."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the file ran its code')",))


def test_code_in_a_file_does_not_run(tmp_path, state):
    path = tmp_path / "weights.pth"
    torch.save({**state, "bomb": Bomb()}, path)
    with pytest.raises(WeightsError, match="cannot be read"):
        backbone.create_model(NAME, path, **OPTIONS)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match="cannot be read"):
        backbone.create_model(NAME, path, **OPTIONS)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"<!DOCTYPE html><html>log in</html>", b"PK\x03\x04" + bytes(100), bytes(5000), b"\x80\x02."]
    + [struct.pack("<Q", length) + b"{" + bytes(60) for length in (1, 20, 60, 2**40)],
)
def test_other_files_are_no_weights(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="weights"):
        weights.read_weights(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(WeightsError, match="no weights file at"):
        backbone.create_model(NAME, tmp_path / "gone.pth")
    with pytest.raises(WeightsError, match="no weights file at"):
        backbone.create_model(NAME, tmp_path)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    state = {"stem.0.weight": torch.arange(12.0).view(3, 4), "fc.bias": torch.ones(5), "n": torch.tensor(3)}
    contents = []
    for writer, _ in WRITERS:
        writer(state, folder / "x")
        contents.append((folder / "x").read_bytes())
    backbone.save_model(backbone.create_model(NAME, width=0.01, num_classes=2), folder / "own")
    return folder, [*contents, (folder / "own").read_bytes()[:60000]]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_cut_and_flipped_files_never_raise_anything_else(small_files, data):
    folder, contents = small_files
    content = bytearray(data.draw(st.sampled_from(contents)))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, min(len(content), 1500) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged"
    path.write_bytes(bytes(content))
    with contextlib.suppress(WeightsError):
        found, _ = weights.read_weights(path)
        assert all(isinstance(value, torch.Tensor) for value in found.values())


def test_a_false_description_is_refused(tmp_path, state):
    path = tmp_path / "own.safetensors"
    for record in ("{", "[]", "{}", json.dumps({"num_classes": 10**9, "spec": {}, "folded": False})):
        safetensors.torch.save_file(state, path, {"backbone": record})
        with pytest.raises(WeightsError, match="cannot be read"):
            weights.read_weights(path)


def test_saved_files_are_whole_or_not_there_and_readable_by_others(tmp_path):
    model = backbone.create_model(NAME, **OPTIONS)
    path = tmp_path / "deep" / "own.safetensors"
    backbone.save_model(model, path)
    assert [p.name for p in path.parent.iterdir()] == ["own.safetensors"]
    plain = safetensors.torch.load_file(path)
    assert all(torch.equal(plain[key], value) for key, value in model.state_dict().items())
    (tmp_path / "file").write_text("x")
    with pytest.raises(WeightsError, match="cannot write"):
        backbone.save_model(model, tmp_path / "file" / "own.safetensors")


def test_state_goes_through_memory_too(state):
    buffer = io.BytesIO()
    torch.save(weights.to_authors_layout(state), buffer)
    buffer.seek(0)
    assert weights.canonical(torch.load(buffer, weights_only=True), "memory").keys() == state.keys()
