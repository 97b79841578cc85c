from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnect.config import TrackingConfig
from xnect.errors import ShapeError, SourceError
from xnect.skeleton.joints import FLIP_2D
from xnect.structures import STATE_LOST, STATE_NEW, STATE_TRACKED, Detections, Poses
from xnect.tracking import Tracker

BODY = np.array(
    [[0, -60], [0, -45], [-18, -45], [-22, -15], [-24, 10], [18, -45], [22, -15], [24, 10],
     [-10, 5], [-10, 45], [-10, 85], [10, 5], [10, 45], [10, 85]], np.float32,
)  # fmt: skip


def people(*places, score=0.8, scale=1.0):
    """Standing people at places [px], without 3D."""
    joints = np.array([BODY * scale + np.float32(p) for p in places], np.float32).reshape(-1, 14, 2)
    count = len(joints)
    scores = np.full(count, score, np.float32)
    return Detections(joints, np.full((count, 14), 0.8, np.float32), scores), blind(count)


def blind(count):
    return Poses(
        np.zeros((count, 21, 3), np.float32), np.zeros((count, 3), np.float32), np.zeros((count, 21), np.float32),
        np.ones((count, 21), bool),
    )  # fmt: skip


def id_of_row(tracks):
    return {int(r): int(i) for i, r in zip(tracks.ids, tracks.row) if r >= 0}


def crossing(walker, **looks):
    return [
        walker(lambda t: (-1.6 + 0.9 * t, 0, 4.0), shirt=(40, 40, 200)),
        walker(lambda t: (1.6 - 0.9 * t, 0, 4.8), **{"shirt": (60, 180, 60), "trousers": (150, 90, 30), **looks}),
    ]


def crowd(walker, count, seed):
    rng = np.random.default_rng(seed)

    def within(value, low, high):
        return high - abs((value - low) % (2 * (high - low)) - (high - low))

    def one():
        x, z = rng.uniform(-2.5, 2.5), rng.uniform(3.5, 8)
        vx, vz = rng.uniform(-1, 1, 2)
        shirt, trousers = rng.integers(20, 235, (2, 3)).tolist()
        return walker(
            lambda t: (within(x + vx * t, -2.5, 2.5), 0, within(z + vz * t, 3.5, 8)),
            size=rng.uniform(0.9, 1.08), shirt=tuple(shirt), trousers=tuple(trousers),
        )  # fmt: skip

    return [one() for _ in range(count)]


@pytest.mark.parametrize(("fps", "twins"), [(6, False), (6, True), (10, False), (10, True), (30, True), (60, False)])
def test_crossing_people_keep_their_ids(scene, walker, judge, fps, twins):
    looks = {"shirt": (40, 40, 200), "trousers": (60, 50, 40)} if twins else {}
    shots = scene(crossing(walker, **looks), fps=fps, seconds=3.5, seed=3).shots()
    result = judge(Tracker(TrackingConfig()), shots)
    assert result.num_switches == 0
    assert result.idf1 > 0.92  # the rest is 3 % missed detections and false alarms


def test_all_cues_are_better_than_place_alone(scene, walker, judge):
    films = [scene(crowd(walker, 6, seed), fps=10, seconds=4, seed=seed, double=0).shots() for seed in (2, 4, 5)]
    both = [judge(Tracker(TrackingConfig()), shots) for shots in films]
    place = [judge(Tracker(TrackingConfig()), shots, colours=False, with_3d=False) for shots in films]
    switches = sum(r.num_switches for r in both)
    assert switches <= 4
    assert switches < 0.5 * sum(r.num_switches for r in place)
    assert min(r.idf1 for r in both) > 0.9


