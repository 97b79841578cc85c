"""GLB files read by the rules of glTF alone: nodes, skin, animation, mesh."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.skeleton.joints import JOINTS_3D

pygltflib = pytest.importorskip("pygltflib")
SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
TYPES = {5121: np.uint8, 5126: np.float32}


class Reader:
    """A small glTF player for the tests."""

    def __init__(self, path):
        self.gltf = pygltflib.GLTF2().load(str(path))
        self.blob = self.gltf.binary_blob()

    def array(self, number):
        accessor = self.gltf.accessors[number]
        view = self.gltf.bufferViews[accessor.bufferView]
        start = view.byteOffset + (accessor.byteOffset or 0)
        width = SIZES[accessor.type]
        kind = np.dtype(TYPES[accessor.componentType])
        assert start % kind.itemsize == 0
        raw = np.frombuffer(self.blob, kind, accessor.count * width, start).reshape(accessor.count, width)
        if accessor.min:
            assert raw.min(0).tolist() == pytest.approx(accessor.min)
            assert raw.max(0).tolist() == pytest.approx(accessor.max)
        return raw

    def world(self, frame=None):
        """Name -> 4x4 matrix; at rest as the nodes stand, or with the animation at a key."""
        nodes = self.gltf.nodes
        moves = [n.translation or [0, 0, 0] for n in nodes]
        turns = [n.rotation or [0, 0, 0, 1] for n in nodes]
        if frame is not None:
            for channel in self.gltf.animations[0].channels:
                values = self.array(self.gltf.animations[0].samplers[channel.sampler].output)
                (moves if channel.target.path == "translation" else turns)[channel.target.node] = values[frame]
        out = {}

        def walk(index, above):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_quat(turns[index]).as_matrix()
            local[:3, 3] = moves[index]
            out[index] = above @ local
            for child in nodes[index].children or []:
                walk(child, out[index])

        for index in self.gltf.scenes[self.gltf.scene].nodes:
            walk(index, np.eye(4))
        return out


@pytest.fixture
def written(tmp_path, header, make_frames):
    with open_writers(tmp_path, ["glb"], header) as writers:
        for frame, result in make_frames(8):
            writers.write(frame, result)
    return tmp_path, load(tmp_path)


BONES = {
    "pelvis": "Hips",
    "left_wrist": "LeftHand",
    "right_ankle": "RightFoot",
    "head_top": "HeadTop_end",
    "right_toe": "RightToes",
}


def test_animated_joints_agree_within_a_millimetre(written):
    folder, recording = written
    for person in (1, 2):
        reader = Reader(folder / f"person_{person}.glb")
        names = [n.name for n in reader.gltf.nodes]
        people = recording.person(person).people
        for frame in (0, 3, 7):
            world = reader.world(frame)
            for joint, bone in BONES.items():
                want = people.joints_3d[frame, JOINTS_3D.index(joint)] * (1, -1, -1)
                np.testing.assert_allclose(world[names.index(bone)][:3, 3], want, atol=0.001, err_msg=bone)


def test_times_start_at_zero_and_keep_the_rate(written):
    reader = Reader(written[0] / "person_1.glb")
    times = {s.input for s in reader.gltf.animations[0].samplers}
    assert len(times) == 1
    clock = times.pop()
    assert reader.gltf.accessors[clock].min == [0]
    np.testing.assert_allclose(reader.array(clock)[:, 0], np.arange(8) / 25, atol=1e-6)
    paths = [c.target.path for c in reader.gltf.animations[0].channels]
    assert paths.count("translation") == 1
    assert paths.count("rotation") >= 15


def test_skin_moves_the_sticks_with_the_bones(written):
    reader = Reader(written[0] / "person_1.glb")
    skin = reader.gltf.skins[0]
    assert skin.joints
    bind = reader.array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    attributes = reader.gltf.meshes[0].primitives[0].attributes
    points = reader.array(attributes.POSITION)
    owners, weights = reader.array(attributes.JOINTS_0), reader.array(attributes.WEIGHTS_0)
    assert (weights.sum(1) == 1).all()
    world = reader.world(5)
    matrices = np.stack([world[j] for j in skin.joints]) @ bind
    moved = (matrices[owners[:, 0]] @ np.concatenate([points, np.ones((len(points), 1))], 1)[..., None])[:, :3, 0]
    joints = np.stack([world[j][:3, 3] for j in skin.joints])
    nearest = np.linalg.norm(moved[:, None] - joints[None], axis=-1).min(1)
    assert nearest.max() < 0.25  # no corner is far from a bone's end
    tips = np.linalg.norm(joints[:, None] - moved[None], axis=-1).min(1)
    assert tips.max() < 0.001  # every joint has a corner of the figure on it
    # At rest the mesh is an upright T.
    assert np.ptp(points[:, 1]) > 1.5
    assert np.ptp(points[:, 0]) > 1.4


def test_quaternions_are_units_without_jumps(written):
    reader = Reader(written[0] / "person_2.glb")
    for channel in reader.gltf.animations[0].channels:
        if channel.target.path == "rotation":
            values = reader.array(reader.gltf.animations[0].samplers[channel.sampler].output)
            np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)
            assert ((values[1:] * values[:-1]).sum(1) > 0).all()
