"""Parses every command shown in README.md and docs/ by the program's own parser: python docs/check_commands.py.

Commands in code blocks are parsed whole, up to where the program would begin its work; of commands within a sentence,
which may be cut short, and of options that stand alone the names must exist.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
#: Made from the parsers themselves, or about other programs' options.
LEFT_OUT = {"options.md"}
#: Options of other programs that the pages name.
FOREIGN = {"--help", "--keypoint_scale", "--no-deps"}
#: Where the ``main`` of a package is that ``python -m`` runs.
_MAIN_OF = {"xnect": "xnect.apps.main", "backbone": "backbone.cli"}
_START = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?(?:python3? (?:run_demo\.py|-m (?:xnect|backbone|benchmarks)|benchmarks/|docs/)|xnect )")  # fmt: skip
_OPTION = re.compile(r"--[a-z][a-z0-9_-]*")


class _Parsed(BaseException):
    """The parser has taken the command; not an Exception, lest a program's own border turn it into a message."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


@dataclass(frozen=True, slots=True)
class Shown:
    """A command in a page: where, its text, and whether it stands in a code block."""

    page: Path
    line: int
    text: str
    whole: bool


def pages() -> list[Path]:
    """The pages that are checked."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in found if page.name not in LEFT_OUT)


def shown_in(page: Path) -> Iterator[Shown]:
    """Commands of one page, in order."""
    fenced, lines = "", page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = re.match(r" *(```+|~~~+)", line)
        if fence and (not fenced or fence[1] == fenced):
            fenced = "" if fenced else fence[1]
        elif fenced or line.startswith(("    ", "\t")):
            text = line.strip()
            after = number
            while text.endswith("\\") and after < len(lines):
                text, after = text[:-1] + lines[after].strip(), after + 1
            for part in text.split(" && "):
                if _START.match(part):
                    yield Shown(page, number, part, True)
        else:
            for span in re.findall(r"`([^`]+)`", line):
                if _START.match(span) or re.match(_OPTION, span):
                    yield Shown(page, number, span, False)


def words_of(text: str) -> list[str]:
    """A command's words, without comment, redirection, variables before it and dots for what is left open."""
    lexer = shlex.shlex(text.removeprefix("$ "), posix=True, punctuation_chars="|><;")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in lexer:
        if word.startswith(("#", "|", ">", "<", ";")):
            break
        if word != "..." and not (not words and re.match(r"[A-Z_]+=", word)):
            words.append(word)
    return words


def _program(words: list[str]) -> tuple[Any, list[str]]:
    """The ``main`` that a command runs, and its arguments; raises LookupError where there is none."""
    name, *rest = words
    if name.endswith("xnect"):
        return importlib.import_module("xnect.apps.main").main, rest
    if rest[0] == "run_demo.py":
        return importlib.import_module("xnect.apps.main").main, ["run", *rest[1:]]
    if rest[0] == "-m":
        name = _MAIN_OF.get(rest[1], rest[1])
        package = importlib.util.find_spec(name)
        if package is not None and package.submodule_search_locations:
            name += ".__main__"
        return importlib.import_module(name).main, rest[2:]
    file = ROOT / rest[0]
    spec = importlib.util.spec_from_file_location(file.stem + "_as_shown", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise LookupError(f"{rest[0]} is not there")
    module_of_file = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module_of_file
    sys.path.insert(0, str(file.parent))  # as for a script
    try:
        spec.loader.exec_module(module_of_file)
    finally:
        sys.path.remove(str(file.parent))
    return module_of_file.main, rest[1:]


@contextlib.contextmanager
def _stopping(parse: bool) -> Iterator[None]:
    """Programs end as soon as their parser is done (or, not ``parse``, asked) with ``_Parsed``."""
    kept = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> NoReturn:
        if parse:
            kept(parser, args, namespace)
        raise _Parsed(parser)

    argparse.ArgumentParser.parse_args = stop  # type: ignore[method-assign]
    try:
        yield
    finally:
        argparse.ArgumentParser.parse_args = kept  # type: ignore[method-assign]


def _asked(words: list[str], parse: bool) -> tuple[argparse.ArgumentParser | None, str]:
    """The parser that a command reaches, and what the program said where it did not get so far."""
    said = io.StringIO()
    argv = sys.argv
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said), _stopping(parse):
            main, arguments = _program(words)
            sys.argv = [words[0], *arguments]
            main(*([arguments] if main.__code__.co_argcount else []))
    except _Parsed as parsed:
        return parsed.parser, _settings_fault(arguments[1:]) if parse and arguments[:1] == ["run"] else ""
    except (SystemExit, LookupError, ImportError) as error:
        said.write(str(error) if not isinstance(error, SystemExit) else "")
    finally:
        sys.argv = argv
    return None, said.getvalue().strip().splitlines()[-1] if said.getvalue().strip() else "ended before its parser"


