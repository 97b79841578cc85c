"""Identity against the truth: known answers through motmetrics, and our own count beside it."""

import numpy as np
import pytest

from xnect.errors import FormatError
from xnect.evaluation.metrics import identity
from xnect.evaluation.tracks import Boxes, judge_tracks, overlap, read_boxes

pytest.importorskip("motmetrics")


def walk(ids, frames=20, missing=()):
    """Two people side by side; ids[k](frame) names them."""
    rows = [
        (f, ids[k](f), 100.0 * k + f, 50.0, 100.0 * k + f + 40, 150.0)
        for f in range(1, frames + 1)
        for k in range(2)
        if (f, k) not in missing
    ]
    table = np.array(rows)
    return Boxes(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:])


def test_perfect_tracks():
    truth = walk([lambda f: 1, lambda f: 2])
    found = judge_tracks(truth, walk([lambda f: 7, lambda f: 9]))
    assert (found["idf1"], found["mota"], found["switches"], found["missed"], found["false_alarms"]) == (1, 1, 0, 0, 0)
    assert found["boxes"] == 40


def test_a_swap_half_way():
    truth = walk([lambda f: 1, lambda f: 2])
    found = judge_tracks(truth, walk([lambda f: 7 if f <= 10 else 9, lambda f: 9 if f <= 10 else 7]))
    assert found["switches"] == 2
    assert found["idf1"] == pytest.approx(0.5)
    assert found["mota"] == pytest.approx(1 - 2 / 40)


def test_missed_people_and_a_new_id_agree_with_our_own_count():
    gone = {(f, 0) for f in range(8, 12)}
    truth = walk([lambda f: 1, lambda f: 2])
    guess = walk([lambda f: 5 if f < 8 else 6, lambda f: 8], missing=gone)
    found = judge_tracks(truth, guess)
    named = {(f, 1): 5 if f < 8 else (-1 if f < 12 else 6) for f in range(1, 21)} | {(f, 2): 8 for f in range(1, 21)}
    keys = sorted(named)
    ours = identity(*(np.array(v) for v in ([k[0] for k in keys], [k[1] for k in keys], [named[k] for k in keys])))
    assert (found["switches"], found["fragments"], found["missed"]) == (ours.switches, ours.fragments, 4) == (1, 1, 4)
    assert found["idf1"] == pytest.approx(ours.idf1)
    assert found["mota"] == pytest.approx(1 - (4 + 1) / 40)


def test_boxes_elsewhere_are_false_alarms():
    truth = walk([lambda f: 1, lambda f: 2])
    far = Boxes(truth.frame, truth.ids, truth.box_px + 500)
    found = judge_tracks(truth, far)
    assert (found["false_alarms"], found["missed"], found["idf1"]) == (40, 40, 0)
    assert found["mota"] == pytest.approx(-1)


def test_overlap_is_intersection_over_union():
    a = np.array([[0.0, 0, 10, 10]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [3, 3, 3, 3]])
    assert np.allclose(overlap(a, b), [[1, 50 / 150, 0, 0]])


def test_files_of_both_kinds(tmp_path, make, write, body):
    (tmp_path / "gt.txt").write_text("1,4,10,20,30,40,1,1,1\n1,5,10,20,30,40,0,1,1\n2,4,10,20,30,40,1,7,1\n")
    boxes = read_boxes(tmp_path / "gt.txt", truth=True)
    assert boxes.ids.tolist() == [4]  # one is to be ignored, one is no person
    assert boxes.box_px.tolist() == [[10, 20, 40, 60]]
    assert len(read_boxes(tmp_path / "gt.txt").ids) == 3
    log = write(tmp_path / "a" / "poses.jsonl", make([(0, 3, body)], 1, boxes=[[10, 20, 40, 60]]))
    ours = read_boxes(log.parent)
    assert (ours.frame.tolist(), ours.ids.tolist(), ours.box_px.tolist()) == ([1], [3], [[10, 20, 40, 60]])
    (tmp_path / "empty.txt").write_text("")
    assert judge_tracks(boxes, read_boxes(tmp_path / "empty.txt"))["missed"] == 1
    for text in ("a,b\n", "1,2,3\n", "0,1,1,1,1,1\n", "1,1,nan,1,1,1\n"):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(FormatError):
            read_boxes(tmp_path / "bad.txt")
    with pytest.raises(FormatError, match="nobody"):
        judge_tracks(read_boxes(tmp_path / "empty.txt"), boxes)
