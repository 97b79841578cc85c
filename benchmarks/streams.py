"""What live streams cost the pipeline: the bundled clip with and without 20 WebSocket clients, in turns.

Five clients never read, five are killed on the way, ten read everything; VMC, OSC and UDP run as well. The whole pipeline
(picture in, 3D people out) works on frames that come at a camera's pace; without --rest-ms as fast as it can. The clients
live in a process of their own.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import give_out
from xnect.capture import open_source
from xnect.config import NetworkConfig, PipelineConfig
from xnect.evaluation.report import provenance
from xnect.pipeline import MotionCapture
from xnect.resources import resource
from xnect.streams import Streams, open_streams
from xnect.structures import Frame

READERS, STALLED, DYING = 10, 5, 5
_FIRST = 78  # frame of the clip


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


def clip_frames(count: int) -> list[Frame]:
    """So many frames from the middle of the bundled clip, where three people are in sight."""
    with open_source(resource("demo.mp4")) as source:
        return list(itertools.islice(source, _FIRST, _FIRST + count))


def queued_s() -> float:
    """How long this thread has waited for a processor that others had [s]; 0 where the system does not tell (not Linux)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def stretch(capture: MotionCapture, streams: Streams, frames: list[Frame], pace_s: float) -> dict[str, list[float]]:
    """Work through frames at a camera's pace; three kinds of time of each frame's work, of the calling thread [ms]."""
    wall, own, awake = [], [], []
    capture.reset()
    due = time.perf_counter()
    for frame in frames:
        due += pace_s
        begin, begin_own, begin_queued = time.perf_counter(), time.thread_time(), queued_s()
        streams.send(capture(frame))
        # the clock first: reading a file lets others have the interpreter's lock
        wall.append((time.perf_counter() - begin) * 1e3)
        own.append((time.thread_time() - begin_own) * 1e3)
        queued = queued_s() - begin_queued
        awake.append(wall[-1] - queued * 1e3)
        time.sleep(max(0.0, due - time.perf_counter()))
    return {"wall": wall, "own": own, "awake": awake}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=40, help="stretches with and without")
    parser.add_argument("--frames", type=int, default=10, help="a stretch")
    parser.add_argument("--threads", type=int, default=0, help="of Stage I's network, 0 = all cores")
    parser.add_argument("--rest-ms", type=float, default=1000 / 30, help="from one frame to the next, 0 = no rest")
    parser.add_argument("--client-core", type=int, help="processor for the clients")
    parser.add_argument("--output", type=Path, help="JSON")
    options = parser.parse_args()
    frames, off, rest_s = clip_frames(options.frames), Streams([]), options.rest_ms / 1e3
    capture = MotionCapture(config=PipelineConfig(network=NetworkConfig(threads=options.threads)))
    capture.warm_up(frames[0].size_px)
    people = np.mean([len(capture(frame).people) for frame in frames])
    means: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    spent = {"without": 0.0, "with": 0.0}
    with open_streams(
        websocket="127.0.0.1:0", vmc=("127.0.0.1:39539",), osc=("127.0.0.1:9000",), udp=("127.0.0.1:8766",)
    ) as streams:
        server = streams.outlets[0]
        dying_s = 2 * options.turns * options.frames * max(rest_s, 0.02)
        job = multiprocessing.get_context("spawn").Process(
            target=clients, args=(server.address.port, dying_s, options.client_core), daemon=True
        )
        job.start()
        while server.clients < READERS + STALLED + DYING:
            time.sleep(0.01)
        stretch(capture, streams, frames, rest_s)
        for turn in range(options.turns):
            for side in ("without", "with") if turn % 2 else ("with", "without"):
                begin = time.process_time()
                times = stretch(capture, streams if side == "with" else off, frames, rest_s)
                means[side].append({name: float(np.mean(values)) for name, values in times.items()})
                spent[side] += (time.process_time() - begin) / (options.turns * options.frames) * 1e3
        dropped, cut = streams.dropped, server.dropped
        job.kill()
        job.join()
    _report(options, means, spent, dropped, cut, f"{capture.description}, {people:.1f} people")


def _report(
    options: argparse.Namespace,
    means: dict[str, list[dict[str, float]]],
    spent_ms: dict[str, float],
    dropped: int,
    cut: int,
    what: str,
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
        f"{what}; {READERS + STALLED + DYING} WebSocket clients ({STALLED} stall, {DYING} die), VMC, OSC, UDP:",
        "",
        "| a frame's work [ms] | without streams | with | cost, median of turns | middle half |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Processor time of the program a frame: {spent_ms['without']:.2f} ms without, {spent_ms['with']:.2f} ms with. "
        f"Frames not streamed: {dropped}; stalled clients cut off: {cut}.",
    ]
    results |= {"program_ms": spent_ms, "dropped": dropped, "cut": cut}
    give_out(["\n".join(table)], results, options.output)


if __name__ == "__main__":
    main()
