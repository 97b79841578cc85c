"""Takes from the real window: button, key, countdown, timer, and whatever ends them."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("PyQt5")
from PyQt5.QtCore import Qt
from window_robot import LIVE, colours_near, key, picture_of

from xnect.config import PipelineConfig
from xnect.gui.parts import SourceRequest

pytestmark = pytest.mark.gui


def test_record_by_key_with_countdown_and_stop(playing, qtbot, world):
    window = playing
    window.views.recording.countdown.setCurrentIndex(1)
    window.views.transport.loop.click()
    key(qtbot, window, Qt.Key_R)
    assert window.state.recording.phase == "countdown"
    assert "3" in window.views.recording.status.text()
    key(qtbot, window, Qt.Key_R)
    assert window.state.recording.phase == "idle"
    window.views.recording.countdown.setCurrentIndex(0)
    window.seek(0)
    key(qtbot, window, Qt.Key_R)
    qtbot.waitUntil(lambda: window.state.recording.frames > 8)
    red = (229, 72, 77)
    rect = window.views.camera.picture_rect()
    qtbot.waitUntil(lambda: colours_near(picture_of(window.views.camera), (rect.left() + 2, rect.center().y()), red))
    assert window.views.recording.button.isChecked()
    assert "frames" in window.views.recording.status.text()
    qtbot.mouseClick(window.views.recording.button, Qt.LeftButton)
    qtbot.waitUntil(lambda: window.state.recording.phase == "idle")
    (sink,) = world.sinks
    assert sink.closed
    assert len(sink.results) == window.state.recording.frames
    assert "Saved" in window.views.recording.status.text()
    assert (window.takes.last_folder / "poses.jsonl").is_file()


def test_the_timer_stops_a_take(playing, qtbot, world):
    window = playing
    window.views.recording.limit.addItem("short", 0.5)
    window.views.recording.limit.setCurrentIndex(window.views.recording.limit.count() - 1)
    window.seek(0)
    key(qtbot, window, Qt.Key_R)
    qtbot.waitUntil(lambda: window.state.recording.phase == "idle" and bool(window.state.recording.frames))
    assert world.sinks[0].closed
    assert len(world.sinks[0].results) == 16
    assert window.state.recording.elapsed_s == pytest.approx(0.5)


def test_snapshot_is_a_picture(playing, qtbot):
    window = playing
    key(qtbot, window, Qt.Key_S)
    (path,) = window.views.recording.folder.glob("snapshot_*.png")
    assert path.stat().st_size > 1000
    assert str(path) in window.views.notice.text


def test_closing_while_recording_keeps_everything(world, settings, tmp_path, qtbot):
    from xnect.gui.main_window import MainWindow

    window = MainWindow(world.parts(), PipelineConfig(), tmp_path, ("jsonl",), settings, False)
    window.ask = False
    qtbot.addWidget(window)
    window.show()
    window.begin(PipelineConfig())
    window.open_source(LIVE)
    window.commands.record()
    qtbot.waitUntil(lambda: window.state.recording.frames > 5)
    begin = time.perf_counter()
    window.close()
    assert time.perf_counter() - begin < 1
    assert world.sinks[0].closed
    lines = (tmp_path / "take_0" / "poses.jsonl").read_text().splitlines()
    assert len(lines) == len(world.sinks[0].results)
    assert not [t for t in threading.enumerate() if t.name.startswith("xnect-")]


def test_the_command_lines_output_is_recorded_from_the_first_frame(window, qtbot, world, tmp_path):
    from xnect.config import OutputConfig

    world.frames = 40
    window.start(
        [SourceRequest("video", "a.mp4", title="a.mp4"), SourceRequest("video", "b.mp4", title="b.mp4")],
        OutputConfig(directory=str(tmp_path / "out"), formats=("jsonl",)),
    )
    qtbot.waitUntil(lambda: len(world.sinks) == 2 and world.sinks[1].closed)
    assert [len(s.results) for s in world.sinks] == [40, 40]
    assert (tmp_path / "out" / "a" / "poses.jsonl").is_file()
    assert (tmp_path / "out" / "b" / "poses.jsonl").is_file()


def test_signals_close_the_window_and_tell_their_code(window, qtbot, world):
    import signal

    from xnect.gui import app

    window.open_source(LIVE)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    window.commands.record()
    qtbot.waitUntil(lambda: window.state.recording.frames > 2)
    undo = app.hear_signals(window)
    try:
        signal.raise_signal(signal.SIGTERM)
        qtbot.waitUntil(lambda: not window.isVisible())
    finally:
        assert undo() == 143
    assert world.sinks[0].closed
