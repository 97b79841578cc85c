from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"


@pytest.fixture(scope="session")
def studio():
    if not (SHARED / "synth" / "bodies.npz").exists() or not (SHARED / "motion" / "index.csv").exists():
        pytest.skip("the asset and motion packs are not beside the checkout")
    from xnect.training.synthetic.scene import Studio

    return Studio(max_texture=256)


@pytest.fixture(scope="session")
def sampler(studio):
    from xnect.training.synthetic.sampling import SceneSampler

    return SceneSampler(studio, "train", (192, 128))
