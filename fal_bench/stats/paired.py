"""The one comparison: paired log ratios with simultaneous intervals.

A pair is two runs of the same task and seed. Its difference is the log ratio of their budgets to
target, averaged over a ladder of targets. Tasks are fixed and seeds are random: a strategy's mean
is the mean over tasks of the mean over seeds, divided by its standard error from within tasks. All
comparisons of a board get intervals that hold together with the given confidence: the largest
studentised mean among them is compared with what it is when the pairs' deviations from their task
means get random signs (max-|t| with Rademacher multipliers; Romano and Wolf 2005, Chernozhukov,
Chetverikov and Kato 2013). A verdict is "the interval excludes 0", so that both always agree.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

FEWEST_SEEDS: Final = 5
"""Seeds of every task that a simultaneous interval takes.

From 5 seeds on, a board of equal strategies holds a false verdict in 6 to 7 % of cases
(``docs/statistics.md``); fewer seeds leave too few patterns of signs.
"""

DRAWS: Final = 10_000
"""Random sign patterns; all of them are tried where there are fewer."""

# Sign patterns handled at once: what they need stays in a processor's cache.
_CHUNK: Final = 50
# A standard error below this is rounding of equal numbers.
_ZERO: Final = 1e-12


@dataclass(frozen=True)
class Simultaneous:
    """Means with intervals that hold all at once.

    Attributes:
        means: mean over tasks of the mean over seeds, shape (n_comparisons,).
        low: lower ends of the intervals; NaN where there is none, same shape.
        high: upper ends; NaN where there is none.
        critical: number of standard errors to either side; NaN without intervals.
    """

    means: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    critical: float


def simultaneous_intervals(
    differences: ArrayLike,
    rng: np.random.Generator,
    *,
    family: ArrayLike | None = None,
    level: float = 0.95,
) -> Simultaneous:
    """Return the mean of each comparison, with simultaneous intervals.

    Args:
        differences: paired differences, shape (n_comparisons, n_tasks, n_seeds).
        rng: source of the random signs; untouched where all patterns are tried.
        family: which comparisons the intervals hold for at once, shape (n_comparisons,); all if
            None. The others get intervals of the same width in standard errors.
        level: confidence that all intervals of the family hold.

    Returns:
        The means; without intervals when there are fewer than ``FEWEST_SEEDS`` seeds, and none for
        a comparison whose differences do not vary.

    Raises:
        ValueError: the array is not three-dimensional, or there is no task or no seed.
    """
    values = np.asarray(differences, dtype=float)
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError("differences must be an array of (comparison, task, seed), none empty.")
    count, _, seeds = values.shape
    means = values.mean(axis=2)
    overall = means.mean(axis=1)
    unknown = np.full(count, math.nan)
    if seeds < FEWEST_SEEDS or not count:
        return Simultaneous(overall, unknown, unknown, math.nan)
    centred = values - means[:, :, None]
    squares = (centred**2).sum(axis=2)
    errors = _errors(squares, seeds)
    varies = errors > _ZERO * np.maximum(1.0, np.abs(overall))
    tested = varies if family is None else varies & np.asarray(family, dtype=bool)
    if not tested.any():
        return Simultaneous(overall, unknown, unknown, math.nan)
    largest = _largest(centred[tested], squares[tested], rng)
    critical = float(np.quantile(largest, level, method="higher"))
    half = np.where(varies, critical * errors, math.nan)
    return Simultaneous(overall, overall - half, overall + half, critical)


def _errors(squares: NDArray[np.float64], seeds: int) -> NDArray[np.float64]:
    """Return standard errors of means over tasks from sums of squared deviations (..., tasks)."""
    variances = squares / (seeds - 1) / seeds
    errors: NDArray[np.float64] = np.sqrt(variances.sum(axis=-1)) / squares.shape[-1]
    return errors


def _largest(
    centred: NDArray[np.float64], squares: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the largest |t| of every sign pattern.

    A pattern gives a (task, seed) one sign, the same in every comparison, since comparisons share
    the baseline's run. Squares do not change with signs; only the means of tasks do. |t| is
    infinite where a pattern makes all deviations of a task equal.
    """
    _, tasks, seeds = centred.shape
    total = squares.sum(axis=1)
    least = _ZERO * total
    by_task = [np.ascontiguousarray(centred[:, task].T) / seeds for task in range(tasks)]
    found = []
    rooms = np.empty((3, _CHUNK, len(centred)))
    for signs in _patterns(tasks * seeds, rng):
        shaped = signs.reshape(-1, tasks, seeds).astype(float)
        means, sums, lost = rooms[:, : len(signs)]
        for task, deviations in enumerate(by_task):
            np.matmul(shaped[:, task], deviations, out=means if task else sums)
            if task:
                sums += means
                lost += np.square(means, out=means)
            else:
                np.square(sums, out=lost)
        np.square(sums, out=sums)
        left = np.subtract(total, np.multiply(lost, seeds, out=lost), out=lost)
        if (left.min(axis=0) <= least).any():
            equal = left <= least
            sums[equal] = np.where(sums[equal] > 0, math.inf, 0.0)
            left[equal] = 1.0
        found.append(np.divide(sums, left, out=sums).max(axis=1))
    largest: NDArray[np.float64] = np.sqrt(np.concatenate(found) * ((seeds - 1) * seeds))
    return largest


