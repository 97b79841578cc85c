"""Label-free quality on made-up recordings with known answers."""

import numpy as np
import pytest

from xnect.errors import FormatError
from xnect.evaluation.quality import quality, up_vector


def at(x, y, z):
    return np.array([x, y, z])


def test_somebody_who_stands_still_is_perfect(make, body):
    inferred = np.zeros((30, 21), bool)
    inferred[:, :7] = True
    found = quality(make([(f, 1, body + at(0, 0, 4)) for f in range(30)], 30, inferred=inferred))
    assert (found.frames, found.ids, found.fragments, found.id_changes, found.jumps, found.dropped) == (
        30,
        1,
        0,
        0,
        0,
        0,
    )
    assert found.people == 1
    assert found.rate_hz == pytest.approx(30)
    assert found.length_s == pytest.approx(29 / 30)
    assert found.inferred == pytest.approx(1 / 3)
    for value in (found.jitter_m_s2, found.root_jitter_m_s2, found.bone_drift, found.skating_m_s):
        assert value == pytest.approx(0, abs=1e-6)


def test_a_trembling_pelvis_has_the_acceleration_it_was_given(make, body):
    # +d, -d, +d ...: second difference 4 d / dt^2
    rows = [(f, 1, body + at(0, 0, 4 + 0.001 * (-1) ** f)) for f in range(20)]
    found = quality(make(rows, 20))
    assert found.root_jitter_m_s2 == pytest.approx(0.004 * 30**2, rel=1e-3)
    assert found.jitter_m_s2 == pytest.approx(0, abs=1e-3)


def test_one_trembling_joint_counts_as_one_of_twenty(make, body):
    joints = np.repeat(body[None], 20, 0)
    joints[::2, 4, 1] += 0.002
    found = quality(make([(f, 1, joints[f] + [0, 0, 4]) for f in range(20)], 20))
    assert found.jitter_m_s2 == pytest.approx(0.004 * 30**2 / 20, rel=1e-3)


def test_a_body_that_breathes_has_drifting_bones(make, body):
    scale = 1 + 0.05 * (-1.0) ** np.arange(20)
    found = quality(make([(f, 1, body * scale[f] + [0, 0, 4]) for f in range(20)], 20))
    assert found.bone_drift == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("tilt", [0.0, 25.0])
def test_feet_that_slide_along_the_floor_skate(make, body, tilt):
    up = up_vector(tilt)
    along = np.cross(up, [1.0, 0, 0])
    rows = [(f, 1, body + at(0, 0, 4) + along * 0.1 * f / 30) for f in range(30)]
    found = quality(make(rows, 30), up)
    assert found.skating_m_s == pytest.approx(0.1, rel=1e-3)
    risen = quality(make([(f, 1, body + at(0, 0, 4) + up * 0.1 * f / 30) for f in range(30)], 30), up)
    assert risen.skating_m_s == pytest.approx(0, abs=1e-3)


def test_gaps_and_new_ids_are_counted_and_do_not_count_as_motion(make, body):
    rows = [(f, 1, body + at(0, 0, 4)) for f in (*range(10), *range(15, 20))]  # away for five frames, then back
    rows += [(f, 2, body + at(2, 0, 4)) for f in range(10)]
    rows += [(f, 3, body + at(2.1, 0, 4)) for f in range(12, 20)]  # 2 goes on as 3
    rows += [(f, 4, body + at(-3, 0, 4)) for f in range(12, 20)]  # somebody else far away
    rows += [(f, 5, body + at(5 + f // 10, 0, 4)) for f in range(20)]  # a step of a metre within a frame
    found = quality(make(rows, 20))
    assert (found.ids, found.fragments, found.id_changes, found.jumps) == (5, 1, 1, 1)
    assert found.people == len(rows) / 20
    calm = quality(make(rows[:15], 20))
    assert calm.root_jitter_m_s2 == pytest.approx(0, abs=1e-6)


def test_dropped_frames_are_told(make, body):
    numbers = [0, 1, 2, 6, 7]
    found = quality(make([(k, 1, body + at(0, 0, 4)) for k in range(5)], 5, frames=numbers))
    assert found.dropped == 3
    assert found.longest_gap_s == pytest.approx(4 / 30)


def test_nobody_and_nothing(make):
    empty = quality(make([], 3))
    assert (empty.ids, empty.jitter_m_s2, empty.inferred, empty.bone_drift) == (0, None, None, None)
    with pytest.raises(FormatError, match="no frames"):
        quality(make([], 0))
