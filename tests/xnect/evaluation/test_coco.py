import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from xnect.errors import FormatError
from xnect.evaluation.coco import CocoSet, as_results, bootstrap, evaluate, judge_results
from xnect.evaluation.metrics import oks
from xnect.skeleton.joints import COCO_13, OKS_SIGMAS_13
from xnect.structures import Detections

PEOPLE = Path(__file__).parents[3] / ".." / "shared" / "data" / "people"
BODY = np.array(
    [[0, -60], [-18, -45], [-22, -15], [-24, 10], [18, -45], [22, -15], [24, 10],
     [-10, 5], [-10, 45], [-10, 85], [10, 5], [10, 45], [10, 85]], float,
)  # fmt: skip


def labels(seed=0, pictures=12):
    """Labels of people standing about in pictures; picture k is filled with the value k, so a fake can know it."""
    rng = np.random.default_rng(seed)
    images = [{"id": 100 + k, "file_name": f"p{k}.png", "width": 320, "height": 240} for k in range(pictures)]
    people = []
    for image in images:
        for n in range(rng.integers(1, 4)):
            joints = BODY * rng.uniform(0.4, 1.1) + [60 + 90 * n, 120] + rng.normal(0, 3, (13, 2))
            seen = rng.random(13) < 0.9
            low, size = joints.min(0), np.ptp(joints, axis=0)
            people.append(
                {
                    "id": len(people) + 1, "image_id": image["id"], "category_id": 1, "iscrowd": 0,
                    "bbox": [*low, *size], "area": 0.53 * float(np.prod(size)), "num_keypoints": int(seen.sum()),
                    "keypoints": np.concatenate([joints * seen[:, None], 2.0 * seen[:, None]], 1).ravel().tolist(),
                }
            )  # fmt: skip
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


@pytest.fixture(params=["folder", "zip"])
def small_set(request, tmp_path):
    data = labels()
    (tmp_path / "labels.json").write_text(json.dumps(data), encoding="utf-8")
    place = tmp_path / ("pictures" if request.param == "folder" else "pictures.zip")
    encoded = {
        image["file_name"]: cv2.imencode(".png", np.full((240, 320, 3), k, np.uint8))[1].tobytes()
        for k, image in enumerate(data["images"])
    }
    if request.param == "folder":
        place.mkdir()
        for name, payload in encoded.items():
            (place / name).write_bytes(payload)
    else:
        with zipfile.ZipFile(place, "w") as shard:
            for name, payload in encoded.items():
                shard.writestr(name, payload)
    return CocoSet(tmp_path / "labels.json", place), data


def teller(data, noise=0.0, seed=0):
    """A detector that knows the labels, with noise in shares of the square root of a person's area."""
    rng = np.random.default_rng(seed)

    def people(image_id):
        rows = [a for a in data["annotations"] if a["image_id"] == image_id and a["num_keypoints"]]
        joints, confidence = np.zeros((len(rows), 14, 2), np.float32), np.zeros((len(rows), 14), np.float32)
        for k, a in enumerate(rows):
            points = np.array(a["keypoints"], float).reshape(13, 3)
            joints[k, COCO_13] = points[:, :2] + rng.normal(0, 1, (13, 2)) * noise * a["area"] ** 0.5
            confidence[k, COCO_13] = points[:, 2] > 0
        joints[confidence == 0] = 0
        return Detections(joints, confidence, np.linspace(0.9, 0.5, len(rows)).astype(np.float32))

    return people


def test_the_labels_themselves_are_perfect_and_noise_costs(small_set):
    pictures, data = small_set

    def detector(noise):
        tell = teller(data, noise)
        return lambda image: tell(100 + int(image[0, 0, 0]))

    perfect = evaluate(detector(0.0), pictures)
    assert perfect.ap == pytest.approx(1)
    assert perfect.ar == pytest.approx(1)
    assert (perfect.pictures, perfect.people) == (12, len(data["annotations"]))
    noisy = evaluate(detector(0.06), pictures)
    assert 0.2 < noisy.ap < 0.9
    assert evaluate(detector(0.12), pictures).ap < noisy.ap


def test_intervals_hold_the_figure_and_narrow_with_more_pictures():
    widths = {}
    for pictures in (10, 60):
        data = labels(3, pictures)
        tell = teller(data, 0.07)
        found = [r for image in data["images"] for r in as_results(image["id"], tell(image["id"]))]
        figures, intervals = judge_results(data, found), bootstrap(data, found, draws=150)
        for name, (low, high) in intervals.items():
            assert low <= getattr(figures, name) <= high
        widths[pictures] = intervals["ap"][1] - intervals["ap"][0]
        assert intervals == bootstrap(data, found, draws=150)
    assert 0.02 < widths[60] < 0.7 * widths[10]
    perfect = [r for image in data["images"] for r in as_results(image["id"], teller(data)(image["id"]))]
    assert bootstrap(data, perfect, draws=20)["ap"] == pytest.approx((1, 1))


def test_a_detector_that_finds_nobody_gets_nothing(small_set):
    figures = evaluate(lambda image: Detections.empty(), small_set[0])
    assert (figures.ap, figures.ap50, figures.ar) == (0, 0, 0)


