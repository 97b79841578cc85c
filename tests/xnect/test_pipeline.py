"""The whole line against the bundled clip's known 3D: with perfect 2D joints, and with the network that ships."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from tests_support import crowd

from xnect import MotionCapture
from xnect.codec.heatmaps import draw_heatmaps
from xnect.codec.pafs import draw_pafs
from xnect.config import DetectionConfig, FitConfig, PipelineConfig
from xnect.errors import ShapeError, WeightsError, XnectError
from xnect.geometry import frame_from_map, project
from xnect.resources import resource
from xnect.skeleton.joints import LIMBS, PELVIS
from xnect.stages.stage_one import StageOne
from xnect.structures import Camera, Detections, Frame, PoseMaps


@pytest.fixture(scope="module")
def truth():
    return dict(np.load(resource("demo.truth.npz")))


@pytest.fixture(scope="module")
def camera(truth):
    return Camera(truth["matrix_px"].astype(np.float64), tuple(truth["size_px"].tolist()))


class TrueJoints:
    """A 2D detector that knows the clip's truth; its people come in any order."""

    def __init__(self, truth, people=(0, 1, 2)):
        self.truth, self.people, self.frame = truth, list(people), 0

    def __call__(self, image_bgr):
        rows = [p for p in self.people if self.truth["present"][self.frame, p]]
        rows = np.random.default_rng(self.frame).permutation(rows).astype(int)
        seen = self.truth["seen"][self.frame, rows] > 0
        joints = (self.truth["joints_px"][self.frame, rows] * seen[..., None]).astype(np.float32)
        confidence = (seen * 0.9).astype(np.float32)
        keep = seen.sum(1) >= 3
        self.frame += 1
        return Detections(joints[keep], confidence[keep], confidence[keep].mean(1))


def run(detector, camera, frames, config=None):
    capture = MotionCapture(config=config or PipelineConfig(), camera=camera, detector=detector)
    blank = np.zeros((camera.size_px[1], camera.size_px[0], 3), np.uint8)
    return [capture(Frame(n, n / 30, blank)) for n in range(frames)]


def test_true_joints_give_poses_near_the_truth(truth, camera):
    results = run(TrueJoints(truth), camera, 60)
    errors, offsets = [], []
    for result in results[15:]:
        true = truth["joints_m"][result.index]
        for person in result.people:
            pelvis = np.linalg.norm(
                true[:2, PELVIS, :2] / true[:2, PELVIS, 2:] - (person.root[0][:2] / person.root[0][2]), axis=-1
            )
            mine = true[pelvis.argmin()]
            errors.append(
                np.linalg.norm((person.joints_3d - person.joints_3d[PELVIS]) - (mine - mine[PELVIS]), axis=-1).mean()
            )
            pixels = project(person.joints_3d[1:14].astype(float), camera)
            seen = person.confidence_2d[1:] > 0
            offsets.append(np.linalg.norm(pixels - person.joints_2d[1:], axis=-1)[seen].mean())
    assert len(errors) >= 80
    assert np.mean(errors) < 0.12  # m; an average pose at the right place is some 0.25 off
    assert np.mean(offsets) < 14  # px, on people 300 px tall


def test_ids_stay_with_people_who_cross(truth, camera):
    results = run(TrueJoints(truth), camera, 200)
    owners = {}
    for result in results:
        true = truth["joints_px"][result.index]
        present = truth["present"][result.index]
        for person in result.people:
            if person.state != "tracked":
                continue
            seen = person.confidence_2d > 0
            distance = np.linalg.norm(true - person.joints_2d, axis=-1)[:, seen].mean(1)
            owners.setdefault(person.id, []).append(int(np.where(present, distance, np.inf).argmin()))
    long_lived = {k: v for k, v in owners.items() if len(v) > 20}
    assert len(long_lived) <= 4
    for number, rows in long_lived.items():
        share = np.mean(np.array(rows) == np.bincount(rows).argmax())
        assert share > 0.95, f"id {number} is on several people"


