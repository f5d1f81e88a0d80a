"""Statistics of the budget to target: pure NumPy and SciPy, nothing of ours."""

from fal_bench.stats.censoring import kaplan_meier_mean, restricted_mean, wilson_interval
from fal_bench.stats.crossing import Budget, Crossing, find_crossing
from fal_bench.stats.ecdf import BudgetEcdf, budget_ecdf
from fal_bench.stats.grid import area_under_curve, read_at_grid
from fal_bench.stats.means import FEWEST_FOR_INTERVAL, Estimate, mean_of_task_means
from fal_bench.stats.paired import (
    PairedSaving,
    can_reject,
    holm,
    log_ratios,
    paired_saving,
    sign_flip_test,
)
from fal_bench.stats.ranks import rank, rank_intervals
from fal_bench.stats.restarts import expected_restart_labels, median_budget

__all__ = [
    "FEWEST_FOR_INTERVAL",
    "Budget",
    "BudgetEcdf",
    "Crossing",
    "Estimate",
    "PairedSaving",
    "area_under_curve",
    "budget_ecdf",
    "can_reject",
    "expected_restart_labels",
    "find_crossing",
    "holm",
    "kaplan_meier_mean",
    "log_ratios",
    "mean_of_task_means",
    "median_budget",
    "paired_saving",
    "rank",
    "rank_intervals",
    "read_at_grid",
    "restricted_mean",
    "sign_flip_test",
    "wilson_interval",
]
