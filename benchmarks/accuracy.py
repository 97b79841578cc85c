"""COCO keypoint accuracy of Stage I beside its peers: python benchmarks/accuracy.py [--weights FILE] [--data DIR].

People of all sizes, at most 20 a picture, 13 joints with COCO's sigmas (pycocotools), on val13.json and val.zip of the
people pack, with 95 % intervals under resampling of the pictures. Prints a Markdown table; --output writes the figures as JSON.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import PEERS, PEERS_SOURCE, SHARED, Times, give_out
from xnect.config import DetectionConfig, NetworkConfig, PipelineConfig
from xnect.errors import XnectError
from xnect.evaluation.coco import MOST_PEOPLE, CocoFigures, CocoSet, bootstrap, judge_results, results_of
from xnect.evaluation.report import Cell, markdown_table
from xnect.stages.stage_one import load_stage_one
from xnect.structures import U8, Detections

COLUMNS = ("system", "AP", "AP50", "AP75", "AP medium", "AP large", "AR", "ms a picture")


def size(text: str) -> tuple[int, int]:
    """``WxH`` as two numbers."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT") from None
    return width, height


def table(name: str, figures: CocoFigures, times: Times, intervals: dict[str, tuple[float, float]]) -> str:
    """Our figures above those of the peers [per cent]."""
    ours: list[Cell] = [name]
    ours += [100 * v for v in (figures.ap, figures.ap50, figures.ap75, figures.ap_medium, figures.ap_large, figures.ar)]
    rows: list[list[Cell]] = [[*ours, times.median]]
    for p in sorted(PEERS, key=lambda p: -p.ap):
        rows.append([p.name, p.ap, p.ap50, None, p.ap_medium, p.ap_large, p.ar, None])
    spread = ", ".join(f"{k.upper()} {100 * low:.1f} to {100 * high:.1f}" for k, (low, high) in intervals.items())
    note = f"Ours: {figures.pictures} pictures, {figures.people} people [per cent]. Peers: {PEERS_SOURCE}."
    note += f"\nWith other pictures of the kind (95 %): {spread}." if spread else ""
    return markdown_table(COLUMNS, rows) + "\n\n" + note


def measure(options: argparse.Namespace) -> tuple[CocoFigures, dict[str, tuple[float, float]], Times, str]:
    """Run Stage I over the set; figures, their intervals, times of network and association, and what was run."""
    pictures = CocoSet(options.data / "val13.json", options.data / "val.zip", options.limit)
    weights = None if options.weights is None else str(options.weights)
    settings = NetworkConfig(
        options.device, options.precision, weights, options.input_size, options.threads, looks=options.looks
    )
    detection = DetectionConfig(max_people=MOST_PEOPLE, min_score=0.02)  # AP judges the whole ranking
    stage_one = load_stage_one(PipelineConfig(network=settings, detection=detection))
    times: list[float] = []

    def detect(image: U8) -> Detections:
        start = time.perf_counter()
        people = stage_one(image)
        times.append((time.perf_counter() - start) * 1e3)
        return people

    found = results_of(detect, pictures, lambda p: tqdm(p, total=len(pictures), unit="picture", disable=None))
    figures = judge_results(pictures.truth, found)
    intervals = bootstrap(pictures.truth, found) if found else {}
    return (
        figures,
        intervals,
        Times.of(times),
        str(getattr(stage_one, "description", options.weights or "weights that ship")),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", type=Path, help="Stage I's weights file (default: the one that ships)")
    add("--data", type=Path, default=SHARED / "data" / "people", help="folder with val13.json and val.zip")
    add("--input-size", type=size, default=(512, 320), metavar="WxH", help="multiples of 16 (default 512x320)")
    add("--looks", type=int, default=2, help="looks at a picture: 1, 2 or 4 (default 2)")
    add("--limit", type=int, help="only the first so many pictures")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--precision", default="auto", help="auto, fp32, bf16, fp16 or int8")
    add("--threads", type=int, default=0, help="CPU threads, 0 = all")
    add("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    try:
        figures, intervals, times, name = measure(options)
        width, height = options.input_size
        results: dict[str, Any] = {
            "coco": figures.as_dict(),
            "intervals_95": intervals,
            "input_size": [width, height],
            "looks": options.looks,
            "system": name,
            "weights": None if options.weights is None else options.weights.name,
            "ms_median": times.median,
            "ms_p95": times.p95,
        }
        give_out(
            [table(f"xnect Stage I, {name}, {width}x{height}, looks: {options.looks}", figures, times, intervals)],
            results,
            options.output,
        )
    except XnectError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
