"""The ``xnect`` command: finds the sub-command, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from xnect.apps.options import Parser, dashed, version_line
from xnect.apps.signals import INTERRUPTED, loud, quiet
from xnect.errors import ConfigError, XnectError, one_line

_log = logging.getLogger(__name__)

FAILED, USAGE, PIPE_CLOSED = 1, 2, 141


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command: a module with ``main(argv) -> int | None``.

    Attributes:
        name: As typed.
        module: Where its ``main`` is.
        help: One line.
        needs: A module without which it does not work.
    """

    name: str
    module: str
    help: str
    needs: str = ""


COMMANDS = (
    Command("run", "xnect.apps.run", "capture from a camera, videos or pictures: window, recording, or both"),
    Command("view", "xnect.apps.view", "look at a recording in the window", "xnect.gui.app"),
    Command("lift", "xnect.apps.lift", "3D from the 2D joints of other programs (OpenPose, COCO, CSV)"),
    Command("convert", "xnect.apps.convert", "write a recording in another format", "xnect.formats.convert"),
    Command("validate", "xnect.apps.validate", "check recordings against the format, line by line"),
    Command("repair", "xnect.apps.repair", "make a recording whole that a crash left torn", "xnect.formats.repair"),
    Command("export", "xnect.apps.export", "write the network as ONNX, for OpenVINO, or in eight bits"),
    Command("evaluate", "xnect.apps.evaluate", "judge recordings and networks on your own data"),
    Command("calibrate", "xnect.apps.calibrate", "find the lens of a camera from views of a printed board"),
    Command("train", "xnect.apps.train", "train the networks (stage1, stage2)"),
    Command(
        "synth", "xnect.apps.synth", "draw labelled training pictures (preview, write)", "xnect.training.synthetic.cli"
    ),
    Command("doctor", "xnect.apps.doctor", "check every part and say how to mend what is amiss"),
)


def present() -> list[Command]:
    """The sub-commands that this installation has."""
    return [command for command in COMMANDS if _exists(command.module) and _exists(command.needs)]


def _exists(module: str) -> bool:
    try:
        return not module or importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def overview() -> str:
    """The text of ``xnect --help``."""
    lines = "".join(f"  {command.name:<10}{command.help}\n" for command in present())
    return (
        "usage: xnect COMMAND [OPTIONS]\n\n"
        "Motion capture of several people from one camera.\n\n"
        f"{lines}\nxnect COMMAND --help tells a command's options; xnect --version the version.\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated."""
    try:
        try:
            return _answer(argv)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here and not at the interpreter's end, where a closed pipe shows its inside
    except BrokenPipeError:  # whoever read our output has gone: nothing to tell, nobody to tell it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _answer(argv: Sequence[str] | None) -> int:
    """The command of the words that were typed."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or dashed(words[:1])[0] in ("--help", "-h", "help"):
        sys.stdout.write(overview())
        return 0 if words else USAGE
    if dashed(words[:1])[0] == "--version":
        print(version_line())
        return 0
    command = next((c for c in present() if c.name == words[0]), None)
    if command is None:
        names = ", ".join(c.name for c in present())
        hint = "; did you mean xnect run?" if words[0].startswith("-") else ""
        print(f"xnect: unknown command {words[0]!r} ({names}){hint}", file=sys.stderr)
        return USAGE
    return _guarded(command, words[1:])


def _guarded(command: Command, argv: list[str]) -> int:
    """Run a command; whatever the user can mend becomes one line."""
    try:
        loud()
        result = importlib.import_module(command.module).main(argv)
    except ConfigError as error:
        return _fail(command, error, USAGE)
    except XnectError as error:
        return _fail(command, error)
    except KeyboardInterrupt:
        quiet()
        print(f"xnect {command.name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, TimeoutError) as error:
        return _fail(command, error)
    except ModuleNotFoundError as error:
        return _fail(command, f"the package {error.name} is not installed")
    except Exception as error:  # noqa: BLE001 - the outermost border: a fault of ours, told in one line
        return _fail(
            command, f"{type(error).__name__}: {error} (a fault of the program; --log-level debug shows where)"
        )
    return int(result or 0)


def _fail(command: Command, error: BaseException | str, code: int = FAILED) -> int:
    text = one_line(" ".join(str(error).split())) or type(error).__name__
    print(f"xnect {command.name}: {text}", file=sys.stderr)
    _log.debug("traceback", exc_info=True)
    return code


__all__ = ["Parser", "main", "present"]
