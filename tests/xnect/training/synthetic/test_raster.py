import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.training.synthetic.raster import (
    EMPTY,
    NEAR_M,
    fill,
    fill_crossing,
    fill_shadow,
    locate,
    to_screen,
    turned_bounds,
    vertex_normals,
)
from xnect.training.synthetic.shading import dim, group_samples

PINHOLE = np.array([40.0, 40.0, 31.5, 23.5])
SIZE = 48, 64
EYE = np.eye(3), np.zeros(3)


def drawn(vertices, faces, cull=False, alpha=False, bias=0.0, texel_alpha=255):
    """Depth, face and place on it of every sample, of meshes given in camera space."""
    vertices, faces = np.asarray(vertices, np.float32), np.asarray(faces, np.int32)
    screen = np.empty((len(vertices), 6), np.float32)
    to_screen(vertices, *EYE, PINHOLE, screen)
    inv_depth, owner = np.zeros(SIZE, np.float32), np.full(SIZE, EMPTY, np.int32)
    texels = np.full((1, 4), texel_alpha, np.uint8)
    fill(screen, faces, np.zeros(len(faces), np.int32), np.zeros((1, 2), np.float32), np.zeros_like(faces),
         np.array([cull]), np.array([alpha]), np.array([bias], np.float32), np.array([[0, 1, 1]]), texels,
         inv_depth, owner)  # fmt: skip
    fill_crossing(screen, faces, inv_depth, owner)
    y, x = np.nonzero(owner != EMPTY)
    unit = np.stack([y, x, owner[y, x], np.ones_like(y)], 1).astype(np.int32)
    place, needed = np.empty((len(unit), 2), np.float32), np.zeros(len(vertices), np.bool_)
    locate(unit, screen, faces, place, needed)
    assert set(np.flatnonzero(needed)) == set(faces[np.unique(unit[:, 2])].reshape(-1))
    spot = np.zeros((*SIZE, 2), np.float32)
    spot[y, x] = place
    return inv_depth, owner, spot


