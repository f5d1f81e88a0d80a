"""The leaderboard: one row a strategy, ranked by its budget to target over all tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fal_bench.reporting.budgets import RunBudget, RunKey
from fal_bench.reporting.columns import COLUMNS, KEYS
from fal_bench.reporting.context import ReportContext
from fal_bench.reporting.own_runs import OwnRuns, own_stream
from fal_bench.stats import (
    can_reject,
    holm,
    log_ratios,
    paired_saving,
    rank,
    rank_intervals,
    sign_flip_test,
)

ALPHA = 0.05
"""Level of the tests behind the verdicts, after Holm's correction."""

_AFTER_RANKED = {"external": 1, "incomplete": 2}
_TYPES = {column.key: column.dtype for column in COLUMNS if column.dtype}


def build_leaderboard(budgets: Mapping[RunKey, RunBudget], context: ReportContext) -> pd.DataFrame:
    """Rank strategies by the labels they need to reach the target.

    Only complete strategies, with a finished run for every task and seed of the context, are
    ranked: those that reached the target at least once by ``labels``, then those that never did,
    by ``labels`` and, where these are equal, by ``accuracy_final``. Equal strategies share the
    better rank. References (``context.references``) come after them, with their numbers but
    without a rank or a test, then external strategies (``context.externals``) that cannot be
    ranked; those that can are ranked, but not tested. Incomplete strategies come last, with their
    counts alone, since means over other runs would not compare. The result does not depend on the
    order of runs, strategies, tasks or seeds.

    Args:
        budgets: the budgets of the finished runs (``budgets_at``).
        context: the tasks, the strategies and the question asked.

    Returns:
        One row a strategy with the columns ``columns.COLUMNS``. Budgets are restricted means in
        labels, ``labels`` under the ranking accounting; ``saving_vs_random`` is a fraction and
        refers to ``context.baseline``, whatever its name; ``target_name`` is set where every task
        has a target of its own, and ``target_acc`` is their mean then; ``source`` is the file of an
        external strategy. NaN stands where there is no number or interval; ``ert`` is infinite
        where no run reached the target.

    Raises:
        ValueError: the context has no task or no seed.
    """
    if not context.tasks or not context.seeds:
        raise ValueError("a leaderboard needs at least one task and one seed.")
    rows, complete = [], {}
    for strategy in sorted(context.shown):
        own = OwnRuns.of(strategy, budgets, context)
        row = _counts(strategy, own, context)
        rows.append(row)
        if own.complete_tasks == len(context.tasks):
            complete[strategy] = own
            row.update({one.key: one.value(own) for one in COLUMNS if one.value is not None})
    _compare_with_baseline(rows, complete, context)
    unranked = {one.strategy for one in context.externals if one.unranked(context.accounting)}
    ranked = set(complete) - context.references - unranked
    _rank([row for row in rows if row["strategy"] in ranked], complete, context)
    rows.sort(key=_place)
    return pd.DataFrame(rows, columns=list(KEYS)).astype(_TYPES)


def _place(row: Mapping[str, Any]) -> tuple[float, int, str]:
    """Order by rank; then references, external strategies and incomplete ones."""
    place = math.inf if row["rank"] is pd.NA else row["rank"]
    return place, _AFTER_RANKED.get(row["verdict"], 0), row["strategy"]


def _counts(strategy: str, own: OwnRuns, context: ReportContext) -> dict[str, Any]:
    """Start the row of a strategy."""
    row = {
        column.key: column.given(context, strategy) if column.given else column.blank
        for column in COLUMNS
    }
    finished = [run for task in own.runs for run in task]
    row.update(
        tasks=own.complete_tasks,
        runs=len(finished),
        reached=sum(run.interpolated["paper"].reached for run in finished),
        verdict="external" if context.external(strategy) else "incomplete",
    )
    return row


def places(own: Sequence[OwnRuns]) -> list[int]:
    """Return the ranks of complete strategies, from 1; equal ones share the better rank.

    Args:
        own: the runs of each strategy; their labels that rank are known.
    """
    found: list[int] = rank(
        [one.budget.mean for one in own],
        [any(run.reached for task in one.ranking for run in task) for one in own],
        [one.context.sign * one.mean(lambda run: run.accuracy_at_cap) for one in own],
    ).tolist()
    return found


def _rank(
    rows: list[dict[str, Any]], complete: Mapping[str, OwnRuns], context: ReportContext
) -> None:
    """Give complete strategies their rank, and its interval over tasks and seeds."""
    if not rows:
        return
    own = [complete[row["strategy"]] for row in rows]
    for row, place in zip(rows, places(own), strict=True):
        row["rank"] = place
    intervals = rank_intervals(
        np.array([[[run.labels for run in task] for task in mine.ranking] for mine in own]),
        np.array([[[run.reached for run in task] for task in mine.ranking] for mine in own]),
        context.sign * np.array([mine.read(lambda run: run.accuracy_at_cap) for mine in own]),
        own_stream(),
    )
    if intervals is None or len(rows) < 2:
        return
    for row, low, high in zip(rows, *intervals, strict=True):
        row.update(rank_low=int(low), rank_high=int(high))


def _compare_with_baseline(
    rows: Sequence[dict[str, Any]], complete: Mapping[str, OwnRuns], context: ReportContext
) -> None:
    """Fill in savings, p-values and verdicts of the complete strategies.

    External strategies get neither: imported runs are not known to be paired with these.

    Args:
        rows: rows of the leaderboard, changed in place.
        complete: the runs of every complete strategy.
        context: the question, for baseline and references.
    """
    tested, p_values = [], []
    baseline = complete.get(context.baseline)
    for row in rows:
        own = complete.get(row["strategy"])
        if own is None or row["verdict"] == "external":
            continue
        if row["strategy"] == context.baseline:
            row.update(saving_vs_random=0.0, verdict="baseline")
            continue
        row["verdict"] = "not comparable"
        p_value = None if baseline is None else _saving(row, own, baseline)
        if row["strategy"] in context.references:
            row["verdict"] = "reference"  # no test: it is no competitor
        elif p_value is not None:
            tested.append(row)
            p_values.append(p_value)
    for row, adjusted in zip(tested, holm(p_values), strict=True):
        row["p_holm"] = float(adjusted)
        row["verdict"] = _verdict(row, comparisons=len(tested))


def _saving(row: dict[str, Any], own: OwnRuns, baseline: OwnRuns) -> float | None:
    """Fill in the saving; return the unadjusted p-value, or None if there is no comparing."""
    pair = own.ranking, baseline.ranking
    saving = paired_saving(*pair)
    row.update(
        pairs_strategy_censored=saving.strategy_censored,
        pairs_baseline_censored=saving.baseline_censored,
        pairs_both_censored=saving.both_censored,
    )
    if not saving.comparable:
        return None
    row.update(saving_vs_random=saving.saving, saving_low=saving.low, saving_high=saving.high)
    return sign_flip_test(log_ratios(*pair), own_stream())


def _verdict(row: dict[str, Any], comparisons: int) -> str:
    if not can_reject(row["runs"], comparisons, alpha=ALPHA):
        return "n too small"
    if row["p_holm"] > ALPHA:
        return "no evidence"
    return "better" if row["saving_vs_random"] > 0 else "worse"
