"""The mean of task means, with its t interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

# Relative width below which an interval is rounding error of equal values.
_ZERO_WIDTH = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean and its confidence interval.

    Attributes:
        mean: the point estimate.
        low: lower end of the interval; NaN where there is none.
        high: upper end of the interval; NaN where there is none.
    """

    mean: float
    low: float = math.nan
    high: float = math.nan

    def without_interval(self) -> Estimate:
        """Return the same mean without an interval."""
        return Estimate(self.mean)


def mean_of_task_means(samples: Sequence[ArrayLike], *, level: float = 0.95) -> Estimate:
    """Average over runs within each task, then over tasks with equal weights.

    Tasks are fixed, runs are random: with K tasks, the variance of the mean is
    sum_k(s_k^2 / n_k) / K^2, and its degrees of freedom follow Welch (1947) and
    Satterthwaite (1946). For one task this is the usual t interval with n - 1 degrees of freedom.

    Args:
        samples: one array of values over the runs for each task.
        level: confidence level of the interval.

    Returns:
        The mean and its t interval; no interval when a task has a single run, and none of zero
        width.

    Raises:
        ValueError: there is no task, or a task has no run.
    """
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    if not arrays or any(array.ndim != 1 or array.size == 0 for array in arrays):
        raise ValueError("a mean over tasks needs at least one task and one run in each.")
    mean = float(np.mean([array.mean() for array in arrays]))
    sizes = np.array([array.size for array in arrays])
    if sizes.min() < 2:
        return Estimate(mean)
    variances = np.array([array.var(ddof=1) for array in arrays]) / sizes
    error = math.sqrt(variances.sum()) / len(arrays)
    if error <= _ZERO_WIDTH * max(float(np.abs(array).max()) for array in arrays):
        return Estimate(mean)
    freedom = 1.0 / np.sum((variances / variances.sum()) ** 2 / (sizes - 1))
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    return Estimate(mean, mean - half, mean + half)
