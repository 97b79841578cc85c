"""``xnect lift``: joints of other programs go through the same stages as our own, and land in the same files."""

import json

import numpy as np
import pytest

from xnect.apps.main import main
from xnect.formats.recording import load
from xnect.geometry import project
from xnect.resources import resource
from xnect.skeleton.joints import JOINTS_2D, PELVIS
from xnect.skeleton.layouts import COCO_17, OPENPOSE_18
from xnect.structures import Camera

FRAMES = 24


@pytest.fixture(scope="module")
def truth():
    return dict(np.load(resource("demo.truth.npz")))


@pytest.fixture
def camera(truth):
    return Camera(truth["matrix_px"].astype(np.float64), tuple(truth["size_px"].tolist()))


def keypoints(truth, frame, person, names):
    out = []
    for name in names:
        joint = JOINTS_2D.index(name) if name in JOINTS_2D else None
        seen = joint is not None and truth["seen"][frame, person, joint] > 0
        out += [*truth["joints_px"][frame, person, joint].astype(float).tolist(), 0.9] if seen else [0, 0, 0]
    return out


@pytest.fixture
def openpose(tmp_path, truth):
    folder = tmp_path / "found"
    folder.mkdir()
    for frame in range(FRAMES):
        people = [
            {"person_id": [-1], "pose_keypoints_2d": keypoints(truth, frame, person, OPENPOSE_18)}
            for person in np.flatnonzero(truth["present"][frame])
        ]
        (folder / f"clip_{frame:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


@pytest.fixture
def coco(tmp_path, truth):
    path = tmp_path / "results.json"
    entries = [
        {"image_id": frame, "category_id": 1, "score": 0.9, "keypoints": keypoints(truth, frame, person, COCO_17)}
        for frame in range(FRAMES)
        for person in np.flatnonzero(truth["present"][frame])
    ]
    path.write_text(json.dumps(entries))
    return path


def focal(camera):
    return ["--size", "x".join(map(str, camera.size_px)), "--fx", f"{camera.matrix_px[0, 0]:.3f}"]


def error_m(recording, truth):
    """Mean error about the pelvis of everyone in the last frames, against the true person in the same place."""
    errors = []
    for result in list(recording.results())[-8:]:
        true = truth["joints_m"][result.index][truth["present"][result.index]]
        places = true[:, PELVIS, :2] / true[:, PELVIS, 2:]
        for person in result.people:
            mine = true[np.linalg.norm(places - person.root[0][:2] / person.root[0][2], axis=1).argmin()]
            error = (person.joints_3d - person.joints_3d[PELVIS]) - (mine - mine[PELVIS])
            errors.append(np.linalg.norm(error, axis=-1).mean())
    assert errors
    return np.mean(errors)


@pytest.mark.parametrize("kind", ["openpose", "coco"])
def test_true_joints_give_poses_near_the_truth(kind, request, truth, camera, tmp_path, capsys):
    source = request.getfixturevalue(kind)
    out = tmp_path / "out"
    assert main(["lift", str(source), *focal(camera), "--fps", "25", "--formats", "bvh,csv", "--output", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out)]
    recording = load(out)
    assert len(recording) == FRAMES
    assert recording.header.fps == 25
    assert recording.header.source.size_px == camera.size_px
    np.testing.assert_allclose(recording.times_s, np.arange(FRAMES) / 25, atol=1e-6)
    assert error_m(recording, truth) < 0.12  # an average pose at the right place is some 0.25 m off
    for result in list(recording.results())[-3:]:
        for person in result.people:
            near = np.linalg.norm(project(person.joints_3d[1:14].astype(float), camera) - person.joints_2d[1:], axis=-1)
            assert near[person.confidence_2d[1:] > 0].mean() < 14  # px, on people 300 px tall
    assert len(list((out / "bvh").glob("*.bvh"))) == len(recording.ids)
    assert not (out / "overlay.mp4").exists()


def test_lifting_a_lift_again_changes_little(openpose, camera, tmp_path, truth):
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["lift", str(openpose), *focal(camera), "--formats", "csv", "--output", str(first)]) == 0
    assert (
        main(["lift", str(first), "--formats", "csv", "--output", str(second)]) == 0
    )  # size, rate, camera from the log
    a, b = load(first), load(second)
    np.testing.assert_array_equal(a.header.camera.matrix_px, b.header.camera.matrix_px)
    np.testing.assert_allclose(a.people.joints_3d, b.people.joints_3d, atol=0.01)  # the log rounds to 0.01 px
    third = tmp_path / "third"
    size = [*focal(camera)[:2], "--fov", "50"]
    assert main(["lift", str(first / "poses.csv"), *size, "--output", str(third), "--formats", "jsonl"]) == 0
    assert load(third).header.fps == pytest.approx(30)  # from the table's own comment
    assert load(third).header.camera.matrix_px[0, 0] != a.header.camera.matrix_px[0, 0]


def test_with_the_film(openpose, tmp_path, truth):
    out = tmp_path / "out"
    film = str(resource("demo.mp4"))
    assert (
        main(["lift", str(openpose), "--video", film, "--end", "0.4", "--formats", "overlay", "--output", str(out)])
        == 0
    )
    recording = load(out)
    assert len(recording) == 12
    assert len(recording.people) >= 12
    assert (out / "overlay.mp4").stat().st_size > 10_000


def test_pictures_that_have_nothing_in_common(coco, camera, tmp_path):
    out = tmp_path / "out"
    assert main(["lift", str(coco), *focal(camera), "--static-images", "--formats", "coco", "--output", str(out)]) == 0
    recording = load(out)
    assert not recording.header.filtered
    first = [min(result.people, key=lambda p: p.id).id for result in recording.results() if result.people]
    assert set(first) == {1}


@pytest.mark.parametrize(
    ("extra", "code", "what"),
    [
        ([], 2, "--size"),
        (["--size", "10"], 2, "WIDTHxHEIGHT"),
        (["--size", "64x48", "--fps", "0"], 2, "--fps 0"),
        (["--size", "64x48", "--min-score", "2"], 2, "--min-score 2"),
        (["--size", "64x48", "--video", "none.mp4"], 2, "--video tells"),
        (["--video", "none.mp4"], 1, "none.mp4"),
        (["--size", "64x48", "--camera", "0"], 2, "unknown option --camera"),
    ],
)
def test_wrong_usage_is_one_line(coco, tmp_path, capsys, extra, code, what):
    try:
        got = main(["lift", str(coco), *extra, "--output", str(tmp_path / "out")])
    except SystemExit as leave:
        got = leave.code
    told = capsys.readouterr().err.strip().splitlines()
    assert (got, len([line for line in told if line.startswith("xnect lift:")])) == (code, 1)
    assert what in told[-1]
    assert not (tmp_path / "out").exists()


def test_damaged_joints_are_told(tmp_path, capsys):
    path = tmp_path / "joints.json"
    path.write_text('[{"image_id": 0, "keypoints": [1, 2, 3]}]')
    assert main(["lift", str(path), "--size", "64x48"]) == 1
    assert "joints.json, entry 0" in capsys.readouterr().err
