"""The options of ``xnect run`` as one table: command line, settings file and help are made from it."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from xnect import __version__
from xnect.addresses import parse_address
from xnect.config import FORMAT_NAMES, LOG_LEVELS
from xnect.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Option:
    """One option that sets one value of ``RunConfig``.

    Attributes:
        name: As on the command line, without the dashes.
        path: Where its value lives, as ``pipeline.network.device``.
        parse: Text -> value; raises ValueError. None = a switch that sets ``value``.
        help: One line.
        metavar: What stands for the value in the help.
        group: Heading in the help.
        value: What a switch sets.
        many: Takes several values.
        missing: Value where the option is given without one, None = a value is needed.
    """

    name: str
    path: str
    parse: Callable[[str], Any] | None
    help: str
    metavar: str = ""
    group: str = "source"
    value: Any = None
    many: bool = False
    missing: str | None = None

    def read(self, raw: Any) -> Any:
        """A value from a settings file, where it may stand as text, number or list; raises ConfigError."""
        if self.parse is None:
            if not isinstance(raw, bool):
                raise ConfigError(f"{self.name} must be true or false, got {raw!r}")
            return self.value if raw else not self.value
        if isinstance(raw, bool):
            if not raw or self.missing is None:
                raise ConfigError(f"{self.name} takes a value, got {str(raw).lower()}")
            raw = self.missing
        items = raw if isinstance(raw, list) else [raw]
        if isinstance(raw, list) and not self.many:
            items = [("x" if self.parse is size else ",").join(str(item) for item in raw)]
        try:
            values = [self.parse(str(item)) for item in items]
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        return tuple(values) if self.many else values[0]


def size(text: str) -> tuple[int, int]:
    """``1280x720`` -> (1280, 720)."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise ValueError(f"{text!r}: WIDTHxHEIGHT expected, as 1280x720")
    return int(parts[0]), int(parts[1])


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r}: a number expected")
    return value


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r}: a whole number expected") from None


def seconds(text: str) -> float:
    """``90``, ``1:30`` or ``0:01:30`` -> 90.0."""
    parts = [number(part) for part in text.split(":")]
    if len(parts) > 3:
        raise ValueError(f"{text!r}: seconds or h:m:s expected")
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def one_of(*names: str) -> Callable[[str], str]:
    """A parser that takes one of the names."""

    def parse(text: str) -> str:
        if text.lower() not in names:
            near = difflib.get_close_matches(text.lower(), names, n=1)
            raise ValueError(f"{text!r}: {', '.join(names)} expected" + (f"; did you mean {near[0]}?" if near else ""))
        return text.lower()

    return parse


def formats(text: str) -> tuple[str, ...]:
    """``jsonl,bvh`` -> ("jsonl", "bvh")."""
    parse = one_of(*FORMAT_NAMES)
    return tuple(dict.fromkeys(parse(part.strip()) for part in text.split(",") if part.strip()))


def addresses(default_port: int) -> Callable[[str], tuple[str, ...]]:
    """A parser for ``PORT``, ``HOST``, ``HOST:PORT`` or several with commas -> ("HOST:PORT", ...)."""

    def parse(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(parse_address(part, default_port)) for part in text.split(",")))

    return parse


def address(default_port: int) -> Callable[[str], str]:
    """A parser for one address."""
    return lambda text: str(parse_address(text, default_port))


def metres(text: str) -> float:
    """Centimetres -> metres."""
    return number(text) / 100


def turn(text: str) -> int:
    """Degrees of a turn."""
    return int(one_of("0", "90", "180", "270")(text))


