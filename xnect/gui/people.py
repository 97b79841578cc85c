"""Who is in the list: names, colours, hidden and solo marks, and ids corrected by hand (no Qt)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from xnect.gui.history import person_height_m
from xnect.gui.palette import Rgb, person_rgb
from xnect.gui.text import person_name
from xnect.structures import FrameResult, Person


@dataclass
class Entry:
    """One row of the people list.

    Attributes:
        id: Number of the person.
        name: What the user calls the person; empty = "Person <id>".
        hidden: Not drawn, not plotted (still recorded).
        visible_s: How long the person has been seen in all [s].
        height_m: Body height, smoothed [m].
        score: How sure the last sight was, 0 to 1.
        seen_at_s: Time of the last sight on the source's clock [s].
        present: Seen in the last frame.
    """

    id: int
    name: str = ""
    hidden: bool = False
    visible_s: float = 0.0
    height_m: float = 0.0
    score: float = 0.0
    seen_at_s: float = 0.0
    present: bool = False

    @property
    def title(self) -> str:
        """Name to show."""
        return self.name or person_name(self.id)

    @property
    def rgb(self) -> Rgb:
        """Colour of box, label and plot."""
        return person_rgb(self.id)


class IdMap:
    """Corrections of ids while running: what the tracker calls ``a`` the user calls ``b``."""

    def __init__(self) -> None:
        self._to: dict[int, int] = {}

    def clear(self) -> None:
        """No corrections."""
        self._to.clear()

    def __call__(self, tracker_id: int) -> int:
        """The user's id."""
        return self._to.get(tracker_id, tracker_id)

    def merge(self, gone: int, kept: int) -> None:
        """From now on everyone shown as ``gone`` is shown as ``kept``."""
        for key in [k for k, v in self._to.items() if v == gone] + ([gone] if gone not in self._to else []):
            self._to[key] = kept

    def swap(self, a: int, b: int) -> None:
        """From now on ``a`` and ``b`` are exchanged."""
        from_a = [k for k, v in self._to.items() if v == a] + ([a] if a not in self._to else [])
        from_b = [k for k, v in self._to.items() if v == b] + ([b] if b not in self._to else [])
        self._to.update(dict.fromkeys(from_a, b))
        self._to.update(dict.fromkeys(from_b, a))

    def merged(self) -> list[tuple[int, int]]:
        """Pairs (gone, kept) of ids that nobody carries any more."""
        kept = set(self._to.values())
        return [(a, b) for a, b in self._to.items() if a != b and a not in kept]

    def apply(self, result: FrameResult) -> FrameResult:
        """The result with the user's ids, ascending; of two with one id the surer one stays."""
        if not self._to or not result.people:
            return result
        best: dict[int, Person] = {}
        for person in result.people:
            renamed = dataclasses.replace(person, id=self(person.id))
            if renamed.id not in best or renamed.score > best[renamed.id].score:
                best[renamed.id] = renamed
        return dataclasses.replace(result, people=tuple(best[k] for k in sorted(best)))


class People:
    """Everyone seen since the last reset."""

    KEEP = 200  # rows; the longest unseen go first, so that a box that runs for weeks stays small

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.solo: int | None = None
        self._last_s: float | None = None

    def clear(self) -> None:
        """Forget everyone, names too."""
        self.entries.clear()
        self.solo = None
        self._last_s = None

    def advance(self, result: FrameResult, count_time: bool = True) -> None:
        """Take in one frame; ``count_time`` False = the visible times are known already (a recording)."""
        step = 0.0 if self._last_s is None or not count_time else result.timestamp_s - self._last_s
        step = step if 0 < step < 1 else 0.0
        self._last_s = result.timestamp_s
        for entry in self.entries.values():
            entry.present = False
        for person in result.people:
            entry = self.entries.setdefault(person.id, Entry(person.id))
            entry.present = True
            entry.visible_s += step
            entry.score = float(person.score)
            entry.seen_at_s = result.timestamp_s
            height = person_height_m(person)
            entry.height_m = height if entry.height_m == 0 else entry.height_m + 0.1 * (height - entry.height_m)
        if count_time:
            for entry in [e for e in self.entries.values() if self._was_nobody(e, result.timestamp_s)]:
                del self.entries[entry.id]
        if len(self.entries) > self.KEEP:
            oldest = sorted(self.entries.values(), key=lambda e: (e.present, e.seen_at_s))
            for entry in oldest[: len(self.entries) - self.KEEP]:
                del self.entries[entry.id]

    @staticmethod
    def _was_nobody(entry: Entry, now_s: float) -> bool:
        """Seen for a blink, long gone, and without a name: a mistake of the network."""
        return not entry.present and not entry.name and entry.visible_s < 0.3 and now_s - entry.seen_at_s > 1.5

    def shown(self, person_id: int) -> bool:
        """Whether the person is to be drawn."""
        if self.solo is not None:
            return person_id == self.solo
        entry = self.entries.get(person_id)
        return entry is None or not entry.hidden

    def rename(self, person_id: int, name: str) -> None:
        """Give a person a name (empty = none)."""
        self.entries.setdefault(person_id, Entry(person_id)).name = name.strip()[:60]

    def merge(self, gone: int, kept: int) -> None:
        """Join two rows; the name of ``kept`` wins where it has one."""
        old = self.entries.pop(gone, None)
        if old is None:
            return
        new = self.entries.setdefault(kept, Entry(kept))
        new.visible_s += old.visible_s
        new.name = new.name or old.name
        if self.solo == gone:
            self.solo = kept

    def next_present(self, current: int | None) -> int | None:
        """The person after ``current`` among those now seen, round and round; None where nobody is."""
        ids = sorted(e.id for e in self.entries.values() if e.present)
        if not ids:
            return None
        later = [i for i in ids if current is not None and i > current]
        return later[0] if later else ids[0]
