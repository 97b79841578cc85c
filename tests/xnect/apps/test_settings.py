"""Settings: every option reaches its place, the nearest place wins, wrong ones are told with the nearest name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnect.apps.options import BY_NAME, OPTIONS, build_parser, dashed, seconds
from xnect.apps.run import parse
from xnect.apps.settings import gather, show
from xnect.config import RunConfig
from xnect.errors import ConfigError


def config_of(*words):
    return parse(list(words)).settings.config


def test_nothing_given_is_the_default():
    assert config_of() == RunConfig()


SAMPLES = {
    "camera": ("C920", "C920"),
    "executor": ("torch", "torch"),
    "mode": ("latency", "latency"),
    "target-fps": ("30", 30.0),
    "ray": ("10.0.0.1:6379", "10.0.0.1:6379"),
    "video": ("a.mp4", ("a.mp4",)),
    "image-dir": ("pics", "pics"),
    "camera-resolution": ("1280x720", (1280, 720)),
    "camera-fps": ("60", 60.0),
    "rotate": ("270", 270),
    "mirror": (None, True),
    "start": ("1:30", 90.0),
    "end": ("100.5", 100.5),
    "output": ("out", "out"),
    "formats": ("jsonl,c3d", ("jsonl", "c3d")),
    "no-display": (None, False),
    "looks": ("4", 4),
    "overwrite": (None, True),
    "resume": (None, True),
    "device": ("cuda:1", "cuda:1"),
    "precision": ("bf16", "bf16"),
    "weights": ("w.safetensors", "w.safetensors"),
    "detector": ("rtmo.onnx", "rtmo.onnx"),
    "boxes": ("yolox.onnx", "yolox.onnx"),
    "input-size": ("384x256", (384, 256)),
    "max-people": ("3", 3),
    "threads": ("2", 2),
    "height-cm": ("180", 1.8),
    "fov": ("75", 75.0),
    "fx": ("900", 900.0),
    "calibration": ("cam.yml", "cam.yml"),
    "static-images": (None, True),
    "vmc": ("39539,10.0.0.2:40000", ("127.0.0.1:39539", "10.0.0.2:40000")),
    "osc": ("studio", ("studio:9000",)),
    "websocket": ("[::1]:80", "[::1]:80"),
    "udp": ("1234", ("127.0.0.1:1234",)),
    "stream-token": ("let-me-in", "let-me-in"),
    "stream-origin": ("http://localhost:3000", ("http://localhost:3000",)),
    "stream-pace": ("fast", "fast"),
    "log-level": ("debug", "debug"),
    "log-file": ("x.log", "x.log"),
    "seed": ("7", 7),
}


def test_there_is_a_sample_of_every_option():
    assert set(SAMPLES) == set(BY_NAME)


def value_at(config, path):
    for part in path.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("underscores", [False, True])
def test_every_option_reaches_its_place(name, underscores):
    text, expected = SAMPLES[name]
    flag = "--" + (name.replace("-", "_") if underscores else name)
    config = config_of(flag, *([] if text is None else [text]))
    assert value_at(config, BY_NAME[name].path) == pytest.approx(expected)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_option_works_in_a_settings_file(name, tmp_path):
    text, expected = SAMPLES[name]
    path = tmp_path / "a.toml"
    path.write_text(f"{name} = true\n" if text is None else f'{name} = "{text}"\n')
    settings = gather({}, str(path))
    assert value_at(settings.config, BY_NAME[name].path) == pytest.approx(expected)
    assert settings.origins[BY_NAME[name].path] == str(path)


def test_every_option_is_in_the_help():
    text = build_parser().format_help()
    assert all(f"--{option.name}" in text for option in OPTIONS)


def test_the_nearest_place_wins(tmp_path, monkeypatch):
    user = tmp_path / "no-config" / "xnect"
    user.mkdir(parents=True)
    (user / "config.toml").write_text('device = "cpu"\nthreads = 1\nseed = 1\nprecision = "fp32"\n')
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'threads = 2\nseed = 2\ndevice = "cuda"\n[tracking]\nkeep_s = 3\n[pipeline.detection]\nmin-joints = 5\n'
    )
    monkeypatch.setenv("XNECT_DEVICE", "cuda:1")
    settings = parse(["--config", str(mine), "--seed", "3"]).settings
    network = settings.config.pipeline.network
    assert (network.device, network.threads, network.precision, settings.config.seed) == ("cuda:1", 2, "fp32", 3)
    assert settings.config.pipeline.tracking.keep_s == 3.0
    assert settings.config.pipeline.detection.min_joints == 5
    origins = settings.origins
    assert origins["seed"] == "command line"
    assert origins["pipeline.network.device"] == "$XNECT_DEVICE"
    assert origins["pipeline.network.threads"] == str(mine)
    assert origins["pipeline.network.precision"].endswith("config.toml")


def test_a_nearer_source_takes_the_farther_away(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('camera = 1\ncalibration = "cam.yml"\noverwrite = true\n')
    settings = parse(["--config", str(path), "--video", "b.mp4", "--fov", "70", "--resume"]).settings
    assert settings.config.source.camera is None
    assert settings.config.source.video == ("b.mp4",)
    assert settings.config.pipeline.camera.calibration is None
    assert settings.config.output.resume
    assert not settings.config.output.overwrite


def test_switches_can_be_taken_back(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("mirror = true\nno-display = true\n")
    config = parse(["--config", str(path), "--no-mirror", "--display"]).settings.config
    assert not config.source.mirror
    assert config.output.display


def test_what_print_config_shows_is_taken_again(tmp_path, capsys):
    words = ["--video", 'a "b".mp4', "ü.mp4", "--device", "cpu", "--height-cm", "172", "--formats", "bvh", "--mirror"]
    settings = parse(words).settings
    text = show(settings)
    path = tmp_path / "again.toml"
    path.write_text(text, encoding="utf-8")
    assert gather({}, str(path)).config == settings.config
    assert next(line for line in text.splitlines() if line.startswith("device")).endswith("# command line")
    assert "# calibration is not set" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devise", "cpu"], "did you mean --device?"),
        (["clip.mp4"], "unexpected word 'clip.mp4'"),
        (["--rotate", "45"], "0, 90, 180, 270 expected"),
        (["--camera-resolution", "huge"], "WIDTHxHEIGHT expected"),
        (["--formats", "jsonl,bhv"], "did you mean bvh?"),
        (["--threads", "many"], "whole number expected"),
        (["--fov", "nan"], "a number expected"),
        (["--start", "1:2:3:4"], "h:m:s"),
        (["--video"], "expected at least one argument"),
        (["--precision", "fp64"], "expected"),
        (["--dev", "cpu"], "did you mean --device?"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert message in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--camera", "0", "--video", "a.mp4"], "--camera and --video exclude"),
        (["--overwrite", "--resume"], "--overwrite and --resume exclude"),
        (["--input-size", "500x300"], "multiples of 16"),
        (["--device", "tpu"], "auto, cpu, cuda or cuda:N"),
        (["--height-cm", "1.8"], "body height"),
        (["--fov", "200"], "field of view"),
        (["--start", "5", "--end", "3"], "must come after"),
        (["--max-people", "0"], "max_people"),
        (["--max-people", "999999999"], "1 to 1000 expected"),
        (["--threads", "100000"], "threads"),
        (["--config", "absent.toml"], "cannot read absent.toml"),
    ],
)
def test_values_out_of_range(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("devise = 1", "did you mean device"),
        ("[pipeline.network]\ndevise = 1", "did you mean pipeline.network.device"),
        ("[pipelines]\na = 1", "did you mean pipeline"),
        ("threads = [1, 2]", "whole number expected"),
        ("mirror = 3", "true or false"),
        ("[source]\nvideo = 'a.mp4'", "must be a list"),
        ("a = ", "not valid TOML"),
    ],
)
def test_wrong_settings_files(text, message, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        gather({}, str(path))
    assert "\n" not in str(caught.value)


def test_underscores_in_values_stay():
    assert dashed(["--log_file", "a_b", "--video=my_clip.mp4", "--", "--c_d"]) == [
        "--log-file",
        "a_b",
        "--video=my_clip.mp4",
        "--",
        "--c_d",
    ]


@given(st.integers(0, 50), st.integers(0, 59), st.integers(0, 59))
def test_times(hours, minutes, secs):
    assert seconds(f"{hours}:{minutes:02}:{secs:02}") == hours * 3600 + minutes * 60 + secs


@pytest.mark.parametrize(
    "text",
    [
        "[filters]\nbeta_3d = nan", "[filters]\nmin_cutoff_3d = inf", "[detection]\nlimb_threshold = nan",
        "[detection]\nmin_score = 2.0", "[detection]\nmin_joints = -9", "[tracking]\nconfirm_frames = 99999999999999999999",
        "a = " + "[" * 50_000, "[" + "a." * 3000 + "b]\nc = 1", "[filters]\nbeta_3d = " + "9" * 400, "seed = " + "9" * 5000,
        "[pipeline]\nnetwork = 3\n[network]\nthreads = 1",
    ],
)  # fmt: skip
def test_numbers_that_are_none_and_endless_nesting_are_refused(text, tmp_path):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        parse(["--config", str(tmp_path / "s.toml")])
    assert len(str(error.value).splitlines()) == 1


def test_a_file_too_large_for_settings_is_refused(tmp_path):
    (tmp_path / "s.toml").write_bytes(b"#" * (5 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        parse(["--config", str(tmp_path / "s.toml")])
