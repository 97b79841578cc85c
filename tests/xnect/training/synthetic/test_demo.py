"""The bundled clip and its truth, as anybody finds them in assets/: no pack is needed."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from xnect.skeleton.joints import JOINT_3D_OF_2D, JOINTS_2D, JOINTS_3D

ASSETS = Path(__file__).resolve().parents[4] / "assets"


@pytest.fixture(scope="module")
def truth():
    with np.load(ASSETS / "demo.truth.npz", allow_pickle=False) as data:
        return dict(data)


def test_the_clip_is_small_and_has_a_frame_for_every_row_of_the_truth(truth):
    path = ASSETS / "demo.mp4"
    assert path.stat().st_size < 3_000_000
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == tuple(truth["size_px"])
        assert float(stream.average_rate) == float(truth["fps"])
        assert stream.codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == len(truth["present"])


def test_the_joints_are_ours_and_reproject(truth):
    assert tuple(truth["joints_2d"]) == JOINTS_2D
    assert tuple(truth["joints_3d"]) == JOINTS_3D
    body = np.arange(2, 14)
    here = truth["present"]
    points = truth["joints_m"][here][:, JOINT_3D_OF_2D[body]].astype(np.float64) @ truth["matrix_px"].T
    flat = points[..., :2] / points[..., 2:]
    assert np.abs(flat - truth["joints_px"][here][:, body]).max() < 0.01


def test_people_are_large_seen_and_move_like_people(truth):
    here = truth["present"]
    assert here[:, :2].all()
    assert 100 < here[:, 2].sum() < len(here)
    box = truth["box_px"][:, :2]
    assert np.median(box[..., 3] - box[..., 1]) > 0.5 * truth["size_px"][1]
    assert (truth["seen"][:, :2] == 2).mean() > 0.8
    step = np.linalg.norm(np.diff(truth["joints_m"][:, :2], axis=0), axis=-1) * truth["fps"]
    assert step.max() < 12
    knee, ankle = (truth["joints_m"][:, :2, JOINTS_3D.index(n)] for n in ("left_knee", "left_ankle"))
    assert np.ptp(np.linalg.norm(knee - ankle, axis=-1), axis=0).max() < 1e-3


def test_everything_in_the_clip_is_cc0_and_the_motion_is_credited():
    about = json.loads((ASSETS / "demo.json").read_text(encoding="utf-8"))
    assert len(about["assets"]) > 20
    assert all(a["licence"].startswith("CC0") and a["author"] for a in about["assets"])
    assert "mocap.cs.cmu.edu" in about["motion_credit"]
