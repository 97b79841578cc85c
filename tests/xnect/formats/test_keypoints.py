"""2D joints of other programs: what our writers wrote comes back, other layouts land on the right joints, damage is told."""

import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xnect.errors import FormatError, XnectError
from xnect.formats.keypoints import load_keypoints
from xnect.formats.keypoints_csv import joint_of
from xnect.formats.writer import open_writers
from xnect.skeleton.joints import JOINTS_2D
from xnect.skeleton.layouts import BODY_25, COCO_17, HALPE_26, LAYOUTS, OPENPOSE_18, detections_from, strongest


@pytest.fixture
def written(tmp_path, header, make_frames):
    """A recording of six frames, the third without people; its folder and results."""
    results = []
    with open_writers(tmp_path, ["openpose", "coco", "csv"], header) as writers:
        for frame, result in make_frames(6, ids=lambda i: () if i == 2 else (1, 2)):
            writers.write(frame, result)
            results.append(result)
    return tmp_path, results


@pytest.mark.parametrize("name", ["openpose", "coco.json", "poses.csv", "poses.jsonl", "."])
def test_what_we_wrote_comes_back(written, name):
    folder, results = written
    found = load_keypoints(folder / name)
    # A table with times has no rows where nobody is seen; the others tell of every frame or are filled.
    assert found.frames.tolist() == ([0, 1, 3, 4, 5] if name == "poses.csv" else list(range(6)))
    known = [j for j, n in enumerate(JOINTS_2D) if n != "neck" or name != "coco.json"]  # COCO has no neck
    for frame, people in zip(found.frames, found.people, strict=True):
        result = results[frame]
        assert len(people) == len(result.people)
        for joints, person in zip(people.joints_px, result.people, strict=True):
            assert np.abs(joints - person.joints_2d)[known].max() < 0.006
            assert people.confidence.min() == people.confidence.max() == pytest.approx(0.9)
    if name in ("poses.jsonl", "."):
        assert found.sizes_px.tolist() == [[320, 240]] * 6
        np.testing.assert_allclose(found.times_s, np.arange(6) / 25)
    assert found.fps == (25.0 if name not in ("openpose", "coco.json") else None)


def numbered(names):
    """One person whose joint k stands at (10 k, 20 k) with confidence 0.5."""
    return [v for k in range(len(names)) for v in (10.0 * (k + 1), 20.0 * (k + 1), 0.5)]


@pytest.mark.parametrize("names", [COCO_17, OPENPOSE_18, BODY_25, HALPE_26])
def test_layouts_by_name(tmp_path, names):
    path = tmp_path / "found.json"
    path.write_text(json.dumps([{"image_id": 7, "keypoints": numbered(names), "score": 0.8}]))
    people = load_keypoints(path).people[0]
    for row, joint in enumerate(JOINTS_2D):
        if joint in names:
            k = names.index(joint) + 1
            assert people.joints_px[0, row].tolist() == [10 * k, 20 * k]
    shoulders = [JOINTS_2D.index("right_shoulder"), JOINTS_2D.index("left_shoulder")]
    if "neck" not in names:
        assert people.joints_px[0, 1].tolist() == people.joints_px[0, shoulders].mean(0).tolist()
    assert (people.confidence == 0.5).all()
    assert people.score.tolist() == pytest.approx([0.8])


def test_names_of_all_layouts_are_different_and_ours_are_known():
    for count, names in LAYOUTS.items():
        assert len(set(names)) == len(names) == count
        assert set(JOINTS_2D) - {"neck"} <= set(names)


def test_not_seen_means_zero():
    points = np.arange(28, dtype=float).reshape(1, 14, 2) + 5
    sure = np.full((1, 14), 2.0)
    points[0, 3], points[0, 4, 0], points[0, 5] = np.nan, np.inf, 1e9
    sure[0, 6], sure[0, 7] = -1, np.nan
    found = detections_from(points, sure, JOINTS_2D)
    assert np.flatnonzero(found.confidence[0] == 0).tolist() == [3, 4, 5, 6, 7]
    assert (found.joints_px[0, 3:8] == 0).all()
    assert found.confidence.max() == 1
    assert found.score[0] == pytest.approx(9 / 14)


def test_strongest_people_first():
    points = np.ones((4, 14, 2))
    sure = np.ones((4, 14))
    sure[2, 2:] = 0
    found = detections_from(points, sure, JOINTS_2D, np.array([0.5, 0.9, 1.0, 0.1]))
    assert strongest(found, 3, 0.2, 10).score.tolist() == pytest.approx([0.9, 0.5])
    assert strongest(found, 1, 0.0, 2).score.tolist() == pytest.approx([1.0, 0.9])


