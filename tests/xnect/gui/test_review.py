"""Recordings under review: real files of the real writers, mended and written anew."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xnect.errors import FormatError
from xnect.formats.header import CameraPose, RecordingHeader, SourceInfo
from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.geometry import camera_from_fov, project, quaternion_from_matrix
from xnect.gui.parts import SourceRequest
from xnect.gui.review import Review
from xnect.gui.review_source import find_video, open_review
from xnect.gui.state import WindowState
from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_3D
from xnect.structures import Frame

CAMERA = camera_from_fov((64, 36))
BLANK = np.zeros((36, 64, 3), np.uint8)
FRAMES, FPS = 30, 10.0
FIRST = 50  # as with --start 5


@pytest.fixture
def take(tmp_path, result_at):
    """A recording of two people who swap ids from frame 20 on; it starts 5 s into its video."""
    folder = tmp_path / "take"
    header = RecordingHeader(
        angles=("right_elbow_flexion", "left_elbow_flexion", "right_knee_flexion"), camera=CAMERA,
        source=SourceInfo("clip.mp4", (64, 36), FPS), fps=FPS, bones=("a", "b", "c"), bone_parents=(-1, 0, 1),
    )  # fmt: skip
    with open_writers(folder, ["jsonl"], header) as writers:
        for i in range(FRAMES):
            result = result_at(FIRST + i, (FIRST + i) / FPS, CAMERA)
            if i >= 20:
                a, b = result.people
                people = (dataclasses.replace(b, id=1), dataclasses.replace(a, id=2))
                result = dataclasses.replace(result, people=people)
            writers.write(Frame(FIRST + i, result.timestamp_s, BLANK), result)
    return folder


def places(recording, person):
    """Mean x of a person's pelvis per frame."""
    one = recording.person(person)
    return one.people.joints_3d[:, 14, 0]


def test_swap_over_a_span_mends_the_recording(take):
    review = Review(load(take), take)
    broken = places(review.recording, 1)
    assert np.abs(np.diff(broken)).max() > 0.5, "the ids jump"
    review.mark(start=20)
    review.swap(1, 2)
    assert review.dirty
    mended = review.mended()
    for person in (1, 2):
        assert np.abs(np.diff(places(mended, person))).max() < 0.1
    assert [p.id for p in review.result_at(25).people] == [1, 2]
    review.undo()
    assert not review.dirty
    np.testing.assert_array_equal(places(review.mended(), 1), broken)


def test_split_and_join(take):
    review = Review(load(take), take)
    review.mark(start=10)
    review.mark(end=14)
    new = review.split(2)
    assert new == 3
    assert [p.id for p in review.result_at(9).people] == [1, 2]
    assert [p.id for p in review.result_at(10).people] == [1, 3]
    assert [p.id for p in review.result_at(15).people] == [1, 2]
    review.mark_all()
    assert review.join(3, 2) == 0, "they never stood in one frame"
    assert review.ids == [1, 2]
    both = review.join(2, 1)
    assert both == FRAMES
    assert all(len(review.result_at(i).people) == 1 for i in range(FRAMES))


def test_delete_keeps_the_frames(take):
    review = Review(load(take), take)
    review.delete(1)
    mended = review.mended()
    assert len(mended) == FRAMES
    assert mended.ids == (2,)


def test_span_ends_never_cross(take):
    review = Review(load(take), take)
    review.mark(end=5)
    review.mark(start=8)
    assert review.span == (8, 8)
    review.mark(end=3)
    assert review.span == (3, 3)


def test_positions_by_time_count_from_the_first_frame(take):
    review = Review(load(take), take)
    assert review.times_s[0] == 0
    assert review.position_at(0.0) == 0
    assert review.position_at(1.24) == 12
    assert review.position_at(99) == FRAMES - 1
    assert review.result_at(12).timestamp_s == pytest.approx(1.2)


