"""Compiled backgrounds: a furnished room's walls, a panorama with its ground, a photo; shadows fall on all of them."""

from __future__ import annotations

import numpy as np
from numba import njit

from xnect.training.synthetic.shading import bilinear, lit


@njit(cache=True, fastmath=True)
def ground_occlusion(spheres: np.ndarray, corner: np.ndarray, step: float, out: np.ndarray) -> None:
    """Light from above that bodies keep from the ground: spheres (S, 4) x, y, z, radius -> out (G, G), 1 = free."""
    for j in range(out.shape[0]):
        z = corner[1] + j * step
        for i in range(out.shape[1]):
            x = corner[0] + i * step
            free = np.float32(1)
            for k in range(len(spheres)):
                dx, dy, dz, r = spheres[k, 0] - x, spheres[k, 1], spheres[k, 2] - z, spheres[k, 3]
                d2 = dx * dx + dy * dy + dz * dz
                if d2 < 36 * r * r:
                    d2 = max(d2, r * r)
                    free *= 1 - min(np.float32(0.85), r * r * max(dy, np.float32(0.3) * r) / (d2 * np.sqrt(d2)))
            out[j, i] = free


@njit(cache=True, fastmath=True)
def _occluded(occlusion: np.ndarray, corner: np.ndarray, step: float, x: float, z: float) -> float:
    """Bilinear look into ``ground_occlusion``'s map; 1 outside."""
    u, v = (x - corner[0]) / step, (z - corner[1]) / step
    i, j = int(np.floor(u)), int(np.floor(v))
    if i < 0 or j < 0 or i >= occlusion.shape[1] - 1 or j >= occlusion.shape[0] - 1:
        return 1.0
    a, b = u - i, v - j
    top = (1 - a) * occlusion[j, i] + a * occlusion[j, i + 1]
    return (1 - b) * top + b * ((1 - a) * occlusion[j + 1, i] + a * occlusion[j + 1, i + 1])


@njit(cache=True, fastmath=True)
def _arrives(
    to_map: np.ndarray, nearest: np.ndarray, spread: float, bias: float, x: float, y: float, z: float
) -> float:
    """Share of the direct light at a world point."""
    return lit(
        nearest,
        to_map[0, 0] * x + to_map[0, 1] * y + to_map[0, 2] * z + to_map[0, 3],
        to_map[1, 0] * x + to_map[1, 1] * y + to_map[1, 2] * z + to_map[1, 3],
        to_map[2, 0] * x + to_map[2, 1] * y + to_map[2, 2] * z + to_map[2, 3],
        spread, bias,
    )  # fmt: skip


@njit(cache=True, fastmath=True)
def _sunlit(to_map: np.ndarray, nearest: np.ndarray, spread: float, bias: float, p: np.ndarray, falls: float) -> float:
    """As ``_arrives``, without a look where no direct light ``falls`` on the side at all."""
    return _arrives(to_map, nearest, spread, bias, p[0], p[1], p[2]) if falls > 0 else 0.0


@njit(cache=True, fastmath=True)
def _leaves_box(eye: np.ndarray, d: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, int]:
    """How far along a ray from inside a box its wall is, and the axis that the wall is across."""
    best, axis = 1e30, 0
    for k in range(3):
        if abs(d[k]) > 1e-9:
            t = ((high[k] if d[k] > 0 else low[k]) - eye[k]) / d[k]
            if t < best:
                best, axis = t, k
    return best, axis


@njit(cache=True, fastmath=True)
def _panel_at(panels: np.ndarray, side: int, u: float, v: float) -> tuple[int, float, float, float]:
    """The panel at a place of a wall (-1 = none), where on it (0 to 1 each), and how far from its rim [m]."""
    for n in range(len(panels)):
        if int(panels[n, 0]) == side and panels[n, 1] < u < panels[n, 2] and panels[n, 3] < v < panels[n, 4]:
            rim = min(min(u - panels[n, 1], panels[n, 2] - u), min(v - panels[n, 3], panels[n, 4] - v))
            a = (u - panels[n, 1]) / (panels[n, 2] - panels[n, 1])
            return n, a, (v - panels[n, 3]) / (panels[n, 4] - panels[n, 3]), rim
    return -1, 0.0, 0.0, 0.0


