"""Feet that stand: when they do, holding them in place by bending the leg, and the floor they stand on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from xnect.errors import FormatError
from xnect.formats.cleanup_motion import Track, tracks, with_bodies
from xnect.formats.recording import Recording
from xnect.geometry import matrix_from_quaternion
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON, SOLE_M, rotation_from_vector
from xnect.structures import F64, I64, Bool

#: A foot stands while its ball moves slower than this [m/s], for at least so long [s].
STILL_M_S, LEAST_S = 0.35, 0.12
#: Speeds are those of positions smoothed over this time; holding sets in and ends within the other [s].
_SMOOTH_S, _RAMP_S = 0.05, 0.1
#: A foot that drifts further than this while it seems to stand is not held: the track is at fault, or it glides [m].
_FARTHEST_M = 0.12
#: Steps of the leg's solver, its damping (angles against metres), its longest step, and how straight a leg may become.
_STEPS, _DAMPING, _STEP_RAD, _REACH = 20, 1e-3, 0.2, 0.995
_PROBE_RAD = 1e-4
#: The floor: points further from it than this count less [m]; the spread of the feet from which on it tells the slope
#: better than the bodies do, which stand upright more or less [m]; its steepest [degrees].
_HUBER_M, _TELLING_M, _STEEPEST_DEG = 0.03, 0.4, 50.0
_ANKLES = [JOINTS_3D.index("right_ankle"), JOINTS_3D.index("left_ankle")]
_THIGH_SHIN_M = 0.848  # hip to ankle of the skeleton at 1.70 m


@dataclass(frozen=True, slots=True, eq=False)
class _Leg:
    """One leg of the skeleton: joints hip, knee, ankle, toe and the angles that move them."""

    joints: tuple[int, int, int, int]
    angles: I64

    @staticmethod
    def of(side: str) -> _Leg:
        joints = [SKELETON.joint_names.index(f"{side}_{part}") for part in ("hip", "knee", "ankle", "toe")]
        angles = np.concatenate([SKELETON.angles_of(joint) for joint in joints[:3]])
        return _Leg((joints[0], joints[1], joints[2], joints[3]), angles)

    def points(self, start: F64, pelvis: F64, angles_rad: F64, offsets: F64) -> F64:
        """Ankle and ball of the foot (T, 6), from the hip's place, the pelvis' rotation and the leg's angles (T, A)."""
        place, turn, out = start, pelvis, []
        for joint, following in zip(self.joints, self.joints[1:], strict=False):
            for column in np.flatnonzero(SKELETON.angle_joint[self.angles] == joint):
                index = self.angles[column]
                vector = np.zeros((len(start), 3))
                vector[:, SKELETON.angle_axis[index]] = SKELETON.angle_sign[index] * angles_rad[:, column]
                turn = turn @ rotation_from_vector(vector)
            place = place + (turn @ offsets[:, following, :, None])[..., 0]
            out.append(place)
        return np.concatenate(out[1:], 1)


_LEGS = (_Leg.of("right"), _Leg.of("left"))


def standing(ball_m: F64, times_s: F64) -> Bool:
    """When a foot stands, bool (T,), from the places of its ball (T, 3) [m]."""
    if len(times_s) < 3:
        return np.zeros(len(times_s), bool)
    step = float(np.median(np.diff(times_s)))
    smooth = gaussian_filter1d(ball_m, max(_SMOOTH_S / step, 1e-3), axis=0, mode="nearest")
    speed = np.linalg.norm(np.gradient(smooth, times_s, axis=0), axis=1)
    still = speed < STILL_M_S
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(int), [0]])))
    for start, end in edges.reshape(-1, 2):
        if times_s[end - 1] - times_s[start] < LEAST_S:
            still[start:end] = False
    return still


