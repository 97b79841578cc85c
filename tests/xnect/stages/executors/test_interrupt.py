"""Ctrl-C where OpenVINO has computed: a program goes on or ends as it likes, it does not crash."""

import importlib.util
import subprocess
import sys

import pytest
import torch

from xnect.stages.network import NetworkSpec, Stage1, save_stage1

#: Networks come and go as where somebody changes the settings of a window.
PROGRAM = """
import gc, signal, sys
from pathlib import Path
from xnect.stages.executors import convert, openvino_cpu, package
weights = Path(sys.argv[1])
source = convert.float_package(weights, package.digest(weights))
first = openvino_cpu.OpenVinoExecutor(source, "fp32", 1)
first.prepare((96, 64))
second = openvino_cpu.OpenVinoExecutor(source, "fp32", 1)
second.prepare((96, 64))
del first
gc.collect()
del second
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")
def test_an_interrupt_after_networks_were_dropped_is_heard(tmp_path):
    torch.manual_seed(0)
    save_stage1(Stage1(NetworkSpec(width=0.05, head=16)), tmp_path / "small.safetensors", {})
    own = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # some shells ignore it
    done = subprocess.run(
        [sys.executable, "-c", own + PROGRAM, str(tmp_path / "small.safetensors")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "interrupted"), done.stderr[-800:]
