"""The command line, as a process of its own: ``xnect``, ``python -m xnect``."""

import contextlib
import signal
from collections.abc import Sequence

with contextlib.suppress(ValueError):  # before anything else is imported: Ctrl-C ends the process, without a traceback
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code (see ``xnect.apps.main``). The process ends soon after."""
    from xnect.apps import main as commands
    from xnect.apps import signals

    signals.Process.ours = True
    try:
        return commands.main(argv)
    finally:
        signals.quiet()


if __name__ == "__main__":
    raise SystemExit(main())