def test_mended_recordings_are_written_and_read(take, tmp_path):
    from xnect.gui.review_edits import write_recording

    review = Review(load(take), take)
    review.mark(start=20)
    review.swap(1, 2)
    write_recording(review, tmp_path / "new", None, ("jsonl", "overlay", "csv"))
    again = load(tmp_path / "new")
    assert np.abs(np.diff(places(again, 1))).max() < 0.1
    np.testing.assert_array_equal(again.frames, review.recording.frames)
    assert not (tmp_path / "new" / "overlay.mp4").exists()
    write_recording(review, tmp_path / "two", 2, ("jsonl",))
    assert load(tmp_path / "two").ids == (2,)
    assert load(take).ids == (1, 2), "the first one is as it was"


def test_a_recording_without_video_plays_on_grey(take):
    source = open_review(SourceRequest("recording", str(take)))
    frames = list(source)
    assert [f.index for f in frames] == list(range(FIRST, FIRST + FRAMES))
    assert frames[3].timestamp_s == pytest.approx(0.3)
    assert frames[0].image_bgr.shape == (36, 64, 3)
    assert source.info.duration_s == pytest.approx(FRAMES / FPS)
    assert [p.id for p in source.replay(frames[4]).people] == [1, 2]


def test_seeking_keeps_the_repairs(take):
    request = SourceRequest("recording", str(take))
    source = open_review(request)
    source.replay.review.delete(2)
    again = open_review(request.at(1.0))
    frames = list(again)
    assert frames[0].index == FIRST + 10
    assert [p.id for p in again.replay(frames[0]).people] == [1]


def test_the_video_is_found_beside_and_above_and_nowhere_else(take, tmp_path):
    assert find_video(take, "clip.mp4") is None
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert find_video(take, "clip.mp4") == tmp_path / "clip.mp4"
    assert find_video(take, "clip") == tmp_path / "clip.mp4"
    (tmp_path.parent / "secret.mp4").write_bytes(b"")
    assert find_video(take, "../../secret.mp4") is None
    (tmp_path.parent / "secret.mp4").unlink()


def test_pictures_of_the_video_meet_their_frames(take, tmp_path):
    import av

    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "bgr0"
        for i in range(FIRST + FRAMES - 4):
            picture = np.full((36, 64, 3), 3 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="bgr0")))
        container.mux(stream.encode())
    frames = list(open_review(SourceRequest("recording", str(take), beside=str(tmp_path / "clip.mkv"))))
    assert [f.index for f in frames] == list(range(FIRST, FIRST + FRAMES))
    assert int(frames[7].image_bgr.mean()) == 3 * (FIRST + 7)
    assert int(frames[-1].image_bgr.mean()) == 38, "the video is shorter: grey"


def test_what_is_no_recording_is_refused(tmp_path):
    (tmp_path / "poses.jsonl").write_text('{"format": "other"}\n')
    with pytest.raises(FormatError):
        open_review(SourceRequest("recording", str(tmp_path)))


