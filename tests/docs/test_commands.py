"""Documents: every command shown is one that its program takes."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("check_commands", ROOT / "docs" / "check_commands.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_commands"] = module
    spec.loader.exec_module(module)
    return module


def test_every_command_shown_parses(check):
    pytest.importorskip("torch")  # the training programs
    assert sum(command.whole for page in check.pages() for command in check.shown_in(page)) > 50
    assert check.faults() == []


def found(check, tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    return [(command.text, check.wrong(command, {"--camera"})) for command in check.shown_in(page)]


def test_what_is_wrong_is_told(check, tmp_path):
    text = (
        "Use `--camera 0` or `--kamera 0` and `xnect run --no-such`.\n\n"
        "    xnect run --camera 0 --output out   # fine\n"
        "    xnect run --camera 0 --video a.mp4\n\n"
        "```\n"
        "xnect convert in.jsonl out.bvh --turbo\n"
        "xnect convert in.jsonl \\\n  out.bvh\n"
        "python benchmarks/gone.py\n"
        "python -m backbone summary --no-such-option\n"
        "```\n"
    )
    told = found(check, tmp_path, text)
    assert [reason is not None for _, reason in told] == [
        False, True, True, False, True, True, False, True, True,
    ]  # fmt: skip
    reasons = dict(told)
    assert reasons["--kamera 0"] == "no program has --kamera"
    assert reasons["python benchmarks/gone.py"] == "benchmarks/gone.py is not there"
    assert "--turbo" in reasons["xnect convert in.jsonl out.bvh --turbo"]


def test_words_of_a_command(check):
    words = check.words_of('A=1 xnect run --camera "C920 HD" --output out ... # why | what')
    assert words == ["xnect", "run", "--camera", "C920 HD", "--output", "out"]
    assert check.words_of("xnect validate - < in.jsonl | less") == ["xnect", "validate", "-"]
