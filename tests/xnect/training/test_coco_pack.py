"""People packs made from COCO's own files: joints stay on their spots, nothing unwanted gets in."""

import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from xnect.errors import ConfigError, FormatError, OutputError
from xnect.training.datasets import coco
from xnect.training.datasets.coco import JOINTS, PackConfig, make_pack
from xnect.training.datasets.people import load_people

#: COCO's own order (cocodataset.org, keypoint task).
COCO_17 = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip
WIDTH, HEIGHT = 480, 360


def person(number, picture, shift=0, labelled=range(17), crowd=0):
    """An annotation whose keypoints lie 20 px apart."""
    points = np.zeros((17, 3))
    for j in labelled:
        points[j] = [40 + 20 * j + shift, 60 + 15 * (j % 5) + shift, 2]
    return {
        "id": number, "image_id": picture, "category_id": 1, "bbox": [30.0 + shift, 50.0 + shift, 360.0, 90.0],
        "area": 9000.0, "iscrowd": crowd, "num_keypoints": len(labelled), "keypoints": points.ravel().tolist(),
        "segmentation": [],
    }  # fmt: skip


def picture(people, size=(WIDTH, HEIGHT)):
    """A grey picture with a bright spot at every labelled keypoint, resized to ``size``."""
    pixels = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for p in people:
        for x, y, seen in np.reshape(p["keypoints"], (17, 3)).tolist():
            if seen:
                cv2.circle(pixels, (round(x), round(y)), 4, (250, 250, 250), -1)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


@pytest.fixture
def download(tmp_path):
    """COCO as downloaded: an annotation file and pictures of 2014 and 2017, one of them squashed."""
    people = {
        9: [person(1, 9), person(2, 9, 100, crowd=1, labelled=[]), person(3, 9, 60, labelled=[1, 2])],
        25: [person(4, 25)],
        30: [],
        36: [person(5, 36, labelled=[3])],  # an ear alone is none of our joints
        40: [person(6, 40)],
    }
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": WIDTH, "height": HEIGHT, "license": 3 + n % 2} for n in people
    ]
    names = {9: "a/000000000009.jpg", 25: "b/COCO_train2014_000000000025.jpg", 30: "b/COCO_val2014_000000000030.jpg",
             36: "a/000000000036.jpg", 40: "a/deep/000000000040.jpg"}  # fmt: skip
    for number, name in names.items():
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (256, 256) if number == 25 else (WIDTH, HEIGHT)
        assert cv2.imwrite(str(path), picture(people[number], size))
    (tmp_path / "pictures" / "a" / "000000000099.jpg").write_bytes(b"of another set")
    labels = {"images": images, "annotations": [p for here in people.values() for p in here], "licenses": [{"id": 4, "name": "CC BY 2.0"}],
              "categories": [{"id": 1, "name": "person"}]}  # fmt: skip
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    return tmp_path


def made(download, **options):
    output = download / "pack"
    counts = make_pack([download / "labels.json"], [download / "pictures"], output, PackConfig(**options))
    return json.loads((output / "train13.json").read_text()), counts, output


def test_the_joints_are_cocos_by_name():
    assert [COCO_17[row] for row in JOINTS.values()] == list(JOINTS)


@pytest.mark.parametrize("side", [512, 240])
def test_joints_lie_on_their_spots_in_the_packed_pictures(download, side):
    _, counts, output = made(download, side=side, shard=2)
    assert counts["people"] == 3
    store = load_people(output, side)
    assert sorted(store.ids.tolist()) == [9, 25]  # 40 is held out
    for row in range(2):
        joints = store.joints[row, 0]
        assert (joints[[0, *range(2, 14)], 2] == 1).all()
        at = joints[[0, *range(2, 14)], :2].round().long()
        assert (store.pictures[row, :, at[:, 1], at[:, 0]].float().mean(0) > 140).all()
        width, height = store.size[row].tolist()
        assert height / width == pytest.approx(HEIGHT / WIDTH, abs=0.01)


