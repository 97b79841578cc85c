"""A strip that tells where the time goes: stages as a stacked bar, frame rate, latency, dropped frames."""

from __future__ import annotations

from PyQt5.QtCore import QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent
from PyQt5.QtWidgets import QSizePolicy, QWidget

from xnect.gui.palette import STAGES
from xnect.gui.state import WindowState
from xnect.gui.text import tr
from xnect.gui.theme import colour

#: Entries of ``timings_ms`` that are sums of others.
_SUMS = ("total", "frame")


class TimingStrip(QWidget):
    """Paints the smoothed timings."""

    def __init__(self, state: WindowState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)
        self.setToolTip(
            tr("Time per frame in each stage; frames a second; time from camera to screen; frames left out")
        )

    def sizeHint(self) -> QSize:
        """Two lines of text."""
        return QSize(400, 2 * self.fontMetrics().height() + 12)

    def minimumSizeHint(self) -> QSize:
        """Narrow enough for a small screen."""
        return QSize(240, self.sizeHint().height())

    def stages(self) -> list[tuple[str, float]]:
        """Stage names and times [ms], sums left out."""
        return [(n, ms) for n, ms in self._state.timings.stages_ms.items() if n not in _SUMS]

    def text(self) -> str:
        """The figures in words."""
        if self._state.review is not None:  # nothing is computed
            return ""
        t = self._state.timings
        parts = [f"{t.fps:.1f} fps" if t.fps else "– fps"]
        if self._state.source.live:  # a file waits for the screen's pace, so its latency means nothing
            parts.append(tr("latency") + f" {t.latency_ms:.0f} ms")
            parts.append(tr("dropped") + f" {t.dropped}")
        return "   ".join(parts)

    def refresh(self) -> None:
        """The state has changed."""
        if self.isVisible():
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Bar above, legend below."""
        painter = QPainter(self)
        theme = self._state.options.theme
        metrics = self.fontMetrics()
        text = self.text()
        width = metrics.horizontalAdvance(text) + 16
        dim, bright = colour(theme, "dim"), colour(theme, "text")
        painter.setPen(bright)
        painter.drawText(
            QRectF(self.width() - width, 0, width - 8, self.height()), Qt.AlignRight | Qt.AlignVCenter, text
        )
        stages = self.stages()
        total = sum(ms for _, ms in stages)
        room = self.width() - width - 16
        if not stages or total <= 0 or room < 60:
            return
        bar = QRectF(8, 6, room, max(5.0, self.height() / 2 - 9))
        painter.setRenderHint(QPainter.Antialiasing)
        x, label_x = bar.x(), bar.x()
        base = self.height() - metrics.descent() - 4
        for i, (name, ms) in enumerate(stages):
            shade = QColor(*STAGES[i % len(STAGES)])
            painter.fillRect(QRectF(x, bar.y(), max(1.0, room * ms / total), bar.height()), shade)
            x += room * ms / total
            label = f"{name} {ms:.1f}" if ms < 10 else f"{name} {ms:.0f}"
            needed = metrics.horizontalAdvance(label) + 20
            if label_x + needed > bar.right() + 12:
                continue
            painter.fillRect(QRectF(label_x, base - 8, 8, 8), shade)
            painter.setPen(dim)
            painter.drawText(int(label_x + 12), int(base), label)
            label_x += needed
        if label_x + metrics.horizontalAdvance("= 1000 ms") < bar.right() + 12:
            painter.setPen(bright)
            painter.drawText(int(label_x), int(base), f"= {total:.0f} ms")
