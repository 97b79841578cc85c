"""``xnect run`` without a window: folders, several videos, errors, going on after a stop."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from xnect.apps import run
from xnect.apps.main import main
from xnect.apps.recording import KEPT_NAME
from xnect.formats.recording import load


def go(*words):
    return main(["run", "--no-display", *map(str, words)])


def test_a_video_becomes_a_recording(clip, fake, tmp_path, capfd):
    assert (
        go("--video", clip, "--output", "out", "--formats", "jsonl,overlay,bvh", "--fx", 70, "--log-file", "run.log")
        == 0
    )
    out, err = capfd.readouterr()
    assert out == "out\n"
    assert "30 frames" in err
    assert {p.name for p in (tmp_path / "out").rglob("*") if p.suffix in (".jsonl", ".mp4", ".bvh")} == {
        "poses.jsonl",
        "overlay.mp4",
        "person_1.bvh",
    }
    found = load(tmp_path / "out")
    assert found.frames.tolist() == list(range(30))
    np.testing.assert_allclose(found.times_s, np.arange(30) / 10, atol=1e-6)
    assert found.header.camera.matrix_px[0, 0] == 70
    assert found.header.source.name == "walk.mp4"
    assert found.header.program["settings"]["camera"]["fx_px"] == 70
    log = (tmp_path / "run.log").read_text()
    assert "Z INFO apps.run: walk: 64x48, 10 fps" in log
    assert str(tmp_path) not in json.dumps(dict(found.header.program))


def test_nothing_is_overwritten_unasked(clip, fake, tmp_path, capfd):
    assert go("--video", clip, "--output", "out", "--formats", "jsonl") == 0
    before = (tmp_path / "out/poses.jsonl").read_bytes()
    assert go("--video", clip, "--output", "out", "--formats", "jsonl", "--end", 1) == 1
    assert "--overwrite replaces it" in capfd.readouterr().err
    assert (tmp_path / "out/poses.jsonl").read_bytes() == before
    assert go("--video", clip, "--output", "out", "--formats", "jsonl", "--end", 1, "--overwrite") == 0
    assert len(load(tmp_path / "out")) == 10


def test_without_output_a_fresh_folder_each_time(clip, fake, tmp_path):
    assert go("--video", clip, "--formats", "jsonl", "--end", 0.5) == 0
    assert go("--video", clip, "--formats", "jsonl", "--end", 0.5) == 0
    assert sorted(p.name for p in (tmp_path / "xnect-output").iterdir()) == ["walk", "walk-2"]


def test_several_videos_a_folder_each_and_one_that_fails(clip, make_clip, fake, tmp_path, capfd):
    (tmp_path / "b").mkdir()
    other = make_clip(tmp_path / "b" / "walk.mp4", count=5, size=(48, 64))
    assert go("--video", clip, tmp_path / "absent.mp4", other, "--output", "out", "--formats", "jsonl") == 1
    err = capfd.readouterr().err
    assert "no such file" in err
    assert "1 of 3 videos failed" in err
    assert len(load(tmp_path / "out/walk")) == 30
    assert len(load(tmp_path / "out/walk-2")) == 5
    assert [load(tmp_path / "out" / name).header.camera.size_px for name in ("walk", "walk-2")] == [(64, 48), (48, 64)]


def test_patterns_are_filled_in(make_clip, fake, tmp_path):
    for name in ("take10.mp4", "take9.mp4"):
        make_clip(tmp_path / name, count=3)
    assert go("--video", tmp_path / "take*.mp4", "--output", "out", "--formats", "jsonl") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["take10", "take9"]
    assert go("--video", tmp_path / "none*.mp4", "--output", "other") == 1


def test_pictures(fake, tmp_path):
    (tmp_path / "bilder").mkdir()
    for i in range(12):
        data = cv2.imencode(".png", np.full((40, 60, 3), 10 * i, np.uint8))[1]
        (tmp_path / "bilder" / f"é{i}.png").write_bytes(data.tobytes())
    assert (
        go("--image-dir", tmp_path / "bilder", "--output", "out", "--formats", "jsonl,openpose", "--camera-fps", 4) == 0
    )
    found = load(tmp_path / "out")
    assert found.times_s.tolist() == [i / 4 for i in range(12)]
    assert len(list((tmp_path / "out/openpose").iterdir())) == 12


def test_turned_and_mirrored(clip, fake, tmp_path):
    assert go("--video", clip, "--output", "out", "--formats", "jsonl", "--rotate", 90, "--mirror", "--end", 0.5) == 0
    assert load(tmp_path / "out").header.source.size_px == (48, 64)
    assert load(tmp_path / "out").header.camera.size_px == (48, 64)


def test_a_calibration_reaches_the_pipeline(clip, fake, tmp_path):
    (tmp_path / "cam.json").write_text('{"K": [[80, 0, 33], [0, 81, 20], [0, 0, 1]], "width": 64, "height": 48}')
    words = ["--video", clip, "--formats", "jsonl", "--end", 0.2]
    assert go(*words, "--output", "a", "--calibration", "cam.json") == 0
    assert fake.camera.matrix_px[1, 1] == 81
    assert go(*words, "--output", "b") == 0
    assert fake.camera is None  # the pipeline's own guess, for every size of picture


def test_pictures_of_several_sizes(fake, tmp_path):
    (tmp_path / "mixed").mkdir()
    for i, shape in enumerate([(40, 60), (60, 40), (31, 33)]):
        data = cv2.imencode(".png", np.full((*shape, 3), 90, np.uint8))[1]
        (tmp_path / "mixed" / f"{i}.png").write_bytes(data.tobytes())
    assert (
        go("--image-dir", tmp_path / "mixed", "--output", "out", "--formats", "jsonl,overlay", "--static-images") == 0
    )
    assert len(load(tmp_path / "out")) == 3
    assert (tmp_path / "out/overlay.mp4").stat().st_size > 500


def test_a_full_disk_ends_the_run_at_once(fake, monkeypatch, tmp_path, capfd):
    from xnect.formats.jsonl import JsonlWriter

    real = JsonlWriter.write

    def write(self, record):
        if record.frame.index == 5:
            raise OSError(28, "No space left on device")
        real(self, record)

    monkeypatch.setattr(JsonlWriter, "write", write)
    assert go("--video", "synthetic:64x48@30:100000", "--output", "out", "--log-level", "warning") == 1
    err = capfd.readouterr().err
    assert err.splitlines()[-1].startswith("xnect run: cannot go on writing to out")
    assert "No space left" in err
    assert len(load(tmp_path / "out")) == 5
    assert (tmp_path / "out/overlay.mp4").exists()


def test_nothing_is_left_behind_where_the_network_fails(clip, broken, tmp_path, capfd):
    assert go("--video", clip, "--output", "out") == 1
    assert capfd.readouterr().err.splitlines()[-1] == "xnect run: no weights were found"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def whole(clip, fake, tmp_path):
    """The unbroken run."""
    assert go("--video", clip, "--output", "whole", "--formats", "jsonl,overlay,bvh") == 0
    return (tmp_path / "whole/poses.jsonl").read_bytes()


def test_resume_goes_on_and_gives_what_an_unbroken_run_gives(clip, fake, whole, interrupted, tmp_path, capfd):
    fake.stop_at, fake.delay_s = 12, 0.06  # slow enough that the stop comes before the end on a busy machine too
    words = ["--video", clip, "--output", "out", "--formats", "jsonl,overlay,bvh"]
    assert go(*words) == 130
    assert "what was recorded is whole" in capfd.readouterr().err
    assert 13 <= len(load(tmp_path / "out")) < 30
    assert (tmp_path / "out/overlay.mp4").exists()
    with (tmp_path / "out/poses.jsonl").open("ab") as log:  # as a killed run would leave it
        log.write(b'{"frame": 99, "ti')
    fake.stop_at = 20
    assert go(*words, "--resume") == 130  # and stopped once more
    fake.stop_at, fake.delay_s = -1, 0.0
    assert go(*words, "--resume") == 0
    assert (tmp_path / "out/poses.jsonl").read_bytes() == whole
    assert not (tmp_path / "out" / KEPT_NAME).exists()


def test_people_keep_their_numbers_over_the_seam(clip, make_clip, fake, tmp_path):
    """The fake numbers people by where it begins; a long recording makes the warm-up begin elsewhere."""
    long = make_clip(tmp_path / "long.mp4", count=60)
    assert go("--video", long, "--output", "out", "--formats", "jsonl") == 0
    lines = (tmp_path / "out/poses.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "out/poses.jsonl").write_bytes(b"".join(lines[:41]))
    fake.seen.clear()
    assert go("--video", long, "--output", "out", "--formats", "jsonl", "--resume") == 0
    assert fake.seen[0] == 19  # frame 39 is at 3.9 s; the two seconds before it are warmed up
    assert fake.ids != 1  # the new run calls the person by another number
    assert load(tmp_path / "out").ids == (1,)
    assert (tmp_path / "out/poses.jsonl").read_bytes() == b"".join(lines)


def test_what_is_complete_is_left_alone(clip, fake, whole, tmp_path):
    fake.seen.clear()
    assert go("--video", clip, "--output", "whole", "--formats", "jsonl,overlay,bvh", "--resume") == 0
    assert fake.seen == []
    assert go("--video", clip, "--output", "whole", "--formats", "jsonl,csv", "--resume") == 0
    assert (tmp_path / "whole/poses.csv").exists()


def test_resume_of_nothing_is_a_plain_run(clip, fake, tmp_path):
    assert go("--video", clip, "--output", "out", "--formats", "jsonl", "--resume") == 0
    assert len(load(tmp_path / "out")) == 30


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--video", "absent.mp4"], 1, "no such file: absent.mp4"),
        (["--video", "text.mp4"], 1, "cannot read text.mp4 as video"),
        (["--image-dir", "."], 1, "no pictures in ."),
        (["--image-dir", "absent"], 1, "no such folder: absent"),
        (["--camera", "99"], 1, "camera"),
        (["--video", "http://127.0.0.1:9/a"], 1, "connection refused"),
        (["--calibration", "absent.yml", "--video", "CLIP"], 1, "no such calibration file"),
        (["--output", "text.mp4", "--video", "CLIP"], 1, "is a file, not a folder"),
        (["--input-size", "5x5"], 2, "multiples of 16"),
        (["--output", "", "--video", "CLIP"], 2, "the output folder has no name"),
        (["--fx", "1e-9", "--video", "CLIP"], 2, "1 to 1000000 expected"),
        (["--fx", "1e300", "--video", "CLIP"], 2, "1 to 1000000 expected"),
        (["--start", "100", "--video", "CLIP"], 1, "before the start at 100 s"),
        (["--video", "pipe.mp4"], 1, "pipe.mp4 is a pipe, not a file"),
    ],
)
def test_bad_input_is_one_line(words, code, message, clip, fake, tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    if "pipe.mp4" in words:
        if sys.platform == "win32":
            pytest.skip("pipes as on POSIX")
        os.mkfifo(tmp_path / "pipe.mp4")
    words = [str(clip) if word == "CLIP" else word for word in words]
    assert go(*words, "--log-level", "error") == code
    out, err = capfd.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("xnect run: ")
    assert out == ""


def test_a_traceback_only_where_it_is_asked_for(fake, capfd):
    assert go("--video", "absent.mp4", "--log-level", "debug") == 1
    assert "Traceback" in capfd.readouterr().err


def test_a_fault_of_ours_is_one_line_too(clip, fake, monkeypatch, capfd):
    monkeypatch.setattr(type(fake), "__call__", lambda self, frame: 1 / 0)
    assert go("--video", clip, "--output", "out", "--formats", "jsonl", "--log-level", "error") == 1
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_print_config_reads_no_source(capfd):
    assert go("--video", "absent.mp4", "--print-config") == 0
    out, err = capfd.readouterr()
    assert 'video = ["absent.mp4"]' in out
    assert err == ""


def test_list_cameras(monkeypatch, capfd):
    from xnect.capture import webcam

    monkeypatch.setattr(webcam, "list_cameras", lambda: [])
    assert go("--list-cameras") == 1
    assert "no camera found" in capfd.readouterr().err
    monkeypatch.setattr(webcam, "list_cameras", lambda: [webcam.CameraEntry(0, "C920", 0, 0)])
    monkeypatch.setattr(webcam, "camera_modes", lambda entry: [(640, 480, 30.0)])
    assert go("--list-cameras") == 0
    assert capfd.readouterr().out == "0: C920  640x480@30\n"


def test_the_bundled_clip_is_the_default(monkeypatch, clip, fake, tmp_path, capfd):
    monkeypatch.setattr(run, "DEMO_CLIP", "absent.mp4")
    assert go() == 1
    assert "assets/absent.mp4 is missing" in capfd.readouterr().err
    monkeypatch.setattr(run, "demo_clip", lambda: clip)
    assert go("--formats", "jsonl") == 0
    assert len(load(tmp_path / "xnect-output/walk")) == 30


def test_the_window_opens_only_where_it_can(monkeypatch, clip, fake, tmp_path, capfd):
    opened = []
    monkeypatch.setattr(run, "open_window", lambda config: opened.append(config) or 0)
    words = ["run", "--video", str(clip), "--output", "out", "--formats", "jsonl"]
    assert main(words) == 0
    assert not opened
    assert "no display" in capfd.readouterr().err
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr("xnect.apps.display.missing_parts", lambda: "PyQt5 not installed")
    assert main([*words, "--overwrite"]) == 0
    assert not opened
    assert "PyQt5 not installed" in capfd.readouterr().err
    monkeypatch.setattr("xnect.apps.display.missing_parts", lambda: "")
    assert main(words) == 0
    assert opened[0].source.video == (str(clip),)
    assert main([*words, "--overwrite", "--no-display"]) == 0
    assert len(opened) == 1


def test_a_folder_of_videos_is_done_and_done_again_only_where_it_must_be(make_clip, fake, tmp_path, capfd):
    (tmp_path / "clips").mkdir()
    for name in ("take10.mp4", "take9.mp4"):
        make_clip(tmp_path / "clips" / name, count=3)
    (tmp_path / "clips" / "notes.txt").write_text("no video")
    assert go("--video", tmp_path / "clips", "--output", "out", "--formats", "jsonl") == 0
    assert capfd.readouterr().out.split() == ["out/take9", "out/take10"]
    (tmp_path / "out/take9/poses.jsonl").unlink()
    kept = (tmp_path / "out/take10/poses.jsonl").stat().st_mtime_ns
    assert go("--video", tmp_path / "clips", "--output", "out", "--formats", "jsonl", "--resume") == 0
    assert "take10: complete already" in capfd.readouterr().err
    assert (tmp_path / "out/take10/poses.jsonl").stat().st_mtime_ns == kept
    assert len(load(tmp_path / "out/take9")) == 3
    (tmp_path / "empty").mkdir()
    assert go("--video", tmp_path / "empty") == 1
    assert "no videos in the folder" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--video", "absent.mp4"], "no such file: absent.mp4"),
        (["--image-dir", "absent"], "no such folder: absent"),
        (["--weights", "absent.safetensors"], "cannot read weights absent.safetensors: no such file"),
        (["--video", "https://nowhere.invalid/x", "--weights", "w"], "cannot read weights w: no such file"),
    ],
)
def test_wrong_paths_are_told_before_anything_slow_is_imported(words, text, tmp_path):
    code = (
        "import sys; from xnect.apps.main import main; code = main(['run', *sys.argv[1:]]); "
        "print(code, sorted({'torch', 'cv2', 'av', 'numba', 'scipy', 'PyQt5'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(run.__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout == "1 []\n"
    assert text in done.stderr


def test_the_mode_follows_the_source_and_target_fps_is_for_live_ones(clip, fake, capfd):
    def mode(*words):
        return run.with_mode(run.parse(words).settings.config).pipeline.network.mode

    assert mode("--video", "a.mp4") == mode("--image-dir", "d") == "throughput"
    assert (
        mode("--camera", "0")
        == mode("--video", "rtsp://x/y")
        == mode("--video", "a.mp4", "--mode", "latency")
        == "latency"
    )
    assert go("--video", clip, "--target-fps", 30) == 2
    assert "files wait for the network" in capfd.readouterr().err


def test_what_is_read_is_not_replaced(clip, fake, tmp_path, capfd):
    (tmp_path / "out").mkdir()
    source = tmp_path / "out" / "overlay.mp4"
    source.write_bytes(clip.read_bytes())
    assert go("--video", str(source), "--output", "out", "--overwrite") == 1
    assert "is what is read" in capfd.readouterr().err
    assert source.read_bytes() == clip.read_bytes()
    assert go("--video", str(clip), "--output", "out", "--overwrite") == 0
    log = (tmp_path / "out" / "poses.jsonl").read_bytes()
    for name in ("out", "out/poses.jsonl"):
        assert main(["lift", name, "--output", "out", "--overwrite"]) == 1
        assert "is what is read" in capfd.readouterr().err
    assert (tmp_path / "out" / "poses.jsonl").read_bytes() == log