def test_the_same_frames_give_the_same_results(truth, camera):
    first, second = (run(TrueJoints(truth), camera, 12) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert [p.id for p in a.people] == [p.id for p in b.people]
        for p, q in zip(a.people, b.people, strict=True):
            assert np.array_equal(p.joints_3d, q.joints_3d)


@pytest.mark.parametrize("guess", [-300.0, np.nan])
def test_guesses_of_unseen_joints_change_no_result_and_do_not_leave(truth, camera, guess):
    class Blinking(TrueJoints):
        unseen = 0.0

        def __call__(self, image_bgr):
            found = super().__call__(image_bgr)
            hide = np.random.default_rng(self.frame).random(found.confidence.shape) < 0.15
            confidence = np.where(hide, np.float32(0), found.confidence)
            joints = np.where(confidence[..., None] > 0, found.joints_px, np.float32(self.unseen))
            return Detections(joints, confidence, found.score)

    class Guesses(Blinking):
        unseen = guess

    with_guesses, without = (MotionCapture(detector=kind(truth), camera=camera) for kind in (Guesses, Blinking))
    picture, hidden = np.zeros((camera.size_px[1], camera.size_px[0], 3), np.uint8), 0
    for k in range(60, 120, 3):
        for capture in (with_guesses, without):
            capture._detector.frame = k
        ours, theirs = (capture(Frame(k, k / 30, picture)) for capture in (with_guesses, without))
        assert [p.id for p in ours.people] == [p.id for p in theirs.people]
        for mine, other in zip(ours.people, theirs.people, strict=True):
            hidden += int((mine.confidence_2d == 0).sum())
            assert (mine.joints_2d[mine.confidence_2d == 0] == 0).all()
            np.testing.assert_array_equal(mine.joints_2d, other.joints_2d)
            np.testing.assert_array_equal(mine.joints_3d, other.joints_3d)
            np.testing.assert_array_equal(mine.angles, other.angles)
    assert hidden > 50


def test_reset_forgets(truth, camera):
    detector = TrueJoints(truth)
    capture = MotionCapture(camera=camera, detector=detector)
    blank = np.zeros((540, 960, 3), np.uint8)
    before = [capture(blank) for _ in range(3)]
    capture.reset()
    detector.frame = 0
    after = [capture(blank) for _ in range(3)]
    assert [r.index for r in after] == [0, 1, 2]
    for a, b in zip(before, after, strict=True):
        for p, q in zip(a.people, b.people, strict=True):
            assert p.id == q.id
            assert np.array_equal(p.joints_3d, q.joints_3d)


def test_body_height_sets_the_scale(truth, camera):
    def distance(height):
        config = PipelineConfig(fit=FitConfig(height_m=height))
        return np.mean([p.root[0][2] for p in run(TrueJoints(truth, [0]), camera, 10, config)[-1].people])

    assert distance(1.9) / distance(1.5) == pytest.approx(1.9 / 1.5, rel=0.05)


def test_static_pictures_have_no_memory(truth, camera):
    config = PipelineConfig(static_images=True)
    results = run(TrueJoints(truth, [0]), camera, 5, config)
    assert [p.id for r in results for p in r.people] == [1] * 5


@pytest.mark.parametrize(
    ("follow_score", "static", "there"),
    [(0.1, False, [2, 2, 2]), (0.5, False, [2, 0, 2]), (0.1, True, [2, 0, 2])],
    ids=["followed", "not asked for", "pictures that stand alone"],
)
def test_people_who_are_faint_in_one_frame_are_followed_through_it(follow_score, static, there):
    people, shape = crowd(2), (40, 64)  # a map of 640 x 400 px
    to_frame = frame_from_map((640, 400), (512, 320), 8)
    cells, seen = (people - to_frame[:, 2]) / to_frame[0, 0], np.ones((2, 14), bool)
    heat, fields = draw_heatmaps(cells, seen, np.ones(2), shape), draw_pafs(cells, seen, np.ones(2), LIMBS, shape)

    def network(image):
        return PoseMaps(heat * np.float32(0.3 if image[0, 0, 0] else 1), fields, None, to_frame)

    config = PipelineConfig(
        detection=DetectionConfig(min_score=0.5, follow_score=follow_score), static_images=static,
    )  # fmt: skip
    capture = MotionCapture(config=config, detector=StageOne(network, config.detection))
    results = [capture(np.full((400, 640, 3), 255 * (n == 15), np.uint8)) for n in range(18)]
    assert [len(results[n].people) for n in (14, 15, 16)] == there
    if there[1]:
        before, during = ({p.id: p.joints_3d for p in results[n].people} for n in (14, 15))
        assert before.keys() == during.keys()
        assert max(np.abs(before[i] - during[i]).max() for i in before) < 0.1


def test_nobody_is_no_error(camera):
    results = run(lambda image: Detections.empty(), camera, 3)
    assert [len(r.people) for r in results] == [0, 0, 0]
    assert {"lifting", "identity", "fit", "total"} <= set(results[0].timings_ms)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3)),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image, camera):
    capture = MotionCapture(camera=camera, detector=lambda image: Detections.empty())
    with pytest.raises(ShapeError):
        capture(image)


