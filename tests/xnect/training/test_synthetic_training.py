"""Stage I from synthetic shards: labels, 3D encoding targets under turned and mirrored crops, training, resuming."""

import json
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from xnect.codec.encoding import TRUSTED_CHANNELS, TRUSTED_JOINTS, encode, in_frame_of
from xnect.config import NetworkConfig
from xnect.errors import ConfigError, FormatError
from xnect.geometry import project, ray_rotation, unproject
from xnect.skeleton.joints import FLIP_2D, FLIP_3D, JOINT_3D_OF_2D, JOINTS_2D, JOINTS_3D, PARENTS_3D
from xnect.stages.association import read_encoding
from xnect.stages.lifting import Lifter
from xnect.stages.network import NetworkSpec, Stage1, TorchNetwork, load_stage1, save_stage1
from xnect.structures import Camera
from xnect.training import stage1, views
from xnect.training.batches import Batches, encoding_reads, joined
from xnect.training.datasets.synthetic import bones_of, camera_of, labelled, load_synthetic
from xnect.training.lifted import LEAST_JOINTS, WEIGHT, attach_lifted
from xnect.training.loop import LoopConfig, Trainer
from xnect.training.map_loss import MapLoss, encoding_loss, read_at
from xnect.training.synthetic.labels import HIDDEN, OUTSIDE, SEEN
from xnect.training.synthetic.shards import FORMAT, VERSION, Shards
from xnect.training.views import ViewConfig, draw_crops

SIZE = (128, 96)
MATRIX = np.array([[110.0, 0, 63.5], [0, 110.0, 47.5], [0, 0, 1]])


