"""Hostile and broken input to the loaders, in a process of its own: refused with one line, or read with sound numbers."""

import json
from pathlib import Path

import pytest

from benchmarks import mutations
from benchmarks.hostile import cases, commands, mutators
from benchmarks.hostile.mutators import Case
from benchmarks.hostile.worker import Outcome, Worker

pytest.importorskip("websockets")
#: Kinds whose loaders need neither torch nor compiled code.
QUICK = ("settings", "calibration", "picture", "video", "labels", "addresses", "message", "recording", "stage2")


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    found = Worker(30.0, {"XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config"))})  # longer: other tests run beside
    yield found
    found.close()


@pytest.mark.parametrize("kind", QUICK)
def test_every_loader_refuses_with_one_line_or_reads_sound_numbers(worker, kind):
    row = mutations.run_kind(worker, kind, cases.mutations(kind, 12, 3))
    assert not row.findings
    assert row.mutations == 12
    assert row.refused + row.read == row.mutations + row.crafted


def test_the_worker_tells_faults_hangs_and_crashes(tmp_path, monkeypatch):
    script = (
        "import benchmarks.hostile.loaders as l, os, time, warnings\n"
        "from benchmarks.hostile import worker\n"
        "from xnect.errors import FormatError\n"
        "def refuse(path): raise FormatError('no')\n"
        "def fault(path): raise KeyError('gone')\n"
        "def warn(path): warnings.warn('loud', RuntimeWarning); return []\n"
        "l.LOADERS.update(refuse=refuse, fault=fault, warn=warn, crash=lambda p: os.abort(),\n"
        "    hang=lambda p: time.sleep(60), nan=lambda p: [float('nan')], good=lambda p: [1.0],\n"
        "    noise=lambda p: (os.write(2, b'hello'), [])[1])\n"
        "worker.main()\n"
    )
    start = tmp_path / "start.py"
    start.write_text(script)
    found = Worker(1.5)
    monkeypatch.setattr("benchmarks.hostile.worker.WORKER", [str(start)])
    try:
        expected = {
            "refuse": "refused", "good": "read", "fault": "exception", "nan": "not finite", "noise": "noise", "warn": "noise",
            "crash": "crash", "hang": "hang",
        }  # fmt: skip
        found.run("good", tmp_path, first=True)
        got = {kind: found.run(kind, tmp_path).what for kind in expected if kind not in ("crash", "hang")}
        got["crash"] = found.run("crash", tmp_path, first=True).what
        found.run("good", tmp_path, first=True)
        got["hang"] = found.run("hang", tmp_path).what
        assert got == expected
        assert found.run("good", tmp_path, must_refuse=True, first=True).what == "let in"
    finally:
        found.close()


def test_the_same_seed_gives_the_same_cases():
    first, again = ([c.files for c in cases.mutations("settings", 20, 5)] for _ in range(2))
    assert first == again
    assert first != [c.files for c in cases.mutations("settings", 20, 6)]
    assert sum(cases.shares(1200, list(cases.KINDS)).values()) >= 1190


@pytest.mark.parametrize("how", [*dict.fromkeys(mutators.BYTES)])
def test_mutations_of_bytes_change_the_file(how):
    import random

    data = bytes(range(256)) * 20
    changed = [how(random.Random(seed), data) for seed in range(8)]
    assert any(new != data for new in changed)


def test_a_command_that_shows_a_traceback_is_told():
    assert commands.fault(1, ["xnect run: no such file"]) == ""
    assert commands.fault(0, []) == ""
    assert "signal" in commands.fault(-11, [])
    assert "fault" in commands.fault(1, ["Traceback (most recent call last):", "xnect run: x"])
    assert "lines" in commands.fault(1, ["xnect run: a", "xnect run: b"])
    assert "control" in commands.fault(1, ["xnect run: \x1b[31m"])


def test_the_table_counts_and_findings_are_kept(tmp_path):
    class Stub:
        def run(self, kind, path, must_refuse=False, first=False):
            return Outcome("crash", "SIGSEGV", 0.1)

    case = Case("settings", "a: b", {"s.toml": b"x"}, "s.toml")
    assert mutations.run_case(Stub(), case, tmp_path).what == "crash"
    assert (tmp_path / "settings-a--b" / "s.toml").read_bytes() == b"x"
    finding = mutations.Finding("settings", "a", "crash", "SIGSEGV")
    row = mutations.Row("settings", 3, 2, 3, 1, (finding,), 0.1)
    assert "| all" in mutations.table([row])


def test_pickles_run_no_code(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from backbone.errors import BackboneError
    from backbone.weights import load_model
    from benchmarks.hostile.crafted import CRAFTED, ran_code

    monkeypatch.chdir(tmp_path)
    for number, case in enumerate(CRAFTED["classifier"]()):
        path = mutations.lay_out(tmp_path / str(number), case)
        with pytest.raises(BackboneError) as error:
            load_model(path)
        assert len(str(error.value).splitlines()) == 1
    assert not ran_code(tmp_path)


def test_stage_one_refuses_cards_that_ask_too_much(tmp_path):
    pytest.importorskip("torch")
    from benchmarks.hostile.crafted import CRAFTED
    from xnect.errors import WeightsError
    from xnect.stages.network import load_stage1

    for number, case in enumerate(c for c in CRAFTED["stage1"]() if c.must_refuse):
        with pytest.raises(WeightsError):
            load_stage1(mutations.lay_out(tmp_path / str(number), case))


def test_packed_networks_that_are_none_are_made_anew(tmp_path):
    from benchmarks.hostile.crafted import CRAFTED
    from xnect.stages.executors import package

    digest = json.loads((Path(mutations.__file__).parents[1] / "assets/weights/stage1.json").read_text())["sha256"]
    for case in CRAFTED["int8"]():
        if case.name in (
            "bomb",
            "bomb card",
            "locked",
            "strange method",
            "deep card",
            "card is a list",
            "card of floats",
        ):
            path = mutations.lay_out(tmp_path, case)
            assert package.load(path, digest) is None, case.name


def test_one_bad_file_is_one_line_on_the_command_line(tmp_path):
    (tmp_path / "new\x1b[31m.toml").write_text("a = [[")
    words = ["run", "--config", str(tmp_path / "new\x1b[31m.toml"), "--print-config"]
    code, told, _ = commands.run_command(words, tmp_path)
    assert code == 2
    assert len(told) == 1
    assert commands.fault(code, told) == ""
