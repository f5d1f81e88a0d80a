"""The mean of task means, with its t interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

FEWEST_FOR_INTERVAL = 3
"""Runs of every task that an interval over runs takes.

An interval from two runs of a task covers as often as it should, but says nothing: its t quantile
is 12.7 with one task, and its typical width three to four times what the spread of runs warrants.
"""

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


def mean_of_task_means(samples: Sequence[ArrayLike], *, level: float = 0.95) -> Estimate:
    """Average over runs within each task, then over tasks with equal weights.

    Tasks are fixed, runs are random: with K tasks, the variance of the mean is
    sum_k(s_k^2 / n_k) / K^2, and its degrees of freedom follow Welch (1947) and
    Satterthwaite (1946). For one task this is the usual t interval with n - 1 degrees of freedom.

    Args:
        samples: one array of values over the runs for each task.
        level: confidence level of the interval.

    Returns:
        The mean and its t interval; no interval when a task has fewer than
        ``FEWEST_FOR_INTERVAL`` runs, and none of zero width.

    Raises:
        ValueError: there is no task, or a task has no run.
    """
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    if not arrays or any(array.ndim != 1 or array.size == 0 for array in arrays):
        raise ValueError("a mean over tasks needs at least one task and one run in each.")
    return combine_task_means(
        [float(array.mean()) for array in arrays],
        [float(array.var(ddof=1)) / array.size if array.size > 1 else 0.0 for array in arrays],
        [array.size for array in arrays],
        scale=max(float(np.abs(array).max()) for array in arrays),
        level=level,
    )


def combine_task_means(
    means: Sequence[float],
    variances: Sequence[float],
    sizes: Sequence[int],
    *,
    scale: float,
    level: float = 0.95,
) -> Estimate:
    """Average means of tasks with equal weights, with a Welch-Satterthwaite t interval.

    Args:
        means: the mean of each task.
        variances: the variance of each of these means.
        sizes: the number of runs behind each of them.
        scale: size of the largest value; an interval that is narrow against it is rounding error.
        level: confidence level of the interval.

    Returns:
        The mean and its interval; none when a task has fewer than ``FEWEST_FOR_INTERVAL`` runs,
        and none of zero width.
    """
    mean = float(np.mean(means))
    if min(sizes) < FEWEST_FOR_INTERVAL:
        return Estimate(mean)
    parts = np.asarray(variances, dtype=float)
    error = math.sqrt(parts.sum()) / parts.size
    if error <= _ZERO_WIDTH * scale:
        return Estimate(mean)
    freedom = 1.0 / np.sum((parts / parts.sum()) ** 2 / (np.asarray(sizes) - 1))
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    return Estimate(mean, mean - half, mean + half)