def test_somebody_who_leaves_and_returns_gets_the_old_id(scene, walker):
    def out_and_back(t):
        return (0.9 + 2.0 * min(max(t - 0.5, 0), 1.0) - 2.0 * min(max(t - 1.8, 0), 1.0), 0, 4.0)

    walkers = [walker(out_and_back, shirt=(30, 30, 220)), walker(lambda t: (-1.2, 0, 4.0), shirt=(200, 120, 30))]
    tracker, seen = Tracker(TrackingConfig()), {0: [], 1: []}
    gone = 0
    for shot in scene(walkers, fps=30, seconds=3.5, miss=0, double=0, false=0).shots():
        tracks = tracker(shot.detections, shot.poses, shot.image, shot.time_s)
        gone += not shot.visible[0]
        for row, number in id_of_row(tracks).items():
            seen[shot.owner[row]].append(number)
    assert gone > 10
    assert set(seen[0]) == {seen[0][0]}
    assert set(seen[1]) == {seen[1][0]}


def test_colours_tell_apart_who_comes_back(scene, walker):
    """A stranger who turns up where somebody vanished does not inherit the id; the same person does."""

    def film(shirt, trousers):
        before = scene(
            [walker(lambda t: (0, 0, 4.0), shirt=(40, 40, 210), trousers=(50, 45, 40))], miss=0, double=0, false=0
        )
        after = scene([walker(lambda t: (0.4, 0, 4.0), shirt=shirt, trousers=trousers)], miss=0, double=0, false=0)
        tracker = Tracker(TrackingConfig())
        first = [tracker(s.detections, s.poses, s.image, s.time_s) for s in map(before.shot, np.arange(15) / 30)][-1]
        empty = before.shot(0.0).image
        for k in range(15, 33):
            tracker(Detections.empty(), Poses.empty(), empty, k / 30)
        shot = after.shot(33 / 30)
        return int(first.ids[0]), id_of_row(tracker(shot.detections, shot.poses, shot.image, 33 / 30))[0]

    same = film((40, 40, 210), (50, 45, 40))
    stranger = film((60, 200, 230), (190, 160, 90))
    assert same[0] == same[1]
    assert stranger[0] != stranger[1]


def test_states_go_from_new_to_tracked_to_lost_to_gone():
    tracker = Tracker(TrackingConfig(keep_s=0.5, confirm_frames=3))
    states = [tracker(*people((300, 200)), None, k / 30).state.tolist() for k in range(4)]
    assert states == [[STATE_NEW], [STATE_NEW], [STATE_TRACKED], [STATE_TRACKED]]
    lost = [tracker(*people(), None, k / 30) for k in range(4, 25)]
    counts = [len(t) for t in lost]
    assert lost[0].state.tolist() == [STATE_LOST]
    assert lost[0].row.tolist() == [-1]
    assert sum(counts) == 15  # half a second
    assert counts[-1] == 0


def test_ids_come_back_within_keep_s_and_not_after():
    for gap, same in ((0.8, True), (1.5, False)):
        tracker = Tracker(TrackingConfig(keep_s=1.0))
        for k in range(10):
            tracker(*people((300, 200)), None, k / 30)
        for k in range(10, 10 + int(gap * 30)):
            tracker(*people(), None, k / 30)
        tracks = tracker(*people((310, 200)), None, 9 / 30 + gap + 1 / 30)
        assert bool(tracks.ids[tracks.row == 0][0] == 1) is same


def test_a_slow_source_keeps_ids():
    tracker = Tracker(TrackingConfig(keep_s=1.0))
    ids = [tracker(*people((300 + 3 * k, 200), (600, 200)), None, 2.0 * k).ids.tolist() for k in range(6)]
    assert ids == [[1, 2]] * 6


@pytest.mark.parametrize("jump", [60.0, -60.0])
def test_a_jump_in_time_starts_anew_without_reusing_ids(jump):
    tracker = Tracker(TrackingConfig())
    for k in range(10):
        tracker(*people((300, 200)), None, 100 + k / 30)
    tracks = tracker(*people((300, 200)), None, 100 + jump)
    assert tracks.ids.tolist() == [2]
    assert tracker(*people((300, 200)), None, 100 + jump + 1 / 30).ids.tolist() == [2]


