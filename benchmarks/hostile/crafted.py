"""Files made by hand to do harm: bombs, pickles that run code, paths that lead outside, sizes that do not fit."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.hostile.mutators import Case
from benchmarks.hostile.seeds import TOKEN, Files, Seed, handshake, recording_text

#: A pickle that is run leaves this file behind, below the folder of its case.
CANARY = "run-by-pickle"
_DEEP = 200_000
#: Zeros in an archive [bytes]; packed a thousand times smaller, which alone gives them away.
_BOMB = 32 << 20


def _archive(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return held.getvalue()


def _bomb(name: str, size: int) -> bytes:
    """An archive with one file of so many zeros."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file, file.open(name, "w", force_zip64=True) as out:
        for _ in range(size >> 24):
            out.write(b"\0" * (1 << 24))
    return held.getvalue()


class _Runs:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {CANARY}",)


def _pickles(kind: str, name: str) -> list[Case]:
    import torch

    plain = pickle.dumps({"model": _Runs()})
    held, old = io.BytesIO(), io.BytesIO()
    torch.save({"fc.weight": _Runs()}, held)
    torch.save({"fc.weight": _Runs()}, old, _use_new_zipfile_serialization=False)
    made = {"pickle": plain, "torch zip": held.getvalue(), "torch old": old.getvalue()}
    return [Case(kind, f"{label} that runs code", {name: data}, name, True) for label, data in made.items()]


