"""Menus and shortcuts from the table of keys, and the rule that leaves keys to fields being typed into."""

from __future__ import annotations

from collections.abc import Callable

from PyQt5.QtCore import QObject, Qt
from PyQt5.QtGui import QKeyEvent, QKeySequence
from PyQt5.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QAction,
    QComboBox,
    QLineEdit,
    QMainWindow,
    QMenu,
)

from xnect.gui.keys import KEYS, MENUS, Key
from xnect.gui.text import tr

_MOVES = {Qt.Key_Left, Qt.Key_Right, Qt.Key_Up, Qt.Key_Down, Qt.Key_Home, Qt.Key_End, Qt.Key_PageUp, Qt.Key_PageDown}
_PRESSES = {Qt.Key_Space}


def is_wanted_by(widget: QObject | None, event: QKeyEvent) -> bool:
    """Whether the focused field needs a key itself: letters while typing, arrows in sliders and tables.

    Buttons take Space only as they do when reached by Tab; a clicked button has no focus (see ``calm_buttons``), so
    Space never turns into a second click.
    """
    if event.modifiers() & (Qt.ControlModifier | Qt.AltModifier | Qt.MetaModifier):
        return False
    key = event.key()
    if isinstance(widget, QLineEdit | QAbstractSpinBox) or (isinstance(widget, QComboBox) and widget.isEditable()):
        return key not in (Qt.Key_Escape, Qt.Key_Tab, Qt.Key_Backtab, Qt.Key_F1, Qt.Key_F11)
    if isinstance(widget, QAbstractSlider | QAbstractItemView | QComboBox):
        return key in _MOVES | _PRESSES
    return isinstance(widget, QAbstractButton) and key in _PRESSES


def calm_buttons(window: QMainWindow) -> None:
    """Buttons and lists to choose from are reached by Tab, but do not keep the focus when clicked."""
    for widget in window.findChildren(QAbstractButton) + window.findChildren(QComboBox):
        editable = isinstance(widget, QComboBox) and widget.isEditable()
        if widget.focusPolicy() != Qt.NoFocus and not editable:
            widget.setFocusPolicy(Qt.TabFocus)


def default_keys(key: Key) -> list[QKeySequence]:
    """The key sequences of the table; Tab is the views' own (elsewhere it walks the fields)."""
    return [QKeySequence(k) for k in key.keys if k != "Tab"]


def build(window: QMainWindow, run: Callable[[str], None]) -> tuple[dict[str, QAction], dict[str, QMenu]]:
    """Make all actions and menus.

    Args:
        window: Gets the menu bar and the shortcuts.
        run: Called with the name of the action that the user chose.

    Returns:
        Actions and menus by name.
    """
    menus = {name: window.menuBar().addMenu(tr(name)) for name in MENUS}
    actions: dict[str, QAction] = {}
    for key in KEYS:
        action = QAction(tr(key.text), window)
        action.setObjectName(key.action)
        action.setShortcuts(default_keys(key))
        action.setCheckable(key.checkable)
        action.setMenuRole(QAction.NoRole)
        action.triggered.connect(lambda _checked=False, name=key.action: run(name))
        menus[key.menu].addAction(action)
        window.addAction(action)  # keys work where the menu bar is hidden, as in full screen
        actions[key.action] = action
    return actions, menus
