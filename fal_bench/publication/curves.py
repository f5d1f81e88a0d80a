"""Comparing a published curve with one computed anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fal_bench.errors import PublicationError
from fal_bench.federation.journal import Row
from fal_bench.publication.runs import PublishedRun
from fal_bench.sweep.collect import IDENTITY
from fal_bench.sweep.merge import TIMINGS

_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("seed", "cycle", "labels", "labels_strict", "bytes_up", "bytes_down"), int),
    **dict.fromkeys(TIMINGS, float),
    "reference": {"True": True, "False": False}.__getitem__,
}
"""Of columns that hold no text."""

_KEYS = [*IDENTITY, *Row.columns(), "task_hash", "reference"]
"""Columns that every table of curves has; all others are metrics."""


def metrics_in(curves: pd.DataFrame) -> list[str]:
    """Return the names of the metrics that curves hold."""
    return [name for name in curves.columns if name not in _KEYS]


@dataclass(frozen=True)
class RunOutcome:
    """What came out of computing one run anew.

    Attributes:
        run: the run.
        state: ``"same"`` within the tolerance asked for; ``"close"`` means not the same, but as
            close as another environment allows, and ``"failed"`` that there is no new curve.
        cycles: cycles of the published curve.
        note: how close, where the curves part, or why there is no new one; empty if they are the
            same.
        accuracy_gap: largest difference in accuracy over the cycles that both curves have.
    """

    run: PublishedRun
    state: Literal["same", "close", "differs", "failed"]
    cycles: int
    note: str = ""
    accuracy_gap: float = 0.0


def read_published_curves(path: Path) -> pd.DataFrame:
    """Read ``curves.csv`` to the last bit.

    Raises:
        PublicationError: it is no table of curves.
    """
    try:
        # As text: a strategy may be called "NA", and not every reader of numbers keeps all bits.
        curves = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PublicationError(f"Cannot read {str(path)!r} ({error}); restore it.") from None
    if not {*_KEYS, "accuracy"} <= {*curves.columns}:
        raise PublicationError(f"{str(path)!r} does not have the columns of curves; restore it.")
    for name in curves.columns:
        read = _READERS.get(name, str if name in _KEYS else _metric)
        try:
            curves[name] = [read(text) for text in curves[name]]
        except (ValueError, KeyError) as error:
            raise PublicationError(
                f"Cannot read column {name!r} of {str(path)!r} ({error}); restore it."
            ) from None
    return curves


def _metric(text: str) -> float:
    return float(text) if text else math.nan


def curve_of(run: PublishedRun, curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one run."""
    task, label, seed = run.identity
    mine = (curves["task"] == task) & (curves["strategy"] == label) & (curves["seed"] == seed)
    return curves[mine].reset_index(drop=True)


def compare_curves(
    run: PublishedRun, published: pd.DataFrame, computed: pd.DataFrame, tolerance: float
) -> RunOutcome:
    """Compare the rows of one run: everything but timings that both curves have.

    Args:
        run: the run.
        published: its published rows.
        computed: its rows as they were computed anew.
        tolerance: largest allowed difference in accuracy, precision and loss; 0 asks for the same
            bits. Everything else must be the same.
    """
    rows = min(len(published), len(computed))
    gaps = np.abs(
        published["accuracy"].to_numpy(float)[:rows] - computed["accuracy"].to_numpy(float)[:rows]
    )
    largest = float(gaps.max(initial=0.0))
    metrics = {*metrics_in(published)} & {*metrics_in(computed)}
    compared = [name for name in published.columns if name in {*_KEYS, *metrics} - {*TIMINGS}]
    for row in range(rows):
        there, here = published.iloc[row], computed.iloc[row]
        wrong = [
            name
            for name in compared
            if not _agree(there[name], here[name], tolerance if name in metrics else 0.0)
        ]
        if wrong:
            note = f"cycle {there['cycle']}: {_told(wrong[0], there[wrong[0]], here[wrong[0]])}"
            if wrong[0] != "accuracy":
                note += f"; {_told('accuracy', there['accuracy'], here['accuracy'])}"
            return RunOutcome(run, "differs", len(published), note, largest)
    if len(published) != len(computed):
        note = f"cycle {rows}: {len(published)} cycles published, {len(computed)} recomputed"
        return RunOutcome(run, "differs", len(published), note, largest)
    return RunOutcome(run, "same", len(published), accuracy_gap=largest)


def _agree(there: object, here: object, tolerance: float) -> bool:
    if isinstance(there, float) and isinstance(here, float):
        return abs(there - here) <= tolerance or (math.isnan(there) and math.isnan(here))
    return bool(there == here)


def _told(name: str, there: object, here: object) -> str:
    return f"{name} {there} published, {here} recomputed"
