"""Stage III as others use it: known motion comes back, noise gets less, nothing ever leaves the limits or blows up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xnect.config import FilterConfig, FitConfig
from xnect.errors import ConfigError, ShapeError
from xnect.geometry import camera_from_fov, matrix_from_quaternion, project
from xnect.skeleton.joints import JOINT_3D_OF_2D
from xnect.skeleton.kinematics import SKELETON
from xnect.skeleton.limits import violation_rad
from xnect.skeleton.proportions import body_height_m
from xnect.stages.fit import SkeletonFitter
from xnect.stages.fit_solver import minimise
from xnect.stages.fit_tree import forward_people, with_nose
from xnect.structures import STATE_LOST, STATE_TRACKED, Camera, Detections, Poses, Tracks

CAMERA = camera_from_fov((640, 480), 60.0)
D = len(SKELETON.angle_names)
NO_FILTER = FilterConfig(enabled=False)
EXACT = FitConfig(bone_frames=0, smoothness=0.0, iterations=10)
FACING = np.diag([1.0, -1.0, -1.0])


class Actor:
    """Someone who moves smoothly; gives each frame's truth and what Stages I and II would say of it."""

    def __init__(self, seed, frames=40, speed=1.0, camera=CAMERA, place=(0.0, 0.0, 3.5)):
        rng = np.random.default_rng(seed)
        t = np.arange(frames)[:, None] / 30 * speed
        low, high = SKELETON.observed_rad.T
        swing = rng.uniform(0.1, 0.35, D) * (high - low)
        angles = SKELETON.rest_rad + swing * np.sin(2 * np.pi * rng.uniform(0.2, 0.7, D) * t + rng.uniform(0, 7, D))
        self.angles = np.clip(angles, low, high)
        drift = 0.15 * np.sin(2 * np.pi * 0.3 * t + rng.uniform(0, 7, 3))
        self.root = np.array(place) + drift
        turn = Rotation.from_rotvec(rng.uniform(-1.5, 1.5) * np.array([0, 1, 0]) + 0.3 * np.sin(t + np.arange(3)))
        self.rotation = turn.as_matrix() @ FACING
        offsets = np.broadcast_to(SKELETON.rest_offsets_m, (frames, *SKELETON.rest_offsets_m.shape))
        points = forward_people(self.root, self.rotation, self.angles, with_nose(offsets))
        self.points = points
        self.joints = points[:, SKELETON.index_21]
        at = self.joints[:, JOINT_3D_OF_2D].copy()
        at[:, 0] = points[:, -1]
        self.pixels = project(at, camera)

    def stages(self, t, rng=None, noise_m=0.0, noise_px=0.0):
        """Detections and poses of frame ``t`` with a single person."""
        relative = self.joints[t] - self.joints[t, 14]
        pixels = self.pixels[t]
        if rng is not None:
            relative = relative + noise_m * rng.normal(size=relative.shape)
            pixels = pixels + noise_px * rng.normal(size=pixels.shape)
        return one_person(pixels, relative, self.root[t])


def one_person(pixels, relative, root, sure_2d=None, sure_3d=None):
    sure_2d = np.full(14, 0.8) if sure_2d is None else sure_2d
    sure_3d = np.full(21, 0.8) if sure_3d is None else sure_3d
    detections = Detections(
        pixels[None].astype(np.float32), np.array(sure_2d, np.float32)[None], np.ones(1, np.float32)
    )
    poses = Poses(
        relative[None].astype(np.float32),
        np.array(root, np.float32)[None],
        np.array(sure_3d, np.float32)[None],
        np.zeros((1, 21), np.bool_),
    )
    return detections, poses


def tracks(ids, rows):
    rows = np.array(rows, np.int64)
    return Tracks(np.array(ids, np.int64), rows, np.where(rows < 0, STATE_LOST, STATE_TRACKED))


def run(fitter, actor, frames, camera=CAMERA, **noise):
    rng = np.random.default_rng(0) if noise else None
    return [fitter(tracks([1], [0]), *actor.stages(t, rng, **noise), camera, 10 + t / 30) for t in frames]


