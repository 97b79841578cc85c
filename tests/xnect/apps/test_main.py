"""The ``xnect`` command: sub-commands, exit codes, one line for an error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xnect.apps import doctor, train
from xnect.apps import main as program
from xnect.apps.main import COMMANDS, main, present
from xnect.errors import ConfigError

ROOT = Path(__file__).parents[3]


def test_overview_and_version(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command.name in text for command in present())
    assert main([]) == 2
    capsys.readouterr()
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("xnect 0.")


@pytest.mark.parametrize("name", [c.name for c in COMMANDS if c.name in {p.name for p in present()}])
def test_every_command_has_a_help_text(name, capsys):
    try:
        code = main([name, "--help"])
    except SystemExit as leave:  # argparse ends by itself
        code = leave.code or 0
    assert code == 0
    assert f"usage: xnect {name}" in capsys.readouterr().out or name == "synth"


def test_unknown_commands(capsys):
    assert main(["rnu"]) == 2
    assert "run" in capsys.readouterr().err
    assert main(["--video", "a.mp4"]) == 2
    assert "did you mean xnect run?" in capsys.readouterr().err


def test_commands_that_are_not_installed_are_not_offered(monkeypatch, capsys):
    monkeypatch.setattr(program, "COMMANDS", (*COMMANDS, program.Command("later", "xnect.no_such.module", "absent")))
    assert "later" not in program.overview()
    assert main(["later"]) == 2


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "xnect", "train", "stage9"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "xnect train: unknown stage 'stage9': stage1, stage2\n")


def test_train_knows_its_stages(capsys):
    assert train.main(["--help"]) == 0
    assert "stage2" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="unknown stage"):
        train.main(["stage3"])


def test_convert_and_repair(clip, fake, tmp_path, capsys):
    assert main(["run", "--no-display", "--video", str(clip), "--output", "out", "--formats", "jsonl"]) == 0
    capsys.readouterr()
    assert main(["convert", "out", "table.csv"]) == 0
    assert capsys.readouterr().out == "table.csv\n"
    assert len((tmp_path / "table.csv").read_text().splitlines()) > 30
    assert main(["convert", "out", "table.csv"]) == 1
    assert main(["convert", "out", "x.bvh", "--bvh-scale", "-1"]) == 2
    log = tmp_path / "out" / "poses.jsonl"
    whole = log.read_bytes()
    assert main(["repair", "out"]) == 0
    log.write_bytes(whole[:-40])
    capsys.readouterr()
    code = main(["repair", "out"])
    text = capsys.readouterr()
    assert code in (0, 3)
    assert (code == 3) == ("lost" in text.err)
    assert log.read_bytes() == whole[: whole[:-1].rindex(b"\n") + 1]
    assert main(["repair", "absent"]) == 1


def test_view_without_a_display(capsys):
    assert main(["view", "somewhere"]) == 1
    assert "no display found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("there", "state", "words"),
    [
        ({"opencv-python"}, "ok", "opencv-python"),
        ({"opencv-python", "opencv-python-headless"}, "BAD", "share one folder"),
    ],
)
def test_the_doctor_sees_two_wheels_of_opencv(there, state, words):
    (finding,) = doctor.check_opencv(lambda name: "5.0" if name in there else None)
    assert finding.state == state
    assert words in finding.text
    assert (state == "BAD") == finding.fix.startswith("pip uninstall")


def test_the_doctor_looks_at_every_part_and_hides_the_home_folder(capsys, monkeypatch):
    # without those that import torch, which takes seconds
    monkeypatch.setattr(
        doctor, "CHECKS", [c for c in doctor.CHECKS if c.__name__ not in ("check_torch", "check_weights")]
    )
    monkeypatch.setattr(doctor.Path, "home", lambda: Path.cwd().parent)
    assert main(["doctor"]) in (0, 1)
    text = capsys.readouterr().out
    for part in ("python", "numpy", "opencv", "PyQt5", "display", "camera", "disk"):
        assert part in text
    assert str(Path.cwd().parent) not in text


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def check_moon():
        raise RuntimeError("eclipse")
        yield

    monkeypatch.setattr(doctor, "CHECKS", [check_moon])
    (finding,) = doctor.examine()
    assert (finding.part, finding.state) == ("moon", "BAD")
    assert "eclipse" in finding.text


def test_classify_hands_over_to_the_backbone(monkeypatch, tmp_path):
    classify = pytest.importorskip("backbone.classify")
    asked = []
    monkeypatch.setattr(classify, "run", lambda options: asked.append(options) or 0)
    words = ["run", "--classify", "cat.jpg", "--topk", "3", "--backbone", "selecsls42", "--device", "cpu"]
    assert main([*words, "--output", "out", "--no-display"]) == 0
    options = asked[0]
    assert (options.source, options.topk, options.backbone, options.device) == ("cat.jpg", 3, "selecsls42", "cpu")
    assert options.output == Path("out/classes.json")
    assert options.display is False
    assert main(["run", "--classify", "--image-dir", "pics"]) == 0
    assert asked[1].source == "pics"
    assert main(["run", "--classify"]) == 2


def test_classify_tells_the_errors_of_the_backbone_in_one_line(tmp_path, capsys):
    pytest.importorskip("backbone.classify")
    assert main(["run", "--classify", str(tmp_path / "absent.jpg")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("xnect run: ")
    assert err.count("\n") == 1


def test_the_doctor_names_the_cure_for_a_camera_that_is_forbidden(tmp_path, monkeypatch):
    (tmp_path / "video0").touch()
    (tmp_path / "video1").touch()
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: path.name != "video1")
    monkeypatch.setattr("xnect.capture.webcam.list_cameras", list)
    forbidden, none = doctor.check_cameras(tmp_path)
    assert (forbidden.state, none.state) == ("BAD", "note")
    assert "video1" in forbidden.text
    assert "usermod -aG video" in forbidden.fix


@pytest.mark.parametrize(("cuda", "words"), [(None, "processor only"), ("12.6", "finds no card")])
def test_the_doctor_names_the_cure_for_a_card_that_is_not_used(cuda, words, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    (finding,) = doctor._unused_card(cuda)
    assert words in finding.text
    assert finding.fix
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor.Path, "exists", lambda path: False)
    assert list(doctor._unused_card(cuda)) == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "stage1"], 2, "required: --output"),
        (["train", "stage1", "--output", "x", "--data", "absent"], 1, "train13.json is missing"),
        (["train", "stage1", "--output", "x", "--synthetic", "absent"], 1, "plan.json is missing"),
        (["train", "stage1", "--output", "x", "--data", ".", "--lr", "nan"], 2, "--lr"),
        (["train", "stage2", "--data", "absent"], 1, "index.csv is missing"),
        (["train", "stage2", "--data", ".", "--steps", "0"], 2, "--steps 0"),
        (["synth", "preview"], 2, "required: --output"),
        (["synth", "preview", "--output", "absent/sheet.jpg"], 1, "no such folder"),
        (["synth", "preview", "--output", "sheet.doc"], 1, "a picture's name"),
        (["synth", "write", "--output", "x", "--count", "-5"], 2, "--count -5"),
        (["synth", "write", "--output", "x", "--count", "1", "--assets", "absent"], 1, "bodies.npz is missing"),
        (["synth", "paint"], 2, "invalid choice"),
    ],
)
def test_training_and_drawing_tell_what_is_wrong_in_one_line_at_once(words, code, message, tmp_path):
    check = (
        "import sys; from xnect.apps.main import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as stop: code = stop.code\n"
        "assert not {'torch', 'numba', 'cv2'} & set(sys.modules), 'heavy imports before cheap checks'\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check, *words], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="a closed pipe is another error there")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["run", "--print-config"]])
def test_an_output_that_nobody_reads_shows_no_traceback(words):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ear, mouth = os.pipe()
    os.close(ear)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "xnect", *words], stdout=mouth, stderr=subprocess.PIPE, cwd=ROOT, env=environment,
            check=False,
        )  # fmt: skip
    finally:
        os.close(mouth)
    assert ended.stderr == b""
    assert ended.returncode == program.PIPE_CLOSED
