"""Twenty hostile clients at the WebSocket server, and one honest reader: what does the pipeline lose, what the reader?

The clients live in a process of their own and keep on coming: five connect and never read, four flood with messages, two
send messages of a megabyte, two open and close connections as fast as they can, three never end their handshake, two send
rubbish, one comes from a foreign web page, one dies in the middle. Stretches with and without them take turns.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.reliability.harness import held
from benchmarks.streams import Work, made_up, stretch
from xnect.evaluation.report import markdown_table
from xnect.formats.header import RecordingHeader
from xnect.geometry import camera_from_fov
from xnect.streams import Streams, open_streams

FRAME_MS, PACE_S, FRAMES = 15.0, 1 / 20, 20
REST_S = 0.02  # between two attacks of one client: twenty of them are to attack the server, not our only processor


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """So many stretches with and without hostile clients; table and figures."""
    due = time.monotonic() + 60 * (minutes or 1e6)
    frames, work = [made_up(i, 3) for i in range(FRAMES)], Work(FRAME_MS)
    spawn = multiprocessing.get_context("spawn")
    attack, ended, counts = spawn.Event(), spawn.Event(), spawn.Array("q", 3)
    means: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    beside: dict[str, list[float]] = {"without": [], "with": []}
    read: dict[str, int] = {"without": 0, "with": 0}
    with open_streams(websocket="127.0.0.1:0") as streams:
        streams.describe(RecordingHeader(camera_from_fov((1280, 720)), fps=30.0))
        port = streams.outlets[0].address.port  # type: ignore[attr-defined]
        job = spawn.Process(target=_everybody, args=(port, attack, ended, counts), daemon=True)
        job.start()
        while not counts[0]:  # until the honest reader is there
            streams.send(frames[0])
            time.sleep(0.01)
        stretch(work, streams, frames, PACE_S)
        before = held()
        for turn in range(times):
            for side in ("without", "with") if turn % 2 else ("with", "without"):
                (attack.set if side == "with" else attack.clear)()
                time.sleep(0.5)
                _stretch(work, streams, frames, means[side], beside[side], read, side, counts)
            print(f"turn {turn + 1}: attacks {counts[1]}, {held()}", file=sys.stderr, flush=True)
            if time.monotonic() > due:
                break
        attack.clear()
        time.sleep(3.0)
        after, cut = held(), streams.outlets[0].dropped  # type: ignore[attr-defined]
        ended.set()
        job.join(5)
        job.kill()
        dropped = streams.dropped
    figures = {
        "means": means, "beside_ms": beside, "read": read, "attacks": counts[1], "refused": counts[2], "cut": cut,
        "dropped": dropped, "grown_threads": after.threads - before.threads, "grown_files": after.files - before.files,
        "grown_mb": after.rss_mb - before.rss_mb, "turns": len(means["with"]),
    }  # fmt: skip
    return _text(figures), figures


def _stretch(
    work: Work, streams: Streams, frames: list[Any], means: list[dict[str, float]], beside: list[float],
    read: dict[str, int], side: str, counts: Any,
) -> None:  # fmt: skip
    """One stretch: the pipeline's times, everybody else's processor time in this process, what the reader got."""
    all_s, own_s, got = time.process_time(), time.thread_time(), counts[0]
    times = stretch(work, streams, frames, PACE_S)
    beside.append(1e3 * (time.process_time() - all_s - (time.thread_time() - own_s)) / len(frames))
    means.append({name: float(np.median(values)) for name, values in times.items()})
    time.sleep(0.2)
    read[side] += counts[0] - got


def _text(figures: dict[str, Any]) -> str:
    rows = []
    labels = {
        "own": "processor time of the pipeline's thread",
        "awake": "clock, less the wait for a processor",
        "wall": "clock",
    }
    for name, label in labels.items():
        without, beside = (np.array([t[name] for t in figures["means"][side]]) for side in ("without", "with"))
        change = 100 * (beside / without - 1)
        rows.append([label, f"{np.median(without):.2f}", f"{np.median(beside):.2f}", f"{np.median(change):+.1f} %"])
    without, beside = (float(np.median(figures["beside_ms"][side])) for side in ("without", "with"))
    rows.append(["the server, beside it", f"{without:.2f}", f"{beside:.2f}", ""])
    sent = figures["turns"] * FRAMES
    return (
        "### Twenty hostile clients\n\n"
        + markdown_table(["a frame [ms]", "without", "with", "cost, median of turns"], rows)
        + f"\n\n{figures['attacks']} attacks; {figures['refused']} refused or cut off as the clients saw it, "
        f"{figures['cut']} cut off for not reading. The honest reader got {figures['read']['without']} of {sent} frames "
        f"without and {figures['read']['with']} of {sent} with them. Frames not streamed: {figures['dropped']}. Afterwards: "
        f"{figures['grown_threads']:+d} threads, {figures['grown_files']:+d} files, {figures['grown_mb']:+.1f} MB."
    )


# --- in the process of the clients


def _connect(port: int, origin: str = "", upgrade: bool = True) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), 5)
    if upgrade:
        made.sendall(
            f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{origin}"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
    return made


def _message(data: bytes) -> bytes:
    """A masked text message."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xff" + struct.pack("!Q", len(data))
    return b"\x81" + size + bytes(4) + data


