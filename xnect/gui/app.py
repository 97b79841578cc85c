"""Starts the window: display test first, then Qt, then everything slow."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from xnect.gui.display import NO_DISPLAY, has_display, mend_qt_paths
from xnect.gui.text import tr

if TYPE_CHECKING:
    from PyQt5.QtWidgets import QApplication

    from xnect.config import RunConfig
    from xnect.gui.main_window import MainWindow
    from xnect.gui.parts import Parts, SourceRequest
    from xnect.gui.streaming import Streaming

_log = logging.getLogger(__name__)

#: Python's threads take turns after so long where several want to compute (5 ms otherwise): the network never waits longer
#: for a repaint [s].
TURN_S = 0.0005


def main(run_config: RunConfig, requests: list[SourceRequest] | None = None) -> int:
    """Open the window and stay until it is closed.

    Args:
        run_config: Source, pipeline and output as the command line gave them.
        requests: What to open instead of ``run_config.source`` (a recording to review).

    Returns:
        Exit code: 0, or 1 without a display or without PyQt5.

    Raises:
        StreamError: A live stream that is asked for cannot be set up.
    """
    if not has_display():
        _say(NO_DISPLAY)
        return 1
    mend_qt_paths()
    try:
        app = make_application()
    except ImportError as error:
        _say(f"the window needs PyQt5, pyqtgraph and PyOpenGL ({error}): pip install 'xnect[gui]'")
        return 1
    from xnect.gui.streaming import Streaming
    from xnect.streams import open_streams

    people = run_config.pipeline.detection.max_people
    with open_streams(run_config.stream, people) as streams:
        window = make_window(run_config, requests, streaming=Streaming(run_config.stream, people, streams))
        window.show()
        app.aboutToQuit.connect(window.streaming.close)
        return run(app, window)


def _say(text: str) -> None:
    sys.stderr.write(f"xnect: {text}\n")


def make_application() -> QApplication:
    """The Qt application with our look; raises ImportError without PyQt5."""
    from PyQt5.QtCore import QCoreApplication, Qt
    from PyQt5.QtWidgets import QApplication

    for attribute in (Qt.AA_EnableHighDpiScaling, Qt.AA_UseHighDpiPixmaps, Qt.AA_ShareOpenGLContexts):
        QCoreApplication.setAttribute(attribute)
    QCoreApplication.setOrganizationName("xnect")
    QCoreApplication.setApplicationName("xnect")
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)

    sys.setswitchinterval(TURN_S)
    import pyqtgraph

    pyqtgraph.setConfigOptions(antialias=True, useOpenGL=False)
    return app


def make_window(
    run_config: RunConfig,
    requests: list[SourceRequest] | None = None,
    parts: Parts | None = None,
    streaming: Streaming | None = None,
) -> MainWindow:
    """The window for a run, not yet shown; the network loads once it is on screen."""
    from PyQt5.QtCore import QSettings, QTimer

    from xnect.gui.default_parts import default_parts
    from xnect.gui.main_window import MainWindow
    from xnect.gui.sources import requests_of

    settings = QSettings(QSettings.IniFormat, QSettings.UserScope, "xnect", "window")
    output = run_config.output
    folder = Path(str(settings.value("folder", "") or default_folder()))
    window = MainWindow(
        parts or default_parts(), run_config.pipeline, folder, output.formats, settings, streaming=streaming
    )
    queue = requests_of(run_config.source) if requests is None else requests

    def begin() -> None:
        window.begin(run_config.pipeline, load=any(r.kind != "recording" for r in queue) or not queue)
        if queue:
            window.start(queue, output)

    QTimer.singleShot(0, begin)
    return window


def default_folder() -> Path:
    """Where takes go unless the user says otherwise."""
    import platformdirs

    return platformdirs.user_documents_path() / "xnect"


def run(app: QApplication, window: MainWindow) -> int:
    """Qt's loop, with errors shown and Ctrl-C and SIGTERM heard."""
    catch_errors(lambda title, text, details: window.bridge.failed.emit(title, text, details))
    stop = hear_signals(window)
    code = int(app.exec_())
    code = stop() or code
    if any(thread.name.startswith("xnect-") for thread in threading.enumerate()):
        # a thread still loads the network or hangs in a driver; tearing Python down under it aborts the process
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def catch_errors(show: Callable[[str, str, str], None]) -> None:
    """Errors that nobody caught are logged and shown; without this PyQt5 aborts the process."""
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        _log.error("not caught", exc_info=(kind, error, trace))
        details = "".join(traceback.format_exception(kind, error, trace))
        show(tr("Something went wrong in the window"), f"{kind.__name__}: {error}", details)

    sys.excepthook = hook
    threading.excepthook = lambda args: hook(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)


def hear_signals(window: MainWindow) -> Callable[[], int]:
    """Ctrl-C and SIGTERM close the window well.

    Returns:
        What undoes this; it returns the exit code of the signal that came (130, 143), 0 where none did.

    Python runs its handlers only between instructions of its own; a slow timer gives it the chance.
    """
    import signal

    from PyQt5.QtCore import QTimer

    came: list[int] = []

    def close(number: int, _frame: object) -> None:
        came.append(number)
        window.ask = False
        QTimer.singleShot(0, window.close)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, close)
    timer = QTimer()
    timer.timeout.connect(lambda: None)
    timer.start(200)

    def undo() -> int:
        timer.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
        return 128 + came[0] if came else 0

    return undo


def clean_environment() -> dict[str, str]:
    """The environment for child processes, without the Qt folders of cv2."""
    mend_qt_paths()
    return dict(os.environ)
