"""Stage I's trainer: targets agree with the codec, views keep labels on their pixels, runs resume exactly."""

import json
import subprocess
import sys
import zipfile
from dataclasses import fields

import cv2
import numpy as np
import pytest
import torch
from tests_support import crowd

from xnect.codec.heatmaps import draw_heatmaps
from xnect.codec.pafs import draw_pafs
from xnect.config import NetworkConfig
from xnect.errors import FormatError, WeightsError
from xnect.skeleton.joints import FLIP_2D, LIMBS
from xnect.stages.network import NetworkSpec, Stage1, TorchNetwork, load_stage1, save_stage1
from xnect.structures import PoseMaps
from xnect.training import stage1
from xnect.training.batches import Batches
from xnect.training.datasets.people import is_held_out, joints_14, load_people
from xnect.training.datasets.store import MAX_PEOPLE, Store
from xnect.training.held_out import HeldOut
from xnect.training.loop import LoopConfig, Trainer
from xnect.training.map_loss import MapLoss
from xnect.training.soft_maps import CELLS, attach_soft_maps
from xnect.training.targets import draw_targets, joint_sigma
from xnect.training.views import FLIP_LIMBS, Crops, ViewConfig, draw_crops, jpeg_like


@pytest.fixture
def store():
    """Eight pictures: each joint of each person is a spot in the colour of its number."""
    count, side = 8, 192
    rng = np.random.default_rng(3)
    joints = torch.zeros(count, MAX_PEOPLE, 14, 3)
    boxes = torch.zeros(count, MAX_PEOPLE, 4)
    pictures = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    for n in range(count):
        image = np.zeros((side, side, 3), np.uint8)
        people = crowd(2, 110.0) * 0.3 + rng.uniform(-3, 3, (2, 14, 2))
        for k, person in enumerate(people):
            for j, (x, y) in enumerate(person):
                cv2.circle(image, (round(x), round(y)), 2, (60 + 13 * j, 60 + 13 * j, 60 + 13 * j), -1)
            joints[n, k, :, :2] = torch.from_numpy(person.round())
            joints[n, k, :, 2] = 1
            low, high = person.min(0), person.max(0)
            boxes[n, k] = torch.from_numpy(np.concatenate([low, high - low]))
        pictures[n] = torch.from_numpy(image).permute(2, 0, 1)
    return Store(
        pictures, torch.full((count, 2), float(side)), joints, boxes,
        torch.zeros(count, MAX_PEOPLE, dtype=torch.bool), torch.ones(count, dtype=torch.bool), torch.arange(count),
    )  # fmt: skip