def _patterns(pairs: int, rng: np.random.Generator) -> list[NDArray[np.int8]]:
    """Return sign patterns in chunks: all of them, or as many random ones as ``DRAWS``."""
    if 2**pairs <= DRAWS:
        numbers = np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1
        patterns = (1 - 2 * numbers).astype(np.int8)
    else:
        patterns = 1 - 2 * rng.integers(0, 2, size=(DRAWS, pairs), dtype=np.int8)
    return [patterns[start : start + _CHUNK] for start in range(0, len(patterns), _CHUNK)]


def rank_ranges(
    scores: ArrayLike, reached: ArrayLike, rng: np.random.Generator, *, level: float = 0.95
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the ranks that each strategy may have, from intervals of all pairwise differences.

    A strategy stands behind those that the intervals show to be better, and before those that they
    show to be worse; all others may be tied with it. An interval that is open to a side, because
    of censored pairs, shows nothing there. With the given confidence all true ranks lie within
    their ranges.

    Args:
        scores: mean log labels of each run, shape (n_strategies, n_tasks, n_seeds); fewer are
            better.
        reached: whether each run reached each target, shape (n_strategies, ..., n_tasks, n_seeds).
        rng: source of the random signs.
        level: confidence that all ranges hold.

    Returns:
        Best and worst rank of each, shape (n_strategies,); None with fewer than ``FEWEST_SEEDS``
        seeds, or fewer than two strategies.
    """
    values, got = np.asarray(scores, dtype=float), np.asarray(reached, dtype=bool)
    count = len(values)
    if count < 2 or values.shape[2] < FEWEST_SEEDS:
        return None
    pairs = list(itertools.combinations(range(count), 2))
    first, second = np.array(pairs).T
    found = simultaneous_intervals(values[first] - values[second], rng, level=level)
    better = np.zeros((count, count), dtype=bool)  # row is better than column
    # Runs that all differ by the same amount differ by that amount.
    sure = np.isnan(found.low)
    low = np.where(sure, found.means, found.low)
    high = np.where(sure, found.means, found.high)
    better[first, second] = high < -_ZERO * sure
    better[second, first] = low > _ZERO * sure
    for one, other in zip(*np.nonzero(better), strict=True):
        better[one, other] = not censored_pairs(got[one], got[other]).harm_understated
    return 1 + better.sum(axis=0), count - better.sum(axis=1)


def mean_over_tasks(differences: ArrayLike, *, level: float = 0.95) -> tuple[float, float] | None:
    """Return a t interval over tasks: what to expect on other tasks like these.

    Args:
        differences: paired differences, shape (n_tasks, n_seeds).
        level: confidence level.

    Returns:
        The ends of the interval around the mean of task means; None with fewer than two tasks.
    """
    means = np.asarray(differences, dtype=float).mean(axis=1)
    if means.size < 2:
        return None
    half = stdtrit(means.size - 1, (1 + level) / 2) * means.std(ddof=1) / math.sqrt(means.size)
    return float(means.mean() - half), float(means.mean() + half)


def saving(log_ratio: float) -> float:
    """Return the share of labels saved: 0.2 for a log ratio of ln 0.8."""
    # Subtracting from 0.0, not negating, keeps a saving of nothing at 0.0 instead of -0.0.
    return 0.0 - math.expm1(log_ratio)


@dataclass(frozen=True)
class CensoredPairs:
    """How many pairs, over all targets of a ladder, are not both reached.

    Attributes:
        strategy: pairs in which only the baseline reached: harm is understated.
        baseline: pairs in which only the strategy reached: saving is understated.
        both: pairs in which neither reached, which say nothing.
        pairs: all pairs.
    """

    strategy: int
    baseline: int
    both: int
    pairs: int

    @property
    def saving_understated(self) -> bool:
        """Whether so many pairs understate the saving, or hide it, that it has no upper bound."""
        return self.baseline + self.both > MOST_CENSORED * self.pairs

    @property
    def harm_understated(self) -> bool:
        """Whether so many pairs understate the harm, or hide it, that it has no lower bound."""
        return self.strategy + self.both > MOST_CENSORED * self.pairs


MOST_CENSORED: Final = 0.1
"""Share of censored pairs up to which an interval is closed to the side that they distort."""


def censored_pairs(
    strategy: Sequence[bool] | NDArray[np.bool_], baseline: Sequence[bool] | NDArray[np.bool_]
) -> CensoredPairs:
    """Count the pairs of which not both runs reached.

    Args:
        strategy: whether each run of the strategy reached, of any shape.
        baseline: the same of the baseline, in the same order.
    """
    ours, theirs = np.asarray(strategy, dtype=bool), np.asarray(baseline, dtype=bool)
    return CensoredPairs(
        strategy=int(np.sum(~ours & theirs)),
        baseline=int(np.sum(ours & ~theirs)),
        both=int(np.sum(~ours & ~theirs)),
        pairs=ours.size,
    )