@njit(cache=True, fastmath=True)
def _panel_colour(
    panels: np.ndarray, levels: np.ndarray, n: int, texels: np.ndarray, a: float, b: float, rim: float
) -> tuple[float, float, float, float]:
    """Colour and own light of a spot of a panel: its picture, or the white frame with a dark edge."""
    if rim < panels[n, 6]:
        grey = 0.8 - 0.5 * (rim < 0.25 * panels[n, 6])
        return grey, grey, grey, 0.0
    red, green, blue = bilinear(texels, levels[n, 0], levels[n, 1], levels[n, 2], a, b)
    return red, green, blue, panels[n, 5]


@njit(cache=True, fastmath=True)
def _corner_light(p: np.ndarray, low: np.ndarray, high: np.ndarray, axis: int) -> float:
    """Rooms are darker where two walls meet."""
    light = 1.0
    for k in range(3):
        if k != axis:
            near = min(p[k] - low[k], high[k] - p[k]) / 0.4
            light *= 1 - 0.3 / (1 + near + near * near * near)
    return light


@njit(cache=True, fastmath=True)
def _level(levels: np.ndarray, row: int, footprint: float) -> int:
    """The mip level of a texture with about one texel for a footprint given in its repeats."""
    level, size = 0, levels[row, 0, 1] * footprint
    while size > 1.4 and level < levels.shape[1] - 1:
        size *= 0.5
        level += 1
    return level


@njit(cache=True, fastmath=True)
def _wall_axes(p: np.ndarray, axis: int) -> tuple[float, float]:
    """Coordinates of a point along the wall across ``axis``."""
    if axis == 0:
        return p[2], p[1]
    if axis == 1:
        return p[0], p[2]
    return p[0], p[1]


@njit(cache=True, fastmath=True)
def paint_room(
    image: np.ndarray, unseen: np.ndarray, ray: np.ndarray, eye: np.ndarray, low: np.ndarray, high: np.ndarray,
    levels: np.ndarray, tints: np.ndarray, repeat: np.ndarray, light: np.ndarray, direct: np.ndarray, sun: np.ndarray,
    panels: np.ndarray, panel_levels: np.ndarray, texels: np.ndarray, to_map: np.ndarray, nearest: np.ndarray,
    spread: float, bias: float, occlusion: np.ndarray, corner: np.ndarray, step: float,
) -> None:  # fmt: skip
    """A box seen from inside.

    Colours are looked up at every pixel; light, shadow and the textures' level at every second one of a row.

    Args:
        image: float32 (H, W, 3), linear; written where ``unseen``.
        unseen: bool (H, W), pixels that no face covers wholly.
        ray: float64 (3, 3), pixel (x, y, 1) -> direction in the world.
        eye: Place of the camera (3,).
        low: Corner of the box with the least coordinates (3,) and ``high`` the other one.
        high: See ``low``.
        levels: int64 (6, L, 3), mip levels of the sides' textures; sides in the order -x, +x, -y, +y, -z, +z.
        tints: float32 (6, 3), colour times the texture.
        repeat: float32 (6,), texture repeats a metre.
        light: float32 (6, 3), ambient light of the sides; ``direct`` float32 (6,), cosine to the direct source.
        direct: See ``light``.
        sun: float32 (3,), direct colour.
        panels: float32 (N, 7): side, u0, u1, v0, v1 [m], own light, frame width [m]: pictures, windows, doors.
        panel_levels: int64 (N, 3), level of the panels' textures.
        texels: uint8 (T, 4).
        to_map: float32 (3, 4), world to shadow map; ``nearest``, ``spread``, ``bias`` as for ``lit``.
        nearest: See ``to_map``.
        spread: See ``to_map``.
        bias: See ``to_map``.
        occlusion: float32 (G, G) of ``ground_occlusion`` with its ``corner`` and ``step``.
        corner: See ``occlusion``.
        step: See ``occlusion``.
    """
    height, width = unseen.shape
    across = np.sqrt(ray[0, 0] ** 2 + ray[1, 0] ** 2 + ray[2, 0] ** 2)  # size of a pixel at distance 1
    d, p = np.empty(3), np.empty(3)
    k, red_light, green_light, blue_light = 0, 0.0, 0.0, 0.0
    for y in range(height):
        known = -1  # the side that level and light were last worked out for
        for x in range(width):
            if not unseen[y, x]:
                known = -1
                continue
            for n in range(3):
                d[n] = ray[n, 0] * x + ray[n, 1] * y + ray[n, 2]
            best, axis = _leaves_box(eye, d, low, high)
            side = 2 * axis + (1 if d[axis] > 0 else 0)
            for n in range(3):
                p[n] = eye[n] + best * d[n]
            u, v = _wall_axes(p, axis)
            if side != known or x % 2 == 0:
                known = side
                length = np.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
                footprint = best * across * np.sqrt(length / max(abs(d[axis]), 0.05)) * repeat[side]
                k = _level(levels, side, footprint)
                open_, falls = _corner_light(p, low, high, axis), direct[side]
                open_ *= _occluded(occlusion, corner, step, p[0], p[2]) if side == 2 else 1.0
                falls *= _sunlit(to_map, nearest, spread, bias, p, falls) * (0.5 + 0.5 * open_)
                red_light = light[side, 0] * open_ + falls * sun[0]
                green_light = light[side, 1] * open_ + falls * sun[1]
                blue_light = light[side, 2] * open_ + falls * sun[2]
            red, green, blue = bilinear(
                texels, levels[side, k, 0], levels[side, k, 1], levels[side, k, 2], u * repeat[side], v * repeat[side]
            )
            red, green, blue = red * tints[side, 0], green * tints[side, 1], blue * tints[side, 2]
            if axis != 1 and p[1] - low[1] < 0.09:  # skirting board
                red = green = blue = 0.86 if p[1] - low[1] < 0.082 else 0.55
            n, a, b, rim = _panel_at(panels, side, u, v)
            glow = 0.0
            if n >= 0:
                red, green, blue, glow = _panel_colour(panels, panel_levels, n, texels, a, b, rim)
            image[y, x, 0] = red * red * (red_light + glow)
            image[y, x, 1] = green * green * (green_light + glow)
            image[y, x, 2] = blue * blue * (blue_light + glow)


