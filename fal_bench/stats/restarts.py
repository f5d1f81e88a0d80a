"""Expected labels with restarts, and the median budget: two secondary summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fal_bench.stats.crossing import Budget
from fal_bench.stats.means import Estimate

FEWEST_RUNS = 20
"""Below this number of runs a bootstrap interval of the ERT covers far too rarely."""


def expected_restart_labels(
    budgets: Sequence[Sequence[Budget]],
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    draws: int = 2000,
) -> Estimate:
    """Return the ERT of COCO: labels spent, by all runs, for each run that reached the target.

    It reads as the labels that one needs on average if a failed attempt is started again from
    nothing (Hansen et al., 2021, "COCO"). A real annotator would keep the labels of the failed
    attempt, so this is a secondary number.

    Args:
        budgets: for each task, the budgets of its runs; a list of one list for a single task.
        rng: source of the bootstrap samples; untouched when there is no interval.
        level: confidence level of the percentile bootstrap interval, over runs in fixed tasks.
        draws: number of bootstrap samples.

    Returns:
        The mean over tasks, infinite if no run of some task reached. There is an interval if
        every task has 20 runs or more; its upper end may be infinite.

    Raises:
        ValueError: there is no task, or a task has no run.
    """
    if not budgets or not all(budgets):
        raise ValueError("the expected labels with restarts need at least one run of every task.")
    spent = [np.array([run.labels for run in task]) for task in budgets]
    reached = [np.array([run.reached for run in task], dtype=float) for task in budgets]
    if not all(task.any() for task in reached):
        return Estimate(math.inf)
    pairs = list(zip(spent, reached, strict=True))
    mean = float(np.mean([labels.sum() / hits.sum() for labels, hits in pairs]))
    if min(task.size for task in spent) < FEWEST_RUNS:
        return Estimate(mean)
    drawn = np.sort(np.mean([_resampled(*pair, rng, draws) for pair in pairs], axis=0))
    tail = (1 - level) / 2
    # A rank, not an interpolated quantile: between a number and infinity there is nothing.
    low, high = (float(drawn[round(share * (draws - 1))]) for share in (tail, 1 - tail))
    return Estimate(mean, low, high) if low < high else Estimate(mean)


def _resampled(
    labels: NDArray[np.float64], reached: NDArray[np.float64], rng: np.random.Generator, draws: int
) -> NDArray[np.float64]:
    """Return the ERT of one task in every bootstrap sample; infinite without a success."""
    sample = rng.integers(0, labels.size, size=(draws, labels.size))
    hits = reached[sample].sum(axis=1)
    means: NDArray[np.float64] = np.full(draws, math.inf)
    np.divide(labels[sample].sum(axis=1), hits, out=means, where=hits > 0)
    return means


def median_budget(budgets: Sequence[Budget]) -> Budget:
    """Return the median budget, or "more than" what was observed if too few runs reached.

    A run that did not reach the target counts as infinite. With an even number of runs the
    median lies halfway between the two in the middle.

    Args:
        budgets: one budget a run, all of one task.

    Returns:
        The median; not reached, at the median of the label counts at which the other runs were
        censored, if it is infinite.

    Raises:
        ValueError: there is no run.
    """
    if not budgets:
        raise ValueError("a median needs at least one run.")
    times = np.sort([run.labels if run.reached else math.inf for run in budgets])
    middle = times[[(times.size - 1) // 2, times.size // 2]].mean()
    if math.isfinite(middle):
        return Budget(float(middle), reached=True)
    return Budget(float(np.median([run.labels for run in budgets if not run.reached])), False)
