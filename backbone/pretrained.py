"""The published ImageNet weights: what there is, under which licence, and how it gets into the cache unharmed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass
from functools import cache as remember
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import platformdirs
from tqdm import tqdm

from backbone.errors import DownloadError, WeightsError
from backbone.preprocess import Preprocessing
from backbone.specs import SPECS
from backbone.weights import identify, read_weights

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

ATTEMPTS = 4
"""How often one source is asked before the next one is tried; each attempt goes on where the last one broke off."""
TIMEOUT_S = (10.0, 30.0)
"""Longest wait for a connection and for the next bytes [s]."""
CHUNK_BYTES = 1 << 14
"""Bytes taken at a time: as many are lost, at most, when a transfer breaks off."""
LARGEST_BYTES = 1 << 30
"""Most that is accepted from a source whose size is not published [bytes]."""


@dataclass(frozen=True, slots=True)
class Source:
    """One address of a weights file; size [bytes] and the first digits of its SHA-256 where they are published."""

    url: str
    size: int | None = None
    sha256_prefix: str | None = None

    @property
    def file_name(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Entry:
    """The published weights of one network.

    Attributes:
        preprocessing: How pictures were prepared.
        accuracy: `top1` and `top5` [%] as published and `source`, who published them.
        sources: Where `fetch` looks, in this order.
        by_hand: Further addresses without encryption or checksum: for users to fetch and check themselves.
    """

    preprocessing: Preprocessing
    accuracy: dict[str, Any]
    sources: tuple[Source, ...]
    by_hand: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All published weights with licence and the attribution that it demands."""

    license: str
    attribution: str
    models: dict[str, Entry]


@remember
def read_manifest() -> Manifest:
    """The manifest that ships with the package."""
    data = json.loads(resources.files("backbone").joinpath("manifest.json").read_text(encoding="utf-8"))
    models = {
        name: Entry(
            Preprocessing(**entry["preprocessing"]),
            entry["accuracy"],
            tuple(Source(**source) for source in entry["sources"]),
            tuple(entry["by_hand"]),
        )
        for name, entry in data["models"].items()
    }
    return Manifest(data["license"], data["attribution"], models)


def cache_dir() -> Path:
    """Where fetched weights are kept: the user's cache folder of this system."""
    return platformdirs.user_cache_path("xnect") / "backbone"


def cached(name: str, cache: Path | None = None) -> Path | None:
    """The cached weights of a network if they are there and whole, else None; nothing is fetched."""
    entry = read_manifest().models.get(name)
    folder = cache or cache_dir()
    for source in entry.sources if entry else ():
        path = _cache_path(folder, name, source)
        if path.is_file() and _why_wrong(path, source) is None:
            return path
    return None


def fetch(
    name: str, cache: Path | None = None, sources: tuple[Source, ...] | None = None, progress: bool = True
) -> Path:
    """The published weights of a network, fetched into the cache unless they are there.

    Args:
        name: A network of the table.
        cache: Folder to keep the file in; None is `cache_dir()`.
        sources: Where to look instead of the manifest's addresses, for mirrors.
        progress: Draw a progress bar on standard error.

    Returns:
        Path of a file that has the published size and checksum (where known) and holds tensors of this network.

    Raises:
        WeightsError: No weights of this network were published for fetching.
        DownloadError: No source gave the file; the message says what each did and how to go on by hand.
    """
    entry = read_manifest().models.get(name)
    wanted = sources if sources is not None else entry.sources if entry else ()
    if not wanted:
        raise WeightsError(_nothing_to_fetch(name, entry))
    if sources is None and (found := cached(name, cache)) is not None:
        return found
    faults: list[str] = []
    for source in wanted:
        path = _cache_path(cache or cache_dir(), name, source)
        if path.is_file() and _why_wrong(path, source) is None:
            return path
        try:
            return _fetch_source(name, source, path, progress)
        except DownloadError as error:
            logger.info("%s", error)
            faults.append(str(error))
    raise DownloadError(
        f"no weights for {name}: {'; '.join(faults)}. Fetch the file by hand and give its path instead of 'imagenet'"
    )


def _nothing_to_fetch(name: str, entry: Entry | None) -> str:
    if entry is not None and entry.by_hand:
        return (
            f"the weights of {name} are only at {entry.by_hand[0]}, without encryption or checksum: "
            "fetch them by hand and give the path of the file"
        )
    there = [known for known, other in read_manifest().models.items() if other.sources]
    return f"nobody published weights of {name}; there are some for {', '.join(there)}"


def _cache_path(folder: Path, name: str, source: Source) -> Path:
    """File in the cache; prefixed by the network, as hubs call every file `model.safetensors`."""
    return folder / (source.file_name if source.file_name.startswith(name) else f"{name}-{source.file_name}")


def _why_wrong(path: Path, source: Source) -> str | None:
    """What is wrong with a file's size or checksum, or None."""
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return f"{size} bytes where {source.size} were published"
    if source.sha256_prefix is not None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not digest.startswith(source.sha256_prefix):
            return f"SHA-256 starts with {digest[:8]} where {source.sha256_prefix} was published"
    return None


