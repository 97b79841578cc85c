"""Training of Stage II: the motion it reads, the people it makes up, and that a run taken up again is the same run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from xnect.codec.encoding import REFERENCE_HEIGHT_M, encode
from xnect.errors import ConfigError, SourceError, WeightsError
from xnect.stages.lifting import load_weights, run_network
from xnect.stages.lifting_frame import INPUTS, INPUTS_WITHOUT_ENCODING, OUTPUTS, network_inputs, place_points
from xnect.training import motion
from xnect.training.lifting_data import CLEAN, Imitation, make_batch
from xnect.training.lifting_model import LiftingNet, export, placed
from xnect.training.lifting_poses import PoseSampler, PoseVariety
from xnect.training.stage2 import Stage2Recipe, Stage2Trainer, main, train

EXACT = Imitation(noise=0, errors=0, bias=0, desk=0, focal_error=0)
OFFSETS = np.array(
    [
        [0, 0, 0], [0, 0.11, -0.03], [0, 0.2, 0.02], [0, 0.2, 0], [0, 0.1, 0.02], [0, 0.19, 0],
        [-0.02, 0.12, 0], [-0.17, 0, 0], [-0.28, 0, 0], [-0.26, 0, 0], [-0.07, 0, 0],
        [0.02, 0.12, 0], [0.17, 0, 0], [0.28, 0, 0], [0.26, 0, 0], [0.07, 0, 0],
        [-0.08, 0, 0], [0, -0.41, 0], [0, -0.42, 0], [0, -0.03, 0.13],
        [0.08, 0, 0], [0, -0.41, 0], [0, -0.42, 0], [0, -0.03, 0.13],
    ]
)  # fmt: skip


def write_pack(folder: Path, frames: int = 40) -> None:
    """A small motion folder of random but human poses."""
    rng = np.random.default_rng(0)
    names = [f"take_{k:02d}{part}" for k in range(30) for part in "ab"]
    vectors = rng.normal(0, 0.25, (len(names) * frames, 19, 3))
    quats = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_quat(canonical=True)[:, [3, 0, 1, 2]].reshape(-1, 19, 4)
    stored = np.round(32767 * quats).astype(np.int16)
    root = np.round(10000 * rng.normal(0, 1, (len(stored), 3))).astype(np.int32)
    np.savez(
        folder / "shard.npz",
        dquat=np.diff(stored, axis=0, prepend=np.zeros((1, 19, 4), np.int16)).astype(np.int16),
        droot=np.diff(root, axis=0, prepend=np.zeros((1, 3), np.int32)),
        offsets=np.stack([OFFSETS, OFFSETS * 1.1]).astype(np.float32),
    )
    with open(folder / "index.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "category", "split", "frames", "first", "skeleton", "shard"])
        for k, name in enumerate(names):
            split = "val" if k % 20 == 19 else "train"
            writer.writerow([name, "walk" if k % 3 else "sit", split, frames, k * frames, k % 2, "shard.npz"])
    axes = {a: {"rotvec_p1": -70.0, "rotvec_p99": 70.0} for a in "xyz"}
    joints = {motion.JOINTS[j]: axes for j in motion.ROTATED}
    (folder / "limits.json").write_text(json.dumps({"joints": joints}))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    write_pack(folder)
    return folder


# --- motion -----------------------------------------------------------------------------------------------------------


def test_forward_kinematics_agree_with_rotation_matrices(pack):
    frames = motion.read_motion(pack, "train")
    rows = np.arange(0, len(frames), 331)
    offsets = frames.offsets_m[frames.skeleton[rows]]
    places, turns = motion.forward(frames.rotations[rows], offsets)
    for n, row in enumerate(rows):
        glob, place = {}, {}
        for j, parent in enumerate(motion.PARENTS):
            local = Rotation.from_quat(frames.rotations[row, j][[1, 2, 3, 0]])
            if parent < 0:
                glob[j], place[j] = local, np.zeros(3)
                continue
            place[j] = place[parent] + glob[parent].apply(offsets[n, j])
            glob[j] = glob[parent] * local
        np.testing.assert_allclose(places[n], [place[j] for j in range(24)], atol=1e-5)
        np.testing.assert_allclose(
            np.abs((turns[n] * [glob[j].as_quat()[[3, 0, 1, 2]] for j in range(24)]).sum(-1)), 1, atol=1e-5
        )


def test_mirroring_reflects_the_body(pack):
    frames = motion.read_motion(pack, "train")
    offsets = frames.offsets_m[frames.skeleton[:50]]
    places, _ = motion.forward(frames.rotations[:50], offsets)
    mirrored, _ = motion.forward(*motion.mirror(frames.rotations[:50], offsets))
    np.testing.assert_allclose(mirrored[:, motion.MIRROR] * [-1, 1, 1], places, atol=1e-6)


def test_parts_share_out_the_takes_and_leave_the_other_splits_alone(pack):
    fit, tune, whole, val = (
        {name for name, _ in motion.read_motion(pack, split, part).clips}
        for split, part in (("train", "fit"), ("train", "tune"), ("train", "all"), ("val", "all"))
    )
    assert fit | tune == whole
    assert not fit & tune
    assert not whole & val
    assert tune
    assert not {name[:-1] for name in fit} & {name[:-1] for name in tune}


@pytest.mark.parametrize("broken", ["index.csv", "shard.npz", "limits.json"])
def test_a_folder_that_lacks_something_is_named(tmp_path, broken):
    write_pack(tmp_path, frames=2)
    (tmp_path / broken).unlink()
    with pytest.raises(SourceError, match=broken):
        PoseSampler(tmp_path)


def test_an_unknown_split_or_damaged_shard_is_refused(tmp_path):
    write_pack(tmp_path, frames=2)
    with pytest.raises(SourceError, match="no clip"):
        motion.read_motion(tmp_path, "holiday")
    (tmp_path / "shard.npz").write_bytes(b"PK nonsense")
    with pytest.raises(SourceError, match=r"shard\.npz"):
        motion.read_motion(tmp_path, "train")


@pytest.mark.shared
def test_the_real_pack_agrees_with_its_sources_own_joints():
    folder = Path(__file__).parents[3] / ".." / "shared" / "data" / "motion"
    if not folder.is_dir():
        pytest.skip("no motion pack beside the checkout")
    with np.load(folder / "reference_joints.npz") as reference:
        frames = motion.read_motion(folder, "val")
        names = [name for name, _ in frames.clips]
        known = [n for n in reference.files if n in names]
        assert known
        for name in known:
            rows = np.flatnonzero(frames.clip == names.index(name))[reference[f"{name}__frames"]]
            places, _ = motion.forward(frames.rotations[rows], frames.offsets_m[frames.skeleton[rows]])
            error = np.linalg.norm(places + frames.root_m[rows, None] - reference[name], axis=-1)
            assert error.mean() < 0.02


# --- people made up ---------------------------------------------------------------------------------------------------


def test_bodies_have_the_reference_height_and_rigid_bones(pack):
    sampler = PoseSampler(pack, variety=PoseVariety(proportions=1.0))
    poses = sampler.draw(np.random.default_rng(0), 300)
    height = motion.standing_height(OFFSETS[None] * 1.3)
    assert height == pytest.approx(1.3 * (0.80 + 0.83 + 0.03) + 0.02, abs=1e-6)
    leg = [np.linalg.norm(poses.joints_m[:, a] - poses.joints_m[:, b], axis=-1) for a, b in ((8, 9), (9, 10))]
    assert 0.55 < np.mean(leg[0] + leg[1]) < 1.0
    assert np.std(leg[0] + leg[1]) > 0.02  # children and long legs
    assert np.abs(poses.joints_m[:, 14]).max() == 0
    assert np.linalg.norm(poses.joints_m, axis=-1).max() < REFERENCE_HEIGHT_M
    face = np.linalg.norm(poses.nose_m - poses.joints_m[:, 16], axis=-1)
    assert ((face > 0.04) & (face < 0.25)).all()


def test_perturbed_joints_keep_within_their_limits(pack):
    sampler = PoseSampler(pack, variety=PoseVariety(swap_limbs=0, perturb=1, sit=0, lie=0, proportions=0))
    rng = np.random.default_rng(0)
    before = sampler.frames.rotations[:200]
    after = sampler._perturb(rng, before)
    turned = (
        Rotation.from_quat(after[:, motion.ROTATED][..., [1, 2, 3, 0]].reshape(-1, 4)).as_rotvec().reshape(200, 19, 3)
    )
    given = (
        Rotation.from_quat(before[:, motion.ROTATED][..., [1, 2, 3, 0]].reshape(-1, 4)).as_rotvec().reshape(200, 19, 3)
    )
    widest = np.maximum(np.radians(70) + 0.18, np.abs(given[:, 1:]))
    assert (np.abs(turned[:, 1:]) <= widest + 1e-3).all()
    assert np.abs(turned - given).max() > 0.3


def test_targets_and_inputs_tell_of_the_same_scene(pack):
    batch = make_batch(PoseSampler(pack), np.random.default_rng(0), 400, EXACT)
    joints = batch.joints_m[:, 2:14] + batch.root_m[:, None]  # shoulders to ankles
    plane = joints[..., :2] / joints[..., 2:]
    seen = (batch.frame.weight[:, 2:] > 0) & (joints[..., 2] > 0.1) & (np.linalg.norm(plane, axis=-1) < 5)
    assert seen.mean() > 0.98
    np.testing.assert_allclose(batch.frame.plane[:, 2:][seen], plane[seen], atol=1e-4)


def test_true_outputs_placed_by_sight_lines_are_the_true_joints(pack):
    batch = make_batch(PoseSampler(pack), np.random.default_rng(1), 400, EXACT)
    whole = np.flatnonzero(
        (batch.frame.weight > 0).all(1) & (np.abs(batch.root) < 3.9).all(1) & (batch.root_m[:, 2] > 2)
    )
    raw = np.zeros((len(whole), OUTPUTS), np.float32)
    raw[:, 2:66:3] = batch.joints_m[whole, :, 2]
    raw[:, 66:69] = batch.root[whole]
    raw[:, 69:91] = 30
    found = place_points(raw, batch.inputs[whole])
    np.testing.assert_allclose(found[:, 2:14], batch.joints_m[whole, 2:14], atol=0.03)
    assert np.abs(found[:, 2:14] - batch.joints_m[whole, 2:14]).mean() < 0.002


def test_noise_grows_as_confidence_falls(pack):
    sampler = PoseSampler(pack)
    noisy = make_batch(sampler, np.random.default_rng(3), 6000, Imitation(bias=0, focal_error=0, errors=0))
    joints = noisy.joints_m[:, 2:14] + noisy.root_m[:, None]
    off = np.linalg.norm(noisy.frame.plane[:, 2:] - joints[..., :2] / joints[..., 2:], axis=-1) * noisy.root_m[:, 2:]
    confidence = noisy.frame.weight[:, 2:]
    sure, unsure = off[confidence > 0.8], off[(confidence > 0) & (confidence < 0.35)]
    assert np.median(unsure) > 2 * np.median(sure)
    assert np.median(sure) < 0.03


def test_the_imitated_detector_errs_as_asked(pack):
    sampler = PoseSampler(pack)
    clean = make_batch(sampler, np.random.default_rng(4), 2000, CLEAN)
    assert (clean.frame.weight > 0).mean() > 0.999  # but for joints behind the camera
    real = make_batch(sampler, np.random.default_rng(4), 2000, Imitation())
    seen = real.frame.weight > 0
    assert 0.5 < seen.mean() < 0.9
    assert seen[:, 9:].mean() < seen[:, :8].mean()  # legs are cut off more often than heads and arms
    desk = make_batch(sampler, np.random.default_rng(4), 2000, Imitation(desk=1.0))
    assert (desk.frame.weight[:, [9, 10, 12, 13]] > 0).mean() < 0.1
    for batch in (clean, real, desk):
        for array in (batch.inputs, batch.joints_m, batch.root):
            assert np.isfinite(array).all()


def test_the_imitated_encoding_is_the_real_one_with_errors(pack):
    sampler = PoseSampler(pack)
    batch = make_batch(sampler, np.random.default_rng(5), 500, Imitation(0, 0, 0, 0, 0, encoding=1.0))
    joints = np.einsum("pki,pji->pkj", batch.joints_m[:, :21].astype(np.float64), batch.frame.rotation)
    exact = network_inputs(batch.frame, batch.xy, encode(joints, batch.xy, REFERENCE_HEIGHT_M)[0])
    np.testing.assert_allclose(exact[:, :INPUTS_WITHOUT_ENCODING], batch.inputs[:, :INPUTS_WITHOUT_ENCODING])
    error = batch.inputs[:, INPUTS_WITHOUT_ENCODING:] - exact[:, INPUTS_WITHOUT_ENCODING:]
    signal = exact[:, INPUTS_WITHOUT_ENCODING:]
    assert 0.02 < np.median(np.abs(error)) / np.std(signal) < 0.5
    assert abs(error.mean()) < 0.02
    absent = make_batch(sampler, np.random.default_rng(5), 500, Imitation(encoding=0.5))
    without = absent.inputs[:, INPUTS_WITHOUT_ENCODING - 1] == 0
    assert 0.4 < without.mean() < 0.6
    assert (absent.inputs[without][:, INPUTS_WITHOUT_ENCODING:] == 0).all()


# --- network and training -------------------------------------------------------------------------------------------


def test_run_time_and_training_compute_the_same(tmp_path):
    torch.manual_seed(0)
    net = LiftingNet(32, 2)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    net.eval()
    export(net, tmp_path / "stage2.safetensors", {"encoding": True})
    weights = load_weights(tmp_path / "stage2.safetensors")
    inputs = np.random.default_rng(0).normal(0, 0.5, (6, INPUTS)).astype(np.float32)
    inputs[:, 3:56:4] = inputs[:, 3:56:4] > 0
    with torch.no_grad():
        expected = net(torch.from_numpy(inputs))
        points = placed(expected, torch.from_numpy(inputs)).clamp(-1.5, 1.5).numpy()
    found = run_network(weights.layers, inputs)
    np.testing.assert_allclose(found, expected.numpy(), atol=5e-3)  # fp16 on disk
    np.testing.assert_allclose(place_points(expected.numpy(), inputs), points, atol=1e-4)
    cut = inputs.copy()
    cut[:, INPUTS_WITHOUT_ENCODING:] = 0
    np.testing.assert_allclose(
        run_network(weights.layers, cut[:, :INPUTS_WITHOUT_ENCODING]), run_network(weights.layers, cut), atol=1e-5
    )


RECIPE = Stage2Recipe(steps=8, batch=64, width=32, blocks=1)


def test_a_training_taken_up_again_is_the_same_training(pack, tmp_path):
    straight = Stage2Trainer(RECIPE, pack)
    for batch in straight.batches():
        straight.learn(batch)
    halved = Stage2Trainer(RECIPE, pack)
    for batch in halved.batches():
        halved.learn(batch)
        if halved.step == 5:
            break
    halved.save(tmp_path / "checkpoint.pt")
    again = Stage2Trainer(RECIPE, pack)
    again.resume(tmp_path / "checkpoint.pt")
    assert again.step == 5
    for batch in again.batches():
        again.learn(batch)
    for net in ("net", "averaged"):
        pairs = zip(
            getattr(straight, net).state_dict().values(), getattr(again, net).state_dict().values(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs)


def test_training_learns(pack):
    trainer = Stage2Trainer(Stage2Recipe(steps=60, batch=128, width=64, blocks=1), pack)
    errors = [trainer.learn(batch)[1] for batch in trainer.batches()]
    assert np.mean(errors[-5:]) < 0.7 * np.mean(errors[:5])


def test_the_rate_rises_then_falls(pack):
    trainer = Stage2Trainer(Stage2Recipe(steps=1000, width=8, blocks=1), pack)
    rates = [trainer.rate(k) for k in range(1000)]
    assert int(np.argmax(rates)) == 29
    assert rates[-1] < 0.02 * max(rates)


def test_the_command_trains_logs_refuses_and_goes_on(pack, tmp_path):
    options = ["--data", str(pack), "--output", str(tmp_path), "--steps", "4", "--batch", "32", "--width", "16"]
    assert main(options) == 0
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [int(r["step"]) for r in rows] == [1, 2, 3, 4]
    assert load_weights(tmp_path / "stage2.safetensors").card["training"]["step"] == 4
    with pytest.raises(ConfigError, match="--resume"):
        main(options)
    assert main([*options, "--resume"]) == 0
    with pytest.raises(WeightsError, match="recipe: batch"):
        train(Stage2Recipe(steps=4, batch=16, width=16), pack, tmp_path, resume=True)
    with pytest.raises(ConfigError):
        train(Stage2Recipe(steps=4, batch=16, width=16), pack, tmp_path)
    with pytest.raises(SourceError):
        main(["--data", str(tmp_path / "nowhere"), "--output", str(tmp_path / "x")])