def test_false_alarms_lower_precision(small_set):
    pictures, data = small_set
    tell = teller(data, 0.03)

    def nervous(image):
        people = tell(100 + int(image[0, 0, 0]))
        wrong = np.full((1, 14, 2), 20, np.float32) + np.arange(14, dtype=np.float32)[None, :, None]
        return Detections(
            np.concatenate([wrong, people.joints_px]), np.concatenate([np.ones((1, 14), np.float32), people.confidence]),
            np.concatenate([np.ones(1, np.float32), people.score]),
        )  # fmt: skip

    calm = evaluate(lambda image: tell(100 + int(image[0, 0, 0])), pictures)
    assert evaluate(nervous, pictures).ap < 0.8 * calm.ap


def test_results_hold_the_best_people_and_a_guess_for_hidden_joints():
    joints = np.zeros((30, 14, 2), np.float32) + np.arange(30, dtype=np.float32)[:, None, None] + 1
    confidence = np.ones((30, 14), np.float32)
    confidence[:, 5:] = 0
    joints[:, 5:] = 0
    rows = as_results(7, Detections(joints, confidence, np.linspace(0, 1, 30).astype(np.float32)))
    assert len(rows) == 20
    assert [r["score"] for r in rows] == sorted((r["score"] for r in rows), reverse=True)
    best = np.array(rows[0]["keypoints"]).reshape(13, 3)
    assert np.allclose(best[:, :2], 30)
    assert best[4:, 2].max() == 0


def test_our_oks_is_cocos(small_set):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    _, data = small_set
    tell = teller(data, 0.05, seed=3)
    found = [row for image in data["images"] for row in as_results(image["id"], tell(image["id"]))]
    coco = COCO()
    coco.dataset = data
    coco.createIndex()
    run = COCOeval(coco, coco.loadRes(found), "keypoints")
    run.params.kpt_oks_sigmas = OKS_SIGMAS_13
    run.evaluate()
    for image in data["images"]:
        theirs = run.ious[image["id"], 1]
        truth = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        points = np.array([a["keypoints"] for a in truth]).reshape(-1, 13, 3)
        results = sorted((r for r in found if r["image_id"] == image["id"]), key=lambda r: -r["score"])
        ours = np.array([r["keypoints"] for r in results]).reshape(-1, 13, 3)
        value = oks(
            ours[:, None, :, :2].repeat(len(truth), 1), points[None, :, :, :2].repeat(len(ours), 0),
            (points[..., 2] > 0)[None], np.array([a["area"] for a in truth])[None], OKS_SIGMAS_13,
        )  # fmt: skip
        assert np.allclose(value, theirs, atol=1e-6)


def test_bad_sets_are_refused_with_a_reason(tmp_path):
    with pytest.raises(FormatError, match="cannot read"):
        CocoSet(tmp_path / "none.json", tmp_path)
    (tmp_path / "bad.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FormatError, match="not COCO JSON"):
        CocoSet(tmp_path / "bad.json", tmp_path)
    data = labels()
    data["annotations"][0]["keypoints"] = [0] * 42
    (tmp_path / "coco14.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(FormatError, match="14 joints, not 13 or 17"):
        CocoSet(tmp_path / "coco14.json", tmp_path)
    del data["annotations"][0]["area"]
    data["annotations"][0]["keypoints"] = [0] * 39
    (tmp_path / "no_area.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(FormatError, match="lacks 'area'"):
        CocoSet(tmp_path / "no_area.json", tmp_path)
    (tmp_path / "good.json").write_text(json.dumps(labels()), encoding="utf-8")
    with pytest.raises(FormatError, match="no pictures"):
        CocoSet(tmp_path / "good.json", tmp_path / "nowhere")
    with pytest.raises(FormatError, match="no picture p0"):
        next(iter(CocoSet(tmp_path / "good.json", tmp_path)))


def test_coco_s_own_17_joints_are_judged_as_13(small_set, tmp_path):
    _, data = small_set
    wide = json.loads(json.dumps(data))
    names = ["nose", "l_eye", "r_eye", "l_ear", "r_ear"] + [
        s + n for n in ("sho", "elb", "wri", "hip", "kne", "ank") for s in ("l_", "r_")
    ]
    ours = ["nose", *(s + n for w in (("sho", "elb", "wri"), ("hip", "kne", "ank")) for s in ("r_", "l_") for n in w)]
    for a in wide["annotations"]:
        points = np.zeros((17, 3))
        points[[names.index(n) for n in ours]] = np.reshape(a["keypoints"], (13, 3))
        points[1:5] = [5, 5, 2]  # eyes and ears, which we do not judge
        a["keypoints"], a["num_keypoints"] = points.ravel().tolist(), int((points[:, 2] > 0).sum())
    (tmp_path / "wide.json").write_text(json.dumps(wide), encoding="utf-8")
    truth = CocoSet(tmp_path / "wide.json", tmp_path).truth
    tell = teller(data, 0.05)
    found = [row for i in data["images"] for row in as_results(i["id"], tell(i["id"]))]
    assert judge_results(truth, found) == judge_results(data, found)


@pytest.mark.shared
def test_the_people_pack_gives_the_figures_its_page_states():
    if not (PEOPLE / "val13.json").exists():
        pytest.skip("no people pack beside the checkout")
    truth = CocoSet(PEOPLE / "val13.json", PEOPLE / "val.zip").truth
    figures = {}
    for noise in (0.0, 0.05):
        tell = teller(truth, noise)
        figures[noise] = judge_results(truth, [r for i in truth["images"] for r in as_results(i["id"], tell(i["id"]))])
    assert figures[0.0].ap == pytest.approx(1, abs=1e-3)
    assert figures[0.05].ap == pytest.approx(0.72, abs=0.02)
    assert figures[0.05].ap50 == pytest.approx(0.99, abs=0.01)
    assert figures[0.0].people == 504