def lock_feet(recording: Recording) -> tuple[Recording, float]:
    """Hold each foot where it stands (the median of that time), by hip, knee and ankle of its leg.

    Holding sets in and ends softly over a tenth of a second. The rest of the body stays as it is; where the leg is too
    short, the foot comes as near as the leg's limits allow.

    Returns:
        The recording, and the share of the feet's time for which one is held.
    """
    people, held, total = recording.people, 0, 0
    for track in tracks(recording):
        angles = track.angles_rad.copy()
        pelvis = matrix_from_quaternion(track.turns[:, [3, 0, 1, 2]])
        offsets = people.offsets[track.rows].astype(np.float64)
        for leg in _LEGS:
            start = track.root_m + (pelvis @ offsets[:, leg.joints[0], :, None])[..., 0]
            own = leg.points(start, pelvis, angles[:, leg.angles], offsets)
            still = _steady(standing(own[:, 3:], track.times_s), own[:, 3:])
            held, total = held + int(still.sum()), total + len(still)
            target = _within_reach(_targets(own, still, track.times_s), own, start, leg, offsets)
            moved = np.abs(target - own).max(1) > 1e-6
            if moved.any():
                angles[np.ix_(moved, leg.angles)] = _bent(
                    leg, start[moved], pelvis[moved], angles[np.ix_(moved, leg.angles)], offsets[moved], target[moved]
                )
        people = with_bodies(people, track.rows, track.root_m, track.turns, angles)
    return dataclasses.replace(recording, people=people), held / max(total, 1)


def _steady(still: Bool, ball_m: F64) -> Bool:
    """Those stretches in which the foot stays within reach of its median place."""
    still = still.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(int), [0]])))
    for start, end in edges.reshape(-1, 2):
        away = np.linalg.norm(ball_m[start:end] - np.median(ball_m[start:end], axis=0), axis=1)
        still[start:end] &= away.max() <= _FARTHEST_M
    return still


def _within_reach(target: F64, own: F64, start: F64, leg: _Leg, offsets: F64) -> F64:
    """Targets moved towards the hip where the leg, nearly straight, would be too short; no further out than it was."""
    length = np.linalg.norm(offsets[:, leg.joints[1:3]], axis=-1).sum(1)
    limit = np.maximum(_REACH * length, np.linalg.norm(own[:, :3] - start, axis=1))
    away = target[:, :3] - start
    distance = np.linalg.norm(away, axis=1)
    back = away * np.minimum(limit / np.maximum(distance, 1e-9) - 1, 0.0)[:, None]
    return target + np.concatenate([back, back], 1)


def _targets(own: F64, still: Bool, times_s: F64) -> F64:
    """Where ankle and ball are to be (T, 6)."""
    pull, place = np.zeros(len(own)), own.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(int), [0]])))
    for start, end in edges.reshape(-1, 2):
        away = np.maximum(np.maximum(times_s[start] - times_s, times_s - times_s[end - 1]), 0.0)
        share = np.clip(1 - away / _RAMP_S, 0, 1)
        share = share * share * (3 - 2 * share)
        stronger = share > pull
        place[stronger] = np.median(own[start:end], axis=0)
        pull = np.maximum(pull, share)
    return own + pull[:, None] * (place - own)


def _bent(leg: _Leg, start: F64, pelvis: F64, angles_rad: F64, offsets: F64, target: F64) -> F64:
    """Angles of the leg that bring ankle and ball to their targets: damped Gauss-Newton, all frames at once."""
    low, high = SKELETON.limits_rad[leg.angles].T
    first = angles_rad
    low, high = np.minimum(low, first), np.maximum(high, first)  # what was recorded is allowed
    eye = np.eye(angles_rad.shape[1])
    for _ in range(_STEPS):
        points = leg.points(start, pelvis, angles_rad, offsets)
        columns = [
            (leg.points(start, pelvis, angles_rad + _PROBE_RAD * row, offsets) - points) / _PROBE_RAD for row in eye
        ]
        jacobian = np.stack(columns, 2)
        normal = jacobian.transpose(0, 2, 1) @ jacobian + _DAMPING * eye
        pull = (jacobian.transpose(0, 2, 1) @ (target - points)[..., None])[..., 0] + 1e-2 * _DAMPING * (
            first - angles_rad
        )
        step = np.clip(np.linalg.solve(normal, pull[..., None])[..., 0], -_STEP_RAD, _STEP_RAD)
        angles_rad = np.clip(angles_rad + step, low, high)
    return angles_rad


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """The way from the data's axes to level ones: ``rotation @ point + shift_m``, floor at y = 0.

    Attributes:
        rotation: (3, 3).
        shift_m: (3,) [m].
        tilt_deg: Angle of the data's y axis to the vertical [degrees].
        error_m: Median distance of the standing feet from the floor [m].
    """

    rotation: F64
    shift_m: F64
    tilt_deg: float
    error_m: float


