"""What a camera does to light: exposure, colour, lens, blur, noise, sharpening, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numba import njit

from xnect.structures import F32, U8

#: Numbers in the bank of noise; a prime, so that rows of pictures do not meet the same place again.
_GRAIN = 1_600_033


@dataclass(frozen=True, slots=True)
class Lens:
    """How a camera spoils a picture.

    Attributes:
        exposure: Factor on the linear light.
        white: Factors on red, green and blue.
        contrast: Strength of the S curve, 0 = none.
        saturation: 1 = as it is, 0 = grey.
        vignette: Share of light lost in the corners.
        fringe_px: Shift between red and blue at the picture's edge.
        blur_px: Standard deviation of the defocus.
        motion_px: Length of the shake, and ``motion_deg`` its direction.
        motion_deg: See ``motion_px``.
        noise: Standard deviation of the noise at middle grey, 0 to 1.
        sharpen: Strength of an unsharp mask.
        jpeg: Quality, 0 = none.
    """

    exposure: float = 1.0
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 0.25
    saturation: float = 1.0
    vignette: float = 0.0
    fringe_px: float = 0.0
    blur_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0
    noise: float = 0.0
    sharpen: float = 0.0
    jpeg: int = 0


def random_lens(rng: np.random.Generator) -> Lens:
    """A camera of any quality; most are decent."""
    warm = rng.normal(0, 0.07)
    poor = rng.random() < 0.3
    return Lens(
        exposure=float(np.exp(rng.normal(0, 0.28))),
        white=(float(np.exp(warm)), float(np.exp(rng.normal(0, 0.03))), float(np.exp(-warm))),
        contrast=float(rng.uniform(0, 0.6)),
        saturation=float(np.clip(rng.normal(0.95, 0.2), 0, 1.5)) if rng.random() < 0.96 else 0.0,
        vignette=float(rng.uniform(0, 0.35)) if rng.random() < 0.5 else 0.0,
        fringe_px=float(rng.uniform(0, 1.2)) if rng.random() < 0.2 else 0.0,
        blur_px=float(rng.uniform(0.3, 1.4)) if poor else float(rng.uniform(0, 0.6)),
        motion_px=float(rng.uniform(2, 7)) if rng.random() < 0.1 else 0.0,
        motion_deg=float(rng.uniform(0, 180)),
        noise=float(rng.uniform(0.01, 0.045)) if poor else float(rng.uniform(0, 0.012)),
        sharpen=float(rng.uniform(0, 0.9)) if rng.random() < 0.4 else 0.0,
        jpeg=int(rng.integers(35, 96)) if rng.random() < 0.7 else 0,
    )


@njit(cache=True, fastmath=True)
def _curve(light: np.float32, contrast: np.float32) -> np.float32:
    """Display value of one colour's light: highlights roll off and do not clip at once, then gamma 2 and an S curve."""
    one, knee = np.float32(1), np.float32(0.7)
    light = max(np.float32(0), light)
    rolled = one - np.float32(0.09) / max(light - np.float32(0.4), np.float32(0.3))
    v = np.sqrt(rolled if light > knee else light)
    return v + contrast * (v * v * (np.float32(3) - v - v) - v)


@njit(cache=True, fastmath=True)
def _develop(
    image: np.ndarray, gain: np.ndarray, vignette: float, saturation: float, contrast: float, out: np.ndarray
) -> None:
    """Linear light (H, W, 3) -> display values 0 to 1, in blue, green, red order; single precision throughout."""
    height, width = image.shape[:2]
    middle_x, middle_y = np.float32((width - 1) / 2), np.float32((height - 1) / 2)
    loss = np.float32(vignette) / (middle_x * middle_x + middle_y * middle_y)
    one, s, c = np.float32(1), np.float32(saturation), np.float32(contrast)
    red, green, blue = np.float32(gain[0]), np.float32(gain[1]), np.float32(gain[2])
    for y in range(height):
        down = (np.float32(y) - middle_y) ** 2
        for x in range(width):
            dark = one - loss * ((np.float32(x) - middle_x) ** 2 + down)
            r, g, b = image[y, x, 0] * red * dark, image[y, x, 1] * green * dark, image[y, x, 2] * blue * dark
            grey = np.float32(0.3) * r + np.float32(0.59) * g + np.float32(0.11) * b
            out[y, x, 0] = _curve(grey + s * (b - grey), c)
            out[y, x, 1] = _curve(grey + s * (g - grey), c)
            out[y, x, 2] = _curve(grey + s * (r - grey), c)


