"""Comparing published curves and charges with those computed again.

On another processor or by other versions, numbers are rounded otherwise. That changes little until
a strategy meets two samples of almost equal merit and takes the other one: from then on the curve
is that of another run with the same start. Such runs differ less than runs of different seeds do,
and that is what is asked for. How often this is wrong was measured: ``docs/published.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from fal_bench.publication.publishing import INITIAL
from fal_bench.results.identity import SHOWN
from fal_bench.results.model import NOT_METRICS, TIMINGS
from fal_bench.stats import read_at_grid
from fal_bench.sweep.spec import RunSpec
from fal_bench.task import Task

BEFORE_CHOICES = 1.0
"""Largest difference of models that no choice has shaped, in standard deviations between seeds."""

APART = 0.005
"""Difference in accuracy that tells two runs from one that is rounded otherwise."""

FALSE_ALARMS = 0.01
"""Share of verifications that may fail although all runs are as far apart as seeds are."""

_GIVEN = ("labels", "labels_strict", "labels_by_client", "labels_strict_by_client", "task_hash")
"""Columns of the first cycle that no strategy and no rounding can change."""

_SPENT = ("labels", "labels_strict")

_MEASURED = ("accuracy", "precision", "loss")
"""Metrics that the first cycle is compared by; how often that is wrong was measured with them."""


@dataclass(frozen=True)
class PublishedRun:
    """A run, and the names under which its curve is published.

    Attributes:
        spec: the run as this installation plans it.
        label: the strategy's name in the tables.
    """

    spec: RunSpec
    label: str

    @property
    def identity(self) -> tuple[str, str, int]:
        """Task, strategy and seed, as ``curves.csv`` names them."""
        return self.spec.task.name, self.label, self.spec.seed


@dataclass(frozen=True)
class RunOutcome:
    """What came out of computing one run again.

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
        computed: its rows as they were computed again.
        tolerance: largest allowed difference in accuracy, precision and loss; 0 asks for the same
            bits. Everything else must be the same.
    """
    rows = min(len(published), len(computed))
    gaps = np.abs(
        published["accuracy"].to_numpy(float)[:rows] - computed["accuracy"].to_numpy(float)[:rows]
    )
    largest = float(gaps.max(initial=0.0))
    shared = [str(name) for name in published if name in computed]
    compared = [name for name in shared if name not in TIMINGS]
    for row in range(rows):
        there, here = published.iloc[row], computed.iloc[row]
        wrong = [
            name
            for name in compared
            if not _agree(there[name], here[name], 0.0 if name in NOT_METRICS else tolerance)
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


def allowed_deviations(runs: int) -> float:
    """Return how many standard deviations between seeds two runs of a run may be apart.

    Args:
        runs: how many are computed again; of more runs the largest difference is larger.
    """
    return float(norm.isf(FALSE_ALARMS / (2 * runs)))


def judge_closeness(
    run: PublishedRun, computed: pd.DataFrame, published: pd.DataFrame, deviations: float
) -> RunOutcome:
    """Say whether a curve is as close to the published one as another environment allows.

    The first cycle, before any choice, has the same labels and differs by rounding alone, which a
    long training can amplify: by less than one standard deviation between the seeds of that task.
    Afterwards accuracy on the label grid may differ by ``deviations`` of them, and the labels in
    the end by as many between the seeds of that row: not at all where all seeds have one number.

    Args:
        run: the run.
        computed: its rows as they were computed again.
        published: all published curves.
        deviations: how many standard deviations are allowed.
    """
    task, label, seed = run.identity
    on_task = published[published["task"] == task]
    row = on_task[on_task["strategy"] == label]
    there = row[row["seed"] == seed].reset_index(drop=True)
    gaps = _gaps(run.spec.task, there, computed)
    largest = float(np.nanmax(gaps, initial=0.0))
    allowed = deviations * accuracy_spread(run.spec.task, on_task)
    wrong = (
        _start_differs(on_task, there, computed)
        or _spending_differs(row, there, computed, deviations)
        or _accuracy_differs(run.spec.task, gaps, allowed)
    )
    if wrong:
        return RunOutcome(run, "differs", len(there), wrong, largest)
    differing = np.flatnonzero(gaps > APART)
    note = f"{largest:.2g} apart in accuracy at most, allowed {allowed:.2g}"
    if differing.size:
        note += f"; as published up to {run.spec.task.label_grid[differing[0] - 1]} labels"
    return RunOutcome(run, "close", len(there), note, largest)


def accuracy_spread(task: Task, curves: pd.DataFrame) -> float:
    """Return the standard deviation of accuracy between seeds, over strategies and label grid.

    Args:
        task: gives the label grid.
        curves: all curves of the task.

    Returns:
        NaN if no strategy has two seeds.
    """
    variances = [
        np.array([_on_grid(task, one) for _, one in row.groupby("seed")]).var(axis=0, ddof=1)
        for _, row in curves.groupby("strategy")
        if row["seed"].nunique() > 1
    ]
    return float(np.sqrt(np.nanmean(variances))) if variances else float("nan")


def _on_grid(task: Task, curve: pd.DataFrame) -> NDArray[np.float64]:
    return read_at_grid(curve["labels"], curve["accuracy"], task.label_grid)


def _gaps(task: Task, there: pd.DataFrame, here: pd.DataFrame) -> NDArray[np.float64]:
    return np.abs(_on_grid(task, here) - _on_grid(task, there))


def _start_differs(on_task: pd.DataFrame, there: pd.DataFrame, here: pd.DataFrame) -> str:
    first, anew = there.iloc[0], here.iloc[0]
    for name in _GIVEN:
        if first[name] != anew[name]:
            return f"cycle 0: {_told(name, first[name], anew[name])}"
    starts = on_task[on_task["cycle"] == 0].groupby("strategy")
    for name in _MEASURED:
        if name not in there or name not in here:
            continue
        bound = BEFORE_CHOICES * float(np.sqrt(starts[name].var(ddof=1).mean()))
        if not abs(first[name] - anew[name]) <= bound:
            told = _told(name, first[name], anew[name])
            return f"cycle 0, before any choice: {told}, allowed {_bound(bound)}"
    return ""


def _spending_differs(
    row: pd.DataFrame, there: pd.DataFrame, here: pd.DataFrame, deviations: float
) -> str:
    for name in _SPENT:
        ends = row.groupby("seed")[name].max().to_numpy(float)
        allowed = deviations * ends.std(ddof=1) if len(ends) > 1 else 0.0
        published, anew = int(there[name].iloc[-1]), int(here[name].iloc[-1])
        if abs(published - anew) > allowed:
            return f"in the end {_told(name, published, anew)}, allowed {allowed:.0f} apart"
    return ""


def _accuracy_differs(task: Task, gaps: NDArray[np.float64], allowed: float) -> str:
    beyond = [
        (points, gap)
        for points, gap in zip(task.label_grid, gaps, strict=True)
        if not np.isnan(gap) and not gap <= allowed
    ]
    if not beyond:
        return ""
    points, gap = beyond[0]
    return f"{points} labels: accuracy {gap:.2g} apart, allowed {_bound(allowed)}"


def _bound(allowed: float) -> str:
    return "unknown for a single seed" if np.isnan(allowed) else f"{allowed:.2g}"


def imbalance(curves: pd.DataFrame, charges: pd.DataFrame) -> str:
    """Say where the charges of a run do not add up to the strict labels of its curve.

    Args:
        curves: the published curves.
        charges: the published charges.

    Returns:
        The first such place; empty if there is none.
    """
    # The model of a cycle is trained with what was read before it.
    first = charges["purpose"] == INITIAL
    trained = charges.assign(cycle=charges["cycle"].where(first, charges["cycle"] + 1))
    read = trained.groupby([*SHOWN, "cycle"])["labels"].sum()
    strict = curves.set_index([*SHOWN, "cycle"])["labels_strict"]
    gained = strict.groupby(level=SHOWN).diff().fillna(strict)
    both = pd.DataFrame({"read": read, "gained": gained}).fillna(0).astype(int)
    # What was read after the last model was trained is in no curve.
    last = both.join(curves.groupby(SHOWN)["cycle"].max().rename("last"))["last"]
    afterwards = both.index.get_level_values("cycle") > last
    wrong = both[(both["read"] != both["gained"]) & ~afterwards]
    if wrong.empty:
        return ""
    (task, strategy, seed, cycle), row = wrong.index[0], wrong.iloc[0]
    return (
        f"{task}, {strategy}, seed {seed}, cycle {cycle}: {row['read']} labels charged, "
        f"{row['gained']} more strict labels in the curve"
    )


def charges_difference(run: PublishedRun, published: pd.DataFrame, computed: pd.DataFrame) -> str:
    """Say where the charges of a run differ from those computed again.

    Args:
        run: the run.
        published: all published charges.
        computed: those of the run, computed again.

    Returns:
        The first difference; empty if there is none.
    """
    there, here = _labels(run, published), _labels(run, computed)
    for purpose, cycle in sorted(there.keys() | here.keys()):
        before, now = there.get((purpose, cycle), 0), here.get((purpose, cycle), 0)
        if before != now:
            return f"cycle {cycle}: {before} labels read for {purpose} published, {now} recomputed"
    return ""


def _labels(run: PublishedRun, charges: pd.DataFrame) -> dict[tuple[str, int], int]:
    """Return the labels of one run by purpose and cycle."""
    task, label, seed = run.identity
    mine = charges[
        (charges["task"] == task) & (charges["strategy"] == label) & (charges["seed"] == seed)
    ]
    keys = zip(mine["purpose"], mine["cycle"], strict=True)
    return dict(zip(keys, mine["labels"], strict=True))
