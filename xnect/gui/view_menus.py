"""The choices of the View menu: which parts are shown, whose heat map, which colours (remembered)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt5.QtWidgets import QAction, QActionGroup, QMenu

from xnect.gui.palette import PALETTES
from xnect.gui.text import tr
from xnect.skeleton.joints import JOINTS_2D

if TYPE_CHECKING:
    from xnect.gui.main_window import MainWindow

#: The palette of light ground is taken by itself.
CHOICES = tuple(name for name in PALETTES if name != "XNect on light")


def fill(window: MainWindow) -> None:
    """Append to the View menu what is chosen there and has no key."""
    menu, options = window.menus["View"], window.state.options
    saved = str(window.settings.value("palette", ""))
    options.palette = saved if saved in CHOICES else options.palette
    menu.addSeparator()
    _choice(window, tr("Colours of limbs"), "palette", [(name, name) for name in CHOICES])
    joints = [(i, tr(name.replace("_", " "))) for i, name in enumerate(JOINTS_2D)]
    _choice(window, tr("Heat map of"), "map_joint", [(-1, tr("all joints")), *joints])
    details = menu.addMenu(tr("Details"))
    for option, text in (
        ("boxes", tr("Boxes round people")), ("confidence", tr("Larger dots for surer joints")),
        ("frustum", tr("3D view: what the camera sees")),
    ):  # fmt: skip
        action = details.addAction(text)
        action.setCheckable(True)
        action.setChecked(getattr(options, option))
        action.toggled.connect(lambda on, name=option: _set(window, name, on))
    parts = menu.addMenu(tr("Parts of the window"))
    for dock in window.views.docks.values():
        parts.addAction(dock.toggleViewAction())


def _choice(window: MainWindow, title: str, option: str, values: list[tuple[object, str]]) -> None:
    """A submenu of which one entry is ticked."""
    menu = QMenu(title, window)
    menu.setObjectName(option)
    group = QActionGroup(menu)
    for value, name in values:
        action = QAction(name, group)
        action.setCheckable(True)
        action.setChecked(getattr(window.state.options, option) == value)
        action.triggered.connect(lambda _on=False, v=value: _set(window, option, v))
        menu.addAction(action)
    window.menus["View"].addMenu(menu)


def _set(window: MainWindow, option: str, value: object) -> None:
    setattr(window.state.options, option, value)
    if option == "palette":
        window.settings.setValue("palette", value)
    window.refresh_all()
