"""The Kaplan-Meier curve of budgets to target, and the restricted mean below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fal_bench.stats.crossing import Budget


@dataclass(frozen=True)
class RestrictedMean:
    """The area below a Kaplan-Meier curve up to a horizon, with its variance.

    Attributes:
        mean: E[min(T, horizon)], in labels.
        variance: Greenwood's variance of the mean; 0 if nothing varies.
    """

    mean: float
    variance: float


def kaplan_meier(
    budgets: Sequence[Budget],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate the share of runs that have not reached the target yet (Kaplan and Meier, 1958).

    Where a run reaches the target at the very label count at which another is censored, the
    censored one still counts as at risk.

    Args:
        budgets: one budget a run.

    Returns:
        The label counts at which runs reached the target, increasing, and the share of runs
        still below the target from there on; both of shape (n_events,).

    Raises:
        ValueError: there is no run.
    """
    labels, events, at_risk = _life_table(budgets)
    share = np.cumprod(1 - events / at_risk, dtype=np.float64)
    return labels, share


def kaplan_meier_mean(budgets: Sequence[Budget], horizon: float | None = None) -> RestrictedMean:
    """Return the restricted mean budget with Greenwood's variance.

    Without censoring below the horizon the mean is the plain mean of min(T, horizon), and the
    variance its plug-in variance (divisor n). The last factor of Greenwood's sum, 0/0 where all
    runs have reached, has no area behind it and counts as nothing.

    Args:
        budgets: one budget a run.
        horizon: the label count up to which the mean looks; the largest count of any run by
            default, beyond which nothing was observed.

    Raises:
        ValueError: there is no run, or the horizon lies beyond every observation.
    """
    labels, events, at_risk = _life_table(budgets)
    last = max(run.labels for run in budgets)
    end = last if horizon is None else horizon
    # Once every run has reached, the curve is known to stay at 0 for ever.
    complete = at_risk.size > 0 and events[-1] == at_risk[-1]
    if end > last and not complete:
        raise ValueError(f"no run was observed beyond {last:g} labels; the horizon is {end:g}.")
    inside = labels <= end
    labels, events, at_risk = labels[inside], events[inside], at_risk[inside]
    share = np.cumprod(1 - events / at_risk)
    widths = np.diff(np.concatenate([[0.0], labels, [end]]))
    pieces = np.concatenate([[1.0], share]) * widths
    # Area between each event and the horizon.
    beyond = np.cumsum(pieces[::-1])[::-1][1:]
    left = at_risk - events
    factors = np.divide(events, at_risk * left, out=np.zeros_like(share), where=left > 0)
    return RestrictedMean(float(pieces.sum()), float(np.sum(beyond**2 * factors)))


def _life_table(
    budgets: Sequence[Budget],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return label counts with events, the events at each, and the runs at risk there."""
    if not budgets:
        raise ValueError("a Kaplan-Meier curve needs at least one run.")
    counts = np.array([run.labels for run in budgets])
    reached = np.array([run.reached for run in budgets])
    labels, events = np.unique(counts[reached], return_counts=True)
    at_risk = counts.size - np.searchsorted(np.sort(counts), labels, side="left")
    return labels, events.astype(float), at_risk.astype(float)
