"""Settings from all their places, the nearest first: command line, environment, --config, the user's file, defaults."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xnect.apps.options import BY_NAME, OPTIONS
from xnect.config import PipelineConfig, RunConfig, from_dict
from xnect.errors import ConfigError
from xnect.untrusted import read_toml

#: Environment variable -> option. XNECT_WEIGHTS is named here so that --print-config shows it.
ENVIRONMENT = {
    "XNECT_DEVICE": "device",
    "XNECT_WEIGHTS": "weights",
    "XNECT_LOG_LEVEL": "log-level",
    "XNECT_STREAM_TOKEN": "stream-token",
}
#: A nearer place that sets one of a group takes the others of the group away.
_GROUPS = (
    ("source.camera", "source.video", "source.image_dir"),
    ("pipeline.camera.calibration", "pipeline.camera.fx_px", "pipeline.camera.fov_deg"),
    ("output.overwrite", "output.resume"),
)
_PIPELINE_TABLES = frozenset(f.name for f in dataclasses.fields(PipelineConfig))


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What holds, and where each value comes from.

    Attributes:
        config: The settings.
        origins: Path of a value -> its place; paths that are not in it hold their default.
    """

    config: RunConfig
    origins: dict[str, str]


def user_file() -> Path:
    """The user's own settings file; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("xnect", appauthor=False)) / "config.toml"


def gather(
    given: Mapping[str, Any], config_file: str | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """Join all places.

    Args:
        given: Option name (with ``-``) -> value, from the command line.
        config_file: What ``--config`` names.
        environment: Environment variables.

    Raises:
        ConfigError: An unknown setting, a value out of range, or options that exclude one another.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    own = user_file()
    if own.is_file():
        _lay(values, origins, from_toml(own), str(own))
    config_file = config_file or environment.get("XNECT_CONFIG") or None
    if config_file is not None:
        _lay(values, origins, from_toml(Path(config_file)), str(config_file))
    for variable, name in ENVIRONMENT.items():
        if environment.get(variable):
            _lay(values, origins, {BY_NAME[name].path: BY_NAME[name].read(environment[variable])}, f"${variable}")
    line = {BY_NAME[name].path: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    _check_exclusive(given)
    _lay(values, origins, line, "command line")
    return Settings(from_dict(RunConfig, _nested(values)), origins)


def _check_exclusive(given: Mapping[str, Any]) -> None:
    for names in (("camera", "video", "image-dir"), ("overwrite", "resume")):
        clash = [f"--{name}" for name in names if given.get(name)]
        if len(clash) > 1:
            raise ConfigError(f"{' and '.join(clash)} exclude one another")


def _lay(values: dict[str, Any], origins: dict[str, str], new: Mapping[str, Any], origin: str) -> None:
    for group in _GROUPS:
        if any(path in new for path in group):
            for path in group:
                values.pop(path, None)
                origins.pop(path, None)
    values.update(new)
    origins.update(dict.fromkeys(new, origin))


def from_toml(path: Path) -> dict[str, Any]:
    """A settings file as path -> value.

    At the top stand option names as on the command line (``device = "cpu"``); tables reach everything
    (``[tracking]``, ``[pipeline.network]``), as ``--print-config`` shows them.
    """
    out: dict[str, Any] = {}
    for key, value in read_toml(path).items():
        name = key.replace("_", "-")
        if isinstance(value, dict):
            prefix = f"pipeline.{key}" if key in _PIPELINE_TABLES else key
            _flatten(value, prefix, out)
        elif name in BY_NAME:
            out[BY_NAME[name].path] = BY_NAME[name].read(value)
        elif name.startswith("no-") and name[3:] in BY_NAME and BY_NAME[name[3:]].parse is None:
            out[BY_NAME[name[3:]].path] = not BY_NAME[name[3:]].read(value)
        else:
            _unknown(key, path)
    return out


def _unknown(key: str, path: Path) -> None:
    import difflib

    near = difflib.get_close_matches(key.replace("_", "-"), [o.name for o in OPTIONS], n=1)
    raise ConfigError(f"{path}: unknown setting {key}" + (f"; did you mean {near[0]}?" if near else ""))


def _flatten(table: Mapping[str, Any], prefix: str, out: dict[str, Any]) -> None:
    for key, value in table.items():
        path = f"{prefix}.{key.replace('-', '_')}"
        if isinstance(value, dict):
            _flatten(value, path, out)
        else:
            out[path] = value


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for path, value in values.items():
        *tables, last = path.split(".")
        here = out
        for table in tables:
            here = here.setdefault(table, {})
            if not isinstance(here, dict):
                raise ConfigError(f"{table} must be a table, got {str(here)[:60]!r}")
        here[last] = value
    return out


def show(settings: Settings) -> str:
    """All settings as TOML that ``--config`` takes again, each with the place it comes from."""
    lines: list[str] = []
    _show_table(settings.config, "", settings.origins, lines)
    return "\n".join(lines).strip() + "\n"


def _show_table(config: Any, prefix: str, origins: Mapping[str, str], lines: list[str]) -> None:
    tables = []
    for f in dataclasses.fields(config):
        value, path = getattr(config, f.name), f"{prefix}{f.name}"
        if dataclasses.is_dataclass(value):
            tables.append((value, path))
            continue
        text = f"# {f.name} is not set" if value is None else f"{f.name} = {_toml(value)}"
        lines.append(text if value is None else f"{text:<44}# {origins.get(path, 'default')}")
    for value, path in tables:
        if not all(dataclasses.is_dataclass(getattr(value, f.name)) for f in dataclasses.fields(value)):
            lines.extend(["", f"[{path}]"])
        _show_table(value, path + ".", origins, lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)