def _png(width: int, height: int, rows: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"\0" * (1 + 3 * min(width, 1000)) * rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")  # fmt: skip


def pictures() -> list[Case]:
    """Sizes that do not fit, endings that lie, text as a picture."""
    made = {
        "huge.png": _png(2**31 - 1, 2**31 - 1), "wide.png": _png(2**20, 1), "none.png": _png(0, 0), "large.png": _png(30_000, 30_000),
        "text.jpg": b"Dear reader\n" * 50, "page.png": b"<html><script>alert(1)</script></html>", "vector.png": b"<svg onload='x'/>",
        "zeros.jpg": b"\0" * 5000, "start.jpg": b"\xff\xd8\xff\xe0", "gif.png": b"GIF89a" + b"\xff" * 40,
        "size.ppm": b"P6\n999999999 999999999\n255\nabc", "minus.ppm": b"P6\n-5 -5\n255\nabc", "long.bmp": b"BM" + b"\xff" * 60,
        "comment.jpg": b"\xff\xd8" + b"\xff\xfe\x00\x02" * 20_000, "empty.webp": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        "flat.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999999 +X 99999999\n",
        "new\nline\x1b[31m.png": b"no picture",
    }  # fmt: skip
    return [Case("picture", name, {name: data}, name) for name, data in made.items()]


def videos() -> list[Case]:
    """Lists that name other files, endings that lie, boxes that hold themselves."""
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    concat = b"ffconcat version 1.0\nfile /etc/passwd\nfile clip.mp4\n"
    box = struct.pack(">I4s", 8, b"moov") * 50_000
    made = {
        "list.m3u8": playlist, "list.mp4": playlist, "concat.txt": concat, "concat.mp4": concat,
        "boxes.mp4": struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + box,
        "size.mp4": struct.pack(">I4sQ", 1, b"moov", 2**63) + b"\0" * 64, "letter.mp4": b"Dear reader\n" * 50, "riff.avi": b"RIFF\xff\xff\xff\xffAVI LIST",
        "ebml.mkv": b"\x1aE\xdf\xa3" + b"\x01" + b"\xff" * 60, "sub.srt": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "sound.mp4": b"ID3" + b"\0" * 5000,
        "ansi.mp4": b"\x1b[31mred\x1b[0m\n" * 200, "page.mp4": b"<html></html>", "dash.mpd": b"<?xml version='1.0'?><MPD><Period/></MPD>",
        "y.y4m": b"YUV4MPEG2 W99999 H99999 F25:1\nFRAME\n", "zero.y4m": b"YUV4MPEG2 W0 H0 F0:0\nFRAME\n",
    }  # fmt: skip
    return [Case("video", name, {name: data}, name) for name, data in made.items()]


def _safetensors(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _weights(kind: str, seed: Seed) -> list[Case]:
    """Tensors that overlap, lie about their size, and cards that ask for more than there is."""
    stem = seed.entry.removesuffix(".safetensors")
    card = json.loads(seed.files[f"{stem}.json"])
    tensor = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    made = {
        "header of 2^63": struct.pack("<Q", 2**63) + b"{}",
        "no header": b"",
        "list for a header": _safetensors([1, 2]),
        "tensor beyond the end": _safetensors({"a": tensor}),
        "deep header": _safetensors(b'{"a":' * _DEEP + b"1" + b"}" * _DEEP),
        "shape of nothing": _safetensors({"a": {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}}),
        "pickle": pickle.dumps(_Runs()),
        "archive": _archive({"../../evil": b"x"}),
    }
    cases = []
    for name, data in made.items():
        signed = json.dumps({**card, "sha256": sha256(data).hexdigest()}).encode()
        cases.append(Case(kind, name, {seed.entry: data, f"{stem}.json": signed}, seed.entry, True))
    odd: dict[str, bytes] = {
        "deep card": b"[" * _DEEP, "card is a list": b"[]", "card is a number": b"1e400", "empty card": b"", "card of nulls": b"\0" * 100,
    }  # fmt: skip
    changes: dict[str, dict[str, Any]] = {
        "many blocks": {"blocks": 10**12}, "true for a number": {"blocks": True, "width": True}, "wide": {"width": 10**30},
        "less than none": {"blocks": -5}, "sha of another type": {"sha256": [1]},
        "huge network": {"network": {"trunk": "selecsls84", "width": 4.0, "head": 1024, "encoding": True}},
        "trunk of another type": {"network": {"trunk": ["x"], "width": 1.0, "head": 64, "encoding": False}},
        "network is text": {"network": "../../../etc/passwd"}, "nan wide": {"network": {"trunk": "selecsls42", "width": float("nan"), "head": 16, "encoding": False}},
    }  # fmt: skip
    odd |= {name: json.dumps({**card, **change}).encode() for name, change in changes.items()}
    for name, text in odd.items():
        other = {"network"} if kind == "stage2" else {"blocks", "width"}  # not read there
        wrong = name != "huge network" and not other & set(changes.get(name, {}))
        cases.append(Case(kind, name, {**seed.files, f"{stem}.json": text}, seed.entry, wrong))
    cases.append(Case(kind, "no card", {seed.entry: seed.files[seed.entry]}, seed.entry, True))
    return cases


def stage1() -> list[Case]:
    """Hostile Stage I weights."""
    from benchmarks.hostile.seeds import stage1 as made

    return _weights("stage1", made()[0])


def stage2() -> list[Case]:
    """Hostile Stage II weights."""
    from benchmarks.hostile.seeds import stage2 as made

    return _weights("stage2", made()[0])


def classifiers() -> list[Case]:
    """Pickles, bombs, and descriptions of networks that no memory holds."""
    cases = _pickles("classifier", "c.pth")
    spec = {"name": "x", "stem": 10**9}
    lies = [
        {"version": 1, "spec": spec, "num_classes": 3, "folded": False},
        {"version": 1, "spec": [], "num_classes": 10**6, "folded": False},
        "text",
        [],
    ]
    for k, lie in enumerate(lies):
        header = {"__metadata__": {"backbone": json.dumps(lie)}}
        cases.append(
            Case("classifier", f"description {k}", {"c.safetensors": _safetensors(header)}, "c.safetensors", True)
        )
    deep = {"__metadata__": {"backbone": "[" * _DEEP}}
    cases.append(Case("classifier", "deep description", {"c.safetensors": _safetensors(deep)}, "c.safetensors", True))
    cases += _big_descriptions()
    cases.append(Case("classifier", "bomb", {"c.pth": _bomb("archive/data.pkl", _BOMB)}, "c.pth", True))
    cases.append(
        Case("classifier", "outside", {"c.pth": _archive({"../../evil": b"x", "/etc/evil": b"x"})}, "c.pth", True)
    )
    return cases


def _big_descriptions() -> list[Case]:
    """A sound file whose description is of a far larger network."""
    from benchmarks.hostile.seeds import classifier

    data = classifier()[0].files["c.safetensors"]
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    told = json.loads(header["__metadata__"]["backbone"])

    def wider(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: wider(v) for k, v in value.items()}
        if isinstance(value, list):
            return [wider(v) for v in value]
        return value * 4000 if type(value) is int and value > 3 else value

    cases = []
    for name, change in (("wide", {"spec": wider(told["spec"])}), ("many classes", {"num_classes": 10**6})):
        header["__metadata__"]["backbone"] = json.dumps({**told, **change})
        lie = _safetensors(header, data[8 + size :])
        cases.append(Case("classifier", f"{name} in the description", {"c.safetensors": lie}, "c.safetensors", True))
    return cases


def int8() -> list[Case]:
    """Bombs, locked and strange archives, graphs that lie."""
    from benchmarks.hostile.seeds import int8 as made

    data = made()[0].files["n.int8.zip"]
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    card = json.loads(parts["card.json"])
    locked = bytearray(_archive(parts))
    locked[6] |= 1  # says that it needs a password
    at = locked.rfind(b"PK\x01\x02")
    while at >= 0:
        locked[at + 8] |= 1
        at = locked.rfind(b"PK\x01\x02", 0, at)
    strange = bytearray(_archive({"card.json": parts["card.json"]}))
    strange[8] = strange[strange.rfind(b"PK\x01\x02") + 10] = 99
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("model.xml", "card.json"):
            file.writestr(name, parts[name])
        with file.open("model.bin", "w", force_zip64=True) as out:
            for _ in range(_BOMB >> 24):
                out.write(b"\0" * (1 << 24))
    variants = {
        "bomb": bomb.getvalue(), "bomb card": _bomb("card.json", _BOMB), "locked": bytes(locked), "strange method": bytes(strange),
        "outside": _archive({**parts, "../../evil": b"x"}), "deep card": _archive({**parts, "card.json": b"[" * _DEEP}),
        "card is a list": _archive({**parts, "card.json": b"[]"}), "no weights": _archive({**parts, "model.bin": b""}),
        "other graph": _archive({**parts, "model.xml": b"<net name='x' version='11'><layers/><edges/></net>"}),
        "entities": _archive({**parts, "model.xml": _entities()}), "no graph": _archive({**parts, "model.xml": b"hello"}),
        "short weights": _archive({**parts, "model.bin": parts["model.bin"][: len(parts["model.bin"]) // 2]}),
        "card of floats": _archive({**parts, "card.json": json.dumps({**card, "version": 1e400}).encode()}),
    }  # fmt: skip
    return [
        Case("int8", name, {"n.int8.zip": v}, "n.int8.zip", name not in ("outside",)) for name, v in variants.items()
    ]


def _entities() -> bytes:
    rows = "".join(f'<!ENTITY a{k + 1} "{f"&a{k};" * 10}">' for k in range(9))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{rows}]><opencv_storage><a>&a9;</a></opencv_storage>'.encode()


def onnx() -> list[Case]:
    """Networks that are none, and data kept in files elsewhere."""
    from onnx import ModelProto, TensorProto

    from benchmarks.hostile.seeds import onnx_nets

    model = ModelProto.FromString(onnx_nets()[0].files["d.onnx"])
    for tensor in model.graph.initializer:
        if tensor.name == "b":
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", "../../../../../../etc/passwd"), ("offset", "0"), ("length", "40")):
                tensor.external_data.add(key=key, value=value)
    made = {
        "external": model.SerializeToString(),
        "text": b"hello" * 40,
        "empty": b"",
        "zeros": b"\0" * 4096,
        "pickle": pickle.dumps(_Runs()),
    }
    return [Case("onnx", name, {"d.onnx": data}, "d.onnx", True) for name, data in made.items()]


def settings() -> list[Case]:
    """Numbers that are none, text without end, keys of the wrong kind."""
    made = {
        "nan": "[filters]\nbeta_3d = nan\n", "infinite": "[filters]\nmin_cutoff_3d = inf\n", "nan limb": "[detection]\nlimb_threshold = nan\n",
        "nan score": "[detection]\nmin_score = nan\n", "huge": f"[filters]\nbeta_3d = {'9' * 400}\n", "deep": "a = " + "[" * 50_000,
        "deep table": "[" + "a." * 3000 + "b]\nc = 1\n", "people": "max-people = 999999999999\n", "peaks": "[detection]\nmax_peaks = 99999999999\n",
        "frames": "[tracking]\nconfirm_frames = 99999999999999999999\n", "threads": "threads = 99999999999\n", "joints": "[detection]\nmin_joints = -9\n",
        "end": "end = inf\n", "start": "start = nan\n", "table for a value": "[device]\na = 1\n", "value for a table": "tracking = 3\n",
        "date": "fov = 2026-11-22\n", "twice": "fov = 60\nfov = 70\n", "int": "seed = 1e400\n", "nul": 'weights = "a\\u0000b"\n',
        "both": "tracking = {keep_s = 1}\n[pipeline.tracking]\nkeep_s = 2\n", "value and table": "[pipeline]\nnetwork = 3\n[network]\nthreads = 1\n",
        "dotted": 'tracking."keep.s" = 1\n', "list of tables": "[[tracking]]\nkeep_s = 1\n", "file": 'log-file = "/dev/full"\n', "fps": "target-fps = nan\n",
        "fps of a camera": "camera-fps = nan\n", "size": "input-size = [512, 320, 3]\n", "size text": 'input-size = "512x"\n', "huge int": f"seed = {'9' * 5000}\n",
        "sign": 'device = "\\u001b[31mcpu"\n', "vmc": "vmc = [1, 2, [3]]\n", "empty key": '"" = 1\n',
    }  # fmt: skip
    fine = ("both", "end", "file", "vmc", "nul")
    return [
        Case("settings", name, {"s.toml": text.encode()}, "s.toml", name not in fine) for name, text in made.items()
    ]


def calibrations() -> list[Case]:
    """Lenses that cannot be, and files that take a parser down."""
    matrix = [[900.0, 0, 640], [0, 900.0, 360], [0, 0, 1]]

    def plain(**changes: Any) -> bytes:
        return json.dumps({"camera_matrix": matrix, "width": 1280, "height": 720, **changes}).encode()

    made = {
        "deep.json": b'{"a":' * _DEEP, "deep.yaml": b"%YAML:1.0\n---\na: " + b"[" * _DEEP, "deep.xml": b"<opencv_storage>" + b"<a>" * _DEEP,
        "entities.xml": _entities(), "huge.json": plain(camera_matrix=[[10**400, 0, 640], [0, 900, 360], [0, 0, 1]]),
        "bent.json": plain(distortion=[1e308] * 5), "long.json": plain(distortion=[1e300, 1e300, 0, 0, 0]), "far.json": plain(camera_matrix=[[1e308, 0, 640], [0, 1e308, 360], [0, 0, 1]]),
        "tiny.json": plain(camera_matrix=[[1e-320, 0, 640], [0, 1e-320, 360], [0, 0, 1]]), "true.json": plain(camera_matrix=[[True] * 3] * 3), "wide.json": plain(width=1e400),
        "text.json": plain(camera_matrix="900"), "ragged.json": plain(camera_matrix=[[1], [1, 2]]), "object.json": plain(camera_matrix={"data": {"a": 1}}),
        "date.toml": b"[cam]\nmatrix = 2026-11-22\nsize = [1, 2]\n", "inf.toml": b"matrix = [[inf, 0, 1], [0, inf, 1], [0, 0, 1]]\nsize = [1280, 720]\n",
        "deep.toml": b"a = " + b"[" * 50_000, "nul.json": b"\0" * 40, "latin.json": "{é".encode("latin-1"), "wrong.bin": b"\x89PNG\r\n\x1a\n" * 30, "empty.yaml": b"", "anchor.yaml": b"%YAML:1.0\n---\na: &x [*x, *x]\n",
        "matrix.yaml": b"%YAML:1.0\n---\ncamera_matrix: !!opencv-matrix\n   rows: 999999999\n   cols: 999999999\n   dt: d\n   data: [ 1 ]\n",
        "names.json": json.dumps({"cameras": [{"name": "\x1b[31m\n", "K": matrix}, {"name": {"a": 1}, "K": matrix}]}).encode(),
    }  # fmt: skip
    return [Case("calibration", name, {name: data}, name, True) for name, data in made.items()]


def recordings() -> list[Case]:
    """Clocks that stand or race, ids of all sizes, lines without end."""
    header, first, *rest = recording_text().splitlines()
    frame = json.loads(rest[-1])

    def with_frames(*frames: dict[str, Any]) -> bytes:
        return b"\n".join([header, first, *(json.dumps(f).encode() for f in frames)]) + b"\n"

    made = {
        "deep": header + b"\n" + b"[" * _DEEP + b"\n" + first + b"\n", "long line": header + b"\n" + b"x" * (17 << 20),
        "far clock": with_frames({**frame, "frame": 2**52, "time": 9e10}), "no people": with_frames({**frame, "people": []}),
        "frozen clock": with_frames(*({**frame, "frame": 100 + k, "time": 1.0} for k in range(50))),
        "many people": with_frames({**frame, "people": [{**frame["people"][0], "id": k} for k in range(30)]}) if frame["people"] else header,
        "header only": header + b"\n", "header twice": header + b"\n" + header + b"\n", "binary": b"\x89PNG\r\n\x1a\n" * 100, "utf 16": header.decode().encode("utf-16"),
        "low rate": header.replace(b'"fps":25.0', b'"fps":1e-300') + b"\n" + first, "line break": header.replace(b"\n", b"\r") + b"\r" + first + b"\r",
        "huge name": header.replace(b"clip.mp4", b"x" * 1_000_000) + b"\n" + first + b"\n", "name with path": header.replace(b"clip.mp4", b"../../../../etc/passwd") + b"\n" + first + b"\n",
    }  # fmt: skip
    return [Case("recording", name, {"poses.jsonl": data}, "poses.jsonl") for name, data in made.items()]


def joints() -> list[Case]:
    """Numbers out of any picture, lists without end, names that lie."""
    row = [320.0, 200.0, 0.9] * 17

    def coco(**changes: Any) -> bytes:
        return json.dumps([{"image_id": 1, "category_id": 1, "keypoints": row, "score": 0.9, **changes}]).encode()

    flat: dict[str, bytes] = {
        "deep.json": b"[" * _DEEP, "huge.json": coco(keypoints=[1e308] * 51), "big int.json": coco(keypoints=[10**400] * 51), "nan.json": coco(keypoints=[float("nan")] * 51),
        "infinite.json": coco(keypoints=[float("inf")] * 51), "beyond float32.json": coco(keypoints=[1e39, 1e39, 0.9] * 17), "score.json": coco(score=1e400),
        "score int.json": coco(score=10**400), "far.json": coco(image_id=2**53), "id int.json": coco(image_id=10**400), "true.json": coco(keypoints=[True] * 51), "negative.json": coco(keypoints=[-1e7, -1e7, 1.0] * 17),
        "huge.csv": b"frame,joint,x_px,y_px\n0,neck,1e308,1e308\n0,right_hip,-1e308,1e308\n", "float32.csv": b"frame,joint,x_px,y_px\n0,neck,1e39,1e39\n0,right_hip,2e39,1\n0,nose,5,5\n",
        "frame.csv": b"frame,joint,x_px,y_px\n" + b"9" * 5000 + b",neck,1,1\n", "conf.csv": b"frame,joint,x_px,y_px,conf\n0,neck,1,1,1e300\n0,right_hip,10,100,-5\n", "quote.csv": b'frame,joint,x_px,y_px\n0,"neck\n' * 50,
        "wide.csv": b"frame,joint,x_px,y_px" + b",a" * 200_000 + b"\n", "cell.csv": b"frame,joint,x_px,y_px\n0," + b"x" * 400_000 + b",1,1\n", "nul.csv": b"frame,joint,x_px,y_px\n0,ne\0ck,1,1\n",
        "fps.csv": b"# fps: 1e-320\nframe,joint,x_px,y_px\n0,neck,100,100\n5,neck,100,100\n", "fps minus.csv": b"# fps: -5\nframe,joint,x_px,y_px\n0,neck,100,100\n5,neck,100,100\n",
        "time.csv": b"frame,joint,x_px,y_px,time_s\n0,neck,100,100,-1e11\n5,neck,100,100,1e11\n", "same time.csv": b"frame,joint,x_px,y_px,time_s\n0,neck,100,100,1\n5,neck,100,100,1\n",
    }  # fmt: skip
    cases = [Case("joints", name, {name: data}, name) for name, data in flat.items()]
    person = {"pose_keypoints_2d": [1e39, 5.0, 0.9] * 25}
    folder: Files = {
        "a_000000000000_keypoints.json": json.dumps({"people": [person] * 30}).encode(),
        "a_999999999999999_keypoints.json": json.dumps(
            {"people": [{"pose_keypoints_2d": [100.0, 5.0, 1e308] * 25}]}
        ).encode(),
    }
    return [*cases, Case("joints", "openpose folder", folder)]


def labels() -> list[Case]:
    """Names that lead outside, bombs, arrays that run code or take all memory."""
    from benchmarks.hostile.seeds import labels as made

    coco = made()[0].files
    data = json.loads(coco["l.json"])

    def named(name: Any) -> bytes:
        return json.dumps({**data, "images": [{**data["images"][0], "file_name": name}]}).encode()

    cases = [
        Case(
            "labels", "outside", {"in/l.json": named("../secret.jpg"), "secret.jpg": coco["1.jpg"]}, "in/l.json", True
        ),
        Case("labels", "absolute", {"l.json": named("/etc/passwd")}, "l.json", True),
        Case("labels", "name is a number", {"l.json": named(5)}, "l.json", True),
        Case("labels", "name of a folder", {"l.json": named("."), "1.jpg": coco["1.jpg"]}, "l.json", True),
        Case(
            "labels",
            "images is an object",
            {"l.json": json.dumps({**data, "images": {"a": 1}}).encode()},
            "l.json",
            True,
        ),
        Case("labels", "deep", {"l.json": b'{"images":' + b"[" * _DEEP}, "l.json", True),
        Case("labels", "bomb", {"l.json": coco["l.json"], "pictures.zip": _bomb("1.jpg", _BOMB)}, "l.json", True),
        Case("labels", "no zip", {"l.json": coco["l.json"], "pictures.zip": b"PK" + b"\0" * 90}, "l.json", True),
        Case("labels", "empty picture", {"l.json": coco["l.json"], "1.jpg": b""}, "l.json", True),
    ]
    claim = (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 118)
        + f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**40}, 3), }}".ljust(117).encode()
        + b"\n"
    )
    held = io.BytesIO()
    pickle.dump(_Runs(), held)
    objects = (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 118)
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
        + b"\n"
        + held.getvalue()
    )
    arrays = {"claims.npy": claim, "objects.npy": objects, "pickle.npy": held.getvalue(), "text.npy": b"hello",
              "outside.npz": _archive({"../../joints_3d.npy": objects}), "bomb.npz": _bomb("joints_3d.npy", _BOMB),
              "claims.npz": _archive({"joints_3d.npy": claim})}  # fmt: skip
    cases += [Case("labels", name, {name: a}, name, True) for name, a in arrays.items()]
    tables = {
        "huge.csv": b"1e308,1e308,1e308\n" * 3,
        "ragged.csv": b"1,2,3\n1,2\n",
        "long.txt": b"1,1,1,1,1,1\n" + b"9" * 100_000,
        "far.txt": b"1e300,1e300,1,1,1e308,1e308\n",
    }
    return cases + [Case("labels", name, {name: a}, name) for name, a in tables.items()]


