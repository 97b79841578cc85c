"""Documents: no dead links, no option left out."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def anchors(text):
    """What GitHub calls the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def dead_links(page):
    """Relative links of a page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    plain = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
    out = []
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", plain):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        gone = not file.exists() or not file.is_relative_to(
            page.parent.parent if page.parent.name == "docs" else page.parent
        )
        if gone or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            out.append(target)
    return out


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_relative_link_is_dead(page):
    assert dead_links(page) == []


def test_dead_links_are_noticed(tmp_path):
    (tmp_path / "there.md").write_text("# One Head\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](gone.md) [c](there.md#one-head) [d](there.md#two) [e](https://x.org/y) `[f](g.md)`\n"
    )
    assert dead_links(page) == ["gone.md", "there.md#two"]


def reference():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_reference"] = module
    spec.loader.exec_module(module)
    return module


def test_every_option_of_every_command_is_in_the_reference():
    made = reference()
    sections = dict(
        re.findall(r"^## (xnect [^\n]+)\n(.*?)(?=^## |\Z)", made.PAGE.read_text(encoding="utf-8"), re.M | re.S)
    )
    missing = [
        f"{command}: {name}"
        for command, parser in made.parsers().items()
        for action in parser._actions
        for name in made.names(action)
        if not re.search(rf"`{re.escape(name).replace('|', '.{1,2}')}[ `]", sections.get(command, ""))
    ]
    assert missing == [], "run python docs/make_reference.py"


def test_every_command_is_on_the_command_line_page():
    from xnect.apps.main import present

    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert [c.name for c in present() if f"xnect {c.name} " not in text] == []
