"""Draws people into a picture: skeletons, boxes, ids; used by the overlay video and by the window.

Lines of one colour and one thickness are gathered over all people and drawn by one call of OpenCV, dots likewise (a
line of no length has round ends), so ten people cost little more than one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import cv2
import numpy as np

from xnect.errors import ShapeError
from xnect.formats.people import People, people_of
from xnect.geometry import project
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_2D, JOINTS_3D, LIMBS
from xnect.structures import F32, F64, I64, U8, Bool, Camera, FrameResult

Colour = tuple[int, int, int]


def _bgr(code: str) -> Colour:
    return int(code[5:7], 16), int(code[3:5], 16), int(code[1:3], 16)


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by the person's own side, BGR."""

    right: Colour
    left: Colour
    middle: Colour


#: "dark" is for dark backgrounds and video, "light" for white paper; the others are those of well-known programs.
PALETTES: dict[str, Palette] = {
    "dark": Palette(_bgr("#E69F00"), _bgr("#56B4E9"), _bgr("#F5F5F5")),
    "light": Palette(_bgr("#E69F00"), _bgr("#0072B2"), _bgr("#555555")),
    "mmpose": Palette(_bgr("#FF8000"), _bgr("#00FF00"), _bgr("#3399FF")),
    "mediapipe": Palette(_bgr("#00D9E7"), _bgr("#FF8A00"), _bgr("#FFFFFF")),
    "openpose": Palette(_bgr("#FF9900"), _bgr("#33FF00"), _bgr("#FF0055")),
}

#: One colour a person, told apart with any colour vision (Okabe and Ito 2008, without our two sides' colours).
PERSON_COLOURS: tuple[Colour, ...] = tuple(
    _bgr(c) for c in ("#F0E442", "#CC79A7", "#009E73", "#D55E00", "#FFFFFF", "#999999")
)
_DARK: Colour = (24, 24, 24)

# The drawing skeleton: the 14 joints of 2D, then the hands and toes that only 3D knows.
_EXTRA = ("right_hand", "left_hand", "right_toe", "left_toe")
_NAMES = JOINTS_2D + _EXTRA
_FROM_3D = np.array([*JOINT_3D_OF_2D.tolist(), *(JOINTS_3D.index(n) for n in _EXTRA)])
_BONES = np.array(
    [*LIMBS, *((_NAMES.index(a), _NAMES.index(b)) for a, b in (
        ("right_wrist", "right_hand"), ("left_wrist", "left_hand"), ("right_ankle", "right_toe"), ("left_ankle", "left_toe")
    ))]
)  # fmt: skip


def _side(name: str) -> int:
    return 0 if name.startswith("right_") else 1 if name.startswith("left_") else 2


_JOINT_SIDE = np.array([_side(n) for n in _NAMES])
_BONE_SIDE = np.array([_JOINT_SIDE[b] for _, b in _BONES])


@dataclass(frozen=True, slots=True)
class PaintOptions:
    """What is drawn and how.

    Attributes:
        palette: Name in ``PALETTES``.
        skeleton: Draw limbs and joints.
        boxes: Draw each person's box.
        ids: Draw each person's number.
        inferred: Draw joints that no image evidence backs (hollow, their limbs thin and dashed).
        low_confidence: Joints below this confidence make their limbs dashed, 0 to 1.
        scale: Factor on line widths and text.
    """

    palette: str = "dark"
    skeleton: bool = True
    boxes: bool = True
    ids: bool = True
    inferred: bool = True
    low_confidence: float = 0.3
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.palette not in PALETTES:
            raise ShapeError(f"unknown palette {self.palette!r}: {', '.join(PALETTES)}")


_DEFAULT = PaintOptions()
_SHIFT = 3  # OpenCV's fixed point: an eighth of a pixel
_FAR = 3.0  # joints further outside than this many picture sizes are not drawn


