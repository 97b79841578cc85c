"""The table of controls, and settings in and out of files."""

from __future__ import annotations

import os
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnect.config import PipelineConfig, from_dict, to_dict
from xnect.errors import ConfigError, OutputError
from xnect.gui.settings import CONTROLS, get, load, put, save, to_toml


def test_every_control_is_a_setting_with_a_tip():
    for control in CONTROLS:
        get(PipelineConfig(), control.key)
        assert len(control.tip) > 20
        if control.kind in ("number", "integer"):
            value = get(PipelineConfig(), control.key)
            if value is not None:
                assert control.low <= value * control.scale <= control.high
        if control.kind == "choice":
            assert get(PipelineConfig(), control.key) in [v for v, _ in control.choices]


@pytest.mark.parametrize("control", [c for c in CONTROLS if c.kind in ("number", "integer")], ids=lambda c: c.key)
def test_the_ends_of_every_range_are_taken(control):
    for shown in (control.low, control.high):
        value = shown / control.scale
        config = put(PipelineConfig(), control.key, int(value) if control.kind == "integer" else value)
        assert get(config, control.key) == pytest.approx(value)


def test_impossible_values_are_refused():
    with pytest.raises(ConfigError):
        put(PipelineConfig(), "detection.peak_threshold", 2.0)


def test_settings_survive_the_file(tmp_path):
    config = put(PipelineConfig(), "camera.fov_deg", 71.5)
    config = put(config, "network.input_size", (256, 160))
    config = put(config, "network.weights", 'C:\\net "best"\\w.safetensors')
    config = put(config, "filters.enabled", False)
    path = tmp_path / "mine.toml"
    save(path, config)
    assert load(path) == config
    plain = tmp_path / "plain.toml"
    plain.write_text("[detection]\nmax_people = 4\n")
    assert load(plain).detection.max_people == 4
    assert not list(tmp_path.glob("*.tmp"))


def test_the_command_line_reads_what_the_window_wrote(tmp_path):
    config_file = tmp_path / "mine.toml"
    save(config_file, put(PipelineConfig(), "detection.max_people", 3))
    from xnect.apps.settings import gather

    assert gather({}, str(config_file), {}).config.pipeline.detection.max_people == 3


@pytest.mark.parametrize(
    "text", ["[detection]\nmax_person = 3\n", "x = 1\n", "[pipeline]\nfoo = 1\n", "a = ", "pipeline = 3\n"]
)
def test_what_is_no_settings_file_is_refused(tmp_path, text):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load(path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(OutputError):
        save(tmp_path / "no" / "such" / "x.toml", PipelineConfig())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    save(path, PipelineConfig())
    old = path.read_text()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError):
        save(path, put(PipelineConfig(), "detection.max_people", 2))
    assert path.read_text() == old
    assert [p.name for p in tmp_path.iterdir()] == ["mine.toml"]


@given(
    st.text(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.lists(st.integers(-9, 9), max_size=3)
)
def test_toml_reads_back(text, number, flag, numbers):
    tables = {"a": number, "t": {"b": text, "c": flag, "u": {"d": numbers}}}
    assert tomllib.loads(to_toml(tables)) == tables


def test_the_whole_default_configuration_reads_back():
    tables = tomllib.loads(to_toml(to_dict(PipelineConfig())))
    assert from_dict(PipelineConfig, tables) == PipelineConfig()
    assert set(tables["detection"]) == set(to_dict(PipelineConfig())["detection"])
