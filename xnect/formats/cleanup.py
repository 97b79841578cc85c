"""Clean-up of a whole recording: gaps filled, noise filtered without lag, feet that stand still, a level floor.

All steps work on what a body is made of (root and joint angles), and joints follow by forward kinematics: positions,
rotations and bone lengths agree afterwards as they did before, in every format.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from xnect.errors import ConfigError, FormatError
from xnect.formats.cleanup_feet import find_floor, lock_feet
from xnect.formats.cleanup_motion import butterworth, fill_gaps
from xnect.formats.header import CameraPose
from xnect.formats.recording import Recording
from xnect.geometry import matrix_from_quaternion, quaternion_from_matrix
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import F64


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What to do, in this order.

    Attributes:
        fill_gaps_s: Frames without a person between two with are filled in up to this length [s]; None = not.
        butterworth_hz: Cut-off of a zero-lag Butterworth filter of order 4 [Hz]; None = not.
        foot_lock: A foot that stands is held in its place.
        floor: The data are turned so that the floor is level, at height 0.
    """

    fill_gaps_s: float | None = None
    butterworth_hz: float | None = None
    foot_lock: bool = False
    floor: bool = False

    def __post_init__(self) -> None:
        for name, most in (("fill_gaps_s", 3600.0), ("butterworth_hz", 1000.0)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise ConfigError(f"{name} {value}: above 0, at most {most:g} expected")

    def __bool__(self) -> bool:
        return self != CleanUp()


def clean(recording: Recording, how: CleanUp) -> Recording:
    """The recording after clean-up; what was done stands in ``header.program["clean_up"]``.

    Raises:
        FormatError: It was made with another skeleton, or no foot ever stands still (floor).
        ConfigError: The cut-off is too high for the recording's rate.
    """
    if recording.header.angles != SKELETON.angle_names or recording.header.bones != SKELETON.joint_names:
        raise FormatError("clean-up needs the joint angles of this version's skeleton; the recording has others")
    if not how or not len(recording.people):
        return recording
    done: dict[str, Any] = {}
    if how.fill_gaps_s is not None:
        recording, filled = fill_gaps(recording, how.fill_gaps_s)
        done["fill_gaps_s"], done["filled_rows"] = how.fill_gaps_s, filled
    if how.butterworth_hz is not None:
        recording = butterworth(recording, how.butterworth_hz)
        done["butterworth"] = {"cutoff_hz": how.butterworth_hz, "order": 4, "lag": 0}
    if how.foot_lock:
        recording, held = lock_feet(recording)
        done["foot_lock"] = {"share_held": round(held, 3)}
    if how.floor:
        recording, done["floor"] = _levelled(recording)
    program = dict(recording.header.program)
    program["clean_up"] = {**program.get("clean_up", {}), **done}
    filtered = recording.header.filtered or how.butterworth_hz is not None
    header = dataclasses.replace(recording.header, program=program, filtered=filtered)
    return dataclasses.replace(recording, header=header)


def _levelled(recording: Recording) -> tuple[Recording, dict[str, Any]]:
    """The recording with the floor at y = 0, and what was found."""
    floor = find_floor(recording)
    people = recording.people
    joints = people.joints_3d @ floor.rotation.T + floor.shift_m
    turns = floor.rotation @ _matrices(people.root_rotation)
    moved = dataclasses.replace(
        people,
        joints_3d=joints.astype(np.float32),
        root_position=(people.root_position @ floor.rotation.T + floor.shift_m).astype(np.float32),
        root_rotation=quaternion_from_matrix(turns).astype(np.float32),
    )
    pose = recording.header.camera_pose
    place = floor.rotation @ np.array(pose.position_m) + floor.shift_m
    turn = quaternion_from_matrix(floor.rotation @ matrix_from_quaternion(np.array(pose.rotation)))
    x, y, z = np.round(place, 6).tolist()
    a, b, c, d = np.round(turn, 8).tolist()
    header = dataclasses.replace(recording.header, camera_pose=CameraPose((x, y, z), (a, b, c, d)))
    found = {
        "camera_height_m": round(-y, 4),
        "tilt_deg": round(floor.tilt_deg, 2),
        "flatness_m": round(floor.error_m, 4),
    }
    return dataclasses.replace(recording, header=header, people=moved), found


def _matrices(quaternions: np.ndarray) -> F64:
    wide = quaternions.astype(np.float64)
    return matrix_from_quaternion(wide / np.linalg.norm(wide, axis=-1, keepdims=True))