def crops_of(joints, seen=None, ignore=None, size=256):
    """Crops with given people and empty pictures."""
    joints = torch.as_tensor(joints, dtype=torch.float32)
    if seen is None:
        seen = torch.ones(joints.shape[:3])
    full = torch.cat([joints, torch.as_tensor(seen, dtype=torch.float32)[..., None]], -1)
    boxes = torch.cat([joints.amin(2) - 5, joints.amax(2) + 5], -1)
    ignore = torch.zeros(joints.shape[:2], dtype=torch.bool) if ignore is None else ignore
    known = torch.ones(len(joints), 1, size // 8, size // 8)
    return Crops(torch.zeros(len(joints), 3, size, size), full, boxes, ignore, known, None)


def test_targets_are_those_of_the_codec():
    people = crowd(3, 150.0) * [0.4, 0.8]
    crops = crops_of(people[None])
    maps = draw_targets(crops).maps[0].numpy()
    cells = (people - 3.5) / 8
    sigma = joint_sigma(crops.boxes)[0].numpy() / 8
    seen = np.ones((3, 14), bool)
    np.testing.assert_allclose(maps[:14], draw_heatmaps(cells, seen, sigma, (32, 32)), atol=1e-5)
    half = np.maximum(sigma, 5 / 8)
    np.testing.assert_allclose(
        maps[14:].reshape(13, 2, 32, 32), draw_pafs(cells, seen, half, LIMBS, (32, 32)), atol=1e-4
    )


def test_what_no_label_tells_has_no_weight():
    people = crowd(2, 150.0)[None] * 0.4
    seen = np.ones((1, 2, 14))
    seen[0, 0, 4] = 0
    ignore = torch.tensor([[False, True]])
    crops = crops_of(people, seen, ignore)
    targets = draw_targets(crops)
    x0, y0, x1, y1 = (crops.boxes[0, 0] / 8).int().tolist()
    inside = targets.weight[0, :14, y0 + 1 : y1, x0 + 1 : x1]
    assert (inside[4] == 0).all()
    assert (inside[5] > 0).all()
    x0, y0, x1, y1 = (crops.boxes[0, 1] / 8).int().tolist()
    assert (targets.weight[0, :, y0 + 1 : y1, x0 + 1 : x1] == 0).all()
    assert (targets.maps[0, :14, y0 + 1 : y1, x0 + 1 : x1] < 0.5).all()
    assert (targets.weight[0, :, 31, 31] > 0).all()


def test_a_teacher_fills_what_labels_leave_open():
    people = crowd(1, 150.0)[None] * 0.4
    seen = np.ones((1, 1, 14))
    seen[0, 0, 4] = 0
    crops = crops_of(people, seen)
    crops.soft = torch.full((1, 40, 32, 32), 0.5)
    targets = draw_targets(crops)
    x0, y0, x1, y1 = (crops.boxes[0, 0] / 8).int().tolist()
    assert (targets.maps[0, 4, y0 + 1 : y1, x0 + 1 : x1] == 0.5).all()
    assert (targets.weight > 0).all()
    assert targets.maps[0, 0].max() > 0.8


def test_views_keep_labels_on_their_spots(store, monkeypatch):
    monkeypatch.setattr("xnect.training.views.photometric", lambda images: images)
    torch.manual_seed(5)
    config = ViewConfig(size=256, person_low_px=128, person_high_px=205, layers=1)
    crops = draw_crops(store, torch.arange(8), torch.arange(8), store.focal_people(), config)
    hits, total = 0, 0
    for n in range(8):
        for person in crops.joints[n]:
            for j in (0, 4, 7, 10, 13):  # ends of the body: no other spot is near
                x, y, known = person[j].tolist()
                if known and 3 < x < 252 and 3 < y < 252:
                    patch = crops.images[n, :, round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].mean(0)
                    colours = torch.tensor([60 + 13 * j, 60 + 13 * int(FLIP_2D[j])]) / 255
                    hits += bool((patch[..., None] - colours).abs().min() < 0.04)
                    total += 1
    assert total > 30
    assert hits == total


def test_mirroring_swaps_the_sides(store):
    torch.manual_seed(0)
    config = ViewConfig(size=256, rotated=0, layers=1)
    crops = draw_crops(store, torch.zeros(16, dtype=torch.long), torch.arange(8), store.focal_people(), config)
    people = crops.joints[:, 0]
    right, left = people[:, 2, 0], people[:, 5, 0]
    first = store.joints[0]
    assert (first[:2, 2, 0] < first[:2, 5, 0]).all()
    known = (people[:, 2, 2] > 0) & (people[:, 5, 2] > 0)
    assert (right < left)[known].all()  # true of a person facing us, mirrored or not


def test_limb_fields_change_places_when_mirrored():
    for k, (a, b) in enumerate(LIMBS):
        assert LIMBS[FLIP_LIMBS[k]] == (FLIP_2D[a], FLIP_2D[b])


def test_soft_maps_turn_with_the_view(store):
    # a teacher that knows the truth must agree with the labels after any view
    cells = store.side // 4
    for n in range(8):
        people = store.joints[n, :2, :, :2].numpy()
        at = (people - 1.5) / 4
        heat = draw_heatmaps(at, np.ones((2, 14), bool), np.full(2, 2.0), (cells, cells))
        paf = draw_pafs(at, np.ones((2, 14), bool), np.full(2, 2.0), LIMBS, (cells, cells)).reshape(26, cells, cells)
        packed = np.concatenate([heat * 255, (paf + 1) * 127.5]).round().astype(np.uint8)
        if store.soft_maps is None:
            store.soft_maps = torch.zeros(8, 40, cells, cells, dtype=torch.uint8)
        store.soft_maps[n] = torch.from_numpy(packed)
    torch.manual_seed(2)
    config = ViewConfig(size=256, person_low_px=154, person_high_px=205, layers=1)
    crops = draw_crops(store, torch.arange(8), torch.arange(8), store.focal_people(), config)
    maps = draw_targets(Crops(crops.images, crops.joints, crops.boxes, crops.ignore, crops.known, None)).maps
    heat, soft_heat = maps[:, :14], crops.soft[:, :14]
    paf, soft_paf = maps[:, 14:], crops.soft[:, 14:]
    strong = heat > 0.6
    assert soft_heat[strong].mean() > 0.5
    agree = (paf.unflatten(1, (13, 2)) * soft_paf.unflatten(1, (13, 2))).sum(2)
    crossed = paf.unflatten(1, (13, 2)).norm(dim=2) > 0.9
    assert agree[crossed].mean() > 0.5


def test_jpeg_like_keeps_the_picture():
    images = torch.rand(2, 3, 64, 64)
    assert (jpeg_like(images) - images).abs().mean() < 0.12
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert (jpeg_like(flat) - flat).abs().max() < 0.05


def small_trainer(store, out, steps):
    torch.manual_seed(0)
    net = Stage1(NetworkSpec("selecsls42", 0.25, 64))
    loss = MapLoss(Batches(store, [ViewConfig(size=64), ViewConfig(size=80)], 2), bf16=False)
    return Trainer(net, loss, LoopConfig(out=out, steps=steps, warmup=2, seed=4))


def test_a_resumed_run_ends_as_an_unbroken_one(store, tmp_path):
    whole = small_trainer(store, tmp_path / "whole", 4)
    whole.run()
    first = small_trainer(store, tmp_path / "broken", 4)
    first.run(stop_after=2)
    second = small_trainer(store, tmp_path / "broken", 4)
    second.resume(tmp_path / "broken" / "checkpoint.pt")
    assert second.step == 2
    second.run()
    for a, b in zip(whole.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.average.net.state_dict().values(), second.average.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)


AHEAD = """
import sys
import torch
from xnect.training.batches import Ahead, Batches
from xnect.training.datasets.store import Store
from xnect.training.views import ViewConfig

parts = torch.load(sys.argv[1], weights_only=True)
batches = Batches(Store(**parts), [ViewConfig(size=64), ViewConfig(size=80)], 2, seed=3)
ahead = Ahead(batches)
for step in (5, 6, 7, 2):
    mine, theirs = batches.draw(step), ahead.draw(step)
    assert torch.equal(mine.images, theirs.images)
    assert theirs.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(mine.targets.maps, theirs.targets.maps)
    assert torch.equal(mine.targets.weight, theirs.targets.weight)
assert not torch.equal(batches.draw(5).images, batches.draw(6).images)
print("the same")
"""


def test_batches_drawn_ahead_are_the_same_ones(store, tmp_path):
    """In a program of its own: to fork one in which Qt and OpenVINO have been at work is asking for trouble."""
    torch.save({f.name: getattr(store, f.name) for f in fields(store) if f.name != "soft_maps"}, tmp_path / "store.pt")
    done = subprocess.run(
        [sys.executable, "-c", AHEAD, tmp_path / "store.pt"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "the same\n", done.stderr


def test_frozen_parts_stay_as_they_are(store, tmp_path):
    torch.manual_seed(0)
    net = Stage1(NetworkSpec("selecsls42", 0.25, 64))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    frozen = [net.trunk.stem, net.trunk.features[0]]
    loss = MapLoss(Batches(store, [ViewConfig(size=64)], 2), bf16=False)
    trainer = Trainer(net, loss, LoopConfig(out=tmp_path, steps=2, warmup=1), frozen)
    trainer.run()
    same = {k for k, v in net.state_dict().items() if torch.equal(v, before[k])}
    assert {k for k in before if k.startswith(("trunk.stem.", "trunk.features.0."))} <= same
    assert not {k for k in same if k.startswith(("context.", "maps.", "trunk.features.1."))} - {
        k for k in same if k.endswith("num_batches_tracked")
    }


def test_weights_that_get_to_see_their_surroundings_begin_as_they_were(tmp_path):
    torch.manual_seed(2)
    save_stage1(Stage1(NetworkSpec("selecsls42", 0.25, 64)).eval(), tmp_path / "before.safetensors", {})
    (tmp_path / "train13.json").write_text("{}")
    given = ["--data", str(tmp_path), "--output", str(tmp_path), "--init", str(tmp_path / "before.safetensors")]
    before = stage1.build(stage1.parse(given)).eval()
    after = stage1.build(stage1.parse([*given, "--surroundings"])).eval()
    assert (before.spec.surroundings, after.spec.surroundings) == (False, True)
    picture = torch.rand(1, 3, 80, 112)  # 5 x 7 cells at stride 16: an odd number of both
    with torch.no_grad():
        assert torch.equal(before(picture)[0], after(picture)[0])
        torch.nn.init.ones_(after.surroundings.back.get_parameter("bias"))
        assert not torch.equal(before(picture)[0], after(picture)[0])


def test_a_card_that_leaves_out_a_part_of_the_network_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_stage1(Stage1(NetworkSpec("selecsls42", 0.1, 16, surroundings=True)), path, {})
    card = path.with_suffix(".json")
    card.write_text(card.read_text().replace('"surroundings": true', '"surroundings": false'))
    with pytest.raises(WeightsError, match=r"surroundings.* has no place"):
        load_stage1(path)


def test_a_damaged_checkpoint_is_refused(store, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no readable checkpoint"):
        small_trainer(store, tmp_path, 2).resume(tmp_path / "checkpoint.pt")


def test_batches_of_larger_crops_are_smaller(store):
    loss = MapLoss(Batches(store, [ViewConfig.of_size(64), ViewConfig.of_size(128)], 8), bf16=False)
    shapes = set()

    class Spy(torch.nn.Module):
        def forward(self, images):
            shapes.add(tuple(images.shape))
            return torch.zeros(len(images), 40, images.shape[2] // 8, images.shape[3] // 8), None

    torch.manual_seed(0)
    for step in range(12):
        loss(Spy(), step)
    assert shapes == {(8, 3, 64, 64), (2, 3, 128, 128)}


def test_training_learns(store, tmp_path):
    torch.manual_seed(0)
    net = Stage1(NetworkSpec("selecsls42", 0.25, 64))
    loss = MapLoss(Batches(store, [ViewConfig(size=96, layers=1)], 4), bf16=False)
    trainer = Trainer(net, loss, LoopConfig(out=tmp_path, steps=30, warmup=3, learning_rate=3e-3))
    losses = [trainer._one_step() for _ in range(30)]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:4])


def write_pack(folder, numbers, colour=90):
    """A people pack of pictures with these numbers, one person in each."""
    folder.mkdir(exist_ok=True)
    images, people = [], []
    with zipfile.ZipFile(folder / "train_000.zip", "w") as shard:
        for number in numbers:
            name = f"p{number}.webp"
            image = np.full((96, 128, 3), colour, np.uint8)
            shard.writestr(name, cv2.imencode(".webp", image)[1].tobytes())
            images.append({"id": number, "file_name": name, "width": 128, "height": 96, "complete": number != 11})
            joints = crowd(1, 60.0)[0] * [0.5, 0.4]
            keypoints = np.concatenate([joints[[0, *range(2, 14)]], np.full((13, 1), 2)], 1)
            people.append({
                "id": len(people) + 1, "image_id": number, "bbox": [20, 30, 40, 50], "area": 1000.0, "iscrowd": 0,
                "category_id": 1, "num_keypoints": 13, "keypoints": keypoints.ravel().tolist(),
            })  # fmt: skip
    data = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}], "info": {}}
    (folder / "train13.json").write_text(json.dumps(data))
    return folder


