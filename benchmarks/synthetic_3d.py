"""3D accuracy of Stage I and II on held-out synthetic pictures, whose truth is exact also for what is hidden.

    xnect synth write --output held_out --count 500 --seed 900000 --split test
    python benchmarks/synthetic_3d.py --data held_out [--weights FILE] [--lifting FILE]

MPJPE: mean distance of the 21 joints relative to the pelvis, poses and truth those of a body of 1.70 m, since one camera
cannot tell size. PA: after the best turn, shift and size of each pose. 3DPCK: share of joints within 150 mm; people that
were not found count as missed in the last column. Joints are seen, hidden (by anything, the own body included), or cut
off by the picture's edge. "True 2D" hands Stage II the labels in place of Stage I's findings: what is lost by lifting
alone. Prints Markdown tables; --output writes the figures as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

if __package__ in (None, ""):  # started as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy import size
from benchmarks.common import give_out
from xnect.codec.encoding import TRUSTED_JOINTS, encode
from xnect.config import DetectionConfig, NetworkConfig
from xnect.errors import XnectError
from xnect.evaluation.metrics import aligned, joint_errors
from xnect.evaluation.report import Cell, markdown_table
from xnect.geometry import apply_affine, unproject
from xnect.stages.association import associate, read_encoding
from xnect.stages.lifting import Lifter
from xnect.stages.refinement import Refiner
from xnect.structures import Detections, PoseMaps
from xnect.training.datasets.synthetic import camera_of, labelled
from xnect.training.detected import countable, match, truth_of
from xnect.training.synthetic.labels import HIDDEN, OUTSIDE, SEEN
from xnect.training.synthetic.shards import Sample, Shards

PCK_M = 0.15
STATES = (("seen", SEEN), ("hidden", HIDDEN), ("cut off", OUTSIDE))
COLUMNS = (
    "input of Stage II", "found %", "MPJPE mm", *(f"{n} mm" for n, _ in STATES), "PA mm", "3DPCK %",
    *(f"{n} %" for n, _ in STATES), "all people %",
)  # fmt: skip


@dataclass(slots=True)
class Errors:
    """What one way to find poses gave, person by person: parts are joined at the end.

    Attributes:
        people: How many true people were asked for.
        plain: (M, 21) of the people found [m].
        fitted: (M, 21), after the best turn, shift and size [m].
        state: (M, 21), OUTSIDE, HIDDEN or SEEN.
    """

    people: int
    plain: list[np.ndarray]
    fitted: list[np.ndarray]
    state: list[np.ndarray]

    @staticmethod
    def none() -> Errors:
        """Nothing yet."""
        return Errors(0, [], [], [])

    def add(self, found_m: np.ndarray, truth_m: np.ndarray, state: np.ndarray, people: int) -> None:
        """Poses of matched people (M, 21, 3) and their truth, pelvis-relative; ``people`` were there to be found."""
        self.people += people
        if len(found_m):
            self.plain.append(joint_errors(found_m, truth_m))
            self.fitted.append(joint_errors(aligned(found_m, truth_m), truth_m))
            self.state.append(state)

    def figures(self) -> dict[str, float | None]:
        """All figures by the names of ``COLUMNS``, None where nothing counts."""
        plain, fitted, state = (
            np.concatenate(p) if p else np.zeros((0, 21)) for p in (self.plain, self.fitted, self.state)
        )
        near = plain < PCK_M
        joints = max(1, self.people * plain.shape[1])
        out = {"found %": 100 * len(plain) / max(1, self.people), "MPJPE mm": _mean(1000 * plain)}
        out |= {f"{n} mm": _mean(1000 * plain[state == s]) for n, s in STATES}
        out |= {"PA mm": _mean(1000 * fitted), "3DPCK %": _mean(100 * near)}
        out |= {f"{n} %": _mean(100 * near[state == s]) for n, s in STATES}
        return out | {"all people %": 100 * float(near.sum()) / joints}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None


def true_detections(sample: Sample, rows: np.ndarray, encoding: bool) -> Detections:
    """The labels of people as Stage I would give them at its best."""
    flat = sample.joints_2d[rows]
    known = labelled(flat[..., 2])
    value = None
    if encoding:
        xy = unproject(
            np.where(known[..., None], flat[..., :2], sample.matrix_px[:2, 2]).astype(float), camera_of(sample)
        )
        value = encode(sample.joints_3d[rows], xy, sample.height_m[rows])[0] * known[..., None]
    confidence = np.where(flat[..., 2] == SEEN, 0.9, 0.5) * known
    return Detections(
        (flat[..., :2] * known[..., None]).astype(np.float32), confidence.astype(np.float32),
        np.ones(len(rows), np.float32), None if value is None else value.astype(np.float32),
    )  # fmt: skip


def encoding_error_m(maps: PoseMaps, sample: Sample, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the errors of the trusted vectors at people's seen joints, and of the true vectors (K,), (K,) [m]."""
    assert maps.encoding is not None
    flat = sample.joints_2d[rows, :, :2].astype(np.float64)
    seen = sample.joints_2d[rows, :, 2] == SEEN
    linear, shift = maps.frame_from_map[:, :2], maps.frame_from_map[:, 2]
    back = np.concatenate([np.linalg.inv(linear), (-np.linalg.inv(linear) @ shift)[:, None]], 1)
    found = read_encoding(maps.encoding, apply_affine(flat, back), seen)
    truth = encode(sample.joints_3d[rows], unproject(flat, camera_of(sample)), sample.height_m[rows])[0]
    wrong, right = (v.reshape(*seen.shape, 21, 3) for v in (found - truth, truth))
    counts = seen[..., None] & TRUSTED_JOINTS
    return np.linalg.norm(wrong, axis=-1)[counts], np.linalg.norm(right, axis=-1)[counts]