def test_gaps_of_a_film_are_filled_and_picture_ids_are_not(tmp_path):
    path = tmp_path / "found.json"
    entry = {"keypoints": numbered(COCO_17), "score": 0.8}
    path.write_text(json.dumps([{"image_id": n, **entry} for n in (9, 4, 4)]))
    found = load_keypoints(path)
    assert found.frames.tolist() == [4, 5, 6, 7, 8, 9]
    assert [len(p) for p in found.people] == [2, 0, 0, 0, 0, 1]
    path.write_text(json.dumps([{"image_id": n, **entry} for n in (397133, 37777)]))
    assert load_keypoints(path).frames.tolist() == [37777, 397133]


def test_a_list_of_pictures_gives_order_and_sizes(tmp_path):
    path, images = tmp_path / "found.json", tmp_path / "images.json"
    path.write_text(json.dumps([{"image_id": 50, "keypoints": numbered(COCO_17), "score": 0.8}]))
    listed = [{"id": n, "file_name": f"{n}.jpg", "width": 640 + n, "height": 480} for n in (90, 50, 20)]
    images.write_text(json.dumps({"images": listed}))
    found = load_keypoints(path, images)
    assert found.frames.tolist() == [0, 1, 2]
    assert [len(p) for p in found.people] == [0, 1, 0]
    assert found.sizes_px[:, 0].tolist() == [660, 690, 730]
    images.write_text(json.dumps({"images": listed[:1]}))
    with pytest.raises(FormatError, match="not in the list of images"):
        load_keypoints(path, images)


def test_annotations_and_file_names(tmp_path):
    path = tmp_path / "person_keypoints.json"
    labelled = [{"image_id": 3, "keypoints": [*numbered(COCO_17)[:48], 0, 0, 0], "category_id": 1, "iscrowd": 0}]
    path.write_text(
        json.dumps({"images": [{"id": 3, "width": 64, "height": 48}], "annotations": [*labelled, {"image_id": 3}]})
    )
    found = load_keypoints(path)
    assert found.people[0].confidence[0, 10] == 0  # the right ankle, not labelled
    assert found.sizes_px.tolist() == [[64, 48]]
    path.write_text(json.dumps([{"image_id": "walk_000012.jpg", "keypoints": numbered(COCO_17), "score": 2.5}]))
    found = load_keypoints(path)
    assert found.frames.tolist() == [12]
    assert found.people[0].score.tolist() == [1.0]
    path.write_text(json.dumps([{"image_id": 1, "keypoints": [5, 6, 0] * 17, "score": 0.7}]))
    assert (load_keypoints(path).people[0].confidence == 1).all()  # the third number left alone


def test_openpose_folder_with_its_own_numbers(tmp_path):
    for n in (12, 9, 10):
        person = {"person_id": [-1], "pose_keypoints_2d": numbered(BODY_25)}
        (tmp_path / f"take2_{n:012d}_keypoints.json").write_text(json.dumps({"people": [person] * (n == 10)}))
    found = load_keypoints(tmp_path)
    assert found.name == "take2"
    assert found.frames.tolist() == [9, 10, 11, 12]
    assert [len(p) for p in found.people] == [0, 1, 0, 0]


