"""Ctrl-C and SIGTERM in every state of the real program: how long until it has ended, and what does the user see?

The state is told by the processor time that the program has had (the clock says little on a busy machine), or by what it
has written. Times to the end are given by the clock and as the program's own processor time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from benchmarks.reliability import checks
from benchmarks.reliability.harness import environment
from xnect.evaluation.report import markdown_table

#: Processor time had [s], or frames written ("3 frames").
STATES: tuple[float | int, ...] = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 2.0, 2.5, 3.0, 4.0)
WRITTEN = (1, 5, 40)
LIMIT_S = 1.0


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """So many stops, the states in turns, both signals in turns; table and figures."""
    due = time.monotonic() + 60 * (minutes or 1e6)
    states = [("started", s) for s in STATES] + [("frames", n) for n in WRITTEN]
    runs: list[dict[str, Any]] = []
    for number in range(times):
        if time.monotonic() > due:
            break
        kind, at = states[(number // 2) % len(states)]
        sent = (signal.SIGINT, signal.SIGTERM)[number % 2]
        with tempfile.TemporaryDirectory() as scratch:
            runs.append({"state": kind, "at": at, "signal": sent.name} | _one(Path(scratch), kind, at, sent))
        print(f"stop {len(runs)}: {runs[-1]}", file=sys.stderr, flush=True)
    return _report(runs)


def _spent_s(pid: int) -> float:
    """Processor time that a process has had [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _one(scratch: Path, kind: str, at: float, sent: signal.Signals) -> dict[str, Any]:
    folder = scratch / "take"
    command = [sys.executable, "run_demo.py", "--no-display", "--output", str(folder)]
    with (scratch / "err.txt").open("wb") as err, (scratch / "out.txt").open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=err, env=environment(), cwd=ROOT)
        _wait_for(child, folder, kind, at)
        before, begun = _spent_s(child.pid), time.perf_counter()
        child.send_signal(sent)
        last = [before]
        watching = threading.Event()

        def watch() -> None:
            while not watching.wait(0.005):
                try:
                    last[0] = max(last[0], _spent_s(child.pid))
                except (OSError, IndexError):
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        child.wait(300)
        seconds = time.perf_counter() - begun
        watching.set()
        watcher.join()
    told = (scratch / "err.txt").read_text()
    quiet = "Traceback" not in told and "Fatal" not in told
    kept = checks_of(folder)
    return {
        "code": child.returncode, "seconds": seconds, "cpu_s": last[0] - before, "had_s": before, "quiet": quiet,
        "lines": len(told.strip().splitlines()), "last": (told.strip().splitlines() or [""])[-1][:120], **kept,
    }  # fmt: skip


def _wait_for(child: subprocess.Popen[bytes], folder: Path, kind: str, at: float) -> None:
    due = time.monotonic() + 300
    log = folder / "poses.jsonl"
    while child.poll() is None and time.monotonic() < due:
        if kind == "started" and _spent_s(child.pid) >= at:
            return
        if kind == "frames" and log.exists() and log.read_bytes().count(b"\n") > at:
            return
        time.sleep(0.001)


def checks_of(folder: Path) -> dict[str, Any]:
    """Whether what was recorded is whole: frames of the log and of the video, nothing half done."""
    if not (folder / "poses.jsonl").exists():
        return {"frames": None, "whole": not folder.exists() or not any(folder.iterdir())}
    from xnect.formats.recording import load

    found = load(folder)
    video = folder / "overlay.mp4"
    frames = checks.video(video) if video.exists() else 0
    halves = [p.name for p in folder.rglob("*") if ".part" in p.name or p.suffix == ".mkv"]
    return {"frames": len(found), "whole": found.torn_lines == 0 and frames == len(found) and not halves}


def _report(runs: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    rows = []
    for run in runs:
        state = f"{run['had_s']:.2f} s after the start" if run["state"] == "started" else f"{run['at']} frames written"
        answer = "nothing" if not run["lines"] else run["last"][-60:]
        told = answer if run["quiet"] else "TRACEBACK"
        rows.append(
            [state, run["signal"], run["code"], f"{run['cpu_s']:.2f}", f"{run['seconds']:.2f}", run["frames"], told]
        )
    late = sum(run["cpu_s"] > LIMIT_S for run in runs)
    text = (
        f"### {len(runs)} stops: {late} took more than a second of processor time, "
        f"{sum(run['seconds'] > LIMIT_S for run in runs)} by the clock; {sum(not run['quiet'] for run in runs)} showed a "
        f"traceback; {sum(not run['whole'] for run in runs)} left something torn\n\n"
        + markdown_table(["state", "signal", "exit", "to the end, processor [s]", "clock [s]", "frames", "told"], rows)
    )
    return text, {"stops": runs}
