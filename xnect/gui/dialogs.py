"""The dialog that tells what went wrong, without stopping the window."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from PyQt5.QtWidgets import QApplication, QMessageBox, QWidget

from xnect.gui.text import tr


def show_error(
    parent: QWidget, title: str, text: str, details: str = "", retry: Callable[[], None] | None = None
) -> QMessageBox:
    """Open a dialog that leaves the window usable.

    Args:
        parent: The window.
        title: What happened, in a few words.
        text: Why, and what to do.
        details: For a report; a button copies everything.
        retry: What "Try again" does, None = there is no such button.
    """
    box = QMessageBox(QMessageBox.Warning, "xnect", f"<b>{escape(title)}</b>", parent=parent)
    box.setInformativeText(text)
    if details:
        box.setDetailedText(details)
        copy = box.addButton(tr("Copy report"), QMessageBox.ActionRole)
        copy.clicked.disconnect()  # copying leaves the dialog open
        copy.clicked.connect(lambda: QApplication.clipboard().setText(f"{title}\n{text}\n\n{details}"))
    if retry is not None:
        box.addButton(tr("Try again"), QMessageBox.ActionRole).clicked.connect(retry)
    box.addButton(QMessageBox.Close)
    box.setModal(False)
    box.show()
    return box
