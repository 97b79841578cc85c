import json

import numpy as np
import pytest

from benchmarks import lift
from xnect.errors import FormatError
from xnect.formats.keypoints import load_keypoints


def test_joints_become_openpose_files(tmp_path):
    rng = np.random.default_rng(0)
    people = [
        {"joints_2d": rng.uniform(5, 300, (14, 2)).tolist(), "confidence_2d": [0.5] * 14, "score": 0.7}
        for _ in range(2)
    ]
    file = tmp_path / "clip.json"
    file.write_text(
        json.dumps({"detector": "net", "frames": [{"people": people}, {"people": []}, {"people": people[:1]}]})
    )
    assert lift.as_openpose(file, tmp_path / "out") == "net"
    found = load_keypoints(tmp_path / "out")
    assert [len(p) for p in found.people] == [2, 0, 1]
    np.testing.assert_allclose(found.people[0].joints_px, [p["joints_2d"] for p in people], atol=1e-4)
    file.write_text('{"frames": [{}]}')
    with pytest.raises(FormatError, match="not a file of 2D joints"):
        lift.as_openpose(file, tmp_path / "other")
