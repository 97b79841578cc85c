"""Compiled rasteriser: triangles into a z-buffer that keeps the face of every sample.

Shading comes later and only for what is seen (``shading.py``). Screen coordinates are those of the sample grid:
sample (i, j) of a picture drawn at ``scale`` samples a pixel lies at pixel ((i + 0.5) / scale - 0.5, ...).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

#: Nothing nearer than this is drawn [m].
NEAR_M = 0.05
EMPTY = -1


@njit(cache=True, fastmath=True)
def to_screen(
    vertices: np.ndarray, rotation: np.ndarray, centre: np.ndarray, pinhole: np.ndarray, out: np.ndarray
) -> None:
    """World vertices (N, 3) -> (N, 5): sample x, y, 1/z (0 = behind), and camera x * fx, y * fy scaled as (x, y) * z.

    Args:
        vertices: float32 (N, 3) [m].
        rotation: World to camera axes (3, 3).
        centre: Place of the camera (3,) [m].
        pinhole: fx, fy, cx, cy of the sample grid.
        out: float32 (N, 6): x, y, 1/z, x*z, y*z, z.
    """
    fx, fy, cx, cy = pinhole[0], pinhole[1], pinhole[2], pinhole[3]
    for i in range(len(vertices)):
        dx, dy, dz = vertices[i, 0] - centre[0], vertices[i, 1] - centre[1], vertices[i, 2] - centre[2]
        x = rotation[0, 0] * dx + rotation[0, 1] * dy + rotation[0, 2] * dz
        y = rotation[1, 0] * dx + rotation[1, 1] * dy + rotation[1, 2] * dz
        z = rotation[2, 0] * dx + rotation[2, 1] * dy + rotation[2, 2] * dz
        u, v = fx * x + cx * z, fy * y + cy * z
        out[i, 3], out[i, 4], out[i, 5] = u, v, z
        if z > NEAR_M:
            out[i, 0], out[i, 1], out[i, 2] = u / z, v / z, 1 / z
        else:
            out[i, 0], out[i, 1], out[i, 2] = 0, 0, 0


@njit(cache=True, fastmath=True)
def _opaque(
    texels: np.ndarray, first: int, width: int, height: int, uv: np.ndarray, uv_index: np.ndarray, f: int, b: float,
    c: float,
) -> bool:  # fmt: skip
    """Alpha test at one half on the nearest texel."""
    a, i, j, k = 1.0 - b - c, uv_index[f, 0], uv_index[f, 1], uv_index[f, 2]
    u = a * uv[i, 0] + b * uv[j, 0] + c * uv[k, 0]
    v = a * uv[i, 1] + b * uv[j, 1] + c * uv[k, 1]
    x = int(np.floor(u * width)) % width
    y = int(np.floor((1.0 - v) * height)) % height
    return texels[first + y * width + x, 3] >= 128


@njit(cache=True, fastmath=True)
def _clip(weight: Any, step: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Where in low .. high a weight that grows by ``step`` is not negative (high < low: nowhere)."""
    if step > 0:
        return max(low, -weight / step), high
    if step < 0:
        return low, min(high, -weight / step)
    return low, high if weight >= 0 else low - np.float32(1)


