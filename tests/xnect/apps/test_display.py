"""The guard against the clash of opencv-python and PyQt5, and where a window can open."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import pytest

from xnect.apps.display import missing_parts
from xnect.gui.display import CV2_QT_VARIABLES, has_display, mend_qt_paths

ROOT = Path(__file__).parents[3]


def test_only_folders_of_opencv_are_dropped(tmp_path):
    home = os.path.dirname(cv2.__file__)
    env = {CV2_QT_VARIABLES[0]: os.path.join(home, "qt", "plugins"), CV2_QT_VARIABLES[1]: str(tmp_path), "OTHER": home}
    assert mend_qt_paths(env) == [CV2_QT_VARIABLES[0]]
    assert env == {CV2_QT_VARIABLES[1]: str(tmp_path), "OTHER": home}
    assert mend_qt_paths(env) == []


def test_a_child_process_is_free_of_the_variables_after_the_guard():
    """Runs as the program does: cv2 sets the variables at its import, the guard drops them, a child sees none."""
    script = """
        import os, subprocess, sys
        import cv2
        from xnect.gui.display import CV2_QT_VARIABLES, mend_qt_paths
        os.environ.setdefault("QT_QPA_PLATFORM_PLUGIN_PATH", os.path.join(os.path.dirname(cv2.__file__), "qt", "plugins"))
        assert mend_qt_paths()
        code = "import os; print([name for name in os.environ if name.startswith('QT_QPA_P')])"
        print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("QT_QPA")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"QT_QPA_PLATFORM": "offscreen"}, True),
        ("win32", {}, True),
        ("darwin", {}, True),
    ],
)
def test_display(platform, environment, expected):
    assert has_display(environment, platform) is expected


def test_missing_parts_are_named_with_the_remedy(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "PyQt5" else find(name))
    assert "PyQt5 not installed" in missing_parts()
    assert "xnect[gui]" in missing_parts()
