"""MuPoTS-3D and MPI-INF-3DHP: made-up annotations in the files' own form, known answers."""

import numpy as np
import pytest
from scipy.io import savemat

from xnect.errors import FormatError
from xnect.evaluation.annotations import read_dhp, read_mupots
from xnect.evaluation.mupots import BONES, judge_dhp, judge_mupots, match, matched, rescaled, sequences
from xnect.geometry import camera_from_fov, project
from xnect.skeleton.joints import JOINT_3D_OF_2D

CAMERA = camera_from_fov((640, 480))
FRAMES = 4
PLACES = np.array([[-0.8, 0, 4.0], [0.8, 0, 4.0]])


def cells(rows):
    out = np.empty((len(rows), len(rows[0])), object)
    for f, row in enumerate(rows):
        for p, value in enumerate(row):
            out[f, p] = value
    return out


def annotate(folder, body, gone=()):
    """Two people who stand side by side; those in ``gone`` (frame, person) are not annotated."""
    folder.mkdir(parents=True)
    truth = [[body[:17] + place for place in PLACES] for _ in range(FRAMES)]
    rows = [
        [
            {
                "annot2": project(joints, CAMERA).T,
                "annot3": 1e3 * joints.T,
                "univ_annot3": 0.9e3 * joints.T,
                "isValidFrame": float((f, p) not in gone),
            }
            for p, joints in enumerate(row)
        ]
        for f, row in enumerate(truth)
    ]
    savemat(folder / "annot.mat", {"annotations": cells(rows)})
    hidden = np.zeros(17)
    hidden[4] = 1
    savemat(folder / "occlusion.mat", {"occlusion_labels": cells([[hidden, hidden] for _ in range(FRAMES)])})


def rows_of(body, change=lambda joints, frame, person: joints, missing=()):
    """Rows of a recording of the two, and their 2D joints."""
    rows, pixels = [], []
    for f in range(FRAMES):
        for p, place in enumerate(PLACES):
            if (f, p) not in missing:
                rows.append((f, p + 1, change(body + place, f, p)))
                pixels.append(project(body + place, CAMERA)[JOINT_3D_OF_2D])
    return rows, np.array(pixels)


def test_the_truth_itself_is_perfect_whatever_its_size(tmp_path, make, body):
    annotate(tmp_path / "TS1", body, gone={(0, 1)})
    rows, pixels = rows_of(body, lambda joints, f, p: 1.3 * joints)  # too large: bones are rescaled
    people = matched(read_mupots(tmp_path / "TS1"), make(rows, FRAMES, joints_2d=pixels))
    figures, _ = judge_mupots(people)
    assert figures["people"] == 2 * FRAMES - 1
    assert figures["found"] == figures["pck150_all"] == figures["pck150_matched"] == 1
    assert figures["auc_all"] == pytest.approx(30 / 31)  # nothing is nearer than 0
    body_17 = body[:17]
    assert figures["mpjpe_mm"] == pytest.approx(
        300 * np.linalg.norm(body_17[:14] - body_17[14], axis=-1).mean(), rel=1e-4
    )
    assert figures["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)


def test_people_not_found_count_in_all_and_not_in_matched(tmp_path, make, body):
    annotate(tmp_path / "TS1", body)
    rows, pixels = rows_of(body, missing={(0, 0), (1, 1)})
    figures, _ = judge_mupots(matched(read_mupots(tmp_path / "TS1"), make(rows, FRAMES, joints_2d=pixels)))
    assert figures["found"] == figures["pck150_all"] == pytest.approx(6 / 8)
    assert figures["pck150_matched"] == 1
    nobody, _ = judge_mupots(matched(read_mupots(tmp_path / "TS1"), make([], FRAMES)))
    assert (nobody["pck150_all"], nobody["pck150_matched"], nobody["mpjpe_mm"]) == (0, None, None)


def test_a_wrong_joint_counts_as_one_of_fourteen_and_as_occluded(tmp_path, make, body):
    annotate(tmp_path / "TS1", body)

    def bend(joints, frame, person):
        out = joints.copy()
        out[4] = 2 * out[3] - out[4]  # the right wrist turned the other way
        return out

    rows, pixels = rows_of(body, bend)
    figures, whole = judge_mupots(matched(read_mupots(tmp_path / "TS1"), make(rows, FRAMES, joints_2d=pixels)))
    assert figures["pck150_all"] == pytest.approx(13 / 14)
    assert (figures["pck150_visible"], figures["pck150_occluded"]) == (1, 0)
    assert whole.joint_mm[4] == pytest.approx(0.9e3 * 2 * np.linalg.norm(body[4] - body[3]), rel=1e-3)


def test_each_annotated_person_takes_the_free_one_with_most_joints():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 600, (2, 17, 2))
    truth[1] = truth[0] + 500
    found = np.zeros((3, 14, 2))
    found[0, 1:5], found[1, 1:9], found[2, 1:] = truth[0, 1:5], truth[0, 1:9] + 39, truth[1, 1:14] + 41
    seen = np.ones((3, 14), bool)
    assert match(truth, found, seen).tolist() == [1, -1]
    found[2] -= 2
    assert match(truth, found, seen).tolist() == [1, 2]
    assert match(truth[[0, 0]], found, seen).tolist() == [1, 0]
    assert match(truth, found[:0], seen[:0]).tolist() == [-1, -1]


