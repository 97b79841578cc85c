"""VMC as a real python-osc server gets it."""

import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.addresses import Address
from xnect.errors import StreamError
from xnect.skeleton.joints import JOINTS_3D
from xnect.streams import open_streams, slots
from xnect.streams.hub import Streams
from xnect.streams.vmc import VmcOutlet

#: Unity's humanoid, written down here once more: bone, parent, our joint that stands where the bone begins.
TREE = [
    ("Hips", None, "pelvis"), ("Spine", "Hips", None), ("Chest", "Spine", "spine"), ("Neck", "Chest", "neck"),
    ("Head", "Neck", "head"),
    *((side + bone, parent if parent in ("Hips", "Chest") else side + parent, joint and f"{side.lower()}_{joint}")
      for side in ("Right", "Left")
      for bone, parent, joint in [
          ("Shoulder", "Chest", None), ("UpperArm", "Shoulder", "shoulder"), ("LowerArm", "UpperArm", "elbow"),
          ("Hand", "LowerArm", "wrist"), ("UpperLeg", "Hips", "hip"), ("LowerLeg", "UpperLeg", "knee"),
          ("Foot", "LowerLeg", "ankle"), ("Toes", "Foot", "toe")]),
]  # fmt: skip


def rebuilt(frame):
    """World places of all bones from one frame's messages, as an avatar program chains them (left-handed)."""
    places, turns = {}, {}
    _, *root = frame["root"]
    for bone, parent, _ in TREE:
        numbers = frame[bone]
        p, q = np.array(numbers[:3]), Rotation.from_quat(numbers[3:])
        base, turn = (
            (np.array(root[:3]), Rotation.from_quat(root[3:])) if parent is None else (places[parent], turns[parent])
        )
        places[bone], turns[bone] = base + turn.apply(p), turn * q
    return places


def frames_of(receiver):
    """The messages as frames: each begins with /VMC/Ext/OK."""
    frames = []
    for at, address, arguments in list(receiver.messages):
        if address == "/VMC/Ext/OK":
            frames.append({"ok": arguments, "at": at})
        elif frames and address == "/VMC/Ext/Root/Pos":
            frames[-1]["root"] = arguments
        elif frames and address == "/VMC/Ext/T":
            frames[-1]["t"] = arguments[0]
        elif frames and address == "/VMC/Ext/Bone/Pos":
            frames[-1][arguments[0]] = arguments[1:]
    return frames


def check(frame, person):
    """Every joint that is a bone's start, within 1 mm; also the top of the head and the finger tips through the bones' rotation."""
    places = rebuilt(frame)
    for bone, _, joint in TREE:
        if joint is not None:
            x, y, z = person.joints_3d[JOINTS_3D.index(joint)]
            assert np.linalg.norm(places[bone] - [-x, -y, -z]) < 1e-3


def test_bones_rebuild_the_joints_of_everyone_at_frame_rate(osc, free_pair, results, wait):
    first, second = osc(free_pair), osc(free_pair + 2)
    made = [results(index) for index in range(30)]
    with open_streams(vmc=(f"127.0.0.1:{free_pair}",)) as streams:
        start = time.monotonic()
        for index in range(30):
            streams.send(made[index])
            sent_s = time.monotonic() - start
            time.sleep(max(0.0, start + (index + 1) / 30 - time.monotonic()))
        wait(lambda: len(frames_of(second)) >= 30 or time.monotonic() > start + 3)
    for receiver, person_id in ((first, 1), (second, 2)):
        frames = [frame for frame in frames_of(receiver) if frame["ok"] == (1, 3, 0, 1)]
        assert len(frames) >= 28  # a busy machine may drop one
        assert all(len([name for name in frame if name[0].isupper()]) == 21 for frame in frames)
        indices = iter(range(30))
        for frame in frames:  # in order, some may be missing
            assert any(fits(frame, made[i].people[person_id - 1]) for i in indices)
        assert np.ptp([frame["at"] for frame in frames]) == pytest.approx(sent_s, abs=0.3)
        times = [frame["t"] for frame in frames]
        assert times == sorted(times)
        assert max(receiver.sizes) <= 1500


def fits(frame, person):
    try:
        check(frame, person)
    except AssertionError:
        return False
    return True


def test_the_sole_is_at_the_avatars_floor(osc, results, wait):
    receiver = osc()
    with open_streams(vmc=(f"127.0.0.1:{receiver.port}",), people=1) as streams:
        streams.send(results(0, (1,)))
        wait(lambda: len(receiver.of("/VMC/Ext/Bone/Pos")) == 21)
    frame = frames_of(receiver)[0]
    hips = frame["Hips"]
    assert hips[0] == pytest.approx(0, abs=1e-6)  # the root stands below the person
    assert hips[2] == pytest.approx(0, abs=1e-6)
    lowest = min(place[1] for place in rebuilt(frame).values())
    assert lowest - frame["root"][2] == pytest.approx(0.03, abs=0.01)