def joined(bodies, field):
    return np.concatenate([getattr(b, field) for b in bodies]).astype(np.float64)


def sound(bodies):
    """No NaN, inside the limits, unit rotations, joints where angles, root and bones say."""
    for field in ("joints_m", "angles_rad", "root_position_m", "root_rotation", "offsets_m"):
        assert np.isfinite(getattr(bodies, field)).all(), field
    angles = bodies.angles_rad.astype(np.float64)
    assert (violation_rad(angles, SKELETON.limits_rad) == 0).all()
    q = bodies.root_rotation.astype(np.float64)
    assert np.linalg.norm(q, axis=1) == pytest.approx(np.ones(len(q)), abs=1e-6)
    offsets = bodies.offsets_m.astype(np.float64)
    xyz, _ = SKELETON.forward(bodies.root_position_m, matrix_from_quaternion(q), angles, offsets)
    distance = np.maximum(1.0, np.abs(bodies.root_position_m).max(initial=0))
    assert np.abs(xyz[:, SKELETON.index_21] - bodies.joints_m).max(initial=0) < 2e-6 * distance


def test_exact_input_gives_the_motion_back():
    actor = Actor(0)
    bodies = run(SkeletonFitter(EXACT, NO_FILTER), actor, range(40))
    for b in bodies:
        sound(b)
    error = np.linalg.norm(joined(bodies, "joints_m") - actor.joints, axis=-1)
    assert error[5:].mean() < 0.01
    assert error[5:].max() < 0.06
    shown = project(joined(bodies, "joints_m")[:, JOINT_3D_OF_2D[2:]], CAMERA)
    assert np.linalg.norm(shown - actor.pixels[:, 2:], axis=-1)[5:].mean() < 1.0
    knee = SKELETON.angle_names.index("right_knee_flexion")
    assert np.abs(joined(bodies, "angles_rad") - actor.angles)[5:, knee].mean() < np.radians(3)


def test_static_mode_needs_no_history():
    actor = Actor(1, frames=60)
    fitter = SkeletonFitter(FitConfig(), FilterConfig(), static=True)
    order = [50, 3, 31, 3]
    bodies = run(fitter, actor, order)
    error = np.linalg.norm(joined(bodies, "joints_m") - actor.joints[order], axis=-1)
    assert error.mean() < 0.02
    assert np.array_equal(bodies[1].joints_m, bodies[3].joints_m)


def test_noise_gets_less_and_jitter_far_less():
    actor = Actor(2, frames=90)
    frames = range(90)
    rng = np.random.default_rng(0)
    noisy = np.stack([actor.stages(t, rng, 0.05, 2.0)[1].joints_m[0] for t in frames]).astype(np.float64)
    bodies = run(SkeletonFitter(), actor, frames, noise_m=0.05, noise_px=2.0)
    fitted = joined(bodies, "joints_m")
    relative = fitted - fitted[:, 14:15]
    truth = actor.joints - actor.joints[:, 14:15]

    def error(x):
        return np.linalg.norm(x - truth, axis=-1)[10:].mean()

    def jitter(x):
        return np.linalg.norm(np.diff(x - truth, 2, axis=0), axis=-1)[10:].mean()

    assert error(relative) < 0.85 * error(noisy)
    assert jitter(relative) < 0.1 * jitter(noisy)


def test_filters_can_be_switched_off_and_smooth_when_on():
    actor = Actor(3, frames=60)
    jitter = {}
    for enabled in (True, False):
        fitter = SkeletonFitter(FitConfig(), FilterConfig(enabled=enabled))
        xyz = joined(run(fitter, actor, range(60), noise_m=0.04, noise_px=2.0), "joints_m")
        jitter[enabled] = np.abs(np.diff(xyz, 2, axis=0))[10:].mean()
    assert jitter[True] < 0.7 * jitter[False]


