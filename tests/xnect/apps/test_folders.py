"""Output folders: names that every system takes, and nothing lost unasked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnect.apps.folders import fresh, prepare, refuse_results, results_in, safe_name, sub_folders
from xnect.errors import OutputError


@given(st.text(max_size=40))
def test_safe_names(text):
    name = safe_name(text)
    assert name
    assert len(name.encode()) <= 130
    assert not set(name) & set('/\\:*?"<>|\0')
    assert name not in (".", "..")
    assert safe_name(name) == name or name.startswith("_")


@pytest.mark.parametrize(
    ("text", "name"),
    [("../../etc", "_.._etc"), ("CON", "_CON"), ("日本 clip.v2", "日本 clip.v2"), ("ü" * 99, "ü" * 60)],
)
def test_some_names(text, name):
    assert safe_name(text) == name


@given(st.lists(st.sampled_from(["a", "A", "b", "a-2", ""]), max_size=6))
def test_sub_folders_differ_on_every_system(names):
    made = sub_folders(names)
    assert len({name.casefold() for name in made}) == len(names)


def fill(folder):
    (folder / "bvh").mkdir(parents=True)
    for name in ("poses.jsonl", "overlay.mkv", "bvh/person_1.bvh", "mine.txt"):
        (folder / name).write_text("x")


def test_results_are_not_touched_unasked(tmp_path):
    fill(tmp_path / "run")
    assert {p.name for p in results_in(tmp_path / "run")} == {"poses.jsonl", "overlay.mkv", "person_1.bvh"}
    with pytest.raises(OutputError, match="--overwrite replaces it"):
        refuse_results(tmp_path / "run")
    refuse_results(tmp_path / "new")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        refuse_results(tmp_path / "file")


def test_what_is_not_ours_stays(tmp_path):
    fill(tmp_path / "run")
    prepare(tmp_path / "run")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_a_fresh_folder_each_time(tmp_path):
    assert fresh("walk", tmp_path).name == "walk"
    fill(tmp_path / "walk")
    assert fresh("walk", tmp_path).name == "walk-2"