@njit(cache=True, fastmath=True)
def fill(
    screen: np.ndarray, faces: np.ndarray, material: np.ndarray, uv: np.ndarray, uv_index: np.ndarray,
    cull: np.ndarray, alpha: np.ndarray, bias: np.ndarray, picture: np.ndarray, texels: np.ndarray,
    inv_depth: np.ndarray, owner: np.ndarray,
) -> None:  # fmt: skip
    """Draw all faces that are wholly in front of the camera into the buffers.

    The samples of a row are found by arithmetic, not by trying each: a wrong guess at every edge costs more. It is
    one function, since handing over this many arrays for each face would cost as much as drawing it.

    Args:
        screen: float32 (N, 6) of ``to_screen``.
        faces: int32 (F, 3).
        material: int32 (F,), row in the tables of materials.
        uv: float32 (U, 2) texture coordinates, and ``uv_index`` int32 (F, 3) the faces' corners in it.
        uv_index: See ``uv``.
        cull: bool (M,), leave out faces seen from behind.
        alpha: bool (M,), the texture's alpha decides.
        bias: float32 (M,), how far the material is drawn in front of its place, so that outer clothes win [m].
        picture: int64 (M, 3), first texel, width and height of the materials' textures.
        texels: uint8 (T, 4).
        inv_depth: float32 (H, W), 1/z, 0 = empty; written.
        owner: int32 (H, W), face seen, EMPTY = none; written.
    """
    height, width = inv_depth.shape
    one = np.float32(1)  # a plain 1 would make double precision of it all
    for f in range(len(faces)):
        ia, ib, ic, m = faces[f, 0], faces[f, 1], faces[f, 2], material[f]
        za, zb, zc = screen[ia, 2], screen[ib, 2], screen[ic, 2]
        if za == 0 or zb == 0 or zc == 0:
            continue
        ax, ay = screen[ia, 0], screen[ia, 1]
        bx, by, cx, cy = screen[ib, 0], screen[ib, 1], screen[ic, 0], screen[ic, 1]
        x0, x1 = max(0, int(np.ceil(min(ax, bx, cx)))), min(width - 1, int(np.floor(max(ax, bx, cx))))
        y0, y1 = max(0, int(np.ceil(min(ay, by, cy)))), min(height - 1, int(np.floor(max(ay, by, cy))))
        bx, by, cx, cy = bx - ax, by - ay, cx - ax, cy - ay
        area = bx * cy - cx * by
        # y points down: what faces the camera turns the other way
        if x1 < x0 or y1 < y0 or abs(area) < 1e-9 or (cull[m] and area > 0):
            continue
        inverse, left, over = one / area, np.float32(x0) - ax, np.float32(x1 - x0)
        bdx, bdy, cdx, cdy = cy * inverse, -cx * inverse, -by * inverse, bx * inverse
        zdb, zdc = zb - za, zc - za
        zdx, front, tested = zdb * bdx + zdc * cdx, bias[m], alpha[m]
        for y in range(y0, y1 + 1):
            down = np.float32(y) - ay
            wb0, wc0 = left * bdx + down * bdy, left * cdx + down * cdy
            low, last = _clip(wb0, bdx, np.float32(0), over)
            low, last = _clip(wc0, cdx, low, last)
            low, last = _clip(one - wb0 - wc0, -bdx - cdx, low, last)
            iz0 = za + wb0 * zdb + wc0 * zdc
            for k in range(int(np.ceil(low)), int(np.floor(last)) + 1):
                n, x = np.float32(k), x0 + k
                iz = iz0 + n * zdx
                near = iz * (one + front * iz)
                if near <= inv_depth[y, x]:
                    continue
                if tested:
                    b, c = (wb0 + n * bdx) * zb / iz, (wc0 + n * cdx) * zc / iz
                    if not _opaque(texels, picture[m, 0], picture[m, 1], picture[m, 2], uv, uv_index, f, b, c):
                        continue
                inv_depth[y, x], owner[y, x] = near, f


@njit(cache=True, fastmath=True)
def fill_crossing(screen: np.ndarray, faces: np.ndarray, inv_depth: np.ndarray, owner: np.ndarray) -> None:
    """Draw the faces that are partly behind the camera; arguments as for ``fill``."""
    for f in range(len(faces)):
        za, zb, zc = screen[faces[f, 0], 2], screen[faces[f, 1], 2], screen[faces[f, 2], 2]
        if (za == 0 or zb == 0 or zc == 0) and (za > 0 or zb > 0 or zc > 0):
            _fill_crossing(screen, faces[f], f, inv_depth, owner)


