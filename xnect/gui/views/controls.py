"""The controls panel: one row per setting of ``settings.CONTROLS``, live effect, reset, save and load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from xnect.config import PipelineConfig
from xnect.errors import ConfigError
from xnect.gui import settings
from xnect.gui.settings import CONTROLS, Control
from xnect.gui.text import tr

_SLIDER = 1000


class NumberRow(QWidget):
    """A slider and a number field that move together; with a tick where the setting may be absent."""

    changed = pyqtSignal(object)

    def __init__(self, control: Control) -> None:
        super().__init__()
        self._control = control
        self.known = QCheckBox()
        self.known.setToolTip(tr("Tick to give a value"))
        self.known.setVisible(bool(control.none_text))
        self.slider = QSlider(Qt.Horizontal)
        self.slider.setRange(0, _SLIDER)
        self.slider.setMinimumWidth(50)
        self.slider.setFocusPolicy(Qt.StrongFocus)
        self.field = QDoubleSpinBox()
        self.field.setRange(control.low, control.high)
        self.field.setSingleStep(control.step)
        self.field.setDecimals(control.decimals)
        self.field.setSuffix(control.unit)
        self.field.setKeyboardTracking(False)
        self.slider.valueChanged.connect(self._slid)
        self.field.valueChanged.connect(self._typed)
        self.known.toggled.connect(self._known_toggled)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.known)
        row.addWidget(self.slider, 1)
        row.addWidget(self.field)

    def set(self, value: float | None) -> None:
        """Show a setting without telling anyone."""
        c = self._control
        for widget in (self.known, self.slider, self.field):
            widget.blockSignals(True)
        self.known.setChecked(value is not None or not c.none_text)
        if value is not None:
            self.field.setValue(value * c.scale)
        elif c.key == "fit.height_m":
            self.field.setValue(172)
        elif c.key == "camera.fov_deg":
            self.field.setValue(60)
        self.slider.setValue(round((self.field.value() - c.low) / (c.high - c.low) * _SLIDER))
        for widget in (self.known, self.slider, self.field):
            widget.blockSignals(False)
        self._enable()

    def value(self) -> float | int | None:
        """The setting."""
        if not self.known.isChecked() and self._control.none_text:
            return None
        shown = self.field.value() / self._control.scale
        return round(shown) if self._control.kind == "integer" else round(shown, 6)

    def _enable(self) -> None:
        on = self.known.isChecked() or not self._control.none_text
        self.slider.setEnabled(on)
        self.field.setEnabled(on)

    def _slid(self, position: int) -> None:
        c = self._control
        raw = c.low + (c.high - c.low) * position / _SLIDER
        self.field.blockSignals(True)
        self.field.setValue(round(raw / c.step) * c.step)
        self.field.blockSignals(False)
        self.changed.emit(self.value())

    def _typed(self, shown: float) -> None:
        c = self._control
        self.slider.blockSignals(True)
        self.slider.setValue(round((shown - c.low) / (c.high - c.low) * _SLIDER))
        self.slider.blockSignals(False)
        self.changed.emit(self.value())

    def _known_toggled(self) -> None:
        self._enable()
        self.changed.emit(self.value())


class FileRow(QWidget):
    """A path with a button; empty = none."""

    changed = pyqtSignal(object)

    def __init__(self, control: Control) -> None:
        super().__init__()
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr(control.none_text))
        self.field.editingFinished.connect(lambda: self.changed.emit(self.value()))
        self.field.setMinimumWidth(40)
        pick = QToolButton()
        pick.setText("…")
        pick.setToolTip(tr("Choose a file"))
        pick.clicked.connect(self._pick)
        clear = QToolButton()
        clear.setText("×")
        clear.setToolTip(tr("None"))
        clear.clicked.connect(self._clear)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.field, 1)
        row.addWidget(pick)
        row.addWidget(clear)

    def set(self, value: str | None) -> None:
        """Show a setting without telling anyone."""
        self.field.setText(value or "")

    def value(self) -> str | None:
        """The setting."""
        return self.field.text().strip() or None

    def _pick(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Choose a file"), self.field.text())
        if path:
            self.field.setText(path)
            self.changed.emit(path)

    def _clear(self) -> None:
        self.field.clear()
        self.changed.emit(None)


class Controls(QWidget):
    """All settings; emits the whole configuration whenever one changes."""

    changed = pyqtSignal(object)
    refused = pyqtSignal(str)
    save_wanted = pyqtSignal()
    load_wanted = pyqtSignal()
    rescale_wanted = pyqtSignal()
    reset_ids_wanted = pyqtSignal()
    assistant_wanted = pyqtSignal()

    def __init__(self, config: PipelineConfig, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.config = config
        self._setters: dict[str, Callable[[Any], None]] = {}
        self.rows: dict[str, QWidget] = {}
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(6, 4, 6, 6)
        for group in dict.fromkeys(c.group for c in CONTROLS):
            column.addWidget(self._group(group))
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        area.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addLayout(self._buttons())
        self.show_config(config)

    def sizeHint(self) -> QSize:
        """A narrow column."""
        return QSize(320, 420)

    def _group(self, name: str) -> QGroupBox:
        box = QGroupBox(tr(name))
        form = QFormLayout(box)
        form.setContentsMargins(8, 6, 8, 8)
        form.setSpacing(5)
        form.setFieldGrowthPolicy(QFormLayout.AllNonFixedFieldsGrow)
        for control in (c for c in CONTROLS if c.group == name):
            row = self._row(control)
            row.setToolTip(tr(control.tip))
            row.setAccessibleName(tr(control.label))
            label = QLabel(tr(control.label))
            label.setToolTip(tr(control.tip))
            label.setBuddy(row)
            self.rows[control.key] = row
            form.addRow(label, row)
        if name == "Scene":
            form.addRow(self._scene_buttons())
        return box

    def _scene_buttons(self) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 2, 0, 0)
        row.setSpacing(4)
        for text, tip, signal in (
            (
                tr("Assistant…"),
                tr("Find field of view and scale with a chessboard or a person (C)"),
                self.assistant_wanted,
            ),
            (tr("Re-measure"), tr("Measure everyone's bones again (Ctrl+B)"), self.rescale_wanted),
            (tr("New ids"), tr("Forget everyone and count from 1 again (Ctrl+R)"), self.reset_ids_wanted),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _c=False, s=signal: s.emit())
            row.addWidget(button)
        return holder

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(6, 2, 6, 4)
        row.setSpacing(4)
        self.defaults = QPushButton(tr("Defaults"))
        self.defaults.setToolTip(tr("Put all settings back"))
        self.defaults.clicked.connect(self.reset)
        load = QPushButton(tr("Load…"))
        load.setToolTip(tr("Read settings from a file"))
        load.clicked.connect(self.load_wanted)
        save = QPushButton(tr("Save…"))
        save.setToolTip(tr("Write settings to a file that the command line takes too (--config)"))
        save.clicked.connect(self.save_wanted)
        for button in (self.defaults, load, save):
            row.addWidget(button)
        return row

    def _row(self, control: Control) -> QWidget:
        if control.kind == "choice":
            return self._choice(control)
        if control.kind == "switch":
            box = QCheckBox()
            self._setters[control.key] = box.setChecked
            box.toggled.connect(lambda on: self._take(control.key, bool(on)))
            return box
        row = FileRow(control) if control.kind == "file" else NumberRow(control)
        self._setters[control.key] = row.set
        row.changed.connect(lambda value: self._take(control.key, value))
        return row

    def _choice(self, control: Control) -> QComboBox:
        box = QComboBox()
        box.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(10)
        for value, name in control.choices:
            box.addItem(tr(name), value)

        def show(value: Any) -> None:
            values = [box.itemData(i) for i in range(box.count())]
            if value not in values:
                box.addItem(f"{value[0]} x {value[1]}" if isinstance(value, tuple) else str(value), value)
                values.append(value)
            box.setCurrentIndex(values.index(value))

        self._setters[control.key] = show
        box.activated.connect(lambda _i: self._take(control.key, box.currentData()))
        return box

    # ---- values

    def show_config(self, config: PipelineConfig) -> None:
        """Show these settings without telling anyone."""
        self.config = config
        for key, setter in self._setters.items():
            row = self.rows[key]
            row.blockSignals(True)
            setter(settings.get(config, key))
            row.blockSignals(False)

    def set_value(self, key: str, value: Any) -> None:
        """Change one setting as if the user had."""
        self._take(key, value)
        self.show_config(self.config)

    def reset(self) -> None:
        """All settings back to the defaults."""
        self.show_config(PipelineConfig())
        self.changed.emit(self.config)

    def _take(self, key: str, value: Any) -> None:
        try:
            config = settings.put(self.config, key, value)
        except ConfigError as error:
            self.refused.emit(str(error))
            self.show_config(self.config)
            return
        if config != self.config:
            self.config = config
            self.changed.emit(config)