def test_what_goes_in_and_what_stays_out(download):
    data, counts, _ = made(download, empty_every=1)
    assert [i["id"] for i in data["images"]] == [9, 25, 30, 40]
    by_id = {i["id"]: i for i in data["images"]}
    assert by_id[9]["original_size"] == [WIDTH, HEIGHT]
    assert max(by_id[25]["width"], by_id[25]["height"]) == 288  # 256 px stretched back to 4:3
    assert all(i["complete"] and i["zip"] == "train_000.zip" for i in data["images"])
    nine = [a for a in data["annotations"] if a["image_id"] == 9]
    assert [a.get("ignore", 0) for a in nine] == [0, 1, 1]
    assert [a["iscrowd"] for a in nine] == [0, 1, 0]
    assert [a["num_keypoints"] for a in nine] == [13, 0, 0]
    assert (counts["pictures"], counts["people"], counts["ignore boxes"], counts["joints"]) == (4, 3, 2, 39)


def test_pycocotools_reads_the_labels(download, capsys):
    _, _, output = made(download)
    labels = COCO(str(output / "train13.json"))
    assert sorted(labels.getImgIds()) == [9, 25, 40]
    assert len(labels.getAnnIds()) == len(set(labels.getAnnIds())) == 5
    assert capsys.readouterr().out


def test_partial_labels_make_incomplete_pictures(download):
    data, *_ = made(download, complete=False)
    assert not any(i["complete"] for i in data["images"])


def test_only_wanted_licences_are_kept(download):
    data, *_ = made(download, licences=frozenset({4}))
    assert [i["id"] for i in data["images"]] == [9, 25]
    assert data["licenses"] == [{"id": 4, "name": "CC BY 2.0"}]


def test_pictures_of_other_packs_are_left_out(download):
    held = download / "val13.json"
    held.write_text(json.dumps({"images": [{"id": 25}], "annotations": []}))
    arguments = ["--annotations", str(download / "labels.json"), "--pictures", str(download / "pictures")]
    assert coco.main([*arguments, "--output", str(download / "out"), "--exclude", str(held)]) == 0
    data = json.loads((download / "out" / "train13.json").read_text())
    assert [i["id"] for i in data["images"]] == [9, 40]


def test_damaged_pictures_are_counted_and_left_out(download):
    (download / "pictures" / "a" / "000000000009.jpg").write_bytes(b"")
    data, counts, _ = made(download)
    assert [i["id"] for i in data["images"]] == [25, 40]
    assert counts["pictures that cannot be decoded"] == 1


def test_joints_outside_the_picture_are_unknown(download):
    labels = json.loads((download / "labels.json").read_text())
    labels["annotations"][0]["keypoints"][:3] = [WIDTH + 1, 10, 2]
    (download / "labels.json").write_text(json.dumps(labels))
    data, *_ = made(download)
    first = data["annotations"][0]
    assert first["keypoints"][:3] == [0, 0, 0]
    assert first["num_keypoints"] == 12


def test_a_pack_is_never_overwritten(download):
    made(download)
    with pytest.raises(OutputError, match="exists already"):
        made(download)


def test_other_files_are_refused(download):
    with pytest.raises(FormatError, match="is no folder"):
        make_pack([download / "labels.json"], [download / "nothing"], download / "out", PackConfig())
    (download / "empty").mkdir()
    with pytest.raises(FormatError, match="none of the annotated pictures"):
        make_pack([download / "labels.json"], [download / "empty"], download / "out", PackConfig())
    (download / "labels.json").write_text('{"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}')
    with pytest.raises(FormatError, match="17 keypoints"):
        make_pack([download / "labels.json"], [download / "pictures"], download / "out", PackConfig())
    (download / "labels.json").write_text("[]")
    with pytest.raises(FormatError, match="no COCO annotation file"):
        make_pack([download / "labels.json"], [download / "pictures"], download / "out", PackConfig())
    with pytest.raises(ConfigError, match="side from 64"):
        PackConfig(side=3)
