"""Sources under the real window: files with their time line, cameras, drops, faults."""

from __future__ import annotations

import pytest

pytest.importorskip("PyQt5")
from PyQt5.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PyQt5.QtGui import QDropEvent
from window_robot import FILE, LIVE, key, paused

from xnect.gui.parts import SourceRequest

pytestmark = pytest.mark.gui


def test_space_arrows_home_and_the_slider(playing, qtbot):
    window, state = playing, playing.state
    paused(qtbot, window)
    index = state.shown.result.index
    key(qtbot, window, Qt.Key_Right)
    qtbot.waitUntil(lambda: state.shown.result.index == index + 1)
    key(qtbot, window, Qt.Key_Left)
    qtbot.waitUntil(lambda: state.shown.result.index == index)
    key(qtbot, window, Qt.Key_Home)
    qtbot.waitUntil(lambda: state.shown.result.index == 0)
    key(qtbot, window, Qt.Key_Right, Qt.ControlModifier)
    qtbot.waitUntil(lambda: state.shown.result.index == 30)
    slider = window.views.transport.slider
    qtbot.mouseClick(slider, Qt.LeftButton, pos=QPoint(slider.width() // 4, slider.height() // 2))
    qtbot.waitUntil(lambda: abs(state.playback.position_s - 2.5) < 0.3)
    assert not state.playback.playing
    key(qtbot, window, Qt.Key_End)
    qtbot.waitUntil(lambda: state.shown.result.index >= 298)
    key(qtbot, window, Qt.Key_Space)
    qtbot.waitUntil(lambda: state.playback.ended)
    key(qtbot, window, Qt.Key_Space)
    qtbot.waitUntil(lambda: state.shown.result.index < 100 and state.playback.playing)


def test_speed_and_loop(playing, qtbot, world):
    window = playing
    world.frames = 60
    window.open_source(FILE)
    qtbot.waitUntil(window.views.transport.loop.isEnabled)
    window.views.transport.loop.click()
    window.views.transport.speed.setCurrentIndex(5)
    qtbot.wait(50)
    qtbot.waitUntil(lambda: world.pipelines[-1].seen.count(40) >= 2)
    assert not window.state.playback.ended


def test_threshold_keys_and_sliders_reach_the_pipeline(playing, qtbot, world):
    window = playing
    before = world.pipelines[-1].config.detection.peak_threshold
    key(qtbot, window, Qt.Key_BracketRight)
    qtbot.waitUntil(lambda: world.pipelines[-1].config.detection.peak_threshold == pytest.approx(before + 0.02))
    row = window.views.controls.rows["detection.max_people"]
    row.field.setValue(1)
    qtbot.waitUntil(lambda: len(window.state.visible_people()) == 1)
    qtbot.mouseClick(window.views.controls.defaults, Qt.LeftButton)
    qtbot.waitUntil(lambda: len(window.state.visible_people()) == 2)
    assert row.field.value() == 10
    height = window.views.controls.rows["fit.height_m"]
    height.known.click()
    height.field.setValue(183)
    qtbot.waitUntil(lambda: world.pipelines[-1].config.fit.height_m == pytest.approx(1.83))


def test_another_input_size_loads_the_network_again(playing, qtbot, world):
    window = playing
    box = window.views.controls.rows["network.input_size"]
    box.setCurrentIndex(0)
    box.activated.emit(0)
    qtbot.waitUntil(lambda: len(world.pipelines) == 2)
    assert world.pipelines[-1].config.network.input_size == (256, 160)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))


def test_a_crash_shows_a_dialog_and_can_be_mended(playing, qtbot, world):
    window = playing
    window.open_source(LIVE)
    window.commands.record()
    qtbot.waitUntil(lambda: window.state.recording.frames > 3)
    world.fault = RuntimeError("the card fell out")
    qtbot.waitUntil(lambda: window.dialog is not None)
    assert "the card fell out" in window.dialog.informativeText()
    qtbot.waitUntil(lambda: world.sinks[0].closed)
    world.fault = None
    again = next(b for b in window.dialog.buttons() if "again" in b.text())
    again.click()
    qtbot.waitUntil(lambda: len(world.pipelines) == 2)
    index = window.state.shown.result.index
    qtbot.waitUntil(lambda: window.state.shown.result.index > index + 2)


def test_switching_to_a_missing_file_says_so_and_back(playing, qtbot):
    window = playing
    window.open_source(SourceRequest("video", "missing.mp4", title="missing.mp4"))
    qtbot.waitUntil(lambda: window.dialog is not None)
    assert "missing.mp4" in window.dialog.informativeText()
    window.dialog.close()
    window.open_source(FILE)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    assert "clip.mp4" in window.windowTitle()


def test_cameras_by_name_open_and_are_looked_for_when_lost(window, qtbot, world):
    box = window.views.source.cameras
    qtbot.waitUntil(lambda: box.count() == 3)
    box.setCurrentIndex(1)
    box.activated.emit(1)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    assert world.opened[-1].spec == "Fake Cam"
    assert not window.views.transport.slider.isVisible(), "a camera has no time line"
    world.unplugged.set()
    qtbot.waitUntil(lambda: "Fake Cam is lost" in window.views.notice.text)
    before = window.state.shown.result.index
    world.unplugged.clear()
    qtbot.waitUntil(lambda: window.state.shown.result.index > before)
    qtbot.waitUntil(lambda: "is back" in window.views.notice.text)


def test_space_freezes_a_live_view_while_recording_goes_on(window, qtbot, world):
    window.open_source(LIVE)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    window.commands.record()
    qtbot.waitUntil(lambda: window.state.recording.frames > 2)
    key(qtbot, window, Qt.Key_Space)
    index, frames = window.state.shown.result.index, window.state.recording.frames
    qtbot.waitUntil(lambda: window.state.recording.frames > frames + 5)
    assert window.state.shown.result.index == index
    key(qtbot, window, Qt.Key_Left)
    assert window.state.shown.result.index < index
    key(qtbot, window, Qt.Key_Space)
    qtbot.waitUntil(lambda: window.state.shown.result.index > index + 5)


def test_files_can_be_dropped(window, qtbot, tmp_path, world):
    path = tmp_path / "näme with space.mp4"
    path.write_bytes(b"x")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(QPointF(50, 50), Qt.CopyAction, data, Qt.LeftButton, Qt.NoModifier)
    window.dropEvent(event)
    qtbot.waitUntil(lambda: bool(world.opened))
    assert world.opened[-1].spec == str(path)
    qtbot.waitUntil(lambda: window.state.source.title == path.name)
