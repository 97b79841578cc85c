"""``run_demo.py`` as users start it: a process of its own, real signals, exit codes, nothing but one line on errors.

These start Python anew and are kept few; the details are tested in tests/xnect/apps.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from xnect.formats.recording import load

ROOT = Path(__file__).parents[1]

# The program with a pipeline that needs neither torch nor weights and takes its time.
CHILD = """
    import os, sys, time
    import xnect.apps.run as run
    from xnect.apps.main import main
    from xnect.structures import FrameResult

    class Slow:
        def __init__(self, config): pass
        def build(self, frame_px=None):
            if os.environ.get("SLOW_START"):
                print("starting", flush=True)
                time.sleep(30)
        def use_camera(self, camera, live=False): self.camera = camera
        def __call__(self, frame):
            time.sleep(0.02)
            return FrameResult(frame.index, frame.timestamp_s, (), {}, self.camera)

    run.LazyPipeline = Slow
    code = main(["run", *sys.argv[1:]])
    assert not {"torch", "PyQt5"} & set(sys.modules), "neither torch nor Qt belongs into a run without window"
    sys.exit(code)
"""


@pytest.fixture
def environment(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XNECT_", "DISPLAY", "WAYLAND"))}
    return env | {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path / "config"), "QT_QPA_PLATFORM": ""}


def test_bad_input_is_one_line_and_nothing_else(environment, tmp_path):
    (tmp_path / "letter.mp4").write_text("Dear reader\n" * 50)
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_demo.py"), "--video", "letter.mp4", "--no_display"],
        capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "xnect run: cannot read letter.mp4 as video: invalid data found when processing input"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal_the_files_are_whole(environment, tmp_path, number, code):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), "--video", "synthetic:64x48@30:100000", "--output", "out"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    log = tmp_path / "out" / "poses.jsonl"
    deadline = time.perf_counter() + 120
    while not (log.exists() and log.read_bytes().count(b"\n") > 5) and time.perf_counter() < deadline:
        time.sleep(0.05)
    child.send_signal(number)
    _, err = child.communicate(timeout=120)
    assert child.returncode == code, err
    assert "what was recorded is whole" in err
    assert "Traceback" not in err
    assert len(load(log)) > 5
    assert (tmp_path / "out" / "overlay.mp4").stat().st_size > 1000
    assert not (tmp_path / "out" / "overlay.mkv").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_the_network_loads_nothing_is_touched(environment, tmp_path, number, code):
    kept = tmp_path / "out" / "poses.jsonl"
    kept.parent.mkdir()
    kept.write_text("an earlier recording")
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), "--video", "synthetic:64x48@30:300", "--output", "out", "--overwrite", "--no-display"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment | {"SLOW_START": "1"}, cwd=tmp_path,
    )  # fmt: skip
    assert child.stdout.readline() == "starting\n"
    child.send_signal(number)
    error = child.communicate(timeout=15)[1]
    assert child.returncode == code
    assert "nothing was written" in error
    assert "Traceback" not in error
    assert kept.read_text() == "an earlier recording"
