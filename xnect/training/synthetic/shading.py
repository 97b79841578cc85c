"""Compiled shading: light per vertex, then colour for every sample that is seen, over a finished background.

Colours are linear from here to the camera effects: a texture's value squared times the light (a display gamma of 2).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.training.synthetic.raster import EMPTY

#: Texels of a repeating cloth pattern for one unit of a garment's texture.
_PATTERN_REPEATS = 6.0


@njit(cache=True, fastmath=True)
def light_vertices(
    vertices: np.ndarray, normals: np.ndarray, centre: np.ndarray, ambient: np.ndarray, direction: np.ndarray,
    to_map: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Per vertex: ambient colour, share of the direct light, place in the shadow map -> out float32 (N, 8).

    Normals that point away from the camera are turned round: sheets are seen from both sides.
    """
    for i in range(len(vertices)):
        px, py, pz = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        vx, vy, vz = centre[0] - px, centre[1] - py, centre[2] - pz
        if vx * x + vy * y + vz * z < 0:
            x, y, z = -x, -y, -z
        for k in range(3):
            out[i, k] = max(
                np.float32(0.015),
                0.282095 * ambient[0, k]
                + 0.488603 * (ambient[1, k] * y + ambient[2, k] * z + ambient[3, k] * x)
                + 1.092548 * (ambient[4, k] * x * y + ambient[5, k] * y * z + ambient[7, k] * x * z)
                + 0.315392 * ambient[6, k] * (3 * z * z - 1)
                + 0.546274 * ambient[8, k] * (x * x - y * y),
            )
        out[i, 3] = max(np.float32(0), x * direction[0] + y * direction[1] + z * direction[2])
        for k in range(3):
            out[i, 4 + k] = to_map[k, 0] * px + to_map[k, 1] * py + to_map[k, 2] * pz + to_map[k, 3]
        hx, hy, hz = vx, vy, vz  # halfway vector for a soft highlight
        inverse = 1 / max(1e-6, np.sqrt(vx * vx + vy * vy + vz * vz))
        hx, hy, hz = vx * inverse + direction[0], vy * inverse + direction[1], vz * inverse + direction[2]
        inverse = 1 / max(1e-6, np.sqrt(hx * hx + hy * hy + hz * hz))
        s = max(0.0, (hx * x + hy * y + hz * z) * inverse)
        s = s * s
        s = s * s
        s = s * s
        out[i, 7] = s * s


@njit(cache=True, fastmath=True, inline="always")
def _free(nearest: np.ndarray, x: float, y: float, limit: float) -> int:
    """1 where nothing higher than ``limit`` is at a place of the shadow map, or beyond its edge."""
    u, v = int(x + 0.5), int(y + 0.5)
    if u < 0 or v < 0 or u >= nearest.shape[1] or v >= nearest.shape[0]:
        return 1
    return 1 if nearest[v, u] <= limit else 0


@njit(cache=True, fastmath=True, inline="always")
def lit(nearest: np.ndarray, x: float, y: float, height: float, spread: float, bias: float) -> float:
    """Share of the direct light that arrives: five looks into the shadow map around (x, y)."""
    limit, o = height + bias, 0.4 * spread
    free = _free(nearest, x, y, limit) + _free(nearest, x - spread, y + o, limit)
    free += _free(nearest, x + spread, y - o, limit) + _free(nearest, x + o, y + spread, limit)
    return (free + _free(nearest, x - o, y - spread, limit)) * 0.2


@njit(cache=True, fastmath=True, inline="always")
def bilinear(texels: np.ndarray, first: int, width: int, height: int, u: float, v: float) -> tuple[float, float, float]:
    """Colour of a repeating texture at (u, v), 0 to 1 each; v = 0 at the bottom row."""
    u, v = u - np.floor(u), 1.0 - (v - np.floor(v))
    x, y = u * width - 0.5, v * height - 0.5
    ix, iy = int(x + 1.0) - 1, int(y + 1.0) - 1  # floor, for x and y from -0.5 on; a division would cost more
    fx, fy = x - ix, y - iy
    x0, x1 = ix if ix >= 0 else width - 1, ix + 1 if ix + 1 < width else 0
    y0 = first + (iy if iy >= 0 else height - 1) * width
    y1 = first + (iy + 1 if iy + 1 < height else 0) * width
    a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    p, q, r, s = y0 + x0, y0 + x1, y1 + x0, y1 + x1  # elements one by one: views of rows would cost more
    scale = 1 / 255.0
    return (
        (a * texels[p, 0] + b * texels[q, 0] + c * texels[r, 0] + d * texels[s, 0]) * scale,
        (a * texels[p, 1] + b * texels[q, 1] + c * texels[r, 1] + d * texels[s, 1]) * scale,
        (a * texels[p, 2] + b * texels[q, 2] + c * texels[r, 2] + d * texels[s, 2]) * scale,
    )