@njit(cache=True, fastmath=True)
def _angle(y: float, x: float) -> float:
    """atan2 to 1e-4 rad, which is a thirtieth of a panorama's pixel, at a fifth of its cost."""
    ax, ay = abs(x), abs(y)
    z = min(ax, ay) / max(max(ax, ay), 1e-12)
    s = z * z
    angle = z * (0.999866 + s * (-0.3302995 + s * (0.180141 + s * (-0.085133 + s * 0.0208351))))
    if ay > ax:
        angle = np.pi / 2 - angle
    if x < 0:
        angle = np.pi - angle
    return angle if y >= 0 else -angle


@njit(cache=True, fastmath=True)
def paint_panorama(
    image: np.ndarray, unseen: np.ndarray, ray: np.ndarray, eye: np.ndarray, level: np.ndarray, yaw: float, gain: float,
    view_height: float, radius: float, ground: np.ndarray, ground_tint: np.ndarray, ground_radius: float,
    up: np.ndarray, texels: np.ndarray, to_map: np.ndarray, nearest: np.ndarray, spread: float, bias: float,
    shade: np.ndarray, occlusion: np.ndarray, corner: np.ndarray, step: float,
) -> None:  # fmt: skip
    """A panorama whose lower half lies on the ground y = 0, so that people stand in it from any camera height.

    Args:
        image: float32 (H, W, 3), linear; written where ``unseen``; ``ray``, ``eye`` as for ``paint_room``.
        unseen: See ``image``.
        ray: See ``image``.
        eye: See ``image``.
        level: int64 (3,), first texel, width, height of the panorama (centre column along -z, top row +y).
        yaw: How far it is turned to the left, in full turns.
        gain: Brightness.
        view_height: Height of the panorama's own camera [m].
        radius: Where the ground ends and the sphere begins [m].
        ground: int64 (1, L, 3), mip levels of a ground tile drawn near the people; (0, L, 3) = none.
        ground_tint: float32 (3,), colour times the tile.
        ground_radius: How far the tile reaches before it fades [m].
        up: float32 (3,), all light on a white level surface.
        texels: Texture heap; ``to_map``, ``nearest``, ``spread``, ``bias`` as for ``paint_room``.
        to_map: See ``texels``.
        nearest: See ``texels``.
        spread: See ``texels``.
        bias: See ``texels``.
        shade: float32 (3,), what a shadow leaves of the light on the ground.
        occlusion: As for ``paint_room``, with ``corner`` and ``step``.
        corner: See ``occlusion``.
        step: See ``occlusion``.
    """
    height, width = unseen.shape
    across = np.sqrt(ray[0, 0] ** 2 + ray[1, 0] ** 2 + ray[2, 0] ** 2)
    for y in range(height):
        for x in range(width):
            if not unseen[y, x]:
                continue
            dx = ray[0, 0] * x + ray[0, 1] * y + ray[0, 2]
            dy = ray[1, 0] * x + ray[1, 1] * y + ray[1, 2]
            dz = ray[2, 0] * x + ray[2, 1] * y + ray[2, 2]
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx / length, dy / length, dz / length
            along = eye[0] * dx + (eye[1] - view_height) * dy + eye[2] * dz
            off = eye[0] ** 2 + (eye[1] - view_height) ** 2 + eye[2] ** 2 - radius * radius
            t = -along + np.sqrt(max(0.0, along * along - off))  # where the ray meets the sphere
            floor = -eye[1] / dy if dy < -1e-6 else 1e30
            grounded = floor < t
            t = min(t, floor)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            qx, qy, qz = px, py - view_height, pz
            u = _angle(qx, -qz) / (2 * np.pi) + 0.5 + yaw
            v = _angle(np.sqrt(qx * qx + qz * qz), qy) / np.pi
            v = min(max(v, 1.0 / level[2]), 1 - 1.0 / level[2])
            red, green, blue = bilinear(texels, level[0], level[1], level[2], u, 1 - v)
            red, green, blue = gain * red * red, gain * green * green, gain * blue * blue
            if grounded:
                far = np.sqrt(px * px + pz * pz)
                if len(ground) > 0 and far < ground_radius:
                    k = _level(ground, 0, t * across / max(0.1, np.sqrt(abs(dy))) / 1.3)
                    a, b, c = bilinear(texels, ground[0, k, 0], ground[0, k, 1], ground[0, k, 2], px / 1.3, pz / 1.3)
                    share = min(1.0, (ground_radius - far) / (0.5 * ground_radius))
                    red += share * (ground_tint[0] * a * a * up[0] - red)
                    green += share * (ground_tint[1] * b * b * up[1] - green)
                    blue += share * (ground_tint[2] * c * c * up[2] - blue)
                open_ = _occluded(occlusion, corner, step, px, pz)
                free = _arrives(to_map, nearest, spread, bias, px, py, pz)
                red *= (free + (1 - free) * shade[0]) * open_
                green *= (free + (1 - free) * shade[1]) * open_
                blue *= (free + (1 - free) * shade[2]) * open_
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = red, green, blue


@njit(cache=True, fastmath=True)
def shade_ground(
    image: np.ndarray, unseen: np.ndarray, ray: np.ndarray, eye: np.ndarray, to_map: np.ndarray, nearest: np.ndarray,
    spread: float, bias: float, shade: np.ndarray, occlusion: np.ndarray, corner: np.ndarray, step: float,
) -> None:  # fmt: skip
    """Shadows on a photo's ground, the plane y = 0; arguments as for ``paint_panorama``."""
    height, width = unseen.shape
    for y in range(height):
        for x in range(width):
            if not unseen[y, x]:
                continue
            dy = ray[1, 0] * x + ray[1, 1] * y + ray[1, 2]
            if dy > -1e-6:
                continue
            t = -eye[1] / dy
            px = eye[0] + t * (ray[0, 0] * x + ray[0, 1] * y + ray[0, 2])
            pz = eye[2] + t * (ray[2, 0] * x + ray[2, 1] * y + ray[2, 2])
            open_ = _occluded(occlusion, corner, step, px, pz)
            free = _arrives(to_map, nearest, spread, bias, px, 0.0, pz)
            for k in range(3):
                image[y, x, k] *= (free + (1 - free) * shade[k]) * open_
