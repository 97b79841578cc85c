"""Writers as the programs use them: what a run leaves behind, also when a part of it fails or is killed."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from xnect.errors import OutputError
from xnect.formats.recording import load
from xnect.formats.writer import FORMATS, names, open_writers


def test_log_reads_back(tmp_path, header, make_frames):
    frames = list(make_frames(12, ids=lambda i: (1, 2) if i % 3 else ()))
    with open_writers(tmp_path / "new" / "run", ["jsonl"], header) as writers:
        for frame, result in frames:
            writers.write(frame, result)
    recording = load(tmp_path / "new" / "run")
    assert recording.frames.tolist() == list(range(12))
    for (_, want), got in zip(frames, recording.results(), strict=True):
        assert got.timestamp_s == pytest.approx(want.timestamp_s, abs=1e-6)
        assert [p.id for p in got.people] == [p.id for p in want.people]
        for a, b in zip(want.people, got.people, strict=True):
            np.testing.assert_allclose(b.joints_2d, a.joints_2d, atol=0.0051)
            np.testing.assert_allclose(b.joints_3d, a.joints_3d, atol=0.000051)
            np.testing.assert_allclose(b.angles, a.angles, atol=0.000051)
            np.testing.assert_allclose(b.root[1], a.root[1], atol=0.00001)
            np.testing.assert_allclose(b.offsets, a.offsets, atol=0.0001)
            assert (b.inferred == a.inferred).all()
            assert b.state == a.state


def test_each_frame_is_on_disk_at_once(tmp_path, header, make_frames):
    writers = open_writers(tmp_path, [], header)
    for count, (frame, result) in enumerate(make_frames(5), 1):
        writers.write(frame, result)
        assert len(load(tmp_path)) == count
    writers.close()
    writers.close()


def test_unknown_format_names_the_known(tmp_path, header):
    with pytest.raises(OutputError, match="overlay") as caught:
        open_writers(tmp_path, ["overlai"], header)
    assert all(name in str(caught.value) for name in names())
    assert names()[0] == "jsonl"
    assert tuple(FORMATS) == names()


def test_nothing_is_overwritten_unasked(tmp_path, header, make_frames):
    open_writers(tmp_path, ["jsonl"], header).close()
    before = (tmp_path / "poses.jsonl").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        open_writers(tmp_path, ["jsonl"], header)
    assert (tmp_path / "poses.jsonl").read_bytes() == before
    with open_writers(tmp_path, ["jsonl"], header, overwrite=True) as writers:
        writers.write(*next(make_frames(1)))
    assert len(load(tmp_path)) == 1


def test_folder_that_cannot_be_made(tmp_path, header):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        open_writers(tmp_path / "file" / "run", ["jsonl"], header)


def test_one_failing_format_loses_no_other(tmp_path, header, make_frames, monkeypatch):
    from xnect.formats.overlay import OverlayWriter

    calls = []

    def full_disk(self, record):
        calls.append(record.result.index)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(OverlayWriter, "write", full_disk)
    writers = open_writers(tmp_path, ["overlay"], header)
    for frame, result in make_frames(6):
        writers.write(frame, result)
    assert calls == [0, 1, 2]
    assert "No space left" in writers.failures["overlay"]
    with pytest.raises(OutputError, match=r"overlay: .*No space left"):
        writers.close()
    assert len(load(tmp_path)) == 6


def test_error_in_the_block_still_closes_and_is_not_replaced(tmp_path, header, make_frames):
    def run():
        with open_writers(tmp_path, ["overlay"], header) as writers:
            for frame, result in make_frames(6):
                writers.write(frame, result)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(load(tmp_path)) == 6
    with av.open(str(tmp_path / "overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def test_numbers_that_are_not_finite_are_left_out_and_told(tmp_path, header, make_frames):
    frame, result = next(make_frames(1))
    bad = np.array(result.people[0].joints_3d)
    bad[3, 1] = np.nan
    object.__setattr__(result.people[0], "joints_3d", bad)
    writers = open_writers(tmp_path, ["jsonl"], header)
    writers.write(frame, result)
    with pytest.raises(OutputError, match="1 people with impossible numbers"):
        writers.close()
    assert load(tmp_path).ids == (2,)


def test_writing_after_the_close_is_refused(tmp_path, header, make_frames):
    writers = open_writers(tmp_path, [], header)
    writers.close()
    with pytest.raises(OutputError, match="closed"):
        writers.write(*next(make_frames(1)))


def test_paths_with_other_letters(tmp_path, header, make_frames):
    folder: Path = tmp_path / "Größe 姿勢"
    with open_writers(folder, ["overlay"], header) as writers:
        writers.write(*next(make_frames(1)))
    assert load(folder).ids == (1, 2)
    assert (folder / "overlay.mp4").stat().st_size > 0


def test_whatever_is_written_can_be_read(tmp_path, header, make_frames):
    frames = list(make_frames(3, ids=lambda i: (1, 2, 3, 4)))
    people = frames[1][1].people
    changes = [
        {"joints_2d": np.full((14, 2), 1e9, np.float32)},
        {"root": (people[1].root[0], np.zeros(4, np.float32))},
        {"id": 1},
        {"score": 1.5, "confidence_2d": np.full(14, 1.2, np.float32)},
    ]
    odd = tuple(dataclasses.replace(p, **c) for p, c in zip(people, changes, strict=True))
    frames[1] = frames[1][0], dataclasses.replace(frames[1][1], people=(*odd, people[0]))
    writers = open_writers(tmp_path, ["csv", "coco"], header)
    for frame, result in frames:
        writers.write(frame, result)
    with pytest.raises(OutputError, match="4 people with impossible"):
        writers.close()
    recording = load(tmp_path)
    assert recording.people.ids[recording.row_frame == 1].tolist() == [4]


def test_frames_out_of_order_are_left_out_and_told(tmp_path, header, make_frames):
    frames = list(make_frames(4))
    writers = open_writers(tmp_path, [], header)
    for index in (0, 2, 1, 2, 3):
        writers.write(*frames[index])
    late = dataclasses.replace(frames[3][1], index=9, timestamp_s=0.0)
    writers.write(frames[3][0], late)
    with pytest.raises(OutputError, match="order: frame 1 "):
        writers.close()
    assert load(tmp_path).frames.tolist() == [0, 2, 3]
