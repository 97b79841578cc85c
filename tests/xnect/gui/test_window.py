"""The real window, driven by mouse and keyboard, over a world without camera and network."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

pytest.importorskip("PyQt5")
from PyQt5.QtCore import QEvent, QMimeData, QPoint, QPointF, QSettings, Qt, QUrl
from PyQt5.QtGui import QDropEvent, QMouseEvent
from PyQt5.QtWidgets import QApplication

from xnect.config import PipelineConfig
from xnect.gui.parts import SourceRequest
from xnect.gui.state import SourceInfo

pytestmark = pytest.mark.gui

FILE = SourceRequest("video", "clip.mp4", title="clip.mp4")
LIVE = SourceRequest("camera", "Fake Cam", title="Fake Cam")


@pytest.fixture
def playing(window, qtbot):
    """The window with a file playing and people found."""
    window.parts_world.frames = 300
    window.open_source(FILE)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    return window


def key(qtbot, window, key, modifier=Qt.NoModifier):
    qtbot.keyClick(window.views.camera, key, modifier)


def paused(qtbot, window):
    """Pause, and wait until what was under way has arrived and is drawn."""
    key(qtbot, window, Qt.Key_Space)
    assert not window.state.playback.playing
    last = None
    while last != (last := window.state.shown.result.index):
        qtbot.wait(300)


def picture_of(view) -> np.ndarray:
    """A widget's pixels, uint8 (H, W, 3) RGB."""
    image = view.grab().toImage().convertToFormat(4)
    pointer = image.bits()
    pointer.setsize(image.byteCount())
    return np.frombuffer(pointer, np.uint8).reshape(image.height(), image.width(), 4)[..., 2::-1].copy()


def colours_near(image: np.ndarray, point, rgb, reach=3) -> bool:
    """Whether a colour is found around a point."""
    x, y = (round(float(c)) for c in point)
    patch = image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].astype(int)
    return bool((np.abs(patch - rgb).sum(-1) < 60).any())


def test_the_window_opens_before_the_network_is_loaded(world, settings, tmp_path, qtbot):
    from xnect.gui.main_window import MainWindow

    world.load_s = 0.5
    window = MainWindow(world.parts(), PipelineConfig(), tmp_path, ("jsonl",), settings, False)
    window.ask = False
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    window.begin(PipelineConfig())
    qtbot.waitUntil(lambda: "network" in window.views.notice.text, timeout=2000)
    assert window.views.notice.isVisible()
    qtbot.waitUntil(lambda: not window.views.notice.isVisible(), timeout=3000)
    assert window.engine.ready
    window.close()


def test_skeletons_lie_on_the_people(playing, qtbot):
    window = playing
    paused(qtbot, window)
    view = window.views.camera
    image = picture_of(view)
    person = window.state.visible_people()[0]
    knees = view.to_widget(person.joints_2d[[9, 12]].astype(float))
    assert colours_near(image, knees[0], (230, 159, 0)), "the right knee is orange"
    assert colours_near(image, knees[1], (86, 180, 233)), "the left knee is blue"
    corner = view.picture_rect().topLeft() + QPointF(4, 4)
    index = window.state.shown.result.index
    assert colours_near(image, (corner.x(), corner.y()), (30, 40 + index % 100, 60)), "the picture itself"


def test_mirror_flips_the_picture_and_keeps_the_sides(playing, qtbot):
    window = playing
    paused(qtbot, window)
    view, person = window.views.camera, window.state.visible_people()[0]
    plain = view.to_widget(person.joints_2d[9].astype(float))
    key(qtbot, window, Qt.Key_M)
    assert window.views.source.mirror.isChecked()
    mirrored = view.to_widget(person.joints_2d[9].astype(float))
    rect = view.picture_rect()
    assert plain[0] - rect.left() == pytest.approx(rect.right() - mirrored[0], abs=1.5)
    assert colours_near(picture_of(view), mirrored, (230, 159, 0))
    qtbot.mouseClick(window.views.source.mirror, Qt.LeftButton, pos=QPoint(8, 8))
    assert not window.state.options.mirror


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


def test_letters_do_nothing_while_typing(playing, qtbot):
    window = playing
    field = window.views.controls.rows["network.weights"].field
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    qtbot.keyClicks(field, "mrs 1")
    assert field.text() == "mrs 1"
    assert not window.state.options.mirror
    assert window.state.recording.phase == "idle"
    assert window.state.playback.playing
    field.clear()
    window.views.camera.setFocus()


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


