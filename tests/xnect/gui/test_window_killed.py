"""The program killed in the middle of a take: what the disk had is whole, and the rest is made from it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from xnect.formats.recording import load
from xnect.formats.repair import repair

pytestmark = pytest.mark.gui

ROOT = Path(__file__).parents[3]
NEEDS = {"parquet": "pyarrow", "c3d": "ezc3d", "glb": "pygltflib", "scene": "pygltflib"}
KILLED_AT = 45

#: The real window with the real writers over a made-up video; the record button is pressed by the mouse.
CHILD = """
import dataclasses, importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("made_up", sys.argv[1])
made_up = importlib.util.module_from_spec(spec)
sys.modules["made_up"] = made_up
spec.loader.exec_module(made_up)
import numpy as np
from xnect.gui.display import mend_qt_paths
mend_qt_paths()
from xnect.gui.app import make_application
app = make_application()
from PyQt5.QtCore import QSettings, Qt, QTimer
from PyQt5.QtTest import QTest
from xnect.config import PipelineConfig
from xnect.gui import default_parts
from xnect.gui.main_window import MainWindow
from xnect.gui.parts import SourceRequest
from xnect.skeleton.kinematics import SKELETON

class Pipeline(made_up.FakePipeline):
    def __call__(self, frame):
        result = super().__call__(frame)
        angles = np.full(len(SKELETON.angle_names), 0.1, np.float32)
        bones = np.zeros((len(SKELETON.joint_names), 3), np.float32)
        people = tuple(dataclasses.replace(p, angles=angles, offsets=bones) for p in result.people)
        return dataclasses.replace(result, people=people)

world = made_up.FakeWorld()
world.with_maps, world.frames = False, 100_000
parts = dataclasses.replace(
    world.parts(), open_sink=default_parts.open_sink, make_pipeline=lambda config: Pipeline(world, config)
)
folder = Path(sys.argv[2])
settings = QSettings(str(folder / "window.ini"), QSettings.IniFormat)
window = MainWindow(parts, PipelineConfig(), folder / "takes", tuple(sys.argv[3].split(",")), settings, False)
window.show()
window.begin(PipelineConfig())
window.open_source(SourceRequest("video", "clip.mp4", title="clip.mp4"))
told = 0

def look():
    global told
    recording = window.state.recording
    if recording.phase == "idle" and window.state.visible_people():
        QTest.mouseClick(window.views.recording.button, Qt.LeftButton)
    elif recording.phase == "recording" and recording.frames > told:
        told = recording.frames
        print(told, flush=True)

timer = QTimer()
timer.timeout.connect(look)
timer.start(20)
app.exec_()
"""


@pytest.fixture
def killed(tmp_path):
    """A take's folder, how many frames the window had told of, and the formats."""
    formats = ["jsonl", "overlay", "bvh", "glb", "scene", "csv", "npz", "parquet", "openpose", "coco", "c3d", "trc"]
    formats = [f for f in formats if f not in NEEDS or importlib.util.find_spec(NEEDS[f])]
    words = [str(Path(__file__).with_name("conftest.py")), str(tmp_path), ",".join(formats)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_RUNTIME_DIR": str(tmp_path)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    told = 0
    for line in child.stdout:
        told = int(line)
        if told >= KILLED_AT:
            os.kill(child.pid, signal.SIGKILL)
            break
    told = max([told, *(int(line) for line in child.stdout.read().split("\n")[:-1])])
    _, errors = child.communicate()
    assert told >= KILLED_AT, errors
    (folder,) = (tmp_path / "takes").iterdir()
    return folder, told, formats


def frames_in(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def test_a_killed_window_leaves_every_frame_it_told_of(killed):
    folder, told, formats = killed
    recording = load(folder)
    count = len(recording.frames)
    assert count >= told
    assert (np.diff(recording.frames) == 1).all()
    assert np.bincount(recording.row_frame, minlength=count).tolist() == [2] * count
    tables = (folder / "poses.csv").read_text().splitlines()
    assert sum(line.startswith(f"{recording.frames[told - 1]},") for line in tables) >= 1
    numbered = sorted((folder / "openpose").iterdir())
    assert len(numbered) >= told
    assert len(json.loads(numbered[told - 1].read_text())["people"]) == 2
    assert frames_in(folder / "overlay.mkv") > told / 2, "a cluster may be under way"
    report = repair(folder)
    assert report.frames == count
    assert not [line for line in report.lost if "overlay" not in line]
    assert frames_in(folder / "overlay.mp4") > told / 2
    files = {
        "bvh": "bvh/person_1.bvh", "glb": "person_2.glb", "scene": "scene.glb", "npz": "poses.npz",
        "parquet": "poses.parquet", "coco": "coco.json", "c3d": "poses.c3d", "trc": "poses.trc",
    }  # fmt: skip
    for name in formats:
        if name in files:
            assert (folder / files[name]).stat().st_size > 0, name
    assert len(json.loads((folder / "coco.json").read_text())) == 2 * count
    with np.load(folder / "poses.npz") as arrays:
        assert any(len(arrays[key]) in (count, 2 * count) for key in arrays)