def test_a_stuttering_clock_does_no_harm():
    tracker = Tracker(TrackingConfig())
    times = [0, 1 / 30, 1 / 30, 2 / 30, 1.9 / 30, 3 / 30, 3 / 30, 4 / 30]
    ids = [tracker(*people((300 + 2 * k, 200)), None, t).ids.tolist() for k, t in enumerate(times)]
    assert ids == [[1]] * len(times)


def test_duplicates_of_one_person_get_one_id():
    tracker = Tracker(TrackingConfig())
    for k in range(5):
        found, poses = people((300, 200), (301, 202), (600, 200))
        tracks = tracker(found, poses, None, k / 30)
        assert len(tracks) == 2


def test_a_fragment_on_a_person_is_not_a_person():
    tracker = Tracker(TrackingConfig())
    for k in range(5):
        found, poses = people((300, 200), (300, 200))
        confidence = found.confidence.copy()
        confidence[1, :8] = 0  # legs only
        if k:
            confidence[0, 8:] = 0  # and the person has just lost them
        found = Detections(found.joints_px.copy(), confidence, found.score.copy())
        tracks = tracker(found, poses, None, k / 30)
    assert tracks.ids.tolist() == [1]


def test_right_taken_for_left_does_not_cost_the_id():
    tracker = Tracker(TrackingConfig())
    for k in range(20):
        found, poses = people((300 + 2 * k, 200), (500, 200))
        joints = found.joints_px.copy()
        if k % 3 == 2:
            joints[0] = joints[0][FLIP_2D]
        confidence = found.confidence.copy()
        confidence[0, [3, 4, 7][k % 3]] = 0
        tracks = tracker(Detections(joints, confidence, found.score.copy()), poses, None, k / 30)
        assert tracks.ids.tolist() == [1, 2]
        assert tracks.row.tolist() == [1, 0]  # the whole body was taken in first


def test_of_two_who_claim_one_person_the_older_wins():
    tracker = Tracker(TrackingConfig(keep_s=0.5))
    for k in range(30):
        tracker(*people((300, 200)), None, k / 30)
    double = people((300, 200), (300, 240))  # a second body, too far off to be a plain duplicate
    for k in range(30, 34):
        tracker(*double, None, k / 30)
    for k in range(34, 60):
        tracks = tracker(*people((300, 215)), None, k / 30)
        assert tracks.row[0] == 0
    assert tracks.ids.tolist() == [1]


def test_two_people_side_by_side_are_no_duplicates():
    tracker = Tracker(TrackingConfig())
    assert len(tracker(*people((300, 200), (330, 200)), None, 0.0)) == 2


def test_nobody_at_all():
    tracker = Tracker(TrackingConfig())
    image = np.zeros((90, 160, 3), np.uint8)
    assert all(len(tracker(Detections.empty(), Poses.empty(), image, k / 30)) == 0 for k in range(3))


def test_reset_starts_ids_again():
    tracker = Tracker(TrackingConfig())
    tracker(*people((300, 200), (600, 200)), None, 5.0)
    tracker.reset()
    assert tracker(*people((300, 200)), None, 0.0).ids.tolist() == [1]


def test_wrong_input_is_refused():
    tracker = Tracker(TrackingConfig())
    with pytest.raises(ShapeError, match="2 detections but 1 poses"):
        tracker(people((1, 1), (400, 1))[0], blind(1), None, 0.0)
    with pytest.raises(SourceError, match="finite"):
        tracker(*people((1, 1)), None, float("nan"))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), fps=st.sampled_from([6, 15, 30]))
