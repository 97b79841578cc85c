"""Feeds broken and hostile files and messages to every loader: a thousand mutations, and what came of each.

Every case is loaded by the real loader in a process of its own with limits on time and memory. It may be refused with one
line, or read with numbers that are finite; whatever else happens is a finding. A sample goes through the command line too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.hostile import cases, commands
from benchmarks.hostile.crafted import ran_code
from benchmarks.hostile.mutators import Case
from benchmarks.hostile.seeds import KINDS, Seed
from benchmarks.hostile.worker import Outcome, Worker
from xnect.evaluation.report import Cell, markdown_table, provenance, provenance_line, write_json

LIMIT_S = 10.0


@dataclass(frozen=True)
class Finding:
    """A case that came out wrong.

    Attributes:
        kind, name: Of the case.
        what: See ``Outcome``.
        detail: What happened.
    """

    kind: str
    name: str
    what: str
    detail: str


@dataclass(frozen=True)
class Row:
    """What came of the cases of one kind."""

    kind: str
    mutations: int
    crafted: int
    refused: int
    read: int
    findings: tuple[Finding, ...]
    slowest_s: float


def lay_out(folder: Path, case: Case | Seed) -> Path:
    """Write a case's files; returns what is named to the loader."""
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / case.entry


def run_case(worker: Worker, case: Case, keep: Path | None = None) -> Outcome:
    """Load one case; findings are kept below ``keep``."""
    with tempfile.TemporaryDirectory(prefix="xnect-case-") as name:
        folder = Path(name)
        outcome = worker.run(case.kind, lay_out(folder, case), case.must_refuse)
        if ran_code(folder) or ran_code(Path.cwd()):
            outcome = Outcome("let in", "code from the file was run", outcome.seconds)
    if keep is not None and not outcome.good:
        clear = "".join(c if c.isalnum() else "-" for c in case.name)[:60]
        lay_out(keep / f"{case.kind}-{clear}", case)
    return outcome


def check_seeds(worker: Worker, kind: str) -> list[Finding]:
    """Sound files must be read; this also imports and compiles what the loader needs."""
    found = []
    for seed in cases.seeds_of(kind):
        with tempfile.TemporaryDirectory(prefix="xnect-case-") as name:
            outcome = worker.run(kind, lay_out(Path(name), seed), first=True)
        if outcome.what != "read":
            found.append(Finding(kind, seed.name, f"seed {outcome.what}", outcome.detail))
    return found


def run_kind(worker: Worker, kind: str, made: Iterable[Case], keep: Path | None = None) -> Row:
    """All cases of a kind; the sound files come first, and again after the worker died."""
    findings = check_seeds(worker, kind)
    counts: Counter[str] = Counter()
    slowest, mutated = 0.0, 0
    crafted = cases.crafted_of(kind)
    for number, case in enumerate([*crafted, *made]):
        outcome = run_case(worker, case, keep)
        counts[outcome.what] += 1
        mutated += number >= len(crafted)
        slowest = max(slowest, outcome.seconds)
        if not outcome.good:
            findings.append(Finding(kind, case.name, outcome.what, outcome.detail))
        if outcome.what in ("hang", "crash"):
            check_seeds(worker, kind)
    return Row(kind, mutated, len(crafted), counts["refused"], counts["read"], tuple(findings), round(slowest, 2))


def table(rows: list[Row]) -> str:
    """All kinds as Markdown."""
    cells: list[list[Cell]] = [
        [r.kind, r.mutations, r.crafted, r.refused, r.read, len(r.findings), r.slowest_s] for r in rows
    ]
    cells.append(["all", *(sum(int(c[k]) for c in cells) for k in range(1, 6)), max(r.slowest_s for r in rows)])  # type: ignore[arg-type]
    return markdown_table(["kind", "mutations", "by hand", "refused", "read", "findings", "slowest s"], cells)


def build_parser() -> argparse.ArgumentParser:
    """The parser of this program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--count", type=int, default=1200, help="mutations in all (1200); the files made by hand come on top"
    )
    parser.add_argument("--seed", type=int, default=0, help="other mutations (0)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="only these: " + ", ".join(KINDS))
    parser.add_argument("--commands", type=int, default=60, help="cases that go through the command line too (60)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of findings")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write all as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run all, print the table; returns 0 where there is no finding."""
    options = build_parser().parse_args(argv)
    kinds = [kind for kind in options.kinds.split(",") if kind]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        build_parser().error(f"unknown kind {unknown[0]}")
    start, rows = time.monotonic(), []
    worker = Worker(LIMIT_S)
    try:
        for kind, count in cases.shares(options.count, kinds).items():
            rows.append(run_kind(worker, kind, cases.mutations(kind, count, options.seed), options.keep))
            print(
                f"{kind}: {rows[-1].refused} refused, {rows[-1].read} read, {len(rows[-1].findings)} findings",
                file=sys.stderr,
            )
            for finding in rows[-1].findings:
                print(f"  {finding.what}: {finding.name}: {finding.detail}", file=sys.stderr)
    finally:
        worker.close()
    told = commands.run(options.commands, options.seed, kinds)
    for line in told.findings:
        print(f"  command line: {line}", file=sys.stderr)
    text = f"{table(rows)}\n\n{told}\n\n{time.monotonic() - start:.0f} s in all, seed {options.seed}. {provenance_line(provenance())}"
    print(text)
    if options.output is not None:
        write_json(options.output, {"seed": options.seed, "rows": [asdict(r) for r in rows], "commands": asdict(told)})
    return 1 if told.findings or any(r.findings for r in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
