"""Where the joints of a person are, once it is known whose they are: sharpened by size, and guessed where none was seen.

A peak's place is read from three cells. That is right for small people; in people who fill the picture a heatmap's hill is
wide and rough, and its middle is a better place than its highest cell. What was not seen at all lies where the rest of
the body lets expect it, and where the heatmap has at least a trace of it.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
from numba import njit

from xnect.errors import WeightsError
from xnect.resources import resource
from xnect.skeleton.joints import JOINTS_2D
from xnect.structures import F32, F64

#: Width of the window in which a hill's middle is sought: a share of the person's size, and its least [cells].
_SHARPEN_SHARE, _SHARPEN_LEAST, _SHARPEN_STEPS = 0.12, 1.0, 3
#: The same around a guess, and what a map without any trace counts.
_GUESS_SHARE, _GUESS_LEAST, _NO_TRACE = 0.2, 1.0, 0.02
#: Windows end at so many widths.
_REACH = 2.5
#: Share of a person's bounding box that the body fills: its root is the size of COCO's areas.
_FILLED = 0.6


@functools.cache
def body_shape() -> tuple[F64, F64]:
    """How joints lie to each other in pictures: mean (28,) and precision (28, 28) of x and y of the 14 joints in turn.

    Both are of poses shifted to mean 0 and scaled to a root mean square distance of 1 / sqrt(14) from it; made by
    ``python -m xnect.training.body_shape``.

    Raises:
        WeightsError: The file is damaged or made for other joints.
    """
    return read_body_shape(resource("weights/body2d.safetensors"))


def read_body_shape(path: Path) -> tuple[F64, F64]:
    """``body_shape`` of a file; raises WeightsError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(path.read_bytes())
        mean, precision = (found[name].astype(np.float64) for name in ("mean", "precision"))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} does not tell how joints lie to each other: {error}") from error
    size = 2 * len(JOINTS_2D)
    if mean.shape != (size,) or precision.shape != (size, size):
        raise WeightsError(f"{path} is made for other joints")
    if not (np.isfinite(mean).all() and np.isfinite(precision).all()):
        raise WeightsError(f"{path} contains values that are not finite")
    if not np.allclose(precision, precision.T, rtol=1e-3) or np.linalg.eigvalsh(precision).min() <= 0:
        raise WeightsError(f"{path} holds no precision: it must be symmetric and positive")
    return mean, precision


def place(joints: F32, heatmaps: F32) -> F64:
    """Sharpen the places of joints, and guess those that were not seen, in place.

    Args:
        joints: float32 (P, 14, 3): x, y [cells], height; height 0 = not seen. Places change, heights stay.
        heatmaps: float32 (14, h, w).

    Returns:
        Size of each person, float64 (P,): root of the area that the body fills [cells].
    """
    sizes = np.zeros(len(joints))
    _place(joints, heatmaps, *body_shape(), sizes)
    return sizes


@njit(cache=True)
def _place(joints: F32, heatmaps: F32, mean: F64, precision: F64, sizes: F64) -> None:  # pragma: no cover - compiled
    most = float(max(heatmaps.shape[1], heatmaps.shape[2]))  # what is guessed from two joints may be of any size
    for n in range(len(joints)):
        person = joints[n]
        _guess(person, mean, precision)
        sizes[n] = min(_size(person), most)
        width = max(_SHARPEN_LEAST, _SHARPEN_SHARE * sizes[n])
        for j in range(len(person)):
            if person[j, 2] > 0:
                for _ in range(_SHARPEN_STEPS):
                    _to_middle(person[j], heatmaps[j], width, 0.0)
        _guess(person, mean, precision)
        sizes[n] = min(_size(person), most)
        width = max(_GUESS_LEAST, _GUESS_SHARE * sizes[n])
        for j in range(len(person)):
            if not person[j, 2] > 0:
                _to_middle(person[j], heatmaps[j], width, _NO_TRACE)


@njit(cache=True)
def _size(person: F32) -> float:  # pragma: no cover - compiled
    wide = person[:, 0].max() - person[:, 0].min()
    high = person[:, 1].max() - person[:, 1].min()
    return math.sqrt(max(_FILLED * wide * high, 1.0))


@njit(cache=True)
def _to_middle(place: F32, heat: F32, width: float, trace: float) -> None:  # pragma: no cover - compiled
    """Move a place to the mean of the cells around it, weighted by the square of what the map has there and by nearness."""
    height, length = heat.shape
    reach = math.ceil(_REACH * width)
    x, y = place[0], place[1]
    if not (-reach <= x < length + reach and -reach <= y < height + reach):
        return
    x0, x1 = max(0, int(x) - reach), min(length, int(x) + reach + 2)
    y0, y1 = max(0, int(y) - reach), min(height, int(y) + reach + 2)
    near_x = np.empty(max(0, x1 - x0))
    for c in range(x0, x1):
        near_x[c - x0] = math.exp(-0.5 * ((c - x) / width) ** 2)
    total = sum_x = sum_y = 0.0
    for r in range(y0, y1):
        near_y = math.exp(-0.5 * ((r - y) / width) ** 2)
        for c in range(x0, x1):
            weight = near_y * near_x[c - x0] * (max(heat[r, c], 0.0) + trace) ** 2
            total += weight
            sum_x += weight * c
            sum_y += weight * r
    if 0 < total < np.inf:
        place[0], place[1] = sum_x / total, sum_y / total


@njit(cache=True)
def _guess(person: F32, mean: F64, precision: F64) -> None:  # pragma: no cover - compiled
    """Put joints that were not seen where they are most likely, given those that were.

    A pose is a Gaussian, scaled and shifted: z = s (mean + e) + t. The unseen coordinates, s and t are found together as
    the minimum of (z - s mean - t)' precision (z - s mean - t), which is one linear system.
    """
    missing, seen = np.flatnonzero(person[:, 2] <= 0), np.flatnonzero(person[:, 2] > 0)
    if len(missing) == 0 or len(seen) == 0:
        return
    if len(seen) == 1:  # no size can be told from one joint: all are put there
        person[:, 0], person[:, 1] = person[seen[0], 0], person[seen[0], 1]
        return
    unknown = 2 * len(missing) + 3
    effect = np.zeros((len(mean), unknown))  # of the unknowns on z - s mean - t
    fixed = np.zeros(len(mean))
    for j in seen:
        fixed[2 * j], fixed[2 * j + 1] = person[j, 0], person[j, 1]
    for m in range(len(missing)):
        effect[2 * missing[m], 2 * m] = effect[2 * missing[m] + 1, 2 * m + 1] = 1.0
    effect[:, unknown - 3] = -mean
    effect[0::2, unknown - 2] = effect[1::2, unknown - 1] = -1.0
    weighted = effect.T @ precision
    found = np.linalg.solve(weighted @ effect, -(weighted @ fixed))
    for m in range(len(missing)):
        person[missing[m], 0], person[missing[m], 1] = found[2 * m], found[2 * m + 1]
