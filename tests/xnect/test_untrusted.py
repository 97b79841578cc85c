import zipfile

import numpy as np
import pytest

from xnect.errors import ConfigError
from xnect.untrusted import open_zip, parse_json, read_member, read_toml


def packed(path, name, data, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(name, data)
    return path


def test_sound_archives_are_read(tmp_path):
    with open_zip(packed(tmp_path / "a.zip", "a", b"hello" * 100)) as file:
        assert read_member(file, "a") == b"hello" * 100
        with pytest.raises(KeyError):
            read_member(file, "b")


def test_bombs_are_told_by_their_size_before_they_are_unpacked(tmp_path):
    bomb, small = packed(tmp_path / "a.zip", "a", bytes(32 << 20)), packed(tmp_path / "b.zip", "a", b"abc" * 100)
    with open_zip(bomb) as file, pytest.raises(ValueError, match="claims to hold 32 MB"):
        read_member(file, "a")
    with open_zip(small) as file, pytest.raises(ValueError, match="claims to hold"):
        read_member(file, "a", most=10)


def test_damage_inside_is_told(tmp_path):
    path = packed(tmp_path / "a.zip", "a", b"hello" * 100, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    with open_zip(path) as file, pytest.raises(ValueError, match="damaged"):
        read_member(file, "a")


def test_no_archive_is_told(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK" + bytes(90))
    with pytest.raises(ValueError, match="no readable zip"):
        open_zip(tmp_path / "a.zip")


def test_deep_json_is_a_value_error():
    assert parse_json(b"[1, {}]") == [1, {}]
    with pytest.raises(ValueError, match="deeply"):
        parse_json("[" * 200_000)


def test_toml_with_windows_line_ends_and_without_sense(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"a = 1\r\n[b]\r\nc = 2\r\n")
    assert read_toml(tmp_path / "a.toml") == {"a": 1, "b": {"c": 2}}
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="TOML"):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(ConfigError):
        read_toml("no\0file")


def test_a_network_whose_numbers_are_none_is_refused():
    from xnect.errors import WeightsError
    from xnect.stages.executors.base import try_out

    maps = np.zeros((1, 40, 8, 12), np.float32)
    try_out(lambda picture: (maps, None), (96, 64))
    maps[0, 3, 2, 1] = np.nan
    with pytest.raises(WeightsError, match="not finite"):
        try_out(lambda picture: (maps, None), (96, 64))
