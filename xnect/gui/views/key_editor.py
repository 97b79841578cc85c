"""A dialog in which the keys can be changed; what is changed is remembered."""

from __future__ import annotations

from PyQt5.QtCore import QSettings
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import (
    QAction,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from xnect.gui.actions import default_keys
from xnect.gui.keys import KEYS
from xnect.gui.text import tr

_EDITABLE = tuple(key for key in KEYS if key.keys != ("Tab",))


def restore(actions: dict[str, QAction], settings: QSettings) -> None:
    """Put the remembered keys onto the actions; what cannot be a key leaves the action as it was."""
    for key in _EDITABLE:
        saved = settings.value(f"keys/{key.action}")
        if isinstance(saved, str) and (saved == "" or not QKeySequence(saved).isEmpty()):
            actions[key.action].setShortcuts([QKeySequence(saved)] if saved else [])


class KeyEditor(QDialog):
    """One row an action; a key that is taken already is refused."""

    def __init__(self, actions: dict[str, QAction], settings: QSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Keys"))
        self.resize(520, 560)
        self._actions, self._settings = actions, settings
        self.table = QTableWidget(len(_EDITABLE), 2)
        self.table.setHorizontalHeaderLabels([tr("Action"), tr("Key")])
        self.table.verticalHeader().hide()
        self.table.setSelectionMode(QTableWidget.NoSelection)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.Stretch)
        self.table.setColumnWidth(1, 170)
        self.fields: dict[str, QKeySequenceEdit] = {}
        for row, key in enumerate(_EDITABLE):
            item = QTableWidgetItem(tr(key.text))
            item.setFlags(item.flags() & ~2)  # not to be edited
            self.table.setItem(row, 0, item)
            field = QKeySequenceEdit()
            field.setToolTip(tr("Click, then press the key; Backspace takes it away"))
            field.editingFinished.connect(lambda name=key.action: self._changed(name))
            self.fields[key.action] = field
            self.table.setCellWidget(row, 1, field)
        self.note = QLabel("")
        self.note.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.Close)
        self.defaults = buttons.addButton(tr("Defaults"), QDialogButtonBox.ResetRole)
        self.defaults.clicked.connect(self.reset)
        buttons.rejected.connect(self.close)
        column = QVBoxLayout(self)
        for widget in (self.table, self.note, buttons):
            column.addWidget(widget)
        self._show()

    def _show(self) -> None:
        for name, field in self.fields.items():
            field.blockSignals(True)
            field.setKeySequence(self._actions[name].shortcut())
            field.blockSignals(False)

    def _changed(self, name: str) -> None:
        wanted = QKeySequence(self.fields[name].keySequence()[0]) if self.fields[name].keySequence() else QKeySequence()
        if wanted.toString() == "Backspace":
            wanted = QKeySequence()
        if wanted == self._actions[name].shortcut():
            self._show()
            return
        for other, action in self._actions.items():
            if other != name and not wanted.isEmpty() and wanted in action.shortcuts():
                text = tr("{key} is taken by: {action}")
                self.note.setText(text.format(key=wanted.toString(QKeySequence.NativeText), action=action.text()))
                self._show()
                return
        self.note.setText("")
        self._actions[name].setShortcuts([] if wanted.isEmpty() else [wanted])
        self._settings.setValue(f"keys/{name}", wanted.toString())
        self._show()

    def reset(self) -> None:
        """All keys as they were at first."""
        self._settings.remove("keys")
        for key in _EDITABLE:
            self._actions[key.action].setShortcuts(default_keys(key))
        self.note.setText("")
        self._show()
