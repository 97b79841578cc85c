import argparse

import pytest

from benchmarks.accuracy import main, size, table
from benchmarks.common import PEERS, Times
from xnect.evaluation.coco import CocoFigures


def test_size_is_read_and_refused():
    assert size("512x320") == (512, 320)
    with pytest.raises(argparse.ArgumentTypeError):
        size("512")


def test_the_table_has_us_first_and_every_peer_below():
    figures = CocoFigures(0.123, 0.456, 0.1, 0.05, 0.3, 0.2, 220, 504)
    lines = table("ours", figures, Times(12.0, 15.0, 10.0), {"ap": (0.1, 0.15)}).splitlines()
    assert "12.3" in lines[2]
    assert "45.6" in lines[2]
    assert sum(p.name in line for p in PEERS for line in lines[3:]) == len(PEERS)
    assert "504 people" in lines[-2]
    assert "AP 10.0 to 15.0" in lines[-1]


def test_missing_data_end_with_one_line_and_1(tmp_path, capsys):
    assert main(["--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("accuracy: cannot read")
