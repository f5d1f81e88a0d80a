"""The statistics of an inspection: paired means, power, and how well runs tell strategies apart."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

LEVEL: Final = 0.95
"""Confidence level of all intervals; tests are two-sided at what it leaves."""

POWER: Final = 0.8
"""Share of comparisons that are to find a saving that is there."""

MOST_SEEDS: Final = 1000
"""Seeds beyond which none are counted."""

_STEPS: Final = 400
"""Quantiles that stand for a distribution."""

_ROUNDING: Final = 1e-20
"""Variance of logarithms that is rounding."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: the mean.
        error: its standard error; NaN for fewer than two seeds.
        half: half the width of its 95 % t interval, likewise.
        count: number of seeds.
    """

    value: float
    error: float
    half: float
    count: int

    @classmethod
    def of(cls, values: ArrayLike) -> Mean:
        """Take the mean of the values that are not NaN."""
        known = np.asarray(values, dtype=float)
        known = known[~np.isnan(known)]
        if known.size < 2:
            value = float(known[0]) if known.size else math.nan
            return cls(value, math.nan, math.nan, known.size)
        error = float(known.std(ddof=1)) / math.sqrt(known.size)
        return cls(float(known.mean()), error, error * _quantile(known.size - 1), known.size)


def sd_interval(sd: float, freedom: int) -> tuple[float, float]:
    """Return the 95 % interval of a standard deviation of Gaussian values.

    Args:
        sd: the estimate.
        freedom: its degrees of freedom.
    """
    low, high = chi([(1 - LEVEL) / 2, (1 + LEVEL) / 2], freedom)
    return sd / float(high), sd / float(low)


def seeds_needed(saving: float, sd: float) -> int | None:
    """Return how many seeds a paired t test needs to find a saving with a power of 80 %.

    Args:
        saving: share of labels saved, in (0, 1).
        sd: standard deviation over seeds of the paired log ratio of labels.

    Returns:
        At least 2; None if it is more than ``MOST_SEEDS``.
    """
    effect = -math.log1p(-saving)
    if _power(MOST_SEEDS, effect, sd) < POWER:
        return None
    low, high = 1, MOST_SEEDS  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, effect, sd) >= POWER else (middle, high)
    return high


def _power(seeds: int, effect: float, sd: float) -> float:
    """Return the power of a two-sided paired t test.

    Given the estimate of the standard deviation, the test is one of a Gaussian mean; its power is
    averaged over the estimate's distribution. (SciPy's noncentral t fails for large effects.)
    """
    if seeds < 2:
        return 0.0
    if sd == 0:
        return 1.0
    shift, limits = effect / sd * math.sqrt(seeds), _quantile(seeds - 1) * _spread(seeds - 1)
    return float(np.mean(special.ndtr(shift - limits) + special.ndtr(-shift - limits)))


@functools.cache
def _spread(freedom: int) -> NDArray[np.float64]:
    return chi((np.arange(_STEPS) + 0.5) / _STEPS, freedom)


def chi(shares: ArrayLike, freedom: int) -> NDArray[np.float64]:
    """Return quantiles of the estimate of a standard deviation of 1.

    Args:
        shares: probabilities.
        freedom: degrees of freedom of the estimate.
    """
    doubled = 2 * np.asarray(special.gammaincinv(freedom / 2, np.asarray(shares)), dtype=float)
    return np.sqrt(doubled / freedom)


def normal_quantile(share: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return float(special.ndtri(share))


def _quantile(freedom: int) -> float:
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))


def reliability(values: ArrayLike) -> float:
    """Return the intraclass correlation of one run: how much of it is its strategy.

    The mean of every seed is taken out first. What is left is between strategies, or noise; the
    variance components are those of the two-way analysis of variance without repetition.

    Args:
        values: what is compared, shape (strategies, seeds), two or more of both.

    Returns:
        Between-strategy variance over the total, in [0, 1]; 0 if there is no variance.
    """
    table = np.asarray(values, dtype=float)
    rows, columns = table.shape
    table = table - table.mean(axis=0)
    means = table.mean(axis=1)
    between = columns * float(np.sum(means**2)) / (rows - 1)
    noise = float(np.sum((table - means[:, None]) ** 2)) / ((rows - 1) * (columns - 1))
    signal = max(0.0, (between - noise) / columns)
    return signal / (signal + noise) if signal > _ROUNDING else 0.0


def separated(values: ArrayLike) -> int:
    """Count the pairs of strategies whose paired 95 % t interval leaves out 0.

    Args:
        values: what is compared, shape (strategies, seeds).
    """
    table = np.asarray(values, dtype=float)
    pairs = [Mean.of(one - other) for one, other in itertools.combinations(table, 2)]
    return sum(abs(pair.value) > pair.half for pair in pairs)
