"""Sound files of every kind that can be read: what the mutations start from."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xnect.skeleton.joints import JOINTS_2D
from xnect.structures import U8, Camera, Person

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "assets" / "weights"
Files = dict[str, bytes]


@dataclass(frozen=True)
class Seed:
    """Files that are read without complaint.

    Attributes:
        name: What they are.
        files: Name -> content.
        entry: The file named to the loader, "" = the folder.
        targets: Files that are mutated; empty = the entry.
        how: "bytes", "text", "json", "safetensors" (content and its card agree again) or "zip" (repacked).
    """

    name: str
    files: Files
    entry: str
    targets: tuple[str, ...] = ()
    how: str = "bytes"


def picture(width: int = 64, height: int = 48, shift: int = 0) -> U8:
    """A picture with shapes in it."""
    y, x = np.mgrid[:height, :width]
    out = np.stack([(x * 3 + shift * 5) % 256, (y * 5) % 256, ((x + y) * 2 + shift) % 256], -1)
    return out.astype(np.uint8)


def _encoded(ending: str, image: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(ending, image)[1].tobytes()


def _video(name: str, codec: str, pix_fmt: str = "yuv420p", options: dict[str, str] | None = None) -> bytes:
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with av.open(str(path), "w", options=options or {}) as container:
            stream: Any = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
            for k in range(12):
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture(shift=k), format="bgr24")):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
        return path.read_bytes()


def videos() -> list[Seed]:
    """A clip in the usual containers."""
    made = [
        ("clip.mp4", _video("clip.mp4", "libx264")),
        ("fragments.mp4", _video("fragments.mp4", "libx264", options={"movflags": "frag_keyframe+empty_moov"})),
        ("clip.mkv", _video("clip.mkv", "libx264")),
        ("clip.webm", _video("clip.webm", "libvpx")),
        ("clip.avi", _video("clip.avi", "mjpeg", "yuvj420p")),
        ("clip.mjpeg", _video("clip.mjpeg", "mjpeg", "yuvj420p")),
        ("clip.mov", _video("clip.mov", "mpeg4")),
    ]
    return [Seed(name, {name: data}, name) for name, data in made]


def pictures() -> list[Seed]:
    """A picture in the usual formats."""
    image = picture()
    deep = image.astype(np.uint16) * 257
    alpha = np.concatenate([image, image[..., :1]], -1)
    made = [
        ("p.png", _encoded(".png", image)), ("p.jpg", _encoded(".jpg", image)), ("p.webp", _encoded(".webp", image)),
        ("deep.png", _encoded(".png", deep)), ("grey.png", _encoded(".png", image[..., 0])), ("alpha.png", _encoded(".png", alpha)),
        ("one.png", _encoded(".png", image[:1, :1])), ("p.tif", _encoded(".tif", deep)), ("p.bmp", _encoded(".bmp", image)),
        ("p.ppm", _encoded(".ppm", image)),
    ]  # fmt: skip
    return [Seed(name, {name: data}, name) for name, data in made]


def stage1() -> list[Seed]:
    """A small Stage I network of random numbers, as trained ones are saved."""
    import torch

    from xnect.stages.network import NetworkSpec, Stage1, save_stage1

    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        save_stage1(Stage1(NetworkSpec(width=0.05, head=16)), path, {})
        files = {p.name: p.read_bytes() for p in Path(folder).iterdir()}
    return _signed("net", files)


def _signed(stem: str, files: Files) -> list[Seed]:
    weights, card = f"{stem}.safetensors", f"{stem}.json"
    return [
        Seed("weights", files, weights),
        Seed("weights, signed again", files, weights, how="safetensors"),
        Seed("card", files, weights, (card,), "json"),
    ]


def stage2() -> list[Seed]:
    """The Stage II network that ships."""
    return _signed("stage2", {p.name: p.read_bytes() for p in WEIGHTS.glob("stage2.*")})


def classifier() -> list[Seed]:
    """A small classifier in our container and in both of torch's."""
    import torch

    from backbone.registry import create_model
    from backbone.weights import save_model

    torch.manual_seed(1)
    model = create_model("selecsls42", num_classes=3, width=0.05)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.safetensors"
        save_model(model, path, {"classes": ["a", "b", "c"]})
        ours = path.read_bytes()
    seeds = [Seed("safetensors", {"c.safetensors": ours}, "c.safetensors"),
             Seed("safetensors, header", {"c.safetensors": ours}, "c.safetensors", how="safetensors")]  # fmt: skip
    few = dict(list(model.state_dict().items())[:12])
    for name, zipped in (("new.pth", True), ("old.pth", False)):
        held = io.BytesIO()
        torch.save(few, held, _use_new_zipfile_serialization=zipped)
        seeds.append(Seed(name, {name: held.getvalue()}, name))
    return seeds


