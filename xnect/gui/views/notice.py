"""A line over the views that tells what is being waited for or what went wrong, without stopping anything."""

from __future__ import annotations

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QToolButton, QWidget

from xnect.gui.text import tr


class Notice(QFrame):
    """Progress, and the last message; empty = hidden."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._progress = ""
        self._message = ""
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedSize(110, 10)
        self.label = QLabel("")
        self.label.setWordWrap(True)
        close = QToolButton()
        close.setText("×")
        close.setToolTip(tr("Hide"))
        close.setAutoRaise(True)
        close.clicked.connect(lambda: self.say(""))
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 6, 4)
        row.addWidget(self.bar)
        row.addWidget(self.label, 1)
        row.addWidget(close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(lambda: self.say(""))
        self._show()

    @property
    def text(self) -> str:
        """What stands there."""
        return "   ".join(t for t in (self._progress, self._message) if t)

    def progress(self, text: str) -> None:
        """What is being waited for; empty = nothing."""
        self._progress = text
        self._show()

    def say(self, text: str, seconds: float = 0) -> None:
        """A message; it goes away after some seconds (0 = stays)."""
        self._message = text
        self._timer.stop()
        if text and seconds:
            self._timer.start(int(seconds * 1000))
        self._show()

    def _show(self) -> None:
        self.bar.setVisible(bool(self._progress))
        self.label.setText(self.text)
        self.setVisible(bool(self.text))
