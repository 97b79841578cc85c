"""Joints as markers for laboratory programs: names and even time grids, shared by C3D and TRC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnect.errors import FormatError
from xnect.formats.motion import between, even_grid
from xnect.formats.recording import Recording
from xnect.skeleton.joints import JOINTS_3D
from xnect.structures import F64, Bool

_NAMES = {"pelvis": "Hip", "head_top": "Head", "neck": "Neck", "head": "HeadCentre", "spine": "Spine", "toe": "BigToe"}


def marker_name(joint: str) -> str:
    """Short ASCII name as the OpenSim models of Pose2Sim and Sports2D have it, such as "RShoulder"."""
    side, _, part = joint.partition("_")
    if side not in ("right", "left"):
        return _NAMES[joint]
    return side[0].upper() + _NAMES.get(part, part.capitalize())


MARKERS: tuple[str, ...] = tuple(marker_name(name) for name in JOINTS_3D)


@dataclass(frozen=True, slots=True, eq=False)
class MarkerTrack:
    """One person's joints on the recording's even grid of T times.

    Attributes:
        person_id: Whose joints.
        joints_3d: float64 (T, 21, 3), camera space [m]; between two sightings interpolated.
        there: bool (T,), whether the person was seen about then.
        inferred: bool (T, 21).
    """

    person_id: int
    joints_3d: F64
    there: Bool
    inferred: Bool

    @property
    def span(self) -> slice:
        """From the first to the last time the person was seen."""
        seen = np.flatnonzero(self.there)
        return slice(int(seen[0]), int(seen[-1]) + 1)


def marker_tracks(recording: Recording) -> tuple[F64, list[MarkerTrack]]:
    """Even times (T,) [s] and everyone's joints at them; raises FormatError for an empty recording."""
    if not len(recording.people):
        raise FormatError("nobody was seen: a marker file needs at least one person")
    grid = even_grid(recording)
    return grid, [_track(recording, person_id, grid) for person_id in recording.ids]


def _track(recording: Recording, person_id: int, grid: F64) -> MarkerTrack:
    mine = recording.person(person_id)
    own = recording.times_s[mine.row_frame]
    place = between(grid, own, mine.row_frame, recording.header.fps)
    half = 0.5 / recording.header.fps
    inside = (grid >= own[0] - half) & (grid <= own[-1] + half)
    return MarkerTrack(
        person_id,
        place.mixed(mine.people.joints_3d),
        inside & ~place.absent,
        mine.people.inferred[place.nearest] | place.absent[:, None],
    )