@njit(cache=True, fastmath=True, inline="always")
def _surface(
    f: int, b: float, c: float, faces: np.ndarray, uv: np.ndarray, uv_index: np.ndarray, m: int, values: np.ndarray,
    picture: np.ndarray, pattern: np.ndarray, texels: np.ndarray, attributes: np.ndarray, nearest: np.ndarray,
    spread: float, bias: float, sun: np.ndarray,
) -> tuple[float, float, float]:  # fmt: skip
    """Linear colour of one spot of a face."""
    a = 1.0 - b - c
    p, q, r = uv_index[f, 0], uv_index[f, 1], uv_index[f, 2]
    u = a * uv[p, 0] + b * uv[q, 0] + c * uv[r, 0]
    v = a * uv[p, 1] + b * uv[q, 1] + c * uv[r, 1]
    red, green, blue = bilinear(texels, picture[m, 0], picture[m, 1], picture[m, 2], u, v)
    if values[m, 0] > 0:
        light = 0.35 + 0.65 * (red + green + blue) / (3 * values[m, 4])
        red, green, blue = light * values[m, 1], light * values[m, 2], light * values[m, 3]
        if pattern[m, 0] >= 0:
            x, y, z = bilinear(
                texels, pattern[m, 0], pattern[m, 1], pattern[m, 2], u * _PATTERN_REPEATS, v * _PATTERN_REPEATS
            )
            red, green, blue = light * x, light * y, light * z
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    direct = a * attributes[i, 3] + b * attributes[j, 3] + c * attributes[k, 3]
    if direct > 0:
        direct *= lit(
            nearest, a * attributes[i, 4] + b * attributes[j, 4] + c * attributes[k, 4], a * attributes[i, 5] + b * attributes[j, 5] + c * attributes[k, 5], a * attributes[i, 6] + b * attributes[j, 6] + c * attributes[k, 6],
            spread, bias,
        )  # fmt: skip
    shine = values[m, 5] * (a * attributes[i, 7] + b * attributes[j, 7] + c * attributes[k, 7]) * (0.3 + direct)
    red = (
        red * red * (a * attributes[i, 0] + b * attributes[j, 0] + c * attributes[k, 0] + direct * sun[0])
        + shine * sun[0]
    )
    green = (
        green * green * (a * attributes[i, 1] + b * attributes[j, 1] + c * attributes[k, 1] + direct * sun[1])
        + shine * sun[1]
    )
    blue = (
        blue * blue * (a * attributes[i, 2] + b * attributes[j, 2] + c * attributes[k, 2] + direct * sun[2])
        + shine * sun[2]
    )
    return red, green, blue


@njit(cache=True, fastmath=True)
def resolve(
    owner: np.ndarray, spot: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_index: np.ndarray,
    material: np.ndarray, values: np.ndarray, picture: np.ndarray, pattern: np.ndarray, texels: np.ndarray,
    attributes: np.ndarray, nearest: np.ndarray, spread: float, bias: float, sun: np.ndarray, image: np.ndarray,
) -> None:  # fmt: skip
    """Colour every pixel whose samples see a face: mean over its samples, the background where they see none.

    Samples of one pixel that see the same material of the same mesh are shaded once, where the first of them is.

    Args:
        owner: int32 (H * s, W * s), s samples a pixel and side, as written by ``fill``.
        spot: float32 (H * s, W * s, 2), as written by ``fill``.
        faces: int32 (F, 3).
        uv: float32 (U, 2).
        uv_index: int32 (F, 3).
        material: int32 (F,).
        values: float32 (M, 8) of ``meshes.Joined``.
        picture: int64 (M, 3), first texel, width and height of the materials' textures.
        pattern: int64 (M, 3), the same for their cloth patterns, -1 = none.
        texels: uint8 (T, 4).
        attributes: float32 (N, 8) of ``light_vertices``.
        nearest: float32 (S, S), shadow map; ``spread`` and ``bias`` as for ``lit``.
        spread: See ``nearest``.
        bias: See ``nearest``.
        sun: float32 (3,), direct colour.
        image: float32 (H, W, 3), holds the background; written.
    """
    height, width = image.shape[:2]
    s = owner.shape[0] // height
    share = np.float32(1 / (s * s))
    done = np.empty(s * s, np.bool_)
    for y in range(height):
        for x in range(width):
            background, red, green, blue = 0, 0.0, 0.0, 0.0
            for k in range(s * s):
                done[k] = False
            for k in range(s * s):
                if done[k]:
                    continue
                j, i = y * s + k // s, x * s + k % s
                f = owner[j, i]
                if f == EMPTY:
                    background += 1
                    continue
                m, count = material[f], 1
                for other in range(k + 1, s * s):
                    g = owner[y * s + other // s, x * s + other % s]
                    if g != EMPTY and material[g] == m:
                        done[other] = True
                        count += 1
                one = _surface(
                    f, spot[j, i, 0], spot[j, i, 1], faces, uv, uv_index, m, values, picture, pattern, texels,
                    attributes, nearest, spread, bias, sun,
                )  # fmt: skip
                red += count * one[0]
                green += count * one[1]
                blue += count * one[2]
            if background < s * s:
                image[y, x, 0] = (background * image[y, x, 0] + red) * share
                image[y, x, 1] = (background * image[y, x, 1] + green) * share
                image[y, x, 2] = (background * image[y, x, 2] + blue) * share


@njit(cache=True)
def partly_empty(owner: np.ndarray, unseen: np.ndarray) -> None:
    """Pixels (H, W) of which at least one sample sees no face; ``owner`` int32 (H * s, W * s)."""
    s = owner.shape[0] // unseen.shape[0]
    for y in range(unseen.shape[0]):
        for x in range(unseen.shape[1]):
            empty = False
            for k in range(s * s):
                empty = empty or owner[y * s + k // s, x * s + k % s] == EMPTY
            unseen[y, x] = empty
