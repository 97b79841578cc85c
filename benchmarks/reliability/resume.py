"""Runs that are killed and taken up again by ``--resume``, some of them twice: is the end the same as without?"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.reliability import checks, stand_in
from benchmarks.reliability.harness import Ended, Forked
from xnect.evaluation.report import markdown_table

FRAMES = 150
FORMATS = ["overlay", "openpose", "coco", "csv", "npz", "bvh", "trc"]


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """So many runs, each killed once or twice; table and figures."""
    rng, due = random.Random(3), time.monotonic() + 60 * (minutes or 1e6)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        _run(Path(scratch), whole, None)
        reference = (whole / "poses.jsonl").read_bytes()
        while len(runs) < times and time.monotonic() < due:
            folder = Path(scratch) / f"take-{len(runs)}"
            runs.append(_one(Path(scratch), folder, rng) | _same(folder, reference))
            print(f"run {len(runs)}: {runs[-1]}", file=sys.stderr, flush=True)
    rows = [
        ["runs, killed once / twice", f"{sum(r['kills'] == 1 for r in runs)} / {sum(r['kills'] == 2 for r in runs)}"],
        ["exit code 0 at the end", sum(r["code"] == 0 for r in runs)],
        ["log equal to an unbroken run's, to the byte", sum(r["same"] for r in runs)],
        [f"all {FRAMES} frames in every format", sum(not r["short"] for r in runs)],
    ]
    return f"### Killed and resumed\n\n{markdown_table(['', 'runs'], rows)}", {"runs": runs}


def _run(scratch: Path, folder: Path, kill_after: int | None) -> Ended:
    """A run that goes on where there is something; killed after so many frames."""
    source = f"synthetic:320x180@30:{FRAMES}"
    arguments = ["--video", source, "--no-display", "--output", str(folder), "--formats", ",".join(FORMATS), "--resume"]
    child = Forked(lambda told: stand_in.run(arguments, told), scratch)
    if kill_after is None:
        return child.end()
    child.reach(kill_after)
    return child.end(signal.SIGKILL)


def _one(scratch: Path, folder: Path, rng: random.Random) -> dict[str, Any]:
    kills = rng.choice((1, 2))
    for _ in range(kills):
        _run(scratch, folder, rng.randrange(FRAMES - 20))
    ended = _run(scratch, folder, None)
    return {"kills": kills, "code": ended.code, "last": (ended.err.strip().splitlines() or [""])[-1]}


def _same(folder: Path, reference: bytes) -> dict[str, Any]:
    counts = Counter({name: checks.READERS[name](folder) for name in ["jsonl", *FORMATS]})
    short = {name: count for name, count in counts.items() if count != FRAMES}
    return {"same": (folder / "poses.jsonl").read_bytes() == reference, "short": short}
