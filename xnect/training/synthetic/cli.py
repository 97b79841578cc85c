"""`xnect synth`: contact sheets, shards of labelled pictures and the bundled demo clip."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from xnect.errors import OutputError, XnectError
from xnect.skeleton.joints import LIMBS
from xnect.structures import U8
from xnect.training.synthetic.labels import HIDDEN, SEEN, Labels
from xnect.training.synthetic.options import parse
from xnect.training.synthetic.sampling import SceneSampler
from xnect.training.synthetic.scene import Studio, draw_scene
from xnect.training.synthetic.shards import ShardPlan, Shards, coco_annotations, write_shards


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (0 done, 1 failed with one line on stderr)."""
    try:
        return run(parse(argv))
    except XnectError as error:
        print(f"xnect synth: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130


def run(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code. Raises XnectError."""
    return {"preview": _preview, "write": _write, "demo": _demo}[options.command](options)


def _preview(options: argparse.Namespace) -> int:
    studio = Studio(options.assets, options.motion)
    sampler = SceneSampler(studio, options.split, options.size)
    cells = []
    # shown in a log as well: compiling and reading textures keep the first picture waiting
    for k in tqdm(range(options.count), desc="preview", unit="pic"):
        picture = draw_scene(studio, sampler.sample(options.seed + k, 1, options.kind), 0, options.scale)
        cells.append(picture.image_bgr if options.plain else with_joints(picture.image_bgr, picture.labels))
    if not cv2.imwrite(str(options.output), sheet(cells, options.columns)):
        raise OutputError(f"cannot write {options.output}")
    return 0


def _write(options: argparse.Namespace) -> int:
    plan = ShardPlan(
        options.count, options.seed, options.split, options.size, options.frames, options.shard, options.quality,
        options.webp, options.scale, options.kind,
    )  # fmt: skip
    write_shards(options.output, plan, options.assets, options.motion, options.workers)
    if options.coco:
        text = json.dumps(coco_annotations(Shards(options.output)))
        (options.output / "coco13.json").write_text(text + "\n", encoding="utf-8")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from xnect.training.synthetic.demo import write_demo

    write_demo(options.output, options.assets, options.motion)
    return 0


def sheet(cells: list[U8], columns: int) -> U8:
    """Pictures of one size side by side."""
    columns = max(1, min(columns, len(cells)))
    blank = np.zeros_like(cells[0])
    filled = cells + [blank] * (-len(cells) % columns)
    rows = [np.hstack(filled[k : k + columns]) for k in range(0, len(filled), columns)]
    return np.vstack(rows)


def with_joints(image_bgr: U8, labels: Labels) -> U8:
    """The picture with limbs and joints: green = seen, red = hidden."""
    out = image_bgr.copy()
    colours = {HIDDEN: (60, 60, 230), SEEN: (60, 220, 60)}
    for points, seen in zip(labels.joints_px, labels.seen, strict=True):
        where = [tuple(int(v) for v in np.rint(np.clip(p, -9999, 9999))) for p in points]
        for a, b in LIMBS:
            if seen[a] and seen[b]:
                cv2.line(out, where[a], where[b], (230, 190, 60), 1, cv2.LINE_AA)
        for place, state in zip(where, seen, strict=True):
            if state:
                cv2.circle(out, place, 2, colours[int(state)], -1, cv2.LINE_AA)
    return out


if __name__ == "__main__":
    sys.exit(main())
