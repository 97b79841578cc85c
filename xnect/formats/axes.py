"""From camera space (x right, y down, z forward) to the axes that other programs expect."""

from __future__ import annotations

import numpy as np

from xnect.structures import F64

#: Y up, right-handed (BVH, glTF): a person who faces the camera faces +z with the left side at +x.
Y_UP = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
#: Z up, right-handed (C3D, Blender): the same person faces -y.
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
#: OpenSim's ground: x forward for a person who faces the camera, y up, z to the person's right.
OPENSIM = np.array([[0.0, 0, -1], [0, -1, 0], [-1, 0, 0]])
for _matrix in (Y_UP, Z_UP, OPENSIM):
    _matrix.setflags(write=False)


def turned(points_m: np.ndarray, axes: F64) -> F64:
    """Camera-space points (..., 3) in other axes; no negative zeros."""
    return points_m.astype(np.float64) @ axes.T + 0.0
