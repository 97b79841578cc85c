"""Words on the screen, all through one door, so that they can be translated."""

from __future__ import annotations

from PyQt5.QtCore import QCoreApplication


def tr(text: str) -> str:
    """The text in the user's language (context "xnect")."""
    return QCoreApplication.translate("xnect", text)
