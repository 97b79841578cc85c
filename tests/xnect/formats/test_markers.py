"""C3D and TRC as laboratory tools read them."""

import json
import warnings

import numpy as np
import pytest

from xnect.errors import OutputError
from xnect.formats.markers import MARKERS
from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.skeleton.joints import JOINTS_3D

WRIST, TOE = JOINTS_3D.index("left_wrist"), JOINTS_3D.index("left_toe")


def record(directory, header, frames, formats):
    with open_writers(directory, formats, header) as writers:
        for frame, result in frames:
            writers.write(frame, result)
    return load(directory)


def test_marker_names_are_short_and_different():
    assert len(set(MARKERS)) == 21
    assert MARKERS[WRIST] == "LWrist"
    assert MARKERS[TOE] == "LBigToe"
    assert all(name.isascii() and len(name) <= 12 for name in MARKERS)


@pytest.fixture
def coming_and_going(tmp_path, header, make_frames):
    pytest.importorskip("ezc3d")
    there = {1: range(10), 2: [2, 3, 6, 7]}
    frames = make_frames(10, ids=lambda i: tuple(k for k, when in there.items() if i in when))
    return tmp_path, record(tmp_path, header, frames, ["c3d", "trc"])


def test_c3d_by_ezc3d(coming_and_going):
    import ezc3d

    folder, recording = coming_and_going
    file = ezc3d.c3d(str(folder / "poses.c3d"))
    point = file["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"]
    assert point["RATE"]["value"][0] == pytest.approx(25)
    labels = point["LABELS"]["value"]
    assert len(labels) == 42
    data, residuals = file["data"]["points"], file["data"]["meta_points"]["residuals"][0]
    assert data.shape == (4, 42, 10)
    first = recording.person(1).people.joints_3d
    column = labels.index("P1_LWrist")
    want = np.stack([first[:, WRIST, 0], first[:, WRIST, 2], -first[:, WRIST, 1]]) * 1000  # z up
    np.testing.assert_allclose(data[:3, column], want, atol=0.01)
    assert (residuals[column] == 0).all()
    assert residuals[labels.index("P2_LWrist")].tolist() == [-1, -1, 0, 0, -1, -1, 0, 0, -1, -1]
    masks = file["data"]["meta_points"]["camera_masks"]
    assert masks[0, column].all()
    assert not masks[:, labels.index("P1_LBigToe")].any()  # inferred
    assert file["parameters"]["XNECT"]["SOURCE"]["value"] == ["clip.mp4"]


def test_c3d_by_another_reader(coming_and_going):
    c3d = pytest.importorskip("c3d")
    folder, recording = coming_and_going
    with (folder / "poses.c3d").open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = c3d.Reader(file)
        labels = [name.strip() for name in reader.point_labels]
        frames = [points for _, points, _ in reader.read_frames()]
    assert len(frames) == 10
    want = recording.person(1).people.joints_3d[4, WRIST] * 1000
    assert frames[4][labels.index("P1_LWrist"), :3] == pytest.approx([want[0], want[2], -want[1]], abs=0.01)
    assert frames[4][labels.index("P2_LWrist"), 3] == -1


def read_trc(path):
    lines = path.read_text().splitlines()
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names = [name for name in lines[3].split("\t")[2:] if name]
    rows = np.array([[float(v) for v in line.split("\t")] for line in lines[6:]])
    assert lines[5] == ""
    assert len(lines[4].split("\t")) == rows.shape[1]
    return lines[0].split("\t"), head, names, rows


def test_trc(coming_and_going):
    folder, recording = coming_and_going
    first_line, head, names, rows = read_trc(folder / "poses.trc")
    assert first_line == ["PathFileType", "4", "(X/Y/Z)", "poses.trc"]
    assert head["Units"] == "m"
    assert head["DataRate"] == "25"
    assert [head["NumFrames"], head["NumMarkers"]] == ["10", "21"]
    assert tuple(names) == MARKERS
    assert rows[:, 0].tolist() == list(range(1, 11))
    np.testing.assert_allclose(rows[:, 1], np.arange(10) / 25, atol=1e-6)
    want = recording.person(1).people.joints_3d[:, WRIST]
    got = rows[:, 2 + 3 * WRIST : 5 + 3 * WRIST]
    np.testing.assert_allclose(got, np.stack([-want[:, 2], -want[:, 1], -want[:, 0]], 1), atol=1e-4)


def test_trc_gaps_are_filled_and_told(coming_and_going):
    folder, recording = coming_and_going
    _, head, _, rows = read_trc(folder / "poses_person_2.trc")
    assert head["NumFrames"] == "6"
    assert rows[0, 1] == pytest.approx(2 / 25)
    assert np.isfinite(rows).all()
    ends = recording.person(2).people.joints_3d[1:3, WRIST, 1]
    filled = -rows[2:4, 3 + 3 * WRIST]
    assert filled == pytest.approx([ends[0] + (ends[1] - ends[0]) * k / 3 for k in (1, 2)], abs=1e-4)
    told = json.loads((folder / "poses.trc.json").read_text())["files"]
    assert [f["person"] for f in told] == [1, 2]
    assert told[1]["filled_frames"] == 2
    assert told[1]["gaps_s"] == [[pytest.approx(3 / 25), pytest.approx(6 / 25)]]
    assert told[0]["inferred_share"]["LBigToe"] == 1.0


def test_nobody_seen_is_told_and_loses_nothing_else(tmp_path, header, make_frames):
    with pytest.raises(OutputError, match="nobody was seen"):
        record(tmp_path, header, make_frames(3, ids=lambda i: ()), ["c3d", "csv"])
    assert (tmp_path / "poses.csv").exists()


def test_the_same_recording_gives_the_same_bytes(tmp_path, header, make_frames):
    formats = ["csv", "npz", "bvh", "c3d", "trc", "glb", "coco"]
    for name in ("a", "b"):
        record(tmp_path / name, header, make_frames(4), formats)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*") if p.is_file())
    assert len(files) > 8
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
