"""From stored curves to one budget to target a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fal_bench.report.context import Accounting, ReportContext, TaskFacts
from fal_bench.stats import Budget, area_under_curve, find_crossing, read_at_grid

RunKey = tuple[str, str, int]
"""Task, strategy and seed of a run."""
_IDENTITY = ["task", "strategy", "seed"]
_NUMBERS = ["cycle", "labels", "labels_strict", "accuracy"]


@dataclass(frozen=True)
class RunBudget:
    """What the leaderboard needs of one finished (task, strategy, seed) run.

    Attributes:
        interpolated: interpolated budget to target under each accounting.
        step: budget to target at the first confirmed grid point under each accounting.
        accuracy_at_cap: accuracy at the budget cap; NaN if the run ended before it.
        area: area under the label curve up to the cap; NaN if the run ended before it.
        cycle: the cycle whose model is read at the crossing, or at the cap without one.
    """

    interpolated: Mapping[Accounting, Budget]
    step: Mapping[Accounting, Budget]
    accuracy_at_cap: float
    area: float
    cycle: int


@dataclass(frozen=True)
class GridRun:
    """A finished run read on its label grid; any target can be looked up in it.

    Attributes:
        accuracy: accuracy at the grid points and at the confirming one, shape (n_points + 1,).
        axes: labels at the same points under each accounting.
        cycles: cycle of the model read at each of these points.
        cap_index: index of the budget cap.
        area: area under the label curve up to the cap; NaN if the run ended before it.
    """

    accuracy: NDArray[np.float64]
    axes: Mapping[Accounting, NDArray[np.float64]]
    cycles: NDArray[np.int64]
    cap_index: int
    area: float

    def budget(self, target: float) -> RunBudget:
        """Return the budget to a target accuracy."""
        crossing = find_crossing(self.accuracy, target, cap_index=self.cap_index)
        cap = self.cap_index
        return RunBudget(
            interpolated={name: crossing.interpolated(axis, cap) for name, axis in _items(self)},
            step={name: crossing.step(axis, cap) for name, axis in _items(self)},
            accuracy_at_cap=float(self.accuracy[cap]),
            area=self.area,
            cycle=int(self.cycles[cap if crossing.index is None else crossing.index]),
        )


def _items(run: GridRun) -> Iterator[tuple[Accounting, NDArray[np.float64]]]:
    return iter(run.axes.items())


def read_runs(curves: pd.DataFrame, context: ReportContext) -> dict[RunKey, GridRun]:
    """Read every finished run that the context asks for on the label grid of its task.

    Rows of other tasks, strategies and seeds play no part, nor do the rows of cells that the
    context lists as missing: their curves are unfinished.

    Args:
        curves: the curves in long form, one row a (task, strategy, seed, cycle), in any order.
        context: the question: tasks, strategies and seeds. Its target plays no part.

    Returns:
        Runs by (task, strategy, seed), in that order.

    Raises:
        ValueError: a curve has a cycle twice, or its label counts make no sense.
    """
    tasks = {facts.name: facts for facts in context.tasks}
    missing = {(cell.task, cell.strategy, cell.seed) for cell in context.missing}
    asked = curves[
        curves["task"].isin(list(tasks))
        & curves["strategy"].isin(context.strategies)
        & curves["seed"].isin(context.seeds)
    ].sort_values([*_IDENTITY, "cycle"])
    keys = list(zip(*(asked[name].tolist() for name in _IDENTITY), strict=True))
    numbers = asked[_NUMBERS].to_numpy(dtype=float)
    runs: dict[RunKey, GridRun] = {}
    start = 0
    for key, rows in itertools.groupby(keys):
        stop = start + sum(1 for _ in rows)
        if key not in missing:
            runs[key] = _read_run(key, numbers[start:stop], tasks[key[0]])
        start = stop
    return runs


def budgets_at(runs: Mapping[RunKey, GridRun], context: ReportContext) -> dict[RunKey, RunBudget]:
    """Return the budget of every run to the context's target."""
    return {key: run.budget(context.target_on(key[0])) for key, run in runs.items()}


def read_budgets(curves: pd.DataFrame, context: ReportContext) -> dict[RunKey, RunBudget]:
    """Read the budget to target of every finished run: ``budgets_at(read_runs(...))``."""
    return budgets_at(read_runs(curves, context), context)


def _read_run(key: RunKey, rows: NDArray[np.float64], facts: TaskFacts) -> GridRun:
    """Read one run, its rows in order of cycles, in paper and in strict labels."""
    cycles, labels, strict, values = rows.T
    if np.any(np.diff(cycles) == 0):
        raise ValueError(f"the curve of {key} has a cycle twice.")
    extra = strict - labels
    if not np.all(extra >= 0):
        raise ValueError("strict labels must be at least the paper labels in every cycle.")
    cap_index = len(facts.grid) - 1
    grid = np.array([*facts.grid, facts.cap + facts.query_labels], dtype=float)
    accuracy = read_at_grid(labels, values, grid)
    # Strict labels are the grid point plus what was read beyond the pool, so that the two
    # accountings of a strategy that reads nothing beyond it agree. A run that ended before the
    # cap keeps what it had read.
    ended = grid > labels[-1]
    beyond = np.where(ended, extra[-1], read_at_grid(labels, extra, grid))
    seen = np.where(ended, cycles[-1], read_at_grid(labels, cycles, grid))
    up_to_cap = slice(cap_index + 1)
    return GridRun(
        accuracy=accuracy,
        axes={"paper": grid, "strict": grid + beyond},
        cycles=np.nan_to_num(seen, nan=cycles[0]).astype(np.int64),
        cap_index=cap_index,
        area=area_under_curve(grid[up_to_cap], accuracy[up_to_cap]),
    )
