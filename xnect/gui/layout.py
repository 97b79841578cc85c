"""The window's parts and where they lie: docks, bars, and the layout that is remembered."""

from __future__ import annotations

from pathlib import Path

from PyQt5.QtCore import QByteArray, QSettings, Qt
from PyQt5.QtWidgets import QDockWidget, QMainWindow, QToolBar, QVBoxLayout, QWidget

from xnect.config import PipelineConfig
from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.views.camera_view import CameraView
from xnect.gui.views.controls import Controls
from xnect.gui.views.help_page import HelpPage
from xnect.gui.views.notice import Notice
from xnect.gui.views.people_list import PeopleList
from xnect.gui.views.plots import PlotView
from xnect.gui.views.recording_bar import RecordingBar
from xnect.gui.views.review_bar import ReviewBar
from xnect.gui.views.scene_view import SceneView
from xnect.gui.views.source_bar import SourceBar
from xnect.gui.views.timings import TimingStrip
from xnect.gui.views.transport import TransportBar

#: Raised when docks are added or renamed, so that an old layout is not forced onto a new window.
LAYOUT_VERSION = 1


class Layout:
    """Makes all views and puts them into a main window."""

    def __init__(
        self,
        window: QMainWindow,
        state: WindowState,
        config: PipelineConfig,
        folder: Path,
        formats: tuple[str, ...],
        opengl: bool | None = None,
    ) -> None:
        self._window = window
        self.camera = CameraView(state)
        self.scene = SceneView(state, opengl)
        self.plots = PlotView(state)
        self.people = PeopleList(state)
        self.controls = Controls(config)
        self.timings = TimingStrip(state)
        self.transport = TransportBar(state)
        self.recording = RecordingBar(state, folder, formats)
        self.review = ReviewBar(state)
        self.source = SourceBar(state)
        self.notice = Notice()
        self.help = HelpPage(window)
        self.docks: dict[str, QDockWidget] = {}
        window.setDockNestingEnabled(True)
        window.setDockOptions(QMainWindow.AnimatedDocks | QMainWindow.AllowNestedDocks | QMainWindow.AllowTabbedDocks)
        self._bars()
        for name, title, view in (
            ("camera", tr("Picture"), self.camera),
            ("scene", tr("3D"), self.scene),
            ("plots", tr("Plot"), self.plots),
            ("people", tr("People"), self.people),
            ("controls", tr("Controls"), self.controls),
            ("timings", tr("Timings"), self.timings),
        ):
            dock = QDockWidget(title, window)
            dock.setObjectName(f"dock_{name}")
            dock.setWidget(view)
            if name == "timings":  # one line needs no title of its own; the View menu shows and hides it
                dock.setTitleBarWidget(QWidget())
                dock.setFeatures(QDockWidget.DockWidgetClosable)
            self.docks[name] = dock
            dock.toggleViewAction().triggered.connect(lambda _on: self.focus_view())
        self.arrange()

    def _bars(self) -> None:
        top = QToolBar(tr("Source"))
        top.setObjectName("bar_source")
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.source)
        column.addWidget(self.notice)
        top.addWidget(holder)
        bottom = QToolBar(tr("Playback and recording"))
        bottom.setObjectName("bar_transport")
        below = QWidget()
        column = QVBoxLayout(below)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for bar in (self.transport, self.review, self.recording):
            column.addWidget(bar)
        bottom.addWidget(below)
        self.bars = (top, bottom)
        for area, toolbar in ((Qt.TopToolBarArea, top), (Qt.BottomToolBarArea, bottom)):
            toolbar.setMovable(False)
            toolbar.setFloatable(False)
            toolbar.setContextMenuPolicy(Qt.PreventContextMenu)
            self._window.addToolBar(area, toolbar)

    def arrange(self) -> None:
        """The first layout: picture and 3D side by side, plot and timings below, people and controls at the right."""
        window, docks = self._window, self.docks
        for dock in docks.values():
            window.removeDockWidget(dock)
            dock.setFloating(False)
        window.setCorner(Qt.BottomRightCorner, Qt.RightDockWidgetArea)
        window.addDockWidget(Qt.LeftDockWidgetArea, docks["camera"])
        window.splitDockWidget(docks["camera"], docks["plots"], Qt.Vertical)
        window.splitDockWidget(docks["plots"], docks["timings"], Qt.Vertical)
        window.splitDockWidget(docks["camera"], docks["scene"], Qt.Horizontal)
        window.addDockWidget(Qt.RightDockWidgetArea, docks["people"])
        window.splitDockWidget(docks["people"], docks["controls"], Qt.Vertical)
        for dock in docks.values():
            dock.show()
        width, height = window.width(), window.height()
        right = 345
        half = (width - right) // 2
        window.resizeDocks([docks["camera"], docks["scene"], docks["people"]], [half, half, right], Qt.Horizontal)
        rest = height - 190
        window.resizeDocks(
            [docks["camera"], docks["plots"], docks["timings"]], [int(rest * 0.64), int(rest * 0.30), 40], Qt.Vertical
        )
        self.focus_view()
        window.resizeDocks([docks["people"], docks["controls"]], [int(rest * 0.36), int(rest * 0.64)], Qt.Vertical)

    def show_only(self, camera: bool, scene: bool) -> None:
        """Show picture, 3D view or both; the other docks stay as they are."""
        self.docks["camera"].setVisible(camera)
        self.docks["scene"].setVisible(scene)
        self.focus_view()

    def focus_view(self) -> None:
        """Give the keys to a view: hiding one hands the focus to whatever field comes next, and the keys with it."""
        (self.camera if self.docks["camera"].isVisible() else self.scene).setFocus()

    def restore(self, settings: QSettings) -> bool:
        """Put everything where it was last time; False where nothing is known."""
        geometry, state = settings.value("geometry"), settings.value("layout")
        if isinstance(geometry, QByteArray):
            self._window.restoreGeometry(geometry)
        return isinstance(state, QByteArray) and bool(self._window.restoreState(state, LAYOUT_VERSION))

    def save(self, settings: QSettings) -> None:
        """Remember where everything is."""
        settings.setValue("geometry", self._window.saveGeometry())
        settings.setValue("layout", self._window.saveState(LAYOUT_VERSION))
