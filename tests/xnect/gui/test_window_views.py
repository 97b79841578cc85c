"""What the views of the real window show: skeletons, mirror, maps, 3D, curves."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PyQt5")
from PyQt5.QtCore import QEvent, QPoint, QPointF, Qt
from PyQt5.QtGui import QMouseEvent
from PyQt5.QtWidgets import QApplication
from window_robot import colours_near, key, paused, picture_of

pytestmark = pytest.mark.gui


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
