"""The dialog for live streams: where each kind goes."""

from __future__ import annotations

from PyQt5.QtCore import QSettings
from PyQt5.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from xnect.errors import ConfigError
from xnect.gui.streaming import Streaming, config_of, texts_of
from xnect.gui.text import tr


class StreamDialog(QDialog):
    """One line for each kind of stream; an empty one is off."""

    def __init__(self, streaming: Streaming, settings: QSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Live streams"))
        self.setMinimumWidth(460)
        self._streaming, self._settings = streaming, settings
        column = QVBoxLayout(self)
        intro = QLabel(
            tr(
                "Poses can be sent to other programs while they are found. Give addresses as host:port, several with commas; "
                "empty lines are off. V starts and stops all of them."
            )
        )
        intro.setWordWrap(True)
        column.addWidget(intro)
        form = QFormLayout()
        column.addLayout(form)
        self.fields: dict[str, QLineEdit] = {}
        texts = texts_of(streaming.config)
        for name, label, example, tip in (
            ("vmc", tr("VMC (avatars)"), "127.0.0.1:39539", tr("VSeeFace, Warudo, Unity, Unreal; the next person at port + 2")),
            ("osc", tr("OSC"), "127.0.0.1:9000", tr("TouchDesigner, Max, Pure Data and the like")),
            ("websocket", tr("Web page and WebSocket"), "127.0.0.1:8765", tr("This machine listens there; open it in a browser")),
            ("udp", tr("JSON over UDP"), "127.0.0.1:8766", tr("One datagram a frame")),
        ):  # fmt: skip
            field = QLineEdit(texts[name])
            field.setPlaceholderText(example)
            field.setToolTip(tip)
            form.addRow(label, field)
            self.fields[name] = field
        self.note = QLabel("")
        self.note.setWordWrap(True)
        column.addWidget(self.note)
        buttons = QDialogButtonBox(QDialogButtonBox.Cancel)
        self.start = buttons.addButton(tr("Start"), QDialogButtonBox.AcceptRole)
        buttons.accepted.connect(self._accepted)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)

    def _accepted(self) -> None:
        try:
            texts = {name: field.text() for name, field in self.fields.items()}
            config = config_of(texts, self._streaming.config)
        except ConfigError as error:
            self.note.setText(str(error))
            return
        self._streaming.use(config, self._settings)
        self.accept()
