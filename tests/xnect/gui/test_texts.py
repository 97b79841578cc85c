"""Words and keys: everything on the screen can be translated, keys can be changed, choices of the View menu act."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("PyQt5")
from PyQt5.QtCore import QCoreApplication, Qt, QTranslator
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import (
    QAbstractButton,
    QAction,
    QComboBox,
    QDockWidget,
    QGroupBox,
    QLabel,
    QMenu,
    QTableWidget,
    QWidget,
)

from xnect.gui.parts import SourceRequest
from xnect.gui.views.assistant import Assistant
from xnect.gui.views.key_editor import KeyEditor

pytestmark = pytest.mark.gui

FILE = SourceRequest("video", "clip.mp4", title="clip.mp4")


class Marks(QTranslator):
    """A language in which every text stands between marks."""

    def translate(self, context, source, disambiguation=None, n=-1):
        return f"«{source}»" if context == "xnect" else ""

    def isEmpty(self):
        return False


@pytest.fixture
def marked(qapp):
    language = Marks()
    QCoreApplication.installTranslator(language)
    yield
    QCoreApplication.removeTranslator(language)


#: What is no word: numbers with units, signs, names of files, formats, devices and palettes.
_NAMES = re.compile(
    r"^(Fake Cam|Other Cam|clip\.mp4.*|fp32|bf16|fp16|int8|XNect|OpenPose|MMPose|MediaPipe|[^A-Za-z]*"
    r"|\d[\d.]* ?(s|m|x \d+)|\d:\d\d.*|#\d+)$"
)


def own_texts(widget: QWidget) -> list[str]:
    """What stands on one widget."""
    if isinstance(widget, QLabel | QAbstractButton):
        return [widget.text()]
    if isinstance(widget, QComboBox):
        return [widget.itemText(i) for i in range(widget.count())]
    if isinstance(widget, QDockWidget):
        return [widget.windowTitle()]
    if isinstance(widget, QGroupBox):
        return [widget.title()]
    if isinstance(widget, QTableWidget):
        return [widget.horizontalHeaderItem(i).text() for i in range(widget.columnCount())]
    return []


def texts(root: QWidget):
    """Every text that a user can read in a widget and below."""
    for widget in [root, *root.findChildren(QWidget)]:
        if not widget.objectName().startswith("qt_"):  # those are Qt's own
            for text in [widget.toolTip(), *own_texts(widget)]:
                yield widget, text
    for action in root.findChildren(QAction):
        yield action, action.text()


def test_every_text_goes_through_the_translator(marked, world, settings, tmp_path, qtbot, wait):
    from xnect.config import PipelineConfig
    from xnect.gui.main_window import MainWindow

    window = MainWindow(world.parts(), PipelineConfig(), tmp_path, ("jsonl",), settings, False)
    window.ask = False
    qtbot.addWidget(window)
    window.show()
    window.begin(PipelineConfig())
    window.open_source(FILE)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    assistant = Assistant(window.state, window.views.controls, tmp_path, window)
    editor = KeyEditor(window.actions_by_name, settings, window)
    found = {(type(widget).__name__, text) for root in (window, assistant, editor) for widget, text in texts(root)}
    bare = {(kind, text) for kind, text in found if "«" not in text and not _NAMES.match(text)}
    window.close()
    wait(lambda: not window.engine.alive)
    assert not bare
    assert len(found) > 200


def test_a_changed_key_acts_is_remembered_and_shown(window, qtbot, settings, world):
    window.open_source(FILE)
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    window.commands.run("edit_keys")
    editor = window.findChild(KeyEditor)
    field = editor.fields["toggle_grid"]
    field.setKeySequence(QKeySequence("Y"))
    field.editingFinished.emit()
    editor.fields["toggle_ids"].setKeySequence(QKeySequence("Y"))
    editor.fields["toggle_ids"].editingFinished.emit()
    assert "taken" in editor.note.text()
    assert editor.fields["toggle_ids"].keySequence() == QKeySequence("I")
    editor.close()
    qtbot.keyClick(window.views.camera, Qt.Key_Y)
    assert not window.state.options.grid
    qtbot.keyClick(window.views.camera, Qt.Key_G)
    assert not window.state.options.grid, "the old key is free"
    window.commands.run("help")
    assert "<b>Y</b>" in window.views.help.text()
    window.commands.run("help")
    assert settings.value("keys/toggle_grid") == "Y"
    editor.reset()
    qtbot.keyClick(window.views.camera, Qt.Key_G)
    assert window.state.options.grid
    assert not settings.contains("keys/toggle_grid")


def test_choices_of_the_view_menu_act_and_are_remembered(window, qtbot, settings):
    def choose(menu: str, entry: str) -> None:
        found = window.findChild(QMenu, menu)
        next(a for a in found.actions() if a.text() == entry).trigger()

    choose("palette", "OpenPose")
    assert window.state.options.palette == "OpenPose"
    assert settings.value("palette") == "OpenPose"
    choose("map_joint", "left wrist")
    assert window.state.options.map_joint == 7
    next(a for a in window.findChildren(QAction) if a.text() == "Boxes round people").trigger()
    assert not window.state.options.boxes


def test_a_folder_of_pictures_is_opened_from_the_menu(window, qtbot, tmp_path, monkeypatch, world):
    folder = tmp_path / "shots"
    folder.mkdir()
    monkeypatch.setattr("xnect.gui.commands.QFileDialog.getExistingDirectory", lambda *a: str(folder))
    window.actions_by_name["open_folder"].trigger()
    qtbot.waitUntil(lambda: bool(world.opened))
    assert (world.opened[-1].kind, world.opened[-1].spec) == ("images", str(folder))
