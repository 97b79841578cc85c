"""What live streams cost the pipeline: the same made-up people with and without 20 WebSocket clients, in turns.

Five clients never read, five are killed on the way, ten read everything; VMC, OSC and UDP run as well. The stand-in for
the pipeline works for as long as is said (``--frame-ms`` of processor time, the interpreter's lock held for a part of
it, as numpy code does) at a camera's pace. The clients live in a process of their own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import struct
import sys
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the stand-in is one thread's work

import numpy as np

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import give_out
from xnect.evaluation.report import provenance
from xnect.geometry import camera_from_fov
from xnect.skeleton.kinematics import SKELETON
from xnect.streams import Streams, open_streams
from xnect.structures import FrameResult, Person

READERS, STALLED, DYING = 10, 5, 5
_CAMERA = camera_from_fov((1280, 720))


def made_up(index: int, people: int) -> FrameResult:
    """Frame of people who wave their arms."""
    rng = np.random.default_rng(index)
    angles = np.clip(rng.normal(0, 0.3, (people, len(SKELETON.angle_names))), *SKELETON.limits_rad.T)
    roots = np.stack([np.linspace(-2, 2, people), np.zeros(people), np.full(people, 4.0)], 1)
    turn = np.tile(np.diag([1.0, -1.0, -1.0]), (people, 1, 1))
    joints, _ = SKELETON.forward(roots, turn, angles, SKELETON.rest_offsets_m)
    return FrameResult(
        index,
        index / 30,
        tuple(
            Person(
                id=p + 1,
                joints_2d=rng.uniform(0, 700, (14, 2)).astype("f4"),
                confidence_2d=rng.uniform(0.3, 1, 14).astype("f4"),
                joints_3d=joints[p, SKELETON.index_21].astype("f4"),
                inferred=np.zeros(21, bool),
                angles=angles[p].astype("f4"),
                root=(roots[p].astype("f4"), np.array([0, 1, 0, 0], "f4")),
                box=np.array([0, 0, 700, 700], "f4"),
                score=0.9,
                state="tracked",
                offsets=SKELETON.rest_offsets_m.astype("f4"),
            )
            for p in range(people)
        ),
        {},
        _CAMERA,
    )


def _shaken_hands(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(
        f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    return made


def clients(port: int, dying_s: float, core: int | None) -> None:
    """All clients, until they are killed."""
    import select

    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    readers = [_shaken_hands(port) for _ in range(READERS)]
    stalled = [_shaken_hands(port) for _ in range(STALLED)]  # never read again
    dying = [_shaken_hands(port) for _ in range(DYING)]
    start = time.monotonic()
    while readers:
        for ready in select.select(readers + dying, [], [], 0.1)[0]:
            if not ready.recv(1 << 16) and ready in readers:
                readers.remove(ready)
        if dying and time.monotonic() - start > dying_s * (DYING - len(dying) + 1) / DYING:
            victim = dying.pop()
            victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            victim.close()
    del stalled


class Work:
    """Numbers to crunch for about a given time: large products (lock free) and small ones (lock held)."""

    def __init__(self, frame_ms: float) -> None:
        self._a = np.random.default_rng(0).normal(size=(160, 160))
        self._small = np.ones(8)
        start = time.thread_time()
        for _ in range(20):
            self._once()
        self._rounds = max(1, round(frame_ms / 1e3 / max((time.thread_time() - start) / 20, 1e-6)))

    def _once(self) -> None:
        a = self._a
        for _ in range(2):
            a = np.tanh(a @ self._a)
        for _ in range(100):
            self._small = self._small * 0.5 + 0.5

    def __call__(self) -> None:
        """One frame's worth."""
        for _ in range(self._rounds):
            self._once()


