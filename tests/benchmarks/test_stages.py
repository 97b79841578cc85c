import json

import numpy as np
import pytest

from benchmarks import stages
from xnect.config import DetectionConfig
from xnect.errors import FormatError
from xnect.geometry import camera_from_fov
from xnect.stages.association import associate
from xnect.structures import Frame


@pytest.mark.parametrize("count", [1, 10])
def test_ideal_maps_decode_to_the_people_drawn(count):
    joints = list(stages.walkers(count, 3))[-1]
    found = associate(stages.ideal_maps(joints, (512, 320)), DetectionConfig())
    assert len(found) == count
    middle = found.joints_px.mean(1)[:, None] - joints.mean(1)[None]
    nearest = np.linalg.norm(middle, axis=-1).argmin(1)
    assert sorted(nearest) == list(range(count))
    assert np.abs(found.joints_px - joints[nearest]).max() < 5


def test_every_stage_is_timed():
    image = np.zeros((720, 1280, 3), np.uint8)
    columns = stages.run_stages(2, 3, (512, 320), image, camera_from_fov((1280, 720)))
    assert list(columns) == ["association", "lifting", "identity", "fit", "these four"]
    assert all(len(values) == 3 and min(values) > 0 for values in columns.values())
    assert columns["these four"][1] == pytest.approx(sum(columns[n][1] for n in list(columns)[:4]))


def test_joints_of_another_detector_are_read_by_frame(tmp_path):
    person = {"joints_2d": [[1.0, 2.0]] * 14, "confidence_2d": [0.5] * 14, "score": 0.7}
    file = tmp_path / "clip.json"
    file.write_text(json.dumps({"frames": [{"people": []}, {"people": [person, person]}]}), encoding="utf-8")
    detect, image = stages.from_file(file), np.zeros((4, 4, 3), np.uint8)
    assert [len(detect(Frame(k, k / 30, image))) for k in range(3)] == [0, 2, 0]
    file.write_text('{"frames": [{"people": [{"joints_2d": [[1]]}]}]}', encoding="utf-8")
    with pytest.raises(FormatError, match="not a file of 2D joints"):
        stages.from_file(file)


def test_tables_show_dashes_where_nothing_was_found():
    row = {
        "clip": "c",
        "2D joints": "d",
        "stage": "II",
        "compared": "a / b",
        "people": 0,
        "mpjpe_mm": None,
        "pa_mm": None,
    }
    lines = stages.pair_table([row]).splitlines()
    assert lines[4].count(" - ") == 5
    times = {"median": 1.0, "p95": 2.0, "least": 0.5}
    assert "1.00 (0.50)" in stages.time_table([{"people": 3, "fit": times}])
