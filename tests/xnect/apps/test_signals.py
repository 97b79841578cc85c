"""A stop is never lost: not in a destructor, not while it is being told; real signals in a process of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from xnect.apps import signals

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")

HEAD = """
    import os, signal, sys, time
    from xnect.apps import signals
"""


def _run(code, *send):
    """Exit code and output of a child that says when it is ready, and gets the signals that are named then."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(code)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "ready\n"
        for number in send:
            child.send_signal(number)
            time.sleep(2 * signals.SAME_S)
        out, err = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    return child.returncode, out, err


def test_a_stop_that_a_destructor_swallows_is_raised_again():
    code, _, err = _run("""
        class Deaf:
            def __del__(self):
                print("ready", flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
                while not stop.code:
                    pass
        sys.unraisablehook = lambda unraisable: print("swallowed", file=sys.stderr, flush=True)
        with signals.caught() as stop:
            try:
                del [Deaf()][0]
                for _ in range(100):
                    time.sleep(0.1)
                print("went on", file=sys.stderr)
            except KeyboardInterrupt:
                sys.exit(stop.tell())
    """)
    assert "swallowed" in err
    assert "went on" not in err
    assert code == signals.TERMINATED


def test_a_second_ctrl_c_ends_a_process_that_does_not_stop():
    code, _, _ = _run(
        """
        with signals.caught() as stop, stop.while_recording():
            print("ready", flush=True)
            while True:
                time.sleep(0.1)
        """,
        signal.SIGINT,
        signal.SIGINT,
    )
    assert code == signals.INTERRUPTED


def test_one_ctrl_c_that_comes_twice_is_one():
    with signals.caught() as stop, stop.while_recording():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stop.event.is_set()
        assert stop.code == signals.INTERRUPTED


def test_nothing_is_opened_once_it_is_to_stop():
    with signals.caught() as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), stop.while_recording():
            raise AssertionError("files were opened")
        assert stop.tell() == signals.TERMINATED
        assert stop.outcome == signals.NOTHING
        signal.raise_signal(signal.SIGTERM)  # while it ends: nobody is interrupted any more


def test_what_a_stop_breaks_off_is_no_error():
    with signals.caught() as stop:
        with stop.taken():
            signal.raise_signal(signal.SIGTERM)
        with stop.taken():
            raise OSError("interrupted system call")
        stop.outcome = signals.WHOLE
        with pytest.raises(OSError, match="disk"), stop.taken():
            raise OSError("disk full")
    with signals.caught() as stop, pytest.raises(OSError, match="disk"), stop.taken():
        raise OSError("disk full")


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    reason="a background job of a shell: Ctrl-C is ignored from the start",
)
def test_a_process_of_our_own_ends_though_a_library_holds_it():
    start = time.monotonic()
    code, _, err = _run(
        """
        import logging
        logging.basicConfig()
        signals.Process.ours = True
        with signals.caught() as stop:
            def hold(inner):  # a library that takes every exception for its own, also between two of its lines
                while True:
                    try:
                        inner()
                    except KeyboardInterrupt:
                        pass
            print("ready", flush=True)
            hold(lambda: hold(lambda: hold(lambda: time.sleep(0.01))))
        """,
        signal.SIGTERM,
    )
    assert code == signals.TERMINATED
    assert signals.NOTHING in err
    assert time.monotonic() - start < 15


START = """
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    import xnect.__main__
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL, "Ctrl-C would show a traceback"
    from xnect.apps import main, signals
    signals.loud()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signals.quiet()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup does: stays so
    signals.loud()
    signals.quiet()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    print("ready", flush=True)
"""


def test_ctrl_c_shows_no_traceback_while_the_program_is_being_imported():
    code, _, err = _run(START)
    assert code == 0, err
