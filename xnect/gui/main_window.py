"""The main window: wires state, engine and views together; what the user can do is in ``commands.py``."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt5.QtCore import QEvent, QSettings, Qt, QTimer
from PyQt5.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QResizeEvent
from PyQt5.QtWidgets import QApplication, QMainWindow, QMessageBox, QShortcut

from xnect.config import OutputConfig, PipelineConfig
from xnect.errors import XnectError
from xnect.gui import settings as setting_files
from xnect.gui import theme, view_menus
from xnect.gui.actions import build, calm_buttons, is_wanted_by
from xnect.gui.bridge import Bridge, look_for_cameras
from xnect.gui.commands import Commands
from xnect.gui.dialogs import show_error
from xnect.gui.drawing import Drawing
from xnect.gui.engine import Engine
from xnect.gui.layout import Layout
from xnect.gui.parts import Parts, RecordingPlan, SourceRequest
from xnect.gui.playlist import Playlist
from xnect.gui.review_edits import ReviewEdits
from xnect.gui.rewind import Rewind
from xnect.gui.state import RecordingStatus, Shown, SourceInfo, WindowState
from xnect.gui.streaming import Streaming
from xnect.gui.takes import Takes
from xnect.gui.text import tr
from xnect.gui.views.key_editor import restore as restore_keys

if TYPE_CHECKING:
    from xnect.gui.views.assistant import Assistant

_log = logging.getLogger(__name__)


class MainWindow(QMainWindow):
    """Everything the user sees."""

    def __init__(
        self,
        parts: Parts,
        config: PipelineConfig,
        folder: Path,
        formats: tuple[str, ...] = ("jsonl", "overlay", "bvh"),
        settings: QSettings | None = None,
        opengl: bool | None = None,
        streaming: Streaming | None = None,
    ) -> None:
        super().__init__()
        self.setWindowTitle("xnect")
        self.setAcceptDrops(True)
        self.resize(1280, 800)
        self.streaming = streaming or Streaming(people=config.detection.max_people)
        self.parts = parts = parts if parts.publish is not None else replace(parts, publish=self.streaming.send)
        self.settings = (
            settings if settings is not None else QSettings(QSettings.IniFormat, QSettings.UserScope, "xnect", "window")
        )
        self.state = WindowState()
        self.rewind = Rewind()
        self.bridge = Bridge()
        self.engine = Engine(parts, config, self.bridge.events(), self.state.ids)
        self.takes = Takes(self.state, self.engine)
        self.streaming.attach(self.state, self.settings)
        self.playlist = Playlist(self)
        self.dialog: QMessageBox | None = None
        self.assistant: Assistant | None = None
        self.ask = True
        self._closing = False
        self._lost_before = ""
        self.state.options.theme = theme.named(str(self.settings.value("theme", "")))
        theme.apply(QApplication.instance(), self.state.options.theme)  # first: dressing finished widgets takes long
        self.views = Layout(self, self.state, config, folder, formats, opengl)
        self.commands = Commands(self)
        self.edits = ReviewEdits(self)
        self.actions_by_name, self.menus = build(self, self.commands.run)
        restore_keys(self.actions_by_name, self.settings)
        view_menus.fill(self)
        calm_buttons(self)
        self.drawing = Drawing(self, self._take_in, self._watch_source)
        self._wire()
        self._restored = self.views.restore(self.settings)
        self.refresh_all()

    # ---- start

    def begin(self, config: PipelineConfig, load: bool = True) -> None:
        """After the window is on screen: load the network (unless only a recording is looked at), find cameras."""
        if load:
            self.engine.load(config)
        self.find_cameras()
        self.views.camera.setFocus()
        if not self._restored:
            QTimer.singleShot(0, self.views.arrange)

    def start(self, queue: list[SourceRequest], output: OutputConfig) -> None:
        """Open the first of the sources that the command line named, the others after it; record where it says so."""
        self.playlist.start(queue, output)

    def find_cameras(self) -> None:
        """List cameras in a thread of its own; drivers may take seconds."""
        look_for_cameras(self.parts, self.bridge)

    def _wire(self) -> None:
        bridge, views, run = self.bridge, self.views, self.commands.run
        bridge.frame_ready.connect(self.drawing.frame_waits, Qt.QueuedConnection)
        bridge.opened.connect(self._opened, Qt.QueuedConnection)
        bridge.ended.connect(self._ended, Qt.QueuedConnection)
        bridge.failed.connect(self._failed, Qt.QueuedConnection)
        bridge.progress.connect(views.notice.progress, Qt.QueuedConnection)
        bridge.recording.connect(self._recording, Qt.QueuedConnection)
        bridge.cameras.connect(views.source.set_cameras, Qt.QueuedConnection)
        bridge.note.connect(self.tell, Qt.QueuedConnection)
        views.source.camera_wanted.connect(self.open_source)
        views.source.file_wanted.connect(lambda: run("open_file"))
        views.source.address_wanted.connect(lambda: run("open_url"))
        views.source.refresh_wanted.connect(self.find_cameras)
        views.source.mirror_toggled.connect(lambda _on: run("toggle_mirror"))
        views.transport.play_toggled.connect(lambda: run("play_pause"))
        views.transport.stepped.connect(self.step)
        views.transport.sought.connect(self.seek)
        views.transport.speed_changed.connect(self.engine.set_speed)
        views.transport.loop_changed.connect(self._loop)
        views.recording.toggled.connect(lambda: run("record"))
        views.recording.snapshot_wanted.connect(lambda: run("snapshot"))
        views.camera.person_clicked.connect(self.select)
        views.camera.follow_wanted.connect(self._follow)
        views.scene.follow_changed.connect(self._follow)
        for view in (views.camera, views.people):
            view.merge_wanted.connect(self.edits.merge)
            view.swap_wanted.connect(self.edits.swap)
        views.people.selected.connect(self.select)
        views.people.changed.connect(self.refresh_all)
        views.people.export_wanted.connect(lambda _i: run("export_person"))
        views.plots.failed.connect(self.tell)
        views.controls.changed.connect(self.configure)
        views.controls.refused.connect(self.tell)
        views.controls.load_wanted.connect(lambda: run("load_settings"))
        views.controls.save_wanted.connect(lambda: run("save_settings"))
        views.controls.rescale_wanted.connect(lambda: run("rescale"))
        views.controls.reset_ids_wanted.connect(lambda: run("reset_ids"))
        views.controls.assistant_wanted.connect(lambda: run("calibrate"))
        views.recording.stream_toggled.connect(lambda: run("stream"))
        self.streaming.changed.connect(self.refresh_all)
        self.streaming.said.connect(lambda text: self.tell(text, 8))
        self.takes.changed.connect(self.refresh_all)
        self.takes.failed.connect(lambda text: self._failed(tr("Recording"), text, ""))
        self.takes.beep.connect(QApplication.beep)
        for view in (views.camera, views.scene):  # Tab walks the widgets everywhere else
            view.setFocusPolicy(Qt.StrongFocus)
            tab = QShortcut(QKeySequence("Tab"), view, context=Qt.WidgetShortcut)
            tab.activated.connect(lambda: run("next_person"))

    # ---- what can be asked of it

    def open_source(self, request: SourceRequest, plan: RecordingPlan | None = None) -> None:
        """Leave the present source and open another; with a plan, record it from its first frame on."""
        if self.takes.busy:
            self.takes.stop()
        self.state.set_source(SourceInfo())
        self._lost_before = ""
        self.rewind.clear()
        self.rewind.pinned = False
        self.state.playback.playing = True
        self.views.camera.notice = tr("Opening {name}…").format(name=request.title or request.spec)
        self.views.notice.say("")
        if request.kind != "recording":
            self.engine.need_network()
        self.engine.open(request, plan)
        if plan is not None:
            self.takes.expect(plan)
        self.refresh_all()

    def play(self, playing: bool) -> None:
        """Play or pause; at the end of a file playing starts again."""
        playback = self.state.playback
        if not self.state.source.title:
            return
        self._take_in()
        if playing:
            head = self.rewind.to_head()
            if head is not None and head is not self.state.shown:
                self._show(head)
            if playback.ended:
                self.engine.seek(0.0)
        playback.playing, playback.ended = playing, False
        self.rewind.pinned = self.state.source.live and not playing
        if not self.state.source.live:
            self.engine.play(playing)
        self.refresh_all()

    def step(self, frames: int) -> None:
        """Go some frames forward or back; back comes from memory where it reaches."""
        if not self.state.source.title:
            return
        if self.state.playback.playing:
            self.play(False)
        self._take_in()
        shown, rest = self.rewind.step(frames)
        if shown is not None and rest != frames:
            self._show(shown)
        if self.state.source.live or rest == 0:
            return
        if rest > 0:
            self.engine.step(rest)
        elif self.state.playback.position_s > 0:
            self.seek(self.state.playback.position_s + rest / (self.state.source.fps or 30.0))

    def seek(self, time_s: float) -> None:
        """Go to a time of a file [s]."""
        info = self.state.source
        if info.live or not info.title:
            return
        self.rewind.clear()
        self.state.playback.ended = False
        self.engine.seek(max(0.0, min(time_s, (info.duration_s or time_s) - 0.5 / (info.fps or 30.0))))

    def select(self, person: int | None) -> None:
        """Select a person, or nobody."""
        self.state.selected = person
        self.refresh_all()

    def configure(self, config: PipelineConfig) -> None:
        """New settings from the controls."""
        self.engine.configure(config)

    def load_settings(self, path: Path) -> None:
        """Read a settings file and use it."""
        try:
            config = setting_files.load(path)
        except XnectError as error:
            self.tell(str(error))
            return
        self.views.controls.show_config(config)
        self.configure(config)

    def set_theme(self, name: str) -> None:
        """Dark or light."""
        self.state.options.theme = theme.named(name)
        theme.apply(QApplication.instance(), self.state.options.theme)
        self.refresh_all()

    def open_assistant(self) -> None:
        """The camera and scale assistant."""
        from xnect.gui.views.assistant import Assistant

        if self.assistant is not None:
            self.assistant.close()
        self.assistant = Assistant(self.state, self.views.controls, self.views.recording.folder, self)
        self.assistant.show()

    def write_review(self, folder: Path, only: int | None = None) -> None:
        """Write the mended recording."""
        self.edits.write(folder, only, self.views.recording.formats())

    def tell(self, text: str, seconds: float = 0) -> None:
        """A line that does not interrupt."""
        self.views.notice.say(text, seconds)

    def confirm(self, question: str) -> bool:
        """Ask yes or no; yes where asking is switched off."""
        return not self.ask or QMessageBox.question(self, "xnect", question) == QMessageBox.Yes

    # ---- events of the engine, in this thread

    def _take_in(self) -> None:
        fresh = [s for s in self.bridge.take() if s.generation == self.engine.generation]
        if not fresh or self._closing:
            return
        for shown in fresh:
            self.rewind.push(shown)
            self.state.take_in(shown)
        if not self.state.angle_names and fresh[-1].result.people:  # the pipeline is loaded, so this is at hand
            self.state.angle_names = self.parts.angle_names()
            self.views.plots.set_angle_names(self.state.angle_names)
        if self.rewind.at_head:
            self._show(fresh[-1])

    def _show(self, shown: Shown) -> None:
        self.state.show(shown)
        self.drawing.frame()

    def _opened(self, info: SourceInfo, generation: int) -> None:
        if generation != self.engine.generation:
            return
        self.state.set_source(info)
        review = self.engine.review
        if review is not None:
            self.state.set_review(review)
            self.views.plots.set_angle_names(self.state.angle_names)
        self.views.camera.notice = ""
        self.views.scene.new_source()
        self.views.source.show_camera(info.title)
        self.setWindowTitle(f"{info.title} – xnect")
        self.refresh_all()

    def _ended(self) -> None:
        self._take_in()
        self.state.playback.playing = False
        self.state.playback.ended = True
        if self.takes.busy:
            self.takes.stop()
        self.playlist.open_next()
        self.refresh_all()

    def _recording(self, status: RecordingStatus) -> None:
        self.takes.take_status(status)

    def _failed(self, title: str, text: str, details: str) -> None:
        _log.error("%s: %s", title, text)
        if self._closing:
            return
        if self.state.shown is None:
            self.views.camera.notice = text
        retry = None if self.engine.ready else lambda: self.engine.load(self.views.controls.config)
        self.dialog = show_error(self, title, text, details, retry)
        self.refresh_all()

    # ---- drawing

    def refresh_all(self) -> None:
        """Something other than the frame has changed: everything is drawn anew."""
        self.drawing.everything()

    def _watch_source(self) -> None:
        why = self.engine.lost
        if why != self._lost_before:
            self._lost_before = why
            name = self.state.source.title
            if why:
                self.tell(tr("{name} is lost ({why}); looking for it…").format(name=name, why=why))
            elif name:
                self.tell(tr("{name} is back").format(name=name), 4)

    def _follow(self, person: int | None) -> None:
        self.state.follow = person
        self.refresh_all()

    def _loop(self, on: bool) -> None:
        self.state.playback.loop = on
        self.engine.set_loop(on)

    # ---- Qt

    def event(self, event: QEvent) -> bool:
        """A key that the focused field needs is not a shortcut; Qt asks for each key, from the field upwards."""
        if event.type() == QEvent.ShortcutOverride and is_wanted_by(QApplication.focusWidget(), event):
            event.accept()
            return True
        return bool(super().event(event))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files and addresses may be dropped."""
        if event.mimeData().hasUrls() or event.mimeData().hasText():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped; several files are played one after the other."""
        urls = event.mimeData().urls()
        texts = [u.toLocalFile() or u.toString() for u in urls] or [event.mimeData().text()]
        self.commands.open_path(texts[0])
        self.playlist.queue = [SourceRequest("video", t, title=Path(t).name) for t in texts[1:]]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The help page covers the whole window."""
        super().resizeEvent(event)
        self.views.help.setGeometry(self.rect())

    def closeEvent(self, event: QCloseEvent) -> None:
        """Finish the recording, end all threads, remember the layout."""
        if self._closing:
            event.accept()
            return
        if self.takes.busy and not self.confirm(tr("A recording is running. Stop it, keep it and quit?")):
            event.ignore()
            return
        unsaved = self.state.review is not None and self.state.review.dirty
        if unsaved and not self.confirm(tr("The repairs are not saved. Quit anyway?")):
            event.ignore()
            return
        self._closing = True
        if self.assistant is not None:
            self.assistant.close()
        self.drawing.stop()
        self.views.save(self.settings)
        self.settings.setValue("theme", self.state.options.theme)
        self.settings.setValue("folder", str(self.views.recording.folder))
        self.settings.sync()
        self.hide()
        self.takes.stop()
        self.bridge.close()
        self.engine.close()
        self.streaming.close()
        event.accept()
