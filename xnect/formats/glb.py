"""glTF binary: skeletons with skin, animation and stick figures as meshes; one file a person, or all as one scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from xnect.errors import OutputError
from xnect.formats.axes import Y_UP, turned
from xnect.formats.bones import BONE_NAMES, CHILDREN
from xnect.formats.files import replacing
from xnect.formats.motion import Motion, motion_of
from xnect.formats.recording import Recording
from xnect.geometry import matrix_from_quaternion
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import F64

SCENE_NAME = "scene.glb"
_BYTE, _FLOAT = 5121, 5126  # glTF's component types
_ARRAY_BUFFER = 34962
#: Right, left and middle of the stick figure (linear RGB of #E69F00, #0072B2 and grey), by vertex.
_COLOURS = {"right": (0.791, 0.347, 0.0), "left": (0.0, 0.168, 0.445), "middle": (0.6, 0.6, 0.6)}
_THICK = 0.08  # of a stick, share of its length
_STICK_M = 0.03  # most half width of a stick [m]


def write_glb(recording: Recording, directory: Path) -> list[Path]:
    """``person_<id>.glb`` for everyone; raises OutputError without pygltflib."""
    made = []
    for person_id in recording.ids:
        path = directory / f"person_{person_id}.glb"
        data = glb_bytes(motion_of(recording, person_id), recording)
        with replacing(path) as part:
            part.write_bytes(data)
        made.append(path)
    return made


@dataclass(slots=True)
class _Buffer:
    """Binary data and the accessors that describe it."""

    gltf: Any
    library: Any
    data: bytearray = field(default_factory=bytearray)

    def add(self, array: np.ndarray, kind: str, *, limits: bool = False, target: int | None = None) -> int:
        """Append an array; returns the accessor's number."""
        self.data += b"\0" * (-len(self.data) % 4)
        raw = np.ascontiguousarray(array).tobytes()
        view = self.library.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(raw), target=target)
        self.gltf.bufferViews.append(view)
        self.data += raw
        accessor = self.library.Accessor(
            bufferView=len(self.gltf.bufferViews) - 1,
            componentType=_BYTE if array.dtype == np.uint8 else _FLOAT,
            count=len(array),
            type=kind,
        )
        if limits:
            rows = array.reshape(len(array), -1)
            accessor.min, accessor.max = rows.min(0).tolist(), rows.max(0).tolist()
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1


def write_scene(recording: Recording, directory: Path) -> list[Path]:
    """``scene.glb``: everyone on one clock, and the camera; raises OutputError without pygltflib.

    The clock starts with the recording. A person who is not there yet, or no more, has size 0.
    """
    people = [motion_of(recording, person_id) for person_id in recording.ids]
    path = directory / SCENE_NAME
    data = scene_bytes(people, recording)
    with replacing(path) as part:
        part.write_bytes(data)
    return [path]


def glb_bytes(motion: Motion, recording: Recording) -> bytes:
    """The whole file of one person, whose first frame is time 0."""
    library, gltf, buffer = _new_file()
    animation = library.Animation(name=f"person_{motion.person_id}")
    root = _add_person(gltf, library, buffer, animation, motion, motion.times_s[0])
    gltf.animations.append(animation)
    gltf.asset.extras = motion.story(recording)
    return _finished(gltf, library, buffer, [root])


def scene_bytes(people: list[Motion], recording: Recording) -> bytes:
    """One file with everybody and the camera; the recording's first frame is time 0."""
    library, gltf, buffer = _new_file()
    start_s = float(recording.times_s[0]) if len(recording) else 0.0
    animation = library.Animation(name="take")
    roots = []
    for motion in people:
        roots.append(_add_person(gltf, library, buffer, animation, motion, start_s))
        _add_presence(library, buffer, animation, roots[-1], motion, recording)
    if people:
        gltf.animations.append(animation)
    roots.append(_add_camera(gltf, library, recording))
    gltf.asset.extras = {"people": [motion.story(recording) for motion in people]}
    return _finished(gltf, library, buffer, roots)


def _new_file() -> tuple[Any, Any, _Buffer]:
    """pygltflib, an empty file and its buffer; raises OutputError."""
    try:
        import pygltflib
    except ImportError as error:
        raise OutputError("GLB needs pygltflib: pip install 'xnect[export]'") from error
    gltf = pygltflib.GLTF2(asset=pygltflib.Asset(version="2.0", generator="xnect"))
    look = pygltflib.PbrMetallicRoughness(baseColorFactor=[1.0, 1.0, 1.0, 1.0], metallicFactor=0.0, roughnessFactor=0.8)
    gltf.materials.append(pygltflib.Material(name="sides", pbrMetallicRoughness=look, doubleSided=True))
    return pygltflib, gltf, _Buffer(gltf, pygltflib)


