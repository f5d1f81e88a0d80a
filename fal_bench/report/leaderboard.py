"""The leaderboard: one row a strategy, ranked by its budget to target over all tasks."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from fal_bench.errors import StoreError
from fal_bench.report.budgets import RunBudget, read_budgets
from fal_bench.report.context import Accounting, ReportContext
from fal_bench.stats import (
    Budget,
    can_reject,
    holm,
    log_ratios,
    mean_of_task_means,
    paired_saving,
    restricted_mean,
    sign_flip_test,
)

COLUMNS = (
    "rank",
    "strategy",
    "target_acc",
    "accounting",
    "tasks",
    "runs",
    "reached",
    "labels",
    "labels_low",
    "labels_high",
    "labels_step",
    "labels_paper",
    "labels_strict",
    "budget_pct",
    "saving_vs_random",
    "saving_low",
    "saving_high",
    "p_holm",
    "verdict",
    "accuracy_final",
)
_ALPHA = 0.05
_SAME_LABELS = 1e-9

_T = TypeVar("_T")
# Runs of one strategy: a list over tasks of a list over seeds, in one order for all strategies.
_Runs = Sequence[Sequence[RunBudget]]


def build_leaderboard(curves: pd.DataFrame, context: ReportContext) -> pd.DataFrame:
    """Rank strategies by the labels they need to reach the target accuracy.

    Only complete strategies, with a finished run for every task and seed of the context, are
    ranked: those that reached the target at least once by ``labels``, then those that never did,
    by ``labels`` and, where these are equal, by ``accuracy_final``. Equal strategies share the
    better rank. Incomplete ones come last, with their counts alone, since means over other runs
    would not compare. The result does not depend on the order of rows, strategies, tasks or seeds.

    Args:
        curves: one row a (task, strategy, seed, cycle), with at least these columns and
            ``labels`` (paper labels over all clients), ``labels_strict`` and ``accuracy`` of the
            model trained with them.
        context: the tasks, the strategies and the question asked.

    Returns:
        One row a strategy with the columns ``COLUMNS``. Budgets are restricted means in labels,
        ``labels`` under the ranking accounting; ``saving_vs_random`` is a fraction and refers to
        ``context.baseline``, whatever its name. NaN stands where there is no number or interval.

    Raises:
        ValueError: the context has no task or no seed, or a curve is malformed.
    """
    if not context.tasks or not context.seeds:
        raise ValueError("a leaderboard needs at least one task and one seed.")
    budgets = read_budgets(curves, context)
    rows, complete = [], {}
    for strategy in sorted(set(context.strategies)):
        row, runs = _counts(strategy, budgets, context)
        rows.append(row)
        if runs is not None:
            complete[strategy] = runs
            row.update(_summary(runs, context))
    _compare(rows, complete, context)
    _rank([row for row in rows if row["strategy"] in complete])
    rows.sort(key=lambda row: (math.inf if row["rank"] is pd.NA else row["rank"], row["strategy"]))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rank": "Int64"})


def _counts(
    strategy: str, budgets: dict[tuple[str, str, int], RunBudget], context: ReportContext
) -> tuple[dict[str, Any], _Runs | None]:
    """Start the row of a strategy; also return its runs if none is missing."""
    seeds = sorted(set(context.seeds))
    runs = [
        [budgets[key] for seed in seeds if (key := (task, strategy, seed)) in budgets]
        for task in sorted({facts.name for facts in context.tasks})
    ]
    finished = [run for task in runs for run in task]
    complete_tasks = sum(len(task) == len(seeds) for task in runs)
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
    row.update(
        rank=pd.NA,
        strategy=strategy,
        target_acc=context.target,
        accounting=context.accounting,
        tasks=complete_tasks,
        runs=len(finished),
        reached=sum(run.interpolated["paper"].reached for run in finished),
        verdict="incomplete",
    )
    return row, runs if complete_tasks == len(runs) else None


def _summary(runs: _Runs, context: ReportContext) -> dict[str, float]:
    """Average a complete strategy's budgets over its runs and tasks."""
    ranking = restricted_mean(_interpolated(runs, context.accounting))
    steps = _map_runs(runs, lambda run: run.step[context.accounting])
    paper = _interpolated(runs, "paper")
    pools = [facts.pool for facts in sorted(context.tasks, key=lambda facts: facts.name)]
    shares = [
        [100 * run.labels / pool for run in task] for task, pool in zip(paper, pools, strict=True)
    ]
    accuracy = _map_runs(runs, lambda run: run.accuracy_at_cap)
    initial = float(np.mean([facts.grid[0] for facts in context.tasks]))
    return {
        "labels": ranking.mean,
        # No budget is below the initial labels, so no interval says so.
        "labels_low": max(ranking.low, initial) if math.isfinite(ranking.low) else math.nan,
        "labels_high": ranking.high,
        "labels_step": restricted_mean(steps).mean,
        "labels_paper": restricted_mean(paper).mean,
        "labels_strict": restricted_mean(_interpolated(runs, "strict")).mean,
        "budget_pct": mean_of_task_means(shares).mean,
        "accuracy_final": float(np.mean([np.mean(task) for task in accuracy])),
    }


