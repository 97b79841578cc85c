"""Live streams beside the window."""

from __future__ import annotations

import json
import select
import socket
import threading
import time

import pytest

from xnect.config import RunConfig, SourceConfig, StreamConfig
from xnect.errors import StreamError

pytestmark = pytest.mark.gui


@pytest.fixture
def main(world, qapp, monkeypatch, tmp_path):
    """``app.main`` over the fake world."""
    from PyQt5.QtCore import QSettings

    from xnect.gui import app, default_parts

    QSettings.setPath(QSettings.IniFormat, QSettings.UserScope, str(tmp_path))
    monkeypatch.setattr(app, "make_application", lambda: qapp)
    monkeypatch.setattr(app, "catch_errors", lambda show: None)
    monkeypatch.setattr(default_parts, "default_parts", world.parts)
    return app.main


def test_a_browser_sees_what_the_window_sees(main, world, qapp):
    connect = pytest.importorskip("websockets.sync.client").connect
    from PyQt5.QtCore import QTimer
    from PyQt5.QtWidgets import QApplication

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    got = []

    def listen():
        try:
            with connect(f"ws://127.0.0.1:{port}/stream", proxy=None, open_timeout=20) as client:
                while len(got) < 5:
                    got.append(json.loads(client.recv(timeout=20)))
        finally:
            closing.set()

    closing, ended_s = threading.Event(), []
    listener = threading.Thread(target=listen)

    def close_when_seen():
        if closing.is_set():
            for window in QApplication.topLevelWidgets():
                if hasattr(window, "engine"):
                    window.ask = False
                    ended_s.append(time.monotonic())
                    window.close()
            timer.stop()

    timer = QTimer()
    timer.timeout.connect(close_when_seen)
    timer.start(50)
    QTimer.singleShot(100, listener.start)
    config = RunConfig(source=SourceConfig(camera="0"), stream=StreamConfig(websocket=f"127.0.0.1:{port}"))
    assert main(config) == 0
    assert time.monotonic() - ended_s[0] < 3
    listener.join()
    assert got[0]["format"] == "xnect-poses"
    numbers = [line["frame"] for line in got[1:]]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 4
    assert not [t for t in threading.enumerate() if t.name.startswith("xnect-")]


def test_a_taken_port_ends_it_before_a_window_opens(main, qapp):
    from PyQt5.QtWidgets import QApplication

    pytest.importorskip("websockets")
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(StreamError, match="cannot listen"):
            main(RunConfig(stream=StreamConfig(websocket=address)))
    assert not [w for w in QApplication.topLevelWidgets() if w.isVisible()]


def test_v_starts_and_stops_the_streams_and_the_window_shows_it(window, qtbot, settings):
    from PyQt5.QtCore import Qt

    from xnect.gui.parts import SourceRequest
    from xnect.gui.views.stream_dialog import StreamDialog

    window.open_source(SourceRequest("camera", "Fake Cam", title="Fake Cam"))
    qtbot.waitUntil(lambda: bool(window.state.visible_people()))
    button = window.views.recording.stream
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(15)
        address = f"127.0.0.1:{receiver.getsockname()[1]}"
        qtbot.keyClick(window.views.camera, Qt.Key_V)
        dialog = window.findChild(StreamDialog)
        assert dialog.isVisible(), "nobody has said where to"
        dialog.fields["udp"].setText("nowhere:")
        qtbot.mouseClick(dialog.start, Qt.LeftButton)
        assert "a port expected" in dialog.note.text()
        dialog.fields["udp"].setText(address)
        qtbot.mouseClick(dialog.start, Qt.LeftButton)
        qtbot.waitUntil(button.isChecked)
        assert address in button.toolTip()
        assert window.actions_by_name["stream"].isChecked()
        assert address in window.views.notice.text
        assert b'"people"' in receiver.recv(65536) + receiver.recv(65536)
        qtbot.keyClick(window.views.camera, Qt.Key_V)
        qtbot.waitUntil(lambda: not button.isChecked() and button.isEnabled())
        receiver.setblocking(False)
        while select.select([receiver], [], [], 0)[0]:  # what was under way
            receiver.recv(65536)
        qtbot.wait(400)
        assert not select.select([receiver], [], [], 0)[0], "it is off"
        assert settings.value("streams/udp") == address
        button.click()
        qtbot.waitUntil(button.isChecked)
        receiver.settimeout(15)
        assert receiver.recv(65536)


def test_a_stream_that_cannot_start_is_told_and_leaves_the_window_alone(window, qtbot, settings):
    pytest.importorskip("websockets")
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        window.streaming.use(StreamConfig(websocket=taken), settings)
        qtbot.waitUntil(lambda: "cannot listen" in window.views.notice.text)
    assert not window.views.recording.stream.isChecked()
    assert "cannot listen" in window.views.recording.stream.toolTip()
    window.streaming.toggle()
    qtbot.waitUntil(lambda: window.streaming.on)
