"""A disk that is full while it is recorded to (a small tmpfs that something else fills): what is told, what is left?"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.reliability import checks, stand_in
from benchmarks.reliability.harness import Ended, Forked
from xnect.evaluation.report import markdown_table

SIZE_MB = 64  # a run refuses to begin with less than 50 MB
FRAMES = 150
FORMATS = "overlay,openpose,coco,csv,npz,bvh,trc"


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """So many runs on a disk that fills up, and one on a disk that is full from the start; table and figures."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "### Full disk: not measured (a tmpfs is mounted, which needs root on Linux)", {"runs": None}
    rng, due = random.Random(2), time.monotonic() + 60 * (minutes or 1e6)
    runs: list[dict[str, Any]] = []
    while len(runs) < times + 1 and time.monotonic() < due:
        with tempfile.TemporaryDirectory() as scratch, _small_disk() as disk:
            runs.append(_one(Path(scratch), disk, rng, full_at_once=not runs))
            print(f"run {len(runs)}: {runs[-1]}", file=sys.stderr, flush=True)
    return _report(runs)


@contextlib.contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", folder]
        subprocess.run(mount, check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def _fill(disk: Path, leave: int) -> None:
    """Take all of the disk but so many bytes."""
    room = max(shutil.disk_usage(disk).free - leave, 0)
    with (disk / "somebody else's").open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(room, 1))


def _one(scratch: Path, disk: Path, rng: random.Random, full_at_once: bool) -> dict[str, Any]:
    folder, when, leave = disk / "take", rng.randrange(FRAMES), rng.choice((0, 4096, rng.randrange(300_000)))
    source = f"synthetic:320x180@30:{FRAMES}"
    arguments = [
        "--video",
        source,
        "--no-display",
        "--output",
        str(folder),
        "--formats",
        FORMATS,
        "--log-level",
        "warning",
    ]
    if full_at_once:
        when, leave = 0, 1_000_000
        _fill(disk, leave)
    child = Forked(lambda told: stand_in.run(arguments, told, pause_s=0.002), scratch)
    if not full_at_once:
        child.reach(when)
        _fill(disk, leave)
    ended = child.end()
    return _judged(ended, folder, len(child.told)) | {"full_at_frame": when, "left_bytes": leave}


def _judged(ended: Ended, folder: Path, told: int) -> dict[str, Any]:
    """What the user is told, and whether all that was written is there."""
    lines = ended.err.strip().splitlines()
    kept = checks.log(folder)
    whole = max(kept, 0) >= told and (kept < 0 or (folder / "poses.jsonl").read_bytes().endswith(b"\n"))
    return {
        "code": ended.code, "told": told, "kept": kept, "intact": whole, "one_line": not ended.inside_shown and
        sum(line.startswith("xnect run:") for line in lines) == 1, "lines": len(lines), "last": lines[-1] if lines else "",
    }  # fmt: skip


def _report(runs: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    hit = [run for run in runs if run["code"] != 0]
    rows = [
        ["runs", len(runs)],
        ["exit code 1", sum(run["code"] == 1 for run in runs)],
        ["exit code 0 (what was left was enough)", len(runs) - len(hit)],
        ["one line tells why, no traceback", sum(run["one_line"] for run in hit)],
        ["every frame that was written is in the log, no torn line", sum(run["intact"] for run in runs)],
    ]
    last = sorted({run["last"][:150] for run in hit})
    told = "\n".join(f"    {line}" for line in last[:4])
    return (
        f"### A disk that fills up while it is recorded to\n\n{markdown_table(['', 'runs'], rows)}\n\nFor example:\n\n{told}",
        {"runs": runs},
    )