def ways(
    sample: Sample, rows: np.ndarray, maps: PoseMaps, refiner: Refiner | None
) -> Iterator[tuple[str, Detections, np.ndarray, np.ndarray]]:
    """What is handed to Stage II: name, people, which of them are matched, and to which of ``rows``."""
    people = associate(maps, DetectionConfig(), refiner)
    pairs = match(people, sample, rows)
    yield "Stage I", people, *pairs
    if maps.encoding is not None:
        yield "Stage I, encoding left aside", replace(people, encoding=None), *pairs
    every = np.arange(len(rows))
    yield "true 2D", true_detections(sample, rows, False), every, every
    yield "true 2D and encoding", true_detections(sample, rows, True), every, every


def measure(options: argparse.Namespace) -> tuple[dict[str, Errors], list[np.ndarray], list[np.ndarray], str]:
    """Errors of each way, errors and lengths of the encoding's vectors, and what was run."""
    from xnect.stages.executors.choose import load_network

    shards, lifter = Shards(options.data), Lifter(options.lifting)
    settings = NetworkConfig(options.device, options.precision, None, options.input_size, options.threads)
    network = load_network(None if options.weights is None else str(options.weights), settings)
    errors: dict[str, Errors] = {}
    wrong: list[np.ndarray] = []
    right: list[np.ndarray] = []
    for k in tqdm(range(len(shards))[: options.limit], unit="picture", disable=None):
        sample = shards[k]
        rows = countable(sample)
        if not len(rows):
            continue
        maps = network(sample.image_bgr)
        truth, camera = truth_of(sample)[rows], camera_of(sample)
        for name, people, first, second in ways(sample, rows, maps, network.refiner):
            poses = lifter(people, camera).joints_m[first].astype(np.float64)
            state = sample.seen_3d[rows][second]
            errors.setdefault(name, Errors.none()).add(poses, truth[second], state, len(rows))
        if maps.encoding is not None:
            parts = encoding_error_m(maps, sample, rows)
            wrong.append(parts[0])
            right.append(parts[1])
    return errors, wrong, right, str(getattr(network, "description", options.weights))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of `xnect synth write --split test` (or val)")
    add("--weights", type=Path, help="Stage I's weights file (default: the one that ships)")
    add("--lifting", type=Path, help="Stage II's weights file (default: the one that ships)")
    add("--input-size", type=size, default=(512, 320), metavar="WxH", help="multiples of 16 (default 512x320)")
    add("--limit", type=int, help="only the first so many pictures")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--precision", default="auto", help="auto, fp32, bf16, fp16 or int8")
    add("--threads", type=int, default=0, help="CPU threads, 0 = all")
    add("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    try:
        errors, wrong, right, name = measure(options)
        figures = {way: one.figures() for way, one in errors.items()}
        rows: list[list[Cell]] = [[way, *(f[c] for c in COLUMNS[1:])] for way, f in figures.items()]
        people = max((one.people for one in errors.values()), default=0)
        tables = [markdown_table(COLUMNS, rows) + f"\n\n{name}; {people} people asked for."]
        results = {"system": name, "people": people, "ways": figures}
        if wrong:
            error, length = (1000 * float(np.concatenate(p).mean()) for p in (wrong, right))
            tables.append(f"Encoding at the true joints: {error:.0f} mm off where vectors are {length:.0f} mm long.")
            results |= {"encoding_mm": error, "encoding_length_mm": length}
        give_out(tables, results, options.output)
    except XnectError as error:
        print(f"synthetic_3d: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
