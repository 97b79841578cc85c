"""Clean-up of movement over time: gaps between sightings, and a Butterworth filter without lag."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.signal import butter, sosfiltfilt
from scipy.spatial.transform import Rotation, Slerp

from xnect.errors import ConfigError
from xnect.formats.people import People
from xnect.formats.recording import Recording
from xnect.geometry import matrix_from_quaternion
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import F64, I64, STATE_LOST

#: Each of the two passes has order 2; run both ways a filter's cut-off falls, so each pass is set higher by this.
_PASS_ORDER, _BOTH_WAYS = 2, (2**0.5 - 1) ** 0.25
#: Highest cut-off, in parts of the frame rate.
_HIGHEST = 0.4
_LEAST_FRAMES = 4


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What one person's body is made of, over some rows of a recording.

    Attributes:
        rows: Rows of ``recording.people``, int64 (R,).
        times_s: (R,) [s].
        root_m: (R, 3) [m].
        turns: Unit quaternions x, y, z, w without sign changes, (R, 4).
        angles_rad: (R, D) [rad].
    """

    rows: I64
    times_s: F64
    root_m: F64
    turns: F64
    angles_rad: F64


def tracks(recording: Recording, whole: bool = False) -> Iterator[Track]:
    """Everyone's rows without gaps between them, or (``whole``) everyone's rows at once."""
    people = recording.people
    for person_id in recording.ids:
        mine = np.flatnonzero(people.ids == person_id)
        cuts: I64 = np.flatnonzero(np.diff(recording.row_frame[mine]) > 1) + 1
        if whole:
            cuts = cuts[:0]
        for rows in np.split(mine, cuts):
            turns = people.root_rotation[rows][:, [1, 2, 3, 0]].astype(np.float64)
            flips = np.cumsum(np.concatenate([[0], (turns[1:] * turns[:-1]).sum(1) < 0])) % 2
            turns = np.where(flips[:, None] == 1, -turns, turns)
            yield Track(
                rows,
                recording.times_s[recording.row_frame[rows]],
                people.root_position[rows].astype(np.float64),
                turns / np.linalg.norm(turns, axis=1, keepdims=True),
                people.angles[rows].astype(np.float64),
            )


def with_bodies(people: People, rows: I64, root_m: F64, turns: F64, angles_rad: F64) -> People:
    """People with other bodies in some rows; joints by forward kinematics with the bones of each row."""
    quaternion = turns[:, [3, 0, 1, 2]]
    quaternion = quaternion * np.where(quaternion[:, :1] < 0, -1, 1)
    offsets = people.offsets[rows].astype(np.float64)
    space, _ = SKELETON.forward(root_m, matrix_from_quaternion(quaternion), angles_rad, offsets)
    new = {
        "root_position": root_m,
        "root_rotation": quaternion,
        "angles": angles_rad,
        "joints_3d": space[:, SKELETON.index_21],
    }
    columns = {}
    for name, values in new.items():
        columns[name] = getattr(people, name).copy()
        columns[name][rows] = values
    return dataclasses.replace(people, **columns)


def butterworth(recording: Recording, cutoff_hz: float) -> Recording:
    """Everyone's root and angles through a Butterworth filter of order 4 without lag; stretches between gaps alone.

    At ``cutoff_hz`` what is left is 71 % (-3 dB) of the whole filter, both passes together. Frames of an uneven clock
    are brought to the even rate and back by interpolation. Stretches of less than four frames stay as they are.

    Raises:
        ConfigError: The cut-off is above 0.4 times the rate.
    """
    fps = recording.header.fps
    if cutoff_hz > _HIGHEST * fps:
        raise ConfigError(
            f"cut-off {cutoff_hz:g} Hz at {fps:g} frames/s: at most {_HIGHEST * fps:g} Hz can be filtered"
        )
    each_hz = fps / np.pi * np.arctan(np.tan(np.pi * cutoff_hz / fps) / _BOTH_WAYS)
    filter_ = butter(_PASS_ORDER, each_hz, fs=fps, output="sos")
    people = recording.people
    for track in tracks(recording):
        if len(track.rows) >= _LEAST_FRAMES:
            values = np.concatenate([track.root_m, track.turns, np.unwrap(track.angles_rad, axis=0)], 1)
            smooth = _filtered(filter_, values, track.times_s, fps)
            turns = smooth[:, 3:7] / np.linalg.norm(smooth[:, 3:7], axis=1, keepdims=True)
            people = with_bodies(people, track.rows, smooth[:, :3], turns, smooth[:, 7:])
    return dataclasses.replace(recording, people=people)


def _filtered(filter_: np.ndarray, values: F64, times_s: F64, fps: float) -> F64:
    even = times_s[0] + np.arange(round(float(times_s[-1] - times_s[0]) * fps) + 1) / fps
    if len(even) < _LEAST_FRAMES:
        return values
    on_grid = len(even) == len(times_s) and np.abs(even - times_s).max() < 0.02 / fps
    grid = values if on_grid else _interpolated(even, times_s, values)
    smooth = sosfiltfilt(filter_, grid, axis=0, padlen=min(round(fps), len(grid) - 1))
    return smooth if on_grid else _interpolated(times_s, even, smooth)


def _interpolated(wanted: F64, known: F64, values: F64) -> F64:
    return np.stack([np.interp(wanted, known, column) for column in values.T], 1)


def fill_gaps(recording: Recording, longest_s: float) -> tuple[Recording, int]:
    """People in frames where they were not seen, between two where they were, at most ``longest_s`` apart.

    Root and angles go on smoothly (monotone cubic curves, rotations along the arc); 2D joints are unknown there, all
    joints are marked as inferred and the person as lost.

    Returns:
        The recording, and how many rows were added.
    """
    people, row_frame = recording.people, recording.row_frame
    parts, frames = [people], [row_frame]
    for track in tracks(recording, whole=True):
        places = row_frame[track.rows]
        short = (np.diff(places) > 1) & (np.diff(track.times_s) <= longest_s + 1e-6)
        gaps = np.flatnonzero(short)
        if not len(gaps):
            continue
        missing = np.concatenate([np.arange(places[g] + 1, places[g + 1]) for g in gaps])
        before = np.repeat(gaps, places[gaps + 1] - places[gaps] - 1)
        times = recording.times_s[missing]
        parts.append(_made_up(people, track, track.rows[before], times))
        frames.append(missing)
    joined = People(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(People)))
    place = np.concatenate(frames)
    order = np.lexsort((joined.ids, place))
    added = len(place) - len(row_frame)
    return dataclasses.replace(recording, people=joined.take(order), row_frame=place[order]), added


def _made_up(people: People, track: Track, rows: I64, times_s: F64) -> People:
    """Rows at times between a person's sightings; ``rows`` are those seen before each."""
    known, unique = np.unique(track.times_s, return_index=True)
    curve = PchipInterpolator(known, np.concatenate([track.root_m, track.angles_rad], 1)[unique], axis=0)
    values, turns = curve(times_s), Slerp(known, Rotation.from_quat(track.turns[unique]))(times_s).as_quat()
    base = people.take(rows)
    unseen = dataclasses.replace(
        base,
        state=np.full(len(rows), STATE_LOST, np.int64),
        score=np.zeros_like(base.score),
        box=_interpolated(times_s, known, people.box[track.rows][unique].astype(np.float64)).astype(np.float32),
        joints_2d=np.zeros_like(base.joints_2d),
        confidence_2d=np.zeros_like(base.confidence_2d),
        inferred=np.ones_like(base.inferred),
    )
    return with_bodies(unseen, np.arange(len(rows)), values[:, :3], turns, values[:, 3:])