def test_distortion_of_the_camera_is_undone():
    camera = Camera(CAMERA.matrix_px, CAMERA.size_px, np.array([-0.25, 0.08, 0.002, -0.001, 0.0]))
    actor = Actor(4, camera=camera, place=(0.5, 0.2, 2.6))
    bodies = run(SkeletonFitter(EXACT, NO_FILTER), actor, range(20), camera=camera)
    error = np.linalg.norm(joined(bodies, "joints_m") - actor.joints[:20], axis=-1)
    assert error[5:].mean() < 0.01


@pytest.mark.parametrize("height", [1.1, 1.9])
def test_body_height_sets_the_scale(height):
    actor = Actor(5)
    bodies = run(SkeletonFitter(FitConfig(height_m=height), NO_FILTER), actor, range(20))
    assert body_height_m(bodies[-1].offsets_m.astype(np.float64)) == pytest.approx([height], abs=1e-5)
    # the same picture: someone smaller stands nearer
    assert bodies[-1].root_position_m[0, 2] / actor.root[19, 2] == pytest.approx(height / 1.7, rel=0.03)


def test_bones_are_learned_and_measured_anew_on_demand():
    actor = Actor(6, frames=60)
    fitter = SkeletonFitter(FitConfig(bone_frames=10), NO_FILTER)
    long_legs = actor.joints.copy()
    bodies = run(fitter, actor, range(12))
    fixed = bodies[-1].offsets_m
    assert np.array_equal(run(fitter, actor, range(12, 30))[-1].offsets_m, fixed)
    long_legs[:, [9, 12]] += 0.15 * (long_legs[:, [9, 12]] - long_legs[:, [8, 11]])
    actor.joints = long_legs
    fitter.rescale()
    assert not np.array_equal(run(fitter, actor, range(30, 45))[-1].offsets_m, fixed)


def test_a_lost_person_runs_on_a_little_and_stays_human():
    actor = Actor(7, frames=90)
    fitter = SkeletonFitter()
    run(fitter, actor, range(30))
    nobody = (Detections.empty(), Poses.empty())
    away = [fitter(tracks([1], [-1]), *nobody, CAMERA, 10 + t / 30) for t in range(30, 60)]
    for b in away:
        sound(b)
        assert b.inferred.all()
    path = joined(away, "joints_m")
    assert np.abs(path[1] - path[0]).max() > 1e-5
    assert np.abs(path[-1] - path[-2]).max() < 1e-3  # come to rest
    assert np.linalg.norm(path - path[0], axis=-1).max() < 0.8
    back = run(fitter, actor, range(60, 75))
    for b in back:
        sound(b)
    error = np.linalg.norm(joined(back, "joints_m") - actor.joints[60:75], axis=-1)
    assert error[8:].mean() < 0.06


def test_someone_never_seen_is_harmless():
    bodies = SkeletonFitter()(tracks([5], [-1]), Detections.empty(), Poses.empty(), CAMERA, 0.0)
    sound(bodies)
    assert bodies.inferred.all()
    assert bodies.root_position_m[0, 2] > 0


def test_nobody_gives_empty_arrays():
    bodies = SkeletonFitter()(tracks([], []), Detections.empty(), Poses.empty(), CAMERA, 0.0)
    assert len(bodies) == 0
    assert bodies.joints_m.shape == (0, 21, 3)
    assert bodies.angles_rad.shape == (0, D)


def crowd(actors, t, order):
    """Several people in one frame; row k is ``actors[order[k]]``."""
    parts = [actors[i].stages(t) for i in order]
    detections = Detections(*(np.concatenate([getattr(d, f) for d, _ in parts]) for f in Detections.__slots__[:3]))
    poses = Poses(*(np.concatenate([getattr(p, f) for _, p in parts]) for f in Poses.__slots__))
    return detections, poses


