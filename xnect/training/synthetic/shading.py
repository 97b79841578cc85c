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
def lit(nearest: np.ndarray, x: float, y: float, height: float, spread: float, bias: float) -> float:
    """Share of the direct light that arrives: nine looks into the shadow map around (x, y)."""
    size = nearest.shape[0]
    free = 0
    for j in range(-1, 2):
        for i in range(-1, 2):
            u, v = int(x + i * spread + 0.5), int(y + j * spread + 0.5)
            if u < 0 or v < 0 or u >= size or v >= size or nearest[v, u] <= height + bias:
                free += 1
    return free / 9.0


@njit(cache=True, fastmath=True, inline="always")
def bilinear(texels: np.ndarray, first: int, width: int, height: int, u: float, v: float) -> tuple[float, float, float]:
    """Colour of a repeating texture at (u, v), 0 to 1 each; v = 0 at the bottom row."""
    x, y = u * width - 0.5, (1.0 - v) * height - 0.5
    ix, iy = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - ix, y - iy
    x0, x1 = ix % width, (ix + 1) % width
    y0, y1 = first + iy % height * width, first + (iy + 1) % height * width
    a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    p, q, r, s = texels[y0 + x0], texels[y0 + x1], texels[y1 + x0], texels[y1 + x1]
    scale = 1 / 255.0
    return (
        (a * p[0] + b * q[0] + c * r[0] + d * s[0]) * scale,
        (a * p[1] + b * q[1] + c * r[1] + d * s[1]) * scale,
        (a * p[2] + b * q[2] + c * r[2] + d * s[2]) * scale,
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
    i, j, k = attributes[faces[f, 0]], attributes[faces[f, 1]], attributes[faces[f, 2]]
    direct = a * i[3] + b * j[3] + c * k[3]
    if direct > 0:
        direct *= lit(
            nearest, a * i[4] + b * j[4] + c * k[4], a * i[5] + b * j[5] + c * k[5], a * i[6] + b * j[6] + c * k[6],
            spread, bias,
        )  # fmt: skip
    shine = values[m, 5] * (a * i[7] + b * j[7] + c * k[7]) * (0.3 + direct)
    red = red * red * (a * i[0] + b * j[0] + c * k[0] + direct * sun[0]) + shine * sun[0]
    green = green * green * (a * i[1] + b * j[1] + c * k[1] + direct * sun[1]) + shine * sun[1]
    blue = blue * blue * (a * i[2] + b * j[2] + c * k[2] + direct * sun[2]) + shine * sun[2]
    return red, green, blue


@njit(cache=True, fastmath=True)
def resolve(
    owner: np.ndarray, spot: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_index: np.ndarray,
    material: np.ndarray, values: np.ndarray, picture: np.ndarray, pattern: np.ndarray, texels: np.ndarray,
    attributes: np.ndarray, nearest: np.ndarray, spread: float, bias: float, sun: np.ndarray, image: np.ndarray,
) -> None:  # fmt: skip
    """Colour every pixel whose samples see a face: mean over its samples, the background where they see none.

    Samples of one pixel that see the same face are shaded once, in their middle.

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
            done[:] = False
            for k in range(s * s):
                if done[k]:
                    continue
                f = owner[y * s + k // s, x * s + k % s]
                if f == EMPTY:
                    background += 1
                    continue
                b, c, count = 0.0, 0.0, 0
                for other in range(k, s * s):
                    j, i = y * s + other // s, x * s + other % s
                    if owner[j, i] == f:
                        done[other] = True
                        b += spot[j, i, 0]
                        c += spot[j, i, 1]
                        count += 1
                one = _surface(
                    f, b / count, c / count, faces, uv, uv_index, material[f], values, picture, pattern, texels,
                    attributes, nearest, spread, bias, sun,
                )  # fmt: skip
                red += count * one[0]
                green += count * one[1]
                blue += count * one[2]
            if background < s * s:
                image[y, x, 0] = (background * image[y, x, 0] + red) * share
                image[y, x, 1] = (background * image[y, x, 1] + green) * share
                image[y, x, 2] = (background * image[y, x, 2] + blue) * share