def messages() -> list[Case]:
    """Strangers at the WebSocket server's door, and clients that lie about what they send."""
    header = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n"
    frame_of = {"endless": b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"\0" * 4, "minus": b"\x81\xff" + b"\xff" * 8 + b"\0" * 4,
                "unmasked": b"\x81\x05hello", "reserved": b"\xf1\x80\0\0\0\0", "long ping": b"\x89\xfe\x00\xff" + b"\0" * 260, "no text": b"\x81\x82\0\0\0\0\xff\xfe"}  # fmt: skip
    let_in = [Case("message", name, {"m.bin": handshake() + data}, "m.bin") for name, data in frame_of.items()]
    flood = handshake() + b"\x81\x80\0\0\0\0" * 5000
    basic = base64.b64encode(b"a:" + TOKEN.encode()).decode()
    strangers = {
        "no token": header + b"\r\n", "wrong token": handshake("wrong-token-1"), "empty token": handshake(""), "part of the token": handshake(TOKEN[:-1]),
        "token as a word": handshake("x", f"Authorization: Basic {basic}\r\n"), "other origin": handshake(more="Origin: http://evil.example\r\n"),
        "two origins": handshake(more="Origin: http://localhost\r\nOrigin: http://evil.example\r\n"), "no origin": handshake(more="Origin: null\r\n"),
        "other host": handshake().replace(b"Host: localhost", b"Host: evil.example"), "no host": handshake().replace(b"Host: localhost\r\n", b""),
        "two hosts": handshake().replace(b"Host: localhost", b"Host: localhost\r\nHost: evil.example"), "host of dots": handshake().replace(b"localhost", b"127.0.0.1.evil.example"),
        "path outside": f"GET /../../etc/passwd?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        "connect": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "long line": b"GET /" + b"a" * 100_000, "many headers": header + b"X-A: b\r\n" * 20_000, "zeros": b"\0" * 10_000, "nothing": b"", "folded": header + b" X: y\r\n\r\n",
        "osc bundle": b"#bundle\0" + b"\xff" * 200, "smuggled": header + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    }  # fmt: skip
    return [*let_in, Case("message", "flood", {"m.bin": flood}, "m.bin"),
            *(Case("message", name, {"m.bin": data}, "m.bin", True) for name, data in strangers.items())]  # fmt: skip


def answers() -> list[Case]:
    """A server that answers with something else than pictures."""
    made = {
        "page": b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Not here</html>", "nothing": b"", "refusal": b"HTTP/1.0 401 Unauthorized\r\n\r\n", "no http": b"\0" * 3000,
        "playlist of files": b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "redirect to a file": b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "endless length": b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        "parts without end": b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=\r\n\r\n" + b"--\r\n" * 5000,
    }  # fmt: skip
    return [Case("answer", name, {"a.bin": data}, "a.bin", True) for name, data in made.items()]


CRAFTED: dict[str, Callable[[], list[Case]]] = {
    "video": videos, "picture": pictures, "stage1": stage1, "stage2": stage2, "classifier": classifiers, "int8": int8, "onnx": onnx,
    "settings": settings, "calibration": calibrations, "recording": recordings, "joints": joints, "labels": labels,
    "message": messages, "answer": answers,
}  # fmt: skip


def ran_code(folder: Path) -> bool:
    """Whether a pickle was run while the program stood in this folder."""
    return (folder / CANARY).exists()