def queued_s() -> float:
    """How long this thread has waited for a processor that others had [s]; 0 where the system does not tell (not Linux)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def stretch(work: Work, streams: Streams, frames: list[FrameResult], pace_s: float) -> dict[str, list[float]]:
    """Work through frames at a camera's pace; three kinds of time of each frame's work, of the calling thread [ms]."""
    wall, own, awake = [], [], []
    due = time.perf_counter()
    for result in frames:
        due += pace_s
        begin, begin_own, begin_queued = time.perf_counter(), time.thread_time(), queued_s()
        work()
        streams.send(result)
        queued = queued_s() - begin_queued
        wall.append((time.perf_counter() - begin) * 1e3)
        own.append((time.thread_time() - begin_own) * 1e3)
        awake.append(wall[-1] - queued * 1e3)
        time.sleep(max(0.0, due - time.perf_counter()))
    return {"wall": wall, "own": own, "awake": awake}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=40, help="stretches with and without")
    parser.add_argument("--frames", type=int, default=10, help="a stretch")
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--frame-ms", type=float, default=25.0, help="the pipeline's work on a frame")
    parser.add_argument("--rest-ms", type=float, default=1000 / 30, help="from one frame to the next")
    parser.add_argument("--client-core", type=int, help="processor for the clients")
    parser.add_argument("--output", type=Path, help="JSON")
    options = parser.parse_args()
    made = [made_up(i, options.people) for i in range(options.frames)]
    work, off, rest_s = Work(options.frame_ms), Streams([]), options.rest_ms / 1e3
    means: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    beside_s = 0.0
    with open_streams(
        websocket="127.0.0.1:0", vmc=("127.0.0.1:39539",), osc=("127.0.0.1:9000",), udp=("127.0.0.1:8766",)
    ) as streams:
        server = streams.outlets[0]
        dying_s = 2 * options.turns * options.frames * rest_s
        job = multiprocessing.get_context("spawn").Process(
            target=clients, args=(server.address.port, dying_s, options.client_core), daemon=True
        )
        job.start()
        while server.clients < READERS + STALLED + DYING:
            time.sleep(0.01)
        stretch(work, streams, made, rest_s)
        for turn in range(options.turns):
            for side in ("without", "with") if turn % 2 else ("with", "without"):
                begin, begin_own = time.process_time(), time.thread_time()
                times = stretch(work, streams if side == "with" else off, made, rest_s)
                means[side].append({name: float(np.mean(values)) for name, values in times.items()})
                if side == "with":
                    beside_s += time.process_time() - begin - (time.thread_time() - begin_own)
        dropped, cut = streams.dropped, server.dropped
        job.kill()
        job.join()
    _report(options, means, beside_s / (options.turns * options.frames) * 1e3, dropped, cut)


def _report(
    options: argparse.Namespace, means: dict[str, list[dict[str, float]]], beside_ms: float, dropped: int, cut: int
) -> None:
    rows, results = [], {"provenance": provenance(), "options": {k: str(v) for k, v in vars(options).items()}}
    labels = {
        "own": "processor time of the pipeline's thread",
        "awake": "clock, less the wait for a processor (so: with the wait for the interpreter's lock)",
        "wall": "clock",
    }
    for name, label in labels.items():
        without, beside = (np.array([turn[name] for turn in means[side]]) for side in ("without", "with"))
        low, middle, high = np.percentile(100 * (beside / without - 1), [25, 50, 75])
        rows.append(
            f"| {label} | {np.median(without):.2f} | {np.median(beside):.2f} | {middle:+.1f} % | {low:+.1f} to {high:+.1f} % |"
        )
        results[name] = {"without_ms": without.tolist(), "with_ms": beside.tolist(), "cost_percent": float(middle)}
    table = [
        f"{options.people} people, {READERS + STALLED + DYING} WebSocket clients ({STALLED} stall, {DYING} die), VMC, OSC, UDP:",
        "",
        "| a frame's work [ms] | without streams | with | cost, median of turns | middle half |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Beside the pipeline, all streams together: {beside_ms:.2f} ms of processor time a frame. "
        f"Frames not streamed: {dropped}; stalled clients cut off: {cut}.",
    ]
    results |= {"beside_ms": beside_ms, "dropped": dropped, "cut": cut}
    give_out(["\n".join(table)], results, options.output)


if __name__ == "__main__":
    main()
