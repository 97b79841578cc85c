"""The source bar: cameras by name, resolution, file, address, mirror."""

from __future__ import annotations

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QToolButton, QWidget

from xnect.gui.parts import CameraChoice, SourceRequest
from xnect.gui.state import WindowState
from xnect.gui.text import tr

_RESOLUTIONS: tuple[tuple[int, int], ...] = ((640, 480), (800, 600), (1280, 720), (1920, 1080))


class SourceBar(QWidget):
    """Emits what to open."""

    camera_wanted = pyqtSignal(object)
    file_wanted = pyqtSignal()
    address_wanted = pyqtSignal()
    refresh_wanted = pyqtSignal()
    mirror_toggled = pyqtSignal(bool)

    def __init__(self, state: WindowState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._cameras: list[CameraChoice] = []
        self.cameras = QComboBox()
        self.cameras.setMinimumContentsLength(14)
        self.cameras.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self.cameras.setToolTip(tr("Cameras that are attached (Ctrl+Shift+O)"))
        self.cameras.activated.connect(self._chosen)
        self.again = QToolButton()
        self.again.setText("⟳")
        self.again.setToolTip(tr("Look for cameras again"))
        self.again.clicked.connect(self.refresh_wanted)
        self.resolution = QComboBox()
        self.resolution.setToolTip(tr("Picture size asked of the camera"))
        self.resolution.activated.connect(lambda _i: self._chosen(self.cameras.currentIndex()))
        self.file = QToolButton()
        self.file.setText(tr("Open file…"))
        self.file.setToolTip(tr("Video, folder of pictures or recording (Ctrl+O); or drop it on the window"))
        self.file.clicked.connect(self.file_wanted)
        self.address = QToolButton()
        self.address.setText(tr("Address…"))
        self.address.setToolTip(tr("Network camera or stream: rtsp://…, http://… (Ctrl+U)"))
        self.address.clicked.connect(self.address_wanted)
        self.mirror = QCheckBox(tr("Mirror view"))
        self.mirror.setToolTip(
            tr(
                "Show the views like a mirror (M). Left and right stay each person's own, and nothing that is computed or "
                "recorded changes. For a source that is mirrored already start with --mirror."
            )
        )
        self.mirror.toggled.connect(self.mirror_toggled)
        self.title = QLabel("")
        self.title.setObjectName("dim")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 3)
        row.setSpacing(5)
        for widget in (self.cameras, self.again, self.resolution, self.file, self.address, self.mirror):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.title)
        self.set_cameras([])

    def set_cameras(self, cameras: list[CameraChoice]) -> None:
        """Fill the list; the chosen camera stays chosen by its name."""
        before = self.cameras.currentText()
        self._cameras = cameras
        self.cameras.clear()
        if not cameras:
            self.cameras.addItem(tr("No camera found"))
        else:
            self.cameras.addItem(tr("Choose a camera…"))
        for camera in cameras:
            self.cameras.addItem(camera.name)
        self.cameras.setCurrentIndex(max(0, self.cameras.findText(before)))
        self._fill_resolutions()

    def show_camera(self, name: str) -> None:
        """Mark a camera as the open one."""
        index = self.cameras.findText(name)
        self.cameras.setCurrentIndex(max(0, index))
        self._fill_resolutions()

    def _fill_resolutions(self) -> None:
        index = self.cameras.currentIndex() - 1
        modes = self._cameras[index].modes if 0 <= index < len(self._cameras) else ()
        chosen = self.resolution.currentData()
        self.resolution.clear()
        self.resolution.addItem(tr("automatic"), None)
        for mode in modes or _RESOLUTIONS:
            self.resolution.addItem(f"{mode[0]} x {mode[1]}", mode)
        place = [self.resolution.itemData(i) for i in range(self.resolution.count())]
        self.resolution.setCurrentIndex(place.index(chosen) if chosen in place else 0)
        self.resolution.setEnabled(bool(self._cameras))

    def _chosen(self, index: int) -> None:
        if 1 <= index <= len(self._cameras):
            camera = self._cameras[index - 1]
            mode = self.resolution.currentData()
            self._fill_resolutions()
            self.camera_wanted.emit(SourceRequest("camera", camera.spec, mode, title=camera.name))
        else:
            self.refresh_wanted.emit()

    def refresh(self) -> None:
        """The state has changed."""
        source = self._state.source
        text = source.title
        if source.size_px != (0, 0):
            text += f"   {source.size_px[0]} x {source.size_px[1]}"
        if source.fps:
            text += f"   {source.fps:.3g} fps"
        self.title.setText(self.fontMetrics().elidedText(text, 1, max(60, self.width() // 3)))
        if self.mirror.isChecked() != self._state.options.mirror:
            self.mirror.blockSignals(True)
            self.mirror.setChecked(self._state.options.mirror)
            self.mirror.blockSignals(False)
