"""Runs that were killed, and folders that were damaged afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

from xnect.errors import FormatError, OutputError
from xnect.formats.convert import convert
from xnect.formats.recording import load
from xnect.formats.repair import repair
from xnect.formats.writer import open_writers

FORMATS = ["overlay", "openpose", "coco", "csv", "npz", "bvh", "trc", "glb"]
ROOT = Path(__file__).parents[3]

CHILD = """
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("made_up", sys.argv[1])
made_up = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made_up)
from xnect.formats.header import RecordingHeader
from xnect.formats.writer import open_writers
from xnect.geometry import camera_from_fov
camera = camera_from_fov((320, 240))
writers = open_writers(Path(sys.argv[2]), sys.argv[3].split(","), RecordingHeader(camera, fps=25.0))
for frame, result in made_up.frames_of(camera, 10_000):
    writers.write(frame, result)
    print(frame.index, flush=True)
    time.sleep(0.002)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder whose writer was killed, and the last frame it had told of."""
    folder = tmp_path_factory.mktemp("killed")
    command = [
        sys.executable,
        "-c",
        CHILD,
        str(Path(__file__).with_name("conftest.py")),
        str(folder),
        ",".join(FORMATS),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    last = -1
    for line in child.stdout:
        last = int(line)
        if last >= 120:
            os.kill(child.pid, signal.SIGKILL)
            break
    last = max([last, *(int(line) for line in child.stdout.read().split("\n")[:-1])])
    child.wait()
    child.stdout.close()
    assert last >= 120
    return folder, last


@pytest.fixture
def killed_copy(killed, tmp_path):
    folder, last = killed
    shutil.copytree(folder, tmp_path / "run")
    return tmp_path / "run", last


def frames_in(path):
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def test_a_killed_run_keeps_every_line(killed):
    folder, last = killed
    assert load(folder).frames.tolist()[: last + 1] == list(range(last + 1))
    assert frames_in(folder / "overlay.mkv") > 60


def test_repair_makes_all_that_is_missing(killed_copy):
    folder, last = killed_copy
    report = repair(folder)
    assert report.frames >= last + 1
    assert {"overlay.mp4", "poses.npz", "coco.json"} <= set(report.made)
    assert not (folder / "overlay.mkv").exists()
    kept = frames_in(folder / "overlay.mp4")
    assert kept > last - 40
    told = f"the last {report.frames - kept} frames of the overlay video"
    assert (told in report.lost) == (kept < report.frames)
    assert len(json.loads((folder / "coco.json").read_text())) == 2 * report.frames
    assert f"Frames: {report.frames}\n" in (folder / "bvh" / "person_2.bvh").read_text()
    assert len(list((folder / "openpose").iterdir())) == report.frames
    for name in ("poses.csv", "poses.trc", "person_1.glb"):
        assert (folder / name).stat().st_size > 0
    again = repair(folder)
    assert again.made == ()
    assert again.lost == ()


def test_times_in_the_repaired_overlay_are_exact(killed_copy):
    folder, _ = killed_copy
    repair(folder)
    with av.open(str(folder / "overlay.mp4")) as video:
        times = [float(f.pts * f.time_base) for f in video.decode(video=0)]
    assert times == pytest.approx([i / 25 for i in range(len(times))], abs=2e-5)


def finished(folder, header, make_frames, formats=("coco", "csv", "npz", "bvh")):
    with open_writers(folder, formats, header) as writers:
        for frame, result in make_frames(8):
            writers.write(frame, result)
    return folder


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_whole_folder_is_left_alone(tmp_path, header, make_frames):
    folder = finished(tmp_path, header, make_frames)
    before = snapshot(folder)
    report = repair(folder)
    assert (report.made, report.lost, report.frames) == ((), (), 8)
    assert snapshot(folder) == before
    assert str(report) == "8 frames; nothing to mend"


def test_what_is_made_anew_is_the_same(tmp_path, header, make_frames):
    folder = finished(tmp_path, header, make_frames)
    before = snapshot(folder)
    for name in ("coco.json", "poses.csv", "poses.npz", "bvh/person_1.bvh"):
        (folder / name).unlink()
    assert not repair(folder).lost
    assert snapshot(folder) == before


def test_torn_log_is_cut_and_the_rest_follows(tmp_path, header, make_frames):
    folder = finished(tmp_path, header, make_frames)
    log = folder / "poses.jsonl"
    os.truncate(log, log.stat().st_size - 100)
    report = repair(folder)
    assert report.frames == 7
    assert "cut off" in str(report)
    assert load(folder).torn_lines == 0
    assert "Frames: 7\n" in (folder / "bvh" / "person_1.bvh").read_text()
    assert len(json.loads((folder / "coco.json").read_text())) == 14


def test_damage_in_the_middle_drops_those_lines_and_keeps_the_old_file(tmp_path, header, make_frames):
    folder = finished(tmp_path, header, make_frames)
    log = folder / "poses.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:200] + b"\n"
    lines[5] = b"\0" * 70 + b"\n"
    damaged = b"".join(lines)
    log.write_bytes(damaged)
    report = repair(folder)
    assert report.frames == 6
    assert "2 damaged lines" in str(report)
    assert load(folder).frames.tolist() == [0, 1, 3, 5, 6, 7]
    assert (folder / "poses.damaged.jsonl").read_bytes() == damaged


def test_missing_line_end_is_added(tmp_path, header, make_frames):
    folder = finished(tmp_path, header, make_frames)
    log = folder / "poses.jsonl"
    whole = log.read_bytes()
    os.truncate(log, len(whole) - 1)
    assert not repair(folder).lost
    assert log.read_bytes() == whole


def test_leftovers_are_swept(tmp_path, header, make_frames):
    folder = finished(tmp_path, header, make_frames)
    (folder / "poses.part.npz").write_text("half")
    (folder / ".xnect-abc").mkdir()
    (folder / "notes.part.txt").write_text("mine")
    repair(folder)
    assert not (folder / "poses.part.npz").exists()
    assert not (folder / ".xnect-abc").exists()
    assert (folder / "notes.part.txt").exists()


def test_unreadable_overlay_is_told_and_kept(tmp_path, header, make_frames):
    folder = finished(tmp_path, header, make_frames, ["overlay", "csv"])
    (folder / "overlay.mp4").unlink()
    assert "nothing of it is left" in str(repair(folder))
    (folder / "overlay.mkv").write_bytes(b"\x1a\x45\xdf\xa3 no video")
    assert "cannot be read" in str(repair(folder))
    assert (folder / "overlay.mkv").exists()


def test_nothing_to_repair(tmp_path):
    with pytest.raises(FormatError, match=r"no poses\.jsonl"):
        repair(tmp_path)
    (tmp_path / "poses.jsonl").write_bytes(b"{\n")
    with pytest.raises(FormatError, match="line 1"):
        repair(tmp_path)


def test_convert_by_the_ending(tmp_path, header, make_frames):
    folder = finished(tmp_path / "run", header, make_frames, [])
    out = tmp_path / "out"
    assert convert(folder, out / "t.csv") == [out / "t.csv"]
    made = {p.name for p in convert(folder / "poses.jsonl", out / "take.bvh")}
    assert made == {"take_person_1.bvh", "take_person_1.json", "take_person_2.bvh", "take_person_2.json"}
    assert {p.name for p in convert(folder, out / "one.bvh", person=2)} == {"one.bvh", "one.json"}
    assert {p.name for p in convert(folder, out / "m.trc")} == {"m.trc", "m_person_2.trc", "m.trc.json"}
    assert {p.name for p in convert(folder, out / "m.glb", person=1)} == {"m.glb"}
    assert len(json.loads(convert(folder, out / "c.json")[0].read_text())) == 16
    assert load(convert(folder, out / "poses.jsonl", person=1)[0]).ids == (1,)
    assert len(convert(folder, tmp_path / "op", name="openpose")) == 8
    assert not list(out.glob(".xnect-*"))


def test_convert_refuses_with_one_line(tmp_path, header, make_frames):
    folder = finished(tmp_path / "run", header, make_frames, [])
    target = tmp_path / "t.csv"
    target.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        convert(folder, target)
    assert target.read_text() == "mine"
    convert(folder, target, overwrite=True)
    assert target.read_text() != "mine"
    with pytest.raises(OutputError, match=r"no format ends in .*\.csv"):
        convert(folder, tmp_path / "t.xyz")
    with pytest.raises(OutputError, match="a folder"):
        convert(folder, tmp_path / "t.json", name="openpose")
    with pytest.raises(OutputError, match="pictures"):
        convert(folder, tmp_path / "new", name="overlay")
    with pytest.raises(OutputError, match="nobody has the id 9"):
        convert(folder, tmp_path / "p.csv", person=9)
    with pytest.raises(FormatError):
        convert(tmp_path / "t.csv", tmp_path / "q.csv")


def test_log_to_log_is_the_same(tmp_path, header, make_frames):
    folder = finished(tmp_path / "run", header, make_frames, [])
    copy = convert(folder, tmp_path / "again.jsonl")[0]
    assert copy.read_bytes() == (folder / "poses.jsonl").read_bytes()