def test_a_time_that_is_no_number_is_refused(camera):
    capture = MotionCapture(camera=camera, detector=lambda image: Detections.empty())
    with pytest.raises(XnectError, match="finite"):
        capture(np.zeros((20, 20, 3), np.uint8), timestamp=float("nan"))


def test_the_caller_s_picture_stays_writable(camera):
    capture = MotionCapture(camera=camera, detector=lambda image: Detections.empty())
    image = np.zeros((20, 20, 3), np.uint8)
    capture(image)
    image[0, 0] = 1


@pytest.mark.weights
def test_the_network_that_ships_finds_the_people_of_the_clip(truth, camera):
    capture = MotionCapture(camera=camera, device="cpu", precision="fp32", static_images=True)
    found = wanted = 0
    with av.open(str(resource("demo.mp4"))) as clip:
        for n, picture in enumerate(clip.decode(video=0)):
            if n % 20:
                continue
            people = capture(picture.to_ndarray(format="bgr24")).people
            for p in np.flatnonzero(truth["present"][n]):
                seen = truth["seen"][n, p] > 0
                if seen.sum() < 10:
                    continue
                wanted += 1
                height = truth["box_px"][n, p, 3]
                near = [
                    (np.linalg.norm(q.joints_2d - truth["joints_px"][n, p], axis=-1) < 0.08 * height)[
                        seen & (q.confidence_2d > 0)
                    ].sum()
                    for q in people
                ]
                found += max(near, default=0) >= 6
    assert wanted >= 20
    assert found / wanted > 0.6


def test_weights_that_are_not_there_or_damaged_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="cannot read weights"):
        MotionCapture(weights=tmp_path / "none.safetensors")
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"\x00" * 100)
    card = {"network": {"trunk": "selecsls42", "width": 0.25, "head": 64, "encoding": False}}
    file.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="not a readable safetensors"):
        MotionCapture(weights=file)
    file.with_suffix(".json").write_text(json.dumps({**card, "sha256": "0" * 64}))
    with pytest.raises(WeightsError, match="damaged or was changed"):
        MotionCapture(weights=file)
    for network in ({}, {"trunk": "resnet"}, {"width": 1e9}, {"width": -1}, {"head": "x"}, {"more": 1}, [1]):
        file.with_suffix(".json").write_text(json.dumps({"network": network}))
        with pytest.raises(WeightsError):
            MotionCapture(weights=file)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(WeightsError, match="no CUDA device"):
        MotionCapture(device="cuda")


def test_settings_change_while_running(truth, camera):
    detector = TrueJoints(truth)
    capture = MotionCapture(camera=camera, detector=detector)
    blank = np.zeros((540, 960, 3), np.uint8)
    for _ in range(4):
        ids = [p.id for p in capture(blank).people]
    capture.reconfigure(PipelineConfig(detection=DetectionConfig(max_people=5)))
    assert [p.id for p in capture(blank).people] == ids
    assert Path(resource("demo.mp4")).stat().st_size < 3_000_000


def test_warming_up_leaves_no_trace(truth, camera):
    plain = run(TrueJoints(truth), camera, 5)
    detector = TrueJoints(truth)
    capture = MotionCapture(camera=camera, detector=detector)
    capture.warm_up()
    blank = np.zeros((540, 960, 3), np.uint8)
    for expected in plain:
        result = capture(Frame(expected.index, expected.timestamp_s, blank))
        for p, q in zip(expected.people, result.people, strict=True):
            assert p.id == q.id
            assert np.array_equal(p.joints_3d, q.joints_3d)


def test_another_camera_forgets_people(truth, camera):
    detector = TrueJoints(truth, [0])
    capture = MotionCapture(camera=camera, detector=detector)
    blank = np.zeros((540, 960, 3), np.uint8)
    near = [capture(blank) for _ in range(3)][-1].people[0].root[0][2]
    capture.use_camera(None)
    detector.frame = 0
    wide = Camera(camera.matrix_px * [[0.5, 1, 1], [1, 0.5, 1], [1, 1, 1]], camera.size_px)
    capture.use_camera(wide)
    detector.frame = 0
    result = [capture(blank) for _ in range(3)][-1]
    assert result.index == 2
    assert result.people[0].root[0][2] < 0.7 * near
