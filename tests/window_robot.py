"""Hands and eyes for tests of the real window: keys, a pause that is over, pixels."""

from __future__ import annotations

import numpy as np
from PyQt5.QtCore import Qt

from xnect.gui.parts import SourceRequest

FILE = SourceRequest("video", "clip.mp4", title="clip.mp4")
LIVE = SourceRequest("camera", "Fake Cam", title="Fake Cam")


def key(qtbot, window, key, modifier=Qt.NoModifier):
    qtbot.keyClick(window.views.camera, key, modifier)


def paused(qtbot, window):
    """Pause, and wait until what was under way has arrived and is drawn."""
    key(qtbot, window, Qt.Key_Space)
    assert not window.state.playback.playing
    last = None
    while last != (last := window.state.shown.result.index):
        qtbot.wait(300)


def picture_of(view) -> np.ndarray:
    """A widget's pixels, uint8 (H, W, 3) RGB."""
    image = view.grab().toImage().convertToFormat(4)
    pointer = image.bits()
    pointer.setsize(image.byteCount())
    return np.frombuffer(pointer, np.uint8).reshape(image.height(), image.width(), 4)[..., 2::-1].copy()


def colours_near(image: np.ndarray, point, rgb, reach=3) -> bool:
    """Whether a colour is found around a point."""
    x, y = (round(float(c)) for c in point)
    patch = image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].astype(int)
    return bool((np.abs(patch - rgb).sum(-1) < 60).any())
