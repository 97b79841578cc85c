"""``xnect doctor``: looks at every part and prints how to mend what is amiss."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from xnect import __version__
from xnect.apps.options import Parser, dashed
from xnect.errors import XnectError

OK, NOTE, BAD = "ok", "note", "BAD"
_EXTRAS = {
    "PyQt5": ("gui", "the window"),
    "pyqtgraph": ("gui", "the window"),
    "PyOpenGL": ("gui", "the 3D view"),
    "openvino": ("openvino", "faster networks on Intel processors"),
    "python-osc": ("streams", "VMC and OSC"),
    "websockets": ("streams", "the live web page"),
    "nncf": ("int8", "8-bit networks of weights of your own"),
    "ray": ("cluster", "many videos on many machines"),
    "onnxruntime": ("onnx", "exported networks"),
    "matplotlib": ("evaluate", "plots of xnect evaluate"),
}
_WHEELS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One part that was looked at.

    Attributes:
        part: Its name.
        state: "ok", "note" (works without) or "BAD".
        text: What was found.
        fix: What to do, empty where nothing is.
    """

    part: str
    state: str
    text: str
    fix: str = ""


def installed(name: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_python() -> Iterator[Finding]:
    """Version and machine."""
    text = f"{platform.python_version()} on {platform.platform(terse=True)}, {os.cpu_count()} processors"
    good = sys.version_info >= (3, 11)
    yield Finding("python", OK if good else BAD, text, "" if good else "install Python 3.11 or newer")


def check_packages() -> Iterator[Finding]:
    """The packages without which nothing works: there, and importable."""
    modules = {"numpy": "numpy", "scipy": "scipy", "av": "av", "numba": "numba", "safetensors": "safetensors"}
    for name, module in modules.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield Finding(name, BAD, f"cannot be imported: {error}", f"pip install --force-reinstall {name}")
        else:
            yield Finding(name, OK, installed(name) or "installed")


def check_opencv(wheels: Callable[[str], str | None] = installed) -> Iterator[Finding]:
    """One wheel of OpenCV, not two that share a folder."""
    there = [(name, found) for name in _WHEELS if (found := wheels(name))]
    if len(there) > 1:
        names = " ".join(name for name, _ in there)
        fix = f"pip uninstall -y {names} && pip install opencv-python"
        yield Finding("opencv", BAD, f"{len(there)} wheels share one folder: {names}", fix)
        return
    try:
        import cv2
    except ImportError as error:
        fix = "pip install --force-reinstall --no-deps opencv-python (without a display: opencv-python-headless)"
        yield Finding("opencv", BAD, f"cannot be imported: {error}", fix)
        return
    yield Finding("opencv", OK, f"{cv2.__version__} ({there[0][0] if there else 'not from pip'})")


def check_torch() -> Iterator[Finding]:
    """Torch and what it computes on."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", BAD, f"cannot be imported: {error}", "pip install torch (see README for the CPU build)")
        return
    if torch.cuda.is_available():
        cards = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding("torch", OK, f"{torch.__version__}, {cards}")
    else:
        yield Finding("torch", OK, f"{torch.__version__}, processor only ({torch.get_num_threads()} threads)")
        yield from _unused_card(torch.version.cuda)


def _unused_card(cuda: str | None) -> Iterator[Finding]:
    """An NVIDIA card that torch does not use."""
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia/version").exists():
        return
    if cuda is None:
        fix = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
        yield Finding("gpu", NOTE, "an NVIDIA driver is there, but this torch is built for the processor only", fix)
    else:
        fix = f"nvidia-smi shows whether the driver works; this torch needs one for CUDA {cuda} or newer"
        yield Finding("gpu", NOTE, "an NVIDIA driver is there, but torch finds no card", fix)


def check_extras() -> Iterator[Finding]:
    """Packages that add something."""
    for name, (extra, purpose) in _EXTRAS.items():
        found = installed(name)
        if found:
            yield Finding(name, OK, found)
        else:
            yield Finding(name, NOTE, f"not installed; it gives {purpose}", f"pip install 'xnect[{extra}]'")


def check_display() -> Iterator[Finding]:
    """Whether a window can open: display, and the libraries of Qt's plug-in on Linux."""
    from xnect.gui.display import has_display

    if not has_display():
        fix = "log in to a desktop, or use --no-display"
        yield Finding("display", NOTE, "none (neither DISPLAY nor WAYLAND_DISPLAY is set)", fix)
    else:
        yield Finding("display", OK, os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or "there")
    spec = importlib.util.find_spec("PyQt5")
    if spec is None or not sys.platform.startswith("linux") or not spec.submodule_search_locations:
        return
    plugin = Path(spec.submodule_search_locations[0]) / "Qt5/plugins/platforms/libqxcb.so"
    if not plugin.is_file():
        return
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        missing = str(error).split(":")[0]
        fix = "apt install libgl1 libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-xinerama0 libxcb-xkb1"
        yield Finding("qt", BAD, f"its screen plug-in lacks {missing}", fix)
    else:
        yield Finding("qt", OK, "screen plug-in loads")


def check_cameras(devices: Path = Path("/dev")) -> Iterator[Finding]:
    """Cameras by name, and those that this user may not open (Linux)."""
    from xnect.capture.webcam import list_cameras

    for device in sorted(devices.glob("video*")):
        if not os.access(device, os.R_OK | os.W_OK):
            fix = "sudo usermod -aG video $USER, then log out and in again"
            yield Finding("camera", BAD, f"this user may not open {device}", fix)
    entries = list_cameras()
    if not entries:
        fix = "plug one in; Linux: add the user to group video; Windows, macOS: allow it in the privacy settings"
        yield Finding("cameras", NOTE, "none found", fix)
    for entry in entries:
        yield Finding("camera", OK, f"{entry.number}: {entry.name}")


def check_weights() -> Iterator[Finding]:
    """The weights that ship: found, whole, fitting."""
    try:
        from xnect.stages.executors.base import default_weights
        from xnect.stages.network import load_stage1

        path = default_weights()
        load_stage1(path)
    except XnectError as error:
        yield Finding("weights", BAD, str(error), "get the package whole, or name a file by --weights or XNECT_WEIGHTS")
    except ImportError as error:
        yield Finding("weights", BAD, f"cannot be tried: {error}", "mend the parts above first")
    else:
        yield Finding("weights", OK, str(path))


def check_network() -> Iterator[Finding]:
    """What the program chooses to compute Stage I with."""
    from xnect.stages.executors.choose import load_network

    try:
        yield Finding("network", OK, load_network().description)
    except XnectError as error:
        yield Finding("network", BAD, str(error), "mend the parts above first")


def check_clip() -> Iterator[Finding]:
    """The bundled clip can be read."""
    from xnect.apps.run import demo_clip
    from xnect.capture import open_source

    try:
        with open_source(demo_clip()) as source:
            info = source.info
    except XnectError as error:
        yield Finding("clip", NOTE, str(error), "give a source of your own by --video or --camera")
    else:
        yield Finding(
            "clip", OK, f"{info.size_px[0]}x{info.size_px[1]}, {info.fps:.4g} fps, {info.duration_s or 0:.1f} s"
        )


def check_disk() -> Iterator[Finding]:
    """The current folder takes files."""
    folder = Path.cwd()
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Finding("disk", NOTE, f"cannot write to {folder}: {error.strerror}", "change folder, or give --output")
        return
    free = shutil.disk_usage(folder).free / 1e9
    good = free > 1
    yield Finding("disk", OK if good else NOTE, f"{free:.1f} GB free in {folder}", "" if good else "make room")


CHECKS = (
    check_python,
    check_packages,
    check_opencv,
    check_torch,
    check_extras,
    check_display,
    check_cameras,
    check_weights,
    check_network,
    check_clip,
    check_disk,
)


def examine() -> Iterator[Finding]:
    """All findings, in order; a check that breaks is itself a finding."""
    for check in CHECKS:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - a doctor must not fall ill of what he looks at
            yield Finding(
                check.__name__.removeprefix("check_"), BAD, f"{type(error).__name__}: {error}", "please report"
            )


def main(argv: Sequence[str]) -> int:
    """Print the findings; returns 1 where something is bad."""
    parser = Parser(prog="xnect doctor", description="Check every part and say how to mend what is amiss.")
    parser.parse_args(dashed(argv))
    from xnect.capture import opencv

    opencv.silence()
    print(f"xnect {__version__}")
    home = str(Path.home())
    bad = 0
    for finding in examine():
        bad += finding.state == BAD
        text = " ".join(finding.text.split())
        if len(home) > 1:
            text = text.replace(home, "~")  # what is printed gets pasted in public
        print(f"{finding.state:<5}{finding.part:<12}{text}", flush=True)
        if finding.fix:
            print(f"{'':<17}-> {finding.fix}", flush=True)
    print(f"{bad} thing{'s' if bad != 1 else ''} to mend" if bad else "all that is needed is there")
    return 1 if bad else 0
