"""From stored curves to one budget to target a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from fal_bench.report.context import Accounting, ReportContext, TaskFacts
from fal_bench.stats import Budget, find_crossing, read_at_grid


@dataclass(frozen=True)
class RunBudget:
    """What the leaderboard needs of one finished (task, strategy, seed) run.

    Attributes:
        interpolated: interpolated budget to target under each accounting.
        step: budget to target at the first confirmed grid point under each accounting.
        accuracy_at_cap: accuracy at the budget cap; NaN if the run ended before it.
    """

    interpolated: Mapping[Accounting, Budget]
    step: Mapping[Accounting, Budget]
    accuracy_at_cap: float


def read_budgets(
    curves: pd.DataFrame, context: ReportContext
) -> dict[tuple[str, str, int], RunBudget]:
    """Read the budget to target of every finished run that the context asks for.

    Rows of other tasks, strategies and seeds play no part, nor do the rows of cells that the
    context lists as missing: their curves are unfinished.

    Args:
        curves: the curves in long form, one row a (task, strategy, seed, cycle), in any order.
        context: the question: tasks, strategies, seeds and target.

    Returns:
        Budgets by (task, strategy, seed).

    Raises:
        ValueError: a curve has a cycle twice, or its label counts make no sense.
    """
    tasks = {facts.name: facts for facts in context.tasks}
    missing = {(cell.task, cell.strategy, cell.seed) for cell in context.missing}
    asked = curves[
        curves["task"].isin(list(tasks))
        & curves["strategy"].isin(context.strategies)
        & curves["seed"].isin(context.seeds)
    ]
    budgets = {}
    for cell, curve in asked.groupby(["task", "strategy", "seed"], observed=True):
        key = cast("tuple[str, str, int]", cell)
        if key in missing:
            continue
        if curve["cycle"].duplicated().any():
            raise ValueError(f"the curve of {key} has a cycle twice.")
        budgets[key] = _read_run(curve.sort_values("cycle"), tasks[key[0]], context.target)
    return budgets


def _read_run(curve: pd.DataFrame, facts: TaskFacts, target: float) -> RunBudget:
    """Find one run's crossing, and read it in paper and in strict labels."""
    cap_index = len(facts.grid) - 1
    grid = np.array([*facts.grid, facts.cap + facts.query_labels], dtype=float)
    labels = curve["labels"].to_numpy(dtype=float)
    extra = curve["labels_strict"].to_numpy(dtype=float) - labels
    if not np.all(extra >= 0):
        raise ValueError("strict labels must be at least the paper labels in every cycle.")
    accuracy = read_at_grid(labels, curve["accuracy"].to_numpy(dtype=float), grid)
    crossing = find_crossing(accuracy, target, cap_index=cap_index)
    # Strict labels are the grid point plus what was read beyond the pool, so that the two
    # accountings of a strategy that reads nothing beyond it agree. A run that ended before the
    # cap keeps what it had read.
    beyond = np.where(grid > labels[-1], extra[-1], read_at_grid(labels, extra, grid))
    axes: dict[Accounting, np.ndarray] = {"paper": grid, "strict": grid + beyond}
    return RunBudget(
        interpolated={name: crossing.interpolated(axis, cap_index) for name, axis in axes.items()},
        step={name: crossing.step(axis, cap_index) for name, axis in axes.items()},
        accuracy_at_cap=float(accuracy[cap_index]),
    )