@pytest.mark.gui
def test_the_window_opens_mends_and_saves_a_recording(window, world, take, tmp_path, qtbot, monkeypatch):
    from PyQt5.QtCore import Qt

    from xnect.gui import default_parts

    opener = world.open_source
    monkeypatch.setattr(
        world, "open_source", lambda r, c: default_parts.open_source(r, c) if r.kind == "recording" else opener(r, c)
    )
    object.__setattr__(window.parts, "open_source", world.open_source)
    window.commands.open_path(str(take / "poses.jsonl"))
    qtbot.waitUntil(lambda: window.state.review is not None and window.state.shown is not None)
    review = window.state.review
    bar, people = window.views.review, window.views.people
    qtbot.waitUntil(bar.isVisible)
    assert people.table.rowCount() == 2
    assert len(window.state.history.series(1, "height:neck", window.state.angle_names, 1.0)[0]) == FRAMES
    window.play(False)
    qtbot.wait(300)
    window.seek(2.0)
    qtbot.waitUntil(lambda: window.state.shown.result.index == FIRST + 20)
    qtbot.mouseClick(bar.buttons["start"], Qt.LeftButton)
    assert review.span == (20, FRAMES - 1)
    people.table.selectAll()
    qtbot.waitUntil(lambda: bar.buttons["swap"].isEnabled())
    before = {p.id: float(p.root[0][0]) for p in window.state.shown.result.people}
    qtbot.mouseClick(bar.buttons["swap"], Qt.LeftButton)
    qtbot.waitUntil(lambda: {p.id: float(p.root[0][0]) for p in window.state.shown.result.people}[1] == before[2])
    assert review.dirty
    window.write_review(tmp_path / "mended")
    qtbot.waitUntil(lambda: "Saved in" in window.views.notice.text)
    assert np.abs(np.diff(places(load(tmp_path / "mended"), 1))).max() < 0.1
    qtbot.waitUntil(lambda: not review.dirty)
    window.open_source(SourceRequest("video", "clip.mp4", title="clip.mp4"))
    qtbot.waitUntil(lambda: window.state.source.title == "clip.mp4" and bool(window.state.visible_people()))
    assert window.state.review is None
    qtbot.waitUntil(lambda: not bar.isVisible())


def test_a_levelled_recording_is_shown_as_its_camera_saw_it(tmp_path, result_at):
    pitch, height = np.radians(20), 1.4
    turn = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    place = np.array([0.3, -height, 0.0])
    pose = CameraPose(tuple(place), tuple(quaternion_from_matrix(turn).tolist()))
    header = RecordingHeader(
        angles=("right_elbow_flexion", "left_elbow_flexion", "right_knee_flexion"), camera=CAMERA, camera_pose=pose,
        source=SourceInfo("clip.mp4", (64, 36), FPS), fps=FPS, bones=("a", "b", "c"), bone_parents=(-1, 0, 1),
    )  # fmt: skip
    seen = [result_at(i, i / FPS, CAMERA) for i in range(5)]
    in_room = [
        dataclasses.replace(p, joints_3d=(p.joints_3d @ turn.T + place).astype(np.float32),
                            root=((turn @ p.root[0] + place).astype(np.float32), quaternion_from_matrix(turn).astype(np.float32)))
        for p in seen[3].people
    ]  # fmt: skip
    with open_writers(tmp_path / "take", ["jsonl"], header) as writers:
        for result in seen:
            people = tuple(in_room) if result is seen[3] else ()
            writers.write(Frame(result.index, result.timestamp_s, BLANK), dataclasses.replace(result, people=people))
    state = WindowState()
    review = Review(load(tmp_path / "take"), tmp_path / "take")
    state.set_review(review)
    for person, truth in zip(review.result_at(3).people, seen[3].people, strict=True):
        np.testing.assert_allclose(person.joints_3d, truth.joints_3d, atol=2e-3)
        np.testing.assert_allclose(person.root[0], truth.root[0], atol=2e-3)
        np.testing.assert_allclose(np.abs(person.root[1]), [1, 0, 0, 0], atol=2e-3)
        on_picture = project(person.joints_3d[JOINT_3D_OF_2D].astype(float), CAMERA)
        sure = truth.confidence_2d > 0
        np.testing.assert_allclose(on_picture[sure], truth.joints_2d[sure], atol=0.2)
        _, heights = state.history.series(
            person.id, "height:right_ankle", state.angle_names, state.floor_y_m, state.level
        )
        room = in_room[person.id - 1].joints_3d[JOINTS_3D.index("right_ankle")]
        assert heights[0] == pytest.approx(-room[1], abs=2e-3)
    assert state.floor_measured
    assert state.floor_y_m == pytest.approx(height)
    np.testing.assert_allclose(review.mended().people.joints_3d[0], in_room[0].joints_3d, atol=2e-3)
