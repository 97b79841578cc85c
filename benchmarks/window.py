"""What the window costs: python benchmarks/window.py [--rounds N] [--frames N] [--size WxH] [--video PATH].

The bundled clip goes through the pipeline as fast as it can, without and with the window, in turns and each in a process of
its own, so that neither a warm cache nor a busy minute of the machine favours one of them. Told are frames a second, and
processor time of the thread that runs the pipeline and of the whole process per frame. --own-core lets the window take its
time from the processor clock, as if one core were ours alone: there the whole process's time per frame is what counts.
Needs a display (xvfb-run -a -s "-screen 0 1920x1080x24").
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import ROOT, give_out
from xnect.config import PipelineConfig
from xnect.evaluation.report import Cell, markdown_table
from xnect.structures import Frame, FrameResult

#: Frames that are not counted: caches fill, the window gets its first pictures.
LEAD_IN = 10
#: Part of the pipeline's throughput that the window may cost.
LIMIT = 0.15


class Meter:
    """Stands where the pipeline stands and looks at the clocks once the first frames are through."""

    def __init__(self, pipeline: Any, frames: int) -> None:
        self._pipeline, self._frames = pipeline, frames + LEAD_IN
        self._count = 0
        self._begin = (0.0, 0.0, 0.0)
        self.figures: dict[str, float] = {}

    @property
    def begun(self) -> bool:
        """Whether the frames count by now."""
        return self._count >= LEAD_IN

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def __call__(self, frame: Frame) -> FrameResult:
        """One frame through the pipeline."""
        result: FrameResult = self._pipeline(frame)
        self._count += 1
        now = (time.perf_counter(), time.thread_time(), time.process_time())
        if self._count == LEAD_IN:
            self._begin = now
        elif self._count == self._frames:
            wall, thread, process = (b - a for a, b in zip(self._begin, now, strict=True))
            count = self._frames - LEAD_IN
            self.figures = {
                "fps": count / wall, "pipeline_ms": 1e3 * thread / count, "process_ms": 1e3 * process / count,
            }  # fmt: skip
        return result


def without(video: Path, frames: int) -> dict[str, float]:
    """Source and pipeline in their threads, as ``xnect run --no-display`` has them."""
    import threading

    from xnect.capture import open_source
    from xnect.gui.default_parts import make_pipeline
    from xnect.session import Session

    meter, done = Meter(make_pipeline(PipelineConfig()), frames), threading.Event()
    while not done.is_set():  # the clip again, where it is shorter than so many frames
        with open_source(str(video)) as source:
            Session(source, meter).run(lambda _frame, _result: done.set() if meter.figures else None, done)
    return meter.figures


def with_window(video: Path, frames: int, size: tuple[int, int], own_core: bool) -> dict[str, float]:
    """The same under the window."""
    from PyQt5.QtCore import QSettings, QTimer

    from xnect.gui import drawing
    from xnect.gui.app import make_application
    from xnect.gui.default_parts import default_parts
    from xnect.gui.display import mend_qt_paths
    from xnect.gui.main_window import MainWindow
    from xnect.gui.parts import SourceRequest

    if own_core:
        drawing.clock = time.process_time
    mend_qt_paths()
    app, meters = make_application(), []
    parts = default_parts()

    def metered(config: PipelineConfig) -> Meter:
        meters.append(Meter(parts.make_pipeline(config), frames))
        return meters[-1]

    with tempfile.TemporaryDirectory() as folder:
        settings = QSettings(str(Path(folder) / "window.ini"), QSettings.IniFormat)
        window = MainWindow(
            dataclasses.replace(parts, make_pipeline=metered), PipelineConfig(), Path(folder), ("jsonl",), settings
        )
        window.ask = False
        window.resize(*size)
        window.show()
        window.begin(PipelineConfig())
        transport = window.views.transport
        transport.loop.setChecked(True)
        transport.speed.setCurrentIndex(transport.speed.count() - 1)
        window.open_source(SourceRequest("video", str(video), title=video.name))
        marks: list[tuple[float, float, int]] = []

        def look() -> None:
            """Once a tenth of a second: has the measuring begun, is it over?"""
            began = bool(meters) and meters[0].begun
            if (began and len(marks) == 0) or (meters and meters[0].figures):
                marks.append((time.thread_time(), time.perf_counter(), window.drawing.repaints))
            if meters and meters[0].figures:
                app.quit()

        timer = QTimer()
        timer.timeout.connect(look)
        timer.start(100)
        app.exec_()
        timer.stop()
        own, wall, repaints = (b - a for a, b in zip(marks[0], marks[-1], strict=True))
        figures = meters[0].figures
        figures["drawing_ms"] = 1e3 * own / frames
        figures["repaints"] = repaints / wall
        figures["painted"] = float(window.views.scene.painted)
        window.close()
    return figures


def run_one(kind: str, options: argparse.Namespace) -> dict[str, float]:
    """One run in a process of its own."""
    words = [sys.executable, __file__, "--one", kind, "--frames", str(options.frames), "--size", options.size]
    words += ["--own-core"] if options.own_core else []
    done = subprocess.run([*words, "--video", str(options.video)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the run {kind} the window failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> int:
    """Measure in turns and tell the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--own-core", action="store_true", help="time by the processor clock")
    parser.add_argument("--video", type=Path, default=ROOT / "assets" / "demo.mp4")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    parser.add_argument("--one", choices=("with", "without"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        width, height = (int(n) for n in options.size.split("x"))
        one = (
            without(options.video, options.frames)
            if options.one == "without"
            else with_window(options.video, options.frames, (width, height), options.own_core)
        )
        print(json.dumps(one), flush=True)
        os._exit(0)
    runs: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    for number in range(options.rounds):
        for kind in ("without", "with") if number % 2 == 0 else ("with", "without"):
            runs[kind].append(run_one(kind, options))
            print(kind, {k: round(v, 1) for k, v in runs[kind][-1].items()}, file=sys.stderr, flush=True)
    medians = {k: {n: float(np.median([r[n] for r in rs])) for n in rs[0]} for k, rs in runs.items()}
    rows: list[list[Cell]] = [
        [f"{kind} the window", m["fps"], m["pipeline_ms"], m["process_ms"]] for kind, m in medians.items()
    ]
    head = ["run", "frames/s", "pipeline's thread [ms/frame]", "whole process [ms/frame]"]
    lost = 1 - medians["with"]["fps"] / medians["without"]["fps"]
    if options.own_core:
        lost = 1 - medians["without"]["process_ms"] / medians["with"]["process_ms"]
    own = medians["with"]
    words = (
        f"{options.rounds} rounds of {options.frames} frames at {options.size}, medians"
        f"{' (processor clock)' if options.own_core else ''}. The window costs {100 * lost:.0f} % of "
        f"the throughput (limit {100 * LIMIT:.0f} %); its own thread takes {own['drawing_ms']:.1f} ms of processor time a frame, "
        f"{own['repaints']:.1f} repaints/s{', 3D view painted' if own['painted'] else ', 3D view by OpenGL'}."
    )
    give_out([markdown_table(head, rows), words], {"runs": runs, "lost": lost}, options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
