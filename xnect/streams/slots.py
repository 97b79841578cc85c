"""Which person plays which avatar, and what an avatar does while its person is away."""

from __future__ import annotations

import numpy as np

from xnect.skeleton.kinematics import SOLE_M
from xnect.streams.humanoid import BONES, Humanoids, chained, rest_turns
from xnect.structures import F64, I64, Bool

#: A lost person's avatar stays as it is for so long (most are back by then), ...
HOLD_S = 0.4
#: ... then goes over to standing at ease; who comes back takes as long to take the avatar over.
BLEND_S = 0.5
#: After this time without its person an avatar is given to the next one.
FORGET_S = 5.0
#: How slowly the floor follows the lowest point of a person; a jump must not move it.
FLOOR_S = 2.0
_LIVE, _HELD, _RESTING = 0, 1, 2


class Slots:
    """Avatars as arrays with a leading slot axis S; B bones each.

    Attributes:
        ids: Whose avatar it is, int64 (S,), -1 = nobody's.
        turns, places: What the avatar shows, float64 (S, B, 4) x, y, z, w and (S, B, 3) [m], as in ``Humanoids`` but
            with the hips relative to ``roots``.
        roots: Where it stands: the floor below the place at which its person was first seen, float64 (S, 3) [m].
    """

    def __init__(self, count: int) -> None:
        self.ids: I64 = np.full(count, -1)
        self.turns: F64 = np.zeros((count, len(BONES), 4))
        self.turns[..., 3] = 1.0
        self.places: F64 = np.zeros((count, len(BONES), 3))
        self.roots: F64 = np.zeros((count, 3))
        self._phase: I64 = np.full(count, _LIVE)
        self._since_s = np.zeros(count)
        self._share = np.ones(count)  # how far the blend has come
        self._from_turns, self._from_places = self.turns.copy(), self.places.copy()
        self._to_turns, self._to_places = self.turns.copy(), self.places.copy()
        self._last_s = 0.0
        self._rest = rest_turns()

    @property
    def used(self) -> Bool:
        """Which avatars have a person, bool (S,)."""
        return self.ids >= 0

    @property
    def seen(self) -> Bool:
        """Which persons are in sight, bool (S,)."""
        return self.used & (self._phase == _LIVE)

    def update(self, people: Humanoids, now_s: float) -> I64:
        """Take in who is there now; returns the slots that became nobody's.

        Args:
            people: Everyone in sight.
            now_s: A clock that runs on while nobody is in sight [s].
        """
        step_s = min(max(now_s - self._last_s, 0.0), 1.0)
        self._last_s = now_s
        self._lose(np.flatnonzero(self.used & ~np.isin(self.ids, people.ids)), now_s)
        rows = self._assign(people, now_s)
        slots = np.flatnonzero(rows >= 0)
        self._show(slots, people, rows[slots], step_s)
        self._blend(step_s)
        gone = np.flatnonzero(self.used & (self._phase != _LIVE) & (now_s - self._since_s > FORGET_S))
        self.ids[gone] = -1
        return gone

    def _assign(self, people: Humanoids, now_s: float) -> I64:
        """Row of each slot's person, (S,), -1 = not in sight; newcomers get the first free avatar."""
        rows = np.full(len(self.ids), -1)
        for row, person in enumerate(people.ids.tolist()):
            known = np.flatnonzero(self.ids == person)
            slot = int(known[0]) if len(known) else self._free(people.ids)
            if slot < 0:
                continue  # more people than avatars
            rows[slot] = row
            if not len(known):
                self.ids[slot] = person
                self._phase[slot], self._share[slot], self._since_s[slot] = _LIVE, 1.0, now_s
                self.roots[slot] = people.places[row, 0]
                self.roots[slot, 1] = people.lowest[row]
        return rows

    def _free(self, present: I64) -> int:
        """A slot for a newcomer: nobody's, or that of the person who has been away longest; -1 = none."""
        empty = np.flatnonzero(~self.used)
        if len(empty):
            return int(empty[0])
        away = np.flatnonzero((self._phase != _LIVE) & ~np.isin(self.ids, present))
        return int(away[np.argmin(self._since_s[away])]) if len(away) else -1

    def _show(self, slots: I64, people: Humanoids, rows: I64, step_s: float) -> None:
        back = slots[self._phase[slots] == _RESTING]
        self._start_blend(back)
        self._phase[slots] = _LIVE
        follow = 1.0 - np.exp(-step_s / FLOOR_S)
        self.roots[slots, 1] += follow * (people.lowest[rows] - self.roots[slots, 1])
        self._to_turns[slots], self._to_places[slots] = people.turns[rows], people.places[rows]
        self._to_places[slots, 0] -= self.roots[slots]

    def _lose(self, slots: I64, now_s: float) -> None:
        fresh = slots[self._phase[slots] == _LIVE]
        self._phase[fresh], self._since_s[fresh] = _HELD, now_s
        tired = slots[(self._phase[slots] == _HELD) & (now_s - self._since_s[slots] >= HOLD_S)]
        if not len(tired):
            return
        self._start_blend(tired)
        self._phase[tired] = _RESTING
        hips = self.turns[tired, 0] * [0.0, 1.0, 0.0, 1.0]  # the heading alone
        norm = np.linalg.norm(hips, axis=-1, keepdims=True)
        hips = np.where(norm > 1e-3, hips / np.maximum(norm, 1e-3), [0.0, 0.0, 0.0, 1.0])
        self._to_turns[tired] = self._rest
        self._to_turns[tired, 0] = hips
        rest, standing = self._to_turns[tired], self._to_places[tired].copy()
        standing[:, 0] = 0.0
        self._to_places[tired, 0, 1] = SOLE_M - chained(rest, standing)[..., 1].min(1)

    def _start_blend(self, slots: I64) -> None:
        self._from_turns[slots], self._from_places[slots] = self.turns[slots], self.places[slots]
        self._share[slots] = 0.0

    def _blend(self, step_s: float) -> None:
        """Move on what is shown: along the shorter way from where the blend began to where it goes."""
        there = self.used & (self._phase != _HELD)
        self._share[there] = np.minimum(self._share[there] + step_s / BLEND_S, 1.0)
        moving = there & (self._share < 1.0)
        there &= ~moving
        self.turns[there], self.places[there] = self._to_turns[there], self._to_places[there]
        if not moving.any():
            return
        share = self._share[moving]
        share = (share * share * (3.0 - 2.0 * share))[:, None, None]
        a, b = self._from_turns[moving], self._to_turns[moving]
        near = np.where((a * b).sum(-1, keepdims=True) < 0, -a, a)
        mixed = near * (1.0 - share) + b * share
        self.turns[moving] = mixed / np.maximum(np.linalg.norm(mixed, axis=-1, keepdims=True), 1e-9)
        self.places[moving] = self._from_places[moving] * (1.0 - share) + self._to_places[moving] * share
