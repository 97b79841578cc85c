"""The loader: what the writer wrote comes back, and nothing else gets in."""

import copy
import json
from importlib import resources

import jsonschema
import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xnect.errors import FormatError
from xnect.formats.recording import load, validate
from xnect.formats.writer import open_writers
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D


@pytest.fixture(scope="module")
def schema():
    text = (resources.files("xnect.formats") / "poses.schema.json").read_text(encoding="utf-8")
    found = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.fixture
def log(tmp_path, header, make_frames):
    """A recording of five frames; its path."""
    with open_writers(tmp_path, [], header) as writers:
        for frame, result in make_frames(5, ids=lambda i: (1, 2) if i != 2 else ()):
            writers.write(frame, result)
    return tmp_path / "poses.jsonl"


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_line_fits_the_schema(log, schema):
    lines = lines_of(log)
    assert len(lines) == 6
    for line in lines:
        schema.validate(line)
    assert lines[0]["joints_2d"] == list(JOINTS_2D)
    assert lines[0]["joints_3d"] == list(JOINTS_3D)
    assert lines[3]["people"] == []


def test_contract_of_the_lines(log):
    header, first, *_ = lines_of(log)
    assert header["format"] == "xnect-poses"
    assert header["version"] == 1
    assert header["units"] == {"length": "m", "angle": "rad", "time": "s"}
    assert header["fps"] == 25.0
    assert {"angles", "camera", "source", "program"} <= set(header)
    person = first["people"][0]
    keys = {"id", "score", "box", "joints_2d", "confidence_2d", "joints_3d", "inferred", "root", "angles"}
    assert keys <= set(person)
    assert set(person["root"]) == {"position", "rotation"}
    assert len(person["angles"]) == len(header["angles"])


def test_numbers_are_short(log):
    for token in log.read_text().split("\n", 1)[1].replace("[", ",").replace("]", ",").split(","):
        if "." in token and token.replace(".", "").lstrip("-").isdigit():
            assert len(token.partition(".")[2]) <= 5


def test_offsets_are_told_once(log):
    told = [["offsets" in p for p in line["people"]] for line in lines_of(log)[1:]]
    assert told == [[True, True], [False, False], [], [False, False], [False, False]]
    recording = load(log)
    assert np.ptp(recording.person(1).people.offsets, axis=0).max() == 0
    assert np.abs(recording.person(1).people.offsets).max() > 0.1


def test_person_and_table(log):
    recording = load(log)
    mine = recording.person(2)
    assert mine.ids == (2,)
    assert len(mine) == 5
    assert mine.row_frame.tolist() == [0, 1, 3, 4]
    with pytest.raises(KeyError, match="7"):
        recording.person(7)
    table = recording.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert len(table) == 4 * 2 * 22
    wrist = table[(table.frame == 3) & (table.person == 2) & (table.joint == "left_wrist")].iloc[0]
    people = mine.people
    assert [wrist.x, wrist.y, wrist.z] == pytest.approx(people.joints_3d[2, JOINTS_3D.index("left_wrist")], abs=1e-4)
    assert [wrist.x_px, wrist.y_px] == pytest.approx(people.joints_2d[2, JOINTS_2D.index("left_wrist")], abs=0.01)
    assert wrist.conf == pytest.approx(0.9)
    assert not wrist.inferred
    hand = table[(table.frame == 3) & (table.person == 2) & (table.joint == "left_hand")].iloc[0]
    assert hand.inferred
    assert hand.conf == 0
    assert np.isnan(hand.x_px)
    assert table.groupby("joint", observed=True).x.apply(lambda x: x.isna().all())["nose"]


def test_a_camera_that_changes_comes_back(tmp_path, header, make_frames, camera):
    import dataclasses

    from xnect.geometry import camera_from_fov

    other = camera_from_fov(camera.size_px, 40.0)
    with open_writers(tmp_path, [], header) as writers:
        for frame, result in make_frames(6):
            writers.write(frame, dataclasses.replace(result, camera=other) if frame.index >= 3 else result)
    found = [r.camera.matrix_px[0, 0] for r in load(tmp_path).results()]
    assert found == pytest.approx([camera.matrix_px[0, 0]] * 3 + [other.matrix_px[0, 0]] * 3)


