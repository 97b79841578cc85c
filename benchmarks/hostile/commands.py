"""A sample of the cases through the command line: exit code, one line, no traceback."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hostile import cases
from benchmarks.hostile.mutators import Case
from benchmarks.hostile.worker import ROOT

#: Kind -> the command line that reads such a file; PATH is the file, FOLDER a folder of its own.
LINES: dict[str, tuple[str, ...]] = {
    "video": ("run", "--no-display", "--video", "PATH", "--output", "FOLDER/out", "--formats", "jsonl", "--end", "0.1"),
    "picture": ("run", "--no-display", "--image-dir", "PATH", "--output", "FOLDER/out", "--formats", "jsonl"),
    "stage1": (
        "run",
        "--no-display",
        "--weights",
        "PATH",
        "--executor",
        "torch",
        "--video",
        "synthetic:64x48@10:2",
        "--output",
        "FOLDER/out",
    ),
    "classifier": ("run", "--classify", "{assets}", "--weights", "PATH", "--no-display"),
    "onnx": ("run", "--no-display", "--detector", "PATH", "--video", "synthetic:64x48@10:2", "--output", "FOLDER/out"),
    "settings": ("run", "--config", "PATH", "--print-config"),
    "calibration": (
        "run",
        "--no-display",
        "--calibration",
        "PATH",
        "--video",
        "synthetic:1280x720@10:1",
        "--output",
        "FOLDER/out",
    ),
    "recording": ("convert", "PATH", "FOLDER/out.csv"),
    "repair": ("repair", "PATH"),
    "joints": ("lift", "PATH", "--size", "640x480", "--output", "FOLDER/out"),
    "labels": ("evaluate", "h36m", "PATH", "PATH"),
}
_LIMIT_S = 120.0
#: What a good run may say: progress and results, at most so many lines.
_MOST_LINES = 12


@dataclass(frozen=True)
class Told:
    """What came of the sample.

    Attributes:
        runs: Commands run.
        refused: Ended with an exit code and one line.
        done: Ended with 0.
        findings: One line each.
        slowest_refusal_s: The longest that a refusal took, the start of Python included.
    """

    runs: int
    refused: int
    done: int
    findings: tuple[str, ...]
    slowest_refusal_s: float

    def __str__(self) -> str:
        return (
            f"Command line: {self.runs} runs, {self.refused} refused with one line (after {self.slowest_refusal_s:.1f} s at most), "
            f"{self.done} done, {len(self.findings)} findings"
        )


def run_command(words: list[str], folder: Path) -> tuple[int, list[str], float]:
    """Run ``run_demo.py`` or ``xnect``; exit code, lines on standard error, seconds. A run too long ends with 124."""
    program = [str(ROOT / "run_demo.py"), *words[1:]] if words[0] == "run" else ["-m", "xnect", *words]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XNECT_", "DISPLAY", "WAYLAND"))}
    env |= {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / "config")}
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *program], capture_output=True, env=env, cwd=folder, timeout=_LIMIT_S, check=False, stdin=subprocess.DEVNULL
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, [], _LIMIT_S
    return done.returncode, done.stderr.decode(errors="replace").splitlines(), time.monotonic() - start


def fault(code: int, told: list[str], may_lose: bool = False) -> str:
    """What is wrong with the way a command ended; "" where nothing is."""
    text = "\n".join(told)
    if code == 124:
        return f"no end within {_LIMIT_S:g} s"
    if code < 0:
        return f"ended by signal {-code}"
    if "Traceback" in text or "a fault of the program" in text:
        return f"a fault of the program is shown: {told[-1][:300]}"
    if any(ord(c) < 32 or ord(c) == 127 for line in told for c in line.replace("\r", "")):
        return f"control signs reach the terminal: {text[:200]!r}"
    if code == 0 or (may_lose and code == 3):
        return "" if len(told) <= _MOST_LINES else f"{len(told)} lines on standard error"
    bad = [line for line in told if not line.startswith("xnect ")]
    if len(told) - len(bad) != 1 or len(bad) > 2:  # a warning or two may come before
        return f"{len(told)} lines for one refusal: {text[:300]!r}"
    return ""


def sample(count: int, seed: int, kinds: list[str]) -> list[Case]:
    """Cases of all kinds that a command reads, by turns."""
    wanted = [kind for kind in LINES if kind in kinds]
    found: list[Case] = []
    if not wanted:
        return []
    each = -(-count // len(wanted))
    for kind in wanted:
        made = [*cases.crafted_of(kind), *cases.mutations(kind, 2 * each, seed + 1)]
        if kind == "labels":
            made = [case for case in made if case.entry.endswith((".csv", ".npy", ".npz"))]
        found += random.Random(f"{seed}/{kind}").sample(made, min(each, len(made)))
    return found[:count] if len(found) > count else found


def run(count: int, seed: int, kinds: list[str]) -> Told:
    """Run the sample."""
    findings: list[str] = []
    refused = done = 0
    slowest = 0.0
    made = sample(count, seed, kinds) if count else []
    for case in made:
        with tempfile.TemporaryDirectory(prefix="xnect-case-") as name:
            folder = Path(name)
            for file, data in case.files.items():
                (folder / "in" / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / "in" / file).write_bytes(data)
            places = {"PATH": str(folder / "in" / case.entry), "{assets}": str(_a_picture(folder))}
            words = [places.get(word, word.replace("FOLDER", name)) for word in LINES[case.kind]]
            code, told, seconds = run_command(words, folder)
        wrong = fault(code, told, case.kind == "repair")
        if wrong:
            findings.append(f"{case.kind}, {case.name}: {wrong}")
        elif code:
            refused += 1
            slowest = max(slowest, seconds)
        else:
            done += 1
    return Told(len(made), refused, done, tuple(findings), round(slowest, 1))


def _a_picture(folder: Path) -> Path:
    from benchmarks.hostile.seeds import pictures

    path = folder / "picture.png"
    path.write_bytes(pictures()[0].files["p.png"])
    return path
