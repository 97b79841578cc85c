"""Live streams as the user sees them: on or off, where to, and why not; frames never wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PyQt5.QtCore import QObject, QSettings, pyqtSignal

from xnect.addresses import parse_address
from xnect.config import StreamConfig
from xnect.errors import ConfigError
from xnect.gui.state import StreamStatus, WindowState
from xnect.gui.text import tr
from xnect.streams import Streams, open_streams
from xnect.structures import FrameResult

#: Settings that a user can type, and the ports that are meant where none is said.
FIELDS = {"vmc": 39539, "osc": 9000, "udp": 8766, "websocket": 8765}


def config_of(texts: dict[str, str], base: StreamConfig) -> StreamConfig:
    """Settings from what was typed, addresses apart by commas or spaces; raises ConfigError."""
    try:
        vmc, osc, udp, page = (
            tuple(str(parse_address(part, port)) for part in texts.get(name, "").replace(",", " ").split())
            for name, port in FIELDS.items()
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if len(page) > 1:
        raise ConfigError("the web page and WebSocket server have one address")
    return StreamConfig(vmc, osc, udp, next(iter(page), None), base.token, base.origins, base.pace)


def texts_of(config: StreamConfig) -> dict[str, str]:
    """The settings as a user types them."""
    return {
        "vmc": ", ".join(config.vmc), "osc": ", ".join(config.osc), "udp": ", ".join(config.udp),
        "websocket": config.websocket or "",
    }  # fmt: skip


class Streaming(QObject):
    """Opens and closes the streams in threads of their own, keeps ``state.streaming`` true.

    Attributes:
        config: Where to stream.
    """

    changed = pyqtSignal()
    said = pyqtSignal(str)
    _finished = pyqtSignal(object, str)

    def __init__(self, config: StreamConfig | None = None, people: int = 10, streams: Streams | None = None) -> None:
        """Streams that are open already (the command line's) are taken over."""
        super().__init__()
        self.config = config or StreamConfig()
        self._people = people
        self._streams = streams if streams else None
        self._worker: threading.Thread | None = None
        self._state: WindowState | None = None
        self._closed = False
        self._finished.connect(self._take_over)

    def attach(self, state: WindowState, settings: QSettings) -> None:
        """Belong to a window; without addresses from the command line those of last time are offered."""
        self._state = state
        if not self.config.any:
            try:
                self.config = config_of({n: str(settings.value(f"streams/{n}", "")) for n in FIELDS}, self.config)
            except ConfigError:  # the file was edited by hand
                self.config = StreamConfig()
        self._tell()

    def send(self, result: FrameResult) -> None:
        """Hand over one frame (from the inference thread); returns at once."""
        streams = self._streams
        if streams is not None:
            streams.send(result)

    @property
    def on(self) -> bool:
        """Whether frames are streamed."""
        return self._streams is not None

    def toggle(self) -> None:
        """Start or stop; what is under way is waited for."""
        if self._worker is None:
            self._end() if self.on else self._begin()

    def use(self, config: StreamConfig, settings: QSettings) -> None:
        """Stream to other addresses from now on, and remember them; without any nothing is streamed."""
        self.config = config
        for name, text in texts_of(config).items():
            settings.setValue(f"streams/{name}", text)
        if self._worker is None and (self.on or config.any):
            self._begin() if config.any else self._end()

    def close(self) -> None:
        """Stop for good; waits until everything is closed, about a second at most."""
        self._closed = True
        worker, streams, self._streams = self._worker, self._streams, None
        if worker is not None:
            worker.join(2)
        if streams is not None:
            streams.close()

    # ---- in threads of their own: names are looked up, goodbyes are sent

    def _begin(self) -> None:
        config, old, self._streams = self.config, self._streams, None

        def work() -> None:
            if old is not None:
                old.close()
            try:
                streams = open_streams(config, self._people)
            except Exception as error:  # noqa: BLE001 - a thread's outermost call; packages may be missing or broken
                self._finished.emit(None, str(error))
                return
            if self._closed:
                streams.close()
            self._finished.emit(streams, "")

        self._start(work)

    def _end(self) -> None:
        old, self._streams = self._streams, None

        def work() -> None:
            if old is not None:
                old.close()
            self._finished.emit(None, "")

        self._start(work)

    def _start(self, work: Callable[[], None]) -> None:
        self._worker = threading.Thread(target=work, name="xnect-streaming", daemon=True)
        self._worker.start()
        self._tell()

    def _take_over(self, streams: Streams | None, error: str) -> None:
        if self._closed:
            return
        self._worker, self._streams = None, streams
        self._tell(error)
        if error:
            self.said.emit(tr("Nothing is streamed: {why}").format(why=error))
        elif streams is not None:
            self.said.emit(tr("Streaming {where}").format(where="; ".join(o.description for o in streams.outlets)))
        else:
            self.said.emit(tr("Streaming has stopped."))

    def _tell(self, error: str = "") -> None:
        if self._state is not None:
            where = tuple(o.description for o in self._streams.outlets) if self._streams is not None else ()
            self._state.streaming = StreamStatus(self.on, self._worker is not None, where, error)
        self.changed.emit()