_NET, _CAMERA = "pipeline.network", "pipeline.camera"
_TO = "[HOST:]PORT"
OPTIONS: tuple[Option, ...] = (
    Option("camera", "source.camera", str, "webcam by number or (part of its) name", "N|NAME", missing="0"),
    Option(
        "video",
        "source.video",
        str,
        "video files, folders of them, or addresses (http, rtsp, ...)",
        "PATH|URL",
        many=True,
    ),
    Option("image-dir", "source.image_dir", str, "folder of pictures", "DIR"),
    Option("camera-resolution", "source.camera_resolution", size, "size asked of the camera", "WxH"),
    Option("camera-fps", "source.camera_fps", number, "rate asked of the camera; pace of --image-dir", "HZ"),
    Option("rotate", "source.rotate", turn, "turn clockwise: 0, 90, 180, 270", "DEG"),
    Option("mirror", "source.mirror", None, "flip left and right, for sources that are mirrored already", value=True),
    Option("start", "source.start_s", seconds, "leave out what comes before", "S"),
    Option("end", "source.end_s", seconds, "leave out what comes after", "S"),
    Option("output", "output.directory", str, "folder for the results", "DIR", "output"),
    Option("formats", "output.formats", formats, f"of {', '.join(FORMAT_NAMES)}", "LIST", "output"),
    Option("no-display", "output.display", None, "no window; the default without a display", "", "output", False),
    Option("overwrite", "output.overwrite", None, "replace results that are there", "", "output", True),
    Option("resume", "output.resume", None, "go on where an earlier run stopped", "", "output", True),
    Option("device", f"{_NET}.device", str, "auto, cpu, cuda or cuda:N", "NAME", "network"),
    Option(
        "precision",
        f"{_NET}.precision",
        one_of("auto", "fp32", "bf16", "fp16", "int8"),
        "auto, fp32, bf16, fp16, int8",
        "NAME",
        "network",
    ),
    Option("weights", f"{_NET}.weights", str, "weights file (safetensors)", "FILE", "network"),
    Option("detector", f"{_NET}.detector", str, "your own ONNX network for the 2D joints", "FILE", "network"),
    Option(
        "boxes", f"{_NET}.boxes", str, "ONNX network that finds people, for a top-down --detector", "FILE", "network"
    ),
    Option("input-size", f"{_NET}.input_size", size, "picture size of the network, multiples of 16", "WxH", "network"),
    Option("max-people", "pipeline.detection.max_people", whole, "most people at a time", "N", "network"),
    Option("threads", f"{_NET}.threads", whole, "CPU threads, 0 = all", "N", "network"),
    Option(
        "executor",
        f"{_NET}.executor",
        one_of("auto", "openvino", "torch"),
        "auto (the fastest), openvino, torch",
        "NAME",
        "network",
    ),
    Option(
        "mode",
        f"{_NET}.mode",
        one_of("auto", "latency", "throughput"),
        "auto, latency (live) or throughput (files)",
        "NAME",
        "network",
    ),
    Option(
        "target-fps",
        f"{_NET}.target_fps",
        number,
        "live: looks, then the network's size give way so that this rate holds (24; 1 = never)",
        "HZ",
        "network",
    ),
    Option(
        "looks",
        f"{_NET}.looks",
        whole,
        "1 (fastest), 2 (mirrored, too) or 4 (at four sizes: most accurate) a picture",
        "N",
        "network",
    ),
    Option("height-cm", "pipeline.fit.height_m", metres, "body height, for metric scale", "CM", "scene"),
    Option("fov", f"{_CAMERA}.fov_deg", number, "field of view of the longer side", "DEG", "scene"),
    Option("fx", f"{_CAMERA}.fx_px", number, "focal length in pixels", "PX", "scene"),
    Option("calibration", f"{_CAMERA}.calibration", str, "calibration file, or FILE:CAMERA", "FILE", "scene"),
    Option("static-images", "pipeline.static_images", None, "every picture stands alone", "", "scene", True),
    Option(
        "vmc",
        "stream.vmc",
        addresses(39539),
        "avatar programs (VMC); person 2 at PORT + 2, ...",
        _TO,
        "stream",
        missing="",
    ),
    Option("osc", "stream.osc", addresses(9000), "plain OSC messages", _TO, "stream", missing=""),
    Option("websocket", "stream.websocket", address(8765), "web page and WebSocket server", _TO, "stream", missing=""),
    Option("udp", "stream.udp", addresses(8766), "JSON, one datagram a frame", _TO, "stream", missing=""),
    Option("stream-token", "stream.token", str, "what WebSocket clients must know", "TEXT", "stream"),
    Option("stream-origin", "stream.origins", str, "other web pages that may connect", "URL", "stream", many=True),
    Option("stream-pace", "stream.pace", one_of("source", "fast"), "of files: source or fast", "NAME", "stream"),
    Option("ray", "ray", str, "share videos out by Ray (without ADDRESS: on this machine)", "ADDRESS", missing="local"),
    Option("log-level", "log.level", one_of(*LOG_LEVELS), ", ".join(LOG_LEVELS), "NAME", "general"),
    Option("log-file", "log.file", str, "write the log to a file as well", "FILE", "general"),
    Option("seed", "seed", whole, "for all that is drawn by chance", "N", "general"),
)
BY_NAME = {option.name: option for option in OPTIONS}
_HEADINGS = {
    "source": "source (one of the first three; none = the bundled clip)",
    "output": "output",
    "network": "network",
    "scene": "scene and camera",
    "stream": "live streams (this machine only, unless a host is named)",
    "general": "general",
}


