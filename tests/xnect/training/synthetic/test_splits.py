import pytest

from xnect.errors import ConfigError
from xnect.training.synthetic.splits import check_split, held_apart, of_split


def test_a_hash_split_is_disjoint_and_whole():
    names = [f"thing {k}" for k in range(200)]
    parts = [of_split(names, names, s) for s in ("train", "val", "test")]
    assert sorted(n for part in parts for n in part) == sorted(names)
    assert all(len(p) > 5 for p in parts)


def test_large_groups_are_held_apart_and_small_ones_shared():
    rows = [{"id": f"a{k}", "kind": "many"} for k in range(8)] + [{"id": "only", "kind": "few"}]
    train, val = (held_apart(rows, "id", ("kind",), s) for s in ("train", "val"))
    assert {r["id"] for r in train} & {r["id"] for r in val} == {"only"}
    assert len(train) + len(val) == len(rows) + 1
    assert held_apart(rows, "id", ("kind",), "test") == val


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match="train, val, test"):
        check_split("dev")
