"""The controls panel as a table, and its settings in and out of TOML files that the command line takes too (no Qt)."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnect.config import PipelineConfig, from_dict, to_dict
from xnect.errors import ConfigError, OutputError
from xnect.untrusted import read_toml


@dataclass(frozen=True)
class Control:
    """One setting of the panel.

    Attributes:
        key: Path in ``PipelineConfig``, such as ``detection.peak_threshold``.
        group: Box that it stands in.
        label: Its name for users.
        tip: What it does, in the user's terms.
        kind: "choice", "number", "integer", "switch" or "file".
        low, high, step: Range and step of numbers, as they are shown.
        decimals: Digits after the point.
        unit: Unit as shown.
        scale: Shown value = setting times this.
        choices: Values of a choice and their names.
        none_text: Where the setting may be absent: what stands there then.
    """

    key: str
    group: str
    label: str
    tip: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    decimals: int = 2
    unit: str = ""
    scale: float = 1.0
    choices: tuple[tuple[Any, str], ...] = ()
    none_text: str = ""


_SIZES = tuple(
    (size, f"{size[0]} x {size[1]}{note}")
    for size, note in (
        ((256, 160), " (fastest)"),
        ((320, 192), ""),
        ((384, 240), ""),
        ((448, 288), ""),
        ((512, 320), " (standard)"),
        ((640, 400), ""),
        ((768, 480), ""),
        ((1024, 640), " (finest)"),
    )
)

CONTROLS: tuple[Control, ...] = (
    Control("network.device", "Network", "Device", "What computes: the processor or a graphics card. Automatic takes the"
            " fastest that is there.", "choice",
            choices=(("auto", "Automatic"), ("cpu", "Processor (CPU)"), ("cuda", "Graphics card (CUDA)"))),
    Control("network.precision", "Network", "Precision", "Lower precision is faster and finds almost the same. Automatic"
            " takes the fastest sound one.", "choice",
            choices=(("auto", "Automatic"), ("fp32", "fp32"), ("bf16", "bf16"), ("fp16", "fp16"), ("int8", "int8"))),
    Control("network.input_size", "Network", "Input size", "Larger finds people who are far away, smaller is faster. The"
            " time per frame grows with the area.", "choice", choices=_SIZES),
    Control("network.looks", "Network", "Looks", "How often each picture is looked at, mirrored and at other sizes; the"
            " mean counts. One is fastest, four are most accurate, for files above all.", "choice",
            choices=((1, "One (fastest)"), (2, "Two (standard)"), (4, "Four (most accurate)"))),
    Control("network.weights", "Network", "Weights", "A trained network of your own; empty = the one that ships.", "file",
            none_text="shipped"),
    Control("detection.peak_threshold", "Finding people", "Joint threshold", "How clear a joint must be. Lower finds more"
            " joints and more mistakes. Keys [ and ].", "number", 0.02, 0.8, 0.01),
    Control("detection.limb_threshold", "Finding people", "Limb threshold", "How sure the link between two joints must be."
            " Raise it where limbs jump to a neighbour.", "number", 0.0, 0.8, 0.01),
    Control("detection.min_joints", "Finding people", "Least joints", "People with fewer visible joints are left out."
            " Raise it against ghosts.", "integer", 1, 14, 1, 0),
    Control("detection.min_score", "Finding people", "Least score", "People who are less sure than this are left out.",
            "number", 0.0, 0.9, 0.01),
    Control("detection.max_people", "Finding people", "Most people", "Only the surest so many are followed.", "integer",
            1, 50, 1, 0),
    Control("tracking.keep_s", "Finding people", "Remember for", "Who is hidden for so long keeps the same id on coming"
            " back.", "number", 0.1, 10.0, 0.1, 1, " s"),
    Control("filters.enabled", "Smoothing", "Smooth the motion", "Takes the jitter out; off shows the raw estimate.",
            "switch"),
    Control("filters.min_cutoff_2d", "Smoothing", "Picture: calm", "Lower = calmer when someone stands still (1-euro least"
            " cut-off of the joints in the picture).", "number", 0.1, 30.0, 0.1, 1, " Hz"),
    Control("filters.beta_2d", "Smoothing", "Picture: quickness", "Higher = less lag in fast motion (1-euro beta of the"
            " joints in the picture).", "number", 0.0, 200.0, 0.5, 1),
    Control("filters.min_cutoff_3d", "Smoothing", "3D: calm", "Lower = calmer when someone stands still (1-euro least"
            " cut-off in 3D).", "number", 0.05, 20.0, 0.05, 2, " Hz"),
    Control("filters.beta_3d", "Smoothing", "3D: quickness", "Higher = less lag in fast motion (1-euro beta in 3D).",
            "number", 0.0, 30.0, 0.1, 2),
    Control("fit.height_m", "Scene", "Body height", "How tall the people are; sets the scale of everything in metres."
            " Unknown = an average adult's.", "number", 40, 260, 1, 0, " cm", 100, none_text="unknown"),
    Control("fit.iterations", "Scene", "Fit effort", "Rounds of fitting the skeleton in each frame; more is steadier and"
            " slower.", "integer", 1, 20, 1, 0),
    Control("camera.fov_deg", "Scene", "Field of view", "How wide the camera sees along the longer side of the picture."
            " Wrong values make people too near or too far. Unknown = 60 degrees are taken.", "number", 10, 150, 0.5, 1,
            "°", none_text="unknown"),
    Control("camera.calibration", "Scene", "Calibration", "A file with the camera's measured lens (JSON, TOML or OpenCV"
            " YAML); wins over the field of view.", "file", none_text="none"),
)  # fmt: skip


def get(config: PipelineConfig, key: str) -> Any:
    """The setting at a path."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def put(config: PipelineConfig, key: str, value: Any) -> PipelineConfig:
    """A copy with one setting changed; raises ConfigError where it is out of range."""
    section, name = key.split(".")
    part = dataclasses.replace(getattr(config, section), **{name: value})
    return dataclasses.replace(config, **{section: part})


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    return repr(value)