def test_click_selects_tab_walks_and_the_list_follows(playing, qtbot):
    window = playing
    paused(qtbot, window)
    view = window.views.camera
    second = window.state.visible_people()[1]
    middle = view.to_widget(second.box.reshape(2, 2).mean(0).astype(float))
    qtbot.mouseClick(view, Qt.LeftButton, pos=QPoint(*(int(c) for c in middle)))
    assert window.state.selected == 2
    qtbot.waitUntil(lambda: window.views.people.chosen() == [2])
    key(qtbot, window, Qt.Key_Tab)
    assert window.state.selected == 1
    qtbot.mouseClick(view, Qt.LeftButton, pos=QPoint(3, 3))
    assert window.state.selected is None


def test_rename_hide_and_solo(playing, qtbot):
    window = playing
    people = window.views.people
    qtbot.waitUntil(lambda: people.table.rowCount() == 2)
    people.table.item(0, 0).setText("Anna")
    assert window.state.people.entries[1].title == "Anna"
    people.table.item(1, 1).setCheckState(Qt.Unchecked)
    assert [p.id for p in window.state.visible_people()] == [1]
    people.table.item(1, 1).setCheckState(Qt.Checked)
    people.table.selectRow(1)
    qtbot.mouseClick(people.solo, Qt.LeftButton)
    assert [p.id for p in window.state.visible_people()] == [2]
    qtbot.mouseClick(people.solo, Qt.LeftButton)
    assert len(window.state.visible_people()) == 2


def test_join_two_rows_on_the_running_picture(playing, qtbot):
    window = playing
    people = window.views.people
    qtbot.waitUntil(lambda: people.table.rowCount() == 2)
    people.table.selectAll()
    assert people.join.isEnabled()
    qtbot.mouseClick(people.join, Qt.LeftButton)
    qtbot.waitUntil(lambda: [p.id for p in window.state.visible_people()] == [1])
    qtbot.waitUntil(lambda: people.table.rowCount() == 1)


def test_views_hide_and_come_back(playing, qtbot):
    window, docks = playing, playing.views.docks
    key(qtbot, window, Qt.Key_2)
    assert not docks["camera"].isVisible()
    assert docks["scene"].isVisible()
    key_target = window.views.scene
    qtbot.keyClick(key_target, Qt.Key_1)
    assert docks["camera"].isVisible()
    assert not docks["scene"].isVisible()
    qtbot.keyClick(window.views.camera, Qt.Key_3)
    assert docks["scene"].isVisible()


def test_heat_maps_change_the_picture(playing, qtbot):
    window = playing
    paused(qtbot, window)
    before = picture_of(window.views.camera)
    key(qtbot, window, Qt.Key_4)
    qtbot.wait(50)
    after = picture_of(window.views.camera)
    assert np.abs(before.astype(int) - after).mean() > 5
    person = window.state.visible_people()[0]
    head = window.views.camera.to_widget(person.joints_2d[0].astype(float))
    patch = after[int(head[1]) - 14 : int(head[1]) - 8, int(head[0]) - 3 : int(head[0]) + 3].astype(int)
    assert (patch[..., 0] > patch[..., 2] + 30).any(), "warm colours around the head"


