"""Comparisons of identical strategies, drawn from a stock of real runs.

A stock holds, for every task and seed, the budgets of several strategies that are alike but for
their random stream. Given task and seed they are exchangeable, so any two of them, in either
order, are a fair draw of "a strategy" and "its baseline" under the null hypothesis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fal_bench.stats import (
    Budget,
    can_reject,
    log_ratios,
    paired_saving,
    rank_intervals,
    sign_flip_test,
)

Stock = Sequence[Sequence[Sequence[Budget]]]
"""Budgets by task, seed and twin."""
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Rates:
    """What was found in many comparisons.

    Attributes:
        comparisons: number of comparisons with a verdict.
        significant: share with p <= 0.05.
        covered: share whose 95 % interval of the saving holds nothing saved; those without an
            interval are left out.
        not_comparable: share of all draws in which the saving says nothing.
        no_interval: share of comparisons without an interval.
        settled_ranks: share in which the rank intervals of the two do not overlap.
        tied_pairs: share of pairs whose budgets are equal.
        censored_pairs: share of pairs of which at least one run did not reach.
    """

    comparisons: int
    significant: float
    covered: float
    not_comparable: float
    no_interval: float
    settled_ranks: float
    tied_pairs: float
    censored_pairs: float


def draw_comparison(
    stock: Stock, seeds: int, rng: np.random.Generator, weights: Weights | None = None
) -> tuple[list[list[Budget]], list[list[Budget]]]:
    """Draw seeds without replacement, and two different twins for every task and seed."""
    chosen = rng.choice(len(stock[0]), size=seeds, replace=False, p=weights)
    ours, theirs = [], []
    for task in stock:
        pairs = []
        for seed in chosen:
            one, other = rng.choice(len(task[seed]), size=2, replace=False)
            pairs.append((task[seed][one], task[seed][other]))
        ours.append([pair[0] for pair in pairs])
        theirs.append([pair[1] for pair in pairs])
    return ours, theirs


def measure(
    stock: Stock,
    seeds: int,
    comparisons: int,
    rng: np.random.Generator,
    *,
    ranks: bool = True,
    weights: Weights | None = None,
) -> Rates:
    """Draw comparisons of ``seeds`` seeds each and count what the rules say of them.

    Args:
        stock: the runs.
        seeds: seeds in a comparison.
        comparisons: how many to draw.
        rng: source of all draws.
        ranks: whether to look at the intervals of the ranks too, which takes longest.
        weights: how likely every seed is to be drawn; all alike by default.

    Raises:
        ValueError: a verdict would be impossible with so few pairs.
    """
    if not can_reject(len(stock) * seeds, 1):
        raise ValueError(f"{len(stock) * seeds} pairs are too few for a verdict.")
    draws = [draw_comparison(stock, seeds, rng, weights) for _ in range(comparisons)]
    pairs = [
        pair
        for ours, theirs in draws
        for ours_task, theirs_task in zip(ours, theirs, strict=True)
        for pair in zip(ours_task, theirs_task, strict=True)
    ]
    savings = [paired_saving(*draw) for draw in draws]
    valid = [
        (draw, saving) for draw, saving in zip(draws, savings, strict=True) if saving.comparable
    ]
    p_values = [sign_flip_test(log_ratios(*draw), rng) for draw, _ in valid]
    with_interval = [saving for _, saving in valid if not math.isnan(saving.low)]
    return Rates(
        comparisons=len(valid),
        significant=_share([p <= 0.05 for p in p_values]),
        covered=_share([saving.low <= 0 <= saving.high for saving in with_interval]),
        not_comparable=1 - len(valid) / comparisons,
        no_interval=_share([math.isnan(saving.low) for _, saving in valid]),
        settled_ranks=_share([_settled(draw, rng) for draw, _ in valid]) if ranks else math.nan,
        tied_pairs=_share([one.labels == other.labels for one, other in pairs]),
        censored_pairs=_share([not (one.reached and other.reached) for one, other in pairs]),
    )


def standard_errors(
    stock: Stock, seeds: int, comparisons: int, rng: np.random.Generator, *, replicates: int = 40
) -> tuple[float, float]:
    """Return the standard errors of ``significant`` and ``covered``.

    Comparisons share runs and are not independent, but seeds are: the stock's seeds are drawn
    again with replacement (all twins of a seed together), and everything is measured anew. A
    seed drawn twice is twice as likely in a comparison, though never in it twice. The errors
    include the noise of drawing ``comparisons`` instead of all that there are.
    """
    size = len(stock[0])
    rates: list[tuple[float, float]] = []
    while len(rates) < replicates:
        weights = rng.multinomial(size, [1 / size] * size) / size
        if np.count_nonzero(weights) < seeds:
            continue
        found = measure(stock, seeds, comparisons, rng, ranks=False, weights=weights)
        rates.append((found.significant, found.covered))
    spread: NDArray[np.float64] = np.nanstd(np.array(rates), axis=0, ddof=1)
    return float(spread[0]), float(spread[1])


def _settled(draw: tuple[list[list[Budget]], list[list[Budget]]], rng: np.random.Generator) -> bool:
    labels = np.array([[[run.labels for run in task] for task in side] for side in draw])
    reached = np.array([[[run.reached for run in task] for task in side] for side in draw])
    found = rank_intervals(labels, reached, np.zeros_like(labels), rng, draws=400)
    return found is not None and bool(found[1].min() < found[0].max())


def _share(outcomes: Sequence[bool]) -> float:
    return float(np.mean(outcomes)) if outcomes else math.nan
