"""Speed, side by side: python benchmarks/speed.py [--threads 1 2] [--clock cpu] [--output speed.json].

Whole frames (picture in, 3D people out) for 1, 3, 5 and 10 people at two sizes of the network's picture, per stage and
executor, and the peer that can be run (Lightweight OpenPose INT8, 2D only, resize and network without decoding) on the
same frames, in turns; every executor with two looks, as the program runs it, with one and with four. Stage I sees frames of the
bundled clip at 1280x720; the people of the stages after it come from ideal maps, so that their number is exact. --frames N runs the whole program's pipeline over N frames and shows whether
its memory stays flat. --clock cpu: processor time of all threads, for a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import SHARED, Times, give_out
from benchmarks.stages import FRAME_PX, ideal_maps, walkers
from xnect.apps.options import size
from xnect.capture import open_source
from xnect.config import DetectionConfig, FilterConfig, FitConfig, NetworkConfig, PipelineConfig, TrackingConfig
from xnect.errors import XnectError
from xnect.evaluation.report import Cell, markdown_table
from xnect.geometry import camera_from_fov
from xnect.resources import resource
from xnect.stages.association import associate
from xnect.stages.executors.base import default_weights
from xnect.stages.executors.choose import load_network
from xnect.stages.fit import SkeletonFitter
from xnect.stages.lifting import Lifter
from xnect.stages.refinement import load_refiner
from xnect.structures import U8, Frame
from xnect.tracking import Tracker

#: Executor, device and precision; what cannot be had on this machine is left out, and told.
WAYS = (
    ("openvino", "cpu", "int8"),
    ("openvino", "cpu", "bf16"),
    ("openvino", "cpu", "fp32"),
    ("torch", "cpu", "bf16"),
    ("torch", "cpu", "fp32"),
    ("torch", "cuda", "fp16"),
)
#: Looks at a picture and what they are called in the table; two are the default.
LOOKS = {2: "", 1: ", one look", 4: ", four looks"}
AFTER = ("association", "lifting", "identity", "fit")
Call = Callable[[U8], Any]


def clip_frames(count: int) -> list[U8]:
    """Frames of the bundled clip, spread over it, at ``FRAME_PX``."""
    with open_source(resource("demo.mp4")) as source:
        frames = [cv2.resize(frame.image_bgr, FRAME_PX) for frame in source]
    return [np.asarray(frames[i], np.uint8) for i in np.linspace(0, len(frames) - 1, count).astype(int)]


def networks(threads: list[int], sizes: list[tuple[int, int]]) -> tuple[dict[tuple[str, int, str], Call], list[str]]:
    """Every executor that works here by (name, threads, size), and why others do not."""
    found: dict[tuple[str, int, str], Call] = {}
    left_out = []
    for (executor, device, precision), looks, count, input_size in itertools.product(WAYS, LOOKS, threads, sizes):
        config = NetworkConfig(device, precision, None, input_size, count, executor, looks=looks)
        if device == "cuda" and count != threads[0]:
            continue
        name = f"{executor} {device} {precision}" + LOOKS[looks]
        try:
            found[name, count, name_of(input_size)] = load_network(None, config)
        except XnectError as error:
            left_out.append(f"{executor} {device} {precision}: {error}")
    return found, list(dict.fromkeys(left_out))


def peers(folder: Path, threads: list[int], sizes: list[tuple[int, int]]) -> dict[tuple[str, int, str], Call]:
    """Lightweight OpenPose INT8 by (name, threads, size); empty where its files or OpenVINO are not there."""
    file = folder / "hpe0001-int8.xml"
    if not file.is_file() or importlib.util.find_spec("openvino") is None:
        return {}
    import openvino as ov

    out: dict[tuple[str, int, str], Call] = {}
    for count, (width, height) in itertools.product(threads, sizes):
        model = ov.Core().read_model(file)
        model.reshape([1, 3, height, width])
        settings = {"INFERENCE_NUM_THREADS": count, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

        def run(image: U8, request: Any = request, size_px: tuple[int, int] = (width, height)) -> None:
            small = cv2.resize(image, size_px).transpose(2, 0, 1)[None]
            request.infer([np.ascontiguousarray(small, np.float32)], share_inputs=True, share_outputs=True)

        out["Lightweight OpenPose int8, 2D", count, name_of((width, height))] = run
    return out


def name_of(input_size: tuple[int, int]) -> str:
    """``512x320``."""
    return f"{input_size[0]}x{input_size[1]}"


def in_turns(calls: dict[Any, Call], frames: list[U8], clock: Callable[[], float]) -> dict[Any, list[float]]:
    """Times of every call for every frame [ms]: one frame, all calls, then the next, so that all meet the same load."""
    import torch

    times: dict[Any, list[float]] = {key: [] for key in calls}
    for image in [frames[0], *frames]:  # the first one is not counted: something may still be compiled
        for key, call in calls.items():
            torch.set_num_threads(key[1])
            start = clock()
            call(image)
            times[key].append((clock() - start) * 1e3)
    return {key: values[1:] for key, values in times.items()}


def after_stage_one(
    count: int, frames: int, input_size: tuple[int, int], image: U8, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Times of the other stages, frame by frame [ms]: people who walk about, found on ideal maps."""
    lifter, tracker, fitter = Lifter(), Tracker(TrackingConfig()), SkeletonFitter(FitConfig(), FilterConfig())
    camera, refiner = camera_from_fov(FRAME_PX), load_refiner(default_weights())
    columns: dict[str, list[float]] = {name: [] for name in (*AFTER, "together")}
    for t, joints in enumerate(walkers(count, frames + 10)):
        maps = ideal_maps(joints, input_size)
        marks = [clock()]
        people = associate(maps, DetectionConfig(), refiner)
        marks.append(clock())
        poses = lifter(people, camera)
        marks.append(clock())
        tracks = tracker(people, poses, image, t / 30)
        marks.append(clock())
        fitter(tracks, people, poses, camera, t / 30)
        marks.append(clock())
        if t >= 10:  # the first frames compile
            spent = np.diff(marks) * 1e3
            for name, value in zip(columns, [*spent, spent.sum()], strict=True):
                columns[name].append(float(value))
    return columns