@pytest.mark.parametrize("opengl", [True])
def test_the_3d_view_draws_turns_and_follows(playing, qtbot):
    window = playing
    scene = window.views.scene
    paused(qtbot, window)
    first = picture_of(scene.canvas)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 20, "something is drawn"
    azimuth = scene.orbit.azimuth
    middle = QPoint(scene.canvas.width() // 2, scene.canvas.height() // 2)
    qtbot.mousePress(scene.canvas, Qt.LeftButton, pos=middle)
    move = QMouseEvent(QEvent.MouseMove, QPointF(middle + QPoint(60, 10)), Qt.NoButton, Qt.LeftButton, Qt.NoModifier)
    QApplication.sendEvent(scene.canvas, move)  # Qt's robot moves the real pointer, which an empty screen ignores
    qtbot.mouseRelease(scene.canvas, Qt.LeftButton, pos=middle + QPoint(60, 10))
    assert scene.orbit.azimuth != azimuth
    key(qtbot, window, Qt.Key_7)
    assert scene.orbit.elevation > 89
    window.state.selected = 2
    scene.follow_button.click()
    assert window.state.follow == 2


def test_plots_save_tables_and_pictures(playing, qtbot, tmp_path):
    window = playing
    plots = window.views.plots
    qtbot.waitUntil(lambda: plots.choice.findData("angle:left_elbow_flexion") >= 0)
    plots.choose("angle:left_elbow_flexion")
    qtbot.waitUntil(lambda: plots.reading.text().endswith("deg"))
    plots.choose("height:left_wrist")
    qtbot.wait(500)
    plots.save(tmp_path / "curve.csv")
    rows = (tmp_path / "curve.csv").read_text().splitlines()
    assert rows[0] == "time_s,person,height:left_wrist,unit"
    assert len(rows) > 10
    values = np.array([float(r.split(",")[2]) for r in rows[1:]])
    assert np.ptp(values) > 0.05
    plots.save(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 500
    assert plots.reading.text().endswith("m")


def test_settings_save_and_load(window, qtbot, tmp_path, world):
    window.views.controls.set_value("detection.max_people", 3)
    from xnect.gui import settings

    settings.save(tmp_path / "mine.toml", window.views.controls.config)
    window.views.controls.reset()
    window.load_settings(tmp_path / "mine.toml")
    assert window.views.controls.config.detection.max_people == 3
    (tmp_path / "bad.toml").write_text("[detection]\nmax_persons = 3\n")
    window.load_settings(tmp_path / "bad.toml")
    assert "max_persons" in window.views.notice.text
    assert "did you mean" in window.views.notice.text


def test_help_lists_every_key_and_closes(playing, qtbot):
    window = playing
    key(qtbot, window, Qt.Key_F1)
    page = window.views.help
    assert page.isVisible()
    assert "Start or stop recording" in page.text()
    qtbot.keyClick(page, Qt.Key_Escape)
    assert not page.isVisible()


def test_theme_and_layout_are_remembered(world, settings, tmp_path, qtbot):
    from xnect.gui.main_window import MainWindow

    def make():
        made = MainWindow(world.parts(), PipelineConfig(), tmp_path, ("jsonl",), settings, False)
        made.ask = False
        qtbot.addWidget(made)
        made.show()
        qtbot.waitExposed(made)
        return made

    first = make()
    first.commands.run("toggle_theme")
    first.views.docks["plots"].hide()
    first.close()
    second = make()
    assert second.state.options.theme == "light"
    assert not second.views.docks["plots"].isVisible()
    second.commands.run("reset_layout")
    assert second.views.docks["plots"].isVisible()
    second.close()


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


def test_nothing_open_and_every_key_is_harmless(window, qtbot, monkeypatch):
    from xnect.gui.keys import KEYS

    monkeypatch.setattr("xnect.gui.commands.QFileDialog.getExistingDirectory", lambda *a, **k: "")
    monkeypatch.setattr("xnect.gui.commands.QFileDialog.getOpenFileName", lambda *a, **k: ("", ""))
    monkeypatch.setattr("xnect.gui.commands.QFileDialog.getSaveFileName", lambda *a, **k: ("", ""))
    monkeypatch.setattr("xnect.gui.commands.QInputDialog.getText", lambda *a, **k: ("", False))
    monkeypatch.setattr("xnect.gui.commands.QMessageBox.about", lambda *a, **k: None)
    for entry in KEYS:
        if entry.action not in ("quit", "leave", "calibrate", "open_camera"):
            window.commands.run(entry.action)
            assert hasattr(window.commands, entry.action)
    assert window.state.source == SourceInfo()
    window.commands.help()
    if window.isFullScreen():
        window.commands.full_screen()


def test_escape_leaves_full_screen_first(playing, qtbot):
    window = playing
    key(qtbot, window, Qt.Key_F)
    assert window.isFullScreen()
    assert not window.menuBar().isVisible()
    key(qtbot, window, Qt.Key_Escape)
    assert not window.isFullScreen()
    assert window.isVisible()


def test_the_event_loop_is_never_held_up(window, qtbot, world):
    """A timer in the window's thread keeps its beat while the network loads and computes."""
    from PyQt5.QtCore import QTimer

    world.load_s, world.cost_s = 0.3, 0.05
    beats, control, stop = [time.perf_counter()], [time.perf_counter()], threading.Event()

    def beat_apart():
        while not stop.wait(0.01):
            control.append(time.perf_counter())

    apart = threading.Thread(target=beat_apart)
    apart.start()
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start(10)
    window.engine.load(PipelineConfig())
    window.open_source(LIVE)
    qtbot.wait(1500)
    timer.stop()
    stop.set()
    apart.join()
    if np.diff(control).max() > 0.2 or os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip("the machine is too busy to tell")
    assert np.diff(beats).max() < 0.5
    assert np.median(np.diff(beats)) < 0.1


def test_opens_at_1280x800_with_nothing_cut(playing, qtbot):
    window = playing
    window.resize(1280, 800)
    qtbot.wait(100)
    assert window.width() <= 1280
    assert window.height() <= 800
    for bar in (window.views.source, window.views.transport, window.views.recording):
        assert bar.minimumSizeHint().width() <= bar.width()
    right = max(
        w.mapTo(window, w.rect().bottomRight()).x() for w in (window.views.recording.snapshot, window.views.people)
    )
    assert right <= window.width()


def test_settings_of_qt_are_read_from_where_the_test_says(settings):
    assert isinstance(settings, QSettings)


def test_without_opengl_the_scene_is_painted_and_says_so(playing, qtbot):
    from xnect.gui.views.scene_view import SceneView

    view = SceneView(playing.state, opengl=False)
    qtbot.addWidget(view)
    view.resize(500, 400)
    view.show()
    paused(qtbot, playing)
    view.preset("perspective")
    view.refresh()
    qtbot.wait(50)
    assert view.painted
    assert view.note.isVisible()
    image = picture_of(view.canvas)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50
    orange = np.abs(image.astype(int) - (230, 159, 0)).sum(-1) < 60
    blue = np.abs(image.astype(int) - (86, 180, 233)).sum(-1) < 60
    assert orange.sum() > 50
    assert blue.sum() > 50
    view.orbit.distance = 0.5  # in the middle of everything: what lies behind is cut off, nothing breaks
    view.refresh()
    qtbot.wait(30)
    assert picture_of(view.canvas).shape == image.shape


def test_the_assistant_measures_a_person_and_the_floor(playing, qtbot, world):
    window = playing
    window.views.transport.loop.click()
    window.commands.calibrate()
    dialog = window.assistant
    dialog.wait_field.setValue(0)
    dialog.height_field.setValue(1.64)
    dialog.distance_field.setValue(3.2)
    qtbot.mouseClick(dialog.person.button, Qt.LeftButton)
    qtbot.waitUntil(lambda: dialog.person.button.isEnabled())
    assert "Field of view" in dialog.person.outcome.text()
    fov = window.views.controls.config.camera.fov_deg
    assert fov == pytest.approx(60, abs=8), "the made-up camera has 60 degrees"
    assert window.views.controls.config.fit.height_m == pytest.approx(1.64)
    assert window.views.controls.rows["camera.fov_deg"].known.isChecked()
    dialog._measure(dialog.floor, 0.0, 0.3, dialog._floor_done)
    qtbot.waitUntil(lambda: dialog.floor.button.isEnabled())
    assert dialog.floor.outcome.text()
    dialog.close()


def test_the_assistant_finds_chessboards(window, qtbot, world, tmp_path):
    square = 30
    board = np.full((square * 6, square * 8), 230, np.uint8)
    for i in range(8):
        for j in range(6):
            if (i + j) % 2 == 0:
                board[j * square : (j + 1) * square, i * square : (i + 1) * square] = 20
    import cv2

    def picture(index):
        image = np.full((360, 640), 120, np.uint8)
        random_here = np.random.default_rng(index // 4)
        corners = np.float32([[0, 0], [240, 0], [240, 180], [0, 180]])
        shift = random_here.uniform(20, [320, 150])
        target = corners * random_here.uniform(0.7, 1.1) + shift + random_here.uniform(-25, 25, (4, 2))
        warp = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
        cv2.warpPerspective(board, warp, (640, 360), image, borderMode=cv2.BORDER_TRANSPARENT)
        return np.repeat(image[..., None], 3, 2)

    world.picture = picture
    world.fps = 15
    window.open_source(LIVE)
    qtbot.waitUntil(lambda: bool(window.state.shown))
    window.views.recording.set_folder(tmp_path)
    window.commands.calibrate()
    dialog = window.assistant
    dialog.tabs.setCurrentWidget(dialog.board)
    dialog.columns.setValue(7)
    dialog.rows.setValue(5)
    qtbot.mouseClick(dialog.board.button, Qt.LeftButton)
    qtbot.waitUntil(lambda: dialog.board.bar.value() >= 2, timeout=30000)
    dialog.close()
    qtbot.waitUntil(lambda: not [t for t in threading.enumerate() if t.name == "xnect-board"])


def test_errors_in_slots_show_a_dialog(window, qtbot, monkeypatch):
    import sys

    from xnect.gui import app

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    app.catch_errors(lambda *a: window.bridge.failed.emit(*a))
    sys.excepthook(ValueError, ValueError("a slot broke"), None)
    qtbot.waitUntil(lambda: window.dialog is not None)
    assert "a slot broke" in window.dialog.informativeText()
    assert "ValueError" in window.dialog.detailedText()
    copy = next(b for b in window.dialog.buttons() if "Copy" in b.text())
    copy.click()
    assert "a slot broke" in QApplication.clipboard().text()
    assert window.dialog.isVisible()
    window.dialog.close()


@pytest.mark.parametrize("opengl", [True])
def test_a_dock_can_float_and_come_back(playing, qtbot):
    window = playing
    dock = window.views.docks["scene"]
    dock.setFloating(True)
    qtbot.wait(200)
    qtbot.waitUntil(lambda: len(np.unique(picture_of(window.views.scene.canvas).reshape(-1, 3), axis=0)) > 20)
    dock.setFloating(False)
    qtbot.wait(200)
    index = window.state.shown.result.index
    qtbot.waitUntil(lambda: window.state.shown.result.index > index)


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
