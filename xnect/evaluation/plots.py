"""Pictures of results as PNG, by matplotlib where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xnect.errors import OutputError
from xnect.evaluation import metrics
from xnect.evaluation.poses import need
from xnect.evaluation.quality import runs
from xnect.formats.recording import Recording
from xnect.skeleton.joints import PELVIS


def _figure(width: float = 7.0, height: float = 4.0, rows: int = 1) -> tuple[Any, Any]:
    """A figure without any window, and its axes, one below the other."""
    figures = need("matplotlib.figure")
    figure = figures.Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure, figure.subplots(rows, 1, sharex=rows > 1)


def _save(figure: Any, path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def pck_curves(path: Path, curves: Mapping[str, np.ndarray]) -> Path:
    """Share of joints found over the threshold, one line a name; raises OutputError, XnectError (no matplotlib)."""
    figure, axes = _figure()
    for name, curve in curves.items():
        axes.plot(1e3 * metrics.AUC_THRESHOLDS_M, 100 * np.asarray(curve), label=name)
    axes.set(xlabel="threshold [mm]", ylabel="joints nearer than that [%]", xlim=(0, 150), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _save(figure, path)


def bars(path: Path, title: str, names: Sequence[str], values: Sequence[float], unit: str) -> Path:
    """One bar a name; raises as ``pck_curves``."""
    figure, axes = _figure(7.0, 1.0 + 0.28 * len(names))
    finite = np.nan_to_num(np.asarray(values, np.float64))
    axes.barh(range(len(names)), finite)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel=unit, title=title)
    axes.grid(axis="x", alpha=0.3)
    return _save(figure, path)


def timeline(path: Path, recording: Recording, title: str) -> Path:
    """Who is there when, how restless each is, and the share of guessed joints; raises as ``pck_curves``."""
    figure, (who, rest, guess) = _figure(9.0, 6.0, 3)
    people, start = recording.people, recording.times_s[0]
    ids = {one: k for k, one in enumerate(recording.ids)}
    for rows in runs(recording):
        time_s = recording.times_s[recording.row_frame[rows]] - start
        number = ids[int(people.ids[rows[0]])]
        look = {"color": f"C{number % 10}", "linewidth": 1.2}
        who.plot([time_s[0], time_s[-1]], [number, number], marker="|", **look)
        guess.plot(time_s, 100 * people.inferred[rows].mean(1), **look)
        if len(rows) > 2:
            joints = people.joints_3d[rows] - people.joints_3d[rows][:, [PELVIS]]
            rest.plot(time_s[1:-1], metrics.accelerations(joints, time_s).mean(1), **look)
    who.set_yticks(range(len(ids)), [str(one) for one in ids], fontsize=7)
    who.set(ylabel="id", title=title)
    rest.set(ylabel="acceleration [m/s²]", ylim=(0, None))
    guess.set(ylabel="guessed joints [%]", xlabel="time [s]", ylim=(0, 100))
    for axes in (who, rest, guess):
        axes.grid(alpha=0.3)
    return _save(figure, path)
