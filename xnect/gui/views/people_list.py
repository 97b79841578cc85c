"""The people list: colour, name, visible time, confidence, height; rename, hide, solo, merge, swap, export."""

from __future__ import annotations

from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QIcon, QPixmap
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from xnect.gui.people import Entry
from xnect.gui.state import WindowState
from xnect.gui.text import person_name, tr

_NAME, _SHOW, _TIME, _SCORE, _HEIGHT = range(5)


class PeopleList(QWidget):
    """A table of everyone; refreshed a few times a second by the main window."""

    selected = pyqtSignal(object)
    merge_wanted = pyqtSignal(int, int)
    swap_wanted = pyqtSignal(int, int)
    export_wanted = pyqtSignal(int)
    changed = pyqtSignal()

    def __init__(self, state: WindowState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._rows: list[int] = []
        self._filling = False
        self.table = QTableWidget(0, 5)
        self.table.setHorizontalHeaderLabels([tr("Name"), tr("Show"), tr("Seen"), tr("Sure"), tr("Height")])
        tips = (
            tr("Double-click to rename"), tr("Untick to hide from the views (still recorded)"), tr("Time in view"),
            tr("How sure the last sight was"), tr("Body height as measured"),
        )  # fmt: skip
        for column, tip in enumerate(tips):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.ExtendedSelection)
        self.table.setEditTriggers(QAbstractItemView.DoubleClicked | QAbstractItemView.EditKeyPressed)
        self.table.setTabKeyNavigation(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.Stretch)
        header.setMinimumSectionSize(40)
        self.table.itemChanged.connect(self._edited)
        self.table.itemSelectionChanged.connect(self._selection_changed)
        self.solo = self._button(tr("Solo"), tr("Show only the selected person"), self._solo)
        self.solo.setCheckable(True)
        self.join = self._button(
            tr("Join"), tr("The two selected rows are one person: the older number stays"), self._join
        )
        self.swap = self._button(tr("Swap"), tr("The two selected people carry each other's number"), self._swap)
        self.export = self._button(tr("Export…"), tr("Record just this person from now on (Ctrl+E)"), self._export)
        grid = QGridLayout()
        grid.setContentsMargins(4, 2, 4, 4)
        grid.setSpacing(4)
        for i, button in enumerate((self.solo, self.join, self.swap, self.export)):
            grid.addWidget(button, 0, i)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table, 1)
        layout.addLayout(grid)
        self._enable()

    def sizeHint(self) -> QSize:
        """Room for a handful of people."""
        return QSize(320, 210)

    @staticmethod
    def _button(text: str, tip: str, action: object) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(action)
        return button

    # ---- filling

    def refresh(self) -> None:
        """The state has changed."""
        if not self.isVisible() or self.table.state() == QAbstractItemView.EditingState:
            return
        entries = sorted(self._state.people.entries.values(), key=lambda e: (not e.present, e.id))
        self._filling = True
        if [e.id for e in entries] != self._rows:
            self._rebuild(entries)
        for row, entry in enumerate(entries):
            self._fill(row, entry)
        wanted = self._state.selected
        if wanted in self._rows and len(self.chosen()) < 2 and self.chosen() != [wanted]:
            self.table.selectRow(self._rows.index(wanted))
        self._filling = False
        self._enable()

    def _rebuild(self, entries: list[Entry]) -> None:
        chosen = self.chosen()
        self._rows = [e.id for e in entries]
        self.table.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            for column in range(5):
                item = QTableWidgetItem()
                flags = Qt.ItemIsSelectable | Qt.ItemIsEnabled
                if column == _NAME:
                    flags |= Qt.ItemIsEditable
                    swatch = QPixmap(12, 12)
                    swatch.fill(QColor(*entry.rgb))
                    sign = QIcon(swatch)
                    sign.addPixmap(swatch, QIcon.Selected)  # else Qt dyes it in a selected row
                    item.setIcon(sign)
                elif column == _SHOW:
                    flags |= Qt.ItemIsUserCheckable
                else:
                    item.setTextAlignment(Qt.AlignRight | Qt.AlignVCenter)
                item.setFlags(flags)
                self.table.setItem(row, column, item)
        self.table.clearSelection()
        model = self.table.selectionModel()
        for person in chosen:
            if person in self._rows:
                index = self.table.model().index(self._rows.index(person), 0)
                model.select(index, model.Select | model.Rows)

    def _fill(self, row: int, entry: Entry) -> None:
        values = {
            _NAME: entry.title,
            _TIME: f"{entry.visible_s:.0f} s",
            _SCORE: f"{100 * entry.score:.0f} %" if entry.present else "–",
            _HEIGHT: f"{entry.height_m:.2f} m",
        }
        for column, text in values.items():
            item = self.table.item(row, column)
            if item.text() != text:
                item.setText(text)
            shade = self.palette().color(self.palette().Text if entry.present else self.palette().PlaceholderText)
            if item.foreground().color() != shade:
                item.setForeground(shade)
        tick = Qt.Checked if self._state.people.shown(entry.id) else Qt.Unchecked
        if self.table.item(row, _SHOW).checkState() != tick:
            self.table.item(row, _SHOW).setCheckState(tick)

    def chosen(self) -> list[int]:
        """Ids of the selected rows, ascending."""
        rows = {i.row() for i in self.table.selectionModel().selectedRows()}
        return sorted(self._rows[r] for r in rows if r < len(self._rows))

    def _enable(self) -> None:
        count = len(self.chosen())
        self.solo.setEnabled(count == 1 or self._state.people.solo is not None)
        self.solo.setChecked(self._state.people.solo is not None)
        self.join.setEnabled(count == 2)
        self.swap.setEnabled(count == 2)
        self.export.setEnabled(count == 1)

    # ---- the user

    def _edited(self, item: QTableWidgetItem) -> None:
        if self._filling or item.row() >= len(self._rows):
            return
        person = self._rows[item.row()]
        if item.column() == _NAME:
            default = person_name(person)
            self._state.people.rename(person, "" if item.text().strip() == default else item.text())
        elif item.column() == _SHOW:
            self._state.people.solo = None
            self._state.people.entries[person].hidden = item.checkState() != Qt.Checked
        self.changed.emit()

    def _selection_changed(self) -> None:
        self._enable()
        if not self._filling:
            chosen = self.chosen()
            self.selected.emit(chosen[0] if len(chosen) == 1 else None)

    def _solo(self, on: bool) -> None:
        chosen = self.chosen()
        self._state.people.solo = chosen[0] if on and chosen else None
        self._enable()
        self.changed.emit()

    def _join(self) -> None:
        a, b = self.chosen()
        self.merge_wanted.emit(b, a)

    def _swap(self) -> None:
        a, b = self.chosen()
        self.swap_wanted.emit(a, b)

    def _export(self) -> None:
        self.export_wanted.emit(self.chosen()[0])
