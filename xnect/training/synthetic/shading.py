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
    to_map: np.ndarray, needed: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Per ``needed`` (N,) vertex: ambient colour, share of direct light, place in the shadow map -> out (N, 8).

    Normals that point away from the camera are turned round: sheets are seen from both sides.
    """
    for i in range(len(vertices)):
        if not needed[i]:
            continue
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


@njit(cache=True, fastmath=True)
def _free(nearest: np.ndarray, x: float, y: float, limit: float) -> int:
    """1 where nothing higher than ``limit`` is at a place of the shadow map, or beyond its edge."""
    u, v = int(x + 0.5), int(y + 0.5)
    if u < 0 or v < 0 or u >= nearest.shape[1] or v >= nearest.shape[0]:
        return 1
    return 1 if nearest[v, u] <= limit else 0


@njit(cache=True, fastmath=True)
def lit(nearest: np.ndarray, x: float, y: float, height: float, spread: float, bias: float) -> float:
    """Share of the direct light that arrives: five looks into the shadow map around (x, y)."""
    limit, o = height + bias, 0.4 * spread
    free = _free(nearest, x, y, limit) + _free(nearest, x - spread, y + o, limit)
    free += _free(nearest, x + spread, y - o, limit) + _free(nearest, x + o, y + spread, limit)
    return (free + _free(nearest, x - o, y - spread, limit)) * 0.2


@njit(cache=True, fastmath=True)
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


@njit(cache=True)
def _mixed(
    owner: np.ndarray, material: np.ndarray, face_ident: np.ndarray, y: int, x: int, s: int, met: np.ndarray,
    unit: np.ndarray, ident: np.ndarray, rows: int,
) -> tuple[int, int]:  # fmt: skip
    """``group_samples`` for one pixel, whose first sample is (y, x): samples that see no face, and rows so far."""
    first, missed = rows, 0
    for j in range(y, y + s):
        for i in range(x, x + s):
            f = owner[j, i]
            if f == EMPTY:
                ident[j, i] = -1
                missed += 1
                continue
            ident[j, i], m, row = face_ident[f], material[f], first
            while row < rows and met[row - first] != m:
                row += 1
            if row < rows:
                unit[row, 3] += 1
                continue
            met[row - first] = m
            unit[row, 0], unit[row, 1], unit[row, 2], unit[row, 3] = j, i, f, 1
            rows += 1
    return missed, rows


@njit(cache=True)
def group_samples(
    owner: np.ndarray, material: np.ndarray, face_ident: np.ndarray, empty: np.ndarray, unit: np.ndarray,
    ident: np.ndarray,
) -> int:  # fmt: skip
    """Collect what has to be shaded: the samples of a pixel that see one material of one mesh, together.

    Args:
        owner: int32 (H * s, W * s), s samples a pixel and side, as written by ``fill``.
        material: int32 (F,).
        face_ident: int16 (F,), number of the person, -1 = a thing.
        empty: int32 (H, W), written: samples that see no face.
        unit: int32 (H * W * s * s, 4), written: y and x of the first sample, its face and the number of samples.
        ident: int16 (H * s, W * s), written: number of the person at each sample, -1 = a thing or nothing.

    Returns:
        Number of rows written.
    """
    height, width = empty.shape
    s = owner.shape[0] // height
    met, rows = np.empty(s * s, np.int32), 0
    for y in range(height):
        for x in range(width):
            one, others = owner[y * s, x * s], 0
            for j in range(y * s, y * s + s):
                for i in range(x * s, x * s + s):
                    others |= owner[j, i] ^ one
            if others == 0:  # most pixels: nothing there, or a single face
                who = np.int16(-1) if one == EMPTY else face_ident[one]
                for j in range(y * s, y * s + s):
                    for i in range(x * s, x * s + s):
                        ident[j, i] = who
                empty[y, x] = s * s if one == EMPTY else 0
                if one != EMPTY:
                    unit[rows, 0], unit[rows, 1], unit[rows, 2], unit[rows, 3] = y * s, x * s, one, s * s
                    rows += 1
                continue
            empty[y, x], rows = _mixed(owner, material, face_ident, y * s, x * s, s, met, unit, ident, rows)
    return rows


@njit(cache=True)
def dim(image: np.ndarray, empty: np.ndarray, samples: int) -> None:
    """Background (H, W, 3) times the share of a pixel's samples that see it; ``empty`` (H, W) of ``group_samples``."""
    for y in range(empty.shape[0]):
        for x in range(empty.shape[1]):
            if 0 < empty[y, x] < samples:
                share = np.float32(empty[y, x] / samples)
                for k in range(3):
                    image[y, x, k] *= share


@njit(cache=True, fastmath=True)
def shade(
    unit: np.ndarray, place: np.ndarray, scale: int, faces: np.ndarray, uv: np.ndarray, uv_index: np.ndarray,
    material: np.ndarray, values: np.ndarray, picture: np.ndarray, pattern: np.ndarray, texels: np.ndarray,
    attributes: np.ndarray, nearest: np.ndarray, spread: float, bias: float, sun: np.ndarray, image: np.ndarray,
) -> None:  # fmt: skip
    """Add the colours of what ``group_samples`` collected to the picture.

    Args:
        unit: int32 (K, 4), sample y and x, face and number of samples.
        place: float32 (K, 2), weights of the face's second and third corner.
        scale: Samples a pixel and side.
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
        image: float32 (H, W, 3), linear; written.
    """
    here, share = np.empty(8, np.float32), np.float32(1 / scale**2)
    for row in range(len(unit)):
        f, b, c = unit[row, 2], place[row, 0], place[row, 1]
        a, m = np.float32(1) - b - c, material[f]
        p, q, r = uv_index[f, 0], uv_index[f, 1], uv_index[f, 2]
        u = a * uv[p, 0] + b * uv[q, 0] + c * uv[r, 0]
        v = a * uv[p, 1] + b * uv[q, 1] + c * uv[r, 1]
        red, green, blue = bilinear(texels, picture[m, 0], picture[m, 1], picture[m, 2], u, v)
        if values[m, 0] > 0:
            light = 0.35 + 0.65 * (red + green + blue) / (3 * values[m, 4])
            red, green, blue = light * values[m, 1], light * values[m, 2], light * values[m, 3]
            if pattern[m, 0] >= 0:
                repeats = _PATTERN_REPEATS
                red, green, blue = bilinear(
                    texels, pattern[m, 0], pattern[m, 1], pattern[m, 2], u * repeats, v * repeats
                )
                red, green, blue = light * red, light * green, light * blue
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        for n in range(8):
            here[n] = a * attributes[i, n] + b * attributes[j, n] + c * attributes[k, n]
        direct = here[3]
        if direct > 0:
            direct *= lit(nearest, here[4], here[5], here[6], spread, bias)
        shine = values[m, 5] * here[7] * (0.3 + direct)
        y, x, weight = unit[row, 0] // scale, unit[row, 1] // scale, share * unit[row, 3]
        image[y, x, 0] += weight * (red * red * (here[0] + direct * sun[0]) + shine * sun[0])
        image[y, x, 1] += weight * (green * green * (here[1] + direct * sun[1]) + shine * sun[1])
        image[y, x, 2] += weight * (blue * blue * (here[2] + direct * sun[2]) + shine * sun[2])