def find_floor(recording: Recording) -> Floor:
    """The floor from where feet stand; its slope also from how bodies stand, where the feet keep to a small place.

    Raises:
        FormatError: No foot ever stands, or what they stand on is as steep as no floor.
    """
    places = [_soles(track, recording) for track in tracks(recording)]
    if not places or sum(len(place[0]) for place in places) < 3:
        raise FormatError("no foot stands still long enough: the floor cannot be found")
    points, sole, upright = (np.concatenate(part) for part in zip(*places, strict=True))
    middle = np.median(points, axis=0)
    slope = _slope(points[:, [0, 2]] - middle[[0, 2]], points[:, 1] - middle[1], _usual_slope(upright))
    down = np.array([-slope[0], 1.0, -slope[1]]) / np.sqrt(1 + slope @ slope)
    tilt = float(np.degrees(np.arccos(np.clip(down[1], -1, 1))))
    if tilt > _STEEPEST_DEG:
        raise FormatError(f"the standing feet lie on a slope of {tilt:.0f} degrees, which is no floor")
    axis = np.cross(down, [0.0, 1.0, 0.0])
    length = float(np.linalg.norm(axis))
    rotation = rotation_from_vector(axis / max(length, 1e-12) * np.radians(tilt))
    heights = (points @ rotation.T)[:, 1] + sole
    level = float(np.median(heights))
    return Floor(rotation, np.array([0.0, -level, 0.0]), tilt, float(np.median(np.abs(heights - level))))


def _soles(track: Track, recording: Recording) -> tuple[F64, F64, F64]:
    """Balls of standing feet (N, 3), how far below each the floor lies (N,), ankles to neck meanwhile (N, 3) [m]."""
    people, points, soles, upright = recording.people, [np.zeros((0, 3))], [np.zeros(0)], [np.zeros((0, 3))]
    joints = people.joints_3d[track.rows].astype(np.float64)
    trunk = joints[:, JOINTS_3D.index("neck")] - joints[:, _ANKLES].mean(1)
    pelvis = matrix_from_quaternion(track.turns[:, [3, 0, 1, 2]])
    offsets = people.offsets[track.rows].astype(np.float64)
    for leg in _LEGS:
        start = track.root_m + (pelvis @ offsets[:, leg.joints[0], :, None])[..., 0]
        ball = leg.points(start, pelvis, track.angles_rad[:, leg.angles], offsets)[:, 3:]
        still = standing(ball, track.times_s)
        points.append(ball[still])
        size = np.linalg.norm(offsets[:, leg.joints[1:3]], axis=-1).sum(1) / _THIGH_SHIN_M
        soles.append(SOLE_M * size[still])
        upright.append(trunk[still])
    return np.concatenate(points), np.concatenate(soles), np.concatenate(upright)


def _usual_slope(upright: F64) -> F64:
    """Slope of a floor on which bodies stand upright on the whole; 0 where they do not point up at all."""
    x, y, z = np.median(upright / np.maximum(np.linalg.norm(upright, axis=1, keepdims=True), 1e-9), axis=0)
    return np.array([-x / y, -z / y]) if y < -0.5 else np.zeros(2)


def _slope(across: F64, height: F64, usual: F64) -> F64:
    """Rise of the floor along x and z: least squares with Huber's weights, drawn to the usual where feet tell little."""
    design = np.concatenate([across, np.ones((len(across), 1))], 1)
    draw = np.diag([_TELLING_M**2, _TELLING_M**2, 0.0])
    weight = np.ones(len(across))
    found = np.array([*usual, 0.0])
    for _ in range(20):
        scaled = design * weight[:, None] / weight.sum()
        found = np.linalg.solve(scaled.T @ design + draw, scaled.T @ height + draw @ [*usual, 0.0])
        error = np.abs(design @ found - height)
        weight = np.minimum(_HUBER_M / np.maximum(error, 1e-9), 1.0)
    return found[:2]
