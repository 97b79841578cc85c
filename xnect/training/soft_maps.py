"""A teacher's heatmaps and affinity fields over every training picture, computed once and kept on disk.

The teacher is any OpenVINO network with OpenPose's 19 heatmaps and 38 fields at stride 8 (human-pose-estimation-0001 of
the Open Model Zoo, Apache-2.0). Its maps say what the labels leave open: bystanders without labels, unlabelled joints,
people in ignore boxes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from xnect.errors import FormatError
from xnect.skeleton.joints import LIMBS
from xnect.training.datasets.people import load_people
from xnect.training.datasets.store import Store

#: First channel (x) of the teacher's field of each of our limbs, in OpenPose's COCO layout.
_FIELD_OF = {
    (1, 0): 28, (1, 2): 12, (2, 3): 14, (3, 4): 16, (1, 5): 20, (5, 6): 22, (6, 7): 24,
    (1, 8): 0, (8, 9): 2, (9, 10): 4, (1, 11): 6, (11, 12): 8, (12, 13): 10,
}  # fmt: skip
_FIELDS = [c for limb in LIMBS for c in (_FIELD_OF[limb], _FIELD_OF[limb] + 1)]
#: The teacher sees pictures magnified to this side [px]; it was made for people of some 370 px pictures.
TEACHER_SIDE = 448
#: Cells of the kept maps along each side.
CELLS = 56


def attach_soft_maps(store: Store, paths: Path | Sequence[Path]) -> Store:
    """The store with a teacher's maps from one or several files; of a picture in several, the first file's.

    Raises:
        FormatError: A file cannot be read, or no file has maps for some picture.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    attached = torch.zeros(len(store), 14 + len(_FIELDS), CELLS, CELLS, dtype=torch.uint8)
    known = np.zeros(len(store), bool)
    for path in paths:
        try:
            ids = np.load(path.with_suffix(".ids.npy"))
            maps = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise FormatError(f"cannot read the teacher's maps {path}: {error}") from error
        if maps.shape != (len(ids), *attached.shape[1:]):
            raise FormatError(f"{path}: maps (N, {', '.join(map(str, attached.shape[1:]))}) expected, not {maps.shape}")
        row_of = {int(number): row for row, number in enumerate(ids)}
        pairs = [(k, row_of[int(n)]) for k, n in enumerate(store.ids) if not known[k] and int(n) in row_of]
        for here, there in pairs:  # one by one: the maps of all pictures are larger than the memory to spare
            attached[here] = torch.from_numpy(np.array(maps[there]))
            known[here] = True
    if not known.all():
        names = ", ".join(map(str, paths))
        first = int(store.ids[int(np.argmin(known))])
        raise FormatError(f"{names}: no maps for {int((~known).sum())} pictures, the first is {first}")
    store.soft_maps = attached
    return store


def compute_soft_maps(store: Store, model: Path, out: Path, threads: int = 0, batch: int = 8) -> None:
    """Run the teacher over all pictures and write ``out`` (uint8 (N, 40, 56, 56)) and the pictures' numbers beside it."""
    from xnect.stages.executors.convert import core

    network = core().read_model(str(model))
    network.reshape([batch, 3, TEACHER_SIDE, TEACHER_SIDE])
    compiled = core().compile_model(network, "CPU", {"INFERENCE_NUM_THREADS": threads} if threads else {})
    heat_out = next(o for o in compiled.outputs if o.shape[1] == 19)
    field_out = next(o for o in compiled.outputs if o.shape[1] == 38)
    maps = np.lib.format.open_memmap(out, "w+", np.uint8, (len(store), 14 + len(_FIELDS), CELLS, CELLS))
    rows = torch.arange(len(store)).split(batch)
    for chunk in tqdm(rows, desc="teacher", unit=" batches"):
        inputs = np.full((batch, 3, TEACHER_SIDE, TEACHER_SIDE), 128, np.float32)
        for k, row in enumerate(chunk.tolist()):
            picture = store.pictures[row].permute(1, 2, 0).numpy()
            large = cv2.resize(picture, (TEACHER_SIDE, TEACHER_SIDE), interpolation=cv2.INTER_CUBIC)
            w, h = (store.size[row] * TEACHER_SIDE / store.side).ceil().int().tolist()
            inputs[k, :, :h, :w] = large[:h, :w, ::-1].transpose(2, 0, 1)
        result = compiled(inputs)
        heat = np.clip(result[heat_out][:, :14], 0, 1) * 255
        fields = (np.clip(result[field_out][:, _FIELDS], -1, 1) + 1) * 127.5
        maps[chunk.numpy()] = np.concatenate([heat, fields], 1)[: len(chunk)].round().astype(np.uint8)
    maps.flush()
    np.save(out.with_suffix(".ids.npy"), store.ids.numpy())


def main(argv: list[str] | None = None) -> int:
    """Compute and keep a teacher's maps."""
    parser = argparse.ArgumentParser(prog="python -m xnect.training.soft_maps", description=__doc__)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders with train13.json and its picture shards"
    )
    parser.add_argument("--model", type=Path, required=True, help="the teacher, OpenVINO IR (.xml)")
    parser.add_argument("--output", type=Path, required=True, help="the maps (.npy)")
    parser.add_argument("--side", type=int, default=288)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args(argv)
    compute_soft_maps(
        load_people(options.data, options.side, limit=options.limit), options.model, options.output, options.threads
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
