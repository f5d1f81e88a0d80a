"""Summaries of budgets to target of which some are right-censored at the cap."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

from fal_bench.stats.crossing import Budget
from fal_bench.stats.means import Estimate, combine_task_means
from fal_bench.stats.survival import kaplan_meier_mean


def restricted_mean(budgets: Sequence[Sequence[Budget]], *, level: float = 0.95) -> Estimate:
    """Return the restricted mean E[min(T, cap)] over runs and tasks, with a t interval.

    In each task it is the area under the Kaplan-Meier curve up to the largest label count of any
    run. Under a common cap that is the plain mean of min(T, cap): runs that did not reach the
    target count with their labels at the cap and are never dropped, so the mean is a lower bound
    of the true budget. The variance is Greenwood's, times n / (n - 1); under a common cap that is
    the usual variance of a mean.

    Args:
        budgets: for each task, the budgets of its runs; a list of one list for a single task.
        level: confidence level of the interval.

    Returns:
        The mean of task means, in labels. It has no interval when fewer than max(3, n/2) of all
        n runs reached the target (no interval repairs a target that is never reached), when a task
        has fewer than ``FEWEST_FOR_INTERVAL`` runs, and none of zero width.

    Raises:
        ValueError: there is no task, or a task has no run.
    """
    if not budgets:
        raise ValueError("a mean over tasks needs at least one task.")
    tasks = [kaplan_meier_mean(task) for task in budgets]
    sizes = [len(task) for task in budgets]
    estimate = combine_task_means(
        [task.mean for task in tasks],
        [task.variance * size / max(size - 1, 1) for task, size in zip(tasks, sizes, strict=True)],
        sizes,
        scale=max(run.labels for task in budgets for run in task),
        level=level,
    )
    reached = sum(run.reached for task in budgets for run in task)
    return estimate if reached >= max(3, sum(sizes) / 2) else estimate.without_interval()


def wilson_interval(reached: int, runs: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson (1927) score interval of the share of runs that reached the target.

    Args:
        reached: number of runs that reached the target.
        runs: number of all runs.
        level: confidence level of the interval.

    Returns:
        Lower and upper end, within [0, 1].

    Raises:
        ValueError: there is no run, or ``reached`` is not between 0 and ``runs``.
    """
    if runs < 1 or not 0 <= reached <= runs:
        raise ValueError(f"a share needs 0 <= reached <= runs and a run; got {reached}/{runs}.")
    z = float(stats.norm.ppf((1 + level) / 2))
    share = reached / runs
    centre = share + z**2 / (2 * runs)
    half = z * math.sqrt(share * (1 - share) / runs + z**2 / (4 * runs**2))
    scale = 1 + z**2 / runs
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
