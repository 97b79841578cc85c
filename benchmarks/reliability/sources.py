"""A camera in the network that is lost and comes back: does the session go on by itself, and what does it cost?

An MJPEG server on loopback sends numbered pictures and breaks off: the connection is closed, reset, or the whole server
goes away for a while. One session with the real source reads on; the same is done with a fake camera whose driver fails.
"""

from __future__ import annotations

import logging
import socket
import struct
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from benchmarks.reliability.harness import Held, held
from benchmarks.reliability.stand_in import StandIn
from xnect.capture.live import LiveSource
from xnect.capture.network import open_address
from xnect.errors import SourceError
from xnect.evaluation.report import markdown_table
from xnect.session import Session
from xnect.structures import U8, Frame, FrameResult

FPS, RETRY_S = 25.0, 0.1
#: How long a server that goes away stays away [s].
AWAY_S = 0.5
WAYS = ("closed", "reset", "away")
_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """So many losses of either source; table and figures."""
    limit_s = 60 * (minutes or 1e6) / 2
    logging.getLogger("xnect.capture.live").setLevel(logging.ERROR)
    runs = {"MJPEG server": _network(times, limit_s), "fake camera": _camera(times, limit_s)}
    rows = [
        [
            name, run["losses"], run["returns"], f"{run['median_s']:.2f}", f"{run['worst_s']:.2f}", run["frames"],
            "yes" if run["ordered"] else "no", f"{run['grown_mb']:+.1f}", f"{run['grown_threads']:+d}",
            f"{run['grown_files']:+d}",
        ]
        for name, run in runs.items()
    ]  # fmt: skip
    head = [
        "source", "losses", "returns", "first picture after [s], median", "worst", "frames", "numbers and times rise",
        "MB", "threads", "files",
    ]  # fmt: skip
    text = (
        f"### A live source that is lost and comes back (tried again every {RETRY_S:g} s; by the program every 2 s)\n\n"
        + markdown_table(head, rows)
        + f"\n\nA server that goes away stays away for {AWAY_S:g} s; that counts. Growth: from the fifth loss to the last."
    )
    return text, runs


class _Watch:
    """Takes the results of a session and measures the way back after each loss."""

    def __init__(self) -> None:
        self.frames, self.ordered, self.last = 0, True, (-1, -1.0)
        self.lost_s = 0.0
        self.back_s: list[float] = []
        self.marks: list[Held] = []
        self.news = threading.Condition()

    def __call__(self, frame: Frame, result: FrameResult) -> None:
        with self.news:
            self.frames += 1
            self.ordered &= frame.index > self.last[0] and frame.timestamp_s >= self.last[1]
            self.last = frame.index, frame.timestamp_s
            if self.lost_s:
                self.back_s.append(time.perf_counter() - self.lost_s)
                self.lost_s = 0.0
                self.marks.append(held())
            self.news.notify_all()

    def lose(self, how: Any) -> bool:
        """Lose the source after some more pictures, and wait until it is back."""
        with self.news:
            wanted = self.frames + 3
            if not self.news.wait_for(lambda: self.frames >= wanted, 60):
                return False
        how()
        with self.news:
            self.lost_s = time.perf_counter()
            return self.news.wait_for(lambda: not self.lost_s, 60)

    def figures(self, losses: int) -> dict[str, Any]:
        """What came out."""
        back = np.array(self.back_s or [np.nan])
        first, last = self.marks[min(4, len(self.marks) - 1)], self.marks[-1]
        return {
            "losses": losses, "returns": len(self.back_s), "median_s": float(np.median(back)), "worst_s": float(back.max()),
            "frames": self.frames, "ordered": bool(self.ordered), "grown_mb": last.rss_mb - first.rss_mb,
            "grown_threads": last.threads - first.threads, "grown_files": last.files - first.files,
            "marks": [asdict(mark) for mark in self.marks],
        }  # fmt: skip


def _lose_again_and_again(source: LiveSource, ways: list[Any], times: int, limit_s: float) -> dict[str, Any]:
    watch, stop, due = _Watch(), threading.Event(), time.monotonic() + limit_s
    session = Session(source, StandIn())
    runner = threading.Thread(target=session.run, args=(watch, stop))
    runner.start()
    losses = 0
    while losses < times and time.monotonic() < due:
        losses += 1
        if not watch.lose(ways[losses % len(ways)]):
            break
        if losses % 10 == 0:
            print(f"{losses} losses: {watch.marks[-1]}", file=sys.stderr, flush=True)
    stop.set()
    runner.join()
    return watch.figures(losses)


# --- a camera in the network


class _Server:
    """Numbered pictures to whoever asks, until it breaks off."""

    def __init__(self) -> None:
        self._ears: socket.socket | None = None
        self._visitors: list[socket.socket] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        """Answer (again)."""
        ears = socket.socket()
        ears.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ears.bind(("127.0.0.1", self.port))
        ears.listen()
        self.port = ears.getsockname()[1]
        self._ears = ears
        threading.Thread(target=self._answer, args=(ears,), daemon=True).start()

    def _answer(self, ears: socket.socket) -> None:
        while True:
            try:
                visitor = ears.accept()[0]
            except OSError:
                return
            self._visitors.append(visitor)
            threading.Thread(target=self._serve, args=(visitor,), daemon=True).start()

    def _serve(self, visitor: socket.socket) -> None:
        try:
            visitor.recv(4096)
            visitor.sendall(_HEAD)
            for number in range(1 << 30):
                image = np.full((48, 64, 3), number % 256, np.uint8)
                data = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                visitor.sendall(head + data + b"\r\n")
                time.sleep(1 / FPS)
        except OSError:
            visitor.close()

    def closed(self) -> None:
        """Hang up."""
        for visitor in self._visitors:
            try:
                visitor.shutdown(socket.SHUT_RDWR)
            except OSError:
                visitor.close()
        self._visitors.clear()

    def reset(self) -> None:
        """Break off in the middle, as a router that is switched off."""
        for visitor in self._visitors:
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closed()

    def away(self) -> None:
        """Nobody answers for a while."""
        assert self._ears is not None
        self._ears.shutdown(socket.SHUT_RDWR)
        self._ears.close()
        self.closed()
        threading.Timer(AWAY_S, self.open).start()


def _network(times: int, limit_s: float) -> dict[str, Any]:
    server = _Server()
    source = open_address(f"http://127.0.0.1:{server.port}/", retry_s=RETRY_S)
    return _lose_again_and_again(source, [server.closed, server.reset, server.away], times, limit_s)


# --- a camera at the machine


class _Camera:
    """A device whose driver fails when it is told to, and refuses to open for a while."""

    name, fps = "fake camera", FPS
    pulled = threading.Event()
    attempts = 0

    def __init__(self) -> None:
        if self.pulled.is_set():
            _Camera.attempts += 1
            if _Camera.attempts % 4:
                raise SourceError("no such camera")
            self.pulled.clear()
        self._image = np.zeros((48, 64, 3), np.uint8)

    def read(self) -> tuple[U8, float | None] | None:
        """The next picture."""
        time.sleep(1 / FPS)
        if self.pulled.is_set():
            raise SourceError("the camera gives no pictures")
        return self._image, None

    def close(self) -> None:
        """Nothing to free."""


def _camera(times: int, limit_s: float) -> dict[str, Any]:
    return _lose_again_and_again(LiveSource(_Camera, "camera", retry_s=RETRY_S), [_Camera.pulled.set], times, limit_s)
