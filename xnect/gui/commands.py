"""What the user can do: one method for each action of the table of keys."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt5.QtWidgets import QFileDialog, QInputDialog, QMessageBox

from xnect.errors import XnectError
from xnect.gui import settings
from xnect.gui.parts import RecordingPlan
from xnect.gui.sources import FILE_FILTER, request_for
from xnect.gui.takes import save_snapshot
from xnect.gui.text import tr

if TYPE_CHECKING:
    from xnect.gui.main_window import MainWindow


class Commands:
    """Methods named after the actions; ``run`` calls one by its name."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window
        self.state = window.state
        self.engine = window.engine
        self.views = window.views

    def run(self, name: str) -> None:
        """Do what an action says."""
        getattr(self, name)()
        self.window.refresh_all()

    # ---- File

    def open_file(self) -> None:
        """Ask for a file."""
        path, _ = QFileDialog.getOpenFileName(self.window, tr("Open"), "", tr(FILE_FILTER))
        if path:
            self.open_path(path)

    def open_folder(self) -> None:
        """Ask for a folder of pictures, or that of a recording."""
        path = QFileDialog.getExistingDirectory(self.window, tr("Open folder"))
        if path:
            self.open_path(path)

    def open_path(self, text: str) -> None:
        """Open a path or address."""
        try:
            self.window.open_source(request_for(text))
        except XnectError as error:
            self.window.tell(str(error))

    def open_camera(self) -> None:
        """Look for cameras and drop the list down."""
        self.window.find_cameras()
        self.views.source.cameras.setFocus()
        self.views.source.cameras.showPopup()

    def open_url(self) -> None:
        """Ask for an address."""
        text, good = QInputDialog.getText(
            self.window, tr("Open address"), tr("Address of a network camera or stream (rtsp://, http://, …):")
        )
        if good and text.strip():
            self.open_path(text)

    def save_take(self) -> None:
        """Copy the last take to another place."""
        if self.state.review is not None:
            self.save_review()
            return
        last = self.window.takes.last_folder
        if last is None or self.window.takes.busy:
            self.window.tell(tr("There is no finished recording yet; R starts one."))
            return
        target, _ = QFileDialog.getSaveFileName(self.window, tr("Save recording as"), str(last.parent / last.name))
        if target and Path(target) != last:
            self.copy_take(last, Path(target))

    def copy_take(self, source: Path, target: Path) -> None:
        """Copy a take's folder in a thread of its own."""
        window = self.window
        window.bridge.tell_progress(tr("Copying the recording…"))

        def work() -> None:
            try:
                shutil.copytree(source, target)
                window.bridge.tell(tr("Saved as {path}").format(path=target))
            except (OSError, shutil.Error) as error:
                window.bridge.tell(tr("The recording could not be copied: {why}").format(why=error))
            window.bridge.tell_progress("")

        threading.Thread(target=work, name="xnect-copy", daemon=True).start()

    def export_person(self) -> None:
        """Record only the selected person, or write that person out of a recording."""
        person = self.state.selected
        if person is None:
            self.window.tell(tr("Select a person first (click, or Tab)."))
        elif self.state.review is not None:
            self.save_review(person)
        else:
            self.window.takes.toggle(self.plan(person), self.views.recording.countdown.currentData())

    def load_settings(self) -> None:
        """Ask for a settings file."""
        path, _ = QFileDialog.getOpenFileName(self.window, tr("Load settings"), "", tr("Settings (*.toml)"))
        if path:
            self.window.load_settings(Path(path))

    def save_settings(self) -> None:
        """Ask where to write the settings."""
        path, _ = QFileDialog.getSaveFileName(self.window, tr("Save settings"), "xnect.toml", tr("Settings (*.toml)"))
        if path:
            try:
                settings.save(Path(path), self.views.controls.config)
            except XnectError as error:
                self.window.tell(str(error))

    def preferences(self) -> None:
        """Bring the controls to the front."""
        dock = self.views.docks["controls"]
        dock.show()
        dock.raise_()
        self.views.controls.setFocus()

    def quit(self) -> None:
        """Close the window."""
        self.window.close()

    # ---- Playback

    def play_pause(self) -> None:
        """Play or pause a file; freeze or go on with a live view."""
        self.window.play(not self.state.playback.playing)

    def step_back(self) -> None:
        """One frame back."""
        self.window.step(-1)

    def step_forward(self) -> None:
        """One frame forward."""
        self.window.step(1)

    def step_back_10(self) -> None:
        """Ten frames back."""
        self.window.step(-10)

    def step_forward_10(self) -> None:
        """Ten frames forward."""
        self.window.step(10)

    def back_1s(self) -> None:
        """A second back."""
        self.window.seek(self.state.playback.position_s - 1)

    def forward_1s(self) -> None:
        """A second forward."""
        self.window.seek(self.state.playback.position_s + 1)

    def to_start(self) -> None:
        """First frame."""
        self.window.seek(0)

    def to_end(self) -> None:
        """Last frame."""
        info = self.state.source
        if info.duration_s:
            self.window.seek(max(0.0, info.duration_s - 1.5 / (info.fps or 30)))

    # ---- Record

    def plan(self, only: int | None = None) -> RecordingPlan:
        """A take as the recording bar says."""
        bar = self.views.recording
        return RecordingPlan(bar.folder, bar.formats(), only, limit_s=float(bar.limit.currentData()))

    def record(self) -> None:
        """Start (after the countdown) or stop."""
        bar = self.views.recording
        self.window.takes.toggle(self.plan(), bar.countdown.currentData())

    def snapshot(self) -> None:
        """Save the picture with its skeletons."""
        view = self.views.camera if self.views.docks["camera"].isVisible() else self.views.scene
        try:
            path = save_snapshot(view.grab(), self.views.recording.folder)
        except XnectError as error:
            self.window.tell(str(error))
            return
        self.window.tell(tr("Saved {path}").format(path=path), 6)

    def stream(self) -> None:
        """Start or stop the live streams; ask where to as long as nobody has said."""
        streaming = self.window.streaming
        if streaming.on or streaming.config.any:
            streaming.toggle()
        else:
            self.stream_to()

    def stream_to(self) -> None:
        """Ask where to stream."""
        from xnect.gui.views.stream_dialog import StreamDialog

        StreamDialog(self.window.streaming, self.window.settings, self.window).open()

    # ---- View

    def view_overlay(self) -> None:
        """Picture only."""
        self.views.show_only(True, False)

    def view_scene(self) -> None:
        """3D only."""
        self.views.show_only(False, True)

    def view_both(self) -> None:
        """Picture and 3D."""
        self.views.show_only(True, True)

    def _flip(self, option: str) -> None:
        setattr(self.state.options, option, not getattr(self.state.options, option))

    def toggle_heatmaps(self) -> None:
        """Stage I's maps."""
        self._flip("heatmaps")
        self.state.options.pafs = self.state.options.heatmaps

    def toggle_mirror(self) -> None:
        """Mirror the views."""
        self._flip("mirror")

    def toggle_picture(self) -> None:
        """Picture or black."""
        self._flip("picture")

    def toggle_ids(self) -> None:
        """Names."""
        self._flip("ids")

    def toggle_grid(self) -> None:
        """Floor grid."""
        self._flip("grid")

    def toggle_angles(self) -> None:
        """Angles as text."""
        self._flip("angle_text")

    def toggle_trails(self) -> None:
        """Trails."""
        self._flip("trails")

    def scene_reset(self) -> None:
        """First point of view."""
        self.views.scene.preset("perspective")

    def scene_front(self) -> None:
        """From the front."""
        self.views.scene.preset("front")

    def scene_side(self) -> None:
        """From the side."""
        self.views.scene.preset("side")

    def scene_top(self) -> None:
        """From above."""
        self.views.scene.preset("top")

    def follow(self) -> None:
        """Follow the selected person, or nobody."""
        state = self.state
        if state.follow is None:
            state.follow = state.selected if state.selected is not None else state.people.next_present(None)
        else:
            state.follow = None

    def full_screen(self) -> None:
        """Full screen or back."""
        full = not self.window.isFullScreen()
        self.window.showFullScreen() if full else self.window.showNormal()
        self.window.menuBar().setVisible(not full)

    def toggle_theme(self) -> None:
        """Light or dark."""
        self.window.set_theme("light" if self.state.options.theme == "dark" else "dark")

    def reset_layout(self) -> None:
        """Everything where it was at first."""
        self.views.arrange()

    # ---- People

    def next_person(self) -> None:
        """Select the next one."""
        self.state.selected = self.state.people.next_present(self.state.selected)

    def reset_ids(self) -> None:
        """Forget everyone."""
        if self.state.review is None:
            self.state.forget_people()
            self.engine.reset_people()

    def rescale(self) -> None:
        """Measure bodies again."""
        self.engine.rescale()
        self.window.tell(tr("Body sizes are being measured again."), 4)

    def threshold_down(self) -> None:
        """Find more."""
        self._threshold(-0.02)

    def threshold_up(self) -> None:
        """Find fewer."""
        self._threshold(0.02)

    def _threshold(self, by: float) -> None:
        controls = self.views.controls
        value = min(0.8, max(0.02, controls.config.detection.peak_threshold + by))
        controls.set_value("detection.peak_threshold", round(value, 3))
        self.window.tell(tr("Joint threshold {value:.2f}").format(value=value), 2)

    def calibrate(self) -> None:
        """The camera and scale assistant."""
        self.window.open_assistant()

    # ---- Review

    def save_review(self, only: int | None = None) -> None:
        """Ask for a folder and write the mended recording there."""
        folder = QFileDialog.getExistingDirectory(self.window, tr("New folder for the mended recording"))
        if folder:
            self.window.write_review(Path(folder), only)

    # ---- Help

    def help(self) -> None:
        """The keys."""
        page = self.views.help
        page.hide() if page.isVisible() else page.open(self.state.options.theme, self.window.actions_by_name)

    def edit_keys(self) -> None:
        """The dialog for the keys."""
        from xnect.gui.views.key_editor import KeyEditor

        KeyEditor(self.window.actions_by_name, self.window.settings, self.window).show()

    def about(self) -> None:
        """Version and licences."""
        from xnect import __version__

        text = tr(
            "xnect {version}: motion capture of several people from one ordinary camera.\n\n"
            "The program is under the Apache License 2.0. This window uses PyQt5, which is under the GPL v3: "
            "passing on a bundle with the window means passing it on under the GPL v3."
        ).format(version=__version__)
        QMessageBox.about(self.window, tr("About xnect"), text)

    def leave(self) -> None:
        """Esc: full screen, then help, then quit after asking."""
        if self.views.help.isVisible():
            self.views.help.hide()
        elif self.window.isFullScreen():
            self.full_screen()
        elif self.window.confirm(tr("Quit xnect?")):
            self.window.close()
