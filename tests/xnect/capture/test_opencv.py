"""The guard against the clash of opencv-python and PyQt5, and quiet C libraries."""

import os
import subprocess
import sys
import textwrap

import cv2
import pytest

from xnect.capture.opencv import QT_VARIABLES, mend_qt_paths, quiet


def test_only_folders_of_opencv_are_dropped(tmp_path):
    home = os.path.dirname(cv2.__file__)
    env = {QT_VARIABLES[0]: os.path.join(home, "qt", "plugins"), QT_VARIABLES[1]: str(tmp_path), "OTHER": home}
    assert mend_qt_paths(env) == [QT_VARIABLES[0]]
    assert env == {QT_VARIABLES[1]: str(tmp_path), "OTHER": home}
    assert mend_qt_paths(env) == []


def test_a_child_process_is_free_of_the_variables_after_the_guard():
    """Runs as the program does: cv2 sets the variables at its import, the guard drops them, a child sees none."""
    script = """
        import os, subprocess, sys
        import cv2
        from xnect.capture.opencv import QT_VARIABLES, mend_qt_paths
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
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_quiet_keeps_noise_and_passes_on_the_rest(capfd):
    with quiet():
        os.write(2, b"Corrupt JPEG data: premature end\n[ERROR:0@0.1] global x\n")
        os.write(2, b"somebody else's line\n")
    assert capfd.readouterr().err == "somebody else's line\n"
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    os.write(2, b"back\n")
    assert capfd.readouterr().err == "back\n"
