"""The bar of the reviewing mode: mark a span, mend ids in it, undo, save as a new recording."""

from __future__ import annotations

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.views.transport import clock


class ReviewBar(QWidget):
    """Emits what the user wants; shown only while a recording is open."""

    mark_start = pyqtSignal()
    mark_end = pyqtSignal()
    whole = pyqtSignal()
    join_wanted = pyqtSignal()
    swap_wanted = pyqtSignal()
    split_wanted = pyqtSignal()
    delete_wanted = pyqtSignal()
    undo_wanted = pyqtSignal()
    save_wanted = pyqtSignal()

    def __init__(self, state: WindowState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 3, 6, 3)
        row.setSpacing(5)
        label = QLabel(tr("Repair ids"))
        label.setObjectName("dim")
        row.addWidget(label)
        self.buttons: dict[str, QPushButton | QToolButton] = {}
        for name, text, tip, signal in (
            ("start", tr("From here"), tr("The span begins at this frame"), self.mark_start),
            ("end", tr("To here"), tr("The span ends at this frame"), self.mark_end),
            ("whole", tr("All"), tr("The span is the whole recording"), self.whole),
        ):
            button = QToolButton()
            button.setText(text)
            button.setToolTip(tip)
            button.clicked.connect(signal)
            self.buttons[name] = button
            row.addWidget(button)
        self.span = QLabel("")
        self.span.setObjectName("clock")
        row.addWidget(self.span)
        row.addStretch(1)
        for name, text, tip, signal in (
            (
                "join",
                tr("Join"),
                tr("In the span, the two selected rows are one person (the older number)"),
                self.join_wanted,
            ),
            ("swap", tr("Swap"), tr("In the span, the two selected people change numbers"), self.swap_wanted),
            ("split", tr("Split"), tr("In the span, the selected person gets a new number"), self.split_wanted),
            ("delete", tr("Delete"), tr("In the span, the selected person is removed"), self.delete_wanted),
            ("undo", tr("Undo"), tr("Take back the last repair"), self.undo_wanted),
            ("save", tr("Save as new…"), tr("Write the mended recording to a new folder"), self.save_wanted),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(signal)
            self.buttons[name] = button
            row.addWidget(button)
        self.hide()

    def refresh(self, chosen: int) -> None:
        """The state has changed; so many rows of the people list are selected."""
        review = self._state.review
        self.setVisible(review is not None)
        if review is None:
            return
        first, last = review.span
        self.span.setText(f"{clock(review.times_s[first])} – {clock(review.times_s[last])}")
        for name, count in (("join", 2), ("swap", 2), ("split", 1), ("delete", 1)):
            self.buttons[name].setEnabled(chosen == count)
        self.buttons["undo"].setEnabled(review.can_undo)
        self.buttons["save"].setText(tr("Save as new…") + (" *" if review.dirty else ""))
