"""Every public way by which foreign data get in, each as a function that gives back what it read."""

from __future__ import annotations

import itertools
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xnect.structures import Camera

#: Frames taken of a video.
_FRAMES = 40


def _camera(camera: Camera) -> list[np.ndarray]:
    from xnect.geometry import unproject

    width, height = camera.size_px
    corners = np.array([[0.0, 0.0], [width, 0.0], [width, height], [width / 2, height / 2]])
    return [camera.matrix_px, camera.distortion, unproject(corners, camera)]


def video(path: Path) -> list[Any]:
    """Open a source and read it."""
    from xnect.capture import open_source

    out: list[Any] = []
    with open_source(path) as source:
        out += [source.info.fps, source.info.duration_s or 0.0, *_camera(source.camera)]
        for frame in itertools.islice(source, _FRAMES):
            out.append(frame.timestamp_s)
            assert frame.image_bgr.dtype == np.uint8
            assert min(frame.size_px) > 0
    return out


def picture(path: Path) -> list[Any]:
    """As a source, and for the classifier."""
    from backbone.errors import InputError
    from backbone.pictures import read_picture
    from backbone.quiet import only_python_speaks
    from xnect.errors import SourceError

    try:
        with only_python_speaks():
            found = [read_picture(path).shape]
    except InputError:
        found = []
    try:
        return [*video(path), *found]
    except SourceError:
        assert not found, "one reader takes what the other refuses"
        raise


def stage1(path: Path) -> list[Any]:
    """Load Stage I and run it on one picture."""
    import torch

    from xnect.stages.network import FromPictures, load_stage1

    net = FromPictures(load_stage1(path)).eval()
    with torch.inference_mode():
        found = net(torch.zeros((1, 64, 96, 3), dtype=torch.uint8))
    return [v.numpy() for v in (found if isinstance(found, tuple) else (found,))]


def stage2(path: Path) -> list[Any]:
    """Load Stage II and run it."""
    from xnect.stages.lifting import load_weights, run_network

    weights = load_weights(path)
    rows = np.random.default_rng(0).normal(0, 1, (3, weights.layers[0][0].shape[0])).astype(np.float32)
    return [run_network(weights.layers, rows)]


def classifier(path: Path) -> list[Any]:
    """Read tensors; build the network where the file describes one."""
    from backbone.classify import open_classifier
    from backbone.weights import read_weights

    state, info = read_weights(path)
    if info is not None:
        return [open_classifier(weights=path, device="cpu").probabilities([np.zeros((40, 50, 3), np.uint8)])]
    return [value.float().numpy() for value in state.values()]


def int8(path: Path) -> list[Any]:
    """Take an eight-bit network and run it."""
    from xnect.errors import WeightsError
    from xnect.stages.executors import package
    from xnect.stages.executors.openvino_cpu import OpenVinoExecutor

    found = package.load(path, package.digest(Path(__file__).parents[2] / "assets" / "weights" / "stage1.safetensors"))
    if found is None:  # the program makes it anew
        raise WeightsError("not the package of these weights")
    executor = OpenVinoExecutor(found, "fp32", 1)
    executor.prepare((96, 64))
    maps, encoding = executor(np.zeros((1, 64, 96, 3), np.uint8))
    return [maps] if encoding is None else [maps, encoding]


def onnx(path: Path) -> list[Any]:
    """A user's own network."""
    from xnect.config import NetworkConfig, PipelineConfig
    from xnect.stages.stage_one import load_stage_one

    detector: Any = load_stage_one(PipelineConfig(network=NetworkConfig(device="cpu", detector=str(path), threads=1)))
    found = detector(np.full((400, 640, 3), 60, np.uint8))
    names = ("joints_px", "confidence", "score") if hasattr(found, "score") else ("heatmaps", "pafs")
    return [getattr(found, name) for name in names]