class _Strokes:
    """Lines and dots gathered by colour and thickness."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, Colour, int], list[np.ndarray]] = defaultdict(list)

    def add(self, layer: int, colour: Colour, thickness: int, segments: np.ndarray) -> None:
        """Segments (S, 2, 2) [px]; lower layers are drawn first."""
        if len(segments):
            self._groups[layer, colour, max(1, thickness)].append(segments)

    def draw(self, image: U8) -> None:
        for (layer, colour, thickness), parts in sorted(self._groups.items(), key=lambda g: g[0]):
            points = np.rint(np.concatenate(parts) * (1 << _SHIFT)).astype(np.int32)
            # The dark rim lies under everything: plain lines do and cost a third.
            kind = cv2.LINE_8 if layer == 0 else cv2.LINE_AA
            cv2.polylines(image, list(points), False, colour, thickness, kind, _SHIFT)


def paint(image_bgr: U8, result: FrameResult, options: PaintOptions = _DEFAULT) -> None:
    """Draw everyone of ``result`` into a picture, in place.

    Args:
        image_bgr: uint8 (H, W, 3), writable; the picture that ``result`` was made from.
        result: Who was found.
        options: What is drawn and how.

    Raises:
        ShapeError: The picture has another type or shape, or must not be written to.
    """
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3:
        raise ShapeError(f"picture must be uint8 (H, W, 3), got {image_bgr.dtype} {image_bgr.shape}")
    if not image_bgr.flags.writeable:
        raise ShapeError("picture is sealed against writing; hand over a copy (painted() makes one)")
    if not result.people:
        return
    first = result.people[0]
    people = people_of(result, len(first.angles), len(first.offsets))
    people = people.take(people.finite())
    points, seen, drawn = _drawing_joints(people, result.camera, image_bgr.shape, options)
    widths = _widths(people, image_bgr.shape, options)
    corners = _boxes(image_bgr, people, points, drawn, widths, options)
    if options.skeleton:
        strokes = _Strokes()
        for width in np.unique(widths).tolist():
            rows = widths == width
            _add_skeletons(strokes, points[rows], seen[rows], drawn[rows], people.confidence_2d[rows], width, options)
        strokes.draw(image_bgr)
    if options.ids:
        size = max(0.35, 0.65 * options.scale * min(image_bgr.shape[:2]) / 720)
        for person_id, corner in corners.items():
            _label(image_bgr, str(person_id), corner, person_colour(person_id), size)


def painted(image_bgr: U8, result: FrameResult, options: PaintOptions = _DEFAULT) -> U8:
    """Like ``paint``, into a new picture; the given one stays as it is."""
    out = image_bgr.copy()
    paint(out, result, options)
    return out


def person_colour(person_id: int) -> Colour:
    """The BGR colour of a person's box and label; the same number always has the same colour."""
    return PERSON_COLOURS[person_id % len(PERSON_COLOURS)]


def _drawing_joints(
    people: People, camera: Camera, shape: tuple[int, ...], options: PaintOptions
) -> tuple[F64, Bool, Bool]:
    """Pixels (N, 18, 2), which were seen (N, 18), which are drawn at all (N, 18)."""
    count = len(people)
    space = people.joints_3d[:, _FROM_3D].astype(np.float64)
    ahead = space[..., 2] > 0.05
    points = project(np.where(ahead[..., None], space, (0.0, 0.0, 1.0)), camera)
    seen = np.zeros((count, len(_NAMES)), bool)
    seen[:, :14] = people.confidence_2d > 0
    points[:, :14] = np.where(seen[:, :14, None], people.joints_2d, points[:, :14])
    drawn = seen | (ahead if options.inferred else False)
    drawn[:, 0] = seen[:, 0]  # the nose has no 3D joint of its own: the head's would mislead
    limit = _FAR * max(shape[:2])
    drawn &= (np.abs(points) < limit).all(-1)
    return np.where(drawn[..., None], points, 0.0), seen, drawn


def _widths(people: People, shape: tuple[int, ...], options: PaintOptions) -> I64:
    """Line width of each person (N,) [px]: by the picture's size, less for people who are small in it."""
    by_picture = min(shape[:2]) / 270
    height = np.abs(people.box[:, 3] - people.box[:, 1])
    by_person = np.where(height > 0, height / 70, by_picture)
    width = options.scale * np.clip(by_person, by_picture / 3, by_picture)
    return np.maximum(1, np.rint(width)).astype(np.int64)


