"""Who is who over time: births, losses and returns of people, with ids that are never used twice."""

from __future__ import annotations

import math

import numpy as np

from xnect.config import TrackingConfig
from xnect.errors import ShapeError, SourceError
from xnect.skeleton.joints import FLIP_2D
from xnect.structures import (
    F32,
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
from xnect.tracking import appearance
from xnect.tracking.cues import Cues, centres_px, observe
from xnect.tracking.matching import agreement, assign, compare

#: Response of the speed estimate, and how fast the speed of a person out of sight dies away [s].
_SPEED_TIME, _SPEED_MEMORY = 0.08, 0.4
#: How long a joint that is hidden while its person is seen is still expected where it was [s].
_JOINT_MEMORY = 0.5
#: Response of the running means of size and depth, and of colours [s].
_SIZE_TIME, _COLOUR_TIME = 0.3, 1.0
#: People nearer to each other than this [body heights] hide each other: their colours are not learnt.
_CROWDED = 0.3
#: A detection with fewer joints than this, so near [body heights] to somebody just found, is a stray part of theirs.
_STRAY_JOINTS, _STRAY_REACH = 5, 0.5
#: Handicap in the matching of people just found against those known for long, and how long it lasts [s].
_YOUNG_COST, _YOUNG_TIME = 0.12, 1.0
#: A person never confirmed is forgotten after this time [s] or this many frames out of sight, whichever is longer.
_UNCONFIRMED_KEEP, _UNCONFIRMED_FRAMES = 0.2, 2
#: A lost person is kept for at least so many frames, whatever the frame rate.
_KEEP_FRAMES = 3


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
        self._speed = np.zeros((0, 2), np.float32)
        self._ids = np.zeros(0, np.int64)
        self._hits = np.zeros(0, np.int64)
        self._missed = np.zeros(0, np.int64)
        self._unseen_s = np.zeros(0, np.float32)
        self._age_s = np.zeros(0, np.float32)
        self._confirmed = np.zeros(0, np.bool_)

    def __call__(self, detections: Detections, poses: Poses, image_bgr: U8 | None, timestamp_s: float) -> Tracks:
        """Find the people of one frame among those known.

        Args:
            detections: The people of this frame in 2D.
            poses: Their 3D poses, row for row; a depth of 0 means that the place is unknown.
            image_bgr: The frame, for the colours of clothes; None = judge by place and pose alone.
            timestamp_s: Time of the frame [s]; steps may vary. A jump back in time or a long gap forgets everybody.

        Returns:
            Everyone known. A detection that is a duplicate of another one belongs to nobody.

        Raises:
            ShapeError: Detections and poses are not of the same people.
            SourceError: The time is not a finite number.
        """
        if len(poses) != len(detections):
            raise ShapeError(f"{len(detections)} detections but {len(poses)} poses: one pose per detection expected")
        step = self._advance_clock(timestamp_s)
        self._predict(step)
        found = observe(detections, poses, image_bgr if self._config.appearance else None)
        rows = self._without_duplicates(found, detections.score)
        found = found.take(rows)
        pairs = compare(self._cues, self._unseen_s, found)
        young = _YOUNG_COST * np.exp(-self._age_s / _YOUNG_TIME)
        known, new = assign(pairs.cost + young[:, None], self._config.max_cost)
        self._update(known, found.take(new), pairs.mirrored[known, new], step)
        row = np.full(len(self._ids), -1, np.int64)
        row[known] = rows[new]

        free = np.ones(len(rows), np.bool_)
        free[new] = False
        if len(known):  # a fragment that lies where somebody just found is expected to have these joints
            free &= pairs.agree[known].max(0) <= self._config.duplicate_similarity
            few = (found.seen > 0).sum(1) < _STRAY_JOINTS
            if (free & few).any():
                near = _distances(found, found.take(new)) < _STRAY_REACH
                free &= ~(few & near.any(1))
        row = np.concatenate([row, self._add(found.take(free), rows[free])])
        row = row[self._drop()]
        state = np.where(row < 0, STATE_LOST, np.where(self._confirmed, STATE_TRACKED, STATE_NEW)).astype(np.int64)
        return Tracks(self._ids.copy(), row, state)

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

    def _predict(self, step: float) -> None:
        """Move everybody to where they are expected now."""
        self._cues.joints_px = (self._cues.joints_px + step * self._speed[:, None]).astype(np.float32)
        lost = self._missed > 0
        self._speed = (self._speed * np.where(lost, math.exp(-step / _SPEED_MEMORY), 1)[:, None]).astype(np.float32)
        self._unseen_s = (self._unseen_s + np.float32(step)).astype(np.float32)
        self._age_s = (self._age_s + np.float32(step)).astype(np.float32)
        self._missed = self._missed + 1

    def _without_duplicates(self, found: Cues, score: F32) -> I64:
        """Rows of the detections, without those that are another one's duplicate, in an order of their own."""
        worth = score * found.seen.sum(1)
        order = np.lexsort((found.joints_px[:, :, 1].sum(1), found.joints_px[:, :, 0].sum(1), -worth))
        same = agreement(found)[np.ix_(order, order)] > self._config.duplicate_similarity
        same |= same.T
        keep = np.ones(len(order), np.bool_)
        for i in np.flatnonzero(np.triu(same).any(0)):  # rare: only people with a better double before them
            keep[i] = not (same[:i, i] & keep[:i]).any()
        return order[keep].astype(np.int64)

    def _update(self, known: I64, found: Cues, mirrored: Bool, step: float) -> None:
        """Learn from this frame's people ``found`` what the people ``known``, row for row, look like now."""
        if not len(known):
            return
        old = self._cues.take(known)
        old.joints_px[mirrored] = old.joints_px[mirrored][:, FLIP_2D]
        old.seen[mirrored] = old.seen[mirrored][:, FLIP_2D]
        away = self._unseen_s[known]
        common = (old.seen * found.seen)[..., None]
        moved = (common * (found.joints_px - old.joints_px)).sum(1) / np.maximum(common.sum(1), 1e-6)
        share = 1 - np.exp(-away / _SPEED_TIME)
        self._speed[known] += (share / np.maximum(away, 1e-3))[:, None] * moved

        expected = old.joints_px + moved[:, None]
        visible = found.seen > 0
        found.joints_px = np.where(visible[..., None], found.joints_px, expected).astype(np.float32)
        faded = old.seen * math.exp(-step / _JOINT_MEMORY)
        found.seen = np.where(visible, found.seen, np.where(faded > 0.05, faded, 0)).astype(np.float32)

        share = (1 - np.exp(-away / _SIZE_TIME)).astype(np.float32)
        found.stature_px = old.stature_px + share * (found.stature_px - old.stature_px)
        known_depth = (old.root_m[:, 2] > 0) & (found.root_m[:, 2] > 0)
        share_depth = np.where(known_depth, share, found.root_m[:, 2] > 0)[:, None]
        found.root_m = (old.root_m + share_depth * (found.root_m - old.root_m)).astype(np.float32)
        apart = _distances(found, found)
        np.fill_diagonal(apart, np.inf)
        rate = (1 - np.exp(-away / _COLOUR_TIME)) * (apart.min(1) >= _CROWDED)
        found.colours, found.colour_weight = appearance.blend(
            old.colours, old.colour_weight, found.colours, found.colour_weight, rate.astype(np.float32)
        )
        self._cues.put(known, found)
        self._hits[known] += 1
        self._confirmed[known] |= self._hits[known] >= self._config.confirm_frames
        self._unseen_s[known] = 0
        self._missed[known] = 0

    def _add(self, people: Cues, rows: I64) -> I64:
        """Take people in who are not known yet; returns their detection rows, in the order of their new ids."""
        count = len(people)
        if count:
            self._cues = self._cues.joined(people)
            self._speed = np.concatenate([self._speed, np.zeros((count, 2), np.float32)])
            self._ids = np.concatenate([self._ids, np.arange(self._next_id, self._next_id + count)])
            self._hits = np.concatenate([self._hits, np.ones(count, np.int64)])
            self._missed = np.concatenate([self._missed, np.zeros(count, np.int64)])
            self._unseen_s = np.concatenate([self._unseen_s, np.zeros(count, np.float32)])
            self._age_s = np.concatenate([self._age_s, np.zeros(count, np.float32)])
            self._confirmed = np.concatenate([self._confirmed, np.full(count, self._config.confirm_frames <= 1)])
            self._next_id += count
        return rows

    def _drop(self) -> np.ndarray:
        """Forget those lost for too long; returns the mask of those who stay."""
        keep_s = np.where(self._confirmed, self._config.keep_s, min(_UNCONFIRMED_KEEP, self._config.keep_s))
        frames = np.where(self._confirmed, _KEEP_FRAMES, _UNCONFIRMED_FRAMES)
        stay = (self._unseen_s <= keep_s) | (self._missed < frames)
        if not stay.all():
            self._cues = self._cues.take(stay)
            self._speed, self._ids, self._hits = self._speed[stay], self._ids[stay], self._hits[stay]
            self._missed, self._unseen_s = self._missed[stay], self._unseen_s[stay]
            self._age_s, self._confirmed = self._age_s[stay], self._confirmed[stay]
        return stay


def _distances(people: Cues, others: Cues) -> np.ndarray:
    """Distance between the middles of each of ``people`` and each of ``others``, (N, M) [body heights of the other]."""
    apart = centres_px(people.joints_px, people.seen)[:, None] - centres_px(others.joints_px, others.seen)[None]
    return np.hypot(apart[..., 0], apart[..., 1]) / others.stature_px
