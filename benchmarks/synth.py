"""How fast synthetic pictures are made on one core: crowds of three at 512x320, step by step.

Prints a Markdown table and writes JSON with machine, date and commit. Needs the asset and motion packs.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np

from xnect.training.synthetic.effects import develop
from xnect.training.synthetic.sampling import SceneSampler
from xnect.training.synthetic.scene import Studio, drawing_of
from xnect.training.synthetic.shards import pack
from xnect.training.synthetic.splits import KINDS


def timed(sampler: SceneSampler, seeds: range, kind: str | None, people: int | None, scale: int) -> np.ndarray:
    """CPU seconds of each picture (N, 4): scene, drawing with labels, camera effects, JPEG; and people drawn."""
    rows = []
    for seed in seeds:
        marks = [time.process_time()]
        scene = sampler.sample(seed, 1, kind, people)
        marks.append(time.process_time())
        drawing, _ = drawing_of(sampler.studio, scene, 0, scale)
        marks.append(time.process_time())
        image = develop(drawing.image, scene.lens, np.random.default_rng(seed))
        marks.append(time.process_time())
        pack(image, 90, False)
        marks.append(time.process_time())
        rows.append([*np.diff(marks), len(scene.actors)])
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--warm-up", type=int, default=8, help="pictures drawn before, so that all is compiled")
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--assets")
    parser.add_argument("--motion")
    parser.add_argument("--output", type=Path, default=Path("runs/bench_synth.json"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sampler = SceneSampler(Studio(options.assets, options.motion))
    timed(sampler, range(options.warm_up), None, None, options.scale)  # compiles
    results = {}
    print("| scenes | people | scene ms | draw ms | camera ms | JPEG ms | pictures/s a core |")
    print("|---|---|---|---|---|---|---|")
    cases = [(f"crowd of {options.people}", "crowd", options.people)] + [(k, k, None) for k in KINDS]
    for name, kind, people in cases:
        seeds = range(5000, 5000 + options.count)
        for seed in seeds:  # reads what they need
            sampler.sample(seed, 1, kind, people)
        rows = timed(sampler, seeds, kind, people, options.scale)
        middle, rate = 1e3 * rows[:, :4].mean(0), 1 / rows[:, :4].sum(1).mean()
        results[name] = {"people": rows[:, 4].mean(), "ms": middle.tolist(), "pictures_per_s": rate}
        print(f"| {name} | {rows[:, 4].mean():.1f} | " + " | ".join(f"{m:.1f}" for m in middle) + f" | {rate:.1f} |")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    about = {
        "machine": f"{platform.processor() or platform.machine()}, CPU time of one process",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "size_px": [512, 320],
        "scale": options.scale,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(about | {"results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