def test_whatever_comes_the_ids_are_sound(seed, fps):
    """Ids ascend, no row is used twice, ids seen once are never given to a new person, nothing is NaN."""
    rng = np.random.default_rng(seed)
    tracker, ever, gone = Tracker(TrackingConfig(keep_s=0.2)), set(), set()
    image = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
    for k in range(12):
        count = int(rng.integers(0, 6))
        seen = rng.random((count, 14)) < rng.uniform(0.1, 1)
        joints = rng.uniform(-20, 180, (count, 1, 2)) + BODY * rng.uniform(0.05, 1) + rng.normal(0, 3, (count, 14, 2))
        found = Detections(
            (joints * seen[..., None]).astype(np.float32), (seen * rng.random((count, 14))).astype(np.float32),
            rng.random(count).astype(np.float32),
        )  # fmt: skip
        poses = Poses(
            rng.normal(0, 0.4, (count, 21, 3)).astype(np.float32), rng.normal(0, 3, (count, 3)).astype(np.float32),
            rng.random((count, 21)).astype(np.float32), rng.random((count, 21)) < 0.3,
        )  # fmt: skip
        tracks = tracker(found, poses, image if k % 3 else None, k / fps)
        assert (np.diff(tracks.ids) > 0).all()
        rows = tracks.row[tracks.row >= 0]
        assert len(set(rows.tolist())) == len(rows)
        assert (rows < count).all()
        assert ((tracks.state == STATE_LOST) == (tracks.row < 0)).all()
        now = set(tracks.ids.tolist())
        assert not now & gone
        gone |= ever - now
        ever |= now


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_detections_does_not_matter(scene, walker, seed):
    shots = scene(crowd(walker, 4, seed), fps=10, seconds=1.2, seed=seed).shots()
    rng = np.random.default_rng(seed)
    plain, shuffled = Tracker(TrackingConfig()), Tracker(TrackingConfig())
    for shot in shots:
        order = rng.permutation(len(shot.detections))
        d, p = shot.detections, shot.poses
        mixed = Detections(d.joints_px[order], d.confidence[order], d.score[order])
        mixed_poses = Poses(p.joints_m[order], p.root_m[order], p.confidence[order], p.inferred[order])
        a = plain(d, p, shot.image, shot.time_s)
        b = shuffled(mixed, mixed_poses, shot.image, shot.time_s)
        assert {i: r for r, i in id_of_row(a).items()} == {i: int(order[r]) for r, i in id_of_row(b).items()}
        assert a.ids.tolist() == b.ids.tolist()


def unsure(detections, *rows):
    """The same people, these rows with too little evidence to be somebody on their own."""
    sure = np.ones(len(detections), bool)
    sure[list(rows)] = False
    return replace(detections, sure=sure)


def test_weak_evidence_continues_somebody_followed_and_begins_nobody():
    tracker = Tracker(TrackingConfig())
    for k in range(8):
        tracker(*people((200, 200)), None, k / 30)
    both, poses = people((202, 200), (500, 220))
    tracks = tracker(unsure(both, 0, 1), poses, None, 8 / 30)
    assert id_of_row(tracks) == {0: 1}
    assert len(tracks.ids) == 1


def test_nobody_lives_on_weak_evidence_alone():
    # an arm that is taken for a person now and then, say
    tracker = Tracker(TrackingConfig())
    shown = 0
    for k in range(60):
        arm, poses = people((200, 200))
        shown += len(id_of_row(tracker(arm if k % 4 == 0 else unsure(arm, 0), poses, None, k / 30)))
    assert shown == 15
    tracker.reset()
    for k in range(60, 90):
        tracker(*people((200, 200)), None, k / 30)
    weak, poses = people((200, 200))
    lasted = [len(id_of_row(tracker(unsure(weak, 0), poses, None, k / 30))) for k in range(90, 150)]
    assert 10 < sum(lasted) < 30
    assert lasted == sorted(lasted, reverse=True)


def test_weak_evidence_does_not_confirm_a_newcomer():
    tracker = Tracker(TrackingConfig(confirm_frames=3))
    tracker(*people((200, 200)), None, 0)
    for k in range(1, 6):
        weak, poses = people((200, 200))
        assert not id_of_row(tracker(unsure(weak, 0), poses, None, k / 30))


def test_weak_evidence_takes_nobody_from_a_sure_detection():
    tracker = Tracker(TrackingConfig())
    for k in range(8):
        tracker(*people((200, 200)), None, k / 30)
    both, poses = people((200, 200), (212, 204))  # the weak one lies where the person is expected to be
    assert id_of_row(tracker(unsure(both, 0), poses, None, 8 / 30)) == {1: 1}
