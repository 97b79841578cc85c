"""Stage I's heatmaps and affinity fields as pictures with transparency (numpy only, no Qt)."""

from __future__ import annotations

import cv2
import numpy as np

from xnect.geometry import apply_affine
from xnect.structures import U8, PoseMaps


def _colour_map() -> U8:
    ramp = np.arange(256, dtype=np.uint8)[None]
    return np.asarray(cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)[0, :, ::-1], np.uint8)


_HEAT = _colour_map()


def map_rect(maps: PoseMaps) -> tuple[float, float, float, float]:
    """Outline of the maps in frame pixels: x0, y0, x1, y1 measured at cell edges."""
    h, w = maps.heatmaps.shape[1:]
    corners = apply_affine(np.array([[-0.5, -0.5], [w - 0.5, h - 0.5]]), maps.frame_from_map) + 0.5
    return float(corners[0, 0]), float(corners[0, 1]), float(corners[1, 0]), float(corners[1, 1])


def heatmap_rgba(maps: PoseMaps, joint: int = -1) -> U8:
    """Heat of one joint (-1 = the greatest of all) as RGBA uint8 (h, w, 4), transparent where cold."""
    heat = maps.heatmaps.max(0) if joint < 0 else maps.heatmaps[joint]
    level = (np.clip(heat, 0, 1) * 255).astype(np.uint8)
    out = np.empty((*level.shape, 4), np.uint8)
    out[..., :3] = _HEAT[level]
    out[..., 3] = np.minimum(255, level.astype(np.int32) * 2)
    return out


def affinity_rgba(maps: PoseMaps, limb: int = -1) -> U8:
    """Affinity fields as RGBA uint8 (h, w, 4): hue = direction, opacity = strength (-1 = the strongest of all limbs)."""
    fields = maps.pafs if limb < 0 else maps.pafs[limb : limb + 1]
    strength = np.hypot(fields[:, 0], fields[:, 1])
    best = strength.argmax(0)[None]
    x = np.take_along_axis(fields[:, 0], best, 0)[0]
    y = np.take_along_axis(fields[:, 1], best, 0)[0]
    power = np.clip(np.hypot(x, y), 0, 1)
    hsv = np.empty((*x.shape, 3), np.uint8)
    hsv[..., 0] = ((np.arctan2(y, x) / (2 * np.pi)) % 1.0 * 179).astype(np.uint8)
    hsv[..., 1] = 190
    hsv[..., 2] = 255
    out = np.empty((*x.shape, 4), np.uint8)
    out[..., :3] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    out[..., 3] = (power * 230).astype(np.uint8)
    return out