def test_rescaled_bones_have_the_truths_lengths_and_their_own_directions():
    rng = np.random.default_rng(1)
    found, truth = rng.normal(0, 1, (2, 5, 17, 3))
    out = rescaled(found, truth)
    for joint, parent in BONES:
        a, b, c = (pose[:, joint] - pose[:, parent] for pose in (found, truth, out))
        assert np.allclose(np.linalg.norm(c, axis=-1), np.linalg.norm(b, axis=-1))
        assert np.allclose(c / np.linalg.norm(c, axis=-1, keepdims=True), a / np.linalg.norm(a, axis=-1, keepdims=True))


@pytest.mark.parametrize("kind", ["hdf5", "matlab 5"])
def test_mpi_inf_3dhp(tmp_path, make, write, body, kind):
    joints = np.repeat((body[:17] + PLACES[0])[None], FRAMES, 0)
    data = {"annot2": project(joints, CAMERA), "annot3": 1e3 * joints, "univ_annot3": 1e3 * joints}
    (tmp_path / "TS1").mkdir()
    if kind == "hdf5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "TS1" / "annot_data.mat", "w") as file:
            for name, array in data.items():
                file[name] = array[:, None]  # frame, person, joint, coordinate
            file["valid_frame"] = np.array([[1.0], [1], [1], [0]])
    else:
        arrays = {name: array[:, None].T for name, array in data.items()}
        savemat(tmp_path / "TS1" / "annot_data.mat", {**arrays, "valid_frame": [[1.0, 1, 1, 0]]})
    rows, pixels = rows_of(body, lambda j, f, p: j + (np.arange(21) == 7)[:, None] * [0, 0.2, 0], missing={(2, 0)})
    write(tmp_path / "ours" / "TS1.jsonl", make(rows, FRAMES, joints_2d=pixels))
    figures, _ = judge_dhp(sequences("mpi-inf-3dhp", tmp_path, tmp_path / "ours")["TS1"])
    assert figures["poses"] == 3
    assert figures["found"] == pytest.approx(2 / 3)
    assert figures["pck150"] == pytest.approx(2 / 3 * 13 / 14)
    assert figures["mpjpe_mm"] == pytest.approx(200 / 14, rel=1e-3)


def test_bad_annotations_are_refused_with_a_reason(tmp_path, body):
    with pytest.raises(FormatError, match="no sequence has both"):
        sequences("mupots", tmp_path, tmp_path)
    with pytest.raises(FormatError, match="cannot read"):
        read_mupots(tmp_path)
    (tmp_path / "annot.mat").write_bytes(b"nonsense" * 40)
    with pytest.raises(FormatError):
        read_mupots(tmp_path)
    savemat(tmp_path / "annot.mat", {"other": 1})
    with pytest.raises(FormatError, match="no table"):
        read_mupots(tmp_path)
    savemat(tmp_path / "annot.mat", {"annotations": cells([[{"isValidFrame": 1.0, "annot2": np.zeros((2, 5))}]])})
    with pytest.raises(FormatError, match="2 x 17"):
        read_mupots(tmp_path)
    savemat(tmp_path / "annot_data.mat", {"annot2": 1})
    with pytest.raises(FormatError, match="has no annot3"):
        read_dhp(tmp_path)
