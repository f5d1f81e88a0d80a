"""Expected labels with restarts, and the median budget: two secondary summaries of one task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fal_bench.stats.crossing import Budget
from fal_bench.stats.means import Estimate

FEWEST_RUNS = 20
"""Below this number of runs a bootstrap interval of the ERT covers far too rarely."""


def expected_restart_labels(
    budgets: Sequence[Budget],
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
        budgets: one budget a run, all of one task.
        rng: source of the bootstrap samples; untouched when there is no interval.
        level: confidence level of the percentile bootstrap interval.
        draws: number of bootstrap samples.

    Returns:
        The estimate, infinite if no run reached. There is an interval from 20 runs on; its upper
        end may be infinite.

    Raises:
        ValueError: there is no run.
    """
    if not budgets:
        raise ValueError("the expected labels with restarts need at least one run.")
    labels = np.array([run.labels for run in budgets])
    reached = np.array([run.reached for run in budgets], dtype=float)
    if not reached.any():
        return Estimate(math.inf)
    mean = float(labels.sum() / reached.sum())
    if labels.size < FEWEST_RUNS:
        return Estimate(mean)
    sample = rng.integers(0, labels.size, size=(draws, labels.size))
    successes = reached[sample].sum(axis=1)
    spent = labels[sample].sum(axis=1)
    drawn = np.divide(spent, successes, out=np.full(draws, math.inf), where=successes > 0)
    tail = (1 - level) / 2
    # A rank, not an interpolated quantile: between a number and infinity there is nothing.
    ordered = np.sort(drawn)
    low, high = (ordered[round(q * (draws - 1))] for q in (tail, 1 - tail))
    return Estimate(mean, float(low), float(high)) if low < high else Estimate(mean)


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