@pytest.fixture
def pack(tmp_path):
    """A people pack with four pictures, one of them held out."""
    return write_pack(tmp_path, (7, 11, 20, 10_000_020))


def test_several_packs_are_one_set_and_a_picture_in_two_is_taken_once(pack, tmp_path):
    more = write_pack(tmp_path / "more", (11, 13, 30), colour=200)
    store = load_people([pack, more], 96)
    assert store.ids.tolist() == [7, 11, 10_000_020, 13]
    colours = store.pictures[:, :, 10, 10].float().mean(1)
    assert ((colours - torch.tensor([90.0, 90, 90, 200])).abs() < 4).all()  # of picture 11 the first pack's
    assert (store.joints[:, 0, :, 2] == 1).all()
    assert load_people([pack, more], 96, held_out=True).ids.tolist() == [20, 30]
    assert load_people([pack, more], 96, limit=2).ids.tolist() == [7, 10_000_020]
    one = load_people(pack, 96)
    assert torch.equal(store.pictures[:3], one.pictures)
    assert torch.equal(store.joints[:3], one.joints)


def test_held_out_pictures_of_several_packs_are_judged_together(pack, tmp_path):
    more = write_pack(tmp_path / "more", (20, 30, 40, 50, 41))
    both = HeldOut([pack, more])
    assert sorted(both._pictures) == [20, 30, 40, 50]
    numbers = [a["id"] for a in both._truth["annotations"]]
    assert len(numbers) == len(set(numbers)) == 4
    assert [a["image_id"] for a in both._truth["annotations"]] == [20, 30, 40, 50]
    assert sorted(HeldOut(pack)._pictures) == [20]
    blind = PoseMaps(
        np.zeros((14, 12, 16), np.float32), np.zeros((13, 2, 12, 16), np.float32), None,
        np.array([[8.0, 0, 3.5], [0, 8, 3.5]]),
    )  # fmt: skip
    assert both(lambda image: blind) == {"AP": 0, "AP50": 0, "AR": 0}


