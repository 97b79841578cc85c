"""Made-up people for tests."""

import numpy as np

#: A standing person facing the camera, x right, y down, in body heights from the neck.
STANDING = np.array([
    [0, -0.12], [0, 0],
    [-0.11, 0], [-0.14, 0.18], [-0.15, 0.33], [0.11, 0], [0.14, 0.18], [0.15, 0.33],
    [-0.06, 0.3], [-0.07, 0.54], [-0.07, 0.78], [0.06, 0.3], [0.07, 0.54], [0.07, 0.78],
])  # fmt: skip


def crowd(count, height_px=220.0):
    """Standing people side by side in a 640 x 400 picture, (P, 14, 2) [px]."""
    centres = np.stack([np.linspace(70, 570, count), np.full(count, 120.0)], 1)
    return centres[:, None] + STANDING * height_px