def test_csv_with_other_names(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("# fps: 50\nframe_id,keypoint,x,y,likelihood\n3,RKnee,10,20,0.5\n\n3,Left Hip,,7,1\n5,tail,1,1,1\n")
    found = load_keypoints(path)
    assert (found.fps, found.frames.tolist()) == (50.0, [3, 4, 5])
    assert found.people[0].joints_px[0, JOINTS_2D.index("right_knee")].tolist() == [10, 20]
    assert (found.people[0].confidence > 0).sum() == 1
    assert len(found.people[2]) == 0
    assert [joint_of(n) for n in ("Nose", "RShoulder", "left elbow")] == ["nose", "right_shoulder", "left_elbow"]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.txt", "", "a folder of OpenPose JSON"),
        ("a.json", "", "is not JSON"),
        ("a.json", "[" * 100_000, "nested too deeply|not JSON"),
        ("a.json", "7", "neither COCO"),
        ("a.json", "[]", "no entry with keypoints"),
        ("a.json", '[{"image_id": 1, "keypoints": [1, 2]}]', "has 2 numbers"),
        ("a.json", '[{"image_id": 1, "keypoints": ["a"]}]', "list of numbers"),
        ("a.json", '[{"image_id": [], "keypoints": [1, 2, 3]}]', "image_id must be"),
        ("a.json", '{"people": [{"pose_keypoints_2d": 5}]}', "list of numbers"),
        ("a.json", '{"people": [{}]}', "without pose_keypoints_2d"),
        ("a.json", json.dumps({"people": [{"pose_keypoints_2d": [0.4, 0.5, 1] * 25}]}), "shares of the picture"),
        ("a.json", '[{"image_id": 1, "keypoints": [1' + "0" * 400 + ", 2, 3" + ", 1" * 48 + "]}]", "too large"),
        ("a.csv", "", "is empty"),
        ("a.csv", "frame,joint\n", "no column x_px, y_px"),
        ("a.csv", "frame,joint,x,y,z\n", "places in space"),
        ("a.csv", "frame,joint,x,y\n1,nose\n", "line 2: 2 cells"),
        ("a.csv", "frame,joint,x,y\n1.5,nose,1,1\n", "line 2: frame '1.5'"),
        ("a.csv", "frame,joint,x,y\n1,nose,1,u\n", "line 2: y: 'u' is not a number"),
        ("a.csv", "frame,joint,x,y\n1,nose,1,1\n1,nose,2,2\n", "stands twice"),
        ("a.csv", "time,frame,joint,x,y\n2,0,nose,1,1\n1,1,nose,2,2\n", "time falls"),
        ("a.jsonl", "{}\n", "not a pose recording"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path, name, text, what):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FormatError, match=what) as told:
        load_keypoints(path)
    assert "\n" not in str(told.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FormatError, match=r"ends in _keypoints\.json"):
        load_keypoints(tmp_path)
    for name in ("none.json", "none.csv", "none.jsonl"):
        with pytest.raises(FormatError, match="cannot read"):
            load_keypoints(tmp_path / name)
    for name in ("pipe.json", "pipe.csv"):
        os.mkfifo(tmp_path / name)  # nobody writes: reading would wait for ever
        with pytest.raises(FormatError, match="is no file"):
            load_keypoints(tmp_path / name)
    with pytest.raises(FormatError, match="goes with a COCO"):
        load_keypoints(tmp_path / "none.csv", tmp_path / "images.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["people", "image_id", "keypoints", "score", "images", "annotations", "id"]), inner
        )
    ),
    max_leaves=12,
)
VALUE = st.floats() | st.integers() | st.none()
PERSON = st.fixed_dictionaries({"image_id": st.integers() | st.text(max_size=3), "keypoints": st.lists(VALUE, min_size=51, max_size=51), "score": VALUE})  # fmt: skip
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=JSON | st.lists(PERSON, max_size=3) | st.builds(lambda p: {"people": p}, st.lists(JSON, max_size=2)))
def test_any_json_loads_or_is_refused(tmp_path, data):
    path = tmp_path / "any.json"
    path.write_text(json.dumps(data))
    _loads_soundly(path)


@FUZZ
@given(
    rows=st.lists(
        st.tuples(
            *[st.sampled_from(["", "1", "-1", "nan", "inf", "1e400", "9" * 400, "nose", '"', "\x00", "2.0"])] * 5
        ),
        max_size=6,
    )
)
def test_any_table_loads_or_is_refused(tmp_path, rows):
    path = tmp_path / "any.csv"
    path.write_text("frame,person,joint,x_px,y_px\n" + "\n".join(",".join(row) for row in rows))
    _loads_soundly(path)


@FUZZ
@given(cut=st.integers(0, 2000), flip=st.integers(0, 2000), byte=st.integers(0, 255))
def test_damaged_bytes_load_or_are_refused(tmp_path, cut, flip, byte):
    text = json.dumps([{"image_id": n, "keypoints": numbered(COCO_17), "score": 0.5} for n in range(3)]).encode()
    data = bytearray(text[: max(len(text) - cut, 0)])
    if data:
        data[flip % len(data)] = byte
    path = tmp_path / "any.json"
    path.write_bytes(bytes(data))
    _loads_soundly(path)


def _loads_soundly(path):
    try:
        found = load_keypoints(path)
    except XnectError:
        return
    for people in found.people:
        assert np.isfinite(people.joints_px).all()
        assert ((people.confidence >= 0) & (people.confidence <= 1)).all()
        assert ((people.score >= 0) & (people.score <= 1)).all()
