"""The help overlay: every key, from the same table as the menus."""

from __future__ import annotations

from html import escape

from PyQt5.QtCore import Qt
from PyQt5.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPaintEvent
from PyQt5.QtWidgets import QAction, QLabel, QVBoxLayout, QWidget

from xnect.gui.keys import KEYS, MENUS
from xnect.gui.text import tr
from xnect.gui.theme import THEMES, colour


class HelpPage(QWidget):
    """Covers the window; any click or Esc closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = "dark"
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.RichText)
        self._label.setAlignment(Qt.AlignCenter)
        self._label.setAttribute(Qt.WA_TransparentForMouseEvents)
        layout = QVBoxLayout(self)
        layout.addWidget(self._label)
        self.setFocusPolicy(Qt.StrongFocus)
        self.hide()

    def open(self, theme: str, actions: dict[str, QAction]) -> None:
        """Show it over the whole parent, with the keys that the actions have now."""
        self._theme = theme
        self._label.setText(self._html(theme, actions))
        self.setGeometry(self.parentWidget().rect())
        self.show()
        self.raise_()
        self.setFocus()

    def text(self) -> str:
        """What stands there."""
        return self._label.text()

    def _html(self, theme: str, actions: dict[str, QAction]) -> str:
        c = THEMES[theme]
        columns: list[list[str]] = [["Playback", "Record"], ["View"], ["People", "File", "Help"]]
        assert sorted(m for column in columns for m in column) == sorted(MENUS)
        cells = ""
        for column in columns:
            rows = ""
            for menu in column:
                rows += f'<tr><td colspan=2 style="color:{c["accent"]};padding-top:6px"><b>{tr(menu)}</b></td></tr>'
                for key in (k for k in KEYS if k.menu == menu):
                    now = [QKeySequence(k) for k in key.keys] if "Tab" in key.keys else actions[key.action].shortcuts()
                    if not now:
                        continue
                    names = "&nbsp;&nbsp;".join(escape(k.toString(QKeySequence.NativeText)) for k in now)
                    rows += (
                        f'<tr><td style="padding-right:12px;color:{c["text"]}"><b>{names}</b></td>'
                        f'<td style="color:{c["dim"]}">{escape(tr(key.text))}</td></tr>'
                    )
            cells += f'<td style="padding:0 14px"><table>{rows}</table></td>'
        legend = tr("Orange = the person's own right, blue = left. Rings and dashes = not seen, inferred or unsure.")
        return (
            f"<table align=center><tr>{cells}</tr></table><p align=center style='color:{c['dim']}'>{escape(legend)}</p>"
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """A sheet that lets the window shine through a little."""
        shade = colour(self._theme, "window")
        shade.setAlpha(240)
        QPainter(self).fillRect(self.rect(), shade)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close."""
        self.hide()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Close."""
        self.hide()
