"""Paired comparison with a baseline: saving, sign-flip test and Holm correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fal_bench.stats.crossing import Budget
from fal_bench.stats.means import mean_of_task_means

_EXACT_PAIRS = 16
# Sums of the same numbers in another order differ by rounding; they still count as ties.
_TIE = 1e-12


@dataclass(frozen=True)
class PairedSaving:
    """Labels saved against a baseline, over pairs of runs that share task and seed.

    Attributes:
        saving: 1 - exp(mean log-ratio of budgets): 0.2 means 20 % fewer labels.
        low: lower end of the interval; NaN where there is none.
        high: upper end of the interval; NaN where there is none.
        strategy_censored: pairs in which only the baseline reached: harm is understated.
        baseline_censored: pairs in which only the strategy reached: saving is understated.
        both_censored: pairs in which neither reached: uninformative.
        undecided: pairs in which one side reached, but only with more labels than those at which
            the other was censored, so that their order is unknown. This needs label counts that
            differ at the cap, as strict labels do.
        comparable: False if more than half of the pairs are uninformative (neither reached, or
            undecided); the saving then says nothing.
    """

    saving: float
    low: float
    high: float
    strategy_censored: int
    baseline_censored: int
    both_censored: int
    undecided: int
    comparable: bool


def log_ratios(
    strategy: Sequence[Sequence[Budget]], baseline: Sequence[Sequence[Budget]]
) -> list[NDArray[np.float64]]:
    """Return d = ln Y_strategy - ln Y_baseline of every pair.

    Args:
        strategy: for each task, the strategy's budgets, one a seed.
        baseline: the baseline's budgets, with tasks and seeds in the same order.

    Returns:
        For each task, the differences over its seeds, shape (n_seeds,).

    Raises:
        ValueError: the runs do not pair up, or a budget is not positive.
    """
    differences = []
    for ours, theirs in zip(strategy, baseline, strict=True):
        pairs = list(zip(ours, theirs, strict=True))
        if any(run.labels <= 0 for pair in pairs for run in pair):
            raise ValueError("budgets must be positive to compare them by their ratio.")
        differences.append(np.array([math.log(a.labels) - math.log(b.labels) for a, b in pairs]))
    return differences


def paired_saving(
    strategy: Sequence[Sequence[Budget]],
    baseline: Sequence[Sequence[Budget]],
    *,
    level: float = 0.95,
) -> PairedSaving:
    """Estimate the share of labels that a strategy saves against a baseline.

    The t interval is built on the log scale, over seeds within fixed tasks, and transformed.

    Args:
        strategy: for each task, the strategy's budgets, one a seed; interpolated crossings, since
            step values tie in most pairs.
        baseline: the baseline's budgets, with tasks and seeds in the same order.
        level: confidence level of the interval.

    Returns:
        The saving; without an interval when a task has fewer than ``FEWEST_FOR_INTERVAL`` pairs,
        and none of zero width.

    Raises:
        ValueError: the runs do not pair up, or a budget is not positive.
    """
    mean = mean_of_task_means(log_ratios(strategy, baseline), level=level)
    pairs = [
        pair
        for ours, theirs in zip(strategy, baseline, strict=True)
        for pair in zip(ours, theirs, strict=True)
    ]
    both = sum(not a.reached and not b.reached for a, b in pairs)
    undecided = sum(_undecided(a, b) for a, b in pairs)
    return PairedSaving(
        saving=_saving(mean.mean),
        low=_saving(mean.high),
        high=_saving(mean.low),
        strategy_censored=sum(not a.reached and b.reached for a, b in pairs),
        baseline_censored=sum(a.reached and not b.reached for a, b in pairs),
        both_censored=both,
        undecided=undecided,
        comparable=2 * (both + undecided) <= len(pairs),
    )


def _saving(log_ratio: float) -> float:
    # Subtracting from 0.0, not negating, keeps a saving of nothing at 0.0 instead of -0.0.
    return 0.0 - math.expm1(log_ratio)


def _undecided(a: Budget, b: Budget) -> bool:
    if a.reached == b.reached:
        return False
    reached, censored = (a, b) if a.reached else (b, a)
    return reached.labels > censored.labels


def sign_flip_test(
    differences: Sequence[ArrayLike], rng: np.random.Generator, *, draws: int = 10_000
) -> float:
    """Test whether paired differences are symmetric about zero (Fisher's sign-flip test).

    The statistic is the mean over tasks of task means. The p-value is two-sided: exact over all
    2^N sign patterns for N <= 16 pairs, and otherwise (1 + hits) / (1 + draws), which is valid
    for any number of draws (Phipson and Smyth, 2010). Its floor is 2^(1 - N).

    Args:
        differences: for each task, the paired differences over its seeds.
        rng: source of the random sign patterns; untouched by the exact test.
        draws: number of random sign patterns.

    Returns:
        The p-value, in (0, 1].

    Raises:
        ValueError: there is no task, or a task has no pair.
    """
    arrays = [np.asarray(task, dtype=float) for task in differences]
    if not arrays or any(array.ndim != 1 or array.size == 0 for array in arrays):
        raise ValueError("a sign-flip test needs at least one task and one pair in each.")
    terms = np.concatenate([array / (array.size * len(arrays)) for array in arrays])
    threshold = abs(terms.sum()) - _TIE * np.abs(terms).sum()
    if terms.size <= _EXACT_PAIRS:
        patterns = np.arange(2**terms.size)[:, None] >> np.arange(terms.size) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ terms) >= threshold))
    patterns = rng.integers(0, 2, size=(draws, terms.size), dtype=np.int8)
    hits = int(np.sum(np.abs((1 - 2 * patterns) @ terms) >= threshold))
    return (1 + hits) / (1 + draws)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for multiple comparisons by Holm's step-down method (Holm, 1979).

    Args:
        p_values: unadjusted p-values, shape (m,); NaN marks a comparison that was not tested.

    Returns:
        Adjusted p-values in the same order; NaN stays NaN and does not count in m.
    """
    raw = np.asarray(p_values, dtype=float)
    adjusted = np.full(raw.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(raw))
    order = tested[np.argsort(raw[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * raw[order]))
    return adjusted


def can_reject(pairs: int, comparisons: int, *, alpha: float = 0.05) -> bool:
    """Tell whether a sign-flip test can be significant at all after Holm's correction.

    Its smallest p-value is 2^(1 - N), so this needs N >= 1 + log2(m / alpha) pairs.

    Args:
        pairs: number N of (task, seed) pairs.
        comparisons: number m of comparisons that are corrected together.
        alpha: significance level.
    """
    return comparisons * 2.0 ** (1 - pairs) <= alpha