def to_toml(tables: dict[str, Any], prefix: str = "") -> str:
    """Nested dicts of plain values as TOML."""
    lines = [f"{k} = {_toml_value(v)}" for k, v in tables.items() if not isinstance(v, dict)]
    text = "\n".join(lines) + ("\n" if lines else "")
    for name, table in tables.items():
        if isinstance(table, dict):
            text += f"\n[{prefix}{name}]\n" if any(not isinstance(v, dict) for v in table.values()) else ""
            text += to_toml(table, f"{prefix}{name}.")
    return text.lstrip("\n")


def save(path: Path, config: PipelineConfig) -> None:
    """Write the settings so that ``--config`` reads them; the old file stays whole if writing fails.

    Raises:
        OutputError: The file cannot be written.
    """
    text = "# Settings of xnect; use with: xnect run --config FILE\n" + to_toml({"pipeline": to_dict(config)})
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def load(path: Path) -> PipelineConfig:
    """Settings from a TOML file; both ``[pipeline.detection]`` and plain ``[detection]`` tables are taken.

    Raises:
        ConfigError: The file cannot be read, or has an unknown or impossible setting.
    """
    data = read_toml(path)
    sections = {f.name for f in dataclasses.fields(PipelineConfig)}
    if "pipeline" in data:
        inner = data["pipeline"]
        if not isinstance(inner, dict):
            raise ConfigError(f"{path}: pipeline must be a table")
        config: PipelineConfig = from_dict(PipelineConfig, inner, "pipeline.")
    else:
        config = from_dict(PipelineConfig, {k: v for k, v in data.items() if k in sections})
        if not data.keys() & sections:
            raise ConfigError(f"{path} holds no settings of xnect")
    return config
