"""What the benchmark programs share: where data lie, how times are taken, peers' figures, how results are given out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnect.evaluation.report import provenance, provenance_line, write_json

#: The checkout.
ROOT = Path(__file__).resolve().parents[1]
#: Development data beside the checkout.
SHARED = ROOT.parent / "shared"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's COCO keypoint figures on the validation pictures [per cent].

    Attributes:
        name: Network, kind and input.
        ap, ap50, ap_medium, ap_large, ar: The figures.
    """

    name: str
    ap: float
    ap50: float
    ap_medium: float
    ap_large: float
    ar: float


#: Where the peers' figures come from.
PEERS_SOURCE = "measured by us on the same pictures (220 of COCO val2017, 504 people, 13 joints); peers.md section 1"
PEERS = (
    Peer("Lightweight OpenPose INT8, 256x456 (bottom-up)", 33.6, 58.1, 21.6, 50.8, 38.2),
    Peer("Lightweight OpenPose INT8, height 368 (bottom-up)", 41.0, 69.2, 33.7, 52.7, 45.4),
    Peer("Lightweight OpenPose INT8, height 512 (bottom-up)", 40.7, 66.0, 38.9, 44.7, 45.0),
    Peer("MoveNet MultiPose, side 256 (bottom-up, 6 people)", 27.6, 49.6, 13.8, 45.6, 30.5),
    Peer("MoveNet MultiPose, side 512 (bottom-up, 6 people)", 32.2, 56.5, 28.6, 37.7, 36.4),
    Peer("PoseNet MobileNetV1 0.75, 385 (bottom-up)", 18.2, 42.7, 9.7, 32.2, 26.9),
    Peer("NanoDet 416 + MoveNet Thunder 256 (top-down)", 43.4, 65.7, 37.1, 52.5, 48.1),
    Peer("MoveNet MultiPose 512 + BlazePose heavy (top-down)", 27.6, 44.7, 25.3, 31.8, 32.4),
    Peer("MediaPipe Pose full (one person)", 10.9, 16.7, 4.1, 20.2, 12.7),
)
#: The 3D peer that could be run (peers.md section 3).
PEER_3D = (
    "For comparison BlazePose heavy on four views of lab_two_people, every tenth frame: MPJPE 135 mm, after size 126 mm, "
    "PA-MPJPE 83 mm, 3DPCK 68 % (peers.md section 3)."
)


@dataclass(frozen=True, slots=True)
class Times:
    """Spread of repeated timings [ms]."""

    median: float
    p95: float
    least: float

    @staticmethod
    def of(times_ms: np.ndarray | list[float]) -> Times:
        """Median, 95th percentile and least."""
        low, middle, high = np.percentile(times_ms, [0, 50, 95])
        return Times(float(middle), float(high), float(low))


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Result of a call and the time it took [ms]."""
    start = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - start) * 1e3


def give_out(tables: list[str], results: dict[str, Any], output: Path | None) -> None:
    """Print Markdown tables and where they were measured; write the results as JSON if asked."""
    print("\n\n".join(tables))
    print("\n" + provenance_line(provenance()))
    if output is not None:
        write_json(output, results)
        print(f"written: {output}")