def _add_skeletons(
    strokes: _Strokes, points: F64, seen: Bool, drawn: Bool, confidence: F32, width: int, options: PaintOptions
) -> None:
    """Gather the strokes of all people of one line width.

    Layers: 0 dark rim, 1 limbs (whole where sure, dashed where not, thin dashes where inferred), 2 joints, 3 the dark
    inside of inferred ones.
    """
    palette = PALETTES[options.palette]
    sure_joints = np.zeros(seen.shape, bool)
    sure_joints[:, :14] = confidence >= options.low_confidence
    both = drawn[:, _BONES].all(-1)
    backed = seen[:, _BONES].all(-1)
    sure = both & backed & sure_joints[:, _BONES].all(-1)
    unsure, guessed = both & backed & ~sure, both & ~backed
    segments = points[:, _BONES]
    dots = np.repeat(points[:, :, None], 2, 2)
    thin = max(1, width // 2)
    rim = max(2, thin)
    strokes.add(0, _DARK, width + rim, segments[sure])
    dot = max(2, round(1.6 * width))
    ring = max(3, round(2.2 * width))
    strokes.add(0, _DARK, dot + rim, dots[drawn & seen])
    for side, colour in enumerate((palette.right, palette.left, palette.middle)):
        bones, joints = side == _BONE_SIDE, side == _JOINT_SIDE
        strokes.add(1, colour, width, segments[sure & bones])
        strokes.add(1, colour, max(thin, width - 1), _dashed(segments[unsure & bones], 4.0 * width))
        strokes.add(1, colour, thin, _dashed(segments[guessed & bones], 6.0 * width))
        strokes.add(2, colour, dot, dots[drawn & seen & joints])
        strokes.add(2, colour, ring, dots[drawn & ~seen & joints])
    strokes.add(3, _DARK, max(1, ring - 2 * thin), dots[drawn & ~seen])


def _dashed(segments: np.ndarray, dash_px: float) -> np.ndarray:
    """Segments (S, 2, 2) cut into dashes with gaps as long; at most 64 dashes each."""
    if not len(segments):
        return segments
    length = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    count = np.clip(np.rint(length / (2 * max(dash_px, 3.0))), 1, 64).astype(int)
    owner = np.repeat(np.arange(len(segments)), count)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    start = (step + 0.2) / count[owner]
    end = (step + 0.75) / count[owner]
    a, b = segments[owner, 0], segments[owner, 1]
    return np.stack([a + (b - a) * start[:, None], a + (b - a) * end[:, None]], 1)


def _boxes(
    image: U8, people: People, points: F64, drawn: Bool, widths: np.ndarray, options: PaintOptions
) -> dict[int, tuple[int, int]]:
    """Draw the boxes; returns each person's number and the corner where the label goes."""
    height, width = image.shape[:2]
    corners = {}
    for row in range(len(people)):
        box = people.box[row].astype(np.float64)
        if box[2] <= box[0] or box[3] <= box[1]:  # no box given: that of the joints
            if not drawn[row].any():
                continue
            mine = points[row][drawn[row]]
            box = np.concatenate([mine.min(0), mine.max(0)])
        x0, y0, x1, y1 = np.rint(np.clip(box, 0, (width - 1, height - 1) * 2)).astype(int).tolist()
        person_id = int(people.ids[row])
        if options.boxes:
            cv2.rectangle(
                image, (x0, y0), (x1, y1), person_colour(person_id), max(1, int(widths[row]) // 2), cv2.LINE_8
            )
        corners[person_id] = x0, y0
    return corners


def _label(image: U8, text: str, corner: tuple[int, int], colour: Colour, scale: float) -> None:
    """A filled tag above the corner, or below it where there is no room."""
    bold = max(1, round(1.6 * scale))
    (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, bold)
    pad = max(2, h // 4)
    x, y = corner
    x = min(x, max(0, image.shape[1] - w - 2 * pad))
    top = y - h - 2 * pad if y >= h + 2 * pad else y
    cv2.rectangle(image, (x, top), (x + w + 2 * pad, top + h + 2 * pad), colour, -1)
    dark = sum(colour) > 330
    cv2.putText(
        image, text, (x + pad, top + pad + h), cv2.FONT_HERSHEY_SIMPLEX, scale, _DARK if dark else (255, 255, 255), bold, cv2.LINE_AA
    )  # fmt: skip