def tables_of(
    stage_one: dict[tuple[str, int, str], Times], after: dict[tuple[str, int], dict[str, Times]], people: list[int]
) -> list[str]:
    """All tables as Markdown."""
    sizes = list(dict.fromkeys(key[2] for key in stage_one))
    rows = list(dict.fromkeys(key[:2] for key in stage_one))
    shown = lambda t: f"{t.median:.1f} ({t.least:.1f})"  # noqa: E731
    cells: list[list[Cell]] = [
        [name, threads, *(shown(stage_one[name, threads, s]) for s in sizes)] for name, threads in rows
    ]
    first = markdown_table(["executor", "threads", *sizes], cells)
    cells = [
        [size_name, count, *(f"{t.median:.2f} ({t.least:.2f})" for t in columns.values())]
        for (size_name, count), columns in after.items()
    ]
    second = markdown_table(["size", "people", *AFTER, "together"], cells)
    cells = []
    for (name, threads), size_name in itertools.product(rows, sizes):
        one = stage_one[name, threads, size_name].median
        if "OpenPose" in name:
            cells.append([name, threads, size_name, *[f"{one:.1f}"] * len(people), 1000 / one, None])
            continue
        whole = [one + after[size_name, count]["together"].median for count in people]
        growth = 100 * (whole[-1] / whole[0] - 1)
        middle = people.index(5) if 5 in people else -1
        cells.append([name, threads, size_name, *(f"{w:.1f}" for w in whole), 1000 / whole[middle], growth])
    head = ["executor", "threads", "size", *(f"{n} people" for n in people), "frames/s", "last over first %"]
    third = markdown_table(head, cells)
    return [
        f"### Stage I, resize and all: median (least) [ms]\n\n{first}",
        f"### After Stage I: median (least) [ms]\n\n{second}",
        f"### Whole frame: sum of the medians [ms]; frames/s for 5 people, one after the other\n\n{third}",
    ]


