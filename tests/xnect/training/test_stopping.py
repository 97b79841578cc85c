"""Runs ``stopping_cases.py`` in a program of its own: real signals would meet the handlers of libraries that other tests load."""

import subprocess
import sys
from pathlib import Path


def test_a_training_that_is_stopped_has_its_checkpoint():
    cases = Path(__file__).with_name("stopping_cases.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xvfb", str(cases)],
        capture_output=True, text=True, timeout=240, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
