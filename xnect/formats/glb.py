"""glTF binary, one file a person: skeleton with skin, animation and a stick figure as mesh; Y up, metres."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from xnect.errors import OutputError
from xnect.formats.bones import BONE_NAMES, CHILDREN
from xnect.formats.files import replacing
from xnect.formats.motion import Motion, motion_of
from xnect.formats.recording import Recording
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import F64

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


def glb_bytes(motion: Motion, recording: Recording) -> bytes:
    """The whole file of one person."""
    try:
        import pygltflib
    except ImportError as error:
        raise OutputError("GLB needs pygltflib: pip install 'xnect[export]'") from error
    gltf = pygltflib.GLTF2(asset=pygltflib.Asset(version="2.0", generator="xnect"))
    buffer = _Buffer(gltf, pygltflib)
    joints = len(SKELETON.joint_names)
    names = [bone or _end_name(joint) for bone, joint in zip(BONE_NAMES, SKELETON.joint_names, strict=True)]
    for joint in range(joints):
        place = motion.root_position[0] if joint == 0 else motion.offsets[joint]
        node = pygltflib.Node(name=names[joint], translation=place.tolist(), children=list(CHILDREN[joint]))
        node.rotation = _quaternions(motion.local[:1, joint])[0].tolist()
        gltf.nodes.append(node)
    gltf.nodes.append(pygltflib.Node(name="StickFigure", mesh=0, skin=0))
    gltf.nodes.append(pygltflib.Node(name=f"person_{motion.person_id}", children=[0, joints]))
    rest = _rest_positions(motion.offsets)
    bind = np.broadcast_to(np.eye(4, dtype=np.float32), (joints, 4, 4)).copy()
    bind[:, 3, :3] = -rest  # column-major: the translation is the last row in memory
    gltf.skins.append(
        pygltflib.Skin(
            name="skeleton", joints=list(range(joints)), skeleton=0, inverseBindMatrices=buffer.add(bind, "MAT4")
        )
    )
    _add_mesh(gltf, pygltflib, buffer, rest)
    _add_animation(gltf, pygltflib, buffer, motion)
    gltf.scenes.append(pygltflib.Scene(name="scene", nodes=[joints + 1]))
    gltf.scene = 0
    gltf.asset.extras = motion.story(recording)
    gltf.buffers.append(pygltflib.Buffer(byteLength=len(buffer.data)))
    gltf.set_binary_blob(bytes(buffer.data))
    return b"".join(gltf.save_to_bytes())


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


def _add_animation(gltf: Any, library: Any, buffer: _Buffer, motion: Motion) -> None:
    times = (np.arange(len(motion)) / motion.fps).astype(np.float32)
    clock = buffer.add(times, "SCALAR", limits=True)
    animation = library.Animation(name=f"person_{motion.person_id}")

    def channel(node: int, path: str, accessor: int) -> None:
        animation.samplers.append(library.AnimationSampler(input=clock, output=accessor, interpolation="LINEAR"))
        target = library.AnimationChannelTarget(node=node, path=path)
        animation.channels.append(library.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))

    channel(0, "translation", buffer.add(motion.root_position.astype(np.float32), "VEC3"))
    for joint, bone in enumerate(BONE_NAMES):
        if bone:
            channel(joint, "rotation", buffer.add(_quaternions(motion.local[:, joint]), "VEC4"))
    gltf.animations.append(animation)


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
    look = library.PbrMetallicRoughness(baseColorFactor=[1.0, 1.0, 1.0, 1.0], metallicFactor=0.0, roughnessFactor=0.8)
    gltf.materials.append(library.Material(name="sides", pbrMetallicRoughness=look, doubleSided=True))
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
