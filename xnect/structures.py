"""The types that cross the borders between stages: frozen, shape-checked, sealed against writing.

Inside the hot path people are arrays with a leading person axis (struct of arrays); ``Person`` objects are made
once, at the end. Units: m, s, rad, px. Camera space: x right, y down, z forward (OpenCV). Pixels: integer
coordinates are pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xnect.errors import ShapeError

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]
I64: TypeAlias = NDArray[np.int64]
U8: TypeAlias = NDArray[np.uint8]
Bool: TypeAlias = NDArray[np.bool_]


def _seal(array: NDArray[Any], name: str, dtype: type, *shape: int | None) -> None:
    """Check dtype and shape (None = any length), then forbid writing; raises ShapeError."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != len(shape):
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ShapeError(f"{name} must be {np.dtype(dtype).name} with {len(shape)} axes, got {got}")
    for have, want in zip(array.shape, shape, strict=True):
        if want is not None and have != want:
            raise ShapeError(f"{name} must have shape {shape} (None = any), got {array.shape}")
    array.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera with OpenCV's five distortion coefficients.

    Attributes:
        matrix_px: Intrinsics, float64 (3, 3) [px of ``size_px``]: fx, 0, cx / 0, fy, cy / 0, 0, 1.
        size_px: Width and height of the pictures [px].
        distortion: k1, k2, p1, p2, k3, float64 (5,).
        estimated: True where the focal length is a guess and not a measurement.
    """

    matrix_px: F64
    size_px: tuple[int, int]
    distortion: F64 = field(default_factory=lambda: np.zeros(5))
    estimated: bool = False

    def __post_init__(self) -> None:
        _seal(self.matrix_px, "matrix_px", np.float64, 3, 3)
        _seal(self.distortion, "distortion", np.float64, 5)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        index: Number of the frame in its source, from 0 (gaps where frames were dropped).
        timestamp_s: Capture time on the source's own monotonic clock [s].
        image_bgr: uint8 (H, W, 3), blue-green-red as OpenCV has it.
    """

    index: int
    timestamp_s: float
    image_bgr: U8

    def __post_init__(self) -> None:
        _seal(self.image_bgr, "image_bgr", np.uint8, None, None, 3)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height [px]."""
        return self.image_bgr.shape[1], self.image_bgr.shape[0]


@dataclass(frozen=True, slots=True)
class MapSpec:
    """What each channel of Stage I's output means; shared by targets, heads, decoder and painter.

    Attributes:
        joints: Names of the heatmap channels.
        limbs: Pairs of joint numbers (from, to), one per affinity field.
        encoding_joints: Names of the joints of the 3D encoding (three channels each), empty = no encoding.
        stride: Pixels of the network's input per map cell.
    """

    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    encoding_joints: tuple[str, ...]
    stride: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class PoseMaps:
    """Output of Stage I for one frame.

    Attributes:
        heatmaps: float32 (14, h, w), about 0 to 1.
        pafs: float32 (limbs, 2, h, w), unit vectors (x, y) along the limb, 0 elsewhere.
        encoding: float32 (63, h, w): x, y, z of the parent-relative vector of each of the 21 joints, in the order
            joint 0 x, y, z, joint 1 x, ...; None where the network has no trained 3D branch.
        frame_from_map: float64 (2, 3), affine map from cell indices (x, y; centres at integers) to frame pixels.
    """

    heatmaps: F32
    pafs: F32
    encoding: F32 | None
    frame_from_map: F64

    def __post_init__(self) -> None:
        _seal(self.heatmaps, "heatmaps", np.float32, None, None, None)
        _seal(self.pafs, "pafs", np.float32, None, 2, *self.heatmaps.shape[1:])
        if self.encoding is not None:
            _seal(self.encoding, "encoding", np.float32, None, *self.heatmaps.shape[1:])
        _seal(self.frame_from_map, "frame_from_map", np.float64, 2, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """People found in one frame, in 2D (from our Stage I or from any other detector).

    Attributes:
        joints_px: float32 (P, 14, 2), x then y [px of the frame]; where not seen a guess, or 0.
        confidence: float32 (P, 14), 0 to 1; 0 = not seen.
        score: float32 (P,), 0 to 1, how sure the whole person is.
        encoding: float32 (P, 14, 63), the 3D encoding read at each seen joint (0 where not seen), or None.
        sure: bool (P,), False for those who count only where somebody is expected (``Tracker``); None = all count.
    """

    joints_px: F32
    confidence: F32
    score: F32
    encoding: F32 | None = None
    sure: Bool | None = None

    def __post_init__(self) -> None:
        _seal(self.joints_px, "joints_px", np.float32, None, 14, 2)
        people = len(self.joints_px)
        _seal(self.confidence, "confidence", np.float32, people, 14)
        _seal(self.score, "score", np.float32, people)
        if self.encoding is not None:
            _seal(self.encoding, "encoding", np.float32, people, 14, 63)
        if self.sure is not None:
            _seal(self.sure, "sure", np.bool_, people)

    def __len__(self) -> int:
        return len(self.joints_px)

    @staticmethod
    def empty() -> Detections:
        """No people."""
        return Detections(np.zeros((0, 14, 2), np.float32), np.zeros((0, 14), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """Output of Stage II, row for row the people of the ``Detections`` it was made from.

    Attributes:
        joints_m: float32 (P, 21, 3), relative to the pelvis, camera axes [m].
        root_m: float32 (P, 3), first estimate of the pelvis in camera space [m].
        confidence: float32 (P, 21), 0 to 1, how far each joint may be trusted.
        inferred: bool (P, 21), True where no image evidence backs the joint.
    """

    joints_m: F32
    root_m: F32
    confidence: F32
    inferred: Bool

    def __post_init__(self) -> None:
        _seal(self.joints_m, "joints_m", np.float32, None, 21, 3)
        people = len(self.joints_m)
        _seal(self.root_m, "root_m", np.float32, people, 3)
        _seal(self.confidence, "confidence", np.float32, people, 21)
        _seal(self.inferred, "inferred", np.bool_, people, 21)

    def __len__(self) -> int:
        return len(self.joints_m)

    @staticmethod
    def empty() -> Poses:
        """No people."""
        return Poses(
            np.zeros((0, 21, 3), np.float32),
            np.zeros((0, 3), np.float32),
            np.zeros((0, 21), np.float32),
            np.zeros((0, 21), np.bool_),
        )


STATE_NEW, STATE_TRACKED, STATE_LOST = 0, 1, 2
STATE_NAMES = ("new", "tracked", "lost")


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Who is who in one frame: everyone known, whether seen now or lost a short time ago.

    Attributes:
        ids: int64 (T,), ascending, never used twice before a reset.
        row: int64 (T,), row in this frame's ``Detections`` and ``Poses``, -1 where the person was not seen.
        state: int64 (T,), STATE_NEW, STATE_TRACKED or STATE_LOST.
    """

    ids: I64
    row: I64
    state: I64

    def __post_init__(self) -> None:
        _seal(self.ids, "ids", np.int64, None)
        _seal(self.row, "row", np.int64, len(self.ids))
        _seal(self.state, "state", np.int64, len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """Output of Stage III, row for row the ``Tracks`` it was made from.

    Attributes:
        joints_m: float32 (T, 21, 3), camera space [m].
        angles_rad: float32 (T, D), names in ``Skeleton.angle_names`` [rad].
        root_position_m: float32 (T, 3), camera space [m].
        root_rotation: float32 (T, 4), unit quaternion w, x, y, z; turns the skeleton's rest axes into camera axes.
        inferred: bool (T, 21).
        offsets_m: float32 (T, J, 3), bone offsets of each person's skeleton in its rest pose [m].
    """

    joints_m: F32
    angles_rad: F32
    root_position_m: F32
    root_rotation: F32
    inferred: Bool
    offsets_m: F32

    def __post_init__(self) -> None:
        _seal(self.joints_m, "joints_m", np.float32, None, 21, 3)
        people = len(self.joints_m)
        _seal(self.angles_rad, "angles_rad", np.float32, people, None)
        _seal(self.root_position_m, "root_position_m", np.float32, people, 3)
        _seal(self.root_rotation, "root_rotation", np.float32, people, 4)
        _seal(self.inferred, "inferred", np.bool_, people, 21)
        _seal(self.offsets_m, "offsets_m", np.float32, people, None, 3)

    def __len__(self) -> int:
        return len(self.joints_m)


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of one frame, as users see it.

    Attributes:
        id: Stays with the person over time.
        joints_2d: float32 (14, 2) [px of the given image]; 0 where not seen.
        confidence_2d: float32 (14,), 0 = not seen.
        joints_3d: float32 (21, 3), camera space [m].
        inferred: bool (21,), True where no image evidence backs the joint.
        angles: float32 (D,), names in ``Skeleton.angle_names`` [rad].
        root: Position float32 (3,) [m] and rotation quaternion float32 (4,) w, x, y, z.
        box: float32 (4,), x0, y0, x1, y1 [px].
        score: 0 to 1.
        state: "new", "tracked" or "lost".
        offsets: float32 (J, 3), the bone offsets of this person's skeleton in its rest pose [m].
    """

    id: int
    joints_2d: F32
    confidence_2d: F32
    joints_3d: F32
    inferred: Bool
    angles: F32
    root: tuple[F32, F32]
    box: F32
    score: float
    state: str
    offsets: F32


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """Everything found in one frame.

    Attributes:
        index: Number of the frame in its source.
        timestamp_s: Capture time on the source's clock [s].
        people: Everyone seen, ascending by id.
        timings_ms: Stage name -> time spent [ms].
        camera: The camera used for 3D.
    """

    index: int
    timestamp_s: float
    people: tuple[Person, ...]
    timings_ms: dict[str, float]
    camera: Camera
