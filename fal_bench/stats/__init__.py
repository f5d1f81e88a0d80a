"""Statistics of the budget to target: pure NumPy and SciPy, nothing of ours."""

from fal_bench.stats.censoring import restricted_mean, wilson_interval
from fal_bench.stats.crossing import Budget, Crossing, find_crossing
from fal_bench.stats.grid import read_at_grid
from fal_bench.stats.means import Estimate, mean_of_task_means
from fal_bench.stats.paired import (
    PairedSaving,
    can_reject,
    holm,
    log_ratios,
    paired_saving,
    sign_flip_test,
)

__all__ = [
    "Budget",
    "Crossing",
    "Estimate",
    "PairedSaving",
    "can_reject",
    "find_crossing",
    "holm",
    "log_ratios",
    "mean_of_task_means",
    "paired_saving",
    "read_at_grid",
    "restricted_mean",
    "sign_flip_test",
    "wilson_interval",
]
