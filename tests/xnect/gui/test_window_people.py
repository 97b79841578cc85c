"""People in the real window: chosen, named, hidden, joined; measured by the assistant."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("PyQt5")
from PyQt5.QtCore import QPoint, Qt
from window_robot import LIVE, key, paused

pytestmark = pytest.mark.gui


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
