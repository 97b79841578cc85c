"""Videos shared out by Ray: one job each, absolute paths, faults told; tried on a local Ray where it is installed."""

import importlib.util
import warnings
from pathlib import Path

import pytest

from xnect.apps import cluster, run
from xnect.apps.main import main
from xnect.errors import ConfigError


def settings(*words):
    return run.parse(words).settings.config


def test_jobs_have_a_video_and_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tasks = cluster.jobs(
        settings("--video", "a/walk.mp4", "b/walk.mp4", "--output", "out", "--ray", "--height-cm", "180")
    )
    assert [task.source.video for task in tasks] == [(str(tmp_path / "a/walk.mp4"),), (str(tmp_path / "b/walk.mp4"),)]
    assert [task.output.directory for task in tasks] == [str(tmp_path / "out/walk"), str(tmp_path / "out/walk-2")]
    assert all(task.ray is None and not task.output.display for task in tasks)
    assert all(task.pipeline.fit.height_m == 1.8 for task in tasks)


def test_every_file_that_is_named_is_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for name in ("take10.mp4", "take9.mp4", "notes.txt"):
        (tmp_path / "clips" / name).write_bytes(b"")
    asked = settings(
        "--video", "clips", "--detector", "d.onnx", "--boxes", "b.onnx", "--calibration", "cam.toml", "--output", "out"
    )
    tasks = cluster.jobs(run.with_source(asked))
    assert [Path(task.source.video[0]).name for task in tasks] == ["take9.mp4", "take10.mp4"]
    for task in tasks:
        network = task.pipeline.network
        assert [network.detector, network.boxes] == [str(tmp_path / "d.onnx"), str(tmp_path / "b.onnx")]
        assert task.pipeline.camera.calibration == str(tmp_path / "cam.toml")
    (task,) = cluster.jobs(settings("--video", "a.mp4", "--weights", "w.safetensors", "--output", "out"))
    assert task.pipeline.network.weights == str(tmp_path / "w.safetensors")
    assert task.output.directory == str(tmp_path / "out"), "one video goes where a plain run puts it"


@pytest.mark.parametrize("words", [["--camera", "0"], ["--video", "rtsp://x/y"]])
def test_what_cannot_be_shared_out_is_refused(words):
    with pytest.raises(ConfigError, match="shares out video files"):
        cluster.jobs(settings(*words, "--ray"))


def test_without_ray_the_error_says_what_to_install(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    assert main(["run", "--ray", "local", "--video", str(tmp_path / "a.mp4")]) == 2
    assert "pip install 'xnect[cluster]'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--ray"], "Ray does not start on this machine"), (["--ray", "head:6379"], "no Ray cluster at head")],
)
def test_a_ray_that_does_not_start_is_told_in_one_line(tmp_path, monkeypatch, capfd, words, told):
    class Ray:
        def init(self, **_):
            raise Exception("The current node timed out\nduring startup.")  # as Ray does

    monkeypatch.setitem(__import__("sys").modules, "ray", Ray())
    (tmp_path / "a.mp4").write_bytes(b"")
    assert main(["run", *words, "--video", str(tmp_path / "a.mp4")]) == 2
    err = capfd.readouterr().err
    assert told in err, err
    assert "timed out during startup" in err


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
def test_a_local_ray_does_all_videos_and_tells_the_one_that_fails(tmp_path, monkeypatch, capfd):
    def record(config):
        video = Path(config.source.video[0])
        if video.stem == "bad":
            return "", "it is damaged"
        Path(config.output.directory).mkdir(parents=True)
        return config.output.directory, ""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "_one", record)
    for name in ("one.mp4", "bad.mp4", "two.mp4"):
        (tmp_path / name).write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        assert (
            main(["run", "--no-display", "--ray", "--video", "one.mp4", "bad.mp4", "two.mp4", "--output", "out"]) == 1
        )
    out, err = capfd.readouterr()
    assert "bad.mp4: it is damaged" in err, err
    assert sorted(out.split()) == [str(tmp_path / "out/one"), str(tmp_path / "out/two")]
    assert "1 of 3 videos failed" in err
    assert (tmp_path / "out/two").is_dir()
