"""The numbers of one complete strategy that need no other strategy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from fal_bench.report.budgets import RunBudget
from fal_bench.report.context import Accounting, ReportContext
from fal_bench.stats import (
    Budget,
    expected_restart_labels,
    mean_of_task_means,
    median_budget,
    restricted_mean,
    wilson_interval,
)

Runs = Sequence[Sequence[RunBudget]]
"""Runs of one strategy: a list over tasks of a list over seeds, in one order for everyone."""

_T = TypeVar("_T")


def own_stream() -> np.random.Generator:
    """Return a new stream for one statistic of one strategy.

    It is the same for all of them, so that adding a strategy cannot shift another one's number.
    """
    return np.random.Generator(np.random.Philox(key=0))


def summarise_runs(runs: Runs, context: ReportContext) -> dict[str, Any]:
    """Average a complete strategy's budgets over its runs and tasks.

    Args:
        runs: its runs, tasks in the order of their names.
        context: the question, for accounting and tasks.

    Returns:
        Values by column of the leaderboard; those that need labels which an external strategy
        does not give are left out.
    """
    paper = interpolated(runs, "paper")
    pools = [facts.pool for facts in sorted(context.tasks, key=lambda facts: facts.name)]
    shares = [
        [100 * run.labels / pool for run in task] for task, pool in zip(paper, pools, strict=True)
    ]
    values = {
        "labels_paper": restricted_mean(paper).mean,
        "budget_pct": mean_of_task_means(shares).mean,
        "accuracy_final": _mean_of_tasks(map_runs(runs, lambda run: run.accuracy_at_cap)),
        "aulc": _mean_of_tasks(map_runs(runs, lambda run: run.area)),
    }
    strict_known = all("strict" in run.interpolated for task in runs for run in task)
    if strict_known:
        values["labels_strict"] = restricted_mean(interpolated(runs, "strict")).mean
    if strict_known or context.accounting == "paper":
        values.update(_ranking(runs, context))
    return values


def _ranking(runs: Runs, context: ReportContext) -> dict[str, Any]:
    """Average the budgets under the accounting that ranks."""
    ranking = interpolated(runs, context.accounting)
    labels = restricted_mean(ranking)
    initial = float(np.mean([facts.grid[0] for facts in context.tasks]))
    return {
        "labels": labels.mean,
        # No budget is below the initial labels, so no interval says so.
        "labels_low": max(labels.low, initial) if math.isfinite(labels.low) else math.nan,
        "labels_high": labels.high,
        "labels_step": restricted_mean(map_runs(runs, lambda r: r.step[context.accounting])).mean,
        **_secondary(ranking),
    }


def interpolated(runs: Runs, accounting: Accounting) -> list[list[Budget]]:
    """Return the interpolated budgets under an accounting."""
    return map_runs(runs, lambda run: run.interpolated[accounting])


def map_runs(runs: Runs, read: Callable[[RunBudget], _T]) -> list[list[_T]]:
    """Read something off every run."""
    return [[read(run) for run in task] for task in runs]


def _mean_of_tasks(values: list[list[float]]) -> float:
    return float(np.mean([np.mean(task) for task in values]))


def _secondary(budgets: list[list[Budget]]) -> dict[str, Any]:
    """Median, expected labels with restarts, and the interval of the share that reached."""
    medians = [median_budget(task) for task in budgets]
    restarts = expected_restart_labels(budgets, own_stream())
    flat = [run.reached for task in budgets for run in task]
    low, high = wilson_interval(sum(flat), len(flat))
    return {
        "median": float(np.mean([median.labels for median in medians])),
        "median_reached": all(median.reached for median in medians),
        "ert": restarts.mean,
        "ert_low": restarts.low,
        "ert_high": restarts.high,
        "reached_low": low,
        "reached_high": high,
    }