def _fetch_source(name: str, source: Source, path: Path, progress: bool) -> Path:
    """Fetch one source into `path`, which appears whole and checked or not at all."""
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _transfer(source, partial, progress)
        wrong = _why_wrong(partial, source)
        if wrong is None:
            spec = identify(read_weights(partial)[0])
            wrong = None if spec is SPECS.get(name) else f"it holds no {name}"
    except OSError as error:
        raise DownloadError(f"{source.url}: cannot write {partial}: {error}") from error
    except DownloadError:
        raise
    except WeightsError as error:
        wrong = str(error)
    if wrong is not None:
        partial.unlink(missing_ok=True)
        raise DownloadError(f"{source.url} gave a wrong file: {wrong}")
    os.replace(partial, path)
    return path


def _transfer(source: Source, partial: Path, progress: bool) -> None:
    """Bring all bytes of a source into `partial`, in up to `ATTEMPTS` goes that continue one another.

    Raises:
        DownloadError: The last attempt failed, or a reply can never become the published file.
    """
    reason = ""
    for attempt in range(1, ATTEMPTS + 1):
        with partial.open("ab") as file:
            try:
                _attempt(source, file, progress)
                return
            except _Restart as error:
                file.truncate(0)
                reason = str(error)
            except _Broken as error:
                reason = str(error)
        if attempt < ATTEMPTS:
            logger.info("%s: attempt %d broke off (%s)", source.url, attempt, reason)
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
    raise DownloadError(f"{source.url}: gave up after {ATTEMPTS} attempts: {reason}")


def _attempt(source: Source, file: IO[bytes], progress: bool) -> None:
    """One go at the bytes that `file` still lacks.

    Raises:
        _Broken: It ended early; the next go may continue.
        _Restart: What is in `file` cannot be continued.
        DownloadError: There is no use in trying again.
    """
    try:
        import pooch  # an extra: only those who fetch need it
        import requests
    except ImportError as error:
        raise DownloadError("fetching weights needs pooch: pip install 'xnect[download]'") from error
    with tqdm(unit="B", unit_scale=True, desc=source.file_name, disable=None if progress else True, leave=False) as bar:
        sink = _Sink(file, source, bar)
        if sink.complete():
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={sink.start}-"} if sink.start else {})
        hooks = {"response": sink.on_response}
        get = pooch.HTTPDownloader(chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S, headers=headers, hooks=hooks)
        try:
            get(source.url, sink, None)
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            if 400 <= status < 500 and status not in _PASSING:
                raise DownloadError(f"{source.url}: status {status}") from error
            raise _Broken(f"status {status}") from error
        except requests.Timeout as error:
            raise _Broken("no answer in time") from error
        except requests.ConnectionError as error:
            raise _Broken("the connection failed or broke") from error
        except requests.RequestException as error:
            raise _Broken(str(error) or type(error).__name__) from error
    sink.finish()


_PASSING = (408, 425, 429)
"""Client faults by status that a later attempt may not meet: time-out, too early, too many requests."""
PAUSE_S = 0.5
"""Wait before the second attempt [s]; it doubles with each further one."""


class _Broken(Exception):
    """A transfer ended early; the bytes so far are good."""


class _Restart(Exception):
    """The bytes so far cannot be continued."""


class _Sink:
    """The file that a reply is written to, with an eye on what the server promises and what it sends.

    It stands between the library that transfers and the disk: a reply that starts at the wrong place, announces another
    size than the published one or sends more than that is stopped at once rather than found out at the end.
    """

    def __init__(self, file: IO[bytes], source: Source, bar: tqdm[NoReturn]) -> None:
        self._file = file
        self._source = source
        self._bar = bar
        self.start = file.tell()
        self._expected: int | None = source.size

    def complete(self) -> bool:
        """Whether an earlier run brought all bytes already."""
        return self._source.size is not None and self.start == self._source.size

    def on_response(self, response: requests.Response, *_: object, **__: object) -> None:
        """Check the head of a reply before any of its bytes are taken."""
        past_the_end = self.start and response.status_code == 416
        if response.is_redirect or (response.status_code >= 400 and not past_the_end):
            return
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {self.start}-"
        )
        if self.start and not resumed:
            response.close()
            raise _Restart("the server does not continue broken transfers")
        length = response.headers.get("Content-Length", "")
        if length.isdigit():
            total = self.start + int(length)
            if self._source.size is not None and total != self._source.size:
                response.close()
                raise DownloadError(
                    f"{self._source.url} announces {total} bytes where {self._source.size} were published"
                )
            self._expected = total
        self._bar.reset(self._expected)
        self._bar.update(self.start)

    def write(self, chunk: bytes) -> int:
        """Append bytes, unless there are more than there can be."""
        limit = self._expected if self._expected is not None else LARGEST_BYTES
        if self._file.tell() + len(chunk) > limit:
            raise DownloadError(f"{self._source.url} sends more than {limit} bytes")
        self._bar.update(len(chunk))
        return self._file.write(chunk)

    def flush(self) -> None:
        """Hand buffered bytes to the system."""
        self._file.flush()

    def finish(self) -> None:
        """Raise `_Broken` when the reply ended before its announced size."""
        if self._expected is not None and self._file.tell() < self._expected:
            raise _Broken(f"{self._file.tell()} of {self._expected} bytes came")
