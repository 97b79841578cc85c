"""People in the real window: chosen, named, hidden, joined; measured by the assistant."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

pytest.importorskip("PyQt5")
from PyQt5.QtCore import QPoint, Qt
from window_robot import LIVE, key, paused

from xnect.capture.board import Board, draw_board
from xnect.capture.calibration import read_calibration
from xnect.geometry import camera_from_fov

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


def board_pictures(board, camera, count=24):
    """The board as the camera sees it: all over the picture, tilted to all sides."""
    random, square = np.random.default_rng(3), 26
    flat = draw_board(board, square)
    to_m = np.diag([board.square_m / square, board.square_m / square, 1.0])
    half = np.array(board.squares) * board.square_m / 2
    for i in range(count):
        turn, _ = cv2.Rodrigues(random.uniform(-0.55, 0.55, 3))
        middle = (np.array([i % 4, i // 4 % 3]) / (3, 2) - 0.5) * (0.34, 0.18)
        place = np.array([*middle, random.uniform(0.5, 0.62)]) - turn @ [*half, 0]
        warp = camera.matrix_px @ np.stack([turn[:, 0], turn[:, 1], place], 1) @ to_m
        image = np.full(camera.size_px[::-1], 120, np.uint8)
        cv2.warpPerspective(flat, warp, camera.size_px, image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
        yield np.repeat(image[..., None], 3, 2)


def test_the_assistant_finds_the_lens_from_a_board(window, qtbot, world, tmp_path):
    truth = camera_from_fov((640, 360), 64)
    pictures = list(board_pictures(Board(), truth))
    window.commands.calibrate()
    dialog = window.assistant
    world.picture = lambda index: pictures[min(len(dialog._views), len(pictures) - 1)]
    window.open_source(LIVE)
    qtbot.waitUntil(lambda: bool(window.state.shown))
    dialog._folder = tmp_path
    dialog.tabs.setCurrentWidget(dialog.board)
    dialog.save_board(tmp_path / "board.pdf")
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")
    dialog.kind.setCurrentIndex(1)
    dialog.rows.setValue(7)
    qtbot.mouseClick(dialog.board.button, Qt.LeftButton)
    assert "upside down" in dialog.board.outcome.text(), "7x7 squares of a plain board"
    dialog.kind.setCurrentIndex(0)
    dialog.rows.setValue(5)
    qtbot.mouseClick(dialog.board.button, Qt.LeftButton)
    qtbot.waitUntil(dialog.board.button.isEnabled, timeout=120_000)
    assert "Field of view" in dialog.board.outcome.text()
    path = window.views.controls.config.camera.calibration
    found = read_calibration(path)
    assert found.size_px == truth.size_px
    np.testing.assert_allclose(np.diag(found.matrix_px), np.diag(truth.matrix_px), rtol=0.03)
    dialog.close()
    qtbot.waitUntil(lambda: not [t for t in threading.enumerate() if t.name == "xnect-board"])
