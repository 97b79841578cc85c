"""Id corrections as the user makes them: on the running picture, or over a span of a recording."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt5.QtCore import QObject

from xnect.errors import XnectError
from xnect.gui.review import Review
from xnect.gui.text import tr

if TYPE_CHECKING:
    from xnect.gui.main_window import MainWindow


def write_recording(review: Review, folder: Path, only: int | None, formats: tuple[str, ...]) -> None:
    """Write a mended recording into an empty or new folder.

    Formats that need the pictures (the overlay) are left out.

    Raises:
        OutputError: The folder cannot be written to, or holds a recording already.
    """
    from xnect.formats.writer import open_writers
    from xnect.structures import Frame

    recording = review.mended(only)
    width, height = recording.header.camera.size_px
    with open_writers(folder, [f for f in formats if f != "overlay"], recording.header) as writers:
        import numpy as np

        blank = np.zeros((height, width, 3), np.uint8)
        for result in recording.results():
            writers.write(Frame(result.index, result.timestamp_s, blank), result)


class ReviewEdits(QObject):
    """Connects the people list and the review bar with what is to be mended."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        bar = window.views.review
        bar.mark_start.connect(lambda: self._mark(start=True))
        bar.mark_end.connect(lambda: self._mark(start=False))
        bar.whole.connect(self._whole)
        bar.join_wanted.connect(self._join)
        bar.swap_wanted.connect(self._swap)
        bar.split_wanted.connect(self._split)
        bar.delete_wanted.connect(self._delete)
        bar.undo_wanted.connect(self._undo)
        bar.save_wanted.connect(lambda: window.commands.run("save_review"))

    # ---- running or recorded

    def merge(self, gone: int, kept: int) -> None:
        """Two ids are one person: from now on, or in the span."""
        review = self._window.state.review
        if review is None:
            self._window.state.merge(gone, kept)
            self._window.engine.refresh()
        else:
            both = review.join(gone, kept)
            if both:
                self._window.tell(tr("Both were seen in {n} frames; there the surer one was kept.").format(n=both))
        self._changed()

    def swap(self, a: int, b: int) -> None:
        """Two people carry each other's id: from now on, or in the span."""
        review = self._window.state.review
        if review is None:
            self._window.state.swap(a, b)
            self._window.engine.refresh()
        else:
            review.swap(a, b)
        self._changed()

    # ---- recorded

    def _review(self) -> Review:
        review = self._window.state.review
        assert review is not None, "the bar is hidden without a recording"
        return review

    def _mark(self, start: bool) -> None:
        review = self._review()
        here = review.position_at(self._window.state.playback.position_s)
        review.mark(**{"start" if start else "end": here})
        self._window.refresh_all()

    def _whole(self) -> None:
        self._review().mark_all()
        self._window.refresh_all()

    def _join(self) -> None:
        a, b = self._window.views.people.chosen()
        self.merge(b, a)

    def _swap(self) -> None:
        self.swap(*self._window.views.people.chosen())

    def _split(self) -> None:
        (person,) = self._window.views.people.chosen()
        new = self._review().split(person)
        self._window.tell(tr("In the span, person {a} is now person {b}.").format(a=person, b=new), 5)
        self._changed()

    def _delete(self) -> None:
        (person,) = self._window.views.people.chosen()
        self._review().delete(person)
        self._changed()

    def _undo(self) -> None:
        self._review().undo()
        self._changed()

    def _changed(self) -> None:
        """Lists, plots and the frame on screen follow the repair."""
        window = self._window
        review = window.state.review
        if review is not None:
            window.state.set_review(review)
            window.rewind.clear()
            window.engine.refresh()
        window.refresh_all()

    # ---- saving

    def write(self, folder: Path, only: int | None, formats: tuple[str, ...]) -> None:
        """Write the mended recording in a thread of its own."""
        review, bridge = self._review(), self._window.bridge
        bridge.tell_progress(tr("Writing the recording…"))

        def work() -> None:
            try:
                write_recording(review, folder, only, formats)
                if only is None:
                    review.saved()
                bridge.tell(tr("Saved in {path}").format(path=folder))
            except (XnectError, OSError) as error:
                bridge.tell(tr("The recording could not be saved: {why}").format(why=error))
            bridge.tell_progress("")

        threading.Thread(target=work, name="xnect-save", daemon=True).start()
