"""Files that reach the disk, and folders that one program at a time writes to."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from xnect.errors import OutputError
from xnect.formats import files
from xnect.formats.recording import load
from xnect.formats.repair import repair
from xnect.formats.writer import open_writers

ROOT = Path(__file__).parents[3]

HOLDER = """
import sys
from pathlib import Path
from xnect.formats.files import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another program writes to; a call ends that program."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout.readline() == "held\n"

    def end():
        child.kill()
        child.wait()

    yield tmp_path, end
    end()
    child.stdin.close()
    child.stdout.close()


@pytest.mark.skipif(files.fcntl is None, reason="Windows locks files by itself")
def test_two_programs_never_write_to_one_folder(held, header, make_frames):
    folder, end = held
    with pytest.raises(OutputError, match="another program is writing"):
        open_writers(folder, [], header, overwrite=True)
    (folder / "poses.jsonl").write_text("being written")
    with pytest.raises(OutputError, match="another program is writing"):
        repair(folder)
    assert (folder / "poses.jsonl").read_text() == "being written"
    end()  # by SIGKILL: a claim is never left behind
    with open_writers(folder, [], header, overwrite=True) as writers:
        for frame, result in make_frames(3):
            writers.write(frame, result)
    assert len(load(folder)) == 3


def test_claims_of_one_program_lie_within_each_other_and_end(tmp_path):
    for _ in range(2):
        with files.claimed(tmp_path), files.claimed(tmp_path):
            assert len(files._claims) == (files.fcntl is not None)
        assert not files._claims


def test_a_file_takes_its_name_only_when_it_is_on_the_disk(tmp_path, monkeypatch):
    target, settled = tmp_path / "a.txt", []
    target.write_text("old")

    def settle(path):
        settled.append((path.name, target.read_text()))

    monkeypatch.setattr(files, "settle", settle)
    with files.replacing(target) as part:
        part.write_text("new")
    assert settled == [("a.part.txt", "old"), (tmp_path.name, "new")]


def test_a_disk_that_fails_while_it_is_written_is_told(tmp_path, header, make_frames, monkeypatch):
    failed = threading.Event()

    def settle(path):
        if path.name == "poses.jsonl":
            failed.set()
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "settle", settle)
    monkeypatch.setattr(files.Syncer.__init__, "__defaults__", (0.01,))
    writers = open_writers(tmp_path, ["csv"], header)
    frames = list(make_frames(20))
    writers.write(*frames[0])
    assert failed.wait(10)
    for frame, result in frames[1:]:
        writers.write(frame, result)
        if "jsonl" in writers.failures:
            break
    assert "Input/output error" in writers.failures["jsonl"]
    with pytest.raises(OutputError, match="Input/output error"):
        writers.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_file_system_without_such_a_thing_is_no_error():
    files.settle(Path("/dev/full"))


def test_the_log_has_no_torn_line_when_the_disk_is_full(tmp_path, header, make_frames):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    frames = list(make_frames(30))
    before, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    writers = open_writers(tmp_path, [], header)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # a write over the limit is short, then fails
        for frame, result in frames:
            writers.write(frame, result)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
        with pytest.raises(OutputError, match="jsonl"):
            writers.close()
    kept = load(tmp_path)
    assert kept.torn_lines == 0
    assert 0 < len(kept) < 30
    assert (tmp_path / "poses.jsonl").read_bytes().endswith(b"\n")
