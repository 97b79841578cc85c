"""CSV, Parquet and NPZ as pandas and numpy read them."""

import json

import numpy as np
import pandas
import pytest

from xnect.errors import OutputError
from xnect.formats.recording import load
from xnect.formats.writer import open_writers


@pytest.fixture
def written(tmp_path, header, make_frames):
    with open_writers(tmp_path, ["csv", "npz"], header) as writers:
        for frame, result in make_frames(6, ids=lambda i: (1, 4) if i % 2 else (4,)):
            writers.write(frame, result)
    return tmp_path


def test_csv_and_data_frame_say_the_same(written):
    table = pandas.read_csv(written / "poses.csv", comment="#")
    want = load(written).to_pandas()
    assert list(table.columns) == list(want.columns)
    want = want.astype({"joint": str, "inferred": int, "filtered": int})
    pandas.testing.assert_frame_equal(table.astype({"joint": str}), want, check_dtype=False, atol=1e-9)
    assert sorted(table.person.unique()) == [1, 4]
    assert len(table) == 22 * 9


def test_csv_says_units_axes_and_origin(written):
    head = [line for line in (written / "poses.csv").read_text().splitlines() if line.startswith("#")]
    text = "\n".join(head)
    for wanted in ("m;", "camera space", "clip.mp4", "weights_sha256: abab", "fps: 25"):
        assert wanted in text


def test_no_number_in_the_csv_is_not_a_number(written):
    cells = {c for line in (written / "poses.csv").read_text().splitlines() for c in line.lower().split(",")}
    assert not cells & {"nan", "inf", "-inf", "none"}


def test_npz_holds_every_array(written):
    recording = load(written)
    with np.load(written / "poses.npz") as arrays:  # without pickle
        np.testing.assert_array_equal(arrays["joints_3d"], recording.people.joints_3d)
        np.testing.assert_array_equal(arrays["ids"], recording.people.ids)
        np.testing.assert_array_equal(arrays["frames"][arrays["row_frame"]], recording.frames[recording.row_frame])
        np.testing.assert_array_equal(arrays["angles"], recording.people.angles)
        assert json.loads(str(arrays["header"]))["format"] == "xnect-poses"


def test_parquet(tmp_path, header, make_frames):
    parquet = pytest.importorskip("pyarrow.parquet")
    with open_writers(tmp_path, ["parquet"], header) as writers:
        for frame, result in make_frames(3):
            writers.write(frame, result)
    table = parquet.read_table(tmp_path / "poses.parquet")
    assert table.schema.metadata[b"units"].startswith(b"x y z m")
    got = table.to_pandas()
    want = load(tmp_path).to_pandas()
    assert list(got.columns) == list(want.columns)
    for name in ("frame", "time_s", "person", "x", "y", "z", "conf", "x_px", "y_px", "inferred"):
        np.testing.assert_array_equal(got[name].to_numpy(), want[name].to_numpy(), err_msg=name)
    assert got["joint"].tolist() == want["joint"].tolist()


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, header, make_frames, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    writers = open_writers(tmp_path, ["parquet"], header)
    writers.write(*next(make_frames(1)))
    with pytest.raises(OutputError, match="pip install"):
        writers.close()
    assert len(load(tmp_path)) == 1


def test_inferred_joints_can_be_left_out(tmp_path, header, make_frames):
    """Tables, C3D and OpenPose JSON lose exactly the inferred joints; formats without room for that refuse."""
    import json

    import ezc3d
    import pandas

    from xnect.errors import OutputError
    from xnect.formats.convert import convert
    from xnect.formats.markers import MARKERS
    from xnect.formats.recording import load
    from xnect.formats.writer import open_writers
    from xnect.skeleton.joints import JOINTS_3D

    with open_writers(tmp_path / "run", [], header) as writers:
        for frame, result in make_frames(5):
            writers.write(frame, result)
    recording = load(tmp_path / "run")
    inferred = {JOINTS_3D[j] for j in np.flatnonzero(recording.people.inferred[0])}
    assert len(inferred) == 4
    (path,) = convert(tmp_path / "run", tmp_path / "a.csv", drop_inferred=True)
    (other,) = convert(tmp_path / "run", tmp_path / "a.parquet", drop_inferred=True)
    for table in (
        pandas.read_csv(path, comment="#"),
        pandas.read_parquet(other),
        recording.to_pandas(drop_inferred=True),
    ):
        table = table[table.joint != "nose"]
        assert set(table.joint[table.x.isna()]) == inferred
        assert (table.x.isna() == table.inferred.astype(bool)).all()
        assert table.conf.notna().all()
    assert recording.to_pandas().query("joint != 'nose'").x.notna().all()
    (path,) = convert(tmp_path / "run", tmp_path / "a.c3d", drop_inferred=True)
    residual = ezc3d.c3d(str(path))["data"]["meta_points"]["residuals"][0]
    labels = [JOINTS_3D[k % 21] for k in range(2 * len(MARKERS))]
    assert {labels[k] for k in np.flatnonzero((residual < 0).any(1))} == inferred
    made = convert(tmp_path / "run", tmp_path / "folder", "openpose", drop_inferred=True)
    person = json.loads(made[0].read_text())["people"][0]
    toes = np.array(person["pose_keypoints_3d"]).reshape(25, 4)[[19, 22]]
    assert (toes == 0).all()
    with pytest.raises(OutputError, match="no room for missing joints"):
        convert(tmp_path / "run", tmp_path / "a.trc", drop_inferred=True)
