"""A recording under review: who is who frame by frame, mended over spans, undone, saved anew (no Qt)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xnect.geometry import matrix_from_quaternion, quaternion_from_matrix
from xnect.structures import F64, FrameResult

if TYPE_CHECKING:
    from xnect.formats.recording import Recording


def seen_by_camera(result: FrameResult, turn: F64, place_m: F64) -> FrameResult:
    """A result in the axes of a room, as its camera sees it; angles and pixels are the same in both.

    Args:
        result: Joints and roots in the room's axes.
        turn: Rotation (3, 3) from the camera's axes to the room's.
        place_m: Where the camera stands in the room (3,) [m].
    """
    people = []
    for person in result.people:
        position, rotation = person.root
        quaternion = rotation.astype(np.float64)
        turned = turn.T @ matrix_from_quaternion(quaternion / np.linalg.norm(quaternion))
        root = (
            ((position - place_m) @ turn).astype(np.float32),
            np.asarray(quaternion_from_matrix(turned), np.float32),
        )
        joints = ((person.joints_3d - place_m) @ turn).astype(np.float32)
        people.append(dataclasses.replace(person, joints_3d=joints, root=root))
    return dataclasses.replace(result, people=tuple(people))


class Review:
    """Holds a recording and the user's id corrections; the recording itself is never changed.

    Attributes:
        recording: What was loaded.
        path: Where from.
        floor: Unit vector upwards in camera axes and the camera's height above the ground [m], None where the recording
            does not tell: its axes are the camera's.
        span: First and last position (frame rows, both included) that repairs act on.
    """

    def __init__(self, recording: Recording, path: Path) -> None:
        self.recording = recording
        self.path = path
        self.span = (0, max(0, len(recording) - 1))
        self.floor: tuple[F64, float] | None = None
        self._results = list(recording.results())
        pose = recording.header.camera_pose
        turn, place = matrix_from_quaternion(np.array(pose.rotation)), np.array(pose.position_m)
        if place.any() or not np.allclose(turn, np.eye(3)):
            self._results = [seen_by_camera(r, turn, place) for r in self._results]
            self.floor = turn.T @ [0.0, -1.0, 0.0], -float(place[1])
        times = recording.times_s
        self._times_s = times - times[0] if len(times) else times
        self._row_start = np.searchsorted(recording.row_frame, np.arange(len(recording) + 1))
        self._ids = recording.people.ids.copy()
        self._keep = np.ones(len(self._ids), bool)
        self._undo: list[tuple[np.ndarray, np.ndarray]] = []
        self._saved = 0

    @property
    def times_s(self) -> np.ndarray:
        """Time of each frame since the first one [s]."""
        return self._times_s

    @property
    def dirty(self) -> bool:
        """Whether there are repairs that are not saved."""
        return len(self._undo) != self._saved

    @property
    def can_undo(self) -> bool:
        """Whether a repair can be taken back."""
        return bool(self._undo)

    @property
    def ids(self) -> list[int]:
        """Everyone who appears, with the repairs."""
        return [int(i) for i in np.unique(self._ids[self._keep])]

    def position_at(self, time_s: float) -> int:
        """The frame nearest in time."""
        times = self.times_s
        if len(times) == 0:
            return 0
        right = int(np.clip(np.searchsorted(times, time_s), 1, max(1, len(times) - 1)))
        right = min(right, len(times) - 1)
        left = max(0, right - 1)
        return left if abs(times[left] - time_s) <= abs(times[right] - time_s) else right

    def result_at(self, position: int) -> FrameResult:
        """What was found in a frame, with the repairs; in the camera's axes, whatever the recording's are."""
        result = self._results[position]
        rows = slice(self._row_start[position], self._row_start[position + 1])
        people = [
            p if p.id == pid else dataclasses.replace(p, id=int(pid))
            for p, pid, keep in zip(result.people, self._ids[rows], self._keep[rows], strict=True)
            if keep
        ]
        when = float(self._times_s[position])
        return dataclasses.replace(result, timestamp_s=when, people=tuple(sorted(people, key=lambda p: p.id)))

    # ---- repairs

    def mark(self, start: int | None = None, end: int | None = None) -> None:
        """Set an end of the span; the other end moves along where it would be passed."""
        first, last = self.span
        if start is not None:
            first, last = start, max(start, last)
        if end is not None:
            first, last = min(first, end), end
        self.span = (first, last)

    def mark_all(self) -> None:
        """The span is the whole recording."""
        self.span = (0, max(0, len(self.recording) - 1))

    def _rows(self) -> np.ndarray:
        """Which rows lie in the span, bool (N,)."""
        rows = np.zeros(len(self._ids), bool)
        rows[self._row_start[self.span[0]] : self._row_start[self.span[1] + 1]] = True
        return rows

    def _remember(self) -> None:
        del self._undo[:-100]
        self._undo.append((self._ids.copy(), self._keep.copy()))

    def join(self, gone: int, kept: int) -> int:
        """In the span ``gone`` becomes ``kept``; where both are in one frame, the surer one stays.

        Returns:
            In how many frames both were there.
        """
        self._remember()
        rows = self._rows() & self._keep
        a, b = np.flatnonzero(rows & (self._ids == gone)), np.flatnonzero(rows & (self._ids == kept))
        frame = self.recording.row_frame
        _, ia, ib = np.intersect1d(frame[a], frame[b], return_indices=True)
        score = self.recording.people.score
        worse = np.where(score[a[ia]] <= score[b[ib]], a[ia], b[ib])
        self._keep[worse] = False
        self._ids[a] = kept
        return len(worse)

    def swap(self, a: int, b: int) -> None:
        """In the span two people change numbers."""
        self._remember()
        rows = self._rows()
        is_a, is_b = rows & (self._ids == a), rows & (self._ids == b)
        self._ids[is_a], self._ids[is_b] = b, a

    def split(self, person: int) -> int:
        """In the span a person gets a new number, which is returned."""
        self._remember()
        new = int(self._ids.max(initial=0)) + 1
        self._ids[self._rows() & (self._ids == person)] = new
        return new

    def delete(self, person: int) -> None:
        """In the span a person is removed."""
        self._remember()
        self._keep[self._rows() & (self._ids == person)] = False

    def undo(self) -> None:
        """Take back the last repair."""
        if self._undo:
            self._ids, self._keep = self._undo.pop()

    # ---- out

    def mended(self, only: int | None = None) -> Recording:
        """The recording with the repairs (and just one person where asked)."""
        keep = self._keep if only is None else self._keep & (self._ids == only)
        order = np.lexsort((self._ids, self.recording.row_frame))
        order = order[keep[order]]
        people = dataclasses.replace(self.recording.people, ids=self._ids).take(order)
        return dataclasses.replace(self.recording, row_frame=self.recording.row_frame[order], people=people)

    def saved(self) -> None:
        """The present state is on disk."""
        self._saved = len(self._undo)