def _finished(gltf: Any, library: Any, buffer: _Buffer, roots: list[int]) -> bytes:
    gltf.scenes.append(library.Scene(name="scene", nodes=roots))
    gltf.scene = 0
    if buffer.data:
        gltf.buffers.append(library.Buffer(byteLength=len(buffer.data)))
        gltf.set_binary_blob(bytes(buffer.data))
    return b"".join(gltf.save_to_bytes())


def _add_person(gltf: Any, library: Any, buffer: _Buffer, animation: Any, motion: Motion, start_s: float) -> int:
    """Nodes, skin, mesh and movement of one person; returns the node that holds them all."""
    first, joints = len(gltf.nodes), len(SKELETON.joint_names)
    names = [bone or _end_name(joint) for bone, joint in zip(BONE_NAMES, SKELETON.joint_names, strict=True)]
    for joint in range(joints):
        place = motion.root_position[0] if joint == 0 else motion.offsets[joint]
        children = [first + child for child in CHILDREN[joint]]
        node = library.Node(name=names[joint], translation=place.tolist(), children=children)
        node.rotation = _quaternions(motion.local[:1, joint])[0].tolist()
        gltf.nodes.append(node)
    figure = library.Node(name="StickFigure", mesh=len(gltf.meshes), skin=len(gltf.skins))
    gltf.nodes.append(figure)
    gltf.nodes.append(library.Node(name=f"person_{motion.person_id}", children=[first, first + joints]))
    rest = _rest_positions(motion.offsets)
    bind = np.broadcast_to(np.eye(4, dtype=np.float32), (joints, 4, 4)).copy()
    bind[:, 3, :3] = -rest  # column-major: the translation is the last row in memory
    gltf.skins.append(
        library.Skin(
            name="skeleton",
            joints=list(range(first, first + joints)),
            skeleton=first,
            inverseBindMatrices=buffer.add(bind, "MAT4"),
        )
    )
    _add_mesh(gltf, library, buffer, rest)
    clock = buffer.add((motion.times_s - start_s).astype(np.float32), "SCALAR", limits=True)
    places = buffer.add(motion.root_position.astype(np.float32), "VEC3")
    _add_channel(library, animation, clock, first, "translation", places)
    for joint, bone in enumerate(BONE_NAMES):
        if bone:
            turns = buffer.add(_quaternions(motion.local[:, joint]), "VEC4")
            _add_channel(library, animation, clock, first + joint, "rotation", turns)
    return first + joints + 1


def _add_channel(
    library: Any, animation: Any, clock: int, node: int, path: str, values: int, how: str = "LINEAR"
) -> None:
    animation.samplers.append(library.AnimationSampler(input=clock, output=values, interpolation=how))
    target = library.AnimationChannelTarget(node=node, path=path)
    animation.channels.append(library.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))


def _add_presence(
    library: Any, buffer: _Buffer, animation: Any, node: int, motion: Motion, recording: Recording
) -> None:
    """Size 0 before the person's first and after the last frame."""
    first_s, step = float(recording.times_s[0]), 1 / motion.fps
    come, gone = float(motion.times_s[0]) - first_s, float(motion.times_s[-1]) - first_s + step
    keys = [(0.0, 0.0), (come, 1.0)] if come > step / 2 else [(0.0, 1.0)]
    keys += [(gone, 0.0)] if gone < float(recording.times_s[-1]) - first_s + step / 2 else []
    if len(keys) > 1:
        times = buffer.add(np.array([key[:1] for key in keys], np.float32), "SCALAR", limits=True)
        sizes = buffer.add(np.array([[size] * 3 for _, size in keys], np.float32), "VEC3")
        _add_channel(library, animation, times, node, "scale", sizes, "STEP")


