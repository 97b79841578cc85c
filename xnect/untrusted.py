"""Files that may be damaged or hostile (TOML, JSON, archives), read with limits, so that none can hang or break the program."""

from __future__ import annotations

import json
import struct
import tomllib
import zipfile
import zlib
from pathlib import Path
from typing import Any

from xnect.errors import ConfigError

#: A settings file larger than this [bytes], or with tables deeper than this, is something else.
_MOST_TOML, _MOST_DEPTH = 4 << 20, 32
#: A file in an archive may be this large unpacked [bytes]; beyond the second size not more than so many times its packed size.
MOST_UNPACKED = 1 << 30
_SUSPECT, _MOST_RATIO = 16 << 20, 200


def parse_json(text: str | bytes) -> Any:
    """JSON as values (NaN and infinity are let through); raises ValueError for whatever is wrong with it."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists nested too deeply") from None


def open_zip(path: Path) -> zipfile.ZipFile:
    """An archive; raises ValueError where it is none, OSError where it cannot be read."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error, NotImplementedError, EOFError, IndexError) as error:
        raise ValueError(f"{path.name} is no readable zip file: {error}") from error


def read_member(archive: zipfile.ZipFile, name: str, most: int = MOST_UNPACKED) -> bytes:
    """A file of an archive in memory.

    Args:
        archive: The archive.
        name: Name of the file in it.
        most: Largest size that is taken [bytes].

    Raises:
        KeyError: There is none of this name.
        ValueError: It is too large, packed suspiciously well, locked, or damaged.
    """
    info = archive.getinfo(name)
    bomb = info.file_size > _SUSPECT and info.file_size > _MOST_RATIO * max(info.compress_size, 1)
    if bomb or info.file_size > most:
        raise ValueError(f"{name[:80]} claims to hold {info.file_size >> 20} MB")
    try:
        return archive.read(info)
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        struct.error,
        OSError,
    ) as error:
        raise ValueError(f"{name[:80]} is damaged or locked: {error}") from error


def read_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file as nested dicts; raises ConfigError."""
    try:
        with open(path, "rb") as file:
            text = file.read(_MOST_TOML + 1)
        if len(text) > _MOST_TOML:
            raise ConfigError(f"{path} is larger than {_MOST_TOML >> 20} MB: no settings file")
        data = tomllib.loads(text.decode("utf-8").replace("\r\n", "\n"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: nested too deeply") from None
    except ValueError as error:  # no TOML, no UTF-8, a number of thousands of digits, a path with a zero byte
        raise ConfigError(f"{path} is not valid TOML: {' '.join(str(error).split())[:200]}") from error
    if _depth(data) > _MOST_DEPTH:
        raise ConfigError(f"{path} is not valid TOML: nested too deeply")
    return data


def _depth(data: Any) -> int:
    """How many tables and lists lie within one another, counted no further than is allowed."""
    level, depth = [data], 0
    while level and depth <= _MOST_DEPTH:
        inside = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level, depth = [v for values in inside for v in values], depth + 1
    return depth