def test_soft_maps_of_several_files_find_their_pictures(pack, tmp_path):
    store = load_people([pack, write_pack(tmp_path / "more", (11, 13))], 96)
    files = [tmp_path / "first.npy", tmp_path / "second.npy"]
    for path, ids in zip(files, ([10_000_020, 11, 7], [5, 13, 11]), strict=True):
        maps = np.zeros((3, 40, CELLS, CELLS), np.uint8)
        maps[:] = np.array([n % 251 for n in ids], np.uint8)[:, None, None, None] + (path == files[1])
        np.save(path, maps)
        np.save(path.with_suffix(".ids.npy"), np.array(ids))
    soft = attach_soft_maps(store, files).soft_maps
    assert soft[:, 0, 0, 0].tolist() == [7, 11, 10_000_020 % 251, 14]  # 7, 11, 10,000,020, 13
    with pytest.raises(FormatError, match=r"no maps for 1 pictures, the first is 13"):
        attach_soft_maps(store, files[0])
    np.save(files[1], np.zeros((3, 40, 8, 8), np.uint8))
    with pytest.raises(FormatError, match="expected, not"):
        attach_soft_maps(store, files)


def test_the_pack_splits_into_training_and_held_out(pack):
    assert sorted(load_people(pack, 96).ids.tolist()) == [7, 11, 10_000_020]
    assert load_people(pack, 96, held_out=True).ids.tolist() == [20]
    assert not is_held_out(10_000_020)