def _settings_fault(arguments: list[str]) -> str:
    """Why ``xnect run`` would not take options that its parser has taken, "" where it would."""
    from xnect.apps.run import parse
    from xnect.errors import XnectError

    try:
        parse(arguments)
    except XnectError as error:
        return str(error)
    return ""


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """Names of all options of a parser and those below it."""
    out = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            out.update(*(_options(one) for one in action.choices.values()))
    return out


def every_option() -> set[str]:
    """Names of the options of all programs."""
    from xnect.apps.main import COMMANDS

    commands = [["xnect", command.name] for command in COMMANDS if command.name != "train"]
    commands += [["xnect", "train", "stage1"], ["xnect", "train", "stage2"], ["python", "-m", "backbone"]]
    commands += [["python", "-m", "xnect.training.datasets.coco"], ["python", "-m", "xnect.training.soft_maps"]]
    commands += [["python", f"benchmarks/{file.name}"] for file in sorted((ROOT / "benchmarks").glob("*.py"))]
    out = set(FOREIGN)
    for words in commands:
        if words[-1] == "benchmarks/common.py":
            continue
        parser, _ = _asked(words, parse=False)
        out |= _options(parser) if parser else set()
    return out


def _is_overview(words: list[str]) -> bool:
    """Whether this is a line of ``xnect --help`` and no command."""
    from xnect.apps.main import COMMANDS

    return any(words[1:] == [command.name, *words_of(command.help)] for command in COMMANDS)


def wrong(command: Shown, known: set[str]) -> str | None:
    """What is wrong with a command, None = nothing.

    Args:
        command: The command.
        known: Names of all options of all programs, for options that stand alone.
    """
    if not command.whole and command.text.startswith("-"):
        strange = [option for option in _OPTION.findall(command.text) if option not in known]
        return f"no program has {', '.join(strange)}" if strange else None
    words = words_of(command.text)
    if words[0] == "python" and words[1] in ("docs/make_reference.py", "docs/check_commands.py"):
        return None
    if words[0] == "xnect" and (len(words) < 2 or words[1].startswith("-") or words[1] == "COMMAND"):
        return None
    if command.whole:
        return None if _is_overview(words) else _asked(words, parse=True)[1] or None
    parser, said = _asked(words, parse=False)
    if parser is None:
        return None if words[:2] == ["xnect", "train"] and len(words) == 2 else said
    own = _options(parser) | FOREIGN
    strange = [option for word in words for option in _OPTION.findall(word) if option not in own]
    return f"{' '.join(words[:2])} has no {', '.join(strange)}" if strange else None


def faults() -> list[str]:
    """Every command that is wrong, as page:line: command: what is wrong."""
    known = every_option()
    out = []
    for page in pages():
        for command in shown_in(page):
            reason = wrong(command, known)
            if reason:
                out.append(f"{page.relative_to(ROOT)}:{command.line}: {command.text}: {reason}")
    return out


def main() -> int:
    """Say what is wrong; 1 if anything is."""
    sys.path.insert(0, str(ROOT))
    found = faults()
    sys.stdout.write(("\n".join(found) or "every command shown parses") + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
