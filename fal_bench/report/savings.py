"""Paired comparison of complete strategies with the baseline: savings, tests and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fal_bench.report.context import ReportContext
from fal_bench.report.own_runs import OwnRuns, own_stream
from fal_bench.stats import can_reject, holm, log_ratios, paired_saving, sign_flip_test

ALPHA = 0.05
"""Level of the tests behind the verdicts, after Holm's correction."""


def compare_with_baseline(
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