@njit(cache=True, fastmath=True)
def _crossing_box(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[float, float, float, float]:
    """Least and largest sample x and y of the part of a face that lies in front of the near plane, kept in +-1e6."""
    x0, x1, y0, y1 = 1e6, -1e6, 1e6, -1e6
    corners = (a, b, c)
    for k in range(3):
        p, q = corners[k], corners[(k + 1) % 3]
        if (p[2] > NEAR_M) != (q[2] > NEAR_M):
            t = (NEAR_M - p[2]) / (q[2] - p[2])
            u, v = (p[0] + t * (q[0] - p[0])) / NEAR_M, (p[1] + t * (q[1] - p[1])) / NEAR_M
            x0, x1, y0, y1 = min(x0, u), max(x1, u), min(y0, v), max(y1, v)
        if p[2] > NEAR_M:
            u, v = p[0] / p[2], p[1] / p[2]
            x0, x1, y0, y1 = min(x0, u), max(x1, u), min(y0, v), max(y1, v)
    return max(x0, -1e6), min(x1, 1e6), max(y0, -1e6), min(y1, 1e6)


@njit(cache=True, fastmath=True)
def _edges(a: np.ndarray, b: np.ndarray, c: np.ndarray, out: np.ndarray) -> float:
    """Edge functions of a face: rows (3, 3) that times a sample (x, y, 1) give a corner's weight over depth; volume."""
    corners = (a, b, c)
    for n in range(3):
        p, q = corners[(n + 1) % 3], corners[(n + 2) % 3]
        for k in range(3):
            i, j = (k + 1) % 3, (k + 2) % 3
            out[n, k] = float(p[i]) * q[j] - float(p[j]) * q[i]
    return a[0] * out[0, 0] + a[1] * out[0, 1] + a[2] * out[0, 2]


@njit(cache=True, fastmath=True)
def _fill_crossing(screen: np.ndarray, face: np.ndarray, f: int, inv_depth: np.ndarray, owner: np.ndarray) -> None:
    """A face partly behind the camera: weights from the rays through the samples, no division by z needed."""
    height, width = inv_depth.shape
    a, b, c = screen[face[0], 3:6], screen[face[1], 3:6], screen[face[2], 3:6]
    edge = np.empty((3, 3))
    volume = _edges(a, b, c, edge)
    if abs(volume) < 1e-12:
        return
    edge /= volume
    x0, x1, y0, y1 = _crossing_box(a, b, c)
    for y in range(max(0, int(y0)), min(height - 1, int(y1) + 1) + 1):
        for x in range(max(0, int(x0)), min(width - 1, int(x1) + 1) + 1):
            wa = edge[0, 0] * x + edge[0, 1] * y + edge[0, 2]
            wb = edge[1, 0] * x + edge[1, 1] * y + edge[1, 2]
            wc = edge[2, 0] * x + edge[2, 1] * y + edge[2, 2]
            iz = wa + wb + wc
            if wa < 0 or wb < 0 or wc < 0 or iz <= inv_depth[y, x] or iz > 1 / NEAR_M:
                continue
            inv_depth[y, x] = iz
            owner[y, x] = f


@njit(cache=True, fastmath=True)
def locate(unit: np.ndarray, screen: np.ndarray, faces: np.ndarray, place: np.ndarray, needed: np.ndarray) -> None:
    """Where on their faces samples lie, and which vertices they need.

    Args:
        unit: int32 (K, 4), sample y, sample x, face and a count.
        screen: float32 (N, 6) of ``to_screen``.
        faces: int32 (F, 3).
        place: float32 (K, 2), weights of the face's second and third corner; written.
        needed: bool (N,), set for the corners of the faces.
    """
    edge = np.empty((3, 3))
    for row in range(len(unit)):
        y, x, f = float(unit[row, 0]), float(unit[row, 1]), unit[row, 2]
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        needed[i] = needed[j] = needed[k] = True
        za, zb, zc = screen[i, 2], screen[j, 2], screen[k, 2]
        if za == 0 or zb == 0 or zc == 0:
            volume = _edges(screen[i, 3:6], screen[j, 3:6], screen[k, 3:6], edge)
            wb = (edge[1, 0] * x + edge[1, 1] * y + edge[1, 2]) / volume
            wc = (edge[2, 0] * x + edge[2, 1] * y + edge[2, 2]) / volume
            iz = (edge[0, 0] * x + edge[0, 1] * y + edge[0, 2]) / volume + wb + wc
        else:
            ax, ay = float(screen[i, 0]), float(screen[i, 1])
            bx, by, cx, cy = screen[j, 0] - ax, screen[j, 1] - ay, screen[k, 0] - ax, screen[k, 1] - ay
            x, y, inverse = x - ax, y - ay, 1 / (bx * cy - cx * by)
            wb, wc = (x * cy - y * cx) * inverse, (bx * y - by * x) * inverse
            iz = za + wb * (zb - za) + wc * (zc - za)
            wb, wc = wb * zb, wc * zc
        place[row, 0], place[row, 1] = wb / iz, wc / iz


@njit(cache=True, fastmath=True)
def turned_bounds(vertices: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest coordinates (3,) of vertices (N, 3) along the rows of ``frame`` (3, 3)."""
    low, high = np.full(3, 1e30, np.float32), np.full(3, -1e30, np.float32)
    for k in range(3):
        a, b, c = np.float32(frame[k, 0]), np.float32(frame[k, 1]), np.float32(frame[k, 2])
        least, most = np.float32(1e30), np.float32(-1e30)
        for i in range(len(vertices)):
            value = a * vertices[i, 0] + b * vertices[i, 1] + c * vertices[i, 2]
            least, most = min(least, value), max(most, value)
        low[k], high[k] = least, most
    return low, high


@njit(cache=True, fastmath=True)
def to_light(vertices: np.ndarray, to_map: np.ndarray) -> np.ndarray:
    """World vertices (N, 3) -> shadow map x, y [texels] and height, float32 (N, 3); ``to_map`` float32 (3, 4)."""
    out = np.empty_like(vertices)
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(3):
            out[i, k] = to_map[k, 0] * x + to_map[k, 1] * y + to_map[k, 2] * z + to_map[k, 3]
    return out


@njit(cache=True, fastmath=True)
def fill_shadow(light: np.ndarray, faces: np.ndarray, nearest: np.ndarray) -> None:
    """Height towards the light of the topmost surface: light (N, 3) texel x, y and height -> ``nearest`` (S, S)."""
    height, width = nearest.shape
    one = np.float32(1)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, top = light[i, 0], light[i, 1], light[i, 2]
        bx, by, cx, cy = light[j, 0], light[j, 1], light[k, 0], light[k, 1]
        x0, x1 = max(0, int(np.ceil(min(ax, bx, cx)))), min(width - 1, int(np.floor(max(ax, bx, cx))))
        y0, y1 = max(0, int(np.ceil(min(ay, by, cy)))), min(height - 1, int(np.floor(max(ay, by, cy))))
        bx, by, cx, cy = bx - ax, by - ay, cx - ax, cy - ay
        area = bx * cy - cx * by
        if abs(area) < 1e-9:
            continue
        inverse, left, over = one / area, np.float32(x0) - ax, np.float32(x1 - x0)
        up_b, up_c = light[j, 2] - top, light[k, 2] - top
        bdx, bdy, cdx, cdy = cy * inverse, -cx * inverse, -by * inverse, bx * inverse
        for y in range(y0, y1 + 1):
            down = np.float32(y) - ay
            wb0, wc0 = left * bdx + down * bdy, left * cdx + down * cdy
            low, last = _clip(wb0, bdx, np.float32(0), over)
            low, last = _clip(wc0, cdx, low, last)
            low, last = _clip(one - wb0 - wc0, -bdx - cdx, low, last)
            start, step = top + wb0 * up_b + wc0 * up_c, bdx * up_b + cdx * up_c
            for n in range(int(np.ceil(low)), int(np.floor(last)) + 1):
                nearest[y, x0 + n] = max(nearest[y, x0 + n], start + np.float32(n) * step)


@njit(cache=True, fastmath=True)
def vertex_normals(vertices: np.ndarray, faces: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3) of the ``needed`` (N,) vertices, the faces' normals weighted by area; other rows are void."""
    normals = np.zeros_like(vertices)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if not (needed[a] or needed[b] or needed[c]):
            continue
        ex, ey, ez = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        gx, gy, gz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = ey * gz - ez * gy, ez * gx - ex * gz, ex * gy - ey * gx
        for i in (a, b, c):
            normals[i, 0] += x
            normals[i, 1] += y
            normals[i, 2] += z
    for i in range(len(normals)):
        if needed[i]:
            x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
            scale = 1 / max(np.float32(1e-12), np.sqrt(x * x + y * y + z * z))
            normals[i, 0], normals[i, 1], normals[i, 2] = x * scale, y * scale, z * scale
    return normals


@njit(cache=True)
def bounds(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest coordinates (3,) of vertices (N, 3)."""
    low, high = np.full(3, np.inf, np.float32), np.full(3, -np.inf, np.float32)
    for i in range(len(vertices)):
        for k in range(3):
            low[k], high[k] = min(low[k], vertices[i, k]), max(high[k], vertices[i, k])
    return low, high


@njit(cache=True)
def count_samples(ident: np.ndarray, out: np.ndarray) -> None:
    """Samples of each person: ``out`` (P,), 0 before."""
    for y in range(ident.shape[0]):
        for x in range(ident.shape[1]):
            k = ident[y, x]
            if k >= 0:
                out[k] += 1