@lru_cache(maxsize=2)
def _grain(coarse: bool) -> F32:
    """A long row of normal numbers, made once: pictures take their noise from a random place in it."""
    grain = np.random.default_rng(8).standard_normal((1031, 3 * 541), np.float32)
    if coarse:
        grain = 1.6 * cv2.GaussianBlur(grain.reshape(1031, 541, 3), (0, 0), 0.6)
    return grain.reshape(-1)[:_GRAIN].astype(np.float32)


@njit(cache=True)
def _add_grain(out: np.ndarray, grain: np.ndarray, start: int, strength: np.float32) -> None:
    """Noise from a row of numbers, from ``start`` on and round again."""
    flat, n = out.reshape(-1), start
    for i in range(len(flat)):
        flat[i] += strength * grain[n]
        n = n + 1 if n + 1 < len(grain) else 0


@njit(cache=True, fastmath=True)
def _to_bytes(image: np.ndarray, out: np.ndarray) -> None:
    """Values 0 to 1 as bytes; what is beyond is cut."""
    a, b = image.reshape(-1), out.reshape(-1)
    for i in range(len(a)):
        b[i] = np.uint8(min(255.0, max(0.0, a[i] * 255 + 0.5)))


def develop(image: F32, lens: Lens, rng: np.random.Generator) -> U8:
    """A linear picture (H, W, 3) as the camera gives it: BGR uint8; ``rng`` makes the noise."""
    out: np.ndarray = np.empty_like(image)
    gain = lens.exposure * np.array(lens.white)
    _develop(image, gain, lens.vignette, lens.saturation, lens.contrast, out)
    if lens.fringe_px > 0:
        out = _fringed(out, lens.fringe_px)
    if lens.blur_px > 0.15:
        out = cv2.GaussianBlur(out, (0, 0), lens.blur_px)
    if lens.motion_px > 1:
        out = cv2.filter2D(out, -1, _streak(lens.motion_px, lens.motion_deg))
    if lens.noise > 0:
        # strong noise of small cameras is coarse
        _add_grain(out, _grain(lens.noise > 0.03), int(rng.integers(_GRAIN)), np.float32(lens.noise))
    if lens.sharpen > 0:
        out = out + lens.sharpen * (out - cv2.GaussianBlur(out, (0, 0), 1.2))
    done = np.empty(out.shape, np.uint8)
    _to_bytes(out, done)
    if lens.jpeg:
        packed = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, lens.jpeg])[1]
        done = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return done


def _fringed(image: F32, shift_px: float) -> F32:
    """Blue and red scaled apart about the middle."""
    height, width = image.shape[:2]
    out = image.copy()
    for channel, sign in ((0, 1), (2, -1)):
        s = 1 + sign * shift_px / width
        m = np.array([[s, 0, (1 - s) * (width - 1) / 2], [0, s, (1 - s) * (height - 1) / 2]])
        out[..., channel] = cv2.warpAffine(image[..., channel], m, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return out


def _streak(length_px: float, degrees: float) -> F32:
    """Kernel of a straight shake."""
    size = int(length_px) | 1
    kernel = np.zeros((size, size), np.float32)
    c = size // 2
    d = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]) * c
    cv2.line(kernel, tuple(np.rint(c - d).astype(int).tolist()), tuple(np.rint(c + d).astype(int).tolist()), 1.0)
    return kernel / kernel.sum()
