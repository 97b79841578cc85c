"""SIGKILL at random moments of a recording in all formats, then ``xnect repair``: what is lost?"""

from __future__ import annotations

import contextlib
import io
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability import checks, stand_in
from benchmarks.reliability.harness import Forked
from xnect.apps import repair
from xnect.evaluation.report import markdown_table

FPS = 30.0
SOURCE = f"synthetic:320x180@{FPS:g}:100000"
LATEST = 200  # frames: kills come before


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """Kill so many recordings; table and figures."""
    rng, due = random.Random(1), time.monotonic() + 60 * (minutes or 1e6)
    names = checks.formats()
    runs: list[dict[str, Any]] = []
    while len(runs) < times and time.monotonic() < due:
        with tempfile.TemporaryDirectory() as scratch:
            runs.append(_one(Path(scratch), names, rng))
            print(f"kill {len(runs)}: {runs[-1]}", file=sys.stderr, flush=True)
    return _report(runs, ["jsonl", *names])


def _one(scratch: Path, names: list[str], rng: random.Random) -> dict[str, Any]:
    folder = scratch / "take"
    arguments = ["--video", SOURCE, "--no-display", "--output", str(folder), "--formats", ",".join(names)]
    child = Forked(lambda told: stand_in.run(arguments, told), scratch)
    child.reach(rng.randrange(LATEST))
    time.sleep(rng.uniform(0, 0.03))
    ended = child.end(signal.SIGKILL)
    told = len(child.told)
    found: dict[str, Any] = {"code": ended.code, "told": told, "log_before": checks.log(folder), "repair": None}
    if found["log_before"] < 0:  # before the first line was written: there is nothing to mend, and nothing was promised
        return found | {"missing": {}}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found["repair"] = repair.main([str(folder)])
    frames = {name: _frames(name, folder) for name in ["jsonl", *names]}
    found["missing"] = {name: max(told - max(count, 0), 0) for name, count in frames.items()}
    found["faults"] = [name for name, count in frames.items() if count < 0 and told]
    return found


def _frames(name: str, folder: Path) -> int:
    try:
        return checks.READERS[name](folder)
    except (OSError, ValueError, AssertionError, KeyError, TypeError) as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return -1


def _report(runs: list[dict[str, Any]], names: list[str]) -> tuple[str, dict[str, Any]]:
    mended = [run for run in runs if run["repair"] is not None]
    rows = []
    for name in names:
        missing = np.array([run["missing"][name] for run in mended] or [0])
        unreadable = sum(name in run["faults"] for run in mended)
        rows.append([name, unreadable, int(np.median(missing)), int(missing.max()), f"{missing.max() / FPS:.2f}"])
    head = ["format", "not readable", "frames missing, median", "most", "most [s]"]
    codes = Counter(run["repair"] for run in mended)
    told = [run["told"] for run in runs]
    text = (
        f"### {len(runs)} kills at random moments ({min(told)} to {max(told)} frames written; {len(runs) - len(mended)} "
        f"before the first line)\n\nAfter xnect repair (exit codes {dict(sorted(codes.items()))}), against the frames whose "
        f"writing had returned when the kill came:\n\n{markdown_table(head, rows)}"
    )
    return text, {"kills": len(runs), "codes": {str(k): v for k, v in codes.items()}, "runs": runs}
