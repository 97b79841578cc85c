"""Whoever reads our output goes away: ``xnect ... | head -1``; the program ends in order, without a traceback."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from benchmarks.reliability import checks, stand_in
from benchmarks.reliability.harness import Ended, environment
from xnect.evaluation.report import markdown_table

COMMANDS = (
    ["--help"],
    ["--version"],
    ["run", "--help"],
    ["run", "--print-config"],
    ["train", "--help"],
    ["validate", "TAKE"],
    ["repair", "TAKE"],
    ["run", "STAND-IN"],
)
FRAMES = 10


def measure(times: int, minutes: float | None = None) -> tuple[str, dict[str, Any]]:
    """Each command so many times; table and figures."""
    due = time.monotonic() + 60 * (minutes or 1e6)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        take = Path(scratch) / "take"
        _closed(["run", "STAND-IN"], take)
        for words in [words for words in COMMANDS for _ in range(times)]:
            if time.monotonic() > due:
                break
            target = Path(scratch) / f"take-{len(runs)}" if "STAND-IN" in words else take
            ended = _closed(words, target)
            kept = checks.log(target) if "STAND-IN" in words else FRAMES
            quiet = not ended.err.strip() or ("STAND-IN" in words and "Traceback" not in ended.err)
            runs.append({"words": words, "code": ended.code, "quiet": quiet, "whole": kept == FRAMES, "err": ended.err})
            print(f"{' '.join(words)}: {runs[-1]}", file=sys.stderr, flush=True)
    rows = [
        [" ".join(run["words"]), run["code"], "nothing" if run["quiet"] else run["err"].splitlines()[-1], run["whole"]]
        for run in runs
    ]
    table = markdown_table(["xnect ... with its output closed", "exit code", "complaints", "recording whole"], rows)
    return f"### Output closed early\n\n{table}", {"runs": runs}


def _closed(words: list[str], take: Path) -> Ended:
    """Run with an output that nobody reads."""
    if "STAND-IN" in words:
        source = [
            "--video",
            f"synthetic:320x180@30:{FRAMES}",
            "--no-display",
            "--output",
            str(take),
            "--formats",
            "csv",
        ]
        program = f"import sys; from {stand_in.__name__} import run; sys.exit(run({source!r}))"
        command = [sys.executable, "-c", program]
    else:
        command = [sys.executable, "-m", "xnect", *(str(take) if word == "TAKE" else word for word in words)]
    begun = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=ROOT, text=True
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    err = child.stderr.read()
    child.stderr.close()
    return Ended(child.wait(300), "", err, time.perf_counter() - begun)