class Clocked:
    """An outlet driven by hand, with a clock of the test's own."""

    def __init__(self, port, people=2):
        self.outlet, self.now = VmcOutlet([Address("127.0.0.1", port)], people), 100.0
        self.maker = Streams([])

    def show(self, result, seconds=0.0, step=0.05):
        for _ in range(max(round(seconds / step), 1)):
            self.now += step
            self.outlet.send(self.maker._packet(result, self.now), self.now)


def shown(outlet, slot):
    s = outlet._slots
    return s.turns[slot].copy(), s.places[slot].copy() + np.concatenate([s.roots[slot][None], np.zeros((20, 3))])


def test_lost_people_blend_out_and_come_back_smoothly(osc, results):
    receiver = osc()
    clocked = Clocked(receiver.port, 1)
    there, nobody = results(3, (1,)), results(4, ())
    clocked.show(there)
    before = shown(clocked.outlet, 0)
    clocked.show(nobody, slots.HOLD_S - 0.1)
    np.testing.assert_array_equal(shown(clocked.outlet, 0)[0], before[0])  # held
    steps = []
    last = before[0]
    for _ in range(30):
        clocked.show(nobody)
        now = shown(clocked.outlet, 0)[0]
        steps.append((Rotation.from_quat(now).inv() * Rotation.from_quat(last)).magnitude().max())
        last = now
    assert max(steps) < 0.6  # no jump: at most 34 degrees in a twentieth of a second
    assert steps[-1] == 0.0
    hips = Rotation.from_quat(last[0])
    np.testing.assert_allclose(hips.apply([0, 1, 0]), [0, 1, 0], atol=1e-6)  # upright
    assert clocked.outlet._slots.used[0]
    clocked.show(there)
    turn = (Rotation.from_quat(shown(clocked.outlet, 0)[0]).inv() * Rotation.from_quat(last)).magnitude().max()
    assert turn < 0.6
    clocked.show(there, slots.BLEND_S + 0.1)
    np.testing.assert_allclose(shown(clocked.outlet, 0)[1], before[1], atol=1e-9)  # wholly theirs again
    np.testing.assert_allclose(shown(clocked.outlet, 0)[0], before[0], atol=1e-9)
    clocked.outlet.close()
    wait_until = time.monotonic() + 2
    while not any(m[1] == "/VMC/Ext/OK" and m[2] == (0,) for m in receiver.messages) and time.monotonic() < wait_until:
        time.sleep(0.01)
    states = [frame["ok"] for frame in frames_of(receiver)]
    assert (1, 3, 0, 0) in states  # tracking is bad
    assert states[-1] == (0,)


def test_an_avatar_is_given_on_when_its_person_is_forgotten(results):
    clocked = Clocked(9, 2)
    ids = lambda: clocked.outlet._slots.ids.tolist()  # noqa: E731
    clocked.show(results(0, (5, 7)))
    assert ids() == [5, 7]
    clocked.show(results(1, (7, 9)))
    assert ids() == [9, 7]  # no room: who is away longest gives way
    clocked.show(results(2, (7,)), slots.FORGET_S + 0.2)
    assert ids() == [-1, 7]
    clocked.show(results(3, (7, 8)))
    assert ids() == [8, 7]
    clocked.show(results(4, (6, 7, 8)))
    assert ids() == [8, 7]  # one too many is left out
    clocked.outlet.close()


def test_avatars_go_on_while_no_frames_come(osc, results, wait):
    """A camera that is lost: the avatar must not freeze for ever."""
    receiver = osc()
    with open_streams(vmc=(f"127.0.0.1:{receiver.port}",), people=1) as streams:
        streams.send(results(0, (1,)))
        wait(lambda: (1, 3, 0, 0) in receiver.of("/VMC/Ext/OK"))
        count = len(receiver.messages)
        wait(lambda: len(receiver.messages) > count + 23 * 3)


def test_too_fast_frames_are_thinned(osc, results):
    receiver = osc()
    clocked = Clocked(receiver.port, 1)
    for _ in range(100):
        clocked.show(results(0, (1,)), step=0.004)
    sent = 100 * 0.004 * 60
    time.sleep(0.2)
    assert 0.5 * sent <= len(receiver.of("/VMC/Ext/T")) <= 1.2 * sent
    clocked.outlet.close()


def test_ports_that_do_not_fit_are_refused():
    with pytest.raises(StreamError, match="10 people need ports up to 18 above"):
        open_streams(vmc=("127.0.0.1:65530",))
    with pytest.raises(StreamError, match="cannot stream to no-such-host"):
        open_streams(vmc=("no-such-host.invalid:39539",))
