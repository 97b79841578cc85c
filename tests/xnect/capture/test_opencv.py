"""C libraries kept quiet, without losing what others say."""

import os

import pytest

from xnect.capture.opencv import quiet


def test_quiet_keeps_noise_and_passes_on_the_rest(capfd):
    with quiet():
        os.write(2, b"Corrupt JPEG data: premature end\n[ERROR:0@0.1] global x\n")
        os.write(2, b"somebody else's line\n")
    assert capfd.readouterr().err == "somebody else's line\n"
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    os.write(2, b"back\n")
    assert capfd.readouterr().err == "back\n"
