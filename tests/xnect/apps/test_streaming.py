"""``xnect run`` with live streams, without a window."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from xnect.apps.main import main

pytest.importorskip("websockets")
pytest.importorskip("pythonosc")
ROOT = Path(__file__).parents[3]


def go(*words):
    return main(["run", "--no-display", *map(str, words)])


@pytest.fixture
def lines():
    """Port of a UDP receiver, and what it got."""
    got, end = [], threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(0.05)

        def listen():
            while not end.is_set():
                try:
                    got.append((time.monotonic(), json.loads(made.recv(65536))))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield made.getsockname()[1], got
        end.set()
        thread.join()


def test_a_file_is_played_at_its_own_pace_and_nothing_is_recorded(clip, fake, lines, tmp_path, capfd):
    port, got = lines
    assert go("--video", clip, "--udp", port, "--end", 1) == 0
    due = time.monotonic() + 5  # the last message may still wait in the receiver's socket
    while len(got) < 11 and time.monotonic() < due:
        time.sleep(0.01)
    frames = [(at, line) for at, line in got if "frame" in line]
    assert [line["frame"] for _, line in frames] == list(range(10))
    assert 0.7 < frames[-1][0] - frames[0][0] < 2.5  # ten frames a second
    assert got[0][1]["source"]["name"] == "walk.mp4"
    assert not (tmp_path / "xnect-output").exists()
    out, err = capfd.readouterr()
    assert out == ""
    assert "streaming only" in err


def test_as_fast_as_possible_and_recorded(clip, fake, lines, tmp_path):
    port, got = lines
    start = time.monotonic()
    assert go("--video", clip, "--udp", port, "--stream-pace", "fast", "--output", "out", "--formats", "jsonl") == 0
    assert time.monotonic() - start < 2.5  # three seconds long
    recorded = [json.loads(line) for line in (tmp_path / "out/poses.jsonl").read_text().splitlines()]
    assert len(recorded) == 31
    last = [line for _, line in got if "frame" in line][-1]
    same = recorded[1 + last["frame"]]
    assert {**same, "people": 0} == {**last, "people": 0}
    assert {**same["people"][0], "offsets": 0} == {**last["people"][0], "offsets": 0}


def test_a_taken_port_is_one_line_and_exit_1(clip, fake, tmp_path, capfd):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert go("--video", clip, "--websocket", port, "--output", "out", "--log-level", "error") == 1
    err = capfd.readouterr().err
    assert err == (
        f"xnect run: cannot listen at 127.0.0.1:{port}: Address already in use (--websocket takes another port)\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--vmc", "no-such-host.invalid"], 1, "cannot stream to no-such-host.invalid:39539"),
        (["--vmc", "a b"], 2, "PORT, HOST or HOST:PORT expected"),
        (["--udp", "0"], 2, "port is above 0"),
        (["--websocket", "99999"], 2, "a port is a number up to 65535"),
    ],
)
def test_bad_addresses_are_one_line(words, code, message, clip, fake, capfd):
    try:
        got = go("--video", clip, *words, "--log-level", "error")
    except SystemExit as stop:
        got = stop.code
    assert got == code
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1


CHILD = """
    import sys, time
    sys.path[:0] = [{root!r}, {root!r} + "/tests/xnect/apps"]
    from conftest import FakePipeline
    import xnect.apps.run as run
    from xnect.apps import signals
    from xnect.apps.main import main

    class Stop(signals.Stop):
        def __call__(self, *words):
            came.append(time.monotonic())
            super().__call__(*words)

    came, signals.Stop, run.LazyPipeline = [], Stop, lambda config: FakePipeline()
    code = main(["run", "--no-display", *sys.argv[1:]])
    print(time.monotonic() - came[0], flush=True)
    sys.exit(code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_ends_it_within_a_second(lines):
    port, got = lines
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD).format(root=str(ROOT)), "--video", "synthetic:64x48@30:100000",
         "--udp", str(port), "--websocket", "0", "--vmc", "--osc"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while len(got) < 10:
            assert time.monotonic() < until
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        took_s, err = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 143
    assert float(took_s) < 1.0
    assert "Traceback" not in err
    assert "stopped" in err
