"""Executors: every one gives what torch in fp32 gives, on any picture size; what is not there is told in one line."""

import importlib.util
import threading

import numpy as np
import pytest
import torch

from xnect.capture import open_source
from xnect.config import DetectionConfig, NetworkConfig
from xnect.errors import WeightsError
from xnect.resources import resource
from xnect.stages.association import associate
from xnect.stages.executors import base, choose, package
from xnect.stages.executors.pytorch import torch_executor
from xnect.stages.network import NetworkSpec, Stage1, TorchNetwork, folded, load_stage1, save_stage1

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")
needs_nncf = pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="needs nncf")
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA card")
EVERY = [
    pytest.param("torch", "bf16", 1.0, id="torch bf16"),
    pytest.param("openvino", "fp32", 1.0, marks=needs_openvino, id="openvino fp32"),
    pytest.param("openvino", "bf16", 1.0, marks=needs_openvino, id="openvino bf16"),
    pytest.param("openvino", "int8", 3.0, marks=needs_openvino, id="openvino int8"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Converted networks of this run only."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setattr(package, "cache_file", lambda digest, kind: folder / f"{digest[:16]}.{kind}.zip")
    return folder


@pytest.fixture(scope="session")
def frames():
    with open_source(resource("demo.mp4")) as source:
        return [frame.image_bgr for frame in source if frame.index % 19 == 5]


@pytest.fixture(scope="session")
def reference(frames):
    network = TorchNetwork(load_stage1(base.default_weights()), NetworkConfig(device="cpu", precision="fp32"))
    return [associate(network(frame), DetectionConfig()) for frame in frames]


@pytest.fixture
def small(tmp_path):
    """Weights of a tiny network with all its parts."""
    torch.manual_seed(0)
    net = Stage1(NetworkSpec("selecsls42", 0.1, 16, encoding=True, surroundings=True)).eval()
    torch.nn.init.normal_(net.surroundings.back.weight)
    save_stage1(net, tmp_path / "small.safetensors", {})
    return tmp_path / "small.safetensors"


def distances(ours, theirs, frame_px):
    """From each joint that the reference is sure of to the nearest of its kind, in pixels of the network's picture.

    Whose joint it is does not matter here: where people cross, the least difference may turn the grouping over.
    """
    scale = base.network_size(frame_px, (512, 320))[0] / frame_px[0]
    gaps = np.linalg.norm(ours.joints_px[None] - theirs.joints_px[:, None], axis=-1)
    gaps = np.where(ours.confidence[None] > 0, gaps, np.inf).min(axis=1, initial=np.inf) * scale
    return gaps[theirs.confidence > 0.25]


@pytest.mark.parametrize(("executor", "precision", "tolerance"), EVERY)
def test_joints_agree_with_torch_in_fp32(frames, reference, executor, precision, tolerance):
    config = NetworkConfig(device="cpu", executor=executor, precision=precision)
    if (
        precision == "int8"
        and package.find(base.default_weights(), package.digest(base.default_weights()), "int8") is None
    ):
        pytest.skip("no int8 network for these weights")
    if precision == "bf16" and not choose_can("BF16", executor):
        pytest.skip("this processor has no bf16")
    network = choose.load_network(None, config)
    assert precision in network.description
    gaps = np.concatenate(
        [
            distances(associate(network(frame), DetectionConfig()), people, (frame.shape[1], frame.shape[0]))
            for frame, people in zip(frames, reference, strict=True)
        ]
    )
    assert len(gaps) > 100
    assert np.mean(gaps <= tolerance) >= 0.95


def choose_can(what, executor):
    if executor == "torch":
        return True  # slow without hardware, but right
    from xnect.stages.executors.openvino_cpu import capabilities

    return what in capabilities()


@needs_openvino
@pytest.mark.parametrize("size", [(96, 64), (64, 160), (112, 80)])
def test_maps_and_encoding_agree_for_any_size(small, size):
    ours = choose.load_network(str(small), NetworkConfig(device="cpu", executor="openvino", precision="fp32"))
    theirs = choose.load_network(str(small), NetworkConfig(device="cpu", executor="torch", precision="fp32"))
    pictures = np.random.default_rng(1).integers(0, 255, (2, size[1], size[0], 3), dtype=np.uint8)
    a, b = ours.executor(pictures), theirs.executor(pictures)
    assert a[0].shape == b[0].shape == (2, 40, size[1] // 8, size[0] // 8)
    assert a[1].shape == b[1].shape == (2, 63, size[1] // 8, size[0] // 8)
    for x, y in zip(a, b, strict=True):
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, y, atol=2e-3 * np.abs(y).max())  # its weights are kept as 16-bit floats


@needs_openvino
def test_results_belong_to_the_caller_and_read_only_pictures_pass(small):
    for executor in ("openvino", "torch"):
        network = choose.load_network(str(small), NetworkConfig(device="cpu", executor=executor, input_size=(96, 64)))
        picture = np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)
        picture.setflags(write=False)
        first = network(picture)
        kept = first.heatmaps.copy()
        network(np.zeros((64, 96, 3), np.uint8))
        assert (first.heatmaps == kept).all()


@needs_openvino
def test_several_streams_give_the_same_bits_as_one(small):
    config = NetworkConfig(device="cpu", executor="openvino", threads=2, mode="throughput", input_size=(96, 64))
    many = choose.load_network(str(small), config)
    one = choose.load_network(
        str(small), NetworkConfig(device="cpu", executor="openvino", threads=1, input_size=(96, 64))
    )
    assert many.streams == 2
    assert one.streams == 1
    pictures = np.random.default_rng(0).integers(0, 255, (24, 64, 96, 3), dtype=np.uint8)
    expected, got = [one(p).pafs for p in pictures], {}

    def work(first):
        for i in range(first, 24, 3):
            got[i] = many(pictures[i]).pafs

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((got[i] == expected[i]).all() for i in range(24))


def test_folding_changes_nothing():
    torch.manual_seed(0)
    net = Stage1(NetworkSpec("selecsls42", 0.1, 16, encoding=True))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        before, after = net.eval()(images), folded(net)(images)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(net).modules())
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@needs_openvino
def test_a_converted_network_is_kept_and_only_used_for_its_own_weights(small, own_cache, tmp_path):
    config = NetworkConfig(device="cpu", executor="openvino", precision="fp32")
    choose.load_network(str(small), config)
    digest = package.digest(small)
    kept = package.cache_file(digest, "float")
    assert kept.parent == own_cache
    assert package.load(kept, digest) is not None
    assert package.load(kept, "0" * 64) is None
    kept.write_bytes(kept.read_bytes()[:5000])  # torn: made again, not believed
    assert package.load(kept, digest) is None
    assert choose.load_network(str(small), config).executor.description == "selecsls42 x0.1 by OpenVINO on cpu, fp32"
    assert package.load(kept, digest) is not None
    assert not list(own_cache.glob("*.part"))


@needs_openvino
@needs_nncf
def test_int8_is_made_on_first_use_and_auto_takes_it(small, frames, monkeypatch):
    from xnect.stages.executors import quantise
    from xnect.stages.executors.openvino_cpu import capabilities

    if "INT8" not in capabilities():
        pytest.skip("this processor has no fast int8")
    monkeypatch.setattr(quantise, "clip_pictures", lambda: frames[:2])
    size = (128, 64)
    assert "int8" not in choose.load_network(str(small), NetworkConfig(device="cpu", input_size=size)).description
    made = choose.load_network(str(small), NetworkConfig(device="cpu", precision="int8", input_size=size))
    reference = choose.load_network(
        str(small), NetworkConfig(device="cpu", executor="torch", precision="fp32", input_size=size)
    )
    assert "int8" in choose.load_network(str(small), NetworkConfig(device="cpu", input_size=size)).description
    card = package.find(small, package.digest(small), "int8").card
    assert card["calibration"].startswith("2 pictures: the bundled clip")
    assert "nncf" in card["made_by"]
    a, b = made(frames[0]).encoding, reference(frames[0]).encoding
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"device": "cpu", "precision": "fp16"}, "--precision fp16 cannot be computed on cpu"),
        ({"device": "cuda", "executor": "openvino"}, "--executor openvino computes on the processor"),
        (
            {"device": "cpu", "executor": "torch", "precision": "int8"},
            "cannot be computed by torch on cpu.*needs OpenVINO",
        ),
    ],
)
def test_what_cannot_be_had_is_told(small, settings, text):
    with pytest.raises(WeightsError, match=text) as caught:
        choose.load_network(str(small), NetworkConfig(**settings))
    assert "\n" not in str(caught.value)