def _stall(made: socket.socket, rng: random.Random) -> None:
    time.sleep(30)


def _flood(made: socket.socket, rng: random.Random) -> None:
    while True:
        made.sendall(_message(b"x" * 100) * 20)
        time.sleep(REST_S)


def _huge(made: socket.socket, rng: random.Random) -> None:
    made.sendall(_message(bytes(1 << 20)))
    made.recv(1 << 16)


def _nothing(made: socket.socket, rng: random.Random) -> None:
    """Connect and go."""


def _dawdle(made: socket.socket, rng: random.Random) -> None:
    for letter in b"GET /stream HTTP/1.1\r\nHost: " + b"a" * 100:
        made.sendall(bytes([letter]))
        time.sleep(0.2)


def _rubbish(made: socket.socket, rng: random.Random) -> None:
    made.sendall(rng.randbytes(2000))
    made.recv(1 << 16)


def _foreign(made: socket.socket, rng: random.Random) -> None:
    if b" 101 " in made.recv(1 << 16):  # 403, or nothing at all where it comes too often
        raise AssertionError("a foreign page was let in")


def _die(made: socket.socket, rng: random.Random) -> None:
    made.recv(1 << 16)
    made.sendall(_message(b"x" * 50)[:20])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


#: How, how many, and whether a handshake comes first.
_HOSTILE: tuple[tuple[Callable[[socket.socket, random.Random], None], int, bool], ...] = (
    (_stall, 5, True), (_flood, 4, True), (_huge, 2, True), (_nothing, 2, False), (_dawdle, 3, False),
    (_rubbish, 2, False), (_foreign, 1, True), (_die, 1, True),
)  # fmt: skip


def _everybody(port: int, attack: Any, ended: Any, counts: Any) -> None:
    """All clients, until it is over; ``counts``: frames read by the honest one, attacks, refusals."""
    threading.Thread(target=_read, args=(port, counts), daemon=True).start()
    kinds = [(how, upgrade) for how, count, upgrade in _HOSTILE for _ in range(count)]
    for number, (how, upgrade) in enumerate(kinds):
        threading.Thread(target=_again, args=(how, upgrade, number, port, attack, counts), daemon=True).start()
    ended.wait()
    os._exit(0)


def _again(how: Any, upgrade: bool, number: int, port: int, attack: Any, counts: Any) -> None:
    rng = random.Random(number)
    origin = "Origin: http://evil.example\r\n" if how is _foreign else ""
    while True:
        attack.wait()
        try:
            with contextlib.closing(_connect(port, origin, upgrade)) as made:
                made.settimeout(5)
                how(made, rng)
        except OSError:
            with counts.get_lock():
                counts[2] += 1
        with counts.get_lock():
            counts[1] += 1
        time.sleep(REST_S)


def _read(port: int, counts: Any) -> None:
    """The honest reader: counts whole messages."""
    made, waiting = _connect(port), b""
    while b"\r\n\r\n" not in waiting:
        waiting += made.recv(1 << 16)
    waiting = waiting.split(b"\r\n\r\n", 1)[1]
    while True:
        select.select([made], [], [])
        waiting += made.recv(1 << 16)
        while len(waiting) > 10:
            kind, small = waiting[0] & 15, waiting[1] & 127
            size, at = (small, 2) if small < 126 else (
                (struct.unpack("!H", waiting[2:4])[0], 4) if small == 126 else (struct.unpack("!Q", waiting[2:10])[0], 10)
            )  # fmt: skip
            if len(waiting) < at + size:
                break
            if kind == 9:  # a ping wants its pong
                made.sendall(b"\x8a" + bytes([0x80 | size]) + bytes(4) + waiting[at : at + size])
            counts[0] += kind == 1
            waiting = waiting[at + size :]