def test_torn_last_line_is_left_out_and_counted(log):
    whole = log.read_bytes()
    for cut in (1, 17, 500):
        log.write_bytes(whole[:-cut])
        recording = load(log)
        assert (len(recording), recording.torn_lines) == ((5, 0) if cut == 1 else (4, 1))
    log.write_bytes(whole + b"\0" * 4000)
    assert (len(load(log)), load(log).torn_lines) == (5, 1)


def test_damage_before_the_end_is_refused_with_its_line(log):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:2], lines[2][:300] + b"\n", *lines[3:]]))
    with pytest.raises(FormatError, match="line 3"):
        load(log)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.update(joints_3d=[[0, 0, 0]] * 20), "joints_3d must be 21 x 3"),
        (lambda p: p["joints_2d"].__setitem__(3, [1, 2, 3]), "joints_2d must be 14 x 2"),
        (lambda p: p["joints_2d"][3].__setitem__(0, "1"), "joints_2d must be"),
        (lambda p: p["joints_2d"][3].__setitem__(0, None), "joints_2d must be"),
        (lambda p: p["joints_2d"][3].__setitem__(0, True), "joints_2d must be"),
        (lambda p: p["joints_3d"][3].__setitem__(0, 1e30), "out of range"),
        (lambda p: p["joints_3d"][3].__setitem__(0, 10**400), "out of range"),
        (lambda p: p["confidence_2d"].__setitem__(0, 1.5), "out of range"),
        (lambda p: p["confidence_2d"].__setitem__(0, -0.1), "out of range"),
        (lambda p: p["inferred"].__setitem__(0, 1), "inferred must be 21 true/false"),
        (lambda p: p["angles"].pop(), "angles must be"),
        (lambda p: p["root"].update(rotation=[1, 1, 0, 0]), "unit quaternion"),
        (lambda p: p["root"].pop("position"), "position is missing"),
        (lambda p: p.pop("box"), "box is missing"),
        (lambda p: p.update(id=-1), "id must be"),
        (lambda p: p.update(id=1.0), "id must be"),
        (lambda p: p.update(id=2), "same id twice"),
        (lambda p: p.update(score=float("nan")), "NaN"),
        (lambda p: p.update(score="high"), "score must"),
        (lambda p: p.update(state="asleep"), "state must"),
        (lambda p: p.update(root=[]), "root must"),
    ],
)
def test_bad_people_are_refused(log, change, message):
    lines = lines_of(log)
    change(lines[2]["people"][0])
    write_lines(log, lines)
    with pytest.raises(FormatError, match=message) as caught:
        load(log)
    assert "line 3" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "change", "message"),
    [
        (0, {"format": "other"}, "not a pose recording"),
        (0, {"version": 2}, "reads up to version 1"),
        (0, {"version": "1"}, "version must be"),
        (0, {"units": {"length": "mm"}}, "units must be"),
        (0, {"joints_3d": ["a"]}, "joints_3d must be"),
        (0, {"angles": "all"}, "angles must be"),
        (0, {"angles": ["a", "a"]}, "angles must be"),
        (0, {"fps": 0}, "rate 0"),
        (0, {"fps": None}, "fps must be"),
        (0, {"camera": {}}, "camera"),
        (0, {"camera": {"size_px": [3, 4], "matrix_px": [[0, 0, 0]] * 3}}, "focal"),
        (0, {"source": []}, "source must be"),
        (0, {"program": 3}, "program must be"),
        (0, {"skeleton": {"bones": ["a"], "parents": [0, 1]}}, "parents must be"),
        (2, {"frame": 0}, "must ascend"),
        (2, {"frame": "1"}, "frame must be"),
        (2, {"time": -1.0}, "must not fall"),
        (2, {"time": 1e300}, "time must be"),
        (2, {"people": {}}, "people must be"),
        (2, {"people": [[]]}, "person must be"),
        (2, {"camera": 5}, "camera"),
    ],
)
def test_bad_lines_are_refused(log, line, change, message):
    lines = lines_of(log)
    lines[line].update(change)
    write_lines(log, lines)
    with pytest.raises(FormatError, match=message):
        load(log)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"[]\n", b"3\n", b"\xff\xfe\n", b"{" * 3000, b'{"format": "xnect-poses"']
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "poses.jsonl"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"poses\.jsonl"):
        load(path)
    with pytest.raises(FormatError, match="cannot read"):
        load(tmp_path / "missing.jsonl")


