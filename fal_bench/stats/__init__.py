"""Statistics of the budget to target: pure NumPy and SciPy, nothing of ours."""

from fal_bench.stats.censoring import kaplan_meier_mean, restricted_mean, wilson_interval
from fal_bench.stats.crossing import Budget, Crossing, find_crossing, find_crossings
from fal_bench.stats.ecdf import BudgetEcdf, budget_ecdf
from fal_bench.stats.looks import area_under_curve, curve_at, models_read
from fal_bench.stats.means import FEWEST_FOR_INTERVAL, Estimate, mean_of_task_means
from fal_bench.stats.paired import (
    FEWEST_SEEDS,
    CensoredPairs,
    Simultaneous,
    censored_pairs,
    mean_over_tasks,
    rank_ranges,
    saving,
    simultaneous_intervals,
)
from fal_bench.stats.ranks import rank
from fal_bench.stats.restarts import expected_restart_labels, median_budget

__all__ = [
    "FEWEST_FOR_INTERVAL",
    "FEWEST_SEEDS",
    "Budget",
    "BudgetEcdf",
    "CensoredPairs",
    "Crossing",
    "Estimate",
    "Simultaneous",
    "area_under_curve",
    "budget_ecdf",
    "censored_pairs",
    "curve_at",
    "expected_restart_labels",
    "find_crossing",
    "find_crossings",
    "kaplan_meier_mean",
    "mean_of_task_means",
    "mean_over_tasks",
    "median_budget",
    "models_read",
    "rank",
    "rank_ranges",
    "restricted_mean",
    "saving",
    "simultaneous_intervals",
    "wilson_interval",
]
