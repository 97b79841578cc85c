"""The recording bar: one button, folder, formats, countdown, time and size, snapshot."""

from __future__ import annotations

from pathlib import Path

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QMenu, QPushButton, QToolButton, QWidget

from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.views.transport import clock, fix_width

FORMATS: tuple[tuple[str, str], ...] = (
    ("jsonl", "Pose log (JSON lines)"),
    ("overlay", "Video with skeletons"),
    ("bvh", "BVH (animation)"),
    ("glb", "GLB (Blender, Unity)"),
    ("scene", "GLB of everyone, with the camera"),
    ("csv", "CSV table"),
    ("npz", "NumPy arrays"),
    ("parquet", "Parquet table"),
    ("openpose", "OpenPose JSON"),
    ("coco", "COCO results"),
    ("c3d", "C3D (biomechanics)"),
    ("trc", "TRC (OpenSim)"),
)


def size_text(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


class RecordingBar(QWidget):
    """Emits what the user wants; shows what the state says."""

    toggled = pyqtSignal()
    snapshot_wanted = pyqtSignal()
    stream_toggled = pyqtSignal()

    def __init__(
        self, state: WindowState, folder: Path, formats: tuple[str, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self.folder = folder
        self.button = QPushButton("●  " + tr("Record"))
        self.button.setObjectName("record")
        self.button.setCheckable(True)
        self.button.setToolTip(tr("Start or stop recording (R, Page up)"))
        self.button.setMinimumWidth(self.button.sizeHint().width() + 24)
        self.button.clicked.connect(self._pressed)
        self.countdown = QComboBox()
        for seconds in (0, 3, 5, 10):
            self.countdown.addItem(tr("at once") if seconds == 0 else tr("in {n} s").format(n=seconds), seconds)
        self.countdown.setToolTip(tr("Time to walk to your place before the recording starts"))
        self.limit = QComboBox()
        for seconds in (0, 10, 20, 30, 60, 120, 300):
            self.limit.addItem(tr("until stopped") if seconds == 0 else tr("for {n} s").format(n=seconds), seconds)
        self.limit.setToolTip(tr("Stops by itself"))
        self.formats_button = QToolButton()
        self.formats_button.setText(tr("Formats"))
        self.formats_button.setPopupMode(QToolButton.InstantPopup)
        self.formats_button.setToolTip(tr("What is written; the pose log always is"))
        menu = QMenu(self.formats_button)
        self.format_actions = {}
        for key, name in FORMATS:
            action = menu.addAction(tr(name))
            action.setCheckable(True)
            action.setChecked(key in formats or key == "jsonl")
            action.setEnabled(key != "jsonl")
            self.format_actions[key] = action
        self.formats_button.setMenu(menu)
        self.folder_button = QToolButton()
        self.folder_button.clicked.connect(self._choose)
        self.status = QLabel("")
        self.status.setObjectName("clock")
        self.status.setAlignment(Qt.AlignRight | Qt.AlignVCenter)
        self.snapshot = QToolButton()
        self.snapshot.setText(tr("Snapshot"))
        self.snapshot.setToolTip(tr("Save a picture of the view (S, Page down)"))
        self.snapshot.clicked.connect(self.snapshot_wanted)
        self.stream = QToolButton()
        self.stream.setText(tr("Stream"))
        self.stream.setCheckable(True)
        self.stream.clicked.connect(self._stream_pressed)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 3, 6, 5)
        row.setSpacing(5)
        widgets = (self.button, self.countdown, self.limit, self.formats_button, self.folder_button, self.snapshot)
        for widget in (*widgets, self.stream):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.status)
        self.set_folder(folder)

    def formats(self) -> tuple[str, ...]:
        """The ticked formats."""
        return tuple(key for key, action in self.format_actions.items() if action.isChecked())

    def set_folder(self, folder: Path) -> None:
        """Where takes go."""
        self.folder = folder
        name = self.fontMetrics().elidedText(folder.name or str(folder), Qt.ElideMiddle, 140)
        self.folder_button.setText(tr("Folder: {name}").format(name=name))
        self.folder_button.setToolTip(tr("Recordings go to a new folder in\n{path}").format(path=folder))

    def _refresh_stream(self) -> None:
        streaming = self._state.streaming
        self.stream.setChecked(streaming.on)
        self.stream.setEnabled(not streaming.busy)
        self.stream.setText(("●  " if streaming.on else "") + tr("Stream"))
        tip = tr("Start or stop the live streams: VMC, OSC, web page, UDP (V)")
        self.stream.setToolTip("\n".join([tip, *streaming.where, streaming.error]).strip())

    def refresh(self) -> None:
        """The state has changed."""
        self._refresh_stream()
        r = self._state.recording
        busy = r.phase != "idle"
        self.button.setChecked(r.phase in ("countdown", "recording"))
        texts = {
            "idle": "●  " + tr("Record"), "countdown": "■  " + tr("Cancel"),
            "recording": "■  " + tr("Stop"), "finishing": tr("Finishing…"),
        }  # fmt: skip
        self.button.setText(texts[r.phase])
        self.button.setEnabled(r.phase != "finishing" and (bool(self._state.source.title) or busy))
        for widget in (self.countdown, self.limit, self.formats_button, self.folder_button):
            widget.setEnabled(not busy)
        text = self._text()
        if text != self.status.text():
            fix_width(self.status, text)
            self.status.setText(text)

    def _text(self) -> str:
        r = self._state.recording
        if r.phase == "countdown":
            return tr("Recording starts in {n:.0f} s").format(n=max(1.0, r.countdown_s + 0.499))
        if r.phase == "recording" or (r.phase == "finishing" and r.frames):
            return f"{clock(r.elapsed_s)}   {r.frames} " + tr("frames") + f"   {size_text(r.size_bytes)}"
        if r.error:
            return tr("Recording failed")
        if r.frames:
            saved = tr("Saved {n} frames, {size}").format(n=r.frames, size=size_text(r.size_bytes))
            return f"{saved}: {Path(r.folder).name}"
        return ""

    def _pressed(self) -> None:
        self.refresh()  # the state alone says whether the button is down
        self.toggled.emit()

    def _stream_pressed(self) -> None:
        self.refresh()  # as above
        self.stream_toggled.emit()

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Folder for recordings"), str(self.folder))
        if folder:
            self.set_folder(Path(folder))
