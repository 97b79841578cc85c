"""Light: spherical harmonics with one direct source taken out of them, which casts shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.structures import F32, F64

#: Cosine lobe against each harmonic band, over pi (irradiance is kept divided by pi).
_BAND = np.array([1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25])


def harmonics(normals: np.ndarray) -> np.ndarray:
    """The nine real harmonics up to band 2 at unit directions (..., 3) -> (..., 9), order of probes.npz."""
    x, y, z = np.moveaxis(normals, -1, 0)
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y, 0.488603 * z, 0.488603 * x,
            1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        -1,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """What lights a scene.

    Attributes:
        ambient: float32 (9, 3), harmonics of the light that casts no shadow (colour of a white matt surface).
        sun: float32 (3,), colour that the direct source gives a white matt surface facing it.
        direction: float64 (3,), unit vector towards the direct source.
        softness_m: Half width of the shadows' edges.
    """

    ambient: F32
    sun: F32
    direction: F64
    softness_m: float = 0.02


def split_light(sh: np.ndarray, direction: np.ndarray, share: float, softness_m: float) -> Light:
    """Take the direct source out of a probe.

    Args:
        sh: float (9, 3), all light.
        direction: Towards the brightest spot (3,).
        share: The spot's share of all light, 0 to 1.
        softness_m: Half width of the shadows' edges.
    """
    direction = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    mean = sh[0] * 0.282095  # the mean radiance over the sphere
    sun = 4 * share * mean  # a spot with that share of 4 pi * mean, over pi
    ambient = sh - np.outer(harmonics(direction) * _BAND, sun) * np.pi
    return Light(ambient.astype(np.float32), sun.astype(np.float32), direction, softness_m)


def exposed(light: Light, level: float) -> Light:
    """The light scaled so that an upright white surface has the mean lightness ``level`` (1 = full white)."""
    ring = np.array([[np.cos(a), 0.25, np.sin(a)] for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)])
    ring /= np.linalg.norm(ring, axis=1, keepdims=True)
    colour = harmonics(ring) @ light.ambient + np.maximum(ring @ light.direction, 0)[:, None] * light.sun
    scale = np.float32(level / max(1e-3, float(np.clip(colour, 0.02, None).mean())))
    return Light(light.ambient * scale, light.sun * scale, light.direction, light.softness_m)


def room_light(rng: np.random.Generator) -> Light:
    """Light in a room: lamps on a white ceiling, a window's side, a little colour."""
    warm = rng.uniform(-0.12, 0.12)
    tone = np.array([1 + warm, 1, 1 - warm])
    side = rng.normal(size=3) * [1, 0.2, 1]
    side /= np.linalg.norm(side)
    sh = np.zeros((9, 3))
    sh[0] = 3.2
    sh[1] = rng.uniform(0.2, 0.7)
    sh[[1, 2, 3]] += np.outer(side[[1, 2, 0]], np.ones(3)) * rng.uniform(0.1, 0.6)
    towards = np.array([rng.uniform(-0.7, 0.7), 1.0, rng.uniform(-0.7, 0.7)])
    share = rng.uniform(0.05, 0.22)
    light = split_light(sh * tone + 0, towards, 0.0, rng.uniform(0.03, 0.12))
    sun = (4 * share * sh[0] * 0.282095 * tone).astype(np.float32)
    return Light(light.ambient, sun, light.direction, light.softness_m)


def turned_light(light: Light, rotation: F64) -> Light:
    """The light turned by a rotation (3, 3) of the world."""
    k = np.arange(64) + 0.5
    height, angle = 1 - 2 * k / 64, np.pi * (1 + 5**0.5) * k  # points spread evenly over the sphere
    flat = np.sqrt(1 - height**2)
    normals = np.stack([flat * np.cos(angle), height, flat * np.sin(angle)], 1)
    colour = harmonics(normals @ rotation) @ light.ambient  # row vectors: the inverse rotation of each normal
    ambient = np.linalg.lstsq(harmonics(normals), colour, rcond=None)[0]
    return Light(ambient.astype(np.float32), light.sun, rotation @ light.direction, light.softness_m)
