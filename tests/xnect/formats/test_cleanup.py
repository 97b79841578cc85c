"""Clean-up: what each step must do to made-up movement whose truth is known, and what it must leave alone."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.apps.main import main
from xnect.errors import ConfigError, FormatError
from xnect.formats.cleanup import CleanUp, clean
from xnect.formats.cleanup_feet import standing
from xnect.formats.convert import convert
from xnect.formats.header import CameraPose, RecordingHeader
from xnect.formats.people import empty_people
from xnect.formats.recording import Recording, load
from xnect.formats.writer import open_writers
from xnect.geometry import camera_from_fov, matrix_from_quaternion, quaternion_from_matrix
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON, SOLE_M

FPS = 50.0
FACING = np.diag([1.0, -1.0, -1.0])
TOES = [JOINTS_3D.index("right_toe"), JOINTS_3D.index("left_toe")]


def recording_of(root, rotation, angles, present=None, times=None):
    """A recording of one person from bodies (T, ...)."""
    count = len(root)
    present = np.ones(count, bool) if present is None else present
    offsets = np.broadcast_to(SKELETON.rest_offsets_m, (count, *SKELETON.rest_offsets_m.shape))
    space, _ = SKELETON.forward(root, rotation, angles, offsets)
    rows = np.flatnonzero(present)
    f = np.float32
    people = dataclasses.replace(
        empty_people(angles.shape[1], len(SKELETON.joint_names)),
        ids=np.ones(len(rows), np.int64),
        state=np.ones(len(rows), np.int64),
        score=np.full(len(rows), 0.9, f),
        box=np.tile(np.array([10, 10, 50, 90], f), (len(rows), 1)),
        joints_2d=np.full((len(rows), 14, 2), 30, f),
        confidence_2d=np.full((len(rows), 14), 0.8, f),
        joints_3d=space[rows][:, SKELETON.index_21].astype(f),
        inferred=np.zeros((len(rows), 21), bool),
        root_position=root[rows].astype(f),
        root_rotation=quaternion_from_matrix(rotation[rows]).astype(f),
        angles=angles[rows].astype(f),
        offsets=offsets[rows].astype(f),
    )
    times = np.arange(count) / FPS if times is None else times
    header = RecordingHeader(camera_from_fov((640, 480)), fps=FPS, filtered=False, program={"name": "xnect"})
    return Recording(header, np.arange(count), times, rows, people)


def moving(count=200, hz=1.0):
    """Root, rotation and angles that swing at one frequency."""
    t = np.arange(count) / FPS
    wave = np.sin(2 * np.pi * hz * t)
    middle, half = SKELETON.observed_rad.mean(1), np.ptp(SKELETON.observed_rad, axis=1) / 2
    root = np.stack([0.2 * wave, 0.1 * wave, 4 + 0.1 * wave], 1)
    rotation = FACING @ Rotation.from_rotvec(np.stack([0 * t, 0.4 * wave, 0 * t], 1)).as_matrix()
    return root, rotation, middle + 0.3 * half * wave[:, None]


def agrees(recording):
    """Joints are what the skeleton makes of root, rotation and angles."""
    people = recording.people
    turns = people.root_rotation.astype(float)
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    space, _ = SKELETON.forward(people.root_position, matrix_from_quaternion(turns), people.angles, people.offsets)
    np.testing.assert_allclose(people.joints_3d, space[:, SKELETON.index_21], atol=2e-4)


@pytest.mark.parametrize(("hz", "left"), [(1.0, 1.0), (6.0, 0.5**0.5), (15.0, 0.05)])
def test_butterworth_keeps_the_low_halves_the_power_at_the_cut_off_and_has_no_lag(hz, left):
    recording = recording_of(*moving(400, hz))
    out = clean(recording, CleanUp(butterworth_hz=6.0))
    agrees(out)
    before, after = recording.people.root_position[100:-100], out.people.root_position[100:-100]
    before, after = before - before.mean(0), after - after.mean(0)
    gain = (after * before).sum() / (before * before).sum()  # in phase: a lag would lower it
    if hz < 10:
        assert gain == pytest.approx(left, abs=0.01)
        np.testing.assert_allclose(after, gain * before, atol=0.01)
    assert np.abs(after).max() / np.abs(before).max() < max(left, 0.05) + 0.02
    assert out.header.program["clean_up"]["butterworth"] == {"cutoff_hz": 6.0, "order": 4, "lag": 0}
    assert out.header.filtered
    assert not recording.header.filtered


def test_butterworth_takes_noise_and_keeps_bones_and_2d():
    rng = np.random.default_rng(0)
    root, rotation, angles = moving(300, 0.7)
    noisy = recording_of(
        root + rng.normal(0, 0.02, root.shape),
        rotation @ Rotation.from_rotvec(rng.normal(0, 0.05, (300, 3))).as_matrix(),
        angles + rng.normal(0, 0.05, angles.shape),
    )
    truth = recording_of(root, rotation, angles)
    out = clean(noisy, CleanUp(butterworth_hz=4.0))
    agrees(out)
    errors = [np.linalg.norm(r.people.joints_3d - truth.people.joints_3d, axis=-1).mean() for r in (noisy, out)]
    assert errors[1] < 0.5 * errors[0]
    np.testing.assert_array_equal(out.people.offsets, noisy.people.offsets)
    np.testing.assert_array_equal(out.people.joints_2d, noisy.people.joints_2d)


def test_butterworth_at_an_uneven_clock_and_across_gaps():
    rng = np.random.default_rng(1)
    times = np.arange(200) / FPS + rng.uniform(-0.4, 0.4, 200) / FPS
    t = times[:, None]
    root = np.concatenate([np.sin(2 * t), 0 * t, 4 + 0 * t], 1)
    _, rotation, angles = moving(200, 0.5)
    present = np.ones(200, bool)
    present[90:110] = False
    jumped = root + np.where(np.arange(200)[:, None] >= 110, [3.0, 0, 0], 0)  # the two stretches have nothing in common
    recording = recording_of(jumped, rotation, angles, present, times)
    out = clean(recording, CleanUp(butterworth_hz=6.0))
    agrees(out)
    assert np.abs(out.people.root_position - recording.people.root_position).max() < 0.02
    with pytest.raises(ConfigError, match="at most 20 Hz"):
        clean(recording, CleanUp(butterworth_hz=21.0))


def test_short_gaps_are_filled_and_marked_and_long_ones_stay():
    root, rotation, angles = moving(200, 0.5)
    present = np.ones(200, bool)
    present[50:60] = present[100:160] = False
    recording = recording_of(root, rotation, angles, present)
    out = clean(recording, CleanUp(fill_gaps_s=0.5))
    agrees(out)
    assert np.setdiff1d(np.arange(200), out.row_frame).tolist() == list(range(100, 160))
    truth = recording_of(root, rotation, angles)
    new = np.flatnonzero((out.row_frame >= 50) & (out.row_frame < 60))
    error = np.linalg.norm(out.people.joints_3d[new] - truth.people.joints_3d[50:60], axis=-1)
    assert error.max() < 0.03
    assert out.people.inferred[new].all()
    assert (out.people.confidence_2d[new] == 0).all()
    assert (out.people.state[new] == 2).all()
    old = np.delete(np.arange(len(out.people)), new)
    np.testing.assert_array_equal(out.people.joints_3d[old], recording.people.joints_3d)
    assert out.header.program["clean_up"]["filled_rows"] == 10
    nothing = clean(recording, CleanUp(fill_gaps_s=0.1))
    assert len(nothing.people) == len(recording.people)


def walking(count=150, slide_m=0.08):
    """A person who stands on both feet while the body (and so the feet) slides a little, then hurries on."""
    root, rotation, angles = moving(count, 0.01)
    t = np.arange(count) / FPS
    root = np.stack([slide_m * np.sin(1.5 * t), 0.02 * np.sin(6 * t), 4 + slide_m * np.cos(1.5 * t)], 1)
    root[count // 2 :, 0] += 1.5 * (t[count // 2 :] - t[count // 2])
    names = SKELETON.angle_names
    angles = np.zeros_like(angles)
    for side in ("right", "left"):
        angles[:, names.index(f"{side}_knee_flexion")] = 0.5
        angles[:, names.index(f"{side}_hip_flexion")] = 0.3
    return recording_of(root, rotation, angles)


def test_feet_that_stand_are_held_and_moving_ones_are_left_alone():
    recording = walking()
    out = clean(recording, CleanUp(foot_lock=True))
    agrees(out)
    before, after = recording.people.joints_3d, out.people.joints_3d
    slide = [np.ptp(j[10:60][:, TOES], axis=0).max() for j in (before, after)]
    assert slide[0] > 0.05
    assert slide[1] < 0.008
    np.testing.assert_allclose(before[90:], after[90:], atol=1e-4)  # hurrying on
    upper = [j for j, n in enumerate(JOINTS_3D) if not any(p in n for p in ("knee", "ankle", "toe"))]
    np.testing.assert_allclose(before[:, upper], after[:, upper], atol=1e-4)
    assert np.abs(np.diff(after, axis=0)).max() < 3 * np.abs(np.diff(before, axis=0)).max()  # no jump at either end
    low, high = SKELETON.limits_rad.T
    assert (out.people.angles >= low - 1e-5).all()
    assert (out.people.angles <= high + 1e-5).all()
    assert 0.3 < out.header.program["clean_up"]["foot_lock"]["share_held"] < 0.7


def test_standing():
    t = np.arange(100) / FPS
    ball = np.stack([np.where(t < 1, 0, 2 * (t - 1)), 0 * t, 0 * t], 1)
    still = standing(ball, t)
    assert still[:45].all()
    assert not still[55:].any()
    assert not standing(ball[:2], t[:2]).any()


@pytest.mark.parametrize("tilt_deg", [0.0, 25.0])
def test_floor_is_level_afterwards(tilt_deg):
    """People stand in several places on a floor 1.4 m below a camera that looks down."""
    tilt = Rotation.from_euler("x", -tilt_deg, degrees=True).as_matrix()  # level axes -> camera axes
    angles = np.zeros((240, len(SKELETON.angle_names)))
    toe = SKELETON.forward(np.zeros((1, 3)), FACING[None], angles[:1], SKELETON.rest_offsets_m)[0][0]
    height = toe[SKELETON.joint_names.index("right_toe"), 1] + SOLE_M
    places = np.repeat(np.array([[-1.0, 3], [1, 3.5], [0, 5], [1.5, 5.5]]), 60, 0)
    root = np.stack([places[:, 0], np.full(240, 1.4 - height), places[:, 1]], 1)
    recording = recording_of(root @ tilt.T, np.broadcast_to(tilt @ FACING, (240, 3, 3)), angles)
    out = clean(recording, CleanUp(floor=True))
    agrees(out)
    toes = out.people.joints_3d[:, TOES, 1]
    np.testing.assert_allclose(toes, -SOLE_M, atol=0.012)  # drawn a little to the bodies, which lean by two degrees
    found = out.header.program["clean_up"]["floor"]
    assert found["tilt_deg"] == pytest.approx(tilt_deg, abs=0.6)
    assert found["camera_height_m"] == pytest.approx(1.4, abs=0.04)
    pose = out.header.camera_pose
    # The camera's own view of the joints has not changed.
    turn = matrix_from_quaternion(np.array(pose.rotation))
    back = (out.people.joints_3d - np.array(pose.position_m)) @ turn
    np.testing.assert_allclose(back, recording.people.joints_3d, atol=1e-3)
    again = clean(out, CleanUp(floor=True))
    np.testing.assert_allclose(again.people.joints_3d, out.people.joints_3d, atol=0.05)


def test_floor_that_cannot_be_found():
    root, rotation, angles = moving(40, 1.0)
    with pytest.raises(FormatError, match="no foot stands"):
        clean(recording_of(root + np.arange(40)[:, None] * 0.1, rotation, angles), CleanUp(floor=True))
    other = dataclasses.replace(recording_of(root, rotation, angles).header, angles=("a",))
    with pytest.raises(FormatError, match="clean-up needs"):
        clean(dataclasses.replace(recording_of(root, rotation, angles), header=other), CleanUp(butterworth_hz=5))


@pytest.fixture
def run(tmp_path, header, make_frames):
    folder = tmp_path / "run"
    with open_writers(folder, [], header) as writers:
        for frame, result in make_frames(40, ids=lambda i: (1,) if 10 <= i < 14 else (1, 2)):
            writers.write(frame, result)
    return folder


def test_on_the_command_line(run, tmp_path, capsys):
    log = tmp_path / "clean.jsonl"
    assert main(["convert", str(run), str(log), "--fill-gaps", "0.5", "--butterworth", "6", "--foot-lock"]) == 0
    out = load(log)
    agrees(out)
    assert set(out.header.program["clean_up"]) == {"fill_gaps_s", "filled_rows", "butterworth", "foot_lock"}
    assert out.header.camera_pose == CameraPose()
    assert len(out.person(2).people) == 40
    assert main(["convert", str(log), str(tmp_path / "clean.bvh")]) == 0
    side = (tmp_path / "clean_person_2.json").read_text()
    assert '"cutoff_hz": 6.0' in side
    assert '"gaps_s": []' in side
    assert main(["convert", str(run), str(tmp_path / "x.jsonl"), "--butterworth", "30"]) == 2
    assert main(["convert", str(run), str(tmp_path / "x.jsonl"), "--butterworth", "-1"]) == 2
    assert "above 0" in capsys.readouterr().err
    assert not (tmp_path / "x.jsonl").exists()


def test_a_level_floor_travels_with_the_log(run, tmp_path):
    log = tmp_path / "level.jsonl"
    recording = load(run)
    pose = CameraPose((0.0, -1.5, 0.0), (0.96592583, 0.25881905, 0.0, 0.0))
    header = dataclasses.replace(recording.header, camera_pose=pose)
    from xnect.formats.jsonl import JsonlWriter

    writer = JsonlWriter(log, header)
    for record in recording.records():
        writer.write(record)
    writer.close()
    assert load(log).header.camera_pose == pose
    (path,) = convert(log, tmp_path / "poses.csv")
    assert "floor at y = 0" in path.read_text().split("frame,")[0]


def test_one_place_and_an_upright_body_tell_the_slope_too():
    tilt = Rotation.from_euler("x", -20, degrees=True).as_matrix()
    angles = np.zeros((60, len(SKELETON.angle_names)))
    root = np.tile([0.0, 0.5, 3.0], (60, 1))
    recording = recording_of(root @ tilt.T, np.broadcast_to(tilt @ FACING, (60, 3, 3)), angles)
    out = clean(recording, CleanUp(floor=True))
    assert out.header.program["clean_up"]["floor"]["tilt_deg"] == pytest.approx(20, abs=4)


def test_a_foot_that_glides_is_not_held():
    t = np.arange(100) / FPS
    root, rotation, _ = moving(100, 0.01)
    gliding = recording_of(
        root + np.stack([0.3 * t, 0 * t, 0 * t], 1), rotation, np.zeros((100, len(SKELETON.angle_names)))
    )
    out = clean(gliding, CleanUp(foot_lock=True))
    np.testing.assert_allclose(out.people.joints_3d, gliding.people.joints_3d, atol=1e-4)
    assert out.header.program["clean_up"]["foot_lock"]["share_held"] == 0
