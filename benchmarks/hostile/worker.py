"""Runs loaders in a process of its own with limits on time and memory, and tells what came of each case."""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Memory that a case may take beside what the program has [bytes].
MEMORY = 4 << 30
#: A start with all imports, and the first run of a loader, may take longer on a busy machine [s].
START_S = 240.0
LONGEST_LINE = 1000
#: What Python runs in the worker process.
WORKER = ["-m", "benchmarks.hostile.worker"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case.

    Attributes:
        what: "refused", "read", or a finding: "exception", "crash", "hang", "not finite", "let in", "line", "noise".
        detail: The error's line, or what is wrong.
        seconds: How long it took.
    """

    what: str
    detail: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether this is no finding."""
        return self.what in ("refused", "read")


def _processor_s(pid: int) -> float:
    """Processor time that a process has used [s]."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Worker:
    """One worker process; started anew when it dies or hangs."""

    def __init__(self, limit_s: float, environment: dict[str, str] | None = None) -> None:
        self._limit_s = limit_s
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: set[str] = set()
        self._rest = b""

    def run(self, kind: str, path: Path, must_refuse: bool = False, first: bool = False) -> Outcome:
        """Load a file.

        Args:
            kind: Which loader.
            path: The file or folder.
            must_refuse: Whether to read it is a finding.
            first: The first run of a loader, which imports and compiles.
        """
        process = self._process or self._start()
        start = time.monotonic()
        job = json.dumps({"kind": kind, "path": str(path), "must_refuse": must_refuse, "first": first})
        assert process.stdin is not None
        try:
            process.stdin.write(job.encode() + b"\n")
            process.stdin.flush()
            answer = self._patiently(process, START_S if first else self._limit_s)
        except BrokenPipeError:
            answer = b""
        seconds = time.monotonic() - start
        if answer is None:
            where = self._where(process)
            self._end()
            return Outcome("hang", f"no answer after {seconds:.0f} s{where}", seconds)
        if not answer:
            code = process.wait()
            self._end()
            return Outcome("crash", signal.Signals(-code).name if code < 0 else f"exit code {code}", seconds)
        told = json.loads(answer)
        return Outcome(told["what"], told["detail"], seconds)

    def close(self) -> None:
        """End the process."""
        self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, *WORKER], cwd=ROOT, env=self._environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._answer(START_S)
        return self._process

    def _patiently(self, process: subprocess.Popen[bytes], limit_s: float) -> bytes | None:
        """The answer; on a busy machine the limit is one of processor time, and of six times as much on the clock."""
        start = _processor_s(process.pid)
        for _ in range(6):
            answer = self._answer(limit_s)
            if answer is not None or _processor_s(process.pid) - start >= limit_s:
                return answer
        return None

    def _answer(self, limit_s: float) -> bytes | None:
        """The next line; b"" at the end of the process, None when it does not come in time."""
        assert self._process is not None
        assert self._process.stdout is not None
        out, end = self._process.stdout, time.monotonic() + limit_s
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                return None
            piece = os.read(out.fileno(), 1 << 16)
            if not piece:
                return b""
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _where(self, process: subprocess.Popen[bytes]) -> str:
        """Where a hanging process stands, as it tells itself on a signal."""
        process.send_signal(signal.SIGUSR1)
        told = self._answer(2.0)
        return f": {told.decode(errors='replace')}" if told else ""

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
        self._process = None


# ---- in the worker process


def _finite(values: Any) -> str:
    """What is not finite; an empty text where all numbers are."""
    import numpy as np

    for number, value in enumerate(values):
        array = np.asarray(value)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            return f"result {number} of shape {array.shape} has a number that is not finite"
    return ""


def judge(kind: str, path: Path, must_refuse: bool) -> tuple[str, str]:
    """Load a case in this process; the outcome and its detail."""
    from backbone.errors import BackboneError
    from benchmarks.hostile.loaders import LOADERS
    from xnect.errors import XnectError

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            bad = _finite(LOADERS[kind](path))
            what, detail = (
                ("not finite", bad) if bad else ("let in", "read without complaint") if must_refuse else ("read", "")
            )
        except (XnectError, BackboneError) as error:
            text = str(error)
            fits = len(text.splitlines()) == 1 and len(text) <= LONGEST_LINE
            what, detail = "refused" if fits else "line", text if fits else f"{len(text)} signs: {text[:300]!r}"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
            spot = traceback.extract_tb(error.__traceback__)[-1]
            own = [
                s
                for s in traceback.extract_tb(error.__traceback__)
                if "/xnect/" in s.filename or "/backbone/" in s.filename
            ]
            spot = own[-1] if own else spot
            what = "exception"
            detail = f"{type(error).__name__}: {str(error)[:200]} ({Path(spot.filename).name}:{spot.lineno})"
    noisy = [w for w in told if issubclass(w.category, RuntimeWarning | UserWarning)]
    if noisy and what in ("refused", "read"):
        what, detail = (
            "noise",
            f"{noisy[0].category.__name__}: {noisy[0].message} ({Path(noisy[0].filename).name}:{noisy[0].lineno})",
        )
    return what, detail


def _limit_memory() -> None:
    """No more than ``MEMORY`` beyond what is mapped now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    total = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (total, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> None:
    """Answer jobs on standard input, one line each, until it ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
    os.dup2(said.fileno(), 1)  # what loaders and C libraries write is caught: users would see it
    os.dup2(said.fileno(), 2)
    logging.getLogger().addHandler(logging.NullHandler())

    def tell_place(_number: int, frame: Any) -> None:
        rows = [f"{Path(s.filename).name}:{s.lineno}" for s in traceback.extract_stack(frame)[-4:]]
        answers.write(" > ".join(rows) + "\n")

    signal.signal(signal.SIGUSR1, tell_place)
    answers.write("ready\n")
    warm: set[str] = set()
    for line in sys.stdin:
        job = json.loads(line)
        if job["kind"] in warm:
            _limit_memory()
        start = said.seek(0, os.SEEK_END)
        what, detail = judge(job["kind"], Path(job["path"]), job["must_refuse"])
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        warm.add(job["kind"])
        said.seek(start)
        words = said.read().decode(errors="replace").strip()
        if words and what in ("refused", "read"):
            what, detail = "noise", f"written to the terminal: {words[:200]!r}"
        answers.write(json.dumps({"what": what, "detail": detail}) + "\n")


if __name__ == "__main__":
    main()
