"""Who is who over time: births, losses and returns of people, with ids that are never used twice."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from xnect.config import TrackingConfig
from xnect.errors import ShapeError, SourceError
from xnect.structures import (
    F32,
    F64,
    I64,
    STATE_LOST,
    STATE_NEW,
    STATE_TRACKED,
    U8,
    Bool,
    Detections,
    Poses,
    Tracks,
)
from xnect.tracking.cues import Cues, centres_px, observe
from xnect.tracking.matching import agreement, assign, compare
from xnect.tracking.memory import Memory, learn, newborn, predict

#: A detection with fewer joints than this, so near [body heights] to somebody just found, is a stray part of theirs.
_STRAY_JOINTS, _STRAY_REACH = 5, 0.5
#: Handicap in the matching of people just found against those known for long, and how long it lasts [s].
_YOUNG_COST, _YOUNG_TIME = 0.12, 1.0
#: A person never confirmed is forgotten after this time [s] or this many frames out of sight, whichever is longer.
_UNCONFIRMED_KEEP, _UNCONFIRMED_FRAMES = 0.2, 2
#: Weak evidence goes on with people who were surely found in so many frames more than they were not; more than the second
#: number are not counted.
_BACKED, _MOST_BACKING = 8, 30
#: A lost person is kept for at least so many frames, whatever the frame rate.
_KEEP_FRAMES = 3

_Arrays = TypeVar("_Arrays", Cues, Memory)


class Tracker:
    """Gives people ids that stay with them.

    One call a frame, in the order of time. All state is in arrays with a leading person axis.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget everybody; ids start at 1 again."""
        self._next_id = 1
        self._time_s: float | None = None
        self._usual_step_s = 0.0
        self._forget()

    def _forget(self) -> None:
        self._cues = observe(Detections.empty(), Poses.empty(), None)
        self._memory = newborn(np.zeros(0, np.int64), False)

    def __call__(self, detections: Detections, poses: Poses, image_bgr: U8 | None, timestamp_s: float) -> Tracks:
        """Find the people of one frame among those known.

        Args:
            detections: The people of this frame in 2D.
            poses: Their 3D poses, row for row; a depth of 0 means that the place is unknown.
            image_bgr: The frame, for the colours of clothes; None = judge by place and pose alone.
            timestamp_s: Time of the frame [s]; steps may vary. A jump back in time or a long gap forgets everybody.

        Returns:
            Everyone known. A detection that is a duplicate of another one belongs to nobody, and so does one that is not
            ``sure`` unless somebody well known is expected there whom no other detection continues: weak evidence says
            little alone and much where a person just was (Zhang et al., "ByteTrack", ECCV 2022).

        Raises:
            ShapeError: Detections and poses are not of the same people.
            SourceError: The time is not a finite number.
        """
        if len(poses) != len(detections):
            raise ShapeError(f"{len(detections)} detections but {len(poses)} poses: one pose per detection expected")
        step = self._advance_clock(timestamp_s)
        predict(self._cues, self._memory, step)
        found = observe(detections, poses, image_bgr if self._config.appearance else None)
        sure = np.ones(len(detections), np.bool_) if detections.sure is None else detections.sure
        rows = self._without_duplicates(found, detections.score + 10 * sure)
        if len(rows) < len(detections):
            found = _taken(found, rows)
        else:
            rows = np.arange(len(rows))
        pairs = compare(self._cues, self._memory.unseen_s, found)
        young = _YOUNG_COST * np.exp(-self._memory.age_s / _YOUNG_TIME)
        known, new = self._join(pairs.cost + young[:, None], sure[rows])
        distances = _distances(found)
        learn(
            self._cues,
            self._memory,
            known,
            found,
            new,
            pairs.mirrored[known, new],
            distances.min(1, initial=np.inf),
            step,
        )
        backed = np.zeros(len(self._memory.ids), np.bool_)
        backed[known] = sure[rows[new]]
        self._memory.backing[:] = np.clip(self._memory.backing + np.where(backed, 1, -1), 0, _MOST_BACKING)
        np.greater_equal(self._memory.hits, self._config.confirm_frames, out=self._memory.confirmed)
        row = np.full(len(self._memory.ids), -1, np.int64)
        row[known] = rows[new]
        free = sure[rows]
        free[new] = False
        if free.any():
            strangers = self._strangers(found, pairs.agree[known], distances[:, new], free, detections.score[rows])
            self._take_in(_taken(found, strangers))
            row = np.concatenate([row, rows[strangers]])
        row = row[self._drop()]
        state = np.where(row < 0, STATE_LOST, np.where(self._memory.confirmed, STATE_TRACKED, STATE_NEW))
        return Tracks(self._memory.ids.copy(), row, state.astype(np.int64))

    def _join(self, cost: F64, sure: Bool) -> tuple[I64, I64]:
        """Who goes on as whom: rows of those known and of the detections; those not sure get only what is left over."""
        known, new = assign(np.where(sure, cost, np.inf), self._config.max_cost)
        if sure.all():
            return known, new
        left = self._memory.confirmed & (self._memory.backing >= _BACKED)
        left[known] = False
        more, weak = assign(np.where(left[:, None] & ~sure, cost, np.inf), self._config.max_cost)
        return np.concatenate([known, more]), np.concatenate([new, weak])

    def _advance_clock(self, timestamp_s: float) -> float:
        """Time since the last frame [s]; forgets everybody where the source has jumped."""
        if not math.isfinite(timestamp_s):
            raise SourceError(f"time of the frame must be a finite number of seconds, got {timestamp_s}")
        before, self._time_s = self._time_s, timestamp_s
        if before is None:
            return 0.0
        step = timestamp_s - before
        limit = max(self._config.keep_s, _KEEP_FRAMES * self._usual_step_s)
        if self._usual_step_s and abs(step) > limit:
            self._forget()
            return self._usual_step_s
        if step <= 0:  # a clock that stutters
            return self._usual_step_s or 1 / 30
        self._usual_step_s += (0.2 if self._usual_step_s else 1.0) * (step - self._usual_step_s)
        return step

    def _without_duplicates(self, found: Cues, score: F32) -> I64:
        """Rows of the detections, ascending, without those that double a better one."""
        same = agreement(found) > self._config.duplicate_similarity
        keep = np.ones(len(score), np.bool_)
        if same.any():
            same |= same.T
            order = _best_first(found, score)
            for i, row in enumerate(order):  # rare, and few people
                better = order[:i]
                keep[row] = not (same[row, better] & keep[better]).any()
        return np.flatnonzero(keep)

    def _strangers(self, found: Cues, agree: F64, distances: F64, free: Bool, score: F32) -> I64:
        """Which of the free rows are new people, best first.

        Args:
            found: This frame's people.
            agree: (K, M), how far the joints of those just recognised agree with each.
            distances: (M, K), how far each is from the detections of those just recognised [body heights].
            free: bool (M,), not recognised.
            score: (M,).
        """
        if len(agree):  # a part that lies where somebody just recognised is expected to have it is theirs
            free = free & (agree.max(0) <= self._config.duplicate_similarity)
            few = (found.seen > 0).sum(1) < _STRAY_JOINTS
            free &= ~(few & (distances < _STRAY_REACH).any(1))
        order = _best_first(found, score)
        return order[free[order]]

    def _take_in(self, people: Cues) -> None:
        """Remember people who are not known yet, with ids in their order."""
        ids = np.arange(self._next_id, self._next_id + len(people.seen))
        self._next_id += len(ids)
        born = newborn(ids, self._config.confirm_frames <= 1)
        self._cues = _joined(self._cues, people)
        self._memory = _joined(self._memory, born)

    def _drop(self) -> Bool:
        """Forget those lost for too long; returns the mask of those who stay."""
        memory = self._memory
        keep_s = np.where(memory.confirmed, self._config.keep_s, min(_UNCONFIRMED_KEEP, self._config.keep_s))
        frames = np.where(memory.confirmed, _KEEP_FRAMES, _UNCONFIRMED_FRAMES)
        stay: Bool = (memory.unseen_s <= keep_s) | (memory.missed < frames)
        if not stay.all():
            self._cues = _taken(self._cues, stay)
            self._memory = _taken(memory, stay)
        return stay


def _taken(arrays: _Arrays, rows: np.ndarray) -> _Arrays:
    """A copy of some rows (numbers or a mask) of all arrays."""
    columns: tuple[Any, ...] = arrays
    return type(arrays)(*(a[rows] for a in columns))


def _joined(first: _Arrays, second: _Arrays) -> _Arrays:
    """The rows of both."""
    pairs: Any = zip(first, second)
    return type(first)(*(np.concatenate(pair) for pair in pairs))


def _best_first(people: Cues, score: F32) -> I64:
    """Rows by worth, then place, so that the order of the detections does not matter."""
    worth = score * people.seen.sum(1)
    centre = centres_px(people.joints_px, people.seen)
    return np.lexsort((centre[:, 1], centre[:, 0], -worth)).astype(np.int64)


def _distances(people: Cues) -> F64:
    """Distance between the middles of each two people [body heights of the second], infinite on the diagonal."""
    centre = centres_px(people.joints_px, people.seen)
    apart = centre[:, None] - centre[None]
    distance = np.hypot(apart[..., 0], apart[..., 1]) / people.stature_px
    np.fill_diagonal(distance, np.inf)
    return distance
