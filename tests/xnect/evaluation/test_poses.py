"""Pairs of pose files against the truth: known answers, and scipy's own alignment."""

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from xnect.errors import FormatError
from xnect.evaluation.poses import judge_files, read_poses


def poses(seed=0, count=6, joints=17):
    return np.random.default_rng(seed).normal(0, 0.4, (count, joints, 3))


def save(path, array):
    np.savez(path, joints_3d=array)
    return path


def test_a_known_error(tmp_path):
    truth = poses()
    found = truth + np.array([5.0, 1.0, 0])  # the place is forgiven
    found[:, 3] += [0, 0.03, 0.04]
    figures = judge_files(save(tmp_path / "t.npz", truth), save(tmp_path / "f.npz", found), (0,)).figures
    assert figures["mpjpe_mm"] == pytest.approx(50 / 17)
    assert figures["pck150"] == figures["found"] == 1
    away = judge_files(tmp_path / "t.npz", tmp_path / "f.npz", ()).figures
    assert away["mpjpe_mm"] > 5000
    assert away["pck150"] == 0


def test_pa_mpjpe_is_scipys(tmp_path):
    truth, found = poses(1), poses(2)
    figures = judge_files(save(tmp_path / "t.npz", truth), save(tmp_path / "f.npz", found), (0,)).figures
    errors = []
    for a, b in zip(truth, found, strict=True):
        a0, b0 = a - a.mean(0), b - b.mean(0)
        turn, _ = Rotation.align_vectors(a0, b0)
        turned = turn.apply(b0)
        scale = (turned * a0).sum() / (turned**2).sum()
        errors.append(np.linalg.norm(scale * turned - a0, axis=1).mean())
    assert figures["pa_mpjpe_mm"] == pytest.approx(1e3 * np.mean(errors))


def test_our_alignment_is_scipys_procrustes():
    from xnect.evaluation.metrics import aligned

    for seed in range(4):
        truth, found = poses(seed, 1)[0], poses(seed + 50, 1)[0]
        a, b, _ = procrustes(truth, found)
        size = np.linalg.norm(truth - truth.mean(0))
        ours = aligned(found, truth)
        if np.linalg.det((found - found.mean(0)).T @ (truth - truth.mean(0))) > 0:  # scipy's may mirror
            assert np.allclose((ours - truth.mean(0)) / size, b, atol=1e-9)
        assert np.linalg.norm(ours - truth) >= size * np.linalg.norm(a - b) - 1e-9


def test_joints_that_are_missing_are_wrong_for_pck_and_left_out_of_mpjpe(tmp_path):
    truth = poses(3)
    found = truth.copy()
    found[:3, 5] = np.nan
    truth[:, 16] = np.nan  # the truth does not know it
    judged = judge_files(save(tmp_path / "t.npz", truth), save(tmp_path / "f.npz", found), (0,))
    assert judged.figures["mpjpe_mm"] == pytest.approx(0)
    assert judged.figures["found"] == judged.figures["pck150"] == pytest.approx(1 - 3 / (6 * 16))
    assert np.isnan(judged.joint_mm[16])


def test_all_kinds_of_files_say_the_same(tmp_path):
    truth = poses(4)
    np.save(tmp_path / "a.npy", truth)
    np.savez(tmp_path / "b.npz", anything=1e3 * truth)
    head = ",".join(f"j{k}_{c}" for k in range(17) for c in "xyz")
    np.savetxt(tmp_path / "c.csv", truth.reshape(6, -1), delimiter=",", header=head, comments="")
    np.savetxt(tmp_path / "d.csv", truth.reshape(6, -1), delimiter=",")
    for name, unit in (("a.npy", "m"), ("b.npz", "mm"), ("c.csv", "m"), ("d.csv", "m")):
        assert np.allclose(read_poses(tmp_path / name, unit), truth)


def test_bad_files_are_refused_with_a_reason(tmp_path):
    np.savez(tmp_path / "two.npz", a=poses(), b=poses())
    (tmp_path / "torn.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:300])
    (tmp_path / "rows.csv").write_text("1,2,3\n1,2\n")
    (tmp_path / "words.csv").write_text("a,b,c\nd,e,f\n")
    (tmp_path / "empty.csv").write_text("")
    np.save(tmp_path / "flat.npy", np.zeros(7))
    np.save(tmp_path / "objects.npy", np.array([{}, {}], object), allow_pickle=True)
    for name, words in (
        ("none.npz", "cannot read"), ("two.npz", "joints_3d expected"), ("torn.npz", "cannot read"),
        ("rows.csv", "different length"), ("words.csv", "cannot read"), ("empty.csv", "expected"),
        ("flat.npy", "expected"), ("objects.npy", "cannot read"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=words):
            read_poses(tmp_path / name)
    a, b = save(tmp_path / "a.npz", poses()), save(tmp_path / "b.npz", poses(0, 5))
    with pytest.raises(FormatError, match="6 x 17 joints"):
        judge_files(a, b, (0,))
    with pytest.raises(FormatError, match="numbered from 0"):
        judge_files(a, a, (17,))


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 3), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (6, 17, 3",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        b"\xff" * 60,
    ],
)
def test_arrays_that_claim_what_is_not_there_are_refused(header, tmp_path):
    path = tmp_path / "p.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n" + bytes(100))
    with pytest.raises(FormatError) as error:
        read_poses(path)
    assert len(str(error.value).splitlines()) == 1