def test_lists_nested_without_end(log):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + b'{"frame":0,"time":0,"people":' + b"[" * 100_000 + b"\n" + lines[1])
    with pytest.raises(FormatError, match="line 2"):
        load(log)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def outcome(path):
    """The recording, or the one line of the error."""
    try:
        return load(path)
    except FormatError as error:
        message = str(error)
    assert "\n" not in message
    return message


def _paths(value, prefix=()):
    yield prefix
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*prefix, key))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_loads_or_gives_one_clear_line(log, schema, data):
    lines = copy.deepcopy(_kept(log))
    number = data.draw(st.integers(0, 2))
    path = data.draw(st.sampled_from(list(_paths(lines[number]))[1:]))
    place = lines[number]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = data.draw(_JSON)
    target = log.with_name("changed.jsonl")
    write_lines(target, lines)
    recording = outcome(target)
    if isinstance(recording, str):
        assert len(recording) < 400
        return
    assert recording.people.finite().all()
    json.dumps(lines[number], allow_nan=False)
    schema.validate(lines[number])


def _kept(log, cache={}):  # noqa: B006
    if "lines" not in cache:
        cache["lines"] = lines_of(log)
    return cache["lines"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bytes_load_or_give_one_clear_line(log, data):
    content = bytearray(log.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    target = log.with_name("changed.jsonl")
    target.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    recording = outcome(target)
    if isinstance(recording, str):
        return
    assert recording.people.finite().all()


def test_validate_tells_every_bad_line(log, capsys):
    from xnect.apps.main import main

    assert validate(log.parent) == validate(log) or validate(log).problems == ()
    assert (validate(log).frames, validate(log).rows) == (5, 8)
    assert main(["validate", str(log)]) == 0
    assert "good, 5 frames, 8 people" in capsys.readouterr().out
    lines = log.read_text().splitlines()
    wrong = json.loads(lines[4])
    wrong["people"][0]["root"]["rotation"] = [2, 0, 0, 0]
    log.write_text("\n".join([*lines[:2], "{", lines[3], json.dumps(wrong), lines[5][:100]]) + "\n")
    found = validate(log)
    assert [p.split(":")[0].rsplit(" ", 1)[1] for p in found.problems] == ["3", "5", "6"]
    assert found.frames == 2
    assert validate(log, most=1).more == 2
    assert main(["validate", str(log)]) == 1
    assert "line 5: " in capsys.readouterr().err
    for text, what in (("", "is empty"), ("{}\n{}\n", "line 1: not a pose recording")):
        log.write_text(text)
        assert [what in p for p in validate(log).problems] == [True]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 3000), place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_validate_and_load_agree_on_damage(log, cut, place, byte):
    """Whatever is broken: no crash, and what is called good can be loaded."""
    whole = log.read_bytes()
    data = bytearray(whole[: max(len(whole) - cut, 1)])
    data[place % len(data)] = byte
    broken = log.with_name("broken.jsonl")
    broken.write_bytes(bytes(data))
    check = validate(broken)
    try:
        recording = load(broken)
    except FormatError:
        assert check.problems
    else:
        assert len(recording) == check.frames
        assert bool(check.problems) == bool(recording.torn_lines)