def settings(path: Path) -> list[Any]:
    """A settings file, for the command line and for the window."""
    import dataclasses

    from xnect.apps.settings import gather, show
    from xnect.gui.settings import load, to_toml

    try:
        _ = to_toml({"pipeline": dataclasses.asdict(load(path))})
    except Exception as error:
        if type(error).__name__ != "ConfigError":
            raise
    found = gather({}, str(path), {})
    text = show(found)
    path.with_name("again.toml").write_text(text, encoding="utf-8")
    assert gather({}, str(path.with_name("again.toml")), {}).config == found.config, "what is shown is read otherwise"

    def numbers(value: Any) -> Iterator[float]:
        if dataclasses.is_dataclass(value):
            for f in dataclasses.fields(value):
                yield from numbers(getattr(value, f.name))
        elif isinstance(value, float):
            yield value

    return list(numbers(found.config))


def calibration(path: Path) -> list[Any]:
    """A calibration for pictures of its size."""
    from xnect.capture.calibration import camera_of_size
    from xnect.config import CameraConfig

    return _camera(camera_of_size(CameraConfig(calibration=str(path)), (1280, 720), "clip"))


def recording(path: Path) -> list[Any]:
    """A recording: read, checked, and written in other formats."""
    from xnect.errors import XnectError
    from xnect.formats.convert import convert
    from xnect.formats.recording import load, validate

    check = validate(path)
    assert all(len(line.splitlines()) == 1 for line in check.problems)
    found = load(path)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("csv", "npz", "bvh", "trc", "glb", "openpose", "coco", "jsonl"):
            try:
                convert(path, Path(folder) / name, name)
            except XnectError as error:
                assert len(str(error).splitlines()) == 1, str(error)  # noqa: PT017
        again = Path(folder) / "jsonl" / "poses.jsonl"
        assert not again.exists() or len(load(again)) == len(found)
    people = found.people
    return [
        found.times_s,
        people.joints_3d,
        people.joints_2d,
        people.root_rotation,
        people.angles,
        *_camera(found.header.camera),
    ]


def repair(path: Path) -> list[Any]:
    """A torn folder made whole; the log afterwards is whole."""
    from xnect.formats.recording import load, validate
    from xnect.formats.repair import repair as mend

    report = mend(path)
    assert all(len(line.splitlines()) == 1 for line in report.lost), report.lost
    assert not validate(path).problems
    return [load(path).times_s]


def joints(path: Path) -> list[Any]:
    """2D joints of another program, and the 3D made of them."""
    from xnect.apps.lift import JointsPipeline, blank_source
    from xnect.config import RunConfig
    from xnect.formats.keypoints import load_keypoints
    from xnect.structures import Detections

    found = load_keypoints(path)
    out: list[Any] = [p.joints_px for p in found.people[:1000]]
    if not len(found):
        return out
    config = RunConfig()
    size = None if found.sizes_px is not None else (640, 480)
    process = JointsPipeline(config, found, False)
    with blank_source(config, found, size, None) as source:
        process.use_camera(None)
        for frame in itertools.islice(source, 12):
            assert isinstance(process._people.get(frame.index, Detections.empty()), Detections)
            for person in process(frame).people:
                out += [person.joints_2d, person.joints_3d, person.angles, *person.root, person.box, person.score]
    return out


def labels(path: Path) -> list[Any]:
    """What is judged against."""
    from xnect.evaluation.annotations import read_dhp
    from xnect.evaluation.coco import CocoSet
    from xnect.evaluation.poses import judge_files
    from xnect.evaluation.tracks import read_boxes

    ending = path.suffix
    if ending == ".json":
        archive = path.with_name("pictures.zip")
        return [pixels.shape for _, pixels in CocoSet(path, archive if archive.exists() else path.parent)]
    if ending == ".mat":
        found = read_dhp(path.parent)
        return [found.joints_px, found.metric_m]
    if ending == ".txt":
        return [read_boxes(path).box_px]
    return list(judge_files(path, path, (0,)).figures.values())


