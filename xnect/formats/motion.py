"""One person's way through a recording at an even rate, as animation formats want it: no gaps, steady bones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from xnect.errors import FormatError
from xnect.formats.axes import Y_UP, turned
from xnect.formats.header import public_name
from xnect.formats.recording import Recording
from xnect.geometry import matrix_from_quaternion
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import F32, F64, I64, Bool

#: A frame of the recording this close to the even grid (share of the interval) is taken as it is.
_ON_GRID = 0.25
#: More frames than this are a damaged clock, not a recording (a week at 30 fps has 18 million).
MAX_FRAMES = 20_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """T frames from the person's first to the last; J joints of ``SKELETON``.

    Attributes:
        person_id: Whose motion it is.
        fps: Even rate [1/s].
        times_s: On the source's clock, float64 (T,) [s].
        root_position: Y up, float64 (T, 3) [m].
        local: Rotation relative to the parent, the root's to the Y-up world, float64 (T, J, 3, 3).
        offsets: From the parent in the T-pose, the same in all frames, float64 (J, 3) [m].
        joints_3d: float32 (T, 21, 3), camera space [m].
        inferred: bool (T, 21); True all over where the person was not seen.
        absent: bool (T,), True where the person was not seen and the frame lies between two that were.
        resampled: Frames that fell between those of the recording (uneven clock).
        gaps: Times (from, to) without the person, (G, 2) [s].
    """

    person_id: int
    fps: float
    times_s: F64
    root_position: F64
    local: F64
    offsets: F64
    joints_3d: F32
    inferred: Bool
    absent: Bool
    resampled: int
    gaps: F64

    def __len__(self) -> int:
        return len(self.times_s)

    def story(self, recording: Recording) -> dict[str, Any]:
        """What a side file tells: where the motion starts, what was filled in, units and axes."""
        return {
            "person": self.person_id,
            "source": public_name(recording.header.source.name),
            "program": dict(recording.header.program),
            "fps": self.fps,
            "frames": len(self),
            "start_s": round(float(self.times_s[0]), 6),
            "end_s": round(float(self.times_s[-1]), 6),
            "resampled_frames": self.resampled,
            "filled_frames": int(self.absent.sum()),
            "gaps_s": np.round(self.gaps, 6).tolist(),
            "filtered": recording.header.filtered,
            "inferred_share": dict(zip(JOINTS_3D, np.round(self.inferred.mean(0), 3).tolist(), strict=True)),
        }


def even_grid(recording: Recording) -> F64:
    """Even times from the first to the last frame of a recording [s]; raises FormatError for a mad clock."""
    if not len(recording):
        return np.zeros(0)
    fps, times = recording.header.fps, recording.times_s
    count = float(times[-1] - times[0]) * fps
    if count > MAX_FRAMES:
        raise FormatError(
            f"the recording lasts {times[-1] - times[0]:.0f} s at {fps:g} frames/s: too long for this format"
        )
    return times[0] + np.arange(round(count) + 1) / fps


def motion_of(recording: Recording, person_id: int) -> Motion:
    """One person's motion on the recording's even grid.

    Where the person was not seen, and where the clock was uneven, positions and angles are interpolated between the
    neighbours.

    Raises:
        FormatError: The recording was made with another skeleton.
        KeyError: Nobody has this id.
    """
    header = recording.header
    if header.angles != SKELETON.angle_names:
        raise FormatError(
            "the recording's joint angles are not those of this version's skeleton; positions only can be used"
        )
    mine = recording.person(person_id)
    people, rows = mine.people, mine.row_frame
    own = recording.times_s[rows]
    grid = even_grid(recording)
    half = 0.5 / header.fps
    grid = grid[(grid >= own[0] - half) & (grid <= own[-1] + half)]
    place = between(grid, own, rows, header.fps)
    local = SKELETON.local_rotations(place.mixed(people.angles))
    turns = Rotation.from_matrix(Y_UP @ matrix_from_quaternion(_unit(people.root_rotation)))
    step = (turns[place.below].inv() * turns[place.above]).as_rotvec()
    local[:, 0] = (turns[place.below] * Rotation.from_rotvec(step * place.share[:, None])).as_matrix()
    in_between = (place.share > 0) & (place.share < 1)
    return Motion(
        person_id=person_id,
        fps=header.fps,
        times_s=grid,
        root_position=turned(place.mixed(people.root_position), Y_UP),
        local=local,
        offsets=_steady_offsets(people.offsets),
        joints_3d=place.mixed(people.joints_3d).astype(np.float32),
        inferred=people.inferred[place.nearest] | place.absent[:, None],
        absent=place.absent,
        resampled=int((in_between & ~place.absent).sum()),
        gaps=_gaps(own, rows),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """Where each time of an even grid lies between a person's rows: value = row[below] (1 - share) + row[above] share.

    Attributes:
        below, above: int64 (T,).
        share: float64 (T,), 0 to 1; exactly 0 or 1 where a frame lies near enough to be taken as it is.
        absent: bool (T,), True where frames without the person lie between the two rows.
    """

    below: I64
    above: I64
    share: F64
    absent: Bool

    @property
    def nearest(self) -> I64:
        """The nearer row, int64 (T,)."""
        return np.where(self.share < 0.5, self.below, self.above)

    def mixed(self, values: np.ndarray) -> F64:
        """Rows (R, ...) at the grid's times, float64 (T, ...)."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return values[self.below] * (1.0 - share) + values[self.above] * share


def between(grid: F64, own_s: F64, row_frame: I64, fps: float) -> Between:
    """Find a person's rows around each time of an even grid.

    Args:
        grid: Times asked for (T,), ascending [s].
        own_s: Times at which the person was seen (R,), ascending [s].
        row_frame: Position of those frames in the recording (R,).
        fps: Rate of the grid [1/s].
    """
    below = np.clip(np.searchsorted(own_s, grid, "right") - 1, 0, max(len(own_s) - 2, 0))
    above = np.minimum(below + 1, len(own_s) - 1)
    span = np.maximum(own_s[above] - own_s[below], 1e-9)
    share = np.clip((grid - own_s[below]) / span, 0.0, 1.0)
    share = np.where(np.abs(grid - own_s[below]) <= _ON_GRID / fps, 0.0, share)
    share = np.where(np.abs(grid - own_s[above]) <= _ON_GRID / fps, 1.0, share)
    absent = (share > 0) & (share < 1) & (row_frame[above] - row_frame[below] > 1)
    return Between(below, above, share, absent)


def _gaps(own: F64, rows: I64) -> F64:
    starts = np.flatnonzero(np.diff(rows) > 1)
    return np.stack([own[starts], own[starts + 1]], 1) if len(starts) else np.zeros((0, 2))


def _steady_offsets(offsets: F32) -> F64:
    """The median over time of what is known; the average adult's where nothing is."""
    known = offsets[np.abs(offsets).sum((1, 2)) > 0] if offsets.shape[1] else offsets
    if not len(known) or known.shape[1] != len(SKELETON.joint_names):
        return SKELETON.rest_offsets_m.copy()
    return np.median(known.astype(np.float64), axis=0)


def _unit(quaternions: F32) -> F64:
    wide = quaternions.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=-1, keepdims=True)
