"""The leaderboard: one row a strategy, ranked by its budget to target over all tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fal_bench.report.budgets import RunBudget, RunKey, read_budgets
from fal_bench.report.columns import COLUMNS, KEYS
from fal_bench.report.context import External, ReportContext
from fal_bench.report.own_runs import OwnRuns, own_stream
from fal_bench.report.savings import compare_with_baseline
from fal_bench.stats import rank, rank_intervals

_AFTER_RANKED = {"external": 1, "incomplete": 2}
_TYPES = {column.key: column.dtype for column in COLUMNS if column.dtype}


def build_leaderboard(curves: pd.DataFrame, context: ReportContext) -> pd.DataFrame:
    """Rank strategies by the labels they need to reach the target accuracy.

    Only complete strategies, with a finished run for every task and seed of the context, are
    ranked: those that reached the target at least once by ``labels``, then those that never did,
    by ``labels`` and, where these are equal, by ``accuracy_final``. Equal strategies share the
    better rank. References (``context.references``) come after them, with their numbers but
    without a rank or a test, then external strategies (``context.externals``) that cannot be
    ranked; those that can are ranked, but not tested. Incomplete strategies come last, with their
    counts alone, since means over other runs would not compare. The result does not depend on the
    order of rows, strategies, tasks or seeds.

    Args:
        curves: one row a (task, strategy, seed, cycle), with at least these columns and
            ``labels`` (paper labels over all clients), ``labels_strict`` and ``accuracy`` of the
            model trained with them.
        context: the tasks, the strategies and the question asked.

    Returns:
        One row a strategy with the columns ``columns.COLUMNS``. Budgets are restricted means in
        labels, ``labels`` under the ranking accounting; ``saving_vs_random`` is a fraction and
        refers to ``context.baseline``, whatever its name; ``target_name`` is set where every task
        has a target of its own, and ``target_acc`` is their mean then; ``source`` is the file of an
        external strategy. NaN stands where there is no number or interval; ``ert`` is infinite
        where no run reached the target.

    Raises:
        ValueError: the context has no task or no seed, or a curve is malformed.
    """
    return rank_budgets(read_budgets(curves, context), context)


def rank_budgets(budgets: Mapping[RunKey, RunBudget], context: ReportContext) -> pd.DataFrame:
    """Rank strategies by budgets that were read before: see ``build_leaderboard``."""
    if not context.tasks or not context.seeds:
        raise ValueError("a leaderboard needs at least one task and one seed.")
    rows, complete = [], {}
    for strategy in sorted(set(context.shown)):
        row, own = _counts(strategy, budgets, context)
        rows.append(row)
        if own is not None:
            complete[strategy] = own
            row.update({one.key: one.value(own) for one in COLUMNS if one.value is not None})
    compare_with_baseline(rows, complete, context)
    unranked = {one.strategy for one in context.externals if one.unranked(context.accounting)}
    ranked = set(complete) - context.references - unranked
    _rank([row for row in rows if row["strategy"] in ranked], complete, context)
    rows.sort(key=_place)
    return pd.DataFrame(rows, columns=list(KEYS)).astype(_TYPES)


def _place(row: Mapping[str, Any]) -> tuple[float, int, str]:
    """Order by rank; then references, external strategies and incomplete ones."""
    place = math.inf if row["rank"] is pd.NA else row["rank"]
    return place, _AFTER_RANKED.get(row["verdict"], 0), row["strategy"]


def _counts(
    strategy: str, budgets: Mapping[RunKey, RunBudget], context: ReportContext
) -> tuple[dict[str, Any], OwnRuns | None]:
    """Start the row of a strategy; also return its runs if none is missing."""
    external = context.external(strategy)
    tasks = sorted({facts.name for facts in context.tasks})
    expected = [sorted(_seeds(task, external, context)) for task in tasks]
    runs = [
        [budgets[key] for seed in seeds if (key := (task, strategy, seed)) in budgets]
        for task, seeds in zip(tasks, expected, strict=True)
    ]
    finished = [run for task in runs for run in task]
    complete_tasks = sum(
        0 < len(task) == len(seeds) for task, seeds in zip(runs, expected, strict=True)
    )
    row: dict[str, Any] = {
        column.key: column.given(context, strategy) if column.given else column.blank
        for column in COLUMNS
    }
    row.update(
        tasks=complete_tasks,
        runs=len(finished),
        reached=sum(run.interpolated["paper"].reached for run in finished),
        verdict="external" if external else "incomplete",
    )
    return row, OwnRuns(runs, context) if complete_tasks == len(runs) else None


def _seeds(task: str, external: External | None, context: ReportContext) -> set[int]:
    """Return the seeds that a strategy must have on a task."""
    if external is None:
        return set(context.seeds)
    return {seed for name, seed in external.runs if name == task}


def _rank(
    rows: list[dict[str, Any]], complete: Mapping[str, OwnRuns], context: ReportContext
) -> None:
    """Give complete strategies their rank, and its interval over tasks and seeds."""
    if not rows:
        return
    own = [complete[row["strategy"]] for row in rows]
    sign = 1 if context.higher_is_better else -1
    places = rank(
        [row["labels"] for row in rows],
        [row["reached"] > 0 for row in rows],
        [sign * row["accuracy_final"] for row in rows],
    )
    for row, place in zip(rows, places, strict=True):
        row["rank"] = int(place)
    intervals = rank_intervals(
        np.array([[[run.labels for run in task] for task in mine.ranking] for mine in own]),
        np.array([[[run.reached for run in task] for task in mine.ranking] for mine in own]),
        sign * np.array([mine.read(lambda run: run.accuracy_at_cap) for mine in own]),
        own_stream(),
    )
    if intervals is None or len(rows) < 2:
        return
    for row, low, high in zip(rows, intervals.low, intervals.high, strict=True):
        row.update(rank_low=int(low), rank_high=int(high))