def _interpolated(runs: _Runs, accounting: Accounting) -> list[list[Budget]]:
    return _map_runs(runs, lambda run: run.interpolated[accounting])


def _map_runs(runs: _Runs, read: Callable[[RunBudget], _T]) -> list[list[_T]]:
    return [[read(run) for run in task] for task in runs]


def _compare(
    rows: list[dict[str, Any]], complete: dict[str, _Runs], context: ReportContext
) -> None:
    """Fill in savings, p-values and verdicts of the complete strategies."""
    tested, p_values = [], []
    baseline = complete.get(context.baseline)
    for row in rows:
        runs = complete.get(row["strategy"])
        if runs is None:
            continue
        if row["strategy"] == context.baseline:
            row.update(saving_vs_random=0.0, verdict="baseline")
            continue
        row["verdict"] = "not comparable"
        p_value = None if baseline is None else _saving(row, runs, baseline, context.accounting)
        if p_value is not None:
            tested.append(row)
            p_values.append(p_value)
    for row, adjusted in zip(tested, holm(p_values), strict=True):
        row["p_holm"] = float(adjusted)
        row["verdict"] = _verdict(row, comparisons=len(tested))


def _saving(
    row: dict[str, Any], runs: _Runs, baseline: _Runs, accounting: Accounting
) -> float | None:
    """Fill in the saving; return the unadjusted p-value, or None if there is no comparing."""
    pair = _interpolated(runs, accounting), _interpolated(baseline, accounting)
    saving = paired_saving(*pair)
    if not saving.comparable:
        return None
    row.update(saving_vs_random=saving.saving, saving_low=saving.low, saving_high=saving.high)
    # Every comparison draws the same sign patterns from a stream of its own, so that adding a
    # strategy cannot shift another one's p-value.
    rng = np.random.Generator(np.random.Philox(key=0))
    return sign_flip_test(log_ratios(*pair), rng)


def _verdict(row: dict[str, Any], comparisons: int) -> str:
    if not can_reject(row["runs"], comparisons, alpha=_ALPHA):
        return "n too small"
    if row["p_holm"] > _ALPHA:
        return "no evidence"
    return "better" if row["saving_vs_random"] > 0 else "worse"


def _rank(rows: list[dict[str, Any]]) -> None:
    """Give complete strategies their rank; equal ones share the better rank."""
    rows = sorted(rows, key=lambda row: (row["reached"] == 0, row["labels"]))
    keys: list[tuple[bool, float, float]] = []
    for row in rows:
        never, labels = row["reached"] == 0, row["labels"]
        if keys and keys[-1][0] == never:
            tied = math.isclose(labels, keys[-1][1], rel_tol=_SAME_LABELS)
            labels = keys[-1][1] if tied else labels
        # Accuracy decides only among those that never reached the target; NaN comes last.
        accuracy = row["accuracy_final"] if never else 0.0
        keys.append((never, labels, math.inf if math.isnan(accuracy) else -accuracy))
    for row, key in zip(rows, keys, strict=True):
        row["rank"] = 1 + sum(other < key for other in keys)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV so that a reader sees the old file or the new one, never a part.

    Floats are written with the fewest digits that read back to the same number, so equal tables
    give equal bytes. Missing values are empty fields.

    Args:
        frame: the table; its index is not written.
        path: the file to write or replace; its folder must exist.

    Raises:
        StoreError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            frame.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"Cannot write {path} ({error.strerror or error}); "
            f"check that its folder exists and may be written to."
        ) from error
