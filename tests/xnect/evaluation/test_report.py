import json

import pytest

from xnect.errors import OutputError
from xnect.evaluation.report import markdown_table, provenance, provenance_line, write_json


def test_a_table_lines_up_and_says_what_is_missing():
    table = markdown_table(["name", "AP", "n"], [["ours", 41.26, 3], ["a|b", None, 12]])
    lines = table.splitlines()
    assert lines[0].split() == ["|", "name", "|", "AP", "|", "n", "|"]
    assert lines[1].endswith(": |")  # numbers stand to the right
    assert len({len(line) for line in lines}) == 1
    assert "41.3" in lines[2]
    assert "a\\|b" in lines[3]
    assert " - |" in lines[3]


def test_a_short_row_is_a_mistake():
    with pytest.raises(ValueError, match="2 cells in a table of 3"):
        markdown_table(["a", "b", "c"], [[1, 2]])


def test_json_holds_results_with_machine_date_and_commit(tmp_path):
    write_json(tmp_path / "r.json", {"ap": 0.5})
    data = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert data["ap"] == 0.5
    assert {"machine", "processor", "cores", "date", "commit"} <= data["measured"].keys()
    assert data["measured"]["commit"] in provenance_line(provenance()) or data["measured"]["commit"] == "unknown"


def test_json_refuses_nan_and_bad_places(tmp_path):
    with pytest.raises(OutputError, match="not a number"):
        write_json(tmp_path / "r.json", {"ap": float("nan")})
    with pytest.raises(OutputError, match="cannot write"):
        write_json(tmp_path / "no" / "r.json", {"ap": 1})