def test_people_come_and_go_without_touching_each_other():
    actors = [Actor(20 + k, frames=40, place=(0.6 * k - 0.6, 0, 4)) for k in range(3)]
    alone = run(SkeletonFitter(), actors[1], range(40))
    fitter = SkeletonFitter()
    for t in range(40):
        if t < 10:
            who = [1]
        elif t < 20:
            who = [2, 0, 1]
        elif t < 30:
            who = [1, 2]
        else:
            who = [0, 1]
        present = sorted(who)
        result = fitter(tracks(present, [who.index(i) for i in present]), *crowd(actors, t, who), CAMERA, 10 + t / 30)
        sound(result)
        assert np.abs(result.joints_m[present.index(1)] - alone[t].joints_m[0]).max() < 1e-6


def test_reset_forgets():
    actor, other = Actor(8), Actor(9)
    fitter = SkeletonFitter()
    first = run(fitter, actor, range(10))
    run(fitter, other, range(10))
    fitter.reset()
    again = run(fitter, actor, range(10))
    assert np.array_equal(first[-1].joints_m, again[-1].joints_m)


def test_a_wrong_frame_is_got_over():
    """One frame of nonsense under the same id, then the truth again."""
    actor = Actor(10, frames=40)
    fitter = SkeletonFitter()
    run(fitter, actor, range(15))
    wrong = Actor(11, frames=40, place=(1.0, 0.1, 6.0))
    sound(run(fitter, wrong, range(15, 16))[0])
    bodies = run(fitter, actor, range(16, 40))
    error = np.linalg.norm(joined(bodies, "joints_m") - actor.joints[16:], axis=-1)
    assert error[-10:].mean() < 0.05


def test_a_jump_to_another_pose_is_followed():
    """A cut in the film: the warm start is far off and the closed form takes over."""
    one, two = Actor(12, frames=40), Actor(13, frames=40, place=(-0.8, 0.2, 5.0))
    fitter = SkeletonFitter(FitConfig(bone_frames=0), NO_FILTER)
    run(fitter, one, range(20))
    bodies = run(fitter, two, range(20, 40))
    error = np.linalg.norm(joined(bodies, "joints_m") - two.joints[20:], axis=-1).mean(1)
    assert error[8:].mean() < 0.03


def test_half_a_body_keeps_its_place():
    """Only head and arms in the picture: what is seen fits, the rest follows Stage II."""
    actor = Actor(14, place=(0, 0.4, 2.2))
    fitter = SkeletonFitter(FitConfig(bone_frames=0), NO_FILTER)
    sure = np.where(np.arange(14) < 8, 0.8, 0.0)
    for t in range(30):
        relative = actor.joints[t] - actor.joints[t, 14]
        pixels = np.where(sure[:, None] > 0, actor.pixels[t], 0)
        bodies = fitter(tracks([1], [0]), *one_person(pixels, relative, actor.root[t], sure), CAMERA, 10 + t / 30)
        sound(bodies)
    shown = project(bodies.joints_m[0, JOINT_3D_OF_2D[2:8]].astype(np.float64), CAMERA)
    assert np.linalg.norm(shown - actor.pixels[29, 2:8], axis=-1).mean() < 2
    assert np.linalg.norm(bodies.joints_m[0] - actor.joints[29], axis=-1).mean() < 0.03


def test_a_wrong_distance_that_the_picture_cannot_tell_is_got_over_in_time():
    """One joint seen: any distance fits the picture, so Stage II's must bring a person back who was put too near."""
    actor = Actor(14, place=(0, 0.4, 4.0))
    fitter = SkeletonFitter(FitConfig(bone_frames=0), NO_FILTER)
    sure = np.where(np.arange(14) == 1, 0.8, 0.0)
    for t in range(900):
        root = actor.root[0] * (0.5 if t < 3 else 1.0)
        relative = actor.joints[0] - actor.joints[0, 14]
        pixels = np.where(sure[:, None] > 0, actor.pixels[0], 0)
        bodies = fitter(tracks([1], [0]), *one_person(pixels, relative, root, sure), CAMERA, 10 + t / 30)
    assert bodies.root_position_m[0, 2] == pytest.approx(actor.root[0, 2], rel=0.15)


