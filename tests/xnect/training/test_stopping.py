"""A training that is stopped has its checkpoint; real signals."""

import signal
import sys

import pytest

torch = pytest.importorskip("torch")

from xnect.training import checkpoints, stage2, stopping  # noqa: E402
from xnect.training.loop import LoopConfig, Trainer  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_after_the_step_with_a_checkpoint(tmp_path, number):
    before = signal.getsignal(number)
    net = torch.nn.Linear(2, 1)
    finished = []

    def loss(net, step):
        if step == 2:
            signal.raise_signal(number)
        finished.append(step)  # the step in hand is not broken off
        return net(torch.ones(1, 2)).square().sum()

    trainer = Trainer(net, loss, LoopConfig(out=tmp_path, steps=50, warmup=2))
    with pytest.raises(SystemExit) as ended:
        trainer.run()
    assert ended.value.code == 128 + number
    assert finished == [0, 1, 2]
    assert checkpoints.load(tmp_path / "checkpoint.pt")["step"] == 3
    assert signal.getsignal(number) is before


def test_stage2_saves_too(tmp_path, monkeypatch):
    class Quick(stage2.Stage2Trainer):
        def __init__(self, recipe, data, device, init, detections):
            self.recipe, self.step, self.sampler, self.saved = recipe, 0, None, []

        def batch(self, step):
            return step

        def learn(self, batch):
            self.step += 1
            if self.step == 3:
                signal.raise_signal(signal.SIGTERM)
            return 0.0, 0.1

        def save(self, path):
            path.write_text(str(self.step))

    monkeypatch.setattr(stage2, "Stage2Trainer", Quick)
    monkeypatch.setattr(stage2, "make_batch", lambda *_: None)
    monkeypatch.setattr(stage2, "PoseSampler", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        stage2.train(stage2.Stage2Recipe(steps=1000), tmp_path, tmp_path / "out")
    assert ended.value.code == 143
    assert (tmp_path / "out" / "checkpoint.pt").read_text() == "3"


def test_the_second_signal_has_its_usual_effect():
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore Ctrl-C
    try:
        stop = stopping.Stop()
        stop.listen()
        signal.raise_signal(signal.SIGINT)
        assert stop.code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, inherited)
