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


@pytest.fixture
def scene(tmp_path, header, make_frames):
    """Person 1 is there from frame 0 to 7, person 2 from 3 to 9 of 12; the floor was made level."""
    with open_writers(tmp_path, ["scene"], header) as writers:
        present = {1: range(8), 2: range(3, 10)}
        for frame, result in make_frames(12, ids=lambda i: [k for k, span in present.items() if i in span]):
            writers.write(frame, result)
    return tmp_path, load(tmp_path)


def played(reader, time_s):
    """World matrices by node, everything interpolated at a time: the player that the standard describes."""
    nodes, moves, turns, sizes = reader.gltf.nodes, {}, {}, {}
    (animation,) = reader.gltf.animations
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        times, values = reader.array(sampler.input)[:, 0], reader.array(sampler.output)
        if sampler.interpolation == "STEP":
            value = values[max(np.searchsorted(times, time_s + 1e-6, "right") - 1, 0)]
        else:
            value = np.array([np.interp(time_s, times, column) for column in values.T])
        {"translation": moves, "rotation": turns, "scale": sizes}[channel.target.path][channel.target.node] = value
    out = {}

    def walk(index, above):
        local = np.eye(4)
        turn = turns.get(index, nodes[index].rotation or [0, 0, 0, 1])
        local[:3, :3] = Rotation.from_quat(turn).as_matrix() * sizes.get(index, np.ones(3))
        local[:3, 3] = moves.get(index, nodes[index].translation or [0, 0, 0])
        out[index] = above @ local
        for child in nodes[index].children or []:
            walk(child, out[index])

    for index in reader.gltf.scenes[0].nodes:
        walk(index, np.eye(4))
    return out


def test_everyone_on_one_clock(scene):
    folder, recording = scene
    reader = Reader(folder / "scene.glb")
    assert [n.name for n in reader.gltf.nodes if n.name.startswith("person_")] == ["person_1", "person_2"]
    assert len(reader.gltf.skins) == len(reader.gltf.meshes) == 2
    for number, skin in enumerate(reader.gltf.skins):
        names = {reader.gltf.nodes[j].name: j for j in skin.joints}
        people = recording.person(number + 1)
        for row, frame in enumerate(people.row_frame.tolist()):
            world = played(reader, frame / 25)
            for joint, bone in BONES.items():
                want = people.people.joints_3d[row, JOINTS_3D.index(joint)] * (1, -1, -1)
                np.testing.assert_allclose(world[names[bone]][:3, 3], want, atol=0.001, err_msg=f"{frame} {bone}")
        root = next(i for i, n in enumerate(reader.gltf.nodes) if n.name == f"person_{number + 1}")
        there = [np.abs(played(reader, f / 25)[root][:3, :3]).max() > 0.5 for f in range(12)]
        assert np.flatnonzero(there).tolist() == people.row_frame.tolist()


def test_the_camera_sees_in_the_scene_what_it_saw(scene):
    folder, recording = scene
    reader = Reader(folder / "scene.glb")
    lens = reader.gltf.cameras[0].perspective
    node = next(i for i, n in enumerate(reader.gltf.nodes) if n.name == "Camera")
    assert reader.gltf.nodes[node].camera == 0
    view = np.linalg.inv(played(reader, 0)[node])
    point = recording.people.joints_3d[0, 14] * (1, -1, -1)
    x, y, z = (view @ [*point, 1])[:3]
    up = 1 / np.tan(lens.yfov / 2)  # OpenGL: what the lens sees lies within -1 to 1
    across, above = x * up / lens.aspectRatio / -z, y * up / -z
    width, height = recording.header.camera.size_px
    seen = (recording.header.camera.matrix_px @ recording.people.joints_3d[0, 14].astype(float))[:2]
    pixel = seen / recording.people.joints_3d[0, 14, 2]
    assert pixel == pytest.approx([(across + 1) / 2 * width - 0.5, (1 - above) / 2 * height - 0.5], abs=0.1)


def test_a_moved_camera_and_an_empty_scene(tmp_path, scene):
    import dataclasses

    from xnect.formats.glb import write_scene
    from xnect.formats.header import CameraPose

    _, recording = scene
    turn = Rotation.from_euler("x", 20, degrees=True)
    x, y, z, w = turn.as_quat()
    header = dataclasses.replace(recording.header, camera_pose=CameraPose((0.0, -1.4, 0.2), (w, x, y, z)))
    (path,) = write_scene(dataclasses.replace(recording, header=header), tmp_path)
    reader = Reader(path)
    node = next(n for n in reader.gltf.nodes if n.name == "Camera")
    assert node.translation == pytest.approx([0, 1.4, -0.2])
    # It looks where it looked: forward is z of the camera's axes, -z of glTF's.
    forward = Rotation.from_quat(node.rotation).apply([0, 0, -1])
    assert forward == pytest.approx(turn.apply([0, 0, 1]) * (1, -1, -1))
    nobody = recording.people.take(slice(0, 0))
    empty = dataclasses.replace(recording, people=nobody, row_frame=recording.row_frame[:0])
    (path,) = write_scene(empty, tmp_path)
    assert Reader(path).gltf.cameras