def test_uneven_times_are_fine():
    actor = Actor(15, frames=60)
    fitter = SkeletonFitter()
    now = 3.0
    for t in range(60):
        now += [0.0, 1 / 30, 0.2, 1e-6, -0.01, 5.0][t % 6]
        sound(fitter(tracks([1], [0]), *actor.stages(t), CAMERA, now))


def test_all_calls_share_one_compiled_version():
    """Another array layout would compile in the middle of a recording."""
    actor = Actor(16)
    fitter = SkeletonFitter()
    fitter.warm_up()
    run(fitter, actor, range(5))
    assert len(minimise.signatures) == 1
    assert len(forward_people.signatures) <= 2


def test_bad_input_is_named():
    fitter = SkeletonFitter()
    actor = Actor(17)
    detections, poses = actor.stages(0)
    with pytest.raises(ShapeError, match="same rows"):
        fitter(tracks([1], [0]), Detections.empty(), poses, CAMERA, 0.0)
    with pytest.raises(ShapeError, match="expected -1 to 0"):
        fitter(tracks([1], [3]), detections, poses, CAMERA, 0.0)
    with pytest.raises(ShapeError, match="finite"):
        fitter(tracks([1], [0]), detections, poses, CAMERA, float("nan"))
    with pytest.raises(ConfigError, match="iterations 0"):
        FitConfig(iterations=0)
    with pytest.raises(ConfigError, match="cut-offs"):
        FilterConfig(min_cutoff_3d=0.0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 100.0]), st.booleans())
def test_nonsense_never_blows_up(seed, size, static):
    """Random numbers for everything, 30 % of the frames missing: finite, human, not thrown to infinity."""
    rng = np.random.default_rng(seed)
    fitter = SkeletonFitter(static=static)
    for t in range(12):
        if rng.random() < 0.3:
            bodies = fitter(tracks([1], [-1]), Detections.empty(), Poses.empty(), CAMERA, t / 30)
        else:
            detections, poses = one_person(
                rng.normal(size=(14, 2)) * 500 * size,
                rng.normal(size=(21, 3)) * size,
                rng.normal(size=3) * 5 * size,
                rng.choice([0.0, 0.5, 1.0], 14),
                rng.uniform(0, 1, 21),
            )
            bodies = fitter(tracks([1], [0]), detections, poses, CAMERA, t / 30)
        sound(bodies)
        height = body_height_m(bodies.offsets_m.astype(np.float64))
        assert height == pytest.approx([1.7], abs=1e-4)
        assert np.abs(bodies.root_position_m).max() < 5000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_left_aside(value):
    actor = Actor(18)
    fitter = SkeletonFitter()
    for t in range(6):
        relative, pixels = actor.joints[t] - actor.joints[t, 14], actor.pixels[t].copy()
        if t == 3:
            relative, pixels[3] = np.full_like(relative, value), value
        sound(fitter(tracks([1], [0]), *one_person(pixels, relative, actor.root[t]), CAMERA, t / 30))


def test_random_sequences_with_missing_frames_never_diverge():
    """A few of the benchmark's thousand: people who move, noise, 30 % of the frames missing."""
    people = 10
    actors = [Actor(100 + k, frames=60, place=(0.3 * k - 1.5, 0, 4.0)) for k in range(people)]
    rng = np.random.default_rng(0)
    fitter = SkeletonFitter()
    for t in range(60):
        here = [k for k in range(people) if rng.random() > 0.3]
        row = np.full(people, -1)
        row[here] = np.arange(len(here))
        stages = crowd(actors, t, here) if here else (Detections.empty(), Poses.empty())
        bodies = fitter(tracks(range(people), row), *stages, CAMERA, t / 30)
        sound(bodies)
        if t > 10:
            truth = np.stack([a.joints[t] for a in actors])
            assert np.linalg.norm(bodies.joints_m - truth, axis=-1)[row >= 0].mean() < 0.12
