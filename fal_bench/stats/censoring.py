"""Means and shares of budgets to target of which some are right-censored at the cap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from fal_bench.stats.crossing import Budget
from fal_bench.stats.means import Estimate, combine_task_means


def kaplan_meier_mean(budgets: Sequence[Budget]) -> tuple[float, float]:
    """Return the area under the Kaplan-Meier curve up to the largest label count of any run.

    The curve estimates the share of runs that have not reached the target yet (Kaplan and Meier,
    1958). Where a run reaches it at the very label count at which another is censored, the
    censored one still counts as at risk. Without censoring below the cap the area is the plain
    mean of min(T, cap), and its variance the plug-in variance of that mean (divisor n).

    Args:
        budgets: one budget a run.

    Returns:
        E[min(T, largest count)], in labels, and Greenwood's variance of it; 0 if nothing varies.

    Raises:
        ValueError: there is no run.
    """
    if not budgets:
        raise ValueError("a Kaplan-Meier curve needs at least one run.")
    counts = np.array([run.labels for run in budgets])
    reached = np.array([run.reached for run in budgets])
    labels, events = np.unique(counts[reached], return_counts=True)
    at_risk = counts.size - np.searchsorted(np.sort(counts), labels, side="left")
    share = np.cumprod(1 - events / at_risk)
    widths = np.diff(np.concatenate([[0.0], labels, [counts.max()]]))
    pieces = np.concatenate([[1.0], share]) * widths
    # Area between each event and the end.
    beyond = np.cumsum(pieces[::-1])[::-1][1:]
    left = at_risk - events
    # The last factor, 0/0 where all runs have reached, has no area behind it.
    factors = np.divide(events, at_risk * left, out=np.zeros_like(share), where=left > 0)
    return float(pieces.sum()), float(np.sum(beyond**2 * factors))


def restricted_mean(budgets: Sequence[Sequence[Budget]], *, level: float = 0.95) -> Estimate:
    """Return the restricted mean E[min(T, cap)] over runs and tasks, with a t interval.

    In each task it is that of ``kaplan_meier_mean``. Under a common cap that is the plain mean of
    min(T, cap): runs that did not reach the target count with their labels at the cap and are
    never dropped, so the mean is a lower bound of the true budget. The variance is Greenwood's,
    times n / (n - 1); under a common cap that is the usual variance of a mean.

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
    means, variances = zip(*map(kaplan_meier_mean, budgets), strict=True)
    sizes = [len(task) for task in budgets]
    estimate = combine_task_means(
        means,
        [one * size / max(size - 1, 1) for one, size in zip(variances, sizes, strict=True)],
        sizes,
        scale=max(run.labels for task in budgets for run in task),
        level=level,
    )
    reached = sum(run.reached for task in budgets for run in task)
    return estimate if reached >= max(3, sum(sizes) / 2) else Estimate(estimate.mean)


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
    z = float(ndtri((1 + level) / 2))
    share = reached / runs
    centre = share + z**2 / (2 * runs)
    half = z * math.sqrt(share * (1 - share) / runs + z**2 / (4 * runs**2))
    scale = 1 + z**2 / runs
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
