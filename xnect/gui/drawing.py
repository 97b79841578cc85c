"""Decides when which view is drawn, so that drawing takes a small share of the processor however slow the screen is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from PyQt5.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from xnect.gui.main_window import MainWindow

#: What time is taken from; the benchmark puts processor time here, to see one core that is not shared with others.
clock = time.perf_counter
#: Seconds between repaints at best, and at worst.
FASTEST_S, SLOWEST_S = 0.033, 0.33
#: Part of the machine that drawing may always take; the network needs the rest, and waits for the slowest of its threads.
SHARE_OF_MACHINE = 0.15
#: Part of the cores left idle by the program's other threads that drawing may take: with a camera there are such.
SHARE_OF_IDLE = 0.3
#: The same as a share of one core; never more than so much, as Python lets only one thread run at a time.
MOST_OF_ONE_CORE = 0.3


def usable_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def crowd() -> float:
    """How many programs and threads want each core, at least 1: on a crowded machine drawing gives way first."""
    try:
        return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    except (OSError, AttributeError):  # Windows does not tell
        return 1.0


SHARE = min(MOST_OF_ONE_CORE, SHARE_OF_MACHINE * usable_cores())
#: On a crowded machine repaints may come so many times later.
MOST_PATIENCE = 3.0
#: Seconds between repaints of what is read as figures and curves.
BARS_S, PLOT_S, TIMINGS_S, LIST_S = 0.12, 0.16, 0.25, 0.33


class Budget:
    """Stretches the time between repaints when they take long and the machine has little time left."""

    def __init__(self, share: float = SHARE, crowd: Callable[[], float] = crowd) -> None:
        self._share, self._crowd = share, crowd
        self._cost_s = self._idle = 0.0

    def spent(self, seconds: float, idle: float = 0.0) -> None:
        """The window computed for so long since the repaint before; so many cores were left idle by the other threads."""
        self._cost_s += 0.2 * (seconds - self._cost_s)
        self._idle += 0.2 * (max(idle, 0.0) - self._idle)

    @property
    def share(self) -> float:
        """Part of one core that drawing may take."""
        return min(MOST_OF_ONE_CORE, max(self._share, SHARE_OF_IDLE * self._idle))

    @property
    def interval_s(self) -> float:
        """Time from one repaint to the next."""
        wait = self._crowd()
        return min(SLOWEST_S * min(wait, MOST_PATIENCE), max(FASTEST_S, wait * self._cost_s / self.share))


class Part:
    """A view that is repainted less often than the picture."""

    def __init__(self, refresh: Callable[[], None], every_s: float) -> None:
        self._refresh, self._every_s = refresh, every_s
        self._due_s = 0.0
        self.old = False

    def repaint(self, now_s: float, interval_s: float) -> None:
        """Repaint what is old and due; on slow machines as much less often as the picture."""
        if self.old and now_s >= self._due_s:
            self.old = False
            self._due_s = now_s + max(self._every_s, 2.5 * interval_s)
            self._refresh()


class Drawing(QObject):
    """Takes finished frames in and repaints the window's views when there is something new and the budget allows.

    Attributes:
        budget: How much time drawing may take.
        repaints: How often picture and 3D view were drawn.
    """

    def __init__(self, window: MainWindow, take_in: Callable[[], None], idle: Callable[[], None]) -> None:
        super().__init__(window)
        self._window = window
        self._take_in, self._idle = take_in, idle
        self.budget = Budget()
        self.repaints = 0
        views = window.views
        self._parts = [
            Part(views.transport.refresh, BARS_S),
            Part(views.plots.refresh, PLOT_S),
            Part(views.timings.refresh, TIMINGS_S),
        ]
        self._waiting = self._new = False
        self._taken_s = self._due_s = self._list_due_s = 0.0
        self._thread_s, self._process_s, self._wall_s = time.thread_time(), time.process_time(), time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setInterval(int(FASTEST_S * 1000) // 2)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def stop(self) -> None:
        """No more repaints."""
        self._timer.stop()

    def frame_waits(self) -> None:
        """The engine has finished a frame: it is taken in at once, or with the next ones where that was just done."""
        self._waiting = True
        now = clock()
        if now - self._taken_s >= FASTEST_S:
            self._take(now)
            self._paint(now)

    def frame(self) -> None:
        """A new frame is in the state."""
        self._new = True

    def _take(self, now: float) -> None:
        self._waiting, self._taken_s = False, now
        self._take_in()

    def _tick(self) -> None:
        now = clock()
        if self._waiting and now - self._taken_s >= FASTEST_S:
            self._take(now)
        self._paint(now)
        if now >= self._list_due_s:
            self._list_due_s = now + LIST_S
            views = self._window.views
            views.people.refresh()
            views.review.refresh(len(views.people.chosen()))
            self._idle()

    def _paint(self, now: float) -> None:
        if self._new and now >= self._due_s:
            self._new = False
            self._count_cost()
            self._window.views.camera.refresh()
            self._window.views.scene.refresh()
            for part in self._parts:
                part.old = True
            self._due_s = now + self.budget.interval_s
            self.repaints += 1
        for part in self._parts:
            part.repaint(now, self.budget.interval_s)

    def _count_cost(self) -> None:
        """All that this thread has computed since the last repaint: Qt paints when it likes, and lists cost as well."""
        own, process, wall = time.thread_time(), time.process_time(), time.perf_counter()
        spent = own - self._thread_s
        others = (process - self._process_s - spent) / max(wall - self._wall_s, 1e-3)
        self.budget.spent(min(spent, SLOWEST_S), usable_cores() - others)
        self._thread_s, self._process_s, self._wall_s = own, process, wall

    def everything(self) -> None:
        """Something other than the frame has changed."""
        window, views = self._window, self._window.views
        for view in (views.camera, views.scene, views.transport, views.recording, views.source, views.timings):
            view.refresh()
        views.plots.refresh()
        views.people.refresh()
        views.review.refresh(len(views.people.chosen()))
        options = window.state.options
        for name, on in (
            ("toggle_heatmaps", options.heatmaps), ("toggle_mirror", options.mirror),
            ("toggle_picture", not options.picture), ("toggle_ids", options.ids), ("toggle_grid", options.grid),
            ("toggle_angles", options.angle_text), ("toggle_trails", options.trails),
            ("follow", window.state.follow is not None), ("full_screen", window.isFullScreen()), ("stream", window.state.streaming.on),
        ):  # fmt: skip
            window.actions_by_name[name].setChecked(on)
