"""Blender itself as the judge of BVH and GLB.

``bpy`` wants an older numpy than ours, so it lives in an environment of its own: set XNECT_BLENDER_PYTHON to a Python
that can ``import bpy`` (``pip install bpy==5.0.1``).
"""

import json
import math
import os
import subprocess

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.formats.axes import Y_UP
from xnect.formats.cleanup import CleanUp
from xnect.formats.convert import convert
from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.geometry import matrix_from_quaternion
from xnect.skeleton.joints import JOINTS_3D
from xnect.skeleton.kinematics import SKELETON

BLENDER = os.environ.get("XNECT_BLENDER_PYTHON")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not BLENDER, reason="XNECT_BLENDER_PYTHON is not set")]

SCRIPT = """
import json, sys
import bpy
found = {}
for path in sys.argv[1:]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bvh = path.endswith(".bvh")
    bpy.context.scene.render.fps = 25
    (bpy.ops.import_anim.bvh if bvh else bpy.ops.import_scene.gltf)(filepath=path)
    armatures = [o for o in bpy.data.objects if o.type == "ARMATURE"]
    first = min(round(a.animation_data.action.frame_range[0]) for a in armatures)
    last = max(round(a.animation_data.action.frame_range[1]) for a in armatures)
    people = {a.name: [] for a in armatures}
    for frame in range(first, last + 1):
        bpy.context.scene.frame_set(frame)
        for a in armatures:
            posed = a.evaluated_get(bpy.context.evaluated_depsgraph_get())
            world = posed.matrix_world
            axes = world.to_3x3().normalized()
            people[a.name].append({
                b.name: [*(world @ b.head)] + [
                    v for row in
                    axes @ (b.matrix.to_3x3() @ b.bone.matrix_local.to_3x3().inverted()) @ axes.inverted_safe()
                    for v in row
                ]
                for b in posed.pose.bones
            })
    cameras = [[list(row) for row in o.matrix_world] + [o.data.angle_y, o.data.sensor_fit] for o in bpy.data.objects if o.type == "CAMERA"]
    found[path] = {"people": people, "cameras": cameras}
print("FOUND" + json.dumps(found))
"""
BONES = {
    "pelvis": "Hips", "neck": "Neck", "head": "Head", "right_shoulder": "RightUpperArm", "left_elbow": "LeftLowerArm",
    "right_wrist": "RightHand", "left_knee": "LeftLowerLeg", "right_ankle": "RightFoot", "left_toe": "LeftToes",
}  # fmt: skip


def blender(*paths):
    done = subprocess.run(
        [BLENDER, "-c", SCRIPT, *map(str, paths)], capture_output=True, text=True, check=True, timeout=250
    )
    return list(json.loads(done.stdout.partition("FOUND")[2].splitlines()[0]).values())


#: BVH's and glTF's axes (y up) to Blender's (z up), and rest axes to BVH's from camera space.
TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def compare(heads, people, frames):
    """Bones of some frames against rows of people: places within 1 mm, rotations from the T-pose within 0.1 degree."""
    turns = people.root_rotation.astype(float)
    turns = matrix_from_quaternion(turns / np.linalg.norm(turns, axis=1, keepdims=True))
    _, rotations = SKELETON.forward(people.root_position, turns, people.angles, people.offsets)
    for row, frame in enumerate(frames):
        for joint, bone in BONES.items():
            x, y, z = people.joints_3d[row, JOINTS_3D.index(joint)].tolist()
            assert heads[frame][bone][:3] == pytest.approx([x, z, -y], abs=0.001), (frame, bone)  # Blender: z up
            ours = TO_BLENDER @ Y_UP @ rotations[row, SKELETON.joint_names.index(joint)] @ TO_BLENDER.T
            theirs = np.array(heads[frame][bone][3:]).reshape(3, 3)
            away = Rotation.from_matrix(theirs @ ours.T).magnitude()
            assert np.degrees(away) < 0.1, (frame, bone)


def test_joints_stand_where_we_put_them(tmp_path, header, make_frames):
    with open_writers(tmp_path, ["bvh", "glb"], header) as writers:
        for frame, result in make_frames(30):
            writers.write(frame, result)
    people = load(tmp_path).person(2).people
    for found in blender(tmp_path / "bvh" / "person_2.bvh", tmp_path / "person_2.glb"):
        (heads,) = found["people"].values()
        assert len(heads) == 30
        compare(heads, people, range(30))


def test_one_scene_with_everyone_and_the_camera(tmp_path, header, make_frames, camera):
    with open_writers(tmp_path, ["scene"], header) as writers:
        for frame, result in make_frames(20, ids=lambda i: (1,) if i < 5 else (1, 2)):
            writers.write(frame, result)
    recording = load(tmp_path)
    (found,) = blender(tmp_path / "scene.glb")
    assert len(found["people"]) == 2
    for number, heads in enumerate(found["people"].values()):
        person = recording.person(number + 1)
        compare(heads, person.people, person.row_frame.tolist())
    ((*matrix, angle_y, fit),) = found["cameras"]
    # It stands in the origin, looks along +y (Blender's cameras look along their own -z), and is upright.
    expected = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    for row, want in zip(matrix, expected, strict=True):
        assert row == pytest.approx(want, abs=1e-5)
    assert fit == "VERTICAL"  # a picture of another shape than the render keeps its height
    assert math.tan(angle_y / 2) == pytest.approx(camera.size_px[1] / 2 / camera.matrix_px[1, 1], rel=1e-3)


def test_what_was_cleaned_up_agrees_in_blender_too(tmp_path, header, make_frames):
    with open_writers(tmp_path / "run", [], header) as writers:
        for frame, result in make_frames(30):
            writers.write(frame, result)
    how = CleanUp(butterworth_hz=5.0, foot_lock=True)
    convert(tmp_path / "run", tmp_path / "clean.jsonl", clean_up=how)
    people = load(tmp_path / "clean.jsonl").person(1).people
    convert(tmp_path / "clean.jsonl", tmp_path / "one.bvh", person=1)
    convert(tmp_path / "clean.jsonl", tmp_path / "one.glb", person=1)
    for found in blender(tmp_path / "one.bvh", tmp_path / "one.glb"):
        (heads,) = found["people"].values()
        compare(heads, people, range(30))
