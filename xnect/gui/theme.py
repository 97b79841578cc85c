"""Dark and light look: Fusion style, a palette each, and a short style sheet for what a palette can't say."""

from __future__ import annotations

import getpass
import tempfile
from pathlib import Path

from PyQt5.QtCore import QPointF, Qt
from PyQt5.QtGui import QColor, QIcon, QPainter, QPalette, QPen, QPixmap, QPolygonF
from PyQt5.QtWidgets import QApplication

#: Role -> colour; the rest follows from these.
THEMES: dict[str, dict[str, str]] = {
    "dark": {
        "window": "#1f2329", "base": "#171a1f", "raised": "#2a2f37", "line": "#3a414c",
        "text": "#e6e9ee", "dim": "#98a2b0", "accent": "#3d9be9", "on_accent": "#08131e",
        "canvas": "#101216", "warn": "#e0a030", "record": "#e5484d",
    },
    "light": {
        "window": "#f3f4f6", "base": "#ffffff", "raised": "#e7e9ee", "line": "#c6cbd3",
        "text": "#1a1f26", "dim": "#5b6573", "accent": "#0a6fc2", "on_accent": "#ffffff",
        "canvas": "#e9ecf0", "warn": "#9a6200", "record": "#c62828",
    },
}  # fmt: skip

_SHEET = """
QToolTip {{ color: {text}; background: {raised}; border: 1px solid {line}; padding: 4px; }}
QDockWidget::title {{ background: {raised}; padding: 3px 8px; }}
QMainWindow::separator {{ background: {line}; width: 3px; height: 3px; }}
QMainWindow::separator:hover {{ background: {accent}; }}
QPushButton, QToolButton {{ padding: 3px 8px; border: 1px solid {line}; border-radius: 4px; background: {raised}; }}
QPushButton:hover, QToolButton:hover {{ border-color: {accent}; }}
QPushButton:focus, QToolButton:focus {{ border-color: {accent}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {line}; }}
QPushButton:checked, QToolButton:checked {{ background: {accent}; color: {on_accent}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {dim}; background: {window}; }}
QToolButton::menu-indicator {{ image: none; }}
QPushButton#record {{ font-weight: bold; }}
QPushButton#record:checked {{ background: {record}; color: white; border-color: {record}; }}
QToolTip, QMenu {{ border: 1px solid {line}; }}
QTableView {{ selection-background-color: {line}; selection-color: {text}; }}
QHeaderView::section {{ background: {raised}; color: {dim}; border: none; padding: 4px 4px; }}
QCheckBox::indicator, QTableView::indicator, QMenu::indicator {{ width: 13px; height: 13px; border: 1px solid {dim};
  border-radius: 3px; background: {base}; }}
QCheckBox::indicator:checked, QTableView::indicator:checked, QMenu::indicator:checked {{ background: {accent};
  border-color: {accent}; image: url({tick}); }}
QCheckBox::indicator:disabled {{ border-color: {line}; }}
QMenu::item {{ padding: 4px 26px 4px 28px; }}
QMenu::item:selected {{ background: {line}; }}
QMenu::item:disabled {{ color: {dim}; }}
QMenu::indicator {{ left: 7px; }}
QMenu::separator {{ height: 1px; background: {line}; margin: 3px 0; }}
QGroupBox {{ border: 1px solid {line}; border-radius: 5px; margin-top: 9px; padding-top: 6px; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 9px; padding: 0 4px; color: {dim}; }}
QLabel#dim {{ color: {dim}; }}
QLabel#warn {{ color: {warn}; }}
QLabel#clock {{ font-weight: bold; }}
QFrame#notice {{ background: {raised}; border: 1px solid {line}; border-radius: 5px; }}
QScrollArea {{ border: none; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
"""


def icon(name: str, theme: str, size: int = 16) -> QIcon:
    """A small sign in the theme's text colour: "play", "pause", "back", "forward"; sharp on every screen."""
    picture = QPixmap(size * 4, size * 4)
    picture.fill(Qt.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.Antialiasing)
    painter.scale(size * 4 / 16, size * 4 / 16)
    painter.setPen(Qt.NoPen)
    painter.setBrush(colour(theme, "text"))
    for shape in _SIGNS[name]:
        painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in shape]))
    painter.end()
    return QIcon(picture)


_SIGNS: dict[str, list[list[tuple[float, float]]]] = {
    "play": [[(4, 2), (14, 8), (4, 14)]],
    "pause": [[(3, 2), (7, 2), (7, 14), (3, 14)], [(9, 2), (13, 2), (13, 14), (9, 14)]],
    "back": [[(12, 2), (4, 8), (12, 14)], [(2, 2), (4, 2), (4, 14), (2, 14)]],
    "forward": [[(4, 2), (12, 8), (4, 14)], [(12, 2), (14, 2), (14, 14), (12, 14)]],
}


def _tick(shade: str) -> str:
    """Path of a tick drawn in a colour; style sheets take pictures from files only."""
    folder = Path(tempfile.gettempdir()) / f"xnect-{getpass.getuser()}"
    path = folder / f"tick{shade.strip('#')}.png"
    if not path.is_file():
        picture = QPixmap(26, 26)
        picture.fill(Qt.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(QPen(QColor(shade), 4, Qt.SolidLine, Qt.RoundCap, Qt.RoundJoin))
        painter.drawPolyline(QPolygonF([QPointF(5, 14), QPointF(11, 20), QPointF(21, 7)]))
        painter.end()
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(str(path), "PNG")
    return path.as_posix()


def colour(theme: str, role: str) -> QColor:
    """A colour of a theme."""
    return QColor(THEMES.get(theme, THEMES["dark"])[role])


def named(name: str) -> str:
    """The theme of that name, else the dark one."""
    return name if name in THEMES else "dark"


def apply(app: QApplication, theme: str) -> None:
    """Dress the whole program, unless it wears that already."""
    if app.property("xnect_theme") == theme:
        return
    if app.property("xnect_theme") is None:
        app.setStyle("Fusion")
    app.setProperty("xnect_theme", theme)
    c = THEMES[named(theme)]
    palette = QPalette()
    roles = {
        QPalette.Window: "window", QPalette.WindowText: "text", QPalette.Base: "base", QPalette.AlternateBase: "raised",
        QPalette.Text: "text", QPalette.Button: "raised", QPalette.ButtonText: "text", QPalette.BrightText: "record",
        QPalette.Highlight: "accent", QPalette.HighlightedText: "on_accent", QPalette.ToolTipBase: "raised",
        QPalette.ToolTipText: "text", QPalette.Link: "accent", QPalette.PlaceholderText: "dim",
    }  # fmt: skip
    for role, name in roles.items():
        palette.setColor(role, QColor(c[name]))
    for role in (QPalette.Text, QPalette.WindowText, QPalette.ButtonText):
        palette.setColor(QPalette.Disabled, role, QColor(c["dim"]))
    app.setPalette(palette)
    app.setStyleSheet(_SHEET.format(tick=_tick(c["on_accent"]), **c))
