"""What the window shows, without a window."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xnect.geometry import camera_from_fov
from xnect.gui.history import History, Ring, person_height_m, quantities
from xnect.gui.people import IdMap, People
from xnect.gui.rewind import Rewind
from xnect.gui.state import Rate, Shown, SourceInfo, WindowState
from xnect.structures import Frame

CAMERA = camera_from_fov((640, 360))


def shown(result, generation=1):
    image = np.zeros((36, 64, 3), np.uint8)
    return Shown(Frame(result.index, result.timestamp_s, image), result, generation=generation)


def test_ring_keeps_the_newest_rows_in_order():
    ring = Ring(2, 5)
    for i in range(23):
        ring.append(float(i), np.array([i, -i]))
    assert ring.times_s.tolist() == [18, 19, 20, 21, 22]
    assert ring.rows[:, 0].tolist() == [18, 19, 20, 21, 22]


def test_ring_forgets_when_time_runs_back():
    ring = Ring(1, 5)
    for t in (1.0, 2.0, 0.5, 0.6):
        ring.append(t, np.array([t]))
    assert ring.times_s.tolist() == [0.5, 0.6]


def test_history_gives_heights_above_the_floor_and_angles_in_degrees(result_at):
    history = History()
    names = ("right_elbow_flexion", "left_elbow_flexion", "right_knee_flexion")
    for i in range(30):
        history.append(result_at(i, i / 30, CAMERA))
    t, height = history.series(1, "height:right_ankle", names, 1.0)
    truth = [1.0 - result_at(i, i / 30, CAMERA).people[0].joints_3d[10, 1] for i in range(30)]
    np.testing.assert_allclose(height, truth, atol=1e-6)
    assert len(t) == 30
    _, angle = history.series(1, "angle:right_elbow_flexion", names, 1.0)
    np.testing.assert_allclose(angle, np.degrees(0.3), atol=1e-3)
    t, speed = history.series(1, "speed:left_wrist", names, 1.0)
    assert len(t) == 29
    assert speed.max() > 0.5
    assert history.series(1, "angle:unknown", names, 1.0)[0].size == 0
    assert history.series(9, "height:neck", names, 1.0)[0].size == 0


def test_history_drops_people_gone_for_long(result_at):
    history = History(forget_s=5)
    history.append(result_at(0, 0.0, CAMERA, 2))
    history.append(result_at(1, 6.0, CAMERA, 1))
    assert history.ids == [1]


def test_height_is_that_of_the_body(result_at):
    height = person_height_m(result_at(0, 0.0, CAMERA).people[0])
    assert 1.5 < height < 1.75


def test_every_quantity_has_a_key_of_its_own():
    keys = [q.key for q in quantities(("a", "b"))]
    assert len(keys) == len(set(keys)) == 2 + 3 * 21


def test_people_count_visible_time_and_find_the_next(result_at):
    people = People()
    for i in range(31):
        people.advance(result_at(i, i / 30, CAMERA))
    assert people.entries[1].visible_s == pytest.approx(1.0)
    people.advance(result_at(31, 31 / 30, CAMERA, 1))
    assert not people.entries[2].present
    assert people.next_present(None) == 1
    assert people.next_present(1) == 1
    people.advance(result_at(32, 32 / 30, CAMERA, 3))
    assert [people.next_present(i) for i in (None, 1, 2, 3)] == [1, 2, 3, 1]


def test_people_hide_and_solo(result_at):
    people = People()
    people.advance(result_at(0, 0, CAMERA))
    people.entries[1].hidden = True
    assert not people.shown(1)
    assert people.shown(2)
    people.solo = 1
    assert people.shown(1)
    assert not people.shown(2)


def test_people_list_stays_small(result_at):
    people = People()
    for i in range(people.KEEP + 50):
        result = result_at(i, i / 30, CAMERA, 1)
        mapped = IdMap()
        mapped.merge(1, i + 1)
        people.advance(mapped.apply(result))
        people.rename(i + 1, "somebody")
    assert len(people.entries) == people.KEEP
    assert people.KEEP + 50 in people.entries


def test_ghosts_of_a_blink_leave_the_list(result_at):
    people = People()
    people.advance(result_at(0, 0.0, CAMERA, 3))
    for i in range(1, 40):
        people.advance(result_at(i, i / 20, CAMERA, 2))
    assert sorted(people.entries) == [1, 2]
    people.advance(result_at(40, 2.0, CAMERA, 3))
    people.rename(3, "Zoe")
    for i in range(41, 90):
        people.advance(result_at(i, i / 20, CAMERA, 1))
    assert sorted(people.entries) == [1, 2, 3], "who has a name, or was there for a while, stays"


def test_merge_then_swap_of_ids(result_at):
    ids = IdMap()
    result = result_at(0, 0, CAMERA, 3)
    ids.merge(3, 1)
    assert [p.id for p in ids.apply(result).people] == [1, 2]
    ids.swap(1, 2)
    assert (ids(1), ids(2), ids(3)) == (2, 1, 2)
    ids.swap(1, 2)
    assert (ids(1), ids(2), ids(3)) == (1, 2, 1)


def test_merged_people_in_one_frame_leave_the_surer_one(result_at):
    import dataclasses

    result = result_at(0, 0, CAMERA, 2)
    sure = dataclasses.replace(result.people[1], score=0.99)
    result = dataclasses.replace(result, people=(result.people[0], sure))
    ids = IdMap()
    ids.merge(2, 1)
    (person,) = ids.apply(result).people
    assert person.id == 1
    assert person.score == pytest.approx(0.99)


def test_new_source_forgets_people_but_not_options(result_at):
    state = WindowState()
    state.options.mirror = True
    state.set_source(SourceInfo("a", False, (640, 360), 30, 2))
    state.take_in(shown(result_at(0, 0, CAMERA)))
    state.selected = state.follow = 1
    state.merge(2, 1)
    state.set_source(SourceInfo("b"))
    assert not state.people.entries
    assert state.selected is None
    assert state.ids(2) == 2
    assert state.options.mirror


def test_looking_back_does_not_disturb_the_plots(result_at):
    state = WindowState()
    frames = [shown(result_at(i, i / 30, CAMERA)) for i in range(10)]
    for f in frames:
        state.take_in(f)
        state.show(f)
    state.show(frames[2])
    assert state.playback.position_s == frames[2].result.timestamp_s
    assert len(state.history.series(1, "height:neck", (), 0.0)[0]) == 10


def test_floor_lies_under_the_feet(result_at):
    state = WindowState()
    for i in range(60):
        state.take_in(shown(result_at(i, i / 30, CAMERA, 1)))
    feet = max(result_at(i, i / 30, CAMERA, 1).people[0].joints_3d[:, 1].max() for i in range(60))
    assert abs(state.floor_y_m - feet) < 0.06


def test_selection_is_dropped_with_the_person(result_at):
    state = WindowState()
    state.selected = state.follow = 77
    state.take_in(shown(result_at(0, 0, CAMERA)))
    assert state.selected is None
    assert state.follow is None


def test_rate_ignores_pauses():
    rate = Rate()
    values = [rate.tick(i * 0.05) for i in range(20)]
    assert values[0] == 0
    assert values[-1] == pytest.approx(20, rel=1e-6)
    assert rate.tick(100.0) == 0
    assert rate.tick(100.05) == pytest.approx(20)


def test_rewind_steps_within_memory_and_tells_what_is_left(result_at):
    rewind = Rewind()
    frames = [shown(result_at(i, i / 30, CAMERA, 0)) for i in range(10)]
    for f in frames:
        rewind.push(f)
    assert rewind.step(-3) == (frames[6], 0)
    assert not rewind.at_head
    assert rewind.step(1) == (frames[7], 0)
    assert rewind.step(5) == (frames[9], 3)
    assert rewind.at_head
    assert rewind.step(-12) == (frames[0], -3)
    rewind.push(shown(result_at(10, 10 / 30, CAMERA, 0)))
    assert rewind.step(0)[0] is frames[0]
    assert rewind.to_head().result.index == 10


def test_a_pinned_rewind_stays_on_its_frame(result_at):
    rewind = Rewind()
    frames = [shown(result_at(i, i / 30, CAMERA, 0)) for i in range(8)]
    for f in frames[:4]:
        rewind.push(f)
    rewind.pinned = True
    for f in frames[4:]:
        rewind.push(f)
    assert not rewind.at_head
    assert rewind.step(0)[0] is frames[3]
    assert rewind.step(-1)[0] is frames[2]


def test_a_merged_id_does_not_come_back_with_a_late_frame(result_at):
    state = WindowState()
    state.take_in(shown(result_at(0, 0, CAMERA)))
    state.merge(2, 1)
    state.take_in(shown(result_at(1, 1 / 30, CAMERA)))
    assert list(state.people.entries) == [1]


def test_rewind_keeps_to_its_budget_and_forgets_on_a_jump(result_at):
    size = 36 * 64 * 3
    rewind = Rewind(budget=4 * size)
    for i in range(10):
        rewind.push(shown(result_at(i, i / 30, CAMERA, 0)))
    assert rewind.step(-99) == (rewind.step(0)[0], -96)
    rewind.push(shown(result_at(0, 0.0, CAMERA, 0)))
    assert rewind.step(-1)[1] == -1
    rewind.push(shown(result_at(0, 0.0, CAMERA, 0)))  # the same frame with new settings replaces
    assert rewind.step(-1)[1] == -1


def test_the_floor_is_guessed_where_no_feet_are_seen(result_at):
    state = WindowState()
    result = result_at(0, 0.0, CAMERA, 1)
    hidden = dataclasses.replace(result.people[0], inferred=np.ones(21, bool))
    state.take_in(shown(dataclasses.replace(result, people=(hidden,))))
    lowest = float(hidden.joints_3d[:, 1].max())
    assert abs(state.floor_y_m - lowest) < 0.05