def resident_mb() -> float:
    """Memory of this process now [MB]; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    """Most memory this process ever had [MB]."""
    import resource as system  # not on Windows

    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # bytes there, KiB here
    return system.getrusage(system.RUSAGE_SELF).ru_maxrss / unit


def memory_over(frames: int, input_size: tuple[int, int], threads: int) -> tuple[str, dict[str, Any]]:
    """The whole pipeline over the bundled clip, again and again: memory at ten points."""
    from xnect import MotionCapture

    capture = MotionCapture(config=PipelineConfig(network=NetworkConfig(input_size=input_size, threads=threads)))
    marks: list[tuple[int, float]] = []
    for index, image in zip(range(frames), endless_clip(), strict=False):
        capture(Frame(index, index / 30, image))
        if (index + 1) % max(frames // 10, 1) == 0:
            marks.append((index + 1, resident_mb()))
            print(f"{index + 1} frames: {marks[-1][1]:.0f} MB", file=sys.stderr, flush=True)
    cells: list[list[Cell]] = [[at, f"{mb:.0f}"] for at, mb in marks]
    text = f"### Memory: {capture.description}, peak {peak_mb():.0f} MB\n\n{markdown_table(['frames', 'MB'], cells)}"
    return text, {"frames": frames, "resident_mb": marks, "peak_mb": peak_mb()}


def endless_clip() -> Iterator[U8]:
    """The bundled clip's frames, from the start again at its end."""
    while True:
        with open_source(resource("demo.mp4")) as source:
            for frame in source:
                yield frame.image_bgr


def compare(options: argparse.Namespace) -> tuple[list[str], dict[str, Any]]:
    """All executors, all stages, the peer."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    calls, left_out = networks(options.threads, options.sizes)
    calls |= peers(options.peers, options.threads, options.sizes)
    frames = clip_frames(options.repeats)
    stage_one = {key: Times.of(values) for key, values in in_turns(calls, frames, clock).items()}
    spent: dict[tuple[str, int], dict[str, list[float]]] = {}
    turns = max(1, options.repeats // 6)  # in turns: a host that is slow for a second is slow for all of them
    for _, input_size, count in itertools.product(range(turns), options.sizes, options.people):
        found = after_stage_one(count, 2 * options.repeats // turns, input_size, frames[0], clock)
        columns = spent.setdefault((name_of(input_size), count), {name: [] for name in found})
        for name, values in found.items():
            columns[name] += values
    after = {key: {name: Times.of(values) for name, values in columns.items()} for key, columns in spent.items()}
    what = "processor time of all threads" if options.clock == "cpu" else "wall clock"
    tables = [f"## Speed ({what})", *tables_of(stage_one, after, options.people)]
    tables += [f"Not here: {line}" for line in left_out] + [f"Peak memory of this program: {peak_mb():.0f} MB"]
    results = {
        "clock": options.clock,
        "stage_one": [{"executor": k[0], "threads": k[1], "size": k[2]} | asdict(t) for k, t in stage_one.items()],
        "after": [
            {"size": k[0], "people": k[1]} | {name: asdict(t) for name, t in columns.items()}
            for k, columns in after.items()
        ],
        "peak_mb": peak_mb(),
    }
    return tables, results


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--threads", type=int, nargs="+", default=[1, 2], help="thread counts to try (1 2)")
    add("--sizes", type=size, nargs="+", default=[(512, 320), (320, 192)], help="sizes of the network's picture")
    add("--people", type=int, nargs="+", default=[1, 3, 5, 10], help="how many people (1 3 5 10)")
    add("--repeats", type=int, default=40, help="frames for each figure (40)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="wall clock, or processor time of all threads")
    add("--peers", type=Path, default=SHARED / "data" / "teachers", help="folder with hpe0001-int8.xml")
    add("--frames", type=int, default=0, help="instead: the memory over so many frames")
    add("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    try:
        if options.frames:
            text, results = memory_over(options.frames, options.sizes[-1], options.threads[0])
            give_out([text], results, options.output)
        else:
            tables, results = compare(options)
            give_out(tables, results, options.output)
    except XnectError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
