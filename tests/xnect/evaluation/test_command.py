"""``xnect evaluate`` from the files to table, JSON and PNG."""

import json

import cv2
import numpy as np
import pytest

from xnect.apps.main import main


@pytest.fixture
def log(tmp_path, monkeypatch, make, write, body):
    monkeypatch.chdir(tmp_path)
    rows = [(f, p, body + np.array([p, 0, 4 + 0.01 * f])) for f in range(12) for p in (1, 2)]
    boxes = [[100 * p, 10, 100 * p + 50, 90] for _, p, _ in rows]
    write(tmp_path / "walk" / "poses.jsonl", make(rows, 12, boxes=boxes))
    return tmp_path / "walk"


def test_quality_as_table_json_and_png(log, capsys):
    assert main(["evaluate", "quality", "walk", "walk/poses.jsonl", "--json", "q.json", "--plots", "plots"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| recording")
    assert lines[2].startswith("| walk")
    figures = json.loads((log.parent / "q.json").read_text())
    assert figures["protocol"] == "quality"
    assert figures["recordings"]["walk"]["ids"] == 2
    assert "commit" in figures["measured"]
    picture = cv2.imread(str(log.parent / "plots" / "walk.png"))
    assert picture.shape[1] > 500
    assert len(np.unique(picture)) > 10
    assert main(["evaluate", "quality", "walk", "--json", "q.json"]) == 1
    assert "exists" in capsys.readouterr().err
    assert main(["evaluate", "quality", "walk", "--json", "q.json", "--plots", "plots", "--overwrite"]) == 0


def test_pairs_and_tracks(log, capsys):
    pytest.importorskip("motmetrics")
    poses = np.random.default_rng(0).normal(0, 0.3, (5, 17, 3))
    np.savez("t.npz", joints_3d=poses)
    assert main(["evaluate", "h36m", "t.npz", "t.npz", "--root", "8,11", "--plots", "p"]) == 0
    assert "root: joint 8,11" in capsys.readouterr().out
    assert {p.name for p in (log.parent / "p").iterdir()} == {"pck.png", "joints.png"}
    assert main(["evaluate", "tracking", "walk", "walk", "--json", "t.json"]) == 0
    assert json.loads((log.parent / "t.json").read_text())["idf1"] == 1


def test_coco_results_of_another_program(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    points = np.concatenate([np.random.default_rng(0).uniform(20, 90, (13, 2)), np.full((13, 1), 2.0)], 1).ravel()
    person = {"id": 1, "image_id": 5, "category_id": 1, "area": 5000.0, "bbox": [20, 20, 70, 70], "iscrowd": 0}
    truth = {"images": [{"id": 5, "file_name": "a.png", "width": 100, "height": 100}]}
    truth |= {"annotations": [{**person, "keypoints": points.tolist()}], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "l.json").write_text(json.dumps(truth))
    (tmp_path / "r.json").write_text(json.dumps([{"image_id": 5, "keypoints": points.tolist(), "score": 0.7}]))
    assert main(["evaluate", "coco", "l.json", ".", "--results", "r.json"]) == 0
    text = capsys.readouterr().out
    assert "100.0" in text
    assert "CC BY 4.0" in text
    (tmp_path / "r.json").write_text("[{}]")
    assert main(["evaluate", "coco", "l.json", ".", "--results", "r.json"]) == 1


def test_without_optional_packages_one_line_says_what_to_install(log, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["evaluate", "quality", "walk", "--plots", "p"]) == 1
    assert "pip install 'xnect[evaluate]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "motmetrics", None)
    assert main(["evaluate", "tracking", "walk", "walk"]) == 1
    assert "motmetrics is needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["quality", "nowhere"], 1, "cannot read"),
        (["mupots", ".", "."], 1, "no sequence has both"),
        (["tracking", "a.txt", "b.txt", "--overlap", "2"], 2, "above 0"),
        (["quality", "walk", "--tilt", "200"], 2, "degrees expected"),
        (["quality", "walk", "--json", "no/such/q.json"], 1, "no such folder"),
    ],
)
def test_bad_input_is_one_line(log, words, code, told, capsys):
    assert main(["evaluate", *words]) == code
    text = capsys.readouterr().err
    assert told in text
    assert text.count("\n") == 1
