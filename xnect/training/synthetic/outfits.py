"""Random looks: a body of the shape space, a skin that fits, and a plausible outfit."""

from __future__ import annotations

import numpy as np

from xnect.training.synthetic.assets import Assets
from xnect.training.synthetic.bodies import BodySpace
from xnect.training.synthetic.people import Looks, Wear
from xnect.training.synthetic.splits import held_apart, of_split

_HAIR = np.array(
    [
        [0.07, 0.055, 0.05],
        [0.16, 0.11, 0.08],
        [0.3, 0.2, 0.12],
        [0.68, 0.52, 0.32],
        [0.62, 0.62, 0.64],
        [0.4, 0.16, 0.08],
    ]
)
_HAIR_SHARE = {"young": [0.28, 0.24, 0.22, 0.14, 0.06, 0.06], "old": [0.1, 0.06, 0.1, 0.06, 0.66, 0.02]}
_CLOTH = np.array(
    [
        [0.1, 0.1, 0.12], [0.16, 0.17, 0.2], [0.26, 0.27, 0.3], [0.45, 0.46, 0.48], [0.7, 0.7, 0.7], [0.9, 0.9, 0.88],
        [0.12, 0.18, 0.34], [0.28, 0.4, 0.6], [0.55, 0.7, 0.85], [0.5, 0.12, 0.13], [0.75, 0.2, 0.18], [0.16, 0.3, 0.2],
        [0.4, 0.45, 0.25], [0.6, 0.5, 0.36], [0.36, 0.26, 0.18], [0.8, 0.65, 0.25], [0.42, 0.26, 0.48],
        [0.8, 0.5, 0.55], [0.2, 0.48, 0.48], [0.8, 0.4, 0.16],
    ]
)  # fmt: skip
#: Rows that trousers and jackets mostly have.
_MUTED = [0, 1, 2, 3, 4, 6, 7, 11, 12, 13, 14]
_TONES = ("african", "asian", "caucasian")
_LEGS = ("trousers", "shorts", "skirt")
#: What opens or stretches when somebody sits.
_LOOSE = ("skirt", "dress", "coat")


class Stylist:
    """Draws looks at random.

    Args:
        assets: The pack.
        space: Its bodies.
        split: train, val or test.
    """

    def __init__(self, assets: Assets, space: BodySpace, split: str) -> None:
        self._assets, self._space = assets, space
        count = len(space.coefficients)
        self._bodies = np.array(of_split(list(range(count)), [f"body {k}" for k in range(count)], split))
        self._clothes = held_apart(assets.clothes, "id", ("category", "sex"), split)
        self._tiles = [
            int(r["index"])
            for r in held_apart([t for t in assets.tiles if t["use"] == "cloth"], "index", ("use",), split)
        ]
        self._skins = {r["file"] for r in assets.skins}
        self._eyes = sorted(p.name for p in (assets.folder / "clothes").glob("eyes_*.webp"))

    def looks(self, rng: np.random.Generator, seated: bool = False) -> Looks:
        """Somebody; who is going to sit wears nothing wide about the legs."""
        like = int(rng.choice(self._bodies))
        coefficients = self._space.coefficients[like].copy()
        other = int(rng.choice(self._bodies))
        if self._space.sex(like) == self._space.sex(other):
            coefficients += rng.uniform(0, 0.4) * (self._space.coefficients[other] - coefficients)
        coefficients += rng.normal(0, 0.15, len(coefficients)).astype(np.float32)
        return Looks(coefficients.astype(np.float32), like, self._skin(like), self._outfit(rng, like, seated))

    def _skin(self, like: int) -> str:
        sex, age = self._space.sex(like), self._space.age(like)
        tone = _TONES[int(self._space.mix(like).argmax())]
        name = f"{'young' if age < 38 else 'middleage' if age < 60 else 'old'}_{tone}_{sex}.webp"
        return name if name in self._skins else f"young_{tone}_{sex}.webp"

    def _choose(self, rng: np.random.Generator, sex: str, *categories: str) -> dict[str, str]:
        rows = [r for r in self._clothes if r["category"] in categories and r["sex"] in (sex, "any")]
        return rows[int(rng.integers(len(rows)))]

    def _outfit(self, rng: np.random.Generator, like: int, seated: bool) -> tuple[Wear, ...]:
        sex, old = self._space.sex(like), self._space.age(like) > 58
        if sex == "male":
            whole = "outfit" if rng.random() < 0.1 else ""
        else:
            whole = "dress" if rng.random() < 0.2 and not seated else ""
        if whole:
            rows = [self._choose(rng, sex, whole)]
        else:
            legs = [c for c in _LEGS if rng.random() < 0.35 or c == "trousers"]
            legs = [c for c in legs if not (seated and c in _LOOSE) and not (sex == "male" and c == "skirt")]
            outer = ["top", "top", "jacket"] + (
                ["coat"] if sex == "female" and not seated and rng.random() < 0.2 else []
            )
            kind = str(rng.choice([c for c in outer if c != "jacket" or sex == "male"]))
            available = [c for c in legs if any(r["category"] == c and r["sex"] in (sex, "any") for r in self._clothes)]
            rows = [self._choose(rng, sex, str(rng.choice(available or ["trousers"]))), self._choose(rng, sex, kind)]
        rows.append(self._choose(rng, sex, "shoes"))
        hat = rng.random() < 0.1
        rows.append(self._choose(rng, sex, "hat") if hat else self._choose(rng, sex, "hair"))
        if rng.random() < 0.15:
            rows.append(self._choose(rng, sex, "glasses"))
        hair = _HAIR[rng.choice(len(_HAIR), p=_HAIR_SHARE["old" if old else "young"])]
        wears = [self._wear(rng, r, hair) for r in rows]
        brows = self._choose(rng, sex, "eyebrows")
        tint = tuple(float(c) for c in hair * 0.8)
        return (
            *wears,
            Wear(brows["id"], brows["texture"], (tint[0], tint[1], tint[2])),
            Wear("eyes", str(rng.choice(self._eyes))),
        )

    def _wear(self, rng: np.random.Generator, row: dict[str, str], hair: np.ndarray) -> Wear:
        tint, tile = None, -1
        if row["category"] == "hair":
            tint = hair
        elif row["tintable"] == "1" and rng.random() < 0.7:
            plain = row["category"] in ("trousers", "jacket", "coat", "outfit") and rng.random() < 0.8
            shades = _CLOTH[_MUTED] if plain else _CLOTH
            tint = np.clip(
                shades[rng.integers(len(shades))] * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02, 3), 0.03, 0.95
            )
            if row["category"] in ("top", "dress", "skirt", "shorts") and rng.random() < 0.22 and self._tiles:
                tile = int(rng.choice(self._tiles))
        if tint is None:
            return Wear(row["id"], row["texture"])
        return Wear(row["id"], row["texture"], (float(tint[0]), float(tint[1]), float(tint[2])), tile)
