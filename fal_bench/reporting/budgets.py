"""From stored curves to one budget to target a run."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fal_bench.reporting.context import Accounting, ReportContext, TaskFacts
from fal_bench.stats import Budget, Crossing, area_under_curve, find_crossing, read_at_grid

RunKey = tuple[str, str, int]
"""Task, strategy and seed of a run."""
_IDENTITY = ["task", "strategy", "seed"]
_NUMBERS = ["cycle", "labels", "labels_strict"]


@dataclass(frozen=True)
class RunBudget:
    """What the leaderboard needs of one finished (task, strategy, seed) run.

    Attributes:
        interpolated: interpolated budget to target under each accounting that is known.
        step: budget to target at the first confirmed grid point under the same.
        accuracy_at_cap: the metric at the budget cap; NaN if the run ended before it.
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
        accuracy: the metric at the grid points and at the confirming one, shape (n_points + 1,).
        axes: labels at the same points under each accounting; strict ones are left out where an
            external curve does not give them.
        cycles: cycle of the model read at each of these points.
        sign: 1 if the metric reaches a target from below, -1 from above.
    """

    accuracy: NDArray[np.float64]
    axes: Mapping[Accounting, NDArray[np.float64]]
    cycles: NDArray[np.int64]
    sign: int

    @property
    def cap_index(self) -> int:
        """Index of the budget cap."""
        return self.accuracy.size - 2

    @cached_property
    def area(self) -> float:
        """Area under the label curve up to the cap; NaN if the run ended before it."""
        return area_under_curve(self.axes["paper"][:-1], self.accuracy[:-1])

    def budget(self, target: float) -> RunBudget:
        """Return the budget to a target."""
        crossing, cap, axes = self._crossing(target), self.cap_index, self.axes.items()
        return RunBudget(
            interpolated={name: crossing.interpolated(axis, cap) for name, axis in axes},
            step={name: crossing.step(axis, cap) for name, axis in axes},
            accuracy_at_cap=float(self.accuracy[cap]),
            area=self.area,
            cycle=int(self.cycles[cap if crossing.index is None else crossing.index]),
        )

    def shows(self, target: float) -> bool:
        """Tell whether the curve shows where it reaches a target, or that it does not.

        One that begins at the target, or ends before the cap without having reached it, does not.
        Curves of runs leave nothing open: they begin at the initial labels, and a short one is
        that of a strategy that under-spent to its last cycle.
        """
        index = self._crossing(target).index
        if index is not None:
            return index == 0 or not np.isnan(self.accuracy[index - 1])
        last, confirming = self.sign * self.accuracy[-2:]
        target *= self.sign
        return bool(last < target or (last >= target and not np.isnan(confirming)))

    def _crossing(self, target: float) -> Crossing:
        return find_crossing(
            self.sign * self.accuracy, self.sign * target, cap_index=self.cap_index
        )


def read_runs(
    curves: pd.DataFrame, context: ReportContext, external: pd.DataFrame | None = None
) -> dict[RunKey, GridRun]:
    """Read every finished run that the context asks for on the label grid of its task.

    Rows of other tasks, strategies and seeds play no part, nor do the rows of runs that the
    context lists as missing: their curves are unfinished, or do not have the metric.

    Args:
        curves: the curves in long form, one row a (task, strategy, seed, cycle), in any order.
        context: the question: tasks, strategies and seeds. Its target plays no part.
        external: the curves of the context's external strategies, all of which take part.

    Returns:
        Runs by (task, strategy, seed), in that order, external ones last.

    Raises:
        ValueError: a curve has a cycle twice, or its label counts make no sense.
    """
    missing = {(run.task, run.strategy, run.seed) for run in context.missing}
    asked = curves[
        curves["task"].isin(context.task_names)
        & curves["strategy"].isin(context.strategies)
        & curves["seed"].isin(context.seeds)
    ]
    runs = dict(_runs_of(asked, context, missing))
    if external is not None:
        runs.update(_runs_of(external, context))
    return runs


def unrecorded_runs(curves: pd.DataFrame, metric: str) -> set[RunKey]:
    """Return the runs whose curves do not have a metric."""
    keys = list(zip(*(curves[name].tolist() for name in _IDENTITY), strict=True))
    if metric not in curves:
        return set(keys)
    recorded = curves[metric].notna().tolist()
    return set(keys) - {key for key, one in zip(keys, recorded, strict=True) if one}


def _runs_of(
    curves: pd.DataFrame, context: ReportContext, left_out: Collection[RunKey] = ()
) -> Iterator[tuple[RunKey, GridRun]]:
    tasks = {facts.name: facts for facts in context.tasks}
    left_out = {*left_out, *unrecorded_runs(curves, context.metric)}
    if context.metric not in curves:
        return
    ordered = curves.sort_values([*_IDENTITY, "cycle"])
    keys = list(zip(*(ordered[name].tolist() for name in _IDENTITY), strict=True))
    numbers = ordered[[*_NUMBERS, context.metric]].to_numpy(dtype=float)
    start = 0
    for key, rows in itertools.groupby(keys):
        stop = start + sum(1 for _ in rows)
        if key not in left_out:
            yield key, _read_run(key, numbers[start:stop], tasks[key[0]], context.sign)
        start = stop


def budgets_at(runs: Mapping[RunKey, GridRun], context: ReportContext) -> dict[RunKey, RunBudget]:
    """Return the budget of every run to the context's target.

    External runs that do not follow the task's protocol are left out where they do not show it
    (``GridRun.shows``).
    """
    doubtful = {one.strategy for one in context.externals if one.obstacle}
    targets = {name: context.target_on(name) for name in context.task_names}
    return {
        key: run.budget(targets[key[0]])
        for key, run in runs.items()
        if key[1] not in doubtful or run.shows(targets[key[0]])
    }


def _read_run(key: RunKey, rows: NDArray[np.float64], facts: TaskFacts, sign: int) -> GridRun:
    """Read one run, its rows in order of cycles, in paper and in strict labels."""
    cycles, labels, strict, values = rows.T
    if np.any(np.diff(cycles) == 0):
        raise ValueError(f"the curve of {key} has a cycle twice.")
    extra = strict - labels
    if np.any(extra < 0):
        raise ValueError("strict labels must be at least the paper labels in every cycle.")
    grid = np.array([*facts.grid, facts.cap + facts.query_labels], dtype=float)
    accuracy = read_at_grid(labels, values, grid)
    # Strict labels are the grid point plus what was read beyond the pool, so that the two
    # accountings of a strategy that reads nothing beyond it agree. A run that ended before the
    # cap keeps what it had read, and one from elsewhere may begin late.
    ended = grid > labels[-1]
    beyond = np.where(ended, extra[-1], read_at_grid(labels, extra, grid))
    beyond = np.where(grid < labels[0], extra[0], beyond)
    seen = np.where(ended, cycles[-1], read_at_grid(labels, cycles, grid))
    axes: dict[Accounting, NDArray[np.float64]] = {"paper": grid}
    if not np.any(np.isnan(strict)):
        axes["strict"] = grid + beyond
    return GridRun(
        accuracy=accuracy,
        axes=axes,
        cycles=np.nan_to_num(seen, nan=cycles[0]).astype(np.int64),
        sign=sign,
    )
