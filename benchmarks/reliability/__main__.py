"""How much is lost, and how well faults are borne: python -m benchmarks.reliability COMMAND [--times N] [--output FILE].

Each command prints its figures; docs/reliability.md puts them beside the goals. Faults are real: processes are killed,
disks are full (a small tmpfs, needs root on Linux), servers hang up.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import give_out


@dataclass(frozen=True, slots=True)
class Command:
    """A measurement: a module with ``measure(times, minutes) -> (text, figures)``.

    Attributes:
        module: Below ``benchmarks.reliability``.
        times: How often where nothing else is said.
        help: One line.
    """

    module: str
    times: int
    help: str


COMMANDS = {
    "kill": Command("kill", 50, "SIGKILL at random moments of a recording in all formats, then xnect repair"),
    "cuts": Command("cuts", 4, "a log of so many frames, cut off at every byte"),
    "disk": Command("disk", 20, "a disk that fills up during a recording"),
    "sources": Command("sources", 100, "losses and returns of a live source"),
    "clients": Command("clients", 30, "hostile clients of a stream: stretches with and without"),
    "resume": Command("resume", 20, "killed by SIGKILL, then --resume"),
    "signals": Command("stops", 34, "Ctrl-C and SIGTERM in every state of the program"),
    "pipe": Command("pipe", 1, "output closed early, every command"),
    "frames": Command("frames", 200_000, "simulated frames through Stages II and III, writers and streams: memory"),
}


def main(arguments: list[str] | None = None) -> int:
    lines = "\n".join(f"  {name:<9}{command.help} ({command.times})" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability",
        description=f"{__doc__}\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--times", type=int, help="how often (the figure in brackets)")
    parser.add_argument("--minutes", type=float, help="end earlier after so long, with what was measured till then")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    command = COMMANDS[options.command]
    module = importlib.import_module(f"benchmarks.reliability.{command.module}")
    text, figures = module.measure(options.times or command.times, options.minutes)
    give_out([text], {options.command: figures}, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