class Parser(argparse.ArgumentParser):
    """argparse, but with one line for an error, and the nearest name for an unknown option."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        known = [name for action in self._actions for name in action.option_strings]
        if message.startswith("unrecognized arguments: "):
            words = message.removeprefix("unrecognized arguments: ").split()
            near = difflib.get_close_matches(words[0].split("=")[0], known, n=1)
            message = f"unknown option {words[0]}" if words[0].startswith("-") else f"unexpected word {words[0]!r}"
            message += f"; did you mean {near[0]}?" if near else ""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def dashed(argv: Sequence[str]) -> list[str]:
    """Option names with ``_`` taken as ``-``; values stay."""
    out, names = [], True
    for word in argv:
        names = names and word != "--"
        if names and word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            word = name.replace("_", "-") + equals + value
        out.append(word)
    return out


def build_parser(prog: str = "xnect run") -> Parser:
    """The parser of ``xnect run``; values of the table land under their option's name, unset ones are left out."""
    parser = Parser(
        prog=prog,
        description="Motion capture of several people from one camera: window, recording, or both.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    groups = {name: parser.add_argument_group(heading) for name, heading in _HEADINGS.items()}
    for option in OPTIONS:
        add_option(groups[option.group], option)
    source, general = groups["source"], groups["general"]
    source.add_argument("--list-cameras", action="store_true", help="show cameras and their modes")
    general.add_argument("--config", metavar="FILE", help="settings file (TOML); the command line wins")
    general.add_argument("--print-config", action="store_true", help="show all settings and where each comes from")
    classify = parser.add_argument_group("classification")
    classify.add_argument("--classify", nargs="?", const="", metavar="PATH", help="name what a picture or video shows")
    classify.add_argument("--backbone", metavar="NAME", help="network for --classify")
    classify.add_argument("--topk", metavar="K", type=checked(whole), help="how many answers (5)")
    general.add_argument("--version", action="version", version=version_line(), help="show the version")
    general.add_argument("--help", "-h", action="help", help="show this text")
    return parser


def add_option(group: argparse._ActionsContainer, option: Option) -> None:
    """Give a parser an option of the table; the parser leaves out what is not given (``SUPPRESS``)."""
    flag = f"--{option.name}"
    if option.parse is None:
        group.add_argument(flag, action="store_const", const=option.value, help=option.help)
        opposite = f"--{option.name.removeprefix('no-')}" if option.name.startswith("no-") else f"--no-{option.name}"
        group.add_argument(
            opposite,
            action="store_const",
            const=not option.value,
            dest=option.name.replace("-", "_"),
            help=argparse.SUPPRESS,
        )
        return
    extra: dict[str, Any] = {"nargs": "+"} if option.many else {}
    if option.missing is not None:
        extra = {"nargs": "?", "const": option.missing}
    group.add_argument(flag, type=checked(option.parse), metavar=option.metavar, help=option.help, **extra)


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The parser for argparse, which shows the text of this kind of error only."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def version_line() -> str:
    """``xnect 0.1.0 (Python 3.11.7)``."""
    return f"xnect {__version__} (Python {sys.version.split()[0]})"
