"""Words on the screen, all through one door, so that they can be translated (no Qt until somebody else brings it)."""

from __future__ import annotations

import sys


def tr(text: str) -> str:
    """The text in the user's language (context "xnect"); as it is where there is no window."""
    core = sys.modules.get("PyQt5.QtCore")
    return str(core.QCoreApplication.translate("xnect", text)) if core is not None else text


def person_name(person_id: int) -> str:
    """What a person is called who was given no name."""
    return tr("Person {n}").format(n=person_id)
