import logging

import pytest

from xnect.apps import logs
from xnect.errors import ConfigError, ShapeError, XnectError, one_line


@pytest.mark.parametrize("kind", [XnectError, ConfigError, ShapeError])
def test_messages_are_one_line_that_a_terminal_can_show(kind):
    text = str(kind("a\x1b[31mb\nc\u202ed" + "x" * 5000))
    assert text.startswith("a\\x1b[31mb c\\u202ed")
    assert len(text) == 1000
    assert text.isprintable()


def test_plain_messages_stay_as_they_are():
    assert one_line("no such file: Übung 3.mp4") == "no such file: Übung 3.mp4"
    assert str(XnectError()) == ""


def test_log_lines_hold_no_control_signs(capsys):
    logs.set_up("info")
    try:
        logging.getLogger("xnect.test").warning("left out: %s", "new\nline\x1b]0;x\x07.png")
    finally:
        for handler in list(logging.getLogger("xnect").handlers):
            logging.getLogger("xnect").removeHandler(handler)
        logging.getLogger("xnect").propagate = True
    assert capsys.readouterr().err == "warning: left out: new line\\x1b]0;x\\x07.png\n"