_server: list[Any] = []


def message(path: Path) -> list[Any]:
    """Bytes to the WebSocket server, which must go on serving others; refused where the client is not let in."""
    from benchmarks.hostile.seeds import TOKEN
    from xnect.addresses import Address
    from xnect.errors import StreamError
    from xnect.streams.websocket import WebSocketOutlet

    if not _server:
        _server.append(WebSocketOutlet(Address("127.0.0.1", 0), TOKEN))
    outlet = _server[0]
    time.sleep(0.03)  # the server lets so many in a second
    with socket.create_connection(("127.0.0.1", outlet.address.port), timeout=5) as client:
        client.settimeout(0.15)
        answer = b""
        try:
            head, end, rest = path.read_bytes().partition(b"\r\n\r\n")
            client.sendall(head + end)
            answer = client.recv(4096) if rest and end else b""
            client.sendall(rest)
            while len(answer) < 200 and (piece := client.recv(4096)):
                answer += piece
        except OSError:
            pass
    request = f"GET /?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", outlet.address.port), timeout=5) as other:
            other.sendall(request)
            try:
                good = other.recv(12)
            except ConnectionError:  # the gate: too many at once
                good = b""
        if good == b"HTTP/1.1 200":
            break
        time.sleep(0.1)
    else:
        raise AssertionError(f"the server no longer answers others: {good!r}")
    if not answer.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")):
        raise StreamError(f"answered {' '.join(answer[:60].decode('latin-1').split()) or 'nothing'}")
    return []


def addresses(path: Path) -> list[Any]:
    """Each line as an address, a token and an origin; what is taken must be in order."""
    from xnect.addresses import parse_address
    from xnect.config import StreamConfig
    from xnect.errors import ConfigError
    from xnect.streams.access import Access

    refused: list[ConfigError] = []
    for line in path.read_bytes().decode("utf-8", "replace").split("\n"):
        for keys in ("vmc", "osc", "udp"):
            try:
                (text,) = getattr(StreamConfig(**{keys: (line,)}), keys)
                found = parse_address(text, 1)
                assert found.host.isprintable()
                assert parse_address(str(found), 2) == found
            except ConfigError as error:
                refused.append(error)
        try:
            token = StreamConfig(token=line).token
        except ConfigError as error:
            refused.append(error)
        else:
            access = Access(True, token, (line,))
            assert access.refusal(f"/?token={line[:-1]}", {"Host": "localhost"})
            assert access.refusal("/", {"Host": line, "Authorization": f"Bearer {line[1:]}"})
    if len(refused) == 4 * (1 + path.read_bytes().decode("utf-8", "replace").count("\n")):
        raise refused[0]
    return []


def answer(path: Path) -> list[Any]:
    """A camera on the network that sends this."""
    from xnect.capture.network import NetworkDevice

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                with server.accept()[0] as client:
                    client.recv(4096)
                    client.sendall(path.read_bytes())
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        device = NetworkDevice(f"http://127.0.0.1:{server.getsockname()[1]}/video")
        out = []
        try:
            for _ in range(4):
                found = device.read()
                if found is None:
                    break
                assert found[0].dtype == np.uint8
                out.append(found[1] or 0.0)
        finally:
            device.close()
        return out


def copied(load: Callable[[Path], list[Any]]) -> Callable[[Path], list[Any]]:
    """For loaders that change what they are given."""

    def work(path: Path) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder:
            return load(Path(shutil.copytree(path, Path(folder) / "out")))

    return work


LOADERS: dict[str, Callable[[Path], list[Any]]] = {
    "video": video, "picture": picture, "stage1": stage1, "stage2": stage2, "classifier": classifier, "int8": int8,
    "onnx": onnx, "settings": settings, "calibration": calibration, "recording": recording, "repair": copied(repair),
    "joints": joints, "labels": labels, "message": message, "addresses": addresses, "answer": answer,
}  # fmt: skip