def body(rng):
    """A rough standing person in camera space [m]."""
    rest = {"pelvis": (0, 0), "spine": (0, -0.25), "neck": (0, -0.5), "head": (0, -0.6), "head_top": (0, -0.75)}
    limbs = {"shoulder": (0.18, -0.48), "elbow": (0.25, -0.2), "wrist": (0.28, 0.05), "hand": (0.28, 0.12),
             "hip": (0.1, 0.03), "knee": (0.11, 0.45), "ankle": (0.12, 0.85), "toe": (0.13, 0.9)}  # fmt: skip
    for name, (x, y) in limbs.items():
        rest[f"right_{name}"], rest[f"left_{name}"] = (-x, y), (x, y)
    joints = np.array([[*rest[n], 0.0] for n in JOINTS_3D]) + rng.normal(0, 0.06, (21, 3))
    return joints + rng.uniform([-0.9, -0.3, 2.5], [0.9, 0.1, 4.0])


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Six pictures of two bodies as `xnect synth write` packs them, three through a bent lens."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("shards")
    plan = {
        "format": FORMAT,
        "version": VERSION,
        "count": 6,
        "seed": 0,
        "split": "train",
        "size_px": SIZE,
        "webp": False,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    rows = []
    with zipfile.ZipFile(folder / "shard_00000.zip", "w") as archive:
        for n in range(6):
            distortion = np.array([-0.1, 0.01, 0.001, -0.001, 0]) * (n % 2)
            camera = Camera(MATRIX, SIZE, distortion)
            joints = np.stack([body(rng), body(rng)])
            flat = joints[:, JOINT_3D_OF_2D].copy()
            flat[:, 1] = (joints[:, 2] + joints[:, 5]) / 2
            pixels = project(flat, camera)
            state = np.where(((pixels > 0) & (pixels < np.array(SIZE) - 1)).all(-1), SEEN, OUTSIDE)
            image = rng.integers(0, 255, (96, 128, 3), np.uint8)
            for person in pixels:
                for j, (x, y) in enumerate(person):
                    cv2.circle(image, (round(x), round(y)), 3, (18 * j, 255 - 18 * j, 90), -1)
            archive.writestr(f"{n:08d}.jpg", cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
            archive.writestr(f"{n:08d}.png", cv2.imencode(".png", image[..., 0] * 0)[1].tobytes())
            box = np.concatenate([pixels.min(1) - 4, pixels.max(1) + 4], 1)
            rows.append((joints, pixels, state, box, distortion))
    many = [np.concatenate([r[k] for r in rows]) for k in range(4)]
    np.savez(
        folder / "shard_00000.npz", ids=np.tile([0, 1], 6), joints_m=many[0].astype(np.float32),
        joints_px=many[1].astype(np.float32), seen=many[2].astype(np.uint8), seen_3d=np.full((12, 21), 2, np.uint8),
        box_px=many[3].astype(np.float32), area_px=np.full(12, 900, np.float32),
        height_m=np.tile([1.7, 1.3], 6).astype(np.float32), first=np.arange(0, 13, 2), number=np.arange(6),
        matrix_px=np.stack([MATRIX] * 6), distortion=np.stack([r[4] for r in rows]), kind=np.array(["crowd"] * 6),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def store(shards):
    return load_synthetic(shards, 160)


def test_hidden_joints_are_labels_beside_seen_ones_only():
    state = np.full((1, 14), HIDDEN)
    assert not labelled(state).any()
    state[0, 3] = SEEN  # the right elbow: shoulder and wrist are next to it
    state[0, 4] = OUTSIDE
    assert np.flatnonzero(labelled(state)[0]).tolist() == [2, 3]


def test_a_store_holds_the_labels_at_its_own_size(store, shards):
    sample = Shards(shards)[3]
    scale = 160 / 128
    for k, person in enumerate(sample.joints_2d):
        known = person[:, 2] == SEEN
        assert (store.joints[3, k, :, 2].numpy() == known).all()
        expected = (person[known, :2] + 0.5) * scale - 0.5
        np.testing.assert_allclose(store.joints[3, k, torch.from_numpy(known), :2].numpy(), expected, atol=1e-4)
    assert store.complete.all()
    assert not store.ignore.any()


def test_encoding_on_the_device_is_that_of_the_codec(store, shards):
    for n in range(6):
        sample = Shards(shards)[n]
        camera = camera_of(sample)
        values, _ = encode(
            sample.joints_3d, unproject(sample.joints_2d[..., :2].astype(float), camera), sample.height_m
        )
        mine = views.encode(store.bones[n, :2], store.rays[n, :2, :, :2]).numpy()
        known = store.rays[n, :2, :, 2].numpy() > 0
        np.testing.assert_allclose(mine[known], values[known], atol=2e-5)


def crops_and_maps(store, monkeypatch, config):
    """Crops of all pictures, and the affine maps that they were cut with."""
    kept = []
    original = views.random_affine

    def spy(*arguments):
        kept.append(original(*arguments))
        return kept[-1]

    monkeypatch.setattr(views, "random_affine", spy)
    torch.manual_seed(3)
    rows = torch.arange(6).repeat(6)
    crops = draw_crops(store, rows, torch.arange(6), store.focal_people(), config)
    return rows, crops, kept[0]


def test_the_encoding_of_a_crop_is_that_of_its_own_camera(store, shards, monkeypatch):
    """Independent of the trainer: place a virtual camera for every crop, and encode the truth as it sees it."""
    config = ViewConfig(size=128, layers=1, rotation_deg=80, rotated=1.0)
    rows, crops, (affine, mirrored) = crops_and_maps(store, monkeypatch, config)
    checked = {True: 0, False: 0}
    for n, row in enumerate(rows.tolist()):
        if row % 2:
            continue  # a bent lens has no virtual pinhole
        sample = Shards(shards)[row]
        linear, shift = affine[n, :, :2].double().numpy(), affine[n, :, 2].double().numpy()
        scale = np.sqrt(abs(np.linalg.det(linear)))
        turn = np.eye(3)
        turn[:2, :2] = linear / scale
        kept = store.side / SIZE[0]  # the store's pictures are resized
        middle = linear @ ((MATRIX[:2, 2] + 0.5) * kept - 0.5) + shift
        focal = MATRIX[0, 0] * kept * scale
        bones = (sample.joints_3d - sample.joints_3d[:, PARENTS_3D]) * (1.7 / sample.height_m)[:, None, None] @ turn.T
        if mirrored[n]:
            bones = bones[:, FLIP_3D]
        for k in range(2):
            pixel = sample.joints_2d[k, :, :2].astype(float)
            pixel = ((pixel + 0.5) * kept - 0.5) @ linear.T + shift
            pixel = pixel[FLIP_2D] if mirrored[n] else pixel
            xy = (pixel - middle) / focal
            expected = np.einsum("kc,jcd->jkd", bones[k], ray_rotation(xy)).reshape(14, 63)
            # rows may be sorted anew: find the person by the joints that are in the crop
            for found in range(crops.joints.shape[1]):
                inside = crops.evidence[n, found].numpy() > 0
                if inside.sum() < 3 or np.abs(crops.joints[n, found, inside, :2].numpy() - pixel[inside]).max() > 0.01:
                    continue
                np.testing.assert_allclose(crops.encoding[n, found].numpy()[inside], expected[inside], atol=1e-4)
                checked[bool(mirrored[n])] += int(inside.sum())
    assert min(checked.values()) > 40


def test_targets_decode_to_the_true_pose(store, shards, monkeypatch):
    """Maps that hold the targets, read as the run time reads them, give the bones of the person's own ray frame."""
    rows, crops, (affine, mirrored) = crops_and_maps(store, monkeypatch, ViewConfig(size=128, layers=1, rotated=0))
    reads = encoding_reads(crops, jitter=0.0)
    errors = []
    for n, row in enumerate(rows.tolist()):
        if mirrored[n]:
            continue
        mine = reads.picture == n
        for joint, cell, value in zip(reads.joint[mine], reads.cell[mine], reads.value[mine], strict=True):
            encoding = np.broadcast_to(value.numpy()[:, None, None], (63, 16, 16))
            values = np.zeros((1, 14, 63), np.float32)
            values[0, joint] = read_encoding(encoding, cell.numpy()[None, None], np.ones((1, 1), bool))[0, 0]
            sample = Shards(shards)[row]
            truth = bones_of(sample)
            # back from the crop to the frame of the picture
            pixel = (cell.numpy() * 8 + 3.5 - affine[n, :, 2].numpy()) @ np.linalg.inv(affine[n, :, :2].numpy()).T
            xy = unproject((pixel + 0.5) * SIZE[0] / store.side - 0.5, camera_of(sample))
            decoded = in_frame_of(values, np.broadcast_to(xy, (1, 14, 2)), np.eye(3)[None])[0, joint]
            trusted = TRUSTED_JOINTS[joint]
            errors.append(np.linalg.norm(decoded - truth, axis=-1)[:, trusted].max(1).min())
    assert len(errors) > 60
    assert max(errors) < 1e-3


def test_places_are_read_as_at_run_time():
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 1, (2, 63, 9, 12)).astype(np.float32)
    cells = rng.uniform(-1, 13, (20, 2)).astype(np.float32)
    picture = torch.from_numpy(rng.integers(0, 2, 20))
    mine = read_at(torch.from_numpy(maps), picture, torch.from_numpy(cells)).numpy()
    for k in range(20):
        theirs = read_encoding(maps[int(picture[k])], cells[None, None, k], np.ones((1, 1), bool))[0, 0]
        np.testing.assert_allclose(mine[k], theirs, atol=1e-5)


def test_the_loss_counts_trusted_channels_alone(store):
    torch.manual_seed(0)
    crops = draw_crops(store, torch.arange(6), torch.arange(6), store.focal_people(), ViewConfig(size=128, layers=2))
    reads = encoding_reads(crops, jitter=0.0)
    maps = torch.zeros(6, 63, 16, 16, requires_grad=True)
    encoding_loss(maps, reads).backward()
    touched = maps.grad.abs().sum((0, 2, 3)) > 0
    allowed = torch.from_numpy(TRUSTED_CHANNELS[np.unique(reads.joint.numpy())].any(0))
    assert not (touched & ~allowed).any()
    assert touched.sum() > 40
    for joint in range(14):
        only = type(reads)(*(getattr(reads, f)[reads.joint == joint] for f in reads.__slots__))
        maps.grad = None
        encoding_loss(maps, only).backward()
        assert (maps.grad.abs().sum((0, 2, 3)) > 0).numpy().tolist() == TRUSTED_CHANNELS[joint].tolist()


def photos(store):
    """The same pictures as photos: without 3D truth."""
    return type(store)(store.pictures, store.size, store.joints, store.boxes, store.ignore, store.complete, store.ids)


def trainer(store, out, steps, share=0.5):
    torch.manual_seed(0)
    net = Stage1(NetworkSpec("selecsls42", 0.25, 64, encoding=True))
    loss = MapLoss(Batches(photos(store), [ViewConfig(size=64)], 4, store, share, seed=4), bf16=False)
    return Trainer(net, loss, LoopConfig(out=out, steps=steps, warmup=2, seed=4, learning_rate=3e-3))


def test_a_resumed_run_ends_as_an_unbroken_one(store, tmp_path):
    whole = trainer(store, tmp_path / "whole", 4)
    whole.run()
    first = trainer(store, tmp_path / "broken", 4)
    first.run(stop_after=2)
    second = trainer(store, tmp_path / "broken", 4)
    second.resume(tmp_path / "broken" / "checkpoint.pt")
    second.run()
    for a, b in zip(whole.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_photos_leave_the_3d_head_alone(store, tmp_path):
    for share, moved in ((0.0, False), (0.5, True)):
        one = trainer(store, tmp_path, 1, share)
        if share == 0:
            one._loss = MapLoss(Batches(photos(store), [ViewConfig(size=64)], 4), bf16=False)
        one._loss(one.net, 0).backward()
        gradient = one.net.encoding.weight.grad
        assert (gradient is not None and bool((gradient != 0).any())) == moved


def test_training_learns_the_encoding(store, tmp_path):
    torch.manual_seed(0)
    net = Stage1(NetworkSpec("selecsls42", 0.25, 64, encoding=True))
    batches = Batches(None, [ViewConfig(size=96, layers=1, rotated=0)], 6, store)
    loss = MapLoss(batches, bf16=False)
    run = Trainer(net, loss, LoopConfig(out=tmp_path, steps=30, warmup=3, learning_rate=4e-3))
    views_of = ViewConfig(size=96, layers=1, rotated=0)

    def error():
        torch.manual_seed(99)
        crops = draw_crops(store, torch.arange(6), torch.arange(6), store.focal_people(), views_of)
        images = batches.normalised(crops.images)
        with torch.no_grad():
            return float(encoding_loss(run.net.train()(images)[1], encoding_reads(crops, jitter=0.0)))

    before = error()
    for _ in range(30):
        run._one_step()
    assert error() < 0.8 * before


SMALL = [
    "--width",
    "0.25",
    "--head",
    "64",
    "--steps",
    "2",
    "--batch",
    "4",
    "--size",
    "64",
    "--side",
    "96",
    "--warmup",
    "1",
]


def test_the_command_trains_a_3d_head_from_shards_alone(shards, tmp_path):
    out = tmp_path / "run"
    options = ["--synthetic", str(shards), "--encoding", "--output", str(out), "--device", "cpu", *SMALL]
    assert stage1.main(options) == 0
    net = load_stage1(out / "stage1.safetensors")
    assert net.spec.encoding
    card = json.loads((out / "stage1.json").read_text())
    assert card["encoding_joints"] == list(JOINTS_3D)
    assert card["training"]["data"] == ["synthetic pictures of xnect synth (credits in docs/synthetic.md)"]
    config = NetworkConfig(device="cpu", precision="fp32", input_size=(128, 96))
    maps = TorchNetwork(net, config)(np.zeros((96, 128, 3), np.uint8))
    assert maps.encoding.shape == (63, 12, 16)


def test_weights_without_a_3d_head_get_one(shards, tmp_path):
    torch.manual_seed(1)
    flat = Stage1(NetworkSpec("selecsls42", 0.25, 64))
    save_stage1(flat, tmp_path / "flat.safetensors", {})
    given = ["--synthetic", str(shards), "--output", str(tmp_path), "--init", str(tmp_path / "flat.safetensors")]
    net = stage1.build(stage1.parse([*given, "--encoding"]))
    assert net.spec.encoding
    assert torch.equal(net.maps.weight, load_stage1(tmp_path / "flat.safetensors").maps.weight)
    assert not stage1.build(stage1.parse(given)).spec.encoding


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to train on"),
        (["--data", "d", "--encoding"], "--encoding needs --synthetic"),
        (["--synthetic", "s", "--synthetic-share", "1.5"], "0 to 1 expected"),
    ],
)
def test_impossible_options_are_refused(options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        stage1.parse([*options, "--output", str(tmp_path)])


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(FormatError, match="holds no synthetic shards"):
        load_synthetic(tmp_path)


def test_the_joint_sets_are_those_of_the_shards():
    assert len(JOINTS_2D) == 14
    assert len(JOINTS_3D) == 21


def test_photos_get_a_weak_3d_truth_from_their_labels(store):
    """Judged by the truth that the same pictures have as synthetic ones."""
    lifted = attach_lifted(photos(store), Lifter())
    told = lifted.rays[..., 2] > 0
    people = told.any(-1)
    assert people.sum() > 10
    assert ((lifted.joints[..., 2] > 0).sum(-1)[people] >= LEAST_JOINTS).all()
    assert not (told & (lifted.joints[..., 2] == 0)).any()
    assert 0.05 < lifted.rays[..., 2][told].mean() <= WEIGHT
    wrong = (lifted.bones[people] - store.bones[people]).norm(dim=-1).mean()
    assert wrong < 0.7 * store.bones[people].norm(dim=-1).mean()  # these bodies are no people


def test_what_counts_little_pulls_little(store):
    """Sources of different trust share one mean."""
    crops = draw_crops(store, torch.arange(4), torch.arange(4), store.focal_people(), ViewConfig(size=128, layers=1))
    sure = encoding_reads(crops, jitter=0.0)
    weak = replace(encoding_reads(crops, first=4, jitter=0.0), weight=sure.weight * 0.1)
    maps = torch.zeros(8, 63, 16, 16, requires_grad=True)
    encoding_loss(maps, joined([sure, weak])).backward()
    pull = maps.grad.abs().sum((1, 2, 3))
    assert float(pull[4:].sum() / pull[:4].sum()) == pytest.approx(0.1, rel=1e-3)