def test_without_openvino_auto_takes_torch_and_the_rest_says_what_to_install(small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "openvino" else real(name, *a))
    assert "torch on cpu" in choose.load_network(str(small), NetworkConfig(device="cpu")).description
    for settings in ({"executor": "openvino"}, {"precision": "int8"}):
        with pytest.raises(WeightsError, match=r"pip install 'xnect\[openvino\]'"):
            choose.load_network(str(small), NetworkConfig(device="cpu", **settings))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_card_that_is_not_there_is_told(small):
    with pytest.raises(WeightsError, match="--device cuda: no CUDA device"):
        choose.load_network(str(small), NetworkConfig(device="cuda"))


@needs_card
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_the_card_agrees_with_the_processor(frames, reference, precision):
    net = load_stage1(base.default_weights())
    network = base.PictureNetwork(torch_executor(net, NetworkConfig(device="cuda", precision=precision)), (512, 320))
    gaps = [
        distances(associate(network(frame), DetectionConfig()), people, (frame.shape[1], frame.shape[0]))
        for frame, people in zip(frames, reference, strict=True)
    ]
    assert np.mean(np.concatenate(gaps) <= 1.0) >= 0.95


@needs_card
def test_the_card_keeps_graphs_apart_by_size(small):
    executor = torch_executor(load_stage1(small), NetworkConfig(device="cuda", precision="fp32"))
    cpu = torch_executor(load_stage1(small), NetworkConfig(device="cpu", precision="fp32"))
    rng = np.random.default_rng(0)
    for size in [(64, 96), (96, 64), (64, 96)]:
        picture = rng.integers(0, 255, (1, *size, 3), dtype=np.uint8)
        for a, b in zip(executor(picture), cpu(picture), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-2 * np.abs(b).max())


@pytest.mark.parametrize("size", [(512, 288), (300, 200), (1280, 720), (640, 361)])
def test_shrinking_keeps_mean_and_places(size):
    y, x = np.mgrid[:720, :1280]
    image = np.stack([x / 5, y / 3, (x + y) / 8], -1).astype(np.uint8)
    small = base.shrunk(image, size)
    assert small.shape == (size[1], size[0], 3)
    expected = np.stack(
        np.meshgrid((np.arange(size[0]) + 0.5) * 1280 / size[0], (np.arange(size[1]) + 0.5) * 720 / size[1]), -1
    )
    assert np.abs(small[..., 0] - (expected[..., 0] - 0.5) / 5).max() < 1.6
    assert np.abs(small[..., 1] - (expected[..., 1] - 0.5) / 3).max() < 1.6
