import cv2
import numpy as np
import pytest

from xnect.training.synthetic.cli import main, sheet


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("preview", "write", "demo"))


@pytest.mark.parametrize("command", ["preview", "write", "demo"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert "--output" in capsys.readouterr().out


def test_a_missing_pack_is_one_clear_line(tmp_path, capsys):
    code = main(["preview", "--assets", str(tmp_path), "--output", str(tmp_path / "sheet.jpg")])
    error = capsys.readouterr().err
    assert code == 1
    assert error.count("\n") == 1
    assert "bodies.npz is missing" in error


def test_wrong_sizes_are_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["preview", "--output", "x.jpg", "--size", "wide"])
    assert stop.value.code == 2
    assert "WxH" in capsys.readouterr().err


def test_a_sheet_fills_up_with_black():
    cells = [np.full((4, 6, 3), 9, np.uint8)] * 3
    out = sheet(cells, 2)
    assert out.shape == (8, 12, 3)
    assert out[4:, 6:].max() == 0


@pytest.mark.shared
def test_preview_writes_a_sheet(studio, tmp_path, capsys):
    path = tmp_path / "sheet.jpg"
    assert (
        main(["preview", "--output", str(path), "--count", "2", "--columns", "2", "--size", "96x64", "--scale", "1"])
        == 0
    )
    assert cv2.imread(str(path)).shape == (64, 192, 3)