def int8() -> list[Seed]:
    """The eight-bit network that ships."""
    data = (WEIGHTS / "stage1.int8.zip").read_bytes()
    return [
        Seed("archive", {"n.int8.zip": data}, "n.int8.zip"),
        Seed("repacked", {"n.int8.zip": data}, "n.int8.zip", how="zip"),
    ]


def onnx_nets() -> list[Seed]:
    """A network with the outputs of a one-stage detector, and its recipe."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    boxes = np.array([[[10, 10, 200, 300, 0.9], [220, 20, 400, 380, 0.8]]], np.float32)
    points = np.random.default_rng(1).uniform(20, 300, (1, 2, 17, 3)).astype(np.float32)
    points[..., 2] = 0.9
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
        helper.make_node("Mul", ["m", "zero"], ["z"]),
        helper.make_node("Add", ["b", "z"], ["dets"]),
        helper.make_node("Add", ["p", "z"], ["keypoints"]),
    ]
    values = [numpy_helper.from_array(v, n) for n, v in (("zero", np.float32(0)), ("b", boxes), ("p", points))]
    sides = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 400, 640])]
    out = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, list(v.shape))
        for n, v in (("dets", boxes), ("keypoints", points))
    ]
    graph = helper.make_graph(nodes, "net", sides, out, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    recipe = json.dumps(
        {"channels": "RGB", "mean": [1.0, 2.0, 3.0], "std": [5.0, 5.5, 6.0], "fill": 0, "threshold": 0.2}
    )
    files = {"d.onnx": onnx.ModelProto.SerializeToString(model), "d.json": recipe.encode()}
    return [
        Seed("network", {"d.onnx": files["d.onnx"]}, "d.onnx"),
        Seed("recipe", files, "d.onnx", ("d.json",), "json"),
    ]


def settings() -> list[Seed]:
    """Settings as ``--print-config`` shows them, and short ones as users write them."""
    from xnect.apps.settings import gather, show

    long = show(gather({}, None, {}))
    short = (
        'device = "cpu"\ninput-size = "320x192"\nformats = ["jsonl", "csv"]\nheight-cm = 180\nfov = 70.5\nno-display = true\n'
        'video = ["a.mp4", "b.mp4"]\nmax-people = 4\nstart = 1.5\nvmc = ["127.0.0.1:39539"]\n\n[tracking]\nkeep_s = 2.0\n'
        "appearance = false\n[detection]\npeak_threshold = 0.3\nmin_joints = 4\n[filters]\nbeta_3d = 4.0\n"
    )
    return [
        Seed(name, {"s.toml": text.encode()}, "s.toml", how="text")
        for name, text in (("printed", long), ("short", short))
    ]


_MATRIX = [[900.0, 0.0, 640.0], [0.0, 900.0, 360.0], [0.0, 0.0, 1.0]]
_DISTORTION = [0.1, -0.2, 0.001, 0.002, 0.05]


def calibrations() -> list[Seed]:
    """A camera in every form that is read."""
    flat = ", ".join(str(v) for row in _MATRIX for v in row)
    bend = ", ".join(map(str, _DISTORTION))
    plain = json.dumps({"camera_matrix": _MATRIX, "distortion": _DISTORTION, "width": 1280, "height": 720})
    many = json.dumps(
        {"cameras": [{"name": n, "K": _MATRIX, "dist": _DISTORTION, "resolution": [1280, 720]} for n in ("clip", "b")]}
    )
    toml = f'[cam_1]\nname = "clip"\nsize = [1280, 720]\nmatrix = {_MATRIX}\ndistortions = {_DISTORTION}\nfisheye = false\n'
    yaml = (
        f"%YAML:1.0\n---\nimage_width: 1280\nimage_height: 720\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n"
        f"   data: [ {flat} ]\ndistortion_coefficients: !!opencv-matrix\n   rows: 1\n   cols: 5\n   dt: d\n   data: [ {bend} ]\n"
    )
    xml = (
        '<?xml version="1.0"?>\n<opencv_storage>\n<image_width>1280</image_width>\n<image_height>720</image_height>\n'
        f'<camera_matrix type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt><data>{flat.replace(",", "")}</data></camera_matrix>\n'
        f'<distortion_coefficients type_id="opencv-matrix"><rows>1</rows><cols>5</cols><dt>d</dt><data>{bend.replace(",", "")}</data>'
        "</distortion_coefficients>\n</opencv_storage>\n"
    )
    made = [
        ("c.json", plain, "json"),
        ("many.json", many, "json"),
        ("c.toml", toml, "text"),
        ("c.yaml", yaml, "text"),
        ("c.xml", xml, "text"),
    ]
    return [Seed(name, {name: text.encode()}, name, how=how) for name, text, how in made]


def _people(count: int, seed: int = 1) -> np.ndarray:
    """Joints of people who walk, (frames, people, 14, 3): x, y [px], confidence."""
    from xnect.geometry import camera_from_fov, project
    from xnect.skeleton.joints import JOINT_3D_OF_2D
    from xnect.skeleton.kinematics import SKELETON

    camera, rng = camera_from_fov((640, 480)), np.random.default_rng(seed)
    out = np.zeros((count, 2, 14, 3))
    for frame in range(count):
        for who in range(2):
            angles = SKELETON.observed_rad.mean(1) + rng.normal(0, 0.05, len(SKELETON.angle_names))
            root = np.array([[who * 1.2 - 0.6 + 0.02 * frame, 0.0, 4.0]])
            joints, _ = SKELETON.forward(root, np.diag([1.0, -1.0, -1.0])[None], angles[None], SKELETON.rest_offsets_m)
            out[frame, who, :, :2] = project(joints[0, SKELETON.index_21], camera)[JOINT_3D_OF_2D]
    out[..., 2] = 0.9
    return out.round(3)


@cache
def recording_text(frames: int = 6) -> bytes:
    """A recording of two people as the program writes it."""
    from xnect.config import PipelineConfig
    from xnect.formats.header import SourceInfo, header_of_run
    from xnect.formats.jsonl import JsonlWriter
    from xnect.formats.people import FrameRecord, people_of
    from xnect.geometry import camera_from_fov
    from xnect.structures import FrameResult

    camera = camera_from_fov((640, 480))
    header = header_of_run("0.1.0", SourceInfo("clip.mp4", (640, 480), 25.0, 0.24), camera, PipelineConfig())
    with tempfile.TemporaryDirectory() as folder:
        writer = JsonlWriter(Path(folder) / "poses.jsonl", header)
        for k in range(frames):
            result = FrameResult(k, k / 25, tuple(_person(who, k, camera) for who in range(2)), {}, camera)
            people = people_of(result, len(header.angles), len(header.bones))
            writer.write(FrameRecord(None, result, people))
        writer.close()
        return (Path(folder) / "poses.jsonl").read_bytes()


def _person(who: int, frame: int, camera: Camera) -> Person:
    """Somebody who stands and sways."""
    from xnect.geometry import project, quaternion_from_matrix
    from xnect.skeleton.joints import JOINT_3D_OF_2D
    from xnect.skeleton.kinematics import SKELETON

    angles = SKELETON.observed_rad.mean(1) + 0.05 * np.sin(frame + np.arange(len(SKELETON.angle_names)))
    root, turn = np.array([who * 1.2 - 0.6 + 0.02 * frame, 0.0, 4.0]), np.diag([1.0, -1.0, -1.0])
    joints, _ = SKELETON.forward(root[None], turn[None], angles[None], SKELETON.rest_offsets_m)
    space = joints[0, SKELETON.index_21]
    pixels = project(space, camera)[JOINT_3D_OF_2D].astype(np.float32)
    return Person(
        id=who,
        joints_2d=pixels,
        confidence_2d=np.full(14, 0.9, np.float32),
        joints_3d=space.astype(np.float32),
        inferred=np.zeros(21, bool),
        angles=angles.astype(np.float32),
        root=(root.astype(np.float32), quaternion_from_matrix(turn).astype(np.float32)),
        box=np.array([*pixels.min(0), *pixels.max(0)], np.float32),
        score=0.8,
        state="tracked",
        offsets=SKELETON.rest_offsets_m.astype(np.float32),
    )


def recordings() -> list[Seed]:
    """A recording, as a file."""
    return [
        Seed(name, {"poses.jsonl": recording_text()}, "poses.jsonl", how=how)
        for name, how in (("bytes", "bytes"), ("text", "text"))
    ]


def repairs() -> list[Seed]:
    """An output folder whose run was killed."""
    header, rest = recording_text().split(b"\n", 1)
    told = json.loads(header)
    told["formats"] = ["csv", "bvh", "npz", "overlay"]
    files = {"poses.jsonl": json.dumps(told).encode() + b"\n" + rest, "overlay.mkv": _video("clip.mkv", "libx264")}
    return [Seed("log", files, "", ("poses.jsonl",), "text"), Seed("overlay", files, "", ("overlay.mkv",))]


def joints() -> list[Seed]:
    """2D joints in every form that ``xnect lift`` takes."""
    people = _people(5)
    names = [f"clip_{k:012d}_keypoints.json" for k in range(len(people))]
    wide = np.zeros((5, 2, 25, 3))
    wide[:, :, :15] = np.concatenate([people, people[:, :, :1]], 2)
    folder = {
        name: json.dumps(
            {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": p.ravel().tolist()} for p in frame]}
        ).encode()
        for name, frame in zip(names, wide, strict=True)
    }
    seventeen = np.concatenate([people, people[:, :, :3]], 2)
    coco = [
        {"image_id": k, "category_id": 1, "keypoints": p.ravel().tolist(), "score": 0.9}
        for k, frame in enumerate(seventeen)
        for p in frame
    ]
    images = [{"id": k, "file_name": f"{k}.jpg", "width": 640, "height": 480} for k in range(5)]
    annotated = {"images": images, "annotations": [{**e, "id": k} for k, e in enumerate(coco)]}
    rows = "".join(
        f"{f},{p},{name},{x:.2f},{y:.2f},{c},{f / 25}\n"
        for f, frame in enumerate(people) for p, person in enumerate(frame) for name, (x, y, c) in zip(JOINTS_2D, person, strict=True)
    )  # fmt: skip
    table = "# fps: 25\nframe,person,joint,x_px,y_px,conf,time_s\n" + rows
    return [
        Seed("openpose", folder, "", tuple(names[:2]), "json"),
        Seed("one frame", {names[0]: folder[names[0]]}, names[0], how="json"),
        Seed("coco", {"r.json": json.dumps(coco).encode()}, "r.json", how="json"),
        Seed("annotations", {"a.json": json.dumps(annotated).encode()}, "a.json", how="json"),
        Seed("csv", {"t.csv": table.encode()}, "t.csv", how="text"),
        Seed("own", {"poses.jsonl": recording_text()}, "poses.jsonl", how="text"),
    ]


def labels() -> list[Seed]:
    """What ``xnect evaluate`` reads: COCO labels with pictures, MATLAB annotations, boxes, tables of poses."""
    from scipy.io import savemat

    image = {"id": 1, "file_name": "1.jpg", "width": 64, "height": 48}
    points = [v for k in range(17) for v in (k * 3, k * 2, 2)]
    person = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "area": 900.0,
        "bbox": [0, 0, 50, 40],
        "keypoints": points,
        "num_keypoints": 17,
    }
    coco = json.dumps(
        {"images": [image], "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    ).encode()
    held = io.BytesIO()
    frames = np.random.default_rng(0).normal(0, 500, (4, 17, 3))
    savemat(held, {"annot2": frames[..., :2], "annot3": frames, "univ_annot3": frames, "valid_frame": np.ones((4, 1))})
    poses = np.random.default_rng(0).normal(0, 0.5, (6, 17, 3))
    table = "".join(",".join(f"{v:.4f}" for v in row) + "\n" for row in poses.reshape(6, -1))
    npz, npy = io.BytesIO(), io.BytesIO()
    np.savez_compressed(npz, joints_3d=poses)
    np.save(npy, poses)
    boxes = "".join(f"{f},{i},{10 * f},20,50,100,1,1,1\n" for f in range(1, 6) for i in (1, 2))
    picture_files = {"l.json": coco, "1.jpg": _encoded(".jpg", picture())}
    return [
        Seed("coco", picture_files, "l.json", how="json"),
        Seed("coco picture", picture_files, "l.json", ("1.jpg",)),
        Seed("matlab", {"annot_data.mat": held.getvalue()}, "annot_data.mat"),
        Seed("npz", {"p.npz": npz.getvalue()}, "p.npz"),
        Seed("npy", {"p.npy": npy.getvalue()}, "p.npy"),
        Seed("csv", {"p.csv": table.encode()}, "p.csv", how="text"),
        Seed("boxes", {"b.txt": boxes.encode()}, "b.txt", how="text"),
    ]


TOKEN = "right-token-1"
_HANDSHAKE = (
    "GET /stream?token={token} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


def handshake(token: str = TOKEN, more: str = "") -> bytes:
    """The first words of a WebSocket client."""
    return _HANDSHAKE.format(token=token, more=more).encode("latin-1")


def messages() -> list[Seed]:
    """What a client sends to the WebSocket server."""
    page = f"GET /?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()
    word = b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\x01\x02\x03\x04\x01", strict=True))
    closing = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
    made = [("page", page), ("handshake", handshake()), ("frames", handshake() + word + b"\x89\x80\0\0\0\0" + closing)]
    return [Seed(name, {"m.bin": data}, "m.bin") for name, data in made]


def addresses() -> list[Seed]:
    """Addresses, a token and an origin, one a line."""
    text = "127.0.0.1:39539\n[::1]:9000\nlocalhost:8766\n8765\nabcdefgh1\nhttps://example.org\n"
    return [Seed("addresses", {"a.txt": text.encode()}, "a.txt", how="text")]


def answers() -> list[Seed]:
    """What a camera on the network sends: MJPEG in parts, and a video file."""
    jpeg = _encoded(".jpg", picture())
    part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"
    head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
    clip = _video("clip.mkv", "mpeg4")
    whole = b"HTTP/1.0 200 OK\r\nContent-Type: video/x-matroska\r\nContent-Length: %d\r\n\r\n" % len(clip) + clip
    return [Seed("mjpeg", {"a.bin": head + part * 6}, "a.bin"), Seed("video", {"a.bin": whole}, "a.bin")]


#: Kind -> its seeds and its share of the cases.
KINDS: dict[str, tuple[Callable[[], list[Seed]], int]] = {
    "video": (videos, 16),
    "picture": (pictures, 14),
    "stage1": (stage1, 6),
    "stage2": (stage2, 6),
    "classifier": (classifier, 6),
    "int8": (int8, 4),
    "onnx": (onnx_nets, 6),
    "settings": (settings, 8),
    "calibration": (calibrations, 8),
    "recording": (recordings, 10),
    "repair": (repairs, 4),
    "joints": (joints, 12),
    "labels": (labels, 8),
    "message": (messages, 8),
    "addresses": (addresses, 3),
    "answer": (answers, 3),
}
