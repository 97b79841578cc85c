import hashlib
import json

import numpy as np
import pytest

from xnect.errors import ConfigError, FormatError, OutputError
from xnect.training.synthetic.scene import draw_scene
from xnect.training.synthetic.shards import ShardPlan, Shards, coco_annotations, sample_of, write_shards

PLAN = ShardPlan(count=5, seed=40, size_px=(96, 64), shard=2, scale=1)


def digest(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("shard_*"))}


@pytest.fixture(scope="module")
def written(studio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    assert write_shards(folder, PLAN) == 5
    return folder


@pytest.mark.parametrize(
    "bad",
    [{"count": 0}, {"count": 3, "split": "dev"}, {"count": 3, "frames": 4, "shard": 6}, {"count": 3, "quality": 0}],
)
def test_impossible_plans_are_refused(bad):
    with pytest.raises(ConfigError):
        ShardPlan(**bad)


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(FormatError, match="no synthetic shards"):
        Shards(tmp_path)


@pytest.mark.shared
def test_shards_hold_what_was_drawn(written, sampler):
    shards = Shards(written)
    assert len(shards) == 5
    for k in range(5):
        one = shards[k]
        people = len(one.ids)
        assert one.number == k
        assert one.image_bgr.shape == (64, 96, 3)
        assert one.mask.shape == (64, 96)
        assert one.joints_2d.shape == (people, 14, 3)
        assert one.joints_3d.shape == (people, 21, 3)
        assert one.mask.max() <= people
        assert set(np.unique(one.joints_2d[..., 2])) <= {0, 1, 2}
        inside = one.joints_2d[..., 2] > 0
        assert (one.joints_2d[..., :2][inside] > -0.6).all()
        assert (one.joints_2d[..., 0][inside] < 95.6).all()
    with pytest.raises(IndexError):
        shards[5]


@pytest.mark.shared
def test_a_run_that_stopped_goes_on_and_gives_the_same_bytes(written, tmp_path):
    whole = digest(written)
    (written / "shard_00001.npz").unlink()
    (written / "shard_00001.zip").write_bytes(b"half written")
    assert write_shards(written, PLAN) == 2
    assert digest(written) == whole
    assert write_shards(written, PLAN) == 0
    with pytest.raises(OutputError, match="another plan"):
        write_shards(written, ShardPlan(count=6, seed=40, size_px=(96, 64), shard=2, scale=1))


@pytest.mark.shared
def test_sequences_keep_ids_and_move(studio, sampler):
    scene = sampler.sample(7, frames=6, kind="crowd")
    assert len(scene) == 6
    first, last = (sample_of(draw_scene(studio, scene, k, 1), k) for k in (0, 5))
    common = np.intersect1d(first.ids, last.ids)
    assert len(common)
    rows = [np.searchsorted(s.ids, common) for s in (first, last)]
    step = np.linalg.norm(first.joints_3d[rows[0]] - last.joints_3d[rows[1]], axis=-1)
    assert step.max() > 1e-4
    assert step.max() < 2.5
    assert np.allclose(first.height_m[rows[0]], last.height_m[rows[1]])


@pytest.mark.shared
def test_coco_labels_have_thirteen_joints(written):
    coco = json.loads(json.dumps(coco_annotations(Shards(written))))
    assert len(coco["images"]) == 5
    assert coco["categories"][0]["keypoints"][0] == "nose"
    for a in coco["annotations"]:
        points = np.array(a["keypoints"]).reshape(13, 3)
        assert (points[points[:, 2] == 0] == 0).all()
        assert a["num_keypoints"] == (points[:, 2] > 0).sum()
        assert not a["ignore"] or a["num_keypoints"] == 0


@pytest.mark.shared
def test_the_data_set_gives_each_seed_once_and_the_same_each_time(studio, monkeypatch):
    from xnect.training.synthetic import dataset

    monkeypatch.setattr(dataset, "Studio", lambda *_: studio)
    make = lambda: dataset.SyntheticPictures(seed=3, size_px=(96, 64), count=2, scale=1)  # noqa: E731
    one, two = list(make()), list(make())
    assert [s.number for s in one] == [0, 1]
    assert all(a.image_bgr.tobytes() == b.image_bgr.tobytes() for a, b in zip(one, two, strict=True))
    assert all((a.joints_2d == b.joints_2d).all() for a, b in zip(one, two, strict=True))
