"""Blender itself as the judge of BVH and GLB.

``bpy`` wants an older numpy than ours, so it lives in an environment of its own: set XNECT_BLENDER_PYTHON to a Python
that can ``import bpy`` (``pip install bpy==5.0.1``).
"""

import json
import os
import subprocess

import pytest

from xnect.formats.recording import load
from xnect.formats.writer import open_writers
from xnect.skeleton.joints import JOINTS_3D

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
    armature = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    first, last = (round(v) for v in armature.animation_data.action.frame_range)
    heads = []
    for frame in range(first, last + 1):
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        heads.append({b.name: list(posed.matrix_world @ b.head) for b in posed.pose.bones})
    found[path] = heads
print("FOUND" + json.dumps(found))
"""
BONES = {
    "pelvis": "Hips", "neck": "Neck", "head": "Head", "right_shoulder": "RightUpperArm", "left_elbow": "LeftLowerArm",
    "right_wrist": "RightHand", "left_knee": "LeftLowerLeg", "right_ankle": "RightFoot", "left_toe": "LeftToes",
}  # fmt: skip


def test_joints_stand_where_we_put_them(tmp_path, header, make_frames):
    with open_writers(tmp_path, ["bvh", "glb"], header) as writers:
        for frame, result in make_frames(30):
            writers.write(frame, result)
    people = load(tmp_path).person(2).people
    paths = [str(tmp_path / "bvh" / "person_2.bvh"), str(tmp_path / "person_2.glb")]
    done = subprocess.run([BLENDER, "-c", SCRIPT, *paths], capture_output=True, text=True, check=True, timeout=250)
    found = json.loads(done.stdout.partition("FOUND")[2].splitlines()[0])
    for path in paths:
        assert len(found[path]) == 30
        for frame, heads in enumerate(found[path]):
            for joint, bone in BONES.items():
                x, y, z = people.joints_3d[frame, JOINTS_3D.index(joint)].tolist()
                assert heads[bone] == pytest.approx([x, z, -y], abs=0.001), (path, frame, bone)  # Blender: z up
