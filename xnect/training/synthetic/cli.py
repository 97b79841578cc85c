"""`xnect synth`: contact sheets, shards of labelled pictures and the bundled demo clip."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from xnect.errors import OutputError, XnectError
from xnect.skeleton.joints import LIMBS
from xnect.structures import U8
from xnect.training.synthetic.labels import HIDDEN, SEEN, Labels
from xnect.training.synthetic.sampling import KINDS, SceneSampler
from xnect.training.synthetic.scene import Studio, draw_scene
from xnect.training.synthetic.shards import ShardPlan, Shards, coco_annotations, write_shards
from xnect.training.synthetic.splits import SPLITS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (0 done, 1 failed with one line on stderr)."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except XnectError as error:
        print(f"xnect synth: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="xnect synth", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="preview | write | demo")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--assets", help="asset pack (default: ../shared/data/synth beside the checkout)")
    common.add_argument("--motion", help="motion pack (default: ../shared/data/motion beside the checkout)")
    scenes = argparse.ArgumentParser(add_help=False)
    scenes.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    scenes.add_argument("--split", choices=SPLITS, default="train", help="whose bodies, clips, garments and rooms")
    scenes.add_argument("--kind", choices=KINDS, help="one sort of scenes (default: all)")
    scenes.add_argument("--size", type=_size, default=(512, 320), metavar="WxH", help="picture size (default 512x320)")
    scenes.add_argument("--scale", type=int, default=2, help="samples a pixel and side (default 2)")

    preview = commands.add_parser("preview", parents=[common, scenes], help="a contact sheet with joints drawn")
    preview.add_argument("--output", type=Path, required=True, metavar="SHEET.jpg")
    preview.add_argument("--count", type=int, default=24, help="pictures on the sheet (default 24)")
    preview.add_argument("--columns", type=int, default=4)
    preview.add_argument("--plain", action="store_true", help="do not draw the joints")
    preview.set_defaults(run=_preview)

    write = commands.add_parser(
        "write", parents=[common, scenes], help="shards of pictures with labels; goes on where it stopped"
    )
    write.add_argument("--output", type=Path, required=True, metavar="DIR")
    write.add_argument("--count", type=int, required=True, help="pictures in all")
    write.add_argument("--frames", type=int, default=1, help="frames a scene: more than 1 = sequences with ids")
    write.add_argument("--shard", type=int, default=500, help="pictures a shard (default 500)")
    write.add_argument("--quality", type=int, default=90, help="of the packed pictures (default 90)")
    write.add_argument("--webp", action="store_true", help="WebP instead of JPEG")
    write.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    write.add_argument("--coco", action="store_true", help="also write coco13.json, COCO keypoints with 13 joints")
    write.set_defaults(run=_write)

    demo = commands.add_parser("demo", parents=[common], help="the bundled demo clip and its truth")
    demo.add_argument("--output", type=Path, required=True, metavar="DIR")
    demo.set_defaults(run=_demo)
    return parser


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(v) for v in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: WxH expected, for example 512x320") from None
    return width, height


def _preview(options: argparse.Namespace) -> int:
    studio = Studio(options.assets, options.motion)
    sampler = SceneSampler(studio, options.split, options.size)
    cells = []
    for k in tqdm(range(options.count), desc="preview", unit="pic", disable=None):
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
