"""Opening the window at all: displays, the clash of two Qts, sources named on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import cv2
import pytest

from xnect.config import SourceConfig
from xnect.errors import SourceError
from xnect.gui.default_parts import take_folder
from xnect.gui.display import has_display, mend_qt_paths
from xnect.gui.keys import KEYS, MENUS
from xnect.gui.parts import RecordingPlan, SourceRequest
from xnect.gui.sources import request_for, requests_of

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux", True),
        ({"QT_QPA_PLATFORM": "xcb"}, "linux", False),
        ({}, "win32", True),
        ({}, "darwin", True),
    ],
)
def test_displays_are_told_without_qt(environment, platform, expected):
    assert has_display(environment, platform) is expected


def test_the_folders_of_cv2_are_dropped_and_others_stay():
    home = Path(cv2.__file__).parent
    environment = {"QT_QPA_PLATFORM_PLUGIN_PATH": str(home / "qt" / "plugins"), "QT_QPA_FONTDIR": "/usr/share/fonts"}
    assert mend_qt_paths(environment) == ["QT_QPA_PLATFORM_PLUGIN_PATH"]
    assert environment == {"QT_QPA_FONTDIR": "/usr/share/fonts"}


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    env |= {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


def test_without_a_display_one_line_and_exit_1():
    done = run_python(
        "import sys\nfrom xnect.config import RunConfig\nfrom xnect.gui.app import main\ncode = main(RunConfig())\n"
        "assert 'PyQt5' not in sys.modules\nsys.exit(code)"
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--no-display" in done.stderr


def test_the_library_path_never_imports_qt():
    code = (
        "import sys, xnect.gui.engine, xnect.gui.state, xnect.gui.settings, xnect.gui.review_source, xnect.gui.assist\n"
        "import xnect.gui.scene_model, xnect.gui.default_parts, xnect.gui.sources\n"
        "assert not [m for m in sys.modules if m.startswith(('PyQt5', 'pyqtgraph', 'torch'))]"
    )
    assert run_python(code).returncode == 0


@pytest.mark.gui
def test_a_window_opens_with_opencvs_other_qt_in_the_way():
    """opencv-python points Qt at its own plug-ins; without the cure this process aborts (exit code -6)."""
    plugins = str(Path(cv2.__file__).parent / "qt" / "plugins")
    code = (
        "import os, cv2\n"
        f"os.environ['QT_QPA_PLATFORM_PLUGIN_PATH'] = {plugins!r}\n"  # as the wheel does on import
        "from xnect.gui.display import mend_qt_paths\nmend_qt_paths()\n"
        "from xnect.gui.app import make_application\napp = make_application()\n"
        "from PyQt5.QtWidgets import QLabel\nw = QLabel('x'); w.show(); app.processEvents()\nprint(app.platformName())"
    )
    done = run_python(
        code, DISPLAY=os.environ.get("DISPLAY", ""), QT_QPA_PLATFORM=os.environ.get("QT_QPA_PLATFORM", "")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_paths_and_addresses_become_requests(tmp_path):
    video = tmp_path / "Übung eins.mp4"
    video.write_bytes(b"x")
    assert request_for(str(video)).kind == "video"
    assert request_for(video.as_uri()).spec == str(video)
    assert request_for(str(tmp_path)).kind == "images"
    (tmp_path / "poses.jsonl").write_text("{}")
    assert request_for(str(tmp_path)).kind == "recording"
    assert request_for(str(tmp_path / "poses.jsonl")).title == tmp_path.name
    address = request_for("rtsp://user:secret@cam.local/live")
    assert address.live
    assert "secret" not in address.title
    assert request_for("0").kind == "camera"
    with pytest.raises(SourceError, match="no such file"):
        request_for(str(tmp_path / "missing.mp4"))


def test_the_command_lines_sources():
    assert requests_of(SourceConfig()) == []
    (camera,) = requests_of(SourceConfig(camera="Logi", camera_resolution=(1280, 720), rotate=90, mirror=True))
    assert (camera.kind, camera.spec, camera.resolution, camera.rotate) == ("camera", "Logi", (1280, 720), 90)
    assert camera.mirror, "flipped as it is read, as without a window"
    videos = requests_of(SourceConfig(video=("a.mp4", "http://cam/x.mjpg"), start_s=2.0))
    assert [v.kind for v in videos] == ["video", "address"]
    assert videos[0].start_s == 2.0
    (images,) = requests_of(SourceConfig(image_dir="shots"))
    assert images.kind == "images"
    assert not images.live


def test_a_request_opened_again_shares_its_memory():
    request = SourceRequest("recording", "x")
    request.at(2.0).memo["review"] = 1
    assert request.memo["review"] == 1
    assert request.at(-3).start_s == 0


def test_takes_are_named_after_source_and_time():
    plan = RecordingPlan(Path("/takes"), ("jsonl",))
    now = datetime(2030, 2, 3, 4, 5, 6)
    assert take_folder(plan, "Meine Kamera/../x", now).parent == Path("/takes")
    assert take_folder(plan, "walk.mp4", now).name == "walk_2030-02-03_040506"
    assert take_folder(plan, "", now).name.startswith("take_")
    exact = RecordingPlan(Path("/out"), ("jsonl",), exact=True)
    assert take_folder(exact, "walk.mp4", now) == Path("/out")


def test_no_key_does_two_things():
    keys = [k for entry in KEYS for k in entry.keys]
    assert len(keys) == len(set(keys))
    assert {entry.menu for entry in KEYS} == set(MENUS)
    assert len({entry.action for entry in KEYS}) == len(KEYS)