def test_the_command_trains_and_its_weights_load(pack, tmp_path):
    out = tmp_path / "run"
    more = write_pack(tmp_path / "more", (13, 40))
    arguments = [
        "--data",
        str(pack),
        str(more),
        "--output",
        str(out),
        "--width",
        "0.25",
        "--head",
        "64",
        "--steps",
        "2",
        "--batch",
        "2",
    ]
    assert stage1.main([*arguments, "--size", "64", "--side", "96", "--device", "cpu", "--warmup", "1"]) == 0
    assert (out / "log.csv").read_text().startswith("step,minutes,loss,AP")
    assert (out / "curve.png").stat().st_size > 1000
    net = load_stage1(out / "stage1.safetensors")
    maps = TorchNetwork(net, NetworkConfig(device="cpu", precision="fp32", input_size=(128, 96)))(
        np.zeros((96, 128, 3), np.uint8)
    )
    assert maps.heatmaps.shape == (14, 12, 16)


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "train13.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(FormatError, match="no labelled picture"):
        load_people(tmp_path)
    (tmp_path / "train13.json").write_text("[]")
    with pytest.raises(FormatError, match="no COCO-style label file"):
        load_people(tmp_path)


def test_the_neck_is_between_the_shoulders_and_a_guessed_nose_counts():
    keypoints = np.zeros((13, 3))
    keypoints[1], keypoints[4] = [10, 20, 2], [30, 22, 1]
    joints = joints_14({"keypoints": keypoints.ravel().tolist(), "nose_guess": [20, 5, 1]})
    assert joints[1].tolist() == [20, 21, 1]
    assert joints[0].tolist() == [20, 5, 1]
    assert joints[4:].sum() == joints[5].sum()
