"""Stage III: one kinematic skeleton a person, fitted to 2D joints and Stage II's pose, steady over time.

Per frame: 1-euro filter on the 2D joints, bone lengths from the first confident frames, damped Gauss-Newton from where
the person is expected (or from a closed form where that fails), 1-euro filters on root and angles, and the joints by
forward kinematics of what came out, so that positions, angles and bones always agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from xnect.config import FilterConfig, FitConfig
from xnect.errors import ShapeError
from xnect.filters import RESTART_S, OneEuroFilter, RotationFilter
from xnect.geometry import camera_from_fov, unproject
from xnect.skeleton.joints import JOINTS_2D, JOINTS_3D
from xnect.skeleton.kinematics import SKELETON
from xnect.skeleton.limits import clamp
from xnect.skeleton.proportions import AVERAGE_HEIGHT_M, ProportionEstimator, pose_scale
from xnect.stages.fit_loops import POINT_OF_2D, TRUST_2D, FilterState, drawn_to, smooth
from xnect.stages.fit_solver import Priors, Targets, minimise
from xnect.stages.fit_start import LEAST_DEPTH_M, body_from_pose, root_from_image
from xnect.stages.fit_state import FACING_CAMERA, PersonStates
from xnect.stages.fit_tree import forward_people, matrices, quaternions, with_nose
from xnect.structures import F64, I64, Bodies, Bool, Camera, Detections, Poses, Tracks

#: Weight of the depth of Stage II's joints, relative to that sideways, where it is surer.
DEPTH_3D = 0.5
#: Distances beyond which a joint counts as wrong and stops pulling [m].
OUTLIER_3D_M, OUTLIER_2D_M = 0.25, 0.09
#: Standard deviations of the angles about rest, and about the range that people use most [rad].
REST_RAD, OBSERVED_RAD = 1.2, 0.15
#: How far people stray from where they are expected, per second: sideways, in depth, turning, each angle.
STRAY_M_S, STRAY_DEPTH_M_S, STRAY_TURN_RAD_S, STRAY_ANGLE_RAD_S = 2.4, 2.0, 1.6, 2.8
#: Nobody is further away [m], nor further to the side than this times the distance.
FARTHEST_M, WIDEST = 100.0, 3.0
#: Gauss-Newton steps from a closed-form start.
COLD_ITERATIONS = 15
#: A fit whose energy is this many times the expected is tried again from the closed form.
EXPLODED = 6.0
#: ... and the new one kept if it has at most this share of the energy.
BETTER = 0.6
#: From a closed form the first steps take outliers for so much larger distances, lest a wrong start hide the truth.
WIDE_STEPS, WIDE = 6, 4.0
#: Least weight of a joint of Stage II, since nothing else tells where an unseen limb is.
LEAST_TRUST = 0.02

_STRAY_ROOT_2 = np.array([STRAY_M_S, STRAY_M_S, STRAY_DEPTH_M_S]) ** 2
Body = tuple[F64, F64, F64]  # root (P, 3), rotation (P, 3, 3), angles (P, D)


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """What one frame tells of the people that are seen, row for row.

    ``joints_m`` (R, 21, 3) Stage II's poses at the skeletons' size; ``trust`` (R, 21); ``image`` (R, 14, 2) picture-plane
    coordinates; ``sure`` (R, 14); ``guess_m`` (R, 3) Stage II's root; ``offsets_m`` (R, J, 3).
    """

    joints_m: F64
    trust: F64
    image: F64
    sure: F64
    guess_m: F64
    offsets_m: F64

    def of(self, rows: Bool) -> _Evidence:
        """Some of the people."""
        return _Evidence(*(getattr(self, name)[rows] for name in self.__slots__))

    def start(self) -> Body:
        """Bodies in closed form."""
        rotation, angles = body_from_pose(self.joints_m, self.offsets_m)
        points = forward_people(np.zeros_like(self.guess_m), rotation, angles, with_nose(self.offsets_m))
        root = root_from_image(points[:, POINT_OF_2D], self.image, self.sure, self.guess_m)
        _keep_in_view(root)
        return root, rotation, angles

    def targets(self, expected: Body, strays: tuple[F64, F64, F64]) -> Targets:
        """The problem to solve; ``strays`` are the weights of the expected body (root (R, 3), turn and angle (R,))."""
        joints, weight_3d, image, weight_2d, depth, root, weight = drawn_to(
            self.joints_m, self.trust, self.image, self.sure, self.guess_m, expected[0], strays[0]
        )
        rotation, angles, offsets = expected[1].copy(), expected[2].copy(), with_nose(self.offsets_m)
        return Targets(joints, weight_3d, image, weight_2d, depth, offsets, root, rotation, angles, weight, *strays[1:])

    def expected_energy(self) -> F64:
        """Energy when every joint is off by what is usual, (R,)."""
        return self.trust.sum(1) + (self.sure * TRUST_2D).sum(1) + 1.0


class SkeletonFitter:
    """Fits people frame by frame; keeps bones, last bodies and filters per id."""

    def __init__(self, fit: FitConfig | None = None, filters: FilterConfig | None = None, static: bool = False) -> None:
        """Makes a fitter that knows nobody.

        Args:
            fit: Settings of the fit.
            filters: Settings of the filters.
            static: Every frame stands alone: no bones, bodies or filters from earlier frames.
        """
        self._config = fit or FitConfig()
        self._filter_config = filters or FilterConfig()
        self._static = static
        self._priors = Priors(
            SKELETON.limits_rad.copy(),
            SKELETON.observed_rad.copy(),
            SKELETON.rest_rad.copy(),
            1 / OBSERVED_RAD**2,
            1 / REST_RAD**2,
            DEPTH_3D,
            OUTLIER_3D_M**2,
            OUTLIER_2D_M**2,
        )
        self._wide_priors = self._priors._replace(
            outlier_3d_m2=(WIDE * OUTLIER_3D_M) ** 2, outlier_2d_m2=(WIDE * OUTLIER_2D_M) ** 2
        )
        self.reset()

    def reset(self) -> None:
        """Forget everyone."""
        f = self._filter_config
        body = (f.min_cutoff_3d, f.beta_3d, f.derivative_cutoff)
        self._states = PersonStates()
        self._bones = ProportionEstimator(self._config.height_m, self._config.bone_frames)
        self._filter_2d = OneEuroFilter(len(JOINTS_2D), 2, f.min_cutoff_2d, f.beta_2d, f.derivative_cutoff)
        self._filter_ray = OneEuroFilter(1, 2, *body)
        self._filter_depth = OneEuroFilter(1, 1, *body)
        self._filter_angles = OneEuroFilter(len(SKELETON.angle_names), 1, *body)
        self._filter_rotation = RotationFilter(*body)

    def rescale(self) -> None:
        """Measure everyone's bones anew over the next frames."""
        self._bones.restart()

    def warm_up(self) -> None:
        """Fit an invented person, so that compiling (once a machine, then cached) does not fall into a first frame."""
        spare = SkeletonFitter(self._config, self._filter_config)
        zero = np.zeros((1, 3))
        xyz, _ = SKELETON.forward(zero, FACING_CAMERA[None], SKELETON.rest_rad[None], SKELETON.rest_offsets_m)
        sure = np.ones((1, len(JOINTS_3D)), np.float32)
        pose = (xyz[:, SKELETON.index_21] - xyz[:, :1]).astype(np.float32)
        poses = Poses(pose, np.array([[0, 0, 3]], np.float32), sure, sure < 0)
        detections = Detections(np.full((1, 14, 2), 50, np.float32), sure[:, :14].copy(), sure[:, 0].copy())
        for frame in range(2):
            tracks = Tracks(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
            spare(tracks, detections, poses, camera_from_fov((100, 100)), frame / 30)

    def __call__(
        self, tracks: Tracks, detections: Detections, poses: Poses, camera: Camera, timestamp_s: float
    ) -> Bodies:
        """Fit one frame.

        Args:
            tracks: Who is who; people without a row are carried on from what is known of them.
            detections: 2D joints.
            poses: Stage II's output, row for row the detections.
            camera: Intrinsics of the frame.
            timestamp_s: Time of the frame [s].

        Returns:
            Row for row the tracks; no angle outside of ``SKELETON.limits_rad``.

        Raises:
            ShapeError: Rows do not match, or the time is not a number.
        """
        _check(tracks, detections, poses, timestamp_s)
        if self._static:
            self.reset()
        rows, new = self._states.rows(tracks.ids)
        self._bones.reset(new)
        self._filter_2d.reset(new)
        self._reset_output(new)
        step_s = self._states.step_s(rows, timestamp_s)
        seen = tracks.row >= 0
        lost = ~seen & self._states.known[rows]
        if seen.any():
            self._fit(rows[seen], tracks.row[seen], detections, poses, camera, timestamp_s)
        if lost.any():
            self._states.coast(rows[lost], step_s[lost], timestamp_s)
        return self._output(rows, seen, step_s)

    def _fit(self, rows: I64, people: I64, detections: Detections, poses: Poses, camera: Camera, now_s: float) -> None:
        """Bring the states of the people who are seen up to date."""
        states = self._states
        step_s = states.step_s(rows, now_s)
        gap_s = np.where(states.known[rows], np.maximum(now_s - states.seen_s[rows], step_s), np.inf)
        evidence = self._evidence(rows, people, detections, poses, camera, gap_s)
        cold = gap_s > RESTART_S
        body = states.predicted(rows, step_s)
        if cold.any():
            for part, start in zip(body, evidence.of(cold).start(), strict=True):
                part[cold] = start
            self._reset_output(rows[cold])
        targets = evidence.targets(body, self._stray_weights(np.where(cold, np.inf, gap_s)))
        if cold.any():
            minimise(targets, self._wide_priors, body[0], body[1], body[2], np.where(cold, WIDE_STEPS, 0))
        iterations = np.where(cold, COLD_ITERATIONS, self._config.iterations)
        energy = minimise(targets, self._priors, body[0], body[1], body[2], iterations)
        exploded = (energy > EXPLODED * evidence.expected_energy()) & ~cold
        if exploded.any():
            guess = replace(evidence.of(exploded), guess_m=states.root_m[rows[exploded]])
            exploded[exploded] = self._retry(guess, body, exploded)
        _keep_in_view(body[0])
        states.take(rows, body, step_s, cold | exploded, now_s)
        states.inferred[rows] = poses.inferred[people]

    def _evidence(
        self, rows: I64, people: I64, detections: Detections, poses: Poses, camera: Camera, gap_s: F64
    ) -> _Evidence:
        """Scale poses to the persons' bones, filter 2D joints."""
        joints = _finite(poses.joints_m[people].astype(np.float64))
        trust = np.minimum(np.fmax(poses.confidence[people].astype(np.float64), LEAST_TRUST), 1.0)  # fmax: no NaN
        self._bones.update(rows, joints, trust)
        offsets = self._bones.offsets_m(rows)
        scale = pose_scale(joints, offsets, trust)
        # Stage II draws poses of 1.70 m, too short where it is unsure and mostly in depth: of a small deviation from
        # the size this implies only half is believed, or people would be put too far away
        expected = (self._config.height_m or AVERAGE_HEIGHT_M) / AVERAGE_HEIGHT_M
        scale /= np.minimum(np.maximum(np.sqrt(scale / expected), 0.9), 1.1)
        guess = _finite(poses.root_m[people].astype(np.float64)) * scale[:, None]
        _keep_in_view(guess)
        sure = np.minimum(np.fmax(detections.confidence[people].astype(np.float64), 0.0), 1.0)
        image = _finite(unproject(detections.joints_px[people], camera))
        if self._filter_config.enabled and not self._static:
            depth = np.where(self._states.known[rows], self._states.root_m[rows, 2], guess[:, 2])
            image = self._filter_2d(rows, image, gap_s, sure > 0, depth)
        return _Evidence(joints * scale[:, None, None], trust, image, sure, guess, offsets)

    def _stray_weights(self, gap_s: F64) -> tuple[F64, F64, F64]:
        """Weights of the expected root, turn and angles after a gap; 0 where nothing is expected (infinite gap)."""
        per = (self._config.smoothness / gap_s) ** 2
        root = per[:, None] / _STRAY_ROOT_2
        return root, per / STRAY_TURN_RAD_S**2, per / STRAY_ANGLE_RAD_S**2

    def _retry(self, evidence: _Evidence, body: Body, rows: Bool) -> Bool:
        """Fit some rows of ``body`` from the closed form and keep what is better; returns where that was so."""
        start = evidence.start()
        free = self._stray_weights(np.full(len(start[0]), np.inf))
        targets = evidence.targets(start, free)
        root, rotation, angles = (part[rows] for part in body)
        steps = np.full(len(root), COLD_ITERATIONS)
        before = minimise(targets, self._priors, root, rotation, angles, 0 * steps)
        minimise(targets, self._wide_priors, start[0], start[1], start[2], np.full(len(root), WIDE_STEPS))
        better = minimise(targets, self._priors, start[0], start[1], start[2], steps) < BETTER * before
        for part, new in zip(body, start, strict=True):
            part[np.flatnonzero(rows)[better]] = new[better]
        return better

    def _reset_output(self, rows: I64) -> None:
        """Let the output filters start afresh."""
        for one in (self._filter_ray, self._filter_depth, self._filter_angles, self._filter_rotation):
            one.reset(rows)

    def _output_filters(self) -> tuple[FilterState, FilterState, FilterState, FilterState]:
        return (
            self._filter_ray.state, self._filter_depth.state, self._filter_angles.state, self._filter_rotation.state
        )  # fmt: skip

    def _output(self, rows: I64, seen: Bool, step_s: F64) -> Bodies:
        """Filter the bodies and put the joints where they say."""
        states = self._states
        root, rotation, angles = states.root_m[rows], states.rotation[rows], states.angles_rad[rows]
        known = states.known[rows]
        if self._filter_config.enabled and not self._static and known.any():
            quaternion = smooth(rows, known, step_s, root, rotation, angles, self._output_filters())
            rotation = matrices(quaternion)
        else:
            quaternion = quaternions(rotation)
        angles = clamp(angles, SKELETON.limits_rad)
        offsets = self._bones.offsets_m(rows)
        points = forward_people(root, rotation, angles, with_nose(offsets))
        return Bodies(
            joints_m=points[:, SKELETON.index_21].astype(np.float32),
            angles_rad=angles.astype(np.float32),
            root_position_m=root.astype(np.float32),
            root_rotation=quaternion.astype(np.float32),
            inferred=states.inferred[rows] | ~seen[:, None],
            offsets_m=offsets.astype(np.float32),
        )


def _keep_in_view(root_m: F64) -> None:
    """Cut positions (R, 3) that no picture can show to the nearest that one can, in place."""
    depth, across = root_m[:, 2:], root_m[:, :2]
    np.minimum(np.maximum(depth, LEAST_DEPTH_M, out=depth), FARTHEST_M, out=depth)
    side = WIDEST * depth
    np.minimum(np.maximum(across, -side, out=across), side, out=across)


def _finite(values: F64) -> F64:
    """0 in the place of what is no number (``np.nan_to_num`` takes five times as long)."""
    return np.where(np.isfinite(values), values, 0.0)


def _check(tracks: Tracks, detections: Detections, poses: Poses, timestamp_s: float) -> None:
    """Rows that fit together and a time; raises ShapeError."""
    if len(poses) != len(detections):
        raise ShapeError(f"poses and detections must have the same rows, got {len(poses)} and {len(detections)}")
    if len(tracks) and (tracks.row.min() < -1 or tracks.row.max() >= len(poses)):
        raise ShapeError(f"tracks name rows {tracks.row.tolist()}, expected -1 to {len(poses) - 1}")
    if not math.isfinite(timestamp_s):
        raise ShapeError(f"timestamp must be a finite number of seconds, got {timestamp_s}")
