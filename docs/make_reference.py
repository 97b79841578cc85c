"""Writes docs/options.md, every option of every command, from the parsers: python docs/make_reference.py [--check]."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "options.md"
#: Commands that hand over to others by their first word.
WORDS = {"train": (("stage1",), ("stage2",))}


class _Caught(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def parser_of(module: str, words: tuple[str, ...]) -> argparse.ArgumentParser:
    """The parser that a command asks first."""

    def catch(parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        raise _Caught(parser)

    kept = argparse.ArgumentParser.parse_known_args
    argparse.ArgumentParser.parse_known_args = catch  # type: ignore[method-assign]
    try:
        importlib.import_module(module).main([*words])
    except _Caught as caught:
        return caught.parser
    finally:
        argparse.ArgumentParser.parse_known_args = kept  # type: ignore[method-assign]
    raise SystemExit(f"{module} never asked its parser")


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Command as typed -> its parser, those of sub-commands too."""
    from xnect.apps.main import present

    out: dict[str, argparse.ArgumentParser] = {}
    for command in present():
        for words in WORDS.get(command.name, ((),)):
            _gather(" ".join(("xnect", command.name, *words)), parser_of(command.module, words), out)
    return out


def _gather(name: str, parser: argparse.ArgumentParser, out: dict[str, argparse.ArgumentParser]) -> None:
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        out[name] = parser
    for action in inner:
        for word, one in action.choices.items():
            _gather(f"{name} {word}", one, out)


def names(action: argparse.Action) -> list[str]:
    """What is typed for an option: its names, or what stands for its value; empty for those that are not shown."""
    if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
        return []
    return list(action.option_strings) or [str(action.metavar or action.dest)]


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or _value(action)}"
    typed = ", ".join(f"`{name}{value}`" for name in names(action)).replace("|", "\\|")
    return f"| {typed} | {_sense(action)} |"


def _value(action: argparse.Action) -> str:
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _sense(action: argparse.Action) -> str:
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return " ".join(text.split()).replace("|", "\\|")


def page() -> str:
    """The whole page."""
    out = ["# All options", "", "Made from the programs by `python docs/make_reference.py`; "
           "[command-line.md](command-line.md) tells how they work together."]  # fmt: skip
    for name, parser in parsers().items():
        rows = [_row(action) for action in parser._actions if names(action)]
        out += ["", f"## {name}", ""]
        out += ["| option | sense |", "|---|---|", *rows] if rows else ["No options."]
    return "\n".join(out) + "\n"


def main() -> int:
    """Write the page, or with --check tell whether it is as it would be written."""
    sys.path.insert(0, str(ROOT))
    text = page()
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
