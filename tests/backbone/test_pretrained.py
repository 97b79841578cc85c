"""Fetching over a loopback server that stalls, cuts, lies and redirects."""

import hashlib
import http.server
import io
import threading
import time

import pytest
import torch

import backbone
from backbone import pretrained
from backbone.errors import DownloadError, WeightsError
from backbone.pretrained import Source

pooch = pytest.importorskip("pooch")
NAME = "selecsls42b"


@pytest.fixture(scope="module")
def content():
    """A file of the right tensors that takes little room: every value is the same number in memory."""
    with torch.device("meta"):
        shapes = backbone.create_model(NAME, num_classes=2).state_dict()
    buffer = io.BytesIO()
    torch.save({key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in shapes.items()}, buffer)
    return buffer.getvalue()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`, spoiled by one named fault per request until `faults` is empty."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.faults, self.requests, self.over = content, [], [], threading.Event()

    def source(self, path="weights.pth", size=True, digest=True):
        whole = hashlib.sha256(self.content).hexdigest()[:8]
        url = f"http://127.0.0.1:{self.server_port}/{path}"
        return Source(url, len(self.content) if size else None, whole if digest else None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        span = self.headers.get("Range")
        server.requests.append(span)
        fault = server.faults.pop(0) if server.faults else ""
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span and fault != "no ranges" else 0
        body = server.content[start:]
        if fault.isdigit():
            self.send_response(int(fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "redirect":
            self.send_response(302)
            self.send_header("Location", "/elsewhere.pth")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "other bytes":
            body = bytes(len(body))
        self.send_response(206 if start else 200)
        if start:
            shown = start + 1 if fault == "wrong range" else start
            self.send_header("Content-Range", f"bytes {shown}-{len(server.content) - 1}/{len(server.content)}")
        length = len(body) + {"promises more": 1000, "promises less": -1000}.get(fault, 0)
        if fault == "endless":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.endless()
            return
        if fault != "no length":
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault in ("cut", "stall") else body)
        self.wfile.flush()
        if fault == "stall":
            server.over.wait(5)
        self.close_connection = True

    def endless(self):
        try:
            while not self.server.over.is_set():
                self.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        except OSError:
            self.close_connection = True


@pytest.fixture
def server(content, monkeypatch):
    monkeypatch.setattr(pretrained, "TIMEOUT_S", (2.0, 0.3))
    monkeypatch.setattr(pretrained, "PAUSE_S", 0.01)
    with Server(content) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        found.over.set()
        found.shutdown()
        thread.join()


def fetch(server, tmp_path, *sources):
    return pretrained.fetch(NAME, tmp_path / "cache", sources or (server.source(),), progress=False)


def left(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def test_a_good_server_gives_the_file_once(server, tmp_path, content):
    path = fetch(server, tmp_path)
    assert path.read_bytes() == content
    assert left(tmp_path) == [f"{NAME}-weights.pth"]
    assert fetch(server, tmp_path) == path
    assert server.requests == [None]
    model = backbone.create_model(NAME, path, num_classes=2)
    assert not model.fc.weight.any()


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path, content, fault):
    server.faults = [fault, "503", fault]
    assert fetch(server, tmp_path).read_bytes() == content
    assert server.requests[0] is None
    half = int(server.requests[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < half <= len(content) // 2
    assert server.requests[2] == server.requests[1]
    assert int(server.requests[3].removeprefix("bytes=").removesuffix("-")) > half


def test_a_later_run_goes_on_too(server, tmp_path, content):
    server.faults = ["cut", "500", "500", "500"]
    with pytest.raises(DownloadError, match="gave up after 4 attempts"):
        fetch(server, tmp_path)
    assert left(tmp_path) == [f"{NAME}-weights.pth.part"]
    assert fetch(server, tmp_path).read_bytes() == content
    assert server.requests[-1].startswith("bytes=")
    assert left(tmp_path) == [f"{NAME}-weights.pth"]


@pytest.mark.parametrize("fault", ["no ranges", "wrong range", "416"])
def test_a_server_that_cannot_continue_is_asked_anew(server, tmp_path, content, fault):
    server.faults = ["cut", fault]
    assert fetch(server, tmp_path).read_bytes() == content
    assert server.requests[1] is not None
    assert server.requests[2] is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("promises more", "announces"),
        ("promises less", "announces"),
        ("endless", "sends more than"),
        ("other bytes", "SHA-256 starts with"),
        ("404", "status 404"),
    ],
)
def test_lies_are_found_out_at_once_and_leave_nothing_usable(server, tmp_path, fault, words):
    server.faults = [fault]
    start = time.monotonic()
    with pytest.raises(DownloadError, match=words) as caught:
        fetch(server, tmp_path)
    assert time.monotonic() - start < 3
    assert "by hand" in str(caught.value)
    assert len(server.requests) == 1
    assert not any(name.endswith(".pth") for name in left(tmp_path))


def test_a_server_that_only_fails_is_left_after_some_attempts(server, tmp_path):
    server.faults = ["stall"] * 20
    with pytest.raises(DownloadError, match="gave up after 4 attempts"):
        fetch(server, tmp_path)
    assert len(server.requests) == pretrained.ATTEMPTS


def test_redirects_are_followed(server, tmp_path, content):
    server.faults = ["redirect"]
    assert fetch(server, tmp_path).read_bytes() == content


def test_the_next_source_helps_out(server, tmp_path, content):
    server.faults = ["404"]
    second = server.source("model.safetensors", size=False, digest=False)
    path = fetch(server, tmp_path, server.source(), second)
    assert path.name == f"{NAME}-model.safetensors"
    assert path.read_bytes() == content


@pytest.mark.parametrize("fault", ["cut", "other bytes"])
def test_a_source_without_published_size_is_checked_by_its_tensors(server, tmp_path, content, fault):
    server.faults = [fault]
    source = server.source(size=False, digest=False)
    if fault == "cut":
        assert fetch(server, tmp_path, source).read_bytes() == content
    else:
        with pytest.raises(DownloadError, match="cannot be read as weights"):
            fetch(server, tmp_path, source)


def test_weights_of_another_network_are_not_kept(server, tmp_path):
    with pytest.raises(DownloadError, match="it holds no selecsls60"):
        pretrained.fetch("selecsls60", tmp_path / "cache", (server.source(),), progress=False)
    assert left(tmp_path) == []


def test_a_spoiled_file_in_the_cache_is_fetched_again(server, tmp_path, content):
    path = fetch(server, tmp_path)
    path.write_bytes(content[:-1] + b"?")
    assert fetch(server, tmp_path).read_bytes() == content
    assert len(server.requests) == 2


def test_an_unreachable_server_and_an_unusable_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PAUSE_S", 0.0)
    closed = Source("http://127.0.0.1:9/weights.pth", 5, "00000000")
    with pytest.raises(DownloadError, match="gave up after 4 attempts"):
        pretrained.fetch(NAME, tmp_path, (closed,), progress=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DownloadError, match="cannot write"):
        pretrained.fetch(NAME, tmp_path / "file", (closed,), progress=False)


def test_the_manifest_agrees_with_the_networks_and_the_cards():
    manifest = pretrained.read_manifest()
    assert manifest.license == "CC BY 4.0"
    assert "Mehta" in manifest.attribution
    sizes = {"selecsls42b": 129_948_954, "selecsls60": 122_839_714, "selecsls60b": 131_252_898}
    for name, size in sizes.items():
        entry = manifest.models[name]
        first = entry.sources[0]
        assert first.size == size
        assert first.sha256_prefix in first.url
        assert all(source.url.startswith("https://") for source in entry.sources)
        how = entry.preprocessing
        assert (how.size_px, how.crop, how.interpolation) == (224, 0.875, "bicubic")
    assert set(manifest.models) <= set(backbone.names())


@pytest.mark.parametrize(
    ("name", "words"), [("selecsls102", "nobody published"), ("selecsls84", "by hand"), ("selecsls84_3x3", "nobody")]
)
def test_networks_without_weights_say_so(name, words):
    with pytest.raises(WeightsError, match=words):
        backbone.create_model(name, "imagenet", num_classes=2)


def test_imagenet_weights_come_from_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "cache_dir", lambda: tmp_path / "cache")
    entry = pretrained.read_manifest().models[NAME]
    changed = pretrained.Entry(entry.preprocessing, entry.accuracy, (server.source(),), ())
    manifest = pretrained.Manifest("CC BY 4.0", "Mehta", {NAME: changed})
    monkeypatch.setattr(pretrained, "read_manifest", lambda: manifest)
    assert pretrained.cached(NAME) is None
    model = backbone.create_model(NAME, "imagenet", num_classes=2)
    assert model.weights_origin.startswith("imagenet")
    assert pretrained.cached(NAME) is not None
    with pytest.raises(WeightsError, match="width"):
        backbone.create_model(NAME, "imagenet", width=0.5)