def ray_cast(vertices, faces):
    """Nearest hit of every sample's ray by the Moeller-Trumbore test: depth and face."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    rays = np.stack([(x - PINHOLE[2]) / PINHOLE[0], (y - PINHOLE[3]) / PINHOLE[1], np.ones(SIZE)], -1)
    depth, face, edge = np.full(SIZE, np.inf), np.full(SIZE, EMPTY), np.zeros(SIZE, bool)
    for k, (a, b, c) in enumerate(np.asarray(vertices, float)[np.asarray(faces)]):
        e, g = b - a, c - a
        h = np.cross(rays, g)
        det = (h * e).sum(-1)
        det = np.where(np.abs(det) < 1e-12, 1e-12, det)
        u = (h * -a).sum(-1) / det
        q = np.cross(-a, e)
        v = (rays * q).sum(-1) / det
        t = (g @ q) / det
        inside = np.minimum(np.minimum(u, v), 1 - u - v)
        edge |= np.abs(inside) < 1e-3
        hit = (inside >= 0) & (t > NEAR_M) & (t < depth)
        depth[hit], face[hit] = t[hit], k
    return depth, face, edge


triangles = st.integers(0, 2**32 - 1).map(
    lambda s: np.random.default_rng(s).uniform([-1.5, -1.2, 0.4], [1.5, 1.2, 4], (6, 3))
)


@settings(max_examples=25, deadline=None)
@given(triangles)
def test_the_nearest_face_is_kept_as_a_ray_caster_finds_it(vertices):
    faces = [[0, 1, 2], [3, 4, 5]]
    inv_depth, owner, spot = drawn(vertices, faces)
    depth, face, edge = ray_cast(vertices, faces)
    near_equal = np.isfinite(depth) & (np.abs(1 / np.maximum(inv_depth, 1e-6) - depth) < 1e-3 * depth)
    assert ((owner == face) | edge | near_equal).all()
    sure = (owner == face) & (owner != EMPTY) & ~edge
    assert np.allclose(1 / inv_depth[sure], depth[sure], rtol=1e-3)
    corner = vertices[np.asarray(faces)[owner[sure]]]
    b, c = spot[sure, 0, None], spot[sure, 1, None]
    place = corner[:, 0] * (1 - b - c) + corner[:, 1] * b + corner[:, 2] * c
    x = place[:, 0] / place[:, 2] * PINHOLE[0] + PINHOLE[2]
    assert np.allclose(x, np.nonzero(sure)[1], atol=0.02)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_faces_that_reach_behind_the_camera_are_drawn_where_they_are_in_front(seed):
    rng = np.random.default_rng(seed)
    vertices = rng.uniform([-1, -1, 0.5], [1, 1, 3], (3, 3))
    vertices[: int(rng.integers(1, 3)), 2] *= -1
    depth, face, edge = ray_cast(vertices, [[0, 1, 2]])
    edge |= np.abs(depth - NEAR_M) < 1e-3
    _, owner, spot = drawn(vertices, [[0, 1, 2]])
    assert ((owner == face) | edge).mean() > 0.995
    sure = (owner == face) & (owner != EMPTY) & ~edge
    share = np.concatenate([1 - spot[sure].sum(1, keepdims=True), spot[sure]], 1)
    assert np.allclose((share @ vertices)[:, 2], depth[sure], rtol=1e-2)


def test_culling_leaves_out_what_is_seen_from_behind():
    front = [[-1, -1, 2], [-1, 1, 2], [1, 0, 2]]
    one, other = (drawn(front, [f], cull=True)[1] != EMPTY for f in ([0, 1, 2], [0, 2, 1]))
    assert one.any() != other.any()
    assert (drawn(front, [[0, 2, 1]])[1] == drawn(front, [[0, 1, 2]])[1]).mean() > 0.99


def test_transparent_texels_are_not_drawn():
    face = [[-1, -1, 2], [-1, 1, 2], [1, 0, 2]]
    assert (drawn(face, [[0, 1, 2]], alpha=True, texel_alpha=100)[1] == EMPTY).all()
    assert (drawn(face, [[0, 1, 2]], alpha=True, texel_alpha=200)[1] != EMPTY).any()


def test_the_bias_draws_a_face_in_front_of_its_place():
    plain, biased = (drawn([[-1, -1, 2], [-1, 1, 2], [1, 0, 2]], [[0, 1, 2]], bias=b)[0].max() for b in (0.0, 0.02))
    assert 1 / plain - 1 / biased == pytest.approx(0.02, rel=0.05)


def test_the_shadow_map_holds_the_height_of_the_topmost_surface():
    light = np.array([[0, 0, 1], [20, 0, 1], [0, 20, 1], [0, 0, 3], [20, 0, 3], [0, 20, 3]], np.float32)
    nearest = np.full((24, 24), -1e9, np.float32)
    fill_shadow(light, np.array([[3, 4, 5], [0, 1, 2]], np.int32), nearest)
    assert nearest[5, 5] == pytest.approx(3)
    assert nearest[20, 20] < -1e8


def test_normals_of_a_sphere_point_outwards():
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    height = np.linspace(-0.95, 0.95, 12)
    ring = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], -1)
    vertices = (np.sqrt(1 - height**2)[:, None, None] * ring + height[:, None, None] * [0, 1, 0]).reshape(-1, 3)
    k = np.arange(11 * 24)
    right = k // 24 * 24 + (k + 1) % 24
    faces = np.concatenate([np.stack([k, k + 24, right], 1), np.stack([right, k + 24, right + 24], 1)])
    normals = vertex_normals(vertices.astype(np.float32), faces.astype(np.int32), np.ones(len(vertices), bool))
    some = np.arange(len(vertices)) % 3 == 0
    few = vertex_normals(vertices.astype(np.float32), faces.astype(np.int32), some)
    assert np.array_equal(few[some], normals[some])
    assert (np.abs((normals * vertices).sum(1))[24:-24] > 0.99).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_samples_are_grouped_by_pixel_and_material(seed, scale):
    rng = np.random.default_rng(seed)
    owner = rng.integers(-1, 4, (6 * scale, 7 * scale)).astype(np.int32)
    owner[: 3 * scale] = np.kron(rng.integers(-1, 4, (3, 7)), np.ones((scale, scale))).astype(np.int32)
    material, people = np.array([0, 0, 1, 2], np.int32), np.array([0, 0, 1, -1], np.int16)
    empty, unit = np.empty((6, 7), np.int32), np.empty((owner.size, 4), np.int32)
    ident = np.empty(owner.shape, np.int16)
    unit = unit[: group_samples(owner, material, people, empty, unit, ident)]
    assert np.array_equal(ident, np.where(owner == EMPTY, -1, people[owner]))
    blocks = owner.reshape(6, scale, 7, scale).transpose(0, 2, 1, 3).reshape(6, 7, -1)
    assert np.array_equal(empty, (blocks == EMPTY).sum(-1))
    assert np.array_equal(owner[unit[:, 0], unit[:, 1]], unit[:, 2])
    found = np.zeros((6, 7, 3), int)
    np.add.at(found, (unit[:, 0] // scale, unit[:, 1] // scale, material[unit[:, 2]]), unit[:, 3])
    wanted = [((blocks != EMPTY) & (material[blocks] == m)).sum(-1) for m in range(3)]
    assert np.array_equal(found, np.stack(wanted, -1))
    image = np.ones((6, 7, 3), np.float32)
    dim(image, empty, scale * scale)
    some = empty > 0
    assert np.allclose(image[some], (empty[some] / scale**2)[:, None])


def test_the_bounds_of_turned_vertices():
    rng = np.random.default_rng(3)
    vertices, frame = rng.normal(size=(50, 3)).astype(np.float32), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    low, high = turned_bounds(vertices, frame)
    turned = vertices @ frame.T
    assert np.allclose(low, turned.min(0), atol=1e-5)
    assert np.allclose(high, turned.max(0), atol=1e-5)