def _add_camera(gltf: Any, library: Any, recording: Recording) -> int:
    """The camera where it stood; glTF's looks along -z with y up, as ours does in y-up axes."""
    camera = recording.header.camera
    width, height = (max(int(side), 1) for side in camera.size_px)
    fx, fy = camera.matrix_px[0, 0], camera.matrix_px[1, 1]
    lens = library.Perspective(
        yfov=float(2 * np.arctan(height / 2 / fy)), aspectRatio=float(width * fy / (height * fx)), znear=0.01
    )
    gltf.cameras.append(library.Camera(name="Camera", type="perspective", perspective=lens))
    gltf.cameras[-1].extras = {
        "size_px": [width, height],
        "matrix_px": camera.matrix_px.tolist(),
        "distortion": camera.distortion.tolist(),
        "estimated": camera.estimated,
    }
    pose = recording.header.camera_pose
    turn = Y_UP @ matrix_from_quaternion(np.array(pose.rotation)) @ Y_UP.T
    node = library.Node(name="Camera", camera=0, translation=turned(np.array(pose.position_m), Y_UP).tolist())
    node.rotation = Rotation.from_matrix(turn).as_quat().tolist()
    gltf.nodes.append(node)
    return len(gltf.nodes) - 1


def _end_name(joint: str) -> str:
    side, _, part = joint.partition("_")
    return side.capitalize() + part.capitalize() + "_end" if side in ("right", "left") else "HeadTop_end"


def _rest_positions(offsets: F64) -> F64:
    rest = np.zeros_like(offsets)
    for joint, parent in enumerate(SKELETON.parents.tolist()):
        if parent >= 0:
            rest[joint] = rest[parent] + offsets[joint]
    return rest


def _quaternions(matrices: F64) -> np.ndarray:
    """Matrices (T, 3, 3) -> x, y, z, w float32 (T, 4) without sign changes from one to the next."""
    quaternions = Rotation.from_matrix(matrices).as_quat()
    flips = np.cumsum(np.concatenate([[0], (quaternions[1:] * quaternions[:-1]).sum(1) < 0])) % 2
    return np.where(flips[:, None] == 1, -quaternions, quaternions).astype(np.float32)


def _add_mesh(gltf: Any, library: Any, buffer: _Buffer, rest: F64) -> None:
    """A slim double pyramid from each joint to each of its children, moved by the joint it starts at."""
    corners, owners, colours = [], [], []
    for child, parent in enumerate(SKELETON.parents.tolist()):
        length = float(np.linalg.norm(rest[child] - rest[parent])) if parent >= 0 else 0.0
        if length < 1e-6:
            continue
        triangles = _stick(rest[parent], rest[child], min(_THICK * length + 0.005, _STICK_M))
        corners.append(triangles)
        owners.append(np.full(len(triangles), parent))
        side = SKELETON.joint_names[child].partition("_")[0]
        colours.append(np.tile(_COLOURS.get(side, _COLOURS["middle"]), (len(triangles), 1)))
    points = np.concatenate(corners).astype(np.float32)
    normals = np.cross(points[1::3] - points[::3], points[2::3] - points[::3])
    normals = np.repeat(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12), 3, axis=0)
    joints = np.zeros((len(points), 4), np.uint8)
    joints[:, 0] = np.concatenate(owners)
    weights = np.zeros((len(points), 4), np.float32)
    weights[:, 0] = 1.0
    attributes = library.Attributes(
        POSITION=buffer.add(points, "VEC3", limits=True, target=_ARRAY_BUFFER),
        NORMAL=buffer.add(normals.astype(np.float32), "VEC3", target=_ARRAY_BUFFER),
        COLOR_0=buffer.add(np.concatenate(colours).astype(np.float32), "VEC3", target=_ARRAY_BUFFER),
        JOINTS_0=buffer.add(joints, "VEC4", target=_ARRAY_BUFFER),
        WEIGHTS_0=buffer.add(weights, "VEC4", target=_ARRAY_BUFFER),
    )
    gltf.meshes.append(
        library.Mesh(name="StickFigure", primitives=[library.Primitive(attributes=attributes, material=0)])
    )


def _stick(start: F64, end: F64, half: float) -> F64:
    """Eight triangles, corners (24, 3), between two points."""
    along = (end - start) / np.linalg.norm(end - start)
    helper = np.eye(3)[np.abs(along).argmin()]
    a = np.cross(along, helper)
    a /= np.linalg.norm(a)
    b = np.cross(along, a)
    waist = start + 0.2 * (end - start)
    ring = [waist + half * (np.cos(k) * a + np.sin(k) * b) for k in np.pi / 2 * np.arange(4)]
    sides = [(ring[k], ring[(k + 1) % 4]) for k in range(4)]
    return np.array([corner for p, q in sides for corner in (p, q, end, q, p, start)])
