"""Several looks: left and right are treated alike, and the mean is that of what was seen in all pictures."""

import numpy as np
import pytest
import torch

from xnect.config import NetworkConfig
from xnect.geometry import apply_affine, frame_from_map
from xnect.skeleton.joints import FLIP_2D, FLIP_3D, JOINTS_2D, JOINTS_3D, LIMBS
from xnect.stages.executors.base import PictureNetwork, network_pictures
from xnect.stages.executors.pytorch import torch_executor
from xnect.stages.looks import LOOKS, Merged, mean_encoding, mean_maps, pixels, with_mirrored
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
    assert network.looks == 2
    there = network(np.ascontiguousarray(picture[:, ::-1]))
    here = network(picture)
    for got, wanted in zip((there.heatmaps, there.pafs, there.encoding), mirrored(here), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())
    network.looks = 1  # the network alone is not so fair
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


class Marks:
    """Stands for a network that sees a bright mark as the right wrist, at stride 8, and remembers its pictures."""

    description, streams = "marks", 1

    def __init__(self):
        self.shapes = []

    def __call__(self, pictures):
        self.shapes.append(pictures.shape)
        count, height, width = pictures.shape[:3]
        maps = np.zeros((count, 40, height // 8, width // 8), np.float32)
        bright = pictures[..., 0].reshape(count, height // 8, 8, width // 8, 8).mean((2, 4)) / 255
        maps[:, JOINTS_2D.index("right_wrist")] = bright
        return maps, None

    def prepare(self, net_px, count=1):
        self.shapes.append((count, net_px[1], net_px[0], 3))


@pytest.mark.parametrize("looks", [1, 2, 4])
@pytest.mark.parametrize("frame_px", [(640, 400), (333, 500)])
def test_a_joint_is_where_it_is_in_the_frame_however_often_one_looks(looks, frame_px):
    width, height = frame_px
    frame = np.zeros((height, width, 3), np.uint8)
    frame[150:190, 210:250] = 255  # middle at (229.5, 169.5)
    executor = Marks()
    network = PictureNetwork(executor, (512, 320), looks)
    maps = network(frame)
    right, left = JOINTS_2D.index("right_wrist"), JOINTS_2D.index("left_wrist")
    there, mirrored = maps.heatmaps[right], maps.heatmaps[left]
    share = sum(look.mirrored for look in LOOKS[looks]) / looks
    assert there.sum() / (there.sum() + mirrored.sum()) == pytest.approx(1 - share, abs=0.03)
    for heat in (there, mirrored) if share else (there,):
        y, x = np.indices(heat.shape)
        middle = np.array([(x * heat).sum(), (y * heat).sum()]) / heat.sum()
        # the mirrored picture has its black rim on the other side, which the maps know
        np.testing.assert_allclose(apply_affine(middle[None], maps.frame_from_map)[0], (229.5, 169.5), atol=2.5)
    seen = list(executor.shapes)
    executor.shapes.clear()
    network.prepare(frame_px, [((512, 320), looks)])
    assert executor.shapes == seen  # nothing is compiled while frames come


def test_four_looks_of_a_network_that_knows_everything_agree(net):
    grid = np.array([[10.0, 0, 4.5], [0, 10.0, 4.5]])
    rng = np.random.default_rng(3)
    slope = rng.random((40, 2)).astype(np.float32)

    def ramp(size, grid):
        """A map whose value depends on the frame's pixel alone, so that every look should read the same."""
        y, x = np.indices(size)
        px = apply_affine(np.stack([x, y], -1).astype(float), grid)
        return (slope[:, None, None, 0] * px[..., 0] + slope[:, None, None, 1] * px[..., 1]).astype(np.float32)

    merged = Merged(3)
    for size, scale in (((20, 30), 1.0), ((25, 38), 0.8), ((16, 25), 1.25)):
        merged.add(ramp(size, grid * scale), None, grid * scale, False)
    inside = (slice(None), slice(1, -2), slice(1, -2))  # beyond the last cell of a map its edge goes on
    np.testing.assert_allclose(merged.maps[inside], ramp((20, 30), grid)[inside], rtol=2e-2)
    assert merged.encoding is None


def test_looks_in_numbers():
    assert (pixels(1), pixels(2)) == (1, 2)
    assert pixels(4) == pytest.approx(5.45, abs=0.01)
    sizes = [net_px for net_px, _ in network_pictures((1280, 720), (512, 320), 4)]
    assert sizes == [(672, 384), (816, 448), (544, 304), (432, 240)]
    assert frame_from_map((1280, 720), sizes[0], 8)[0, 0] == pytest.approx(8 * 1280 / 672)


def test_four_looks_with_an_encoding(net):
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    maps = TorchNetwork(net, NetworkConfig(device="cpu", precision="fp32", input_size=(96, 64), looks=4))(picture)
    assert maps.encoding.shape == (63, *maps.heatmaps.shape[1:])
    assert np.isfinite(maps.encoding).all()
    assert maps.encoding.any()
