"""The WebSocket server, asked by websockets' own client and by plain sockets."""

import contextlib
import http.client
import json
import socket
import struct
import threading
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from xnect.addresses import Address
from xnect.errors import StreamError
from xnect.formats.recording import load
from xnect.streams import open_streams
from xnect.streams.gate import MESSAGES_PER_S
from xnect.streams.websocket import PATIENCE_S, WebSocketOutlet


@pytest.fixture
def running(results):
    """Streams with a server, fed at 50 frames a second until the test ends."""
    with open_streams(websocket="127.0.0.1:0") as streams:
        end = threading.Event()

        def feed():
            made = [results(i) for i in range(10)]
            index = 0
            while not end.wait(0.02):
                streams.send(made[index % 10])
                index += 1

        feeder = threading.Thread(target=feed)
        feeder.start()
        yield streams
        end.set()
        feeder.join()


def url_of(streams):
    return f"ws://{streams.outlets[0].address}/stream"


def test_a_client_gets_header_and_frames_that_make_a_recording(results, wait, tmp_path):
    with open_streams(websocket="127.0.0.1:0") as streams:
        streams.send(results(0))
        with connect(url_of(streams), proxy=None) as client:
            wait(lambda: streams.outlets[0].clients == 1)
            for index in range(1, 6):
                streams.send(results(index))
                time.sleep(0.02)
            lines = [client.recv(timeout=5) for _ in range(6)]
    (tmp_path / "poses.jsonl").write_text("\n".join(lines) + "\n")
    found = load(tmp_path / "poses.jsonl")
    assert found.frames.tolist() == [1, 2, 3, 4, 5]
    assert found.ids == (1, 2)
    for row in range(10):
        expected = results(1 + row // 2).people[row % 2]
        np.testing.assert_allclose(found.people.joints_3d[row], expected.joints_3d, atol=1e-4)
        np.testing.assert_allclose(found.people.angles[row], expected.angles, atol=1e-4)


def test_who_comes_late_learns_the_bones_within_a_second(running):
    with connect(url_of(running), proxy=None) as client:
        start = time.monotonic()
        while "offsets" not in (json.loads(client.recv(timeout=5)).get("people") or [{}])[0]:
            assert time.monotonic() - start < 2


def get(address, path="/", **headers):
    made = http.client.HTTPConnection(address.host, address.port, timeout=5)
    made.request("GET", path, headers=headers)
    answer = made.getresponse()
    body = answer.read()
    made.close()
    return answer, body


def test_the_page_is_self_contained(running):
    answer, body = get(running.outlets[0].address)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    text = body.decode()
    assert "http:" not in text.replace('https:" ? "wss:', "")
    assert "<canvas" in text
    assert " src=" not in text
    assert get(running.outlets[0].address, "/../../etc/passwd")[0].status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": "http://{own}"}, 101),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_only_our_own_page_may_connect_from_a_browser(running, headers, status):
    own = str(running.outlets[0].address)
    headers = {name: value.replace("{own}", own) for name, value in headers.items()}
    if status == 101:
        with connect(url_of(running), additional_headers=headers, proxy=None) as client:
            assert json.loads(client.recv(timeout=5))["format"] == "xnect-poses"
    else:
        with pytest.raises(InvalidStatus) as refused:
            connect(url_of(running), additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == status


@pytest.mark.parametrize("host", ["evil.example", "127.evil.example:80", "10.0.0.1", "", "localhost@evil.example"])
def test_foreign_host_names_get_nothing(running, host):
    """DNS rebinding: a name of the attacker's points to 127.0.0.1."""
    assert get(running.outlets[0].address, Host=host)[0].status == 403


def test_other_pages_when_they_are_named(results, wait):
    page = "http://localhost:3000"
    with (
        open_streams(websocket="127.0.0.1:0", origins=(page,)) as streams,
        connect(url_of(streams), additional_headers={"Origin": page}, proxy=None),
    ):
        wait(lambda: streams.outlets[0].clients == 1)


def test_the_network_needs_a_token(results):
    with open_streams(websocket="0.0.0.0:0") as streams:
        outlet = streams.outlets[0]
        token = outlet.url.partition("?token=")[2]
        assert len(token) >= 16
        here = Address("127.0.0.1", outlet.address.port)
        for path, status in [
            ("/", 403),
            ("/?token=wrong", 403),
            (f"/?token={token}", 200),
            ("/?token=" + "&" * 99, 403),
        ]:
            assert get(here, path)[0].status == status
        assert get(here, "/", Authorization=f"Bearer {token}")[0].status == 200
        streams.send(results(0))
        with connect(f"ws://{here}/stream?token={token}", proxy=None) as client:
            assert json.loads(client.recv(timeout=5))["format"] == "xnect-poses"
        with pytest.raises(InvalidStatus):
            connect(f"ws://{here}/stream", proxy=None)


def test_a_taken_port_is_told():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StreamError, match=rf"cannot listen at 127\.0\.0\.1:{port}: Address already in use"):
            open_streams(websocket=f"127.0.0.1:{port}", vmc=("127.0.0.1:39539",))


def stalled(address):
    """A client that shakes hands and never reads."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((address.host, address.port))
    made.sendall(
        f"GET /stream HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    return made


def test_stalled_and_dying_clients_do_not_disturb_the_others(running, wait):
    outlet = running.outlets[0]
    with connect(url_of(running), proxy=None) as good:
        slow = [stalled(outlet.address) for _ in range(5)]
        dying = [stalled(outlet.address) for _ in range(5)]
        wait(lambda: outlet.clients == 11)
        for client in dying:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # with a reset, as a process that is killed
        wait(lambda: outlet.clients == 6)
        start, gaps, count = time.monotonic(), [], 0
        last = start
        while outlet.dropped < 5:
            good.recv(timeout=5)
            count += 1
            now = time.monotonic()
            gaps.append(now - last)
            last = now
            assert now - start < PATIENCE_S + 15
        assert outlet.clients == 1
        assert count > 10 * (last - start)
        assert max(gaps) < 1.0
        for client in slow:
            client.close()
    assert running.dropped == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00" * 3000,
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100_000,
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        "GET /stream?token=\u00e9 HTTP/1.1\r\nHost: 127.0.0.1:99999999\r\n\r\n".encode(),
    ],
)
def test_malformed_requests_are_survived(running, raw, caplog):
    address = running.outlets[0].address
    with socket.create_connection((address.host, address.port), timeout=5) as bad:
        bad.sendall(raw)
        bad.shutdown(socket.SHUT_WR)
        try:
            answer = bad.recv(100_000)
        except ConnectionResetError:
            answer = b""
        assert not answer.startswith(b"HTTP/1.1 101")
        assert b"Traceback" not in answer
    with connect(url_of(running), proxy=None) as client:
        client.recv(timeout=5)
    assert not caplog.records


def talk(client):
    for _ in range(MESSAGES_PER_S * 1000):
        client.send("x")


def listen(client):
    while True:
        client.recv(timeout=5)


def test_talkative_and_loud_clients_are_cut_off(running, wait):
    outlet = running.outlets[0]
    with connect(url_of(running), proxy=None) as client:
        wait(lambda: outlet.clients == 1)
        with pytest.raises(ConnectionClosed):
            talk(client)
        wait(lambda: outlet.clients == 0)
    with connect(url_of(running), proxy=None) as client:
        wait(lambda: outlet.clients == 1)
        client.send("x" * 5000)
        wait(lambda: outlet.clients == 0)
    with connect(url_of(running), proxy=None) as client:
        client.recv(timeout=5)


def test_a_flood_of_connections_is_refused_and_passes(running, wait):
    outlet = running.outlets[0]
    with connect(url_of(running), proxy=None) as good:
        flood = []
        for _ in range(300):
            try:
                flood.append(socket.create_connection((outlet.address.host, outlet.address.port), timeout=1))
            except OSError:
                break
        wait(lambda: outlet._gate.refused > 0)
        for _ in range(10):
            good.recv(timeout=5)
        for client in flood:
            client.close()
    wait(lambda: outlet._gate.open == 0)
    assert outlet._gate.open == 0


def test_silent_guests_are_shown_out(results, wait):
    outlet = WebSocketOutlet(Address("127.0.0.1", 0))
    with socket.create_connection((outlet.address.host, outlet.address.port)) as silent:
        silent.settimeout(8)
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(10) == b""  # after the time for a handshake
    outlet.close()


def test_closing_takes_less_than_a_second_with_any_client(results, wait):
    streams = open_streams(websocket="127.0.0.1:0")
    outlet = streams.outlets[0]
    streams.send(results(0))
    silent = socket.create_connection((outlet.address.host, outlet.address.port))
    slow = [stalled(outlet.address) for _ in range(3)]
    with connect(url_of(streams), proxy=None) as good:
        wait(lambda: outlet.clients == 4)
        start = time.monotonic()
        streams.close()
        assert time.monotonic() - start < 1.0
        with pytest.raises(ConnectionClosed) as closed:
            listen(good)
        assert closed.value.rcvd.code == 1001
    wait(lambda: not outlet._thread.is_alive())
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((outlet.address.host, outlet.address.port))
    for client in [silent, *slow]:
        client.close()
    streams.close()
