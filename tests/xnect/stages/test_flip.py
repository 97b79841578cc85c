"""The flip test: left and right are treated alike, and the mean is that of what was seen in both pictures."""

import numpy as np
import pytest
import torch

from xnect.config import NetworkConfig
from xnect.skeleton.joints import FLIP_2D, FLIP_3D, JOINTS_2D, JOINTS_3D, LIMBS
from xnect.stages.executors.pytorch import torch_executor
from xnect.stages.flip import mean_encoding, mean_maps, with_mirrored
from xnect.stages.network import NetworkSpec, Stage1, TorchNetwork, load_stage1, save_stage1


@pytest.fixture
def net(tmp_path):
    """A tiny network with all its parts."""
    torch.manual_seed(0)
    made = Stage1(NetworkSpec("selecsls42", 0.1, 16, encoding=True, surroundings=True)).eval()
    save_stage1(made, tmp_path / "small.safetensors", {})
    return load_stage1(tmp_path / "small.safetensors")


def mirrored(maps):
    """Heatmaps, fields and encoding of the mirrored picture, joint by joint."""
    heat, fields, encoding = maps.heatmaps[FLIP_2D][..., ::-1], maps.pafs.copy(), np.empty_like(maps.encoding)
    for k, (a, b) in enumerate(LIMBS):
        partner = LIMBS.index((FLIP_2D[a], FLIP_2D[b]))
        fields[k, 0], fields[k, 1] = -maps.pafs[partner, 0][:, ::-1], maps.pafs[partner, 1][:, ::-1]
    for j in range(len(JOINTS_3D)):
        for axis, sign in enumerate((-1, 1, 1)):
            encoding[3 * j + axis] = sign * maps.encoding[3 * FLIP_3D[j] + axis][:, ::-1]
    return heat, fields, encoding


def test_a_mirrored_picture_gives_mirrored_maps(net):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
    network = TorchNetwork(net, NetworkConfig(device="cpu", precision="fp32", input_size=(96, 64)))
    assert network.flip
    there = network(np.ascontiguousarray(picture[:, ::-1]))
    here = network(picture)
    for got, wanted in zip((there.heatmaps, there.pafs, there.encoding), mirrored(here), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())
    network.flip = False  # the network alone is not so fair
    there, here = network(np.ascontiguousarray(picture[:, ::-1])), network(picture)
    assert np.abs(there.heatmaps - mirrored(here)[0]).max() > 1e-2 * np.abs(here.heatmaps).max()


def test_the_mean_is_taken_of_both(net):
    picture = np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    both = with_mirrored(picture)
    np.testing.assert_array_equal(both[1], picture[:, ::-1])
    maps, encoding = torch_executor(net, NetworkConfig(device="cpu", precision="fp32"))(both)
    found, right, left = mean_maps(maps), JOINTS_2D.index("right_wrist"), JOINTS_2D.index("left_wrist")
    np.testing.assert_allclose(found[right], (maps[0, right] + maps[1, left, :, ::-1]) / 2, rtol=1e-5, atol=1e-7)
    hip = 3 * JOINTS_3D.index("right_hip")
    other = 3 * JOINTS_3D.index("left_hip")
    wanted = (encoding[0, hip] - encoding[1, other, :, ::-1]) / 2
    np.testing.assert_allclose(mean_encoding(encoding)[hip], wanted, rtol=1e-5, atol=1e-7)
