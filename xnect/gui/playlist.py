"""Several sources one after the other, recorded from their first frames on where the command line says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xnect.config import OutputConfig
from xnect.gui.parts import RecordingPlan, SourceRequest

if TYPE_CHECKING:
    from xnect.gui.main_window import MainWindow


class Playlist:
    """What is opened when the present file has ended.

    Attributes:
        queue: Sources still to come.
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._output: OutputConfig | None = None
        self._many = False
        self.queue: list[SourceRequest] = []

    def start(self, queue: list[SourceRequest], output: OutputConfig) -> None:
        """Open the first source; ``output.directory`` None = nothing is recorded by itself."""
        self.queue = list(queue)
        self._many = len(queue) > 1
        self._output = output if output.directory is not None else None
        if self._output is not None:  # who records files wants them done, not played
            speed = self._window.views.transport.speed
            speed.setCurrentIndex(speed.count() - 1)
        self.open_next()

    def open_next(self) -> None:
        """Open the next source, if there is one."""
        if not self.queue:
            return
        request = self.queue.pop(0)
        self._window.open_source(request, self._plan(request))

    def _plan(self, request: SourceRequest) -> RecordingPlan | None:
        output = self._output
        if output is None or output.directory is None or request.kind == "recording":
            return None
        folder = Path(output.directory)
        self._window.views.recording.set_folder(folder)
        if self._many:
            folder = folder / Path(request.title or "source").stem
        return RecordingPlan(folder, output.formats, exact=True, overwrite=output.overwrite)
